//! The one look of every "no": for people a page, for scripts JSON.

use askama::Template;
use http::StatusCode;
use serde::Serialize;

use super::texts::{Explanation, RefusalTexts};
use super::{FormTargets, Frame, LocalHref, Site, render};
use crate::ids::RequestId;
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
    /// "Go to the start page".
    pub start: bool,
}

impl Actions {
    fn any(&self) -> bool {
        self.retry.is_some() || self.another_account.is_some() || self.start
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
}

/// A refusal as a page.
pub fn refusal(site: &Site<'_>, notice: &Notice<'_>) -> Reply {
    let says = notice.explanation.texts(site.language);
    let frame = Frame { title: says.title, ..Frame::of(site, |_| "") };
    let targets = notice.actions.another_account.as_ref().map_or_else(FormTargets::ours, |form| form.targets.clone());
    render(notice.status, &RefusalPage { frame, says, notice }, &targets)
}

/// A refusal as JSON: `error` is a word from a closed set, `message` a sentence for people, `sign_in` where a script may
/// send the visitor.
pub fn refusal_json(
    status: StatusCode,
    reason: &'static str,
    message: &str,
    request_id: RequestId,
    sign_in: Option<&LocalHref>,
) -> Reply {
    #[derive(Serialize)]
    struct Document<'a> {
        error: &'static str,
        message: &'a str,
        request_id: String,
        sign_in: Option<&'a LocalHref>,
    }
    Reply::json(status, &Document { error: reason, message, request_id: request_id.to_string(), sign_in })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c14_scripts_learn_where_to_sign_in() {
        let sign_in = LocalHref::parse("/.vestibule/sign-in?next=%2Freports%2F7").unwrap();
        let id = RequestId::none();
        let reply = refusal_json(StatusCode::UNAUTHORIZED, "no_session", "Say \"hello\".\n", id, Some(&sign_in));
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

        let reply = refusal_json(StatusCode::FORBIDDEN, "blocked", "No.", id, None);
        let document: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
        assert_eq!(document["sign_in"], serde_json::Value::Null);
    }
}
