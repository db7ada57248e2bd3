//! The single logout service (SAML Profiles 4.4): where a provider asks to end sessions, and answers when we asked.
//!
//! Who is signed out is said by what the provider signed, and by no cookie: browsers bring none along with what another site
//! posts, and a server that speaks for the provider has none. One cookie counts for one thing: which browser waits for an
//! answer, and so what it is shown.

use std::sync::Arc;

use futures_util::future::join_all;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use pingora::protocols::http::ServerSession;

use super::start::post_to;
use super::{at, page_site, start_href};
use crate::clock::Stopwatch;
use crate::ids::ProviderName;
use crate::pages::{self, ProviderSession};
use crate::portal::CanonicalRequest;
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::answer::{is_form, is_of_type, read_body};
use crate::proxy::context::RequestCtx;
use crate::proxy::refuse::logout_refusal;
use crate::proxy::site::Site;
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;
use crate::saml::binding::{Arrived, post, redirect, soap};
use crate::saml::message::MessageRefused;
use crate::saml::metadata::Binding;
use crate::session::cookie::{self, SignInKey};
use crate::session::{EndedSession, LogoutScope, Selector};
use crate::sign_in::saml::{AtProvider, LogoutAnswer, LogoutRejected, Named, TheirLogout};
use crate::sign_in::{Departure, LogoutMessage};
use crate::telemetry::{LogoutBegun, Outcome, Step};

/// The longest body that is read, in octets. A logout message is small.
const LONGEST_BODY: usize = 128 * 1024;

/// What a logout that the provider asked for came to.
pub(super) struct CarriedOut {
    ended: Vec<EndedSession>,
    /// Whether all that was named has ended for good.
    pub(super) wholly: bool,
}

impl CarriedOut {
    /// The label for metrics.
    pub(super) fn result(&self) -> &'static str {
        match (self.wholly, self.ended.is_empty()) {
            (false, _) => "not_all_ended",
            (true, true) => "nobody_was_signed_in",
            (true, false) => "ended",
        }
    }
}

