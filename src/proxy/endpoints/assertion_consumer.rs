//! The assertion consumer service (SAML Profiles 4.1.4): where a browser posts what a SAML provider gave it.
//!
//! The one endpoint to which other sites may send a POST. It believes no cookie but the one that ties the answer to a
//! sign-in of this very browser, and of the form nothing but what the provider signed.

use std::net::IpAddr;
use std::sync::Arc;

use pingora::protocols::http::ServerSession;

use super::at;
use super::start::How;
use crate::clock::Stopwatch;
use crate::ids::ProviderName;
use crate::portal::CanonicalRequest;
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::answer::{Form, is_form};
use crate::proxy::context::RequestCtx;
use crate::proxy::site::Site;
use crate::refusal::{Reason, Refusal};
use crate::session::cookie::SignInKey;
use crate::sign_in::saml::SamlSignInRejected;
use crate::sign_in::{Callback, NextUrl, PostedResponse};
use crate::telemetry::Step;

/// Room in a form for everything but the response: names, RelayState, and what a provider adds.
const BESIDES: usize = 16 * 1024;

impl Gateway {
    /// Takes what a browser posts for `provider`.
    pub(super) async fn consume(
        &self,
        http: &mut ServerSession,
        provider: &ProviderName,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let ours = self.sign_in.service_provider(provider).ok_or(Reason::NoSuchEndpoint)?;
        if !self.groups.signs_in(site, provider) {
            return Err(Reason::NoSuchEndpoint.into());
        }
        // Each octet may come escaped as three.
        let longest = ours.settings().largest_response.saturating_mul(3).saturating_add(BESIDES);
        let outcome = match self.posted(http, request, longest, ctx.exchange.client()).await? {
            Ok(posted) => {
                let browser = visitor.cookies.posted_sign_in.one().map(SignInKey::reveal);
                let watch = Stopwatch::start();
                let outcome = self.sign_in.consume(at(site), provider, posted, browser).await;
                ctx.exchange.took(Step::SignIn, watch.elapsed());
                outcome
            }
            Err(rejected) => Callback::Refused { rejected: rejected.into(), next: NextUrl::root() },
        };
        self.came_back(outcome, How::FORM, provider, site, visitor, ctx).await
    }

    /// Reads the form: one response, at most one RelayState, and no request beside it (security case A76).
    async fn posted(
        &self,
        http: &mut ServerSession,
        request: &CanonicalRequest,
        longest: usize,
        client: Option<IpAddr>,
    ) -> Result<Result<PostedResponse, SamlSignInRejected>, Refusal> {
        let odd = |what| Ok(Err(SamlSignInRejected::Form(what)));
        if !is_form(http) {
            return odd("it is not application/x-www-form-urlencoded");
        }
        if request.query().is_some() {
            return odd("there are parameters in the address, too");
        }
        let form = Form::read_up_to(http, self.limits.idle_time, longest).await?;
        if form.count("SAMLRequest") > 0 {
            return odd("there is a SAMLRequest");
        }
        if form.count("RelayState") > 1 {
            return odd("RelayState is there twice");
        }
        match form.field("SAMLResponse") {
            Some(response) => {
                let relay_state = form.field("RelayState").map(str::to_owned);
                Ok(Ok(PostedResponse { response: response.to_owned(), relay_state, client }))
            }
            None => odd("SAMLResponse is missing, empty, or there twice"),
        }
    }
}
