//! The page on which a customer gives the password that the upstream wants, for themselves alone: whoever is signed in here
//! acts for the account that is theirs, and no field of the form names another.

use std::sync::Arc;

use super::{Tab, page_site, start_of};
use crate::clock::Stopwatch;
use crate::customer::{BrokerFailed, ClaimFailed, CustomerFailed, NeededPassword, is_password};
use crate::pages::{self, CLAIM_PASSWORD, Claim, ClaimSaid, MAIL_FIELD, NEXT_FIELD, PASSWORD_FIELD};
use crate::portal::CanonicalRequest;
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::answer::Form;
use crate::proxy::context::RequestCtx;
use crate::proxy::refuse;
use crate::proxy::site::Site;
use crate::refusal::{Later, Reason, Refusal};
use crate::reply::Reply;
use crate::secret::Secret;
use crate::session::LiveSession;
use crate::sign_in::NextUrl;
use crate::telemetry::{Outcome, Step};

/// The page that leads on to `next` once the password is there.
pub(in crate::proxy) fn claim_page(next: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(NEXT_FIELD, next).finish();
    format!("{CLAIM_PASSWORD}?{query}")
}

impl Gateway {
    /// Shows the page, if a password is needed; leads on, if not.
    pub(super) async fn ask_for_password(
        &self,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let next = super::next_of(request).unwrap_or_else(|| start_of(site));
        if !site.customers.takes_passwords() {
            return Err(Reason::NoSuchEndpoint.into());
        }
        let Some(session) = &visitor.session else {
            self.count_attempt(site, ctx)?;
            return self.begin_sign_in(site, visitor, next, Tab::Waits, ctx).await;
        };
        self.is_admitted(session, site, ctx)?;
        self.show_claim(ClaimSaid::Nothing, &next, session, site, ctx).await
    }

    /// Asks for the mail, or takes the password.
    pub(super) async fn take_password(
        &self,
        form: &Form,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        if !site.customers.takes_passwords() {
            return Err(Reason::NoSuchEndpoint.into());
        }
        let session = visitor.session.as_ref().ok_or(Reason::SignInRequired)?;
        self.is_admitted(session, site, ctx)?;
        let next = form.field(NEXT_FIELD).and_then(|next| NextUrl::parse(next).ok()).unwrap_or_else(|| start_of(site));
        let now = self.clock.now();
        let watch = Stopwatch::start();
        let entered = form.field(PASSWORD_FIELD).filter(|password| is_password(password)).map(Secret::generated);
        let (outcome, done) = if form.field(MAIL_FIELD).is_some() {
            (site.customers.ask_for_mail(session, now).await, ClaimSaid::Mailed)
        } else if let Some(password) = entered {
            (site.customers.claim(session, password, now).await, ClaimSaid::Nothing)
        } else {
            return self.show_claim(ClaimSaid::NoPassword, &next, session, site, ctx).await;
        };
        ctx.exchange.took(Step::CustomerSession, watch.elapsed());
        let later = |until| Later::new(until, now);
        let said = match outcome {
            Ok(()) if done == ClaimSaid::Nothing => {
                return Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(next.as_str())));
            }
            Ok(()) => done,
            Err(ClaimFailed::Wrong) => ClaimSaid::Wrong,
            Err(ClaimFailed::TooManyTries(until)) => ClaimSaid::TooManyTries(later(until)),
            Err(ClaimFailed::TooManyMails(until)) => ClaimSaid::TooManyMails(later(until)),
            Err(ClaimFailed::NoMail) => ClaimSaid::NotMailed,
            Err(ClaimFailed::Failed(failed)) => return Err(refuse::customer_refusal(&failed)),
        };
        self.show_claim(said, &next, session, site, ctx).await
    }

    /// Whoever is not let in has no business here either.
    fn is_admitted(&self, session: &LiveSession, site: &Site, ctx: &RequestCtx) -> Result<(), Refusal> {
        let admitted = site.admission.admit(session.identity(), &Self::circumstances(ctx, self.clock.now()));
        admitted.map_err(|reason| Reason::NotAdmitted(reason).into())
    }

    async fn show_claim(
        &self,
        said: ClaimSaid,
        next: &NextUrl,
        session: &Arc<LiveSession>,
        site: &Arc<Site>,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let watch = Stopwatch::start();
        let ensured = site.customers.ensure(session, self.clock.now()).await;
        ctx.exchange.took(Step::CustomerSession, watch.elapsed());
        let failed = match ensured {
            // It is there: from another window, from an operator.
            Ok(_) => return Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(next.as_str()))),
            Err(failed) => failed,
        };
        let CustomerFailed::Broker(BrokerFailed::PasswordNeeded(needed)) = &failed else {
            ctx.wanted = Some(next.as_str().to_owned());
            return Err(refuse::customer_refusal(&failed));
        };
        let NeededPassword { address, stale, .. } = &**needed;
        let claim = Claim { email: address.as_str(), stale: *stale, next: next.as_str(), said };
        Ok(Verdict::Reply(Outcome::Answered, pages::claim_password(&page_site(site), &claim)))
    }
}
