//! The login endpoints: what is sent, and what their answers mean. None is documented by anybody: only the cookie counts as
//! yes, and a "no" is told apart from a bad day as far as one can.

use std::sync::atomic::Ordering;

use http::StatusCode;
use http::header::LOCATION;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::ByPassword;
use crate::clock::Timestamp;
use crate::customer::cloud::SESSION_COOKIE;
use crate::customer::cloud::site::CloudSite;
use crate::customer::jar::Jar;
use crate::customer::upstream::answers::{says, wants_captcha};
use crate::customer::upstream::json_body;
use crate::customer::{BrokerFailed, Customer, CustomerEvent, UpstreamFailed};
use crate::http_client::{Answer, Call};
use crate::portal::settings::PasswordLogin;
use crate::secret::Secret;

/// Keys under which answers give a reason.
const REASONS: [&str; 8] = ["error", "code", "reason", "message", "status", "state", "key", "type"];
/// Words for "the site takes no passwords".
const CLOSED: [&str; 5] = ["disabled", "not_allowed", "not allowed", "sso_required", "turned off"];

/// What an answer without a session means.
#[derive(Debug)]
enum No {
    /// This endpoint is gone: another may be there.
    Gone,
    /// No endpoint will do.
    Failed(BrokerFailed),
}

#[derive(Serialize)]
struct Credentials<'a> {
    email: &'a str,
    password: &'a str,
}

impl ByPassword {
    /// Logs the customer in: by the endpoint that worked last, then by the others in their order.
    pub(super) async fn log_in_with(
        &self,
        site: &CloudSite,
        customer: &Customer,
        password: &Secret,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Jar, BrokerFailed> {
        let worked = self.worked.load(Ordering::Relaxed);
        let endpoints = self.settings.logins.iter().copied().enumerate();
        let (first, others): (Vec<_>, Vec<_>) = endpoints.partition(|(index, _)| *index == worked);
        for (index, endpoint) in first.into_iter().chain(others) {
            let credentials = Credentials { email: customer.address().as_str(), password: password.reveal() };
            let call = Call::post(address(endpoint, site), "application/json", json_body(&credentials));
            let answer = site.send(call.accepting("application/json"), deadline).await?;
            let mut jar = Jar::default();
            jar.take(&answer, now);
            if jar.holds(SESSION_COOKIE) && !answer.status.is_client_error() {
                self.worked.store(index, Ordering::Relaxed);
                return Ok(jar);
            }
            match no(&answer, customer.account()) {
                No::Gone => self.tell_gone(endpoint),
                No::Failed(failed) => return Err(failed),
            }
        }
        Err(BrokerFailed::NoLoginAvailable)
    }

    fn tell_gone(&self, endpoint: PasswordLogin) {
        self.observer.note(&CustomerEvent::LoginGone);
        if !self.told_gone.swap(true, Ordering::Relaxed) {
            tracing::error!(?endpoint, "a login endpoint of the upstream is gone: the next one is tried");
        }
    }
}

fn address(endpoint: PasswordLogin, site: &CloudSite) -> Url {
    match endpoint {
        PasswordLogin::V1 => site.at(&["jsd-login", "v1", "authentication", "authenticate"]),
        PasswordLogin::V2 => {
            let mut url = site.at(&["jsd-login-v2", "v2", "customer", "login", "authenticate"]);
            let back = site.at(&["servicedesk", "customer", "portals"]);
            url.query_pairs_mut().append_pair("continue", back.as_str());
            url
        }
    }
}

/// What an answer means that brings no session. Only what speaks of the password itself may cost the customer the one that
/// is kept.
fn no(answer: &Answer, account: &str) -> No {
    let failed = |failed: BrokerFailed| No::Failed(failed);
    if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return No::Gone;
    }
    if wants_captcha(answer) {
        return failed(BrokerFailed::CaptchaRequired(account.to_owned()));
    }
    if answer.status.is_redirection() {
        let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default();
        return failed(if leads_to_atlassian(location) {
            BrokerFailed::AtlassianAccount(account.to_owned())
        } else {
            UpstreamFailed::HtmlInsteadOfJson.into()
        });
    }
    let body = answer.json::<Value>().ok().filter(|_| answer.media_type() != "text/html");
    let gives = |fits: &dyn Fn(&str) -> bool| {
        let reason = |key: &str, value: &Value| {
            let key = key.to_ascii_lowercase();
            let speaks = REASONS.iter().any(|reason| key.contains(reason));
            value.as_str().is_some_and(|text| speaks && fits(&text.to_ascii_lowercase()))
        };
        body.as_ref().is_some_and(|body| says("", body, &reason))
    };
    let leads = |_: &str, value: &Value| value.as_str().is_some_and(leads_to_atlassian);
    if body.as_ref().is_some_and(|body| says("", body, &leads)) {
        return failed(BrokerFailed::AtlassianAccount(account.to_owned()));
    }
    if gives(&|text| text.contains("captcha")) {
        return failed(BrokerFailed::CaptchaRequired(account.to_owned()));
    }
    if gives(&|text| CLOSED.iter().any(|word| text.contains(word))) {
        return failed(BrokerFailed::NoLoginAvailable);
    }
    let speaks_of_the_password = match answer.status {
        StatusCode::UNAUTHORIZED => body.is_some() || answer.body.is_empty(),
        StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => body.is_some(),
        _ => false,
    };
    match (speaks_of_the_password, body) {
        (true, _) => failed(BrokerFailed::LoginRefused(account.to_owned())),
        // A page, a challenge, or nothing at all.
        (false, None) => failed(UpstreamFailed::HtmlInsteadOfJson.into()),
        (false, Some(_)) => failed(UpstreamFailed::Unexpected("log a customer in").into()),
    }
}

