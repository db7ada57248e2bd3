//! The ways to log in: what each sends, and what its answer means.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::answers::{self, Seraph};
use super::{DataCenter, REMEMBER_ME_COOKIE, SESSION_COOKIE};
use crate::clock::Timestamp;
use crate::customer::jar::Jar;
use crate::customer::upstream::{XSRF_CHECK, json_body, text_body};
use crate::customer::{BrokerFailed, UpstreamFailed};
use crate::http_client::{Answer, Call};
use crate::nodes::Node;
use crate::portal::settings::DataCenterLogin;
use crate::secret::Secret;

/// Why one way did not lead in.
#[derive(Debug)]
enum NoWay {
    /// Another way may: this one is not there, or not for us.
    Closed(Closed),
    /// No way will.
    Failed(BrokerFailed),
}

/// What a way showed that is closed; the later, the more it tells an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closed {
    Missing,
    Page,
    BasicAuthOff,
    SecondStep,
}

/// `POST /rest/auth/1/session`.
#[derive(Deserialize)]
struct RestSession {
    session: NamedCookie,
}

#[derive(Deserialize)]
struct NamedCookie {
    name: String,
    value: String,
}

impl DataCenter {
    /// Logs `account` in: by the way that worked last, then by the others in their order.
    pub(super) async fn log_in(
        &self,
        node: Option<&Arc<Node>>,
        account: &str,
        password: &Secret,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Jar, BrokerFailed> {
        let worked = self.worked.load(Ordering::Relaxed);
        let ways = self.settings.logins.iter().copied().enumerate();
        let (first, others): (Vec<_>, Vec<_>) = ways.partition(|(index, _)| *index == worked);
        let mut closed = Closed::Missing;
        for (index, way) in first.into_iter().chain(others) {
            match self.log_in_by(node, way, account, password, now, deadline).await {
                Ok(jar) => {
                    self.worked.store(index, Ordering::Relaxed);
                    return Ok(jar);
                }
                Err(NoWay::Closed(why)) => {
                    tracing::debug!(?way, ?why, "a way to log in is closed");
                    closed = closed.max(why);
                }
                Err(NoWay::Failed(failed)) => return Err(failed),
            }
        }
        Err(match closed {
            Closed::Missing => BrokerFailed::NoLoginAvailable,
            Closed::Page => UpstreamFailed::HtmlInsteadOfJson.into(),
            Closed::BasicAuthOff => UpstreamFailed::BasicAuthOff.into(),
            Closed::SecondStep => BrokerFailed::TwoStepEnforced,
        })
    }

    async fn log_in_by(
        &self,
        node: Option<&Arc<Node>>,
        way: DataCenterLogin,
        account: &str,
        password: &Secret,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Jar, NoWay> {
        let call = self.login_call(way, account, password).with_header(XSRF_CHECK.0, XSRF_CHECK.1);
        let sent = self.upstream.send_to(node, call, deadline).await;
        let answer = sent.map_err(|failed| NoWay::Failed(failed.into()))?;
        let body = accepted(way, &answer, account)?;
        let mut jar = Jar::default();
        jar.take(&answer, now);
        if way == DataCenterLogin::RestSession
            && let Ok(RestSession { session }) = serde_json::from_value(body)
        {
            let path = self.upstream.base().path().trim_end_matches('/');
            jar.add(&session.name, &session.value, if path.is_empty() { "/" } else { path });
        }
        if jar.holds(SESSION_COOKIE) || jar.holds(REMEMBER_ME_COOKIE) {
            return Ok(jar);
        }
        // "Login without cookie": it said yes and meant no.
        Err(NoWay::Closed(Closed::Missing))
    }

    fn login_call(&self, way: DataCenterLogin, account: &str, password: &Secret) -> Call {
        let password = password.reveal();
        let site = &self.upstream;
        match way {
            DataCenterLogin::RestSession => {
                let body = Credentials { username: account, password };
                Call::post(site.url(&["rest", "auth", "1", "session"]), "application/json", json_body(&body))
                    .accepting("application/json")
            }
            DataCenterLogin::PortalForm => {
                let form = url::form_urlencoded::Serializer::new(String::with_capacity(1024))
                    .append_pair("os_username", account)
                    .append_pair("os_password", password)
                    .append_pair("os_captcha", "")
                    .append_pair("os_cookie", "true")
                    .finish();
                let url = site.url(&["servicedesk", "customer", "user", "login"]);
                Call::post(url, "application/x-www-form-urlencoded", text_body(form)).accepting("application/json, */*")
            }
            DataCenterLogin::Tsv => {
                let mut url = site.url(&["rest", "tsv", "1.0", "authenticate"]);
                url.query_pairs_mut().append_pair("os_authType", "none");
                let body = TsvCredentials { username: account, password, remember_me: "true", target_url: "" };
                Call::post(url, "application/json", json_body(&body)).accepting("application/json")
            }
        }
    }
}

#[derive(serde::Serialize)]
struct Credentials<'a> {
    username: &'a str,
    password: &'a str,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct TsvCredentials<'a> {
    username: &'a str,
    password: &'a str,
    remember_me: &'a str,
    target_url: &'a str,
}

/// Whether the answer says that the login was accepted; gives its JSON. What is meant for this person stops all ways:
/// each further try with the same password would be one more failed login.
fn accepted(way: DataCenterLogin, answer: &Answer, account: &str) -> Result<Value, NoWay> {
    let refused = || NoWay::Failed(BrokerFailed::LoginRefused(account.to_owned()));
    let captcha = || NoWay::Failed(BrokerFailed::CaptchaRequired(account.to_owned()));
    if way == DataCenterLogin::PortalForm && answers::login_succeeded(answer) == Some(true) {
        return Ok(Value::Null);
    }
    if answers::wants_captcha(answer) {
        return Err(captcha());
    }
    if answers::wants_second_step(answer) {
        return Err(NoWay::Closed(Closed::SecondStep));
    }
    match answers::seraph(&answer.headers) {
        Seraph::Failed => return Err(refused()),
        Seraph::Denied => return Err(captcha()),
        Seraph::Other => {}
    }
    let page = answer.status.is_redirection() || answer.media_type() == "text/html";
    match answer.status {
        StatusCode::UNAUTHORIZED if !page => return Err(refused()),
        StatusCode::FORBIDDEN if answers::says_basic_auth_is_off(answer) => {
            return Err(NoWay::Closed(Closed::BasicAuthOff));
        }
        status if status == StatusCode::NOT_FOUND || status == StatusCode::GONE => {
            return Err(NoWay::Closed(Closed::Missing));
        }
        _ => {}
    }
    match way {
        DataCenterLogin::PortalForm if answers::login_succeeded(answer) == Some(false) => Err(refused()),
        _ if page => Err(NoWay::Closed(Closed::Page)),
        DataCenterLogin::RestSession | DataCenterLogin::Tsv if answer.status.is_success() => {
            Ok(answer.json().unwrap_or_default())
        }
        _ => Err(NoWay::Closed(Closed::Missing)),
    }
}
