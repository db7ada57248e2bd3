//! The one look of every "no": for people a page, for scripts JSON.

use std::time::Duration;

use askama::Template;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use serde::Serialize;
use url::Url;

use super::texts::{Explanation, RefusalTexts};
use super::{CLAIM_PASSWORD, FormTargets, Frame, LocalHref, SIGN_IN, Site, render};
use crate::ids::RequestId;
use crate::refusal::Later;
use crate::reply::Reply;

/// A refusal, as the visitor sees it.
#[derive(Debug)]
pub struct Notice<'a> {
    /// The status of the answer.
    pub status: StatusCode,
    /// What it says.
    pub explanation: Explanation,
    /// Whom to ask: the operator's plain text.
    pub contact: Option<&'a str>,
    /// When it is allowed again.
    pub later: Option<Later>,
    /// By which the operator finds this exchange in the logs.
    pub request_id: RequestId,
    /// What the visitor can do from here.
    pub actions: Actions,
}

/// What the visitor can do from a refusal, in this order.
#[derive(Debug, Default)]
pub struct Actions {
    /// "Try again".
    pub retry: Option<Retry>,
    /// "Sign in as somebody else".
    pub another_account: Option<Form>,
    /// "Go to the support desk": at its own address, which the page names.
    pub the_site: Option<SiteLink>,
    /// "Enter the password": at the page that asks for it.
    pub password: bool,
    /// "Sign in in a new tab".
    pub sign_in_beside: bool,
    /// "Go to the start page".
    pub start: bool,
}

impl Actions {
    fn any(&self) -> bool {
        self.retry.is_some()
            || self.the_site.is_some()
            || self.another_account.is_some()
            || self.password
            || self.sign_in_beside
            || self.start
    }
}

/// A place at the site itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteLink {
    host: String,
    address: String,
}

impl SiteLink {
    /// To that place of the web; `None` for anything else, so that no link is a script.
    pub fn to(place: &Url) -> Option<Self> {
        let host = place.host_str().filter(|_| matches!(place.scheme(), "http" | "https"))?;
        Some(Self { host: host.to_owned(), address: place.as_str().to_owned() })
    }
}

/// What "try again" asks for, with GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The very address that was refused. The page does not repeat it: an empty link means the page itself (RFC 3986 4.4).
    ThisPage,
    /// Another place.
    At(LocalHref),
}

impl Retry {
    fn href(&self) -> &str {
        match self {
            Self::ThisPage => "",
            Self::At(place) => place.as_str(),
        }
    }
}

