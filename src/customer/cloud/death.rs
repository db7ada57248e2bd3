//! How Cloud shows that a session died. Pure.

use super::firewall;
use crate::customer::death::path_of;
use crate::customer::{AnswerHead, DeathSign};

/// Pages that ask who one is: the portal's, Atlassian's, and the start of single sign-on.
const LOGIN_PAGE: &str = "/login";
/// Hosts of Atlassian where nothing but signing in happens.
const LOGIN_HOSTS: [&str; 2] = ["id.atlassian.com", "auth.atlassian.com"];

/// What an answer says about the session.
pub(super) fn sign(answer: &AnswerHead<'_>) -> Option<DeathSign> {
    if firewall::has_answered(answer.status, answer.headers) {
        return None;
    }
    if answer.location().is_some_and(leads_to_login) {
        return Some(DeathSign::RedirectToLogin);
    }
    answer.common_sign()
}

fn leads_to_login(location: &str) -> bool {
    let host = url::Url::parse(location).ok().and_then(|url| url.host_str().map(str::to_owned));
    path_of(location).ends_with(LOGIN_PAGE) || host.is_some_and(|host| LOGIN_HOSTS.contains(&host.as_str()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    fn seen(status: u16, wanted_json: bool, headers: &[(&'static str, &'static str)]) -> Option<DeathSign> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap();
        sign(&AnswerHead { status, headers: &map, request_wanted_json: wanted_json })
    }

    #[test]
    fn a_dead_session_shows() {
        let html = ("content-type", "text/html;charset=UTF-8");
        for (status, json, headers, expected) in [
            (401, true, &[][..], DeathSign::Unauthorized),
            (403, true, &[], DeathSign::Forbidden),
            (200, true, &[html], DeathSign::HtmlForJson),
            (200, false, &[html, ("set-cookie", "atlassian.xsrf.token=b_1_lout; Path=/")], DeathSign::LoggedOutToken),
        ] {
            assert_eq!(seen(status, json, headers), Some(expected), "{status} {headers:?}");
        }
        for location in [
            "/servicedesk/customer/user/login?destination=portals",
            "https://acme.atlassian.net/servicedesk/customer/user/login",
            "https://id.atlassian.com/login?continue=x",
            "https://id.atlassian.com/join/user-access?x=/",
            "https://auth.atlassian.com/saml/7/login?destination=x",
        ] {
            assert_eq!(seen(302, false, &[("location", location)]), Some(DeathSign::RedirectToLogin), "{location}");
        }
    }

    #[test]
    fn what_an_ordinary_answer_shows_is_no_death() {
        let html = ("content-type", "text/html");
        for (status, json, headers) in [
            (200, false, &[html][..]),
            (200, true, &[("content-type", "application/json")]),
            (500, true, &[html]),
            (404, true, &[html]),
            (429, true, &[html]),
            (302, false, &[("location", "/servicedesk/customer/portal/1/ACME-7")]),
            (302, false, &[("location", "/servicedesk/customer/portals?next=/login")]),
            (403, true, &[html, ("server", "CloudFront")]),
            (202, true, &[html, ("x-amzn-waf-action", "challenge")]),
            (302, false, &[("location", "https://media.atlassian.com/file/login-help")]),
            (200, false, &[("set-cookie", "atlassian.xsrf.token=b_1_lin; Path=/")]),
        ] {
            assert_eq!(seen(status, json, headers), None, "{status} {headers:?}");
        }
    }
}
