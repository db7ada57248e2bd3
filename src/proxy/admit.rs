//! From a request to a verdict: forward it, answer it, or refuse it.

use std::sync::Arc;

use http::header::{self, HeaderMap};
use http::{Method, Version};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use super::context::{Forwarding, RequestCtx, Stage};
use super::endpoints::Tab;
use super::same_origin::is_same_origin;
use super::site::Site;
use super::{Gateway, endpoints, hand_over, kept, login_fields, upstream_request};
use crate::clock::{Stopwatch, Timestamp};
use crate::limits::Counted;
use crate::listener::{OfConnection, head_guard};
use crate::pages::{self, Wants};
use crate::policy::{self, Circumstances, Decision, Permit};
use crate::portal::settings::{Elsewhere, OtherAccounts};
use crate::portal::{CanonicalRequest, Malformed, head, request};
use crate::refusal::{Later, Offer, Reason, Refusal};
use crate::reply::Reply;
use crate::secret::Secret;
use crate::session::cookie::{Presented, PresentedCookies};
use crate::session::{CustomerSession, KnownBrowser, LiveSession, Lookup, cookie};
use crate::sign_in::NextUrl;
use crate::telemetry::{Outcome, Step};

/// All that is ours stands below this path, and nothing of it is ever forwarded.
pub const OWN_PATHS: &str = "/.vestibule";

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on.
    Forward(Box<Forwarding>),
    /// We answer.
    Reply(Outcome, Reply),
}

/// The cookies of ours that a request carries, and the session behind them.
#[derive(Debug)]
pub struct Visitor {
    /// Cookies of ours.
    pub cookies: PresentedCookies,
    /// The session, when there is a live one.
    pub session: Option<Arc<LiveSession>>,
    /// The browser, if it is known. Looked at where it may count: without a session, or at our own paths.
    pub known: Option<KnownBrowser>,
    /// The cookie that says so.
    pub known_cookie: Option<Secret>,
}

impl Visitor {
    fn with(cookies: PresentedCookies, session: Option<Arc<LiveSession>>) -> Self {
        Self { cookies, session, known: None, known_cookie: None }
    }
}

