//! How Data Center shows that a session died. Pure.

use http::HeaderName;

use crate::customer::death::path_of;
use crate::customer::{AnswerHead, DeathSign};

/// Names the user that an answer was made for, or `anonymous`.
const USER: HeaderName = HeaderName::from_static("x-ausername");
/// Pages that ask who one is.
const LOGIN_PAGES: [&str; 4] = ["/servicedesk/customer/user/login", "/login.jsp", "/secure/Login.jspa", "/login"];

/// What an answer says about the session.
pub(in crate::customer) fn sign(answer: &AnswerHead<'_>) -> Option<DeathSign> {
    if redirects_to_login(answer) {
        return Some(DeathSign::RedirectToLogin);
    }
    // "anonymous" proves nothing: what is public and cached says so too. A name proves life.
    let user = answer.text(&USER);
    if !user.is_empty() && !user.eq_ignore_ascii_case("anonymous") {
        return None;
    }
    answer.common_sign()
}

fn redirects_to_login(answer: &AnswerHead<'_>) -> bool {
    let Some(path) = answer.location().map(path_of) else { return false };
    LOGIN_PAGES.iter().any(|page| path.ends_with(page))
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
            (401, false, &[][..], DeathSign::Unauthorized),
            (403, true, &[], DeathSign::Forbidden),
            (200, true, &[html], DeathSign::HtmlForJson),
            (
                302,
                false,
                &[("location", "/servicedesk/customer/user/login?destination=portals")],
                DeathSign::RedirectToLogin,
            ),
            (
                302,
                false,
                &[("location", "https://jira.acme.com/jira/login.jsp?os_destination=x")],
                DeathSign::RedirectToLogin,
            ),
            (303, true, &[("location", "/login")], DeathSign::RedirectToLogin),
            (
                200,
                false,
                &[html, ("set-cookie", "atlassian.xsrf.token=B1_abc_lout; Path=/")],
                DeathSign::LoggedOutToken,
            ),
        ] {
            assert_eq!(seen(status, json, headers), Some(expected), "{status} {headers:?}");
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
            (403, false, &[("x-ausername", "ana%40acme.com")]),
            (200, true, &[html, ("x-ausername", "ana")]),
            (302, false, &[("location", "/servicedesk/customer/portal/1/login-help")]),
            (302, false, &[("location", "/servicedesk/customer/portals?next=/login.jsp")]),
            (200, false, &[("set-cookie", "atlassian.xsrf.token=B1_abc_lin; Path=/")]),
            (200, false, &[("set-cookie", "other=x_lout")]),
        ] {
            assert_eq!(seen(status, json, headers), None, "{status} {headers:?}");
        }
        assert_eq!(seen(200, false, &[("x-ausername", "anonymous")]), None);
        assert_eq!(seen(403, false, &[("x-ausername", "anonymous")]), Some(DeathSign::Forbidden));
    }

    #[test]
    fn a_session_cookie_alone_is_no_sign() {
        assert_eq!(seen(200, false, &[("set-cookie", "JSESSIONID=new; Path=/; HttpOnly")]), None);
    }
}
