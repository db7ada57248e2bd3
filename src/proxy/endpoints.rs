//! Vestibule's own pages and endpoints below `/.vestibule/`. Reached by their exact path only; nothing here is forwarded.

mod assertion_consumer;
mod back_channel_logout;
mod call_back;
mod kept_form;
mod noticed;
pub(in crate::proxy) mod cloud_walk;
pub(in crate::proxy) mod group;
pub(in crate::proxy) mod password;
mod sign_out;
mod single_logout;
mod start;
mod test_sign_in;

pub(in crate::proxy) use start::Tab;

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use pingora::protocols::http::ServerSession;

use super::Gateway;
use super::admit::{Verdict, Visitor};
use super::answer::Form;
use super::context::RequestCtx;
use super::published_keys;
use super::same_origin::is_same_origin;
use super::site::Site;
use crate::ids::ProviderName;
use crate::pages::{self, ASSETS, CLAIM_PASSWORD, Language, LocalHref, ProviderSession};
use crate::portal::CanonicalRequest;
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;
use crate::saml::metadata::published;
use crate::session::cookie::SignInKey;
use crate::sign_in::next_url::SIGNED_IN;
use crate::sign_in::{At, NextUrl, Ties, group_round, trial};
use crate::telemetry::Outcome;

impl Gateway {
    /// Answers a request for something of ours.
    pub(super) async fn serve_own(
        &self,
        http: &mut ServerSession,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        // The raw path, so that no other spelling of it gets here.
        let path = request.path();
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        let post = *request.method() == Method::POST;
        if let Some(provider) = assertion_consumer(path).filter(|_| post) {
            return self.consume(http, &provider, request, site, visitor, ctx).await;
        }
        if let Some(provider) = single_logout(path).filter(|_| post || *request.method() == Method::GET) {
            return self.single_logout(http, &provider, request, site, visitor, ctx).await;
        }
        if let Some(provider) = back_channel_logout(path).filter(|_| post) {
            return self.back_channel_logout(http, &provider, request, site, ctx).await;
        }
        if post && !is_same_origin(&http.req_header().headers, &site.settings.public_origin) {
            return Err(Reason::CrossOrigin.into());
        }
        match path {
            "/.vestibule/sign-in" if get => {
                self.count_attempt(site, ctx)?;
                let next = next_of(request).unwrap_or_else(|| start_of(site));
                // Somebody has pressed a button: no round of a browser's own.
                if matches!(request.query(), Some("again" | "in-page")) {
                    self.sign_in.begin_anew(ties_of(visitor));
                }
                let kept = request.query().is_some_and(|query| query.starts_with(KEPT_QUERY));
                let tab = if kept { Tab::Waits } else { Tab::Goes };
                self.begin_sign_in(site, visitor, next, tab, ctx).await
            }
            "/.vestibule/sign-in" if post => {
                self.count_attempt(site, ctx)?;
                let form = Form::read(http, self.limits.idle_time).await?;
                self.choose(&form, site, visitor, ctx).await
            }
            "/.vestibule/sign-out" if get => Ok(self.ask_to_sign_out(site, visitor)),
            "/.vestibule/sign-out" if post => {
                let form = Form::read(http, self.limits.idle_time).await?;
                self.sign_out(&form, site, visitor, ctx).await
            }
            kept_form::DROP if post => {
                let form = Form::read(http, self.limits.idle_time).await?;
                self.drop_kept(&form, site, visitor).await
            }
            CLAIM_PASSWORD if get => self.ask_for_password(request, site, visitor, ctx).await,
            CLAIM_PASSWORD if post => {
                let form = Form::read(http, self.limits.idle_time).await?;
                self.take_password(&form, site, visitor, ctx).await
            }
            "/.vestibule/session" if get => Ok(self.tell_session(visitor)),
            SIGNED_IN if get => self.end_small_window(site, visitor, ctx).await,
            "/.vestibule/signed-out" if get => {
                let reply = pages::signed_out(&page_site(site), ProviderSession::MayContinue, &start_href(site));
                Ok(Verdict::Reply(Outcome::Answered, reply))
            }
            _ if get && path.starts_with(ASSETS) => {
                let headers = &http.req_header().headers;
                let asset = site.look.asset(path, headers).or_else(|| pages::asset(path, headers));
                let asset = asset.ok_or(Reason::NoSuchEndpoint)?;
                Ok(Verdict::Reply(Outcome::Answered, asset))
            }
            "/.vestibule/cloud/metadata" if get => tell_identity_provider(site),
            _ if cloud_walk::is_on_the_way(path) && (post || *request.method() == Method::GET) => {
                self.walk(http, request, site, visitor, ctx).await
            }
            // Not by HEAD: whoever only looks at a link uses nothing up.
            group_round::AT_HOME if *request.method() == Method::GET => {
                self.sign_in_for_group(request, site, visitor, ctx).await
            }
            group_round::BACK if *request.method() == Method::GET => {
                self.arrive_from_home(request, site, visitor, ctx).await
            }
            published_keys::PATH if get => self.publish_keys(site),
            trial::OVER if get => Ok(Verdict::Reply(Outcome::Answered, pages::tried(&page_site(site)))),
            // Not by HEAD: whoever only looks at a link does not use it up.
            _ if *request.method() == Method::GET && path.starts_with(trial::TICKETS) => {
                self.begin_trial(path, site, visitor, ctx).await
            }
            _ if get && let Some(handle) = kept_form::handle_of(path) => self.show_kept(&handle, site, visitor).await,
            _ if get => match (callback_provider(path), metadata_provider(path)) {
                (Some(provider), _) => self.call_back(&provider, request, site, visitor, ctx).await,
                (None, Some(provider)) => self.tell_metadata(&provider, site),
                (None, None) => Err(Reason::NoSuchEndpoint.into()),
            },
            _ => Err(Reason::NoSuchEndpoint.into()),
        }
    }