impl Gateway {
    /// Takes a logout message of `provider`.
    pub(super) async fn single_logout(
        &self,
        http: &mut ServerSession,
        provider: &ProviderName,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let used_here = self.groups.signs_in(site, provider);
        if !used_here || self.sign_in.service_provider(provider).is_none() {
            return Err(Reason::NoSuchEndpoint.into());
        }
        let (arrived, binding) = match self.arrived(http, request).await? {
            Ok(arrived) => arrived,
            Err(refused) => return Err(self.logout_refused(provider, &refused.into())),
        };
        let watch = Stopwatch::start();
        let posted = visitor.cookies.posted_sign_in.one().map(SignInKey::reveal);
        let taken = self.sign_in.take_logout(at(site), provider, arrived, binding, posted).await;
        ctx.exchange.took(Step::SignIn, watch.elapsed());
        match taken.ok_or(Reason::NoSuchEndpoint)? {
            Ok(LogoutMessage::Request(request)) => self.carry_out(&request, provider, site, visitor).await,
            Ok(LogoutMessage::Response(ended)) => Ok(self.came_back_signed_out(ended, provider, site)),
            // Nobody waits for it here. Whoever is signed in stays so.
            Ok(LogoutMessage::Stray) if visitor.session.is_some() => {
                Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(&site.start_page())))
            }
            Ok(LogoutMessage::Stray) => Ok(signed_out(site, ProviderSession::MayContinue)),
            Err(rejected) => Err(self.logout_refused(provider, &rejected)),
        }
    }

    /// Reads the message by the binding that the request is of (security cases A72 and A76).
    async fn arrived(
        &self,
        http: &mut ServerSession,
        request: &CanonicalRequest,
    ) -> Result<Result<(Arrived, Binding), MessageRefused>, Refusal> {
        if *request.method() == Method::GET {
            let arrived = redirect::read(request.query().unwrap_or_default());
            return Ok(arrived.map(|arrived| (arrived, Binding::Redirect)));
        }
        if request.query().is_some() {
            return Ok(Err(MessageRefused::Parameters));
        }
        let by_form = is_form(http);
        if !by_form && !is_of_type(http, "text/xml") {
            return Ok(Err(MessageRefused::Encoding));
        }
        let body = read_body(http, self.limits.idle_time, LONGEST_BODY).await?;
        Ok(if by_form {
            post::read(&body).map(|arrived| (arrived, Binding::Post))
        } else {
            soap::read(body.to_vec()).map(|arrived| (arrived, Binding::Soap))
        })
    }

    /// Ends what was named, here and upstream, and answers.
    async fn carry_out(
        &self,
        request: &TheirLogout,
        provider: &ProviderName,
        site: &Arc<Site>,
        visitor: &Visitor,
    ) -> Result<Verdict, Refusal> {
        let carried_out = match request.named() {
            Ok(named) => {
                let carried_out = self.end_named(named).await;
                self.metrics.logout_ended(provider.as_str(), LogoutBegun::AtProvider, carried_out.result());
                carried_out
            }
            Err(rejected) => {
                tracing::warn!(provider = provider.as_str(), reason = rejected.reason(), %rejected, "a logout was refused");
                self.metrics.logout_ended(provider.as_str(), LogoutBegun::AtProvider, rejected.reason());
                CarriedOut { ended: Vec::new(), wholly: false }
            }
        };
        let answer = self.sign_in.answer_logout(at(site), provider, request, carried_out.wholly).await;
        let reply = match answer {
            Ok(LogoutAnswer::Through(Departure::Redirect(location))) => Reply::see_other(location.as_str()),
            Ok(LogoutAnswer::Through(Departure::Post(form))) => post_to(&form, site)?,
            Ok(LogoutAnswer::Envelope(envelope)) => Reply::text(StatusCode::OK, envelope)
                .with_header(header::CONTENT_TYPE, HeaderValue::from_static(soap::CONTENT_TYPE)),
            Ok(LogoutAnswer::Nowhere) => pages::signed_out(&page_site(site), ProviderSession::Ended, &start_href(site)),
            Err(rejected) => {
                tracing::error!(provider = provider.as_str(), %rejected, "a logout could not be answered");
                pages::signed_out(&page_site(site), ProviderSession::Ended, &start_href(site))
            }
        };
        let own = visitor.session.as_ref().map(|session| *session.hash());
        let is_over = carried_out.ended.iter().any(|session| Some(session.entry.hash) == own);
        let forgotten =
            |reply: Reply| reply.with_cookie(cookie::clear_session()).with_cookie(cookie::clear_known_browser());
        let reply = if is_over { forgotten(reply) } else { reply };
        Ok(Verdict::Reply(Outcome::Answered, reply))
    }

    /// Ends the sessions that were named, and no others.
    async fn end_named(&self, named: &Named) -> CarriedOut {
        let selectors: Vec<Selector> = named
            .name_ids
            .iter()
            .map(|name_id| Selector::NameId { issuer: named.issuer.clone(), name_id: name_id.clone() })
            .collect();
        let scope = LogoutScope {
            // Whoever signed in at the home of a group is known to the provider as somebody of the home.
            portals: named.portal.as_ref().map(|portal| self.groups.hosts_at(portal)),
            provider_sessions: named.session_indexes.clone(),
            ..LogoutScope::default()
        };
        self.end_selected(&selectors, scope).await
    }

    /// Ends the sessions that any of `selectors` means and that are in `scope`, here and upstream.
    pub(super) async fn end_selected(&self, selectors: &[Selector], scope: LogoutScope) -> CarriedOut {
        let outcome = self.sessions.end_where(selectors, scope).await;
        let (ended, wholly) = match outcome {
            Ok(ended) => (ended, true),
            Err(partly) => {
                tracing::error!(error = %partly.cause, "not every session could be ended in the store");
                self.metrics.session_store_is_up(false);
                (partly.ended, false)
            }
        };
        self.metrics.sessions_changed("ended", u64::try_from(ended.len()).unwrap_or(u64::MAX));
        join_all(ended.iter().map(|session| self.end_upstream(session))).await;
        CarriedOut { ended, wholly }
    }

    /// Ends what the upstream of its portal holds for an ended session.
    async fn end_upstream(&self, session: &EndedSession) {
        if let (Some(customer_session), Some(site)) = (&session.customer_session, self.sites.get(&session.entry.portal))
        {
            site.customers.end(customer_session).await;
        }
    }

    /// The provider answers the logout that this browser began here.
    fn came_back_signed_out(&self, ended: AtProvider, provider: &ProviderName, site: &Site) -> Verdict {
        let (result, provider_session) = match ended {
            AtProvider::Ended => ("ended", ProviderSession::Ended),
            AtProvider::Partly => ("partly", ProviderSession::EndedPartly),
            AtProvider::Failed => ("failed", ProviderSession::MayContinue),
        };
        self.metrics.logout_ended(provider.as_str(), LogoutBegun::Here, result);
        signed_out(site, provider_session)
    }

    fn logout_refused(&self, provider: &ProviderName, rejected: &LogoutRejected) -> Refusal {
        self.metrics.logout_ended(provider.as_str(), LogoutBegun::Unknown, rejected.reason());
        logout_refusal(rejected)
    }
}

fn signed_out(site: &Site, provider_session: ProviderSession) -> Verdict {
    Verdict::Reply(Outcome::Answered, pages::signed_out(&page_site(site), provider_session, &start_href(site)))
}
