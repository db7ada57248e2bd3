//! The way back from an identity provider, and what it opens.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::start::{How, go_to};
use super::{at, browser_of, start_of, ties_of};
use crate::clock::{Stopwatch, Timestamp};
use crate::ids::{ProviderName, SessionHash};
use crate::portal::CanonicalRequest;
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::context::RequestCtx;
use crate::proxy::refuse;
use crate::proxy::site::Site;
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;
use crate::secret::Secret;
use crate::session::cookie::SignInKey;
use crate::session::{LiveSession, OpenError, cookie};
use crate::sign_in::group_round::GroupRound;
use crate::sign_in::{Callback, NextUrl, SignOutHint, VerifiedIdentity, trial};
use crate::telemetry::{Outcome, Step};

/// Tabs of one browser whose sign-ins end within this time share the session of the first.
const ONE_SIGN_IN: Duration = Duration::from_secs(60);

/// Somebody who has proven who they are.
struct Arrived {
    identity: VerifiedIdentity,
    hint: SignOutHint,
    /// Where they wanted to go.
    next: NextUrl,
    /// The session that they had when the sign-in began, which the new one takes the place of.
    before: Option<SessionHash>,
    /// When their sign-in began.
    begun: Timestamp,
    /// The cookie by which their browser was known when the sign-in began.
    known: Option<Secret>,
}

/// What only this browser has, of the cookies that tie sign-ins to it.
fn browser_secret(visitor: &Visitor) -> Option<SessionHash> {
    visitor.cookies.sign_in.one().or(visitor.cookies.posted_sign_in.one()).map(SignInKey::hash)
}

impl Gateway {
    /// The provider sends the visitor back.
    pub(super) async fn call_back(
        &self,
        provider: &ProviderName,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        if !self.groups.signs_in(site, provider) {
            return Err(Reason::NoSuchEndpoint.into());
        }
        let watch = Stopwatch::start();
        let query = request.query().unwrap_or_default();
        let outcome = self.sign_in.callback(at(site), provider, query, browser_of(visitor)).await;
        ctx.exchange.took(Step::SignIn, watch.elapsed());
        self.came_back(outcome, How::LINK, provider, site, visitor, ctx).await
    }

