//! The way to a customer session at Cloud that the visitor's own browser goes, through us: only for a visitor who is signed
//! in and admitted, and about nobody else. Cookies of the way and the assertion stay here.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pingora::protocols::http::ServerSession;

use crate::customer::BrokerFailed;
use crate::customer::cloud::{Brought, BrowserWalks, Walked};
use crate::http_client::Answer;
use crate::policy::{self, Circumstances, Decision, Demand, Permit};
use crate::portal::settings::Access;
use crate::portal::{CanonicalRequest, NativePage};
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::answer::read_body;
use crate::proxy::context::RequestCtx;
use crate::proxy::rewrite::{Origin, Rewriter};
use crate::proxy::site::Site;
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;
use crate::saml::binding::{post, redirect};
use crate::session::LiveSession;
use crate::sign_in::NextUrl;
use crate::telemetry::Outcome;

/// Where the site sends people to sign on.
pub(super) const SIGN_ON: &str = "/.vestibule/cloud/sign-on";
/// Where a way begins.
pub(in crate::proxy) const BEGIN: &str = "/.vestibule/cloud/walk";
/// Below it, by number, stand the hosts of a way.
const HOSTS: &str = "/.vestibule/cloud/at/";
/// The number of the site itself.
const SITE: usize = 0;
/// Bytes of what a page on the way may post.
const LONGEST_BODY: usize = 256 * 1024;
/// What pages on the way may do, where the site does not say it itself: what the portal's own pages may.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self' 'unsafe-inline' https: data:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
);

/// Where a browser goes in place of a refusal that it can do something about.
pub(in crate::proxy) fn instead_of(refusal: &Refusal, ctx: &RequestCtx) -> Option<String> {
    let by_browser = BrokerFailed::BrowserHasToWalk.reason();
    let walks = matches!(refusal.reason(), Reason::CustomerSession { label, .. } if label == by_browser);
    ctx.walk_to.as_deref().filter(|_| walks).map(beginning)
}

/// Where a way to that page begins.
fn beginning(to: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", to).finish();
    format!("{BEGIN}?{query}")
}

/// Whether a path is one of a way.
pub(super) fn is_on_the_way(path: &str) -> bool {
    path == SIGN_ON || path == BEGIN || path.starts_with(HOSTS)
}

impl Gateway {
    /// Where a browser goes before it gets the page that it asks for, because the customer session will soon be over. Only a
    /// window of its own is sent: a frame cannot show the way, and who loads a page beforehand does not see it.
    pub(in crate::proxy) fn way_ahead(
        &self,
        headers: &HeaderMap,
        permit: &Permit,
        site: &Site,
        ctx: &RequestCtx,
    ) -> Option<String> {
        let (walks, to) = (site.walks.as_ref()?, ctx.walk_to.as_ref()?);
        let says = |name: &str, what: &str| headers.get(name).is_none_or(|value| value.as_bytes() == what.as_bytes());
        let window = says("sec-fetch-dest", "document") && says("sec-fetch-mode", "navigate");
        let seen = !headers.contains_key("sec-purpose") && !headers.contains_key("purpose");
        let session = permit.session().filter(|_| window && seen)?;
        walks.begins_ahead(session, self.clock.now()).then(|| beginning(to))
    }

    /// A step of the way.
    pub(super) async fn walk(
        &self,
        http: &mut ServerSession,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let home = || Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(&site.start_page())));
        let Some(walks) = &site.walks else {
            // Who began at the site's own address: the portal is here.
            let sign_on = request.path() == SIGN_ON && site.identity_provider.is_some();
            return if sign_on { home() } else { Err(Reason::NoSuchEndpoint.into()) };
        };
        let Some(session) = self.admitted(request, site, visitor, ctx)? else { return home() };
        let posted = *request.method() == Method::POST;
        let body = if posted { Some(read_body(http, self.limits.idle_time, LONGEST_BODY).await?) } else { None };
        let walked = match request.path() {
            BEGIN if !posted => walks.begin(&session, next(request, site).as_str()).await.map(Some),
            BEGIN => return Err(Reason::NoSuchEndpoint.into()),
            SIGN_ON => {
                let message = match &body {
                    Some(form) => post::read(form),
                    None => redirect::read(request.query().unwrap_or_default()),
                };
                walks.go_on(&session, Brought::Message(message)).await
            }
            path => {
                let (host, path) = path.strip_prefix(HOSTS).and_then(|rest| rest.split_once('/')).unwrap_or_default();
                let host = host.parse().map_err(|_| Reason::NoSuchEndpoint)?;
                if host == SITE
                    && (posted || !is_open(request, site, &session, &Self::circumstances(ctx, self.clock.now())))
                {
                    return Err(Reason::PathClosed.into());
                }
                let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
                let body = body.map(|body| (media_type(http), Bytes::from(body)));
                walks.go_on(&session, Brought::Request(host, format!("/{path}{query}"), body)).await
            }
        };
        let walked = walked.map_err(|failed| {
            ctx.wanted = (!posted).then(|| next(request, site).as_str().to_owned());
            crate::proxy::refuse::customer_refusal(&failed)
        });
        match walked? {
            None => home(),
            Some(Walked::Arrived(next)) => Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(&next))),
            Some(Walked::Answer(_, answer)) => {
                let reply = shown(walks, site, &answer);
                Ok(Verdict::Reply(
                    Outcome::Answered,
                    reply.map_err(|what| Refusal::with_detail(Reason::Internal, what))?,
                ))
            }
        }
    }

    /// The visitor, when they are signed in and may be a customer here.
    fn admitted(
        &self,
        request: &CanonicalRequest,
        site: &Site,
        visitor: &Visitor,
        ctx: &RequestCtx,
    ) -> Result<Option<Arc<LiveSession>>, Refusal> {
        let demand = Demand::Needs(Access::SignedIn, None);
        let circumstances = Self::circumstances(ctx, self.clock.now());
        match policy::decide(request, demand, visitor.session.clone(), &site.admission, &circumstances) {
            Decision::Forward(permit) => Ok(permit.session().cloned()),
            Decision::NotAdmitted(reason) => Err(Reason::NotAdmitted(reason).into()),
            _ => Ok(None),
        }
    }
}