impl Gateway {
    /// The steps from the head of a request to a verdict. Ways that few requests take are boxed: all others would carry room
    /// for them.
    pub(super) async fn admit(&self, http: &mut ServerSession, ctx: &mut RequestCtx) -> Result<Verdict, Refusal> {
        ctx.wants = pages::wants_page(&http.req_header().headers, &http.req_header().method);
        let mut request = self.read(http)?;
        forget_spelling(http);
        ctx.exchange.asks(request.method(), kept::without_handle(request.path()));
        let Some(site) = self.sites.get(request.host()).cloned() else { return self.lead_home(&request, ctx) };
        ctx.exchange.at_portal(&site.exchanges);
        ctx.site = Some(Arc::clone(&site));
        let of_connection = of_connection(http);
        let certificate = match of_connection {
            Some(OfConnection::Asked(brought)) => brought.clone(),
            _ => None,
        };
        let demanded = self.certificate_hosts.as_ref().is_some_and(|hosts| hosts.include(request.host()));
        // On a connection of another host nobody can tell whether the visitor has one: browsers make a new one then.
        let misdirected = matches!(of_connection, Some(OfConnection::NotAsked(hosts)) if hosts.include(request.host()));
        // What the page of that refusal looks like is told to everybody.
        if (misdirected || demanded && certificate.is_none())
            && pages::asset(request.path(), &http.req_header().headers).is_none()
        {
            return Err(Reason::NoClientCertificate.into());
        }
        ctx.exchange.by_certificate(certificate.as_ref().map(|certificate| certificate.fingerprint()));
        ctx.certificate = certificate;
        // What another site posts comes without a session, and would not be believed to be the visitor's wish with one.
        let mut visitor = if endpoints::takes_foreign_posts(&request) {
            let cookies = PresentedCookies::read_posted(&http.req_header().headers);
            Visitor::with(cookies, None)
        } else {
            self.recognise(&http.req_header().headers, &site, ctx).await?
        };
        if is_own(&request) {
            if !endpoints::takes_foreign_posts(&request) {
                self.know(&mut visitor, &http.req_header().headers, &site);
            }
            return Box::pin(self.serve_own(http, &request, &site, &visitor, ctx)).await;
        }
        let marked = kept::marked(&request);
        if visitor.session.is_none() || marked.is_some() {
            self.know(&mut visitor, &http.req_header().headers, &site);
        }
        let mut kept = None;
        if let Some(marked) = marked {
            match Box::pin(self.open_kept(http, &request, marked, &site, &visitor)).await? {
                kept::Asked::Sends(instead, what) => (request, kept) = (instead, Some(what)),
                kept::Asked::Plain(instead) => request = instead,
                kept::Asked::Reply(reply) => return Ok(Verdict::Reply(Outcome::Answered, reply)),
            }
        }
        if let Some(reply) = self.answer_for_cloudflare(&request, &site)? {
            return Ok(reply);
        }
        let demand = site.rules.demand(request.decoded_path());
        let circumstances = Self::circumstances(ctx, ctx.exchange.came());
        let permit = match policy::decide(&request, demand, visitor.session.clone(), &site.admission, &circumstances) {
            Decision::Forward(permit) => permit,
            Decision::Deny => return Err(Reason::PathDenied.into()),
            Decision::Closed => return Err(Reason::PathClosed.into()),
            Decision::RuleNotMet => return Err(Reason::RuleNotMet.into()),
            Decision::NotAdmitted(reason) => {
                if let Some(session) = visitor.session.as_ref().filter(|_| site.admission.has_ended(reason)) {
                    site.customers.leave(session.identity());
                }
                return Err(Reason::NotAdmitted(reason).into());
            }
            Decision::Page(page) => {
                return Box::pin(self.answer_for_jsm(page, &request, &site, &visitor, ctx)).await;
            }
            Decision::SignIn => return Box::pin(self.send_to_sign_in(http, &request, &site, &visitor, ctx)).await,
        };
        if let Some(address) = site.hands_over_to().filter(|_| !permit.is_for_everybody()) {
            return Box::pin(self.hand_over(address, &permit, &request, &site, ctx)).await;
        }
        if site.walks.is_some() && ctx.wants == Wants::Page && *request.method() == Method::GET {
            ctx.walk_to = Some(request.target());
        }
        let headers = &http.req_header().headers;
        if (!request.is_safe() || request.is_websocket()) && !is_same_origin(headers, &site.settings.public_origin) {
            return Err(Reason::CrossOrigin.into());
        }
        let sent = kept.as_deref().map_or(headers, kept::Kept::headers);
        if site.rules.jsm().is_some() && login_fields::may_be_in(request.query(), sent) {
            return Err(Refusal::with_detail(Reason::PathClosed, login_fields::DETAIL));
        }
        check_length(headers, &site)?;
        let told_apart = site.upstream.nodes().are_told_apart();
        let node_of = |session: &CustomerSession| session.node().filter(|_| told_apart);
        let before = permit.session().filter(|_| told_apart).and_then(|session| session.customer_session());
        let before = before.as_deref().and_then(node_of);
        let customer_session = match self.customer_session(&permit, &site, ctx).await {
            Ok(customer_session) => customer_session,
            Err(refusal) => return self.without_customer_session(refusal, &request, ctx),
        };
        if let Some(way) = self.way_ahead(headers, &permit, &site, ctx).filter(|_| customer_session.is_some()) {
            return Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(&way)));
        }
        site.upstream.nodes().make_ready().await.map_err(|_| Reason::UpstreamUnreachable)?;
        // Last, so that nothing is counted that does not go on.
        let counted = self.count_request(&request, &permit, &site).await?;
        let in_page = site.settings.sign_in.in_page && ctx.wants == Wants::Page;
        let person_mark =
            permit.session().filter(|_| in_page).map(|session| self.sessions.page_mark(session.identity()));
        let has_moved = before.is_some() && before != customer_session.as_deref().and_then(node_of);
        let mut forwarding = Box::new(Forwarding::new(permit, request, customer_session));
        forwarding.counted = counted;
        forwarding.person_mark = person_mark;
        forwarding.has_moved = has_moved;
        if let Some(kept) = kept {
            match Box::pin(self.take_kept(*kept, &site)).await {
                Ok(again) => forwarding.sent_again = Some(Box::new(again)),
                Err(refusal) => {
                    ctx.stage = Stage::Forwarding(forwarding);
                    self.take_back_count(ctx).await;
                    ctx.stage = Stage::Undecided;
                    return Err(refusal);
                }
            }
        }
        Ok(Verdict::Forward(forwarding))
    }

    /// Another name of a portal leads to its own, by the same path, whatever is asked for and whoever asks.
    fn lead_home(&self, request: &CanonicalRequest, ctx: &mut RequestCtx) -> Result<Verdict, Refusal> {
        let site = self.aliases.get(request.host()).ok_or(Reason::UnknownHost)?;
        ctx.exchange.at_portal(&site.exchanges);
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let there = format!("{}{}", site.settings.public_origin, request.target());
        Ok(Verdict::Reply(Outcome::Answered, Reply::moved(&there, reads)))
    }

    /// From where the visitor asks, and by which connection, as of `now`.
    pub(super) fn circumstances(ctx: &RequestCtx, now: Timestamp) -> Circumstances {
        let certificate = ctx.certificate.clone();
        Circumstances { client: ctx.exchange.client(), certificate, now }
    }

    /// Counts a call that makes a request at JSM, where the portal limits those.
    async fn count_request(
        &self,
        request: &CanonicalRequest,
        permit: &Permit,
        site: &Site,
    ) -> Result<Option<Counted>, Refusal> {
        let (Some(creations), Some(jsm), Some(session)) = (&site.creations, site.rules.jsm(), permit.session()) else {
            return Ok(None);
        };
        if !jsm.creates_request(request.method(), request.decoded_path()) {
            return Ok(None);
        }
        let now = self.clock.now();
        let counted = Box::pin(creations.count(session.identity(), now)).await;
        counted.map(Some).map_err(|failed| super::refuse::not_counted(&failed, now))
    }

    /// Counts an attempt to sign in, where the portal limits those of one address.
    pub(super) fn count_attempt(&self, site: &Site, ctx: &RequestCtx) -> Result<(), Refusal> {
        let (Some(attempts), Some(client)) = (&site.attempts, ctx.exchange.client()) else { return Ok(()) };
        let now = self.clock.now();
        attempts.note(client, now).map_err(|many| Reason::TooManySignIns(Later::new(many.until, now)).into())
    }

    /// The one reading of the request.
    fn read(&self, http: &ServerSession) -> Result<CanonicalRequest, Refusal> {
        let header = http.req_header();
        if let Some(http1) = http.as_http1() {
            let raw = http1.get_headers_raw_bytes();
            if raw.len() > self.limits.header_bytes {
                return Err(Reason::HeadTooLarge.into());
            }
            head::inspect(&raw)?;
            if head_guard::request_line_was_odd() {
                return Err(Malformed::Head.into());
            }
        } else if head_size(&header.headers) > self.limits.header_bytes {
            return Err(Reason::HeadTooLarge.into());
        }
        if header.headers.len() > self.limits.header_count {
            return Err(Reason::HeadTooLarge.into());
        }
        let authority = match header.version {
            Version::HTTP_2 => header.uri.authority().map(http::uri::Authority::as_str),
            _ => None,
        };
        let target = match header.version {
            Version::HTTP_2 => header.uri.path_and_query().map(|target| target.as_str().as_bytes()).unwrap_or_default(),
            _ => header.raw_path(),
        };
        let parts = request::Parts {
            method: &header.method,
            version: header.version,
            target,
            authority,
            headers: &header.headers,
        };
        Ok(CanonicalRequest::read(parts)?)
    }

    /// Cookie to session. The cache answers without waiting; only a miss goes to the store.
    async fn recognise(&self, headers: &HeaderMap, site: &Site, ctx: &mut RequestCtx) -> Result<Visitor, Refusal> {
        let cookies = PresentedCookies::read(headers);
        let now = ctx.exchange.came();
        let session = match &cookies.session {
            // Two cookies of our name: one of them was planted (security case C3). Neither is tried.
            Presented::None | Presented::Ambiguous | Presented::Malformed => None,
            Presented::One(id) => match self.sessions.cached(id, &site.settings.host, now) {
                Lookup::Found(session) => Some(session),
                Lookup::Refused => None,
                Lookup::NotCached => {
                    let watch = Stopwatch::start();
                    let found = Box::pin(self.sessions.find(id, &site.settings.host, now)).await;
                    ctx.exchange.took(Step::Store, watch.elapsed());
                    self.metrics.session_store_is_up(found.is_ok());
                    found.map_err(|error| {
                        Refusal::with_detail(Reason::SessionStore { label: error.label() }, error.to_string())
                    })?
                }
            },
        };
        if let Some(session) = &session {
            ctx.exchange.of_session(*session.hash(), session.identity().provider());
        }
        Ok(Visitor::with(cookies, session))
    }

    /// The browser, if somebody has signed in there before.
    fn know(&self, visitor: &mut Visitor, headers: &HeaderMap, site: &Site) {
        // Nobody looks at what a browser loads ahead of time: no tab waits for it.
        if headers.contains_key("sec-purpose") {
            return;
        }
        let Some(cookie) = cookie::known_browser(headers) else { return };
        visitor.known = self.sessions.known_browser(&cookie, &site.settings.host, self.clock.now());
        visitor.known_cookie = visitor.known.is_some().then_some(cookie);
    }

    /// The customer session that is injected; opened when there is none yet.
    pub(super) async fn customer_session(
        &self,
        permit: &Permit,
        site: &Site,
        ctx: &mut RequestCtx,
    ) -> Result<Option<Arc<CustomerSession>>, Refusal> {
        // What is for everybody needs nobody where people go on elsewhere.
        let needed = site.hands_over_to().is_none() || !permit.is_for_everybody();
        let Some(session) = permit.session().filter(|_| needed) else { return Ok(None) };
        let held = session.customer_session().is_some();
        let watch = (!held).then(Stopwatch::start);
        let ensured = site.customers.ensure(session, ctx.exchange.came()).await;
        if let Some(watch) = watch {
            ctx.exchange.took(Step::CustomerSession, watch.elapsed());
        }
        ensured.map_err(|failed| super::refuse::customer_refusal(&failed))
    }

    /// A navigation for which only a password is wanting goes to give it, and comes back here. One by somebody who goes on
    /// at the site itself is led there.
    fn without_customer_session(
        &self,
        refusal: Refusal,
        request: &CanonicalRequest,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let navigation = ctx.wants == Wants::Page && matches!(*request.method(), Method::GET | Method::HEAD);
        if !navigation || request.is_websocket() {
            return Err(refusal);
        }
        if refusal.reason().offer() == Offer::Password {
            let reply = Reply::see_other(&endpoints::password::claim_page(&request.target()));
            return Ok(Verdict::Reply(Outcome::Answered, reply));
        }
        ctx.wanted = Some(request.target());
        match (hand_over::elsewhere(refusal.reason(), ctx), &ctx.site) {
            (Some(Elsewhere { address, other_accounts: OtherAccounts::HandOver }), Some(site)) => {
                let page = pages::hand_over(&endpoints::page_site(site), &address);
                Ok(Verdict::Reply(Outcome::Answered, page))
            }
            _ => Err(refusal),
        }
    }

    /// A navigation goes to sign in and comes back here; what writes something is kept meanwhile, where that may be; anything
    /// else is told to sign in.
    pub(super) async fn send_to_sign_in(
        &self,
        http: &mut ServerSession,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let navigation = ctx.wants == Wants::Page && matches!(*request.method(), Method::GET | Method::HEAD);
        if !navigation || request.is_websocket() {
            return self.keep(http, request, site, visitor, ctx).await;
        }
        self.count_attempt(site, ctx)?;
        let next = NextUrl::parse(&request.target()).unwrap_or_else(|_| NextUrl::root());
        self.begin_sign_in(site, visitor, next, Tab::Waits, ctx).await
    }
}

