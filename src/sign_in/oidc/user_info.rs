//! The UserInfo request (OpenID Connect Core 5.3), for claims that the ID token lacks.

use serde_json::{Map, Value};

use super::rejected::{OidcRejected, ProviderFault, UserInfoRejected};
use super::strict_json;
use crate::http_client::{Answer, Call, HttpClient};
use crate::secret::Secret;

/// Makes `call` to the UserInfo endpoint for the claims of `subject`. The token goes into the header, never into the URL (RFC 6750 section 2).
pub(super) async fn ask(
    http: &HttpClient,
    call: Call,
    access_token: &Secret,
    subject: &str,
) -> Result<Map<String, Value>, OidcRejected> {
    let bearer = Secret::generated(format!("Bearer {}", access_token.reveal()));
    let call = call.authorized(bearer.reveal());
    let answer = http.send(call).await.map_err(|failed| ProviderFault::from_call("UserInfo", &failed))?;
    read(&answer, subject)
}

fn read(answer: &Answer, subject: &str) -> Result<Map<String, Value>, OidcRejected> {
    match answer.status.as_u16() {
        200 => {}
        status @ (429 | 500..=599) => {
            return Err(ProviderFault::Unreachable(format!("UserInfo: status {status}")).into());
        }
        status => return Err(ProviderFault::Misbehaved(format!("UserInfo: status {status}")).into()),
    }
    if answer.media_type() == "application/jwt" {
        return Err(OidcRejected::UserInfo(UserInfoRejected::Signed));
    }
    let claims = strict_json::object(&answer.body).map_err(|_| OidcRejected::UserInfo(UserInfoRejected::Malformed))?;
    // Core 5.3.2: without this, one access token put in place of another would change who somebody is.
    if claims.get("sub").and_then(Value::as_str) != Some(subject) {
        return Err(OidcRejected::UserInfo(UserInfoRejected::WrongSubject));
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    fn outcome(status: u16, media_type: &'static str, body: &'static str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(media_type));
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers, body: Bytes::from_static(body.as_bytes()) };
        read(&answer, "ana").map_or_else(|rejected| rejected.reason(), |_| "ok")
    }

    #[test]
    fn b21_answers_of_userinfo() {
        let json = "application/json; charset=utf-8";
        for (status, media_type, body, expected) in [
            (200, json, r#"{"sub":"ana","email":"ana@acme.com"}"#, "ok"),
            (200, json, r#"{"sub":"bob","email":"ana@acme.com"}"#, "userinfo_wrong_subject"),
            (200, json, r#"{"email":"ana@acme.com"}"#, "userinfo_wrong_subject"),
            (200, json, r#"{"sub":["ana"]}"#, "userinfo_wrong_subject"),
            (200, json, r#"{"sub":"ana","sub":"bob"}"#, "userinfo_malformed"),
            (200, "application/JWT", "e30.e30.x", "userinfo_signed"),
            (200, json, "e30.e30.x", "userinfo_malformed"),
            (200, "text/html", "<html>", "userinfo_malformed"),
            (302, json, "", "provider_misbehaved"),
            (401, json, "{}", "provider_misbehaved"),
            (503, json, "", "provider_unreachable"),
        ] {
            assert_eq!(outcome(status, media_type, body), expected, "{status} {media_type} {body}");
        }
    }
}
