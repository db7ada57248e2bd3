//! Portals that share sign-ins. A visitor without a session is sent to the home of the group; the home has them sign in, unless
//! they are, and sends them back with a code that works once. Each portal then has a session of its own, of the same sign-in.
//!
//! Ties: the portal knows the round by a state that is bound to a cookie of the browser that began, and takes a code for that
//! state alone, so that no link signs anybody in as somebody else. The code is for one portal, for a minute, and used up by
//! the first look. The home sends browsers to portals of its own group alone, and each portal to where it kept for itself that
//! the visitor wanted to go. Whether somebody may be a customer is judged by each portal.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::start::{How, Tab, go_to, start_refusal, with_browser_key};
use super::{at, browser_of, start_of};
use crate::clock::{Stopwatch, Timestamp};
use crate::portal::CanonicalRequest;
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::context::RequestCtx;
use crate::proxy::site::Site;
use crate::refusal::{Again, Blame, Reason, Refusal};
use crate::reply::Reply;
use crate::session::cookie::{self, SignInKey};
use crate::session::{Family, LiveSession, OpenError};
use crate::sign_in::NextUrl;
use crate::sign_in::group_round::{GroupRound, read_back};
use crate::telemetry::{Outcome, Step};

/// How long a browser is known at the home: longer than any session.
const FAMILY_LASTS: Duration = Duration::from_secs(30 * 24 * 3600);

/// The label of a round that the browser has not begun.
pub(in crate::proxy) const ROUND_UNKNOWN: &str = "group_round_unknown";

impl Gateway {
    /// Sends the visitor of `site` to the home of its group; they come back to `next`.
    pub(super) fn ask_home(
        &self,
        home: &Site,
        site: &Site,
        visitor: &Visitor,
        next: NextUrl,
        how: How<'_>,
    ) -> Result<Verdict, Refusal> {
        let remembered = self.sign_in.remember(at(site), next, browser_of(visitor));
        let remembered = remembered.map_err(|error| start_refusal(&error, Again::ByThisAddress))?;
        let round = GroupRound { portal: site.settings.host.clone(), state: remembered.handle };
        let there = address(home, &round.target(how.again))?;
        let reply = with_browser_key(go_to(&there, how.by_form, site), remembered.browser_key_to_set.as_deref());
        Ok(Verdict::Reply(Outcome::SentToSignIn, reply))
    }

    /// The portal for whose sake somebody signs in at `site` and then goes to `next`: itself, or another one of its group.
    pub(super) fn signs_in_for(&self, site: &Arc<Site>, next: &NextUrl) -> Arc<Site> {
        let other = GroupRound::of(next).and_then(|round| self.groups.portal_of(site, &round.portal).cloned());
        other.unwrap_or_else(|| Arc::clone(site))
    }

    /// At the home: somebody comes from another portal of the group.
    pub(super) async fn sign_in_for_group(
        &self,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let (round, again) = GroupRound::read(request.query().unwrap_or_default()).ok_or(Reason::NoSuchEndpoint)?;
        let portal = self.groups.portal_of(site, &round.portal).cloned().ok_or(Reason::NoSuchEndpoint)?;
        let providers = &portal.settings.sign_in.providers;
        let usable = |session: &&Arc<LiveSession>| !again && providers.contains(session.identity().provider());
        if let Some(session) = visitor.session.as_ref().filter(usable) {
            return self.send_back(session, &round, &portal, visitor, ctx).await;
        }
        self.count_attempt(site, ctx)?;
        match providers.as_slice() {
            [provider] if again => {
                let how = How { again: true, ..How::LINK };
                self.start(site, provider, round.next(), visitor, how, ctx).await
            }
            // Tabs wait for each other at their own portal.
            _ => self.begin_sign_in(site, visitor, round.next(), Tab::Goes, ctx).await,
        }
    }