/// Names of fields mean the same in any case (RFC 9110, section 5.1). Pingora keeps how they were spelled in a second map, so
/// that every copy and every change of the head costs double; nobody here needs to know. The target was read before: of some
/// forms the head keeps no more than the path without that map.
pub(super) fn forget_spelling(http: &mut ServerSession) {
    if http.req_header().has_case() {
        let head = http.req_header_mut();
        let parts = http::request::Parts::from(std::mem::replace(head, upstream_request::nothing()));
        *head = RequestHeader::from(parts);
    }
}

/// Whether the path is below our own, in any spelling.
fn is_own(request: &CanonicalRequest) -> bool {
    request.decoded_path().get(..OWN_PATHS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_PATHS))
}

/// An HTTP/2 head has no raw bytes; RFC 9113, section 6.5.2 counts 32 bytes for each field besides its text.
fn head_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()).saturating_add(32)).sum()
}

fn check_length(headers: &HeaderMap, site: &Site) -> Result<(), Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > site.settings.limits.body) {
        return Err(Reason::BodyTooLarge.into());
    }
    Ok(())
}

/// What the connection has to do with certificates of visitors. One that was brought has been found good by the handshake.
fn of_connection(http: &ServerSession) -> Option<&OfConnection> {
    http.digest()?.ssl_digest.as_ref()?.extension.get()
}
