//! What is sent while the session is over is kept, and what was kept is sent again.
//!
//! Kept is what a known browser sends from the portal's own page, and nothing else: a stranger fills no store, and no other
//! site has anything sent. What is sent again goes through admission as the request that it was, at its own address, marked
//! with the handle; only its head and its body are those that were kept.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Version};
use pingora::BError;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Gateway;
use super::admit::{Verdict, Visitor};
use super::answer::{invite_body, is_of_type};
use super::context::{RequestCtx, SentAgain};
use super::header_hygiene::stays_behind;
use super::same_origin::is_our_own_page;
use super::site::Site;
use crate::clock;
use crate::ids::SessionHash;
use crate::limits::attempts::of_one_visitor;
use crate::pages::Wants;
use crate::portal::{CanonicalRequest, request};
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;
use crate::session::{FormHandle, KeptForm, KnownBrowser, NotKept, PersonMark, SentBy, TakenForm};
use crate::sign_in::next_url::KEPT_FORMS;
use crate::telemetry::Outcome;

/// Marks an address at which a kept form is sent again; the handle follows, and ends the query.
pub const MARK: &str = ".vestibule-kept=";
/// Characters of a handle.
const HANDLE: usize = 43;
/// In which the page in between sends its word: no page of JSM's sends its forms so, and those go on as they are.
const WORD_TYPE: &str = "text/plain";
/// The word is shorter than that, in bytes.
const LONGEST_WORD: u64 = 64;
/// How long any body may take to arrive, and how long one that is to be kept: so long, and as long as its size takes at
/// [`SLOWEST`].
const ARRIVES_WITHIN: Duration = Duration::from_secs(5 * 60);
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
/// Bytes in a second.
const SLOWEST: u64 = 16 * 1024;
/// Bodies that are taken in at once; each takes as much memory as a kept form may be large.
static TAKEN_IN: Semaphore = Semaphore::const_new(32);
/// How many of these are of one address.
const OF_ONE_ADDRESS: usize = 8;
/// How many are of one browser, from whatever addresses.
const OF_ONE_BROWSER: usize = 4;
static WHOSE: Mutex<Vec<Whose>> = Mutex::new(Vec::new());

/// Whose body is taken in: the address, and the hash of the browser's key.
type Whose = (IpAddr, SessionHash);

/// The right to take a body in.
struct TakesIn {
    whose: Whose,
    _permit: SemaphorePermit<'static>,
}

impl TakesIn {
    /// Where there is room for another body, of that address, of that browser and at all.
    fn begin(client: IpAddr, browser: &KnownBrowser) -> Option<Self> {
        let whose = (of_one_visitor(client), browser.hash());
        let mut all = WHOSE.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = all.iter().filter(|other| other.0 == whose.0).count();
        let of_browser = all.iter().filter(|other| other.1 == whose.1).count();
        if of_address >= OF_ONE_ADDRESS || of_browser >= OF_ONE_BROWSER {
            return None;
        }
        let permit = TAKEN_IN.try_acquire().ok()?;
        all.push(whose);
        Some(Self { whose, _permit: permit })
    }
}

impl Drop for TakesIn {
    fn drop(&mut self) {
        let mut all = WHOSE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|other| *other == self.whose) {
            all.swap_remove(at);
        }
    }
}

/// A kept form on its way to be sent again. Its body is opened when everything else permits it.
#[derive(Debug)]
pub struct Kept {
    handle: FormHandle,
    browser: KnownBrowser,
    head: RequestHeader,
    length: u64,
}

impl Kept {
    /// The fields that it was sent with.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }
}

/// What becomes of a request for a kept form.
#[derive(Debug)]
pub enum Asked {
    /// It is that request which goes on.
    Sends(CanonicalRequest, Box<Kept>),
    /// The browser goes elsewhere first.
    Reply(Reply),
    /// It is a request of the page that stands there, and nothing of a kept form: without the mark, it is like any other.
    Plain(CanonicalRequest),
}

/// The page about a kept form.
pub fn page_of(handle: &FormHandle) -> String {
    format!("{KEPT_FORMS}{}", handle.reveal())
}

/// The address at which a kept form is sent again.
pub fn address_of(target: &str, handle: &FormHandle) -> String {
    let joint = if target.contains('?') { '&' } else { '?' };
    format!("{target}{joint}{MARK}{}", handle.reveal())
}

/// The path as the log may have it: handles are nobody's business.
pub fn without_handle(path: &str) -> &str {
    let named = path.strip_prefix(KEPT_FORMS).and_then(FormHandle::parse);
    if named.is_some() { KEPT_FORMS } else { path }
}