    /// Goes on after an answer of the provider. `how` tells in which way the answer came.
    pub(super) async fn came_back(
        &self,
        outcome: Callback,
        how: How<'_>,
        provider: &ProviderName,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        if let Some(browser) = &visitor.known {
            self.sign_in.is_back(browser.hash());
        }
        if !matches!(outcome, Callback::SignedIn { .. }) {
            self.count_attempt(site, ctx)?;
        }
        match outcome {
            // Tabs that expired together sign in together: the first one opens the session for all.
            Callback::SignedIn { identity, next, .. } if self.was_faster(visitor, &identity) => {
                Ok(Verdict::Reply(Outcome::Answered, on_to(&next, how, site)))
            }
            Callback::SignedIn { identity, hint, next, begun, before, known } => {
                // Nobody asked for it, so that nobody said where to: the start page.
                let next = if how.by_form && next == NextUrl::root() { start_of(site) } else { next };
                let arrived = Arrived { identity, hint, next, before, begun, known };
                self.signed_in(arrived, how, site, visitor, ctx).await
            }
            Callback::Tried { trial, report } => Ok(self.end_trial(trial, report, site, ctx)),
            Callback::TooOld { next } => {
                self.start(site, provider, next, visitor, How { again: true, ..how }, ctx).await
            }
            // Already signed in by another tab, or a test that is over: go on. Else once more, from the start.
            Callback::Stale { next, .. } if visitor.session.is_some() || next.as_str() == trial::OVER => {
                Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(next.as_str())))
            }
            // Nobody knows any more where to: the start page.
            Callback::Stale { next, restarts } => {
                let next = if next == NextUrl::root() { start_of(site) } else { next };
                self.start(site, provider, next, visitor, How { restarts, ..how }, ctx).await
            }
            Callback::NoCookie => {
                self.metrics.sign_in_ended(provider.as_str(), "cookies_missing");
                Err(Reason::CookiesMissing.into())
            }
            Callback::LoopBroken => {
                self.metrics.sign_in_ended(provider.as_str(), "sign_in_loop");
                Err(Reason::SignInLoop.into())
            }
            Callback::Refused { rejected, .. } => {
                self.metrics.sign_in_ended(provider.as_str(), rejected.reason());
                Err(refuse::sign_in_refusal(&rejected))
            }
        }
    }

    /// Whether another tab of the same browser has just signed the same person in. The session then is of this very
    /// sign-in, in all that counts: the same browser, provider and person, a moment ago.
    fn was_faster(&self, visitor: &Visitor, identity: &VerifiedIdentity) -> bool {
        visitor.session.as_ref().is_some_and(|session| {
            let theirs = session.identity();
            let same = (theirs.provider(), theirs.issuer(), theirs.subject());
            same == (identity.provider(), identity.issuer(), identity.subject())
                && self.clock.now().since(session.opened()) < ONE_SIGN_IN
        })
    }

    /// Admission, then a new session under a new id; the one before it ends (security case C2).
    async fn signed_in(
        &self,
        arrived: Arrived,
        how: How<'_>,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let Arrived { identity, hint, next, before, begun, known } = arrived;
        let provider = identity.provider().clone();
        // Another portal of the group judges for itself whether they may be a customer there, as this one does at each request.
        let for_another = self.signs_in_for(site, &next).settings.host != site.settings.host;
        if let Err(reason) = site.admission.admit(&identity, &Self::circumstances(ctx, self.clock.now()))
            && !for_another
        {
            if site.admission.has_ended(reason) {
                site.customers.leave(&identity);
            }
            self.metrics.sign_in_ended(provider.as_str(), reason.reason());
            return Err(Reason::NotAdmitted(reason).into());
        }
        let client = ctx.exchange.client().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let watch = Stopwatch::start();
        let (host, hint) = (site.settings.host.clone(), Some(hint));
        let opened = match browser_secret(visitor) {
            Some(browser) => self.sessions.open_together((browser, before), identity, hint, host, client, begun).await,
            // The provider began, in a browser that has never been here: nothing could be shared.
            None => {
                let opened = self.sessions.open_begun(identity, hint, host, client, begun).await;
                opened.map(|(id, session)| (id, session, false))
            }
        };
        ctx.exchange.took(Step::Store, watch.elapsed());
        self.metrics.session_store_is_up(!matches!(opened, Err(OpenError::Store(_))));
        let (id, session, shared) = opened.map_err(|error| {
            self.metrics.sign_in_ended(provider.as_str(), error.label());
            refuse::not_opened(&error)
        })?;
        ctx.exchange.of_session(*session.hash(), &provider);
        self.metrics.sign_in_ended(provider.as_str(), "signed_in");
        self.sign_in.ended_well(ties_of(visitor));
        if !shared {
            self.metrics.sessions_changed("opened", 1);
        }
        if let Some(before) = visitor.session.as_ref().filter(|before| before.hash() != session.hash()) {
            self.end(before, site).await;
        }
        let seen = visitor.session.as_ref().map(|seen| *seen.hash());
        if let Some(before) = before.filter(|before| Some(*before) != seen && before != session.hash()) {
            self.end_unseen(before, site).await;
        }
        let reply = on_to(&next, how, site).with_cookie(cookie::set_session(&id));
        let reply = match self.know_browser(&session, known.as_ref(), site, visitor) {
            Some(cookie) => reply.with_cookie(cookie),
            None => reply,
        };
        Ok(Verdict::Reply(Outcome::Answered, reply))
    }

    /// The cookie by which the browser is known from now on. One that was known before stays the same; posted answers come
    /// without its cookie, so that the sign-in has remembered it.
    pub(super) fn know_browser(
        &self,
        session: &LiveSession,
        known: Option<&Secret>,
        site: &Site,
        visitor: &Visitor,
    ) -> Option<HeaderValue> {
        let (host, now) = (&site.settings.host, self.clock.now());
        let remembered = known.and_then(|cookie| self.sessions.known_browser(cookie, host, now));
        let before = visitor.known.as_ref().or(remembered.as_ref());
        // Without it nothing of theirs is kept, which is what happens without it anyway.
        self.sessions.know(session.identity(), host, before, now).ok().map(|value| cookie::set_known_browser(&value))
    }
}

/// On to where the visitor wanted to go. A round through the home of a group goes on to another site, which browsers hold against
/// the policy of the page whose form was posted: a page in between ends that form's navigation.
fn on_to(next: &NextUrl, how: How<'_>, site: &Site) -> Reply {
    let there = GroupRound::of(next).filter(|_| how.by_form);
    let there = there.and_then(|_| Url::parse(&format!("{}{next}", site.settings.public_origin)).ok());
    there.map_or_else(|| Reply::see_other(next.as_str()), |there| go_to(&there, true, site))
}