    /// Our metadata at this portal, for whoever asks: it holds nothing but what the provider's operator needs.
    fn tell_metadata(&self, provider: &ProviderName, site: &Site) -> Result<Verdict, Refusal> {
        let document = self.own_metadata.document(&site.settings.host, provider).ok_or(Reason::NoSuchEndpoint)?;
        document.map(metadata_reply).map_err(|error| Refusal::with_detail(Reason::Internal, error.to_string()))
    }
}

/// Our metadata as the identity provider of the site's customers, for whoever asks.
fn tell_identity_provider(site: &Site) -> Result<Verdict, Refusal> {
    let document = site.identity_provider.as_ref().ok_or(Reason::NoSuchEndpoint)?.metadata();
    document.map(metadata_reply).map_err(|error| Refusal::with_detail(Reason::Internal, error.to_string()))
}

fn metadata_reply(document: String) -> Verdict {
    let media_type = HeaderValue::from_static(published::MEDIA_TYPE);
    let reply = Reply::text(StatusCode::OK, document).with_header(header::CONTENT_TYPE, media_type);
    Verdict::Reply(Outcome::Answered, reply)
}

/// The query of a sign-in after which a kept form is sent; the handle follows.
const KEPT_QUERY: &str = "kept=";

fn at(site: &Site) -> At<'_> {
    At { portal: &site.settings.host, origin: &site.settings.public_origin }
}

pub(super) fn page_site(site: &Site) -> pages::Site<'_> {
    pages::Site { name: Some(site.settings.host.as_str()), language: Language::English, look: Some(&site.look) }
}

fn browser_of(visitor: &Visitor) -> Option<&str> {
    visitor.cookies.sign_in.one().map(SignInKey::reveal)
}

fn ties_of(visitor: &Visitor) -> Ties<'_> {
    Ties {
        sign_in: browser_of(visitor),
        posted: visitor.cookies.posted_sign_in.one().map(SignInKey::reveal),
        session: visitor.session.as_ref().map(|session| *session.hash()),
        known: visitor.known_cookie.as_ref(),
    }
}

fn start_of(site: &Site) -> NextUrl {
    NextUrl::parse(&site.start_page()).unwrap_or_else(|_| NextUrl::root())
}

fn start_href(site: &Site) -> LocalHref {
    LocalHref::parse(&site.start_page()).unwrap_or_else(|_| LocalHref::start())
}

/// `next`, as a script may give it when it sends the visitor to sign in. A path of this host or nothing.
fn next_of(request: &CanonicalRequest) -> Option<NextUrl> {
    let query = request.query()?;
    if query == "in-page" {
        return Some(NextUrl::signed_in());
    }
    if let Some(handle) = query.strip_prefix(KEPT_QUERY) {
        return kept_form::next_of_kept(handle);
    }
    let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "next");
    let next = NextUrl::parse(&values.next()?.1).ok()?;
    values.next().is_none().then_some(next)
}

/// Whether this is a POST that other sites send browsers here with, or a provider's server by itself, by the exact path of it. Nothing but its own cookie is
/// looked at then, and it is not asked where it comes from (security case C1).
pub(super) fn takes_foreign_posts(request: &CanonicalRequest) -> bool {
    let path = request.path();
    let elsewhere = [assertion_consumer, single_logout, back_channel_logout];
    *request.method() == Method::POST && elsewhere.iter().any(|endpoint| endpoint(path).is_some())
}

/// `/.vestibule/saml/{provider}/acs`.
fn assertion_consumer(path: &str) -> Option<ProviderName> {
    let name = path.strip_prefix("/.vestibule/saml/")?.strip_suffix("/acs")?;
    ProviderName::parse(name).ok()
}

/// `/.vestibule/saml/{provider}/slo`.
fn single_logout(path: &str) -> Option<ProviderName> {
    let name = path.strip_prefix("/.vestibule/saml/")?.strip_suffix("/slo")?;
    ProviderName::parse(name).ok()
}

/// `/.vestibule/oidc/{provider}/back-channel-logout`.
fn back_channel_logout(path: &str) -> Option<ProviderName> {
    let name = path.strip_prefix("/.vestibule/oidc/")?.strip_suffix("/back-channel-logout")?;
    ProviderName::parse(name).ok()
}

/// `/.vestibule/saml/{provider}/metadata`.
fn metadata_provider(path: &str) -> Option<ProviderName> {
    let name = path.strip_prefix("/.vestibule/saml/")?.strip_suffix("/metadata")?;
    ProviderName::parse(name).ok()
}

/// `/.vestibule/oidc/{provider}/callback`.
fn callback_provider(path: &str) -> Option<ProviderName> {
    let name = path.strip_prefix("/.vestibule/oidc/")?.strip_suffix("/callback")?;
    ProviderName::parse(name).ok()
}