/// A form that is only a button: sent with POST.
#[derive(Debug)]
pub struct Form {
    /// Where it is sent.
    pub action: LocalHref,
    /// Hidden fields: names and values.
    pub fields: Vec<(&'static str, String)>,
    /// Where it may end up, redirects included.
    pub targets: FormTargets,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    frame: Frame<'a>,
    says: RefusalTexts,
    notice: &'a Notice<'a>,
    later: Option<Moment>,
}

/// A refusal as a page.
pub fn refusal(site: &Site<'_>, notice: &Notice<'_>) -> Reply {
    let says = notice.explanation.texts(site.language);
    let frame = Frame { title: says.title, ..Frame::of(site, |_| "") };
    let targets = notice.actions.another_account.as_ref().map_or_else(FormTargets::ours, |form| form.targets.clone());
    let later = notice.later.map(Moment::of);
    let reply = render(notice.status, &RefusalPage { frame, says, notice, later }, &targets);
    retry_after(reply, notice.later)
}

/// A moment, for people and for machines.
pub(super) struct Moment {
    pub(super) machine: String,
    pub(super) people: String,
}

impl Moment {
    /// To the minute, and never too early.
    pub(super) fn of(later: Later) -> Self {
        let minute = later.at.after(Duration::from_millis(59_999));
        let show = |format: &str| minute.to_chrono().map(|time| time.format(format).to_string()).unwrap_or_default();
        Self { machine: show("%Y-%m-%dT%H:%MZ"), people: show("%H:%M UTC, %-d %B %Y") }
    }
}

/// RFC 9110, section 10.2.3.
pub(super) fn retry_after(reply: Reply, later: Option<Later>) -> Reply {
    match later {
        Some(later) => reply.with_header(RETRY_AFTER, HeaderValue::from(seconds(later))),
        None => reply,
    }
}

fn seconds(later: Later) -> u64 {
    later.wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// Where a script may send the visitor, if anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ways<'a> {
    /// To sign in.
    pub sign_in: Option<&'a LocalHref>,
    /// To give the password that the support desk wants.
    pub password: Option<&'a LocalHref>,
    /// To have sent what was kept of the script's call.
    pub kept: Option<&'a LocalHref>,
}

/// A refusal as JSON: `error` is a word from a closed set, `message` a sentence for people, `sign_in`, `password` and `kept` where
/// a script may send the visitor, `retry_after` in how many seconds it is allowed again.
pub fn refusal_json(
    status: StatusCode,
    reason: &'static str,
    message: &str,
    request_id: RequestId,
    ways: Ways<'_>,
    later: Option<Later>,
) -> Reply {
    #[derive(Serialize)]
    struct Document<'a> {
        error: &'static str,
        message: &'a str,
        request_id: String,
        sign_in: Option<&'a LocalHref>,
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<&'a LocalHref>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kept: Option<&'a LocalHref>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    }
    let (request_id, seconds) = (request_id.to_string(), later.map(seconds));
    let Ways { sign_in, password, kept } = ways;
    let document = Document { error: reason, message, request_id, sign_in, password, kept, retry_after: seconds };
    let reply = Reply::json(status, &document);
    retry_after(reply, later)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn c14_scripts_learn_where_to_sign_in() {
        let sign_in = LocalHref::parse("/.vestibule/sign-in?next=%2Freports%2F7").unwrap();
        let id = RequestId::none();
        let reply = refusal_json(
            StatusCode::UNAUTHORIZED,
            "no_session",
            "Say \"hello\".\n",
            id,
            Ways { sign_in: Some(&sign_in), ..Ways::default() },
            None,
        );
        assert_eq!(reply.status(), 401);
        assert_eq!(reply.headers()["content-type"], "application/json");
        let document: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
        let expected = serde_json::json!({
            "error": "no_session",
            "message": "Say \"hello\".\n",
            "request_id": "00000000000000000000000000000000",
            "sign_in": "/.vestibule/sign-in?next=%2Freports%2F7",
        });
        assert_eq!(document, expected);

        let reply = refusal_json(StatusCode::FORBIDDEN, "blocked", "No.", id, Ways::default(), None);
        let document: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
        assert_eq!(document["sign_in"], serde_json::Value::Null);
    }

    #[test]
    fn when_to_try_again_is_told_to_people_and_scripts() {
        let (at, id) = (Timestamp::from_millis(1_764_099_060_500), RequestId::none()); // 19:31:00.5
        let later = Some(Later::new(at, Timestamp::from_millis(1_764_099_000_000)));
        let reply = refusal_json(StatusCode::TOO_MANY_REQUESTS, "requests_per_day", "No.", id, Ways::default(), later);
        let document: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
        assert_eq!(
            (document["retry_after"].as_u64(), &reply.headers()["retry-after"]),
            (Some(61), &"61".parse().unwrap())
        );
        let notice = Notice {
            status: StatusCode::TOO_MANY_REQUESTS,
            explanation: Explanation::RequestLimit,
            contact: None,
            later,
            request_id: id,
            actions: Actions::default(),
        };
        let page = refusal(&Site { name: None, language: super::super::Language::English, look: None }, &notice);
        assert_eq!(page.headers()["retry-after"], "61");
        let html = String::from_utf8(page.body().to_vec()).unwrap();
        let shown = "<time datetime=\"2025-11-25T19:32Z\">19:32 UTC, 25 November 2025</time>";
        assert!(html.contains(shown), "{html}");
    }
}
