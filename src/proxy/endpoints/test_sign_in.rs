//! Test sign-ins on the public side: a ticket begins one, and nobody is signed in at its end.

use std::sync::Arc;

use super::start::{How, start_refusal};
use super::{at, ties_of};
use crate::clock::Stopwatch;
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::context::RequestCtx;
use crate::proxy::site::Site;
use crate::refusal::{Again, Reason, Refusal};
use crate::reply::Reply;
use crate::sign_in::trial::{self, Refused, Report, TrialId};
use crate::telemetry::{Outcome, Step};

impl Gateway {
    /// Somebody opened the link that an operator got. It works once.
    pub(super) async fn begin_trial(
        &self,
        path: &str,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let ticket = path.strip_prefix(trial::TICKETS).unwrap_or_default();
        let redeemed = self.trials.redeem(ticket, &site.settings.host);
        let (trial, provider) = redeemed.ok_or(Reason::NoSuchEndpoint)?;
        let watch = Stopwatch::start();
        let started = self.sign_in.start_trial(at(site), &provider, trial, ties_of(visitor)).await;
        ctx.exchange.took(Step::SignIn, watch.elapsed());
        match started {
            Ok(started) => self.depart(&started, How::LINK, site),
            Err(error) => {
                let report = Report::refused(self.clock.now(), Vec::new(), error.reason(), error.to_string());
                self.trials.end(trial, report, |_| None);
                Err(start_refusal(&error, Again::FromTheStart))
            }
        }
    }

    /// A test sign-in has come to its end: the operator sees what came of it, the browser only that it is over.
    pub(super) fn end_trial(&self, trial: TrialId, report: Report, site: &Site, ctx: &RequestCtx) -> Verdict {
        let circumstances = Self::circumstances(ctx, self.clock.now());
        self.trials.end(trial, report, |identity| {
            let not_admitted = site.admission.admit(identity, &circumstances).err()?;
            Some(Refused { reason: not_admitted.reason(), sentence: not_admitted.to_string() })
        });
        Verdict::Reply(Outcome::Answered, Reply::see_other(trial::OVER))
    }
}
