//! Where an OpenID provider's server says whose sessions are over (OpenID Connect Back-Channel Logout 1.0, section 2.5).
//!
//! No browser is there: no cookie counts, and it is not asked where the request comes from. What the provider signed says it
//! all.

use std::sync::Arc;

use http::StatusCode;
use pingora::protocols::http::ServerSession;

use crate::clock::Stopwatch;
use crate::ids::ProviderName;
use crate::portal::CanonicalRequest;
use crate::proxy::Gateway;
use crate::proxy::admit::Verdict;
use crate::proxy::answer::{Form, is_form};
use crate::proxy::context::RequestCtx;
use crate::proxy::refuse::logout_token_refusal;
use crate::proxy::site::Site;
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;
use crate::session::{LogoutScope, Selector};
use crate::sign_in::{LogoutTokenRejected, TokenLogout};
use crate::telemetry::{LogoutBegun, Outcome, Step};

/// The longest form that is read, in octets. A logout token is small.
const LONGEST_FORM: usize = 32 * 1024;
/// The field of the form.
const FIELD: &str = "logout_token";

impl Gateway {
    /// Takes a logout token of `provider`.
    pub(super) async fn back_channel_logout(
        &self,
        http: &mut ServerSession,
        provider: &ProviderName,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        if !self.groups.signs_in(site, provider) || !self.sign_in.is_oidc(provider) {
            return Err(Reason::NoSuchEndpoint.into());
        }
        let token = match self.token(http, request).await? {
            Ok(token) => token,
            Err(what) => return Err(self.token_refused(provider, &LogoutTokenRejected::Form(what))),
        };
        let watch = Stopwatch::start();
        let taken = self.sign_in.take_logout_token(provider, &token).await;
        ctx.exchange.took(Step::SignIn, watch.elapsed());
        match taken.ok_or(Reason::NoSuchEndpoint)? {
            Ok(logout) => self.end_told(&logout, provider).await,
            Err(rejected) => Err(self.token_refused(provider, &rejected)),
        }
    }

    /// Reads the form: one token, and nothing in the address.
    async fn token(
        &self,
        http: &mut ServerSession,
        request: &CanonicalRequest,
    ) -> Result<Result<String, &'static str>, Refusal> {
        if !is_form(http) {
            return Ok(Err("it is not application/x-www-form-urlencoded"));
        }
        if request.query().is_some() {
            return Ok(Err("there are parameters in the address"));
        }
        let form = Form::read_up_to(http, self.limits.idle_time, LONGEST_FORM).await?;
        Ok(form.field(FIELD).map(str::to_owned).ok_or("logout_token is missing, empty, or there twice"))
    }

    /// Ends the sessions that the provider means: those of its session, or all of the person.
    async fn end_told(&self, logout: &TokenLogout, provider: &ProviderName) -> Result<Verdict, Refusal> {
        let TokenLogout { issuer, subject, session, .. } = logout;
        let selector = match (session, subject) {
            (Some(sid), _) => Selector::ProviderSession { issuer: issuer.clone(), sid: sid.clone() },
            (None, Some(subject)) => Selector::Subject { issuer: issuer.clone(), subject: subject.clone() },
            (None, None) => return Err(Reason::Internal.into()),
        };
        let scope =
            LogoutScope { provider: Some(provider.clone()), subject: subject.clone(), ..LogoutScope::default() };
        let carried_out = self.end_selected(&[selector], scope).await;
        self.metrics.logout_ended(provider.as_str(), LogoutBegun::AtProvider, carried_out.result());
        match carried_out.wholly {
            // Nothing tells whether anybody was signed in.
            true => Ok(Verdict::Reply(Outcome::Answered, Reply::text(StatusCode::OK, String::new()))),
            false => Err(Reason::Logout { label: "not_all_ended", passing: true }.into()),
        }
    }

    fn token_refused(&self, provider: &ProviderName, rejected: &LogoutTokenRejected) -> Refusal {
        self.metrics.logout_ended(provider.as_str(), LogoutBegun::Unknown, rejected.reason());
        logout_token_refusal(rejected)
    }
}