/// Whether a page of the site may be on the way: what is closed to that visitor without it stays closed, but for the login page.
fn is_open(request: &CanonicalRequest, site: &Site, session: &Arc<LiveSession>, circumstances: &Circumstances) -> bool {
    let path = request.decoded_path().strip_prefix(HOSTS).and_then(|rest| rest.split_once('/'));
    let Some((_, path)) = path else { return false };
    let path = format!("/{path}");
    let demand = site.rules.demand(&path);
    match policy::decide(request, demand, Some(Arc::clone(session)), &site.admission, circumstances) {
        Decision::Forward(_) => true,
        Decision::Page(page) => page == NativePage::SignIn,
        _ => false,
    }
}

/// Where the visitor wanted to go.
fn next(request: &CanonicalRequest, site: &Site) -> NextUrl {
    super::next_of(request).unwrap_or_else(|| super::start_of(site))
}

fn media_type(http: &ServerSession) -> HeaderValue {
    let given = http.req_header().headers.get(header::CONTENT_TYPE).cloned();
    given.unwrap_or(HeaderValue::from_static("application/x-www-form-urlencoded"))
}

/// The spellings of an address that pages use.
const SPELLINGS: [fn(&str) -> String; 4] = [
    str::to_owned,
    |text| text.replace('/', "\\/"),
    |text| text.replace('/', "\\u002F"),
    |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().replace("%2E", ".").replace("%2D", "-"),
];

/// An answer of the way, with all addresses of it leading through us. An address that merely begins like one of them leads
/// through us, too, and nowhere from there.
fn shown(walks: &BrowserWalks, site: &Site, answer: &Answer) -> Result<Reply, String> {
    let public = site.settings.public_origin.as_str();
    let origins: Vec<String> = walks.origins().iter().map(url::Origin::ascii_serialization).collect();
    let kind = answer.media_type();
    let is_text = ["text/html", "application/javascript", "text/javascript", "application/json", "text/css"];
    let body = if is_text.contains(&kind.as_str()) {
        let through_us = origins.iter().enumerate().flat_map(|(number, from)| {
            let to = format!("{public}{HOSTS}{number}");
            SPELLINGS.iter().map(move |spelled| (spelled(from), spelled(&to)))
        });
        let rewriter = Rewriter::new(Vec::new(), through_us.collect()).map_err(|error| error.to_string())?;
        rewriter.text(&answer.body).unwrap_or_else(|| answer.body.clone())
    } else {
        answer.body.clone()
    };
    let policy = match answer.headers.get(header::CONTENT_SECURITY_POLICY) {
        Some(told) => allowing_us(told, &origins, public).ok_or("the policy of a page cannot be rewritten")?,
        None => POLICY,
    };
    let media_type = answer.headers.get(header::CONTENT_TYPE).cloned();
    let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    Ok(Reply::passed_on(answer.status, media_type, body).with_header(header::CONTENT_SECURITY_POLICY, policy))
}

/// A page's policy, with us in place of the hosts of the way.
fn allowing_us(policy: &HeaderValue, origins: &[String], public: &str) -> Option<HeaderValue> {
    let ours = Origin::parse(public).ok()?;
    let hosts = origins.iter().map(|origin| Some((Origin::parse(origin).ok()?, ours.clone())));
    let rewriter = Rewriter::new(hosts.collect::<Option<Vec<_>>>()?, Vec::new()).ok()?;
    match rewriter.text(policy.as_bytes()) {
        Some(rewritten) => HeaderValue::from_bytes(&rewritten).ok(),
        None => Some(policy.clone()),
    }
}
