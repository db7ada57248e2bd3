//! Signing out, here and, where that is wanted, at the provider.

use std::sync::Arc;

use super::start::{How, go_to, post_to, with_tie};
use super::{at, page_site, start_href, start_of, ties_of};
use crate::ids::SessionHash;
use crate::pages::{self, FormTargets, ProviderSession};
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::answer::Form;
use crate::proxy::context::RequestCtx;
use crate::proxy::site::Site;
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;
use crate::session::cookie::SignInKey;
use crate::session::{Ended, LiveSession, LogoutScope, Selector, cookie};
use crate::sign_in::{Departure, Leaving};
use crate::telemetry::Outcome;

impl Gateway {
    /// A link, even one of another site, only gets this page (security case C8).
    pub(super) fn ask_to_sign_out(&self, site: &Site, visitor: &Visitor) -> Verdict {
        let reply = match &visitor.session {
            Some(session) => {
                let person = session.identity().display_name();
                pages::sign_out(&page_site(site), Some(person), &[], &FormTargets::ours())
            }
            None => pages::signed_out(&page_site(site), ProviderSession::MayContinue, &start_href(site)),
        };
        Verdict::Reply(Outcome::Answered, reply)
    }

    /// Ends the session and the customer session; then, where that is wanted, the provider's.
    pub(super) async fn sign_out(
        &self,
        form: &Form,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let mut at_provider = None;
        if let Some(session) = &visitor.session {
            // The provider knows the portal where people sign in.
            let signs_in = self.groups.home_of(site).unwrap_or(site);
            let return_to = format!("{}/.vestibule/signed-out", signs_in.settings.public_origin);
            let posted = visitor.cookies.posted_sign_in.one().map(SignInKey::reveal);
            let (identity, hint) = (session.identity(), session.sign_out_hint());
            at_provider = self.sign_in.leave(at(signs_in), identity, hint, &return_to, posted).await;
            if !self.end(session, site).await || !self.end_family(session).await {
                return Err(Reason::SessionStore { label: "session_store_unavailable" }.into());
            }
        }
        self.sign_in.begin_anew(ties_of(visitor));
        // Somebody who was refused wants to be somebody else: the provider has to ask who they are.
        if form.field("then") == Some("sign-in") {
            if let (Some(home), None) = (self.groups.home_of(site), &at_provider) {
                let how = How { again: true, ..How::FORM };
                return self.ask_home(home, site, visitor, start_of(site), how).map(clear_session);
            }
            let providers = &site.settings.sign_in.providers;
            if let ([provider], None) = (providers.as_slice(), &at_provider) {
                let how = How { again: true, ..How::FORM };
                let started = self.start(site, provider, start_of(site), visitor, how, ctx).await?;
                return Ok(clear_session(started));
            }
            if at_provider.is_none() {
                return Ok(clear_session(Verdict::Reply(Outcome::Answered, Reply::see_other("/.vestibule/sign-in"))));
            }
        }
        let reply = match &at_provider {
            Some(Leaving { departure: Departure::Redirect(location), cookie }) => {
                with_tie(go_to(location, true, site), cookie.as_ref())
            }
            Some(Leaving { departure: Departure::Post(form), cookie }) => {
                with_tie(post_to(form, site)?, cookie.as_ref())
            }
            None => Reply::see_other("/.vestibule/signed-out"),
        };
        Ok(clear_session(Verdict::Reply(Outcome::Answered, reply)))
    }

    /// Ends the sessions of the same browser at the other portals of the group. `false` when the store did not take it.
    async fn end_family(&self, session: &LiveSession) -> bool {
        let Some(family) = session.family().cloned() else { return true };
        self.end_selected(&[Selector::Family(family)], LogoutScope::all()).await.wholly
    }

    /// Ends a session that this request did not bring, here and upstream.
    pub(super) async fn end_unseen(&self, hash: SessionHash, site: &Site) {
        let ended = match self.sessions.end_matching(&Selector::Hash(hash)).await {
            Ok(ended) => ended,
            Err(partly) => {
                tracing::error!(error = %partly.cause, session = %hash, "a session could not be ended in the store");
                self.metrics.session_store_is_up(false);
                partly.ended
            }
        };
        for session in ended {
            self.metrics.sessions_changed("ended", 1);
            if let Some(customer_session) = session.customer_session {
                site.customers.end(&customer_session).await;
            }
        }
    }

    /// Ends one session, here and upstream. `false` when the store did not take it: then the visitor is told.
    pub(super) async fn end(&self, session: &Arc<LiveSession>, site: &Site) -> bool {
        match self.sessions.end(session).await {
            Ok(Ended::Now(customer_session)) => {
                self.metrics.sessions_changed("ended", 1);
                if let Some(customer_session) = customer_session {
                    site.customers.end(&customer_session).await;
                }
                true
            }
            Ok(Ended::Before) => true,
            Err(error) => {
                tracing::error!(%error, session = %session.hash(), "a session could not be ended in the store");
                self.metrics.session_store_is_up(false);
                false
            }
        }
    }
}

fn clear_session(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Reply(outcome, reply) => {
            let reply = reply.with_cookie(cookie::clear_session()).with_cookie(cookie::clear_known_browser());
            Verdict::Reply(outcome, reply)
        }
        Verdict::Forward(forwarding) => Verdict::Forward(forwarding),
    }
}