/// Whether an address is that of Atlassian's own sign-in.
fn leads_to_atlassian(location: &str) -> bool {
    let url = Url::parse(location).ok();
    url.and_then(|url| url.host_str().map(|host| matches!(host, "id.atlassian.com" | "auth.atlassian.com")))
        == Some(true)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn reason(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> &'static str {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let answer = Answer { status: StatusCode::from_u16(status).unwrap(), headers: map, body: body.into() };
        match no(&answer, "qm:1:2") {
            No::Gone => "gone",
            No::Failed(failed) => failed.reason(),
        }
    }

    #[test]
    fn what_is_no_session_has_its_reason() {
        let json = ("content-type", "application/json");
        let html = ("content-type", "text/html");
        for (status, headers, body, expected) in [
            (404, &[html][..], "<html>", "gone"),
            (410, &[json], "{}", "gone"),
            (401, &[json], r#"{"errorKey":"INVALID_CREDENTIALS"}"#, "login_refused"),
            (401, &[], "", "login_refused"),
            (400, &[json], r#"{"message":"Wrong e-mail or password"}"#, "login_refused"),
            (200, &[json], r#"{"success":false}"#, "login_refused"),
            (403, &[json], r#"{"errorKey":"INVALID_CREDENTIALS"}"#, "login_refused"),
            (403, &[json], r#"{"errorKey":"CAPTCHA_REQUIRED"}"#, "captcha_required"),
            (200, &[json], r#"{"captchaRequired":true}"#, "captcha_required"),
            (403, &[("x-authentication-denied-reason", "CAPTCHA_CHALLENGE"), html], "<html>", "captcha_required"),
            (403, &[json], r#"{"errorKey":"PASSWORD_LOGIN_DISABLED"}"#, "no_login_available"),
            (302, &[("location", "https://id.atlassian.com/login?application=jira")], "", "atlassian_account"),
            (200, &[json], r#"{"redirectUrl":"https://id.atlassian.com/login"}"#, "atlassian_account"),
            (302, &[("location", "https://evil.test/id.atlassian.com")], "", "html_instead_of_json"),
            (302, &[("location", "/servicedesk/customer/user/login")], "", "html_instead_of_json"),
            // Bad days: nothing of this may cost a customer their password.
            (403, &[html], "<html>Request blocked.</html>", "html_instead_of_json"),
            (200, &[html], "<html>", "html_instead_of_json"),
            (401, &[html], "<html>", "html_instead_of_json"),
            (202, &[("x-amzn-waf-action", "challenge")], "", "html_instead_of_json"),
            (403, &[], "", "html_instead_of_json"),
            (200, &[], "", "html_instead_of_json"),
            (405, &[json], "{}", "upstream_unexpected"),
            (415, &[json], r#"{"message":"Unsupported"}"#, "upstream_unexpected"),
        ] {
            assert_eq!(reason(status, headers, body), expected, "{status} {headers:?} {body}");
        }
    }
}