    /// Back to the portal with a code; the session is one of the browser's family from now on.
    async fn send_back(
        &self,
        session: &Arc<LiveSession>,
        round: &GroupRound,
        portal: &Site,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let no_randomness = |_| Refusal::new(Reason::SessionStore { label: "no_randomness" });
        let known = visitor.cookies.group.one().cloned();
        let browser = known.map_or_else(|| SignInKey::generate(&self.random), Ok).map_err(no_randomness)?;
        let watch = Stopwatch::start();
        let joined = self.sessions.join(session, Family::of(&browser)).await;
        ctx.exchange.took(Step::Store, watch.elapsed());
        self.metrics.session_store_is_up(joined.is_ok());
        joined
            .map_err(|error| Refusal::with_detail(Reason::SessionStore { label: error.label() }, error.to_string()))?;
        let now = self.clock.now();
        let code = self.sessions.hand(session, &round.portal, &round.state, now).map_err(no_randomness)?;
        let back = address(portal, &round.back(&code))?;
        let reply = Reply::see_other(back.as_str()).with_cookie(cookie::set_group(&browser, FAMILY_LASTS));
        Ok(Verdict::Reply(Outcome::Answered, reply))
    }

    /// At a portal of the group: the visitor comes back from the home.
    pub(super) async fn arrive_from_home(
        &self,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        self.groups.home_of(site).ok_or(Reason::NoSuchEndpoint)?;
        let (code, state) = read_back(request.query().unwrap_or_default()).ok_or(Reason::NoSuchEndpoint)?;
        // Used up by whoever brings it.
        let handed = self.sessions.take_handed(&code, &site.settings.host, &state, self.clock.now());
        let browser = browser_of(visitor);
        let Some(next) = self.sign_in.recall(&state, browser, &site.settings.host) else {
            self.count_attempt(site, ctx)?;
            return Err(not_handed(ROUND_UNKNOWN, "this browser has not begun it, or too long ago".to_owned()));
        };
        let (other, begun) = match handed {
            Ok(handed) => handed,
            // The page was loaded again: they are in.
            Err(_) if visitor.session.is_some() => {
                return Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(next.as_str())));
            }
            Err(error) => {
                self.count_attempt(site, ctx)?;
                return Err(not_handed(error.label(), error.to_string()));
            }
        };
        // Tabs that come together share the session of the first.
        let of_it = |session: &Arc<LiveSession>| {
            let (ours, theirs) = (session.identity(), other.identity());
            (session.family(), session.opened()) == (other.family(), other.opened())
                && (ours.issuer(), ours.subject()) == (theirs.issuer(), theirs.subject())
        };
        if visitor.session.as_ref().is_some_and(of_it) {
            return Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(next.as_str())));
        }
        if !self.sign_in.may_arrive(browser) {
            return Err(Reason::SignInLoop.into());
        }
        if let Err(reason) = site.admission.admit(other.identity(), &Self::circumstances(ctx, self.clock.now())) {
            if site.admission.has_ended(reason) {
                site.customers.leave(other.identity());
            }
            return Err(Reason::NotAdmitted(reason).into());
        }
        self.open_beside((&other, begun), &next, site, visitor, ctx).await
    }

    async fn open_beside(
        &self,
        other: (&Arc<LiveSession>, Timestamp),
        next: &NextUrl,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let client = ctx.exchange.client().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let watch = Stopwatch::start();
        let opened = self.sessions.open_beside(other, site.settings.host.clone(), client).await;
        ctx.exchange.took(Step::Store, watch.elapsed());
        self.metrics.session_store_is_up(!matches!(opened, Err(OpenError::Store(_))));
        let (id, session) = opened
            .map_err(|error| Refusal::with_detail(Reason::SessionStore { label: error.label() }, error.to_string()))?;
        ctx.exchange.of_session(*session.hash(), session.identity().provider());
        self.metrics.sessions_changed("opened", 1);
        if let Some(before) = &visitor.session {
            self.end(before, site).await;
        }
        let next = if *next == NextUrl::root() { start_of(site) } else { next.clone() };
        let reply = Reply::see_other(next.as_str()).with_cookie(cookie::set_session(&id));
        let reply = match self.know_browser(&session, None, site, visitor) {
            Some(cookie) => reply.with_cookie(cookie),
            None => reply,
        };
        Ok(Verdict::Reply(Outcome::Answered, reply))
    }
}

/// A place of ours at a portal.
fn address(site: &Site, target: &str) -> Result<Url, Refusal> {
    let address = format!("{}{target}", site.settings.public_origin);
    Url::parse(&address).map_err(|_| Refusal::with_detail(Reason::Internal, "the portal's address is no URL"))
}

/// Why nobody arrived.
pub(in crate::proxy) fn not_handed(label: &'static str, detail: String) -> Refusal {
    let reason = Reason::SignIn { label, blame: Blame::ProviderMisbehaved, again: Again::FromTheStart };
    Refusal::with_detail(reason, detail)
}