/// The handle and the address without the mark, when a request has one.
pub fn marked(request: &CanonicalRequest) -> Option<(FormHandle, String)> {
    let query = request.query()?;
    let at = query.len().checked_sub(MARK.len().checked_add(HANDLE)?)?;
    let handle = FormHandle::parse(query.get(at..)?.strip_prefix(MARK)?)?;
    let rest = match query.get(..at)? {
        "" => request.path().to_owned(),
        rest => format!("{}?{}", request.path(), rest.strip_suffix('&')?),
    };
    Some((handle, rest))
}

impl Gateway {
    /// Keeps what was sent without a session, where that may be, and says how it goes on.
    ///
    /// # Errors
    /// Always where nothing is kept, or a script asks: the visitor has to sign in.
    pub(super) async fn keep(
        &self,
        http: &mut ServerSession,
        request: &CanonicalRequest,
        site: &Site,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let sent_by = if ctx.wants == Wants::Page { SentBy::Person } else { SentBy::Script };
        let Some(browser) = visitor.known.as_ref().filter(|_| may_be_kept(http, request, site)) else {
            return Err(Reason::SignInRequired.into());
        };
        let limits = &site.settings.limits.kept_form;
        let size = limits.size;
        let count = |result: &'static str| self.metrics.form_kept(site.settings.host.as_str(), result);
        let not_kept = |reason: Reason| if sent_by == SentBy::Person { reason } else { Reason::SignInRequired };
        let client = ctx.exchange.client().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        // What says itself that it is too large takes nobody's place.
        let fits = told_length(&http.req_header().headers).is_none_or(|told| told <= size);
        let place = if fits { TakesIn::begin(client, browser) } else { None };
        let room = if place.is_some() { size } else { 0 };
        let Some(body) = take_in(http, room, site.settings.limits.body).await? else {
            let too_large = place.is_some() || !fits;
            let (result, reason) =
                if too_large { ("too_large", Reason::FormTooLarge) } else { ("no_room", Reason::FormNoRoom) };
            count(result);
            return Err(not_kept(reason).into());
        };
        let now = self.clock.now();
        let form = KeptForm {
            portal: site.settings.host.clone(),
            person: browser.person(),
            // Nothing tells whose page it was: who is asked can say.
            sent_by: if sent_by == SentBy::Person && browser.is_shared() { SentBy::OneOfSeveral } else { sent_by },
            at: now,
            until: now.after(limits.kept_for),
            method: request.method().as_str().to_owned(),
            target: request.target(),
            fields: fields(&http.req_header().headers),
            length: u64::try_from(body.len()).unwrap_or(u64::MAX),
        };
        let handle = match self.sessions.keep_form(browser, form, &body, client, limits).await {
            Ok(handle) => handle,
            Err(failed) => {
                count(if failed == NotKept::NoRoom { "no_room" } else { "failed" });
                return Err(Refusal::with_detail(not_kept(Reason::FormNoRoom), failed.to_string()));
            }
        };
        count("kept");
        if sent_by == SentBy::Person {
            return Ok(Verdict::Reply(Outcome::SentToSignIn, Reply::see_other(&page_of(&handle))));
        }
        ctx.kept_at = Some(page_of(&handle));
        Err(Reason::SignInRequired.into())
    }

