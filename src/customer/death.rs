//! What an answer of the upstream says about the customer session that the request carried.

use http::header::{CONTENT_TYPE, HeaderMap, LOCATION, SET_COOKIE};
use http::{HeaderName, StatusCode};

use super::XSRF_COOKIE;

/// The head of an answer, and what matters of its request.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers, as the upstream sent them.
    pub headers: &'a HeaderMap,
    /// Whether the request asked for JSON and not for a page.
    pub request_wanted_json: bool,
}

/// How an answer shows that a customer session died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeathSign {
    /// 401.
    Unauthorized,
    /// 403, which can also be an honest "you may not".
    Forbidden,
    /// A redirect to a login page.
    RedirectToLogin,
    /// A page where JSON was asked for, which can also be an honest page.
    HtmlForJson,
    /// The XSRF token that the upstream sets is one for visitors who are not logged in (`_lout`).
    LoggedOutToken,
    /// The upstream takes the session's cookie away.
    CookieTakenAway,
    /// The upstream renews the session's cookie with that of somebody else.
    SomebodyElse,
    /// Requests go to another node of the site than the one that knows it.
    OtherNode,
}

impl DeathSign {
    /// The label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RedirectToLogin => "redirect_to_login",
            Self::HtmlForJson => "html_for_json",
            Self::LoggedOutToken => "logged_out_token",
            Self::CookieTakenAway => "cookie_taken_away",
            Self::SomebodyElse => "somebody_else",
            Self::OtherNode => "other_node",
        }
    }

    /// Whether only a dead session looks like this. Otherwise the upstream is asked before anything is opened anew.
    pub fn is_certain(self) -> bool {
        matches!(self, Self::Unauthorized | Self::RedirectToLogin | Self::LoggedOutToken) || self.needs_no_question()
    }

    /// Whether the upstream's own word would change nothing.
    pub fn needs_no_question(self) -> bool {
        matches!(self, Self::SomebodyElse | Self::OtherNode)
    }
}

impl<'a> AnswerHead<'a> {
    /// One header as text; empty when there is none.
    pub fn text(&self, name: &HeaderName) -> &'a str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Where it redirects to, when it does.
    pub fn location(&self) -> Option<&'a str> {
        self.status.is_redirection().then(|| self.text(&LOCATION)).filter(|location| !location.is_empty())
    }

    /// The values that it sets a cookie of that name to; empty for one that it takes away by an empty value.
    pub fn sets<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.headers.get_all(SET_COOKIE).iter().filter_map(move |cookie| {
            let pair = cookie.to_str().ok()?.split(';').next()?;
            pair.split_once('=').filter(|(set, _)| set.trim() == name).map(|(_, value)| value.trim())
        })
    }

    /// The token's last part tells whether it was made for somebody who is logged in (`_lin`) or not (`_lout`).
    pub fn sets_logged_out_token(&self) -> bool {
        self.sets(XSRF_COOKIE).any(|value| value.trim_end_matches('"').ends_with("_lout"))
    }

    /// What both products have in common; what a product tells besides comes first.
    pub(super) fn common_sign(&self) -> Option<DeathSign> {
        if self.sets_logged_out_token() {
            return Some(DeathSign::LoggedOutToken);
        }
        match self.status {
            StatusCode::UNAUTHORIZED => Some(DeathSign::Unauthorized),
            StatusCode::FORBIDDEN => Some(DeathSign::Forbidden),
            status if status.is_success() && self.request_wanted_json && self.is_html() => Some(DeathSign::HtmlForJson),
            _ => None,
        }
    }

    /// Whether its body is a page.
    pub fn is_html(&self) -> bool {
        let media_type = self.text(&CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("text/html") || media_type.eq_ignore_ascii_case("application/xhtml+xml")
    }
}

/// The path of a `Location`, with or without a host, without query and fragment.
pub(super) fn path_of(location: &str) -> &str {
    let path = match location.find("://").and_then(|scheme| location.get(scheme.saturating_add(3)..)) {
        Some(rest) => rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"),
        None => location,
    };
    path.split(['?', '#', ';']).next().unwrap_or_default()
}
