//! The token request (OpenID Connect Core 3.1.3, RFC 6749 section 4.1.3, RFC 7636 section 4.5) and its answer.

use serde_json::{Map, Value};

use super::rejected::{ErrorCode, OidcRejected, ProviderFault};
use super::strict_json;
use crate::http_client::{Answer, Call, HttpClient};
use crate::secret::Secret;

/// What the token endpoint gave. Other members (refresh token, lifetime) are not used.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) id_token: Secret,
    pub(super) access_token: Option<Secret>,
}

/// Sends the request once: a code is for one use, so nothing here is repeated.
pub(super) async fn redeem(http: &HttpClient, request: Call) -> Result<Tokens, OidcRejected> {
    let answer = http.send(request).await.map_err(|failed| ProviderFault::from_call("token endpoint", &failed))?;
    read(&answer)
}

fn read(answer: &Answer) -> Result<Tokens, OidcRejected> {
    let misbehaved = |what: &str| OidcRejected::Provider(ProviderFault::Misbehaved(format!("token endpoint: {what}")));
    let status = answer.status.as_u16();
    let body = strict_json::object(&answer.body).ok();
    let error = body.as_ref().and_then(|body| body.get("error"));
    match (status, error) {
        (500..=599 | 429, _) => {
            return Err(ProviderFault::Unreachable(format!("token endpoint: status {status}")).into());
        }
        (_, Some(error)) => return Err(from_error(error.as_str().unwrap_or_default())),
        (401, None) => return Err(OidcRejected::ClientRefused(ErrorCode::new("status_401"))),
        (200, None) => {}
        (status, None) => return Err(misbehaved(&format!("status {status}"))),
    }
    let body = body.ok_or_else(|| misbehaved("not a JSON object"))?;
    // RFC 6749 section 5.1: required, and compared without regard to case.
    if !text(&body, "token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(misbehaved("token_type is not Bearer"));
    }
    let id_token = text(&body, "id_token").ok_or_else(|| misbehaved("id_token is missing"))?;
    let access_token = text(&body, "access_token").filter(|token| !token.is_empty());
    Ok(Tokens { id_token: Secret::generated(id_token), access_token: access_token.map(Secret::generated) })
}

/// RFC 6749 section 5.2.
fn from_error(error: &str) -> OidcRejected {
    match error {
        "invalid_grant" => OidcRejected::CodeRefused,
        "invalid_client" | "unauthorized_client" => OidcRejected::ClientRefused(ErrorCode::new(error)),
        "temporarily_unavailable" | "server_error" => {
            ProviderFault::Unreachable(format!("token endpoint: {error}")).into()
        }
        other => ProviderFault::Misbehaved(format!("token endpoint: error {}", ErrorCode::new(other))).into(),
    }
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn outcome(status: u16, body: &'static str) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) };
        match read(&answer) {
            Ok(tokens) => tokens.id_token.reveal().to_owned(),
            Err(rejected) => rejected.reason().to_owned(),
        }
    }

    #[test]
    fn b19_answers_of_the_token_endpoint() {
        for (status, body, expected) in [
            (200, r#"{"id_token":"t","access_token":"a","token_type":"Bearer"}"#, "t"),
            (200, r#"{"id_token":"t","access_token":"a","token_type":"bEaReR","expires_in":"3600"}"#, "t"),
            (200, r#"{"id_token":"t","access_token":"a","token_type":"bearer","expires_in":-1}"#, "t"),
            (200, r#"{"id_token":"t","access_token":"a"}"#, "provider_misbehaved"),
            (200, r#"{"id_token":"t","access_token":"a","token_type":"MAC"}"#, "provider_misbehaved"),
            (200, r#"{"access_token":"a","token_type":"Bearer"}"#, "provider_misbehaved"),
            (200, r#"{"id_token":7,"access_token":"a","token_type":"Bearer"}"#, "provider_misbehaved"),
            (200, r#"{"id_token":"t","id_token":"u","token_type":"Bearer"}"#, "provider_misbehaved"),
            (200, r#"{"error":"invalid_grant","id_token":"t","token_type":"Bearer"}"#, "code_refused"),
            (200, "<html>", "provider_misbehaved"),
            (200, "", "provider_misbehaved"),
            (201, r#"{"id_token":"t","access_token":"a","token_type":"Bearer"}"#, "provider_misbehaved"),
            (302, "", "provider_misbehaved"),
            (400, r#"{"error":"invalid_grant"}"#, "code_refused"),
            (400, r#"{"error":"<script>"}"#, "provider_misbehaved"),
            (401, r#"{"error":"invalid_client"}"#, "client_refused"),
            (401, "", "client_refused"),
            (503, "", "provider_unreachable"),
            (500, r#"{"error":"invalid_grant"}"#, "provider_unreachable"),
        ] {
            assert_eq!(outcome(status, body), expected, "{status} {body}");
        }
    }
}