    /// Finds the form that a marked request wants to be sent. It stays kept, and its body closed.
    pub(super) async fn open_kept(
        &self,
        http: &ServerSession,
        request: &CanonicalRequest,
        (handle, target): (FormHandle, String),
        site: &Site,
        visitor: &Visitor,
    ) -> Result<Asked, Refusal> {
        // Somebody loads the address once more, or goes back to it: the page says how it stands.
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(Asked::Reply(Reply::see_other(&page_of(&handle))));
        }
        let headers = &http.req_header().headers;
        if *request.method() != Method::POST || !is_of_type(http, WORD_TYPE) || !is_a_word(headers) {
            let parts = request::Parts {
                method: request.method(),
                version: Version::HTTP_11,
                target: target.as_bytes(),
                authority: Some(request.host().as_str()),
                headers,
            };
            return Ok(Asked::Plain(CanonicalRequest::read(parts)?));
        }
        if !is_our_own_page(headers, &site.settings.public_origin) {
            return Err(Reason::CrossOrigin.into());
        }
        let Some(session) = &visitor.session else { return Ok(Asked::Reply(Reply::see_other(&page_of(&handle)))) };
        let browser = visitor.known.as_ref().ok_or(Reason::FormGone)?;
        let form = self.find_kept(&handle, browser, site).await?.filter(|form| form.target == target);
        let form = form.ok_or(Reason::FormGone)?;
        if form.person != PersonMark::of(session.identity()) {
            return Err(self.drop_of_another(&handle, site).await);
        }
        // Less may be sent than when it was kept: it is not taken for nothing.
        if form.length > site.settings.limits.body {
            return Err(Reason::BodyTooLarge.into());
        }
        let head = head(http.req_header(), &form)?;
        let parts = request::Parts {
            method: &head.method,
            version: Version::HTTP_11,
            target: form.target.as_bytes(),
            authority: Some(request.host().as_str()),
            headers: &head.headers,
        };
        let canonical = CanonicalRequest::read(parts)?;
        let kept = Kept { handle, browser: browser.clone(), head, length: form.length };
        Ok(Asked::Sends(canonical, Box::new(kept)))
    }

    /// The form, if it is of that browser and there.
    pub(super) async fn find_kept(
        &self,
        handle: &FormHandle,
        browser: &KnownBrowser,
        site: &Site,
    ) -> Result<Option<KeptForm>, Refusal> {
        let found = self.sessions.kept_form(handle, browser, &site.settings.host, self.clock.now()).await;
        found.map_err(|error| Refusal::with_detail(Reason::SessionStore { label: error.label() }, error.to_string()))
    }

    /// Takes the form out and opens its body, at the last moment: whoever comes second has nothing to send.
    pub(super) async fn take_kept(&self, kept: Kept, site: &Site) -> Result<SentAgain, Refusal> {
        let Kept { handle, browser, head, length } = kept;
        let taken = self.take(&handle).await?.ok_or(Reason::FormGone)?;
        let body = self.sessions.body_of(&taken, &browser);
        let Some(body) = body.filter(|body| u64::try_from(body.len()) == Ok(length)) else {
            self.metrics.form_kept(site.settings.host.as_str(), "lost");
            return Err(Refusal::with_detail(Reason::FormLost, "the body of a kept form does not open"));
        };
        self.metrics.form_kept(site.settings.host.as_str(), "sent");
        Ok(SentAgain { head, body, given: false, taken: Some(taken) })
    }

    /// Takes a form out for good.
    pub(super) async fn take(&self, handle: &FormHandle) -> Result<Option<TakenForm>, Refusal> {
        let taken = self.sessions.take_form(handle).await;
        taken.map_err(|error| Refusal::with_detail(Reason::SessionStore { label: error.label() }, error.to_string()))
    }

    /// Somebody else is signed in now: nobody has it sent in their name.
    pub(super) async fn drop_of_another(&self, handle: &FormHandle, site: &Site) -> Refusal {
        match self.take(handle).await {
            Ok(_) => {
                self.metrics.form_kept(site.settings.host.as_str(), "of_another");
                Reason::FormOfAnother.into()
            }
            Err(refusal) => refusal,
        }
    }

    /// The upstream was given nothing of the form, because it cannot be reached, knew no session for it, or the browser broke off: the form waits on.
    ///
    /// # Errors
    /// When it cannot be put back: its writer is told that it is lost.
    pub(super) async fn put_kept_back(&self, ctx: &mut RequestCtx) -> Result<(), Refusal> {
        let again = ctx.forwarding().and_then(|forwarding| forwarding.sent_again.as_mut()).filter(|again| !again.given);
        let Some(taken) = again.and_then(|again| again.taken.take()) else { return Ok(()) };
        let put_back = self.sessions.put_form_back(taken, self.clock.now()).await;
        if let Some(site) = &ctx.site {
            let result = if put_back.is_ok() { "put_back" } else { "lost" };
            self.metrics.form_kept(site.settings.host.as_str(), result);
        }
        put_back.map_err(|error| {
            tracing::error!(request = %ctx.exchange.request_id(), %error, "a kept form that could not be sent is lost");
            Refusal::with_detail(Reason::FormLost, error.to_string())
        })
    }
}

/// Whether a request is one to keep, whoever sends it: it writes something, it comes from a page of this portal, and there
/// is an upstream for it.
fn may_be_kept(http: &ServerSession, request: &CanonicalRequest, site: &Site) -> bool {
    let writes = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    writes
        && !request.is_websocket()
        && site.settings.limits.kept_form.size > 0
        && site.hands_over_to().is_none()
        && is_our_own_page(&http.req_header().headers, &site.settings.public_origin)
}

/// The body, if it is no longer than `size`; one that is longer is read to its end and thrown away, so that the answer
/// arrives. `most` is what any body may have.
async fn take_in(http: &mut ServerSession, size: u64, most: u64) -> Result<Option<Bytes>, Refusal> {
    let headers = &http.req_header().headers;
    let told = told_length(headers);
    if told.is_some_and(|told| told > most) {
        return Err(Reason::BodyTooLarge.into());
    }
    // Who waits to be asked for it is not even asked.
    if headers.contains_key(header::EXPECT) && told.is_some_and(|told| told > size) {
        return Ok(None);
    }
    let slow = |_| Refusal::with_detail(Reason::VisitorGone, "the body took too long");
    let time = BEGINS_WITHIN.saturating_add(Duration::from_secs(size.div_ceil(SLOWEST)));
    let time = if size > 0 && told.is_none_or(|told| told <= size) { time } else { ARRIVES_WITHIN };
    tokio::time::timeout_at(clock::deadline(time), read(http, size, most)).await.map_err(slow)?
}

async fn read(http: &mut ServerSession, size: u64, most: u64) -> Result<Option<Bytes>, Refusal> {
    let gone = |error: BError| Refusal::with_detail(Reason::VisitorGone, error.etype().as_str());
    invite_body(http).await.map_err(gone)?;
    let (mut body, mut length) = (BytesMut::new(), 0_u64);
    while let Some(chunk) = http.read_request_body().await.map_err(gone)? {
        length = length.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if length > most {
            return Err(Reason::BodyTooLarge.into());
        }
        if length <= size {
            body.extend_from_slice(&chunk);
        } else {
            body = BytesMut::new();
        }
    }
    Ok((length <= size).then(|| body.freeze()))
}

/// The fields that go with what was sent; not those of one moment, connection or sign-in, nor those that stay behind anyway.
fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let kept = |name: &HeaderName| {
        let name = name.as_str();
        matches!(name, "origin" | "referer")
            || !(stays_behind(name)
                || name.starts_with("sec-")
                || name.starts_with("if-")
                || matches!(name, "connection" | "upgrade" | "transfer-encoding" | "content-length" | "range"))
    };
    let fields = headers.iter().filter(|(name, _)| kept(name));
    fields.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// The head of the request as it was, with what belongs to this moment: cookies, codings, where it comes from.
fn head(now: &RequestHeader, form: &KeptForm) -> Result<RequestHeader, Refusal> {
    let broken = |what: &'static str| Refusal::with_detail(Reason::FormGone, what);
    let mut head = now.clone();
    let method = Method::from_bytes(form.method.as_bytes()).map_err(|_| broken("a kept method"))?;
    head.set_method(method);
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT] {
        head.remove_header(&name);
    }
    let mut fields = Vec::with_capacity(form.fields.len());
    for (name, value) in &form.fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken("a kept field's name"))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| broken("a kept field's value"))?;
        head.remove_header(&name);
        fields.push((name, value));
    }
    for (name, value) in fields {
        head.append_header(name, value).map_err(|_| broken("a kept field"))?;
    }
    let length = form.length.to_string();
    head.insert_header(header::CONTENT_LENGTH, length).map_err(|_| broken("a kept length"))?;
    Ok(head)
}

/// Whether the body is the one word that the page in between sends.
fn is_a_word(headers: &HeaderMap) -> bool {
    told_length(headers).is_some_and(|length| length > 0 && length <= LONGEST_WORD)
}

fn told_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &Method, target: &str) -> CanonicalRequest {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("support.acme.com"));
        let target = target.as_bytes();
        let parts = request::Parts { method, version: Version::HTTP_11, target, authority: None, headers: &headers };
        CanonicalRequest::read(parts).unwrap()
    }

    #[test]
    fn a_marked_address_gives_back_the_one_it_was() {
        let handle = FormHandle::parse(&"A".repeat(43)).unwrap();
        for target in ["/create", "/create?x=1", "/create?x=1&", "/create?", "/create?.vestibule-kept=x"] {
            let marked_target = address_of(target, &handle);
            let (found, rest) = marked(&request(&Method::POST, &marked_target)).unwrap();
            assert_eq!(found.reveal(), handle.reveal());
            assert_eq!(rest, target);
        }
        let token = "A".repeat(43);
        for other in [
            "/create".to_owned(),
            "/create?x=1".to_owned(),
            format!("/create?x{MARK}{token}"),
            format!("/create?{MARK}{token}&x=1"),
            format!("/create?{MARK}{}B", &token[1..]),
        ] {
            assert!(marked(&request(&Method::POST, &other)).is_none(), "{other}");
        }
    }

    #[test]
    fn the_log_has_no_handles() {
        let handle = FormHandle::parse(&"A".repeat(43)).unwrap();
        assert_eq!(without_handle(&page_of(&handle)), "/.vestibule/kept/");
        for path in ["/.vestibule/kept/drop", "/private", "/"] {
            assert_eq!(without_handle(path), path);
        }
    }

    #[test]
    fn fields_of_the_moment_are_not_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "support.acme.com"),
            ("cookie", "a=b"),
            ("authorization", "Basic x"),
            ("content-length", "3"),
            ("content-type", "text/plain"),
            ("origin", "https://support.acme.com"),
            ("referer", "https://support.acme.com/form"),
            ("sec-fetch-mode", "navigate"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-atlassian-token", "no-check"),
            ("if-match", "x"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mut names: Vec<String> = fields(&headers).into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, ["content-type", "origin", "referer", "x-atlassian-token"]);
    }
}
