//! What the answers of Atlassian's products have in common, whichever product it is.

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::UpstreamFailed;
use crate::http_client::Answer;

/// Most characters of an upstream's message that go into a log.
const MESSAGE: usize = 200;

/// One page of a list of the Service Management API. `size` is told too, and not to be trusted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::customer) struct Page<T> {
    pub is_last_page: bool,
    pub values: Vec<T>,
}

/// A good answer of that shape.
pub(in crate::customer) fn understood<T: DeserializeOwned>(
    answer: &Answer,
    asked: &'static str,
) -> Result<T, UpstreamFailed> {
    let body = answer.status.is_success().then(|| answer.json().ok()).flatten();
    body.ok_or(UpstreamFailed::Unexpected(asked))
}

/// Whether the thing that was asked about is not there, or not as the call supposes.
pub(in crate::customer) fn is_absent(answer: &Answer) -> bool {
    matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::CONFLICT)
}

/// What went wrong in the upstream's words: both forms of error, in one short line without control characters.
pub(in crate::customer) fn message(answer: &Answer) -> String {
    let body = answer.json::<Value>().unwrap_or_default();
    let mut words: Vec<&str> = Vec::new();
    for key in ["errorMessage", "message", "reason"] {
        words.extend(body.get(key).and_then(Value::as_str));
    }
    words.extend(body.get("errorMessages").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str));
    let fields = body.get("errors").and_then(Value::as_object);
    words.extend(fields.into_iter().flat_map(|fields| fields.values()).filter_map(Value::as_str));
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    words.join("; ").chars().map(plain).take(MESSAGE).collect()
}

/// Whether a 403 says that Basic authentication is turned off (since 8.16). Looks at the text: there is no code for it.
pub(in crate::customer) fn says_basic_auth_is_off(answer: &Answer) -> bool {
    let body = String::from_utf8_lossy(answer.body.get(..4096).unwrap_or(&answer.body)).to_ascii_lowercase();
    body.contains("basic auth") && ["disabled", "turned off", "not allowed"].iter().any(|word| body.contains(word))
}

/// Whether an answer asks for a CAPTCHA: by the documented header, or in the JSON of the portal's login.
pub(in crate::customer) fn wants_captcha(answer: &Answer) -> bool {
    let header = |name: &str| answer.headers.get(name).map(|value| value.as_bytes());
    let denied = header("x-authentication-denied-reason").unwrap_or_default();
    denied.windows(7).any(|word| word.eq_ignore_ascii_case(b"captcha"))
        || answer.json::<Value>().is_ok_and(|body| {
            says("", &body, &|key, value| {
                let key = key.to_ascii_lowercase();
                (key.contains("captcha") || key.contains("elevatedsecurity")) && *value == Value::Bool(true)
            })
        })
}

/// Whether anything in `value`, however deep, fits; what stands in a list goes by the list's key.
pub(in crate::customer) fn says(key: &str, value: &Value, fits: &impl Fn(&str, &Value) -> bool) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, member)| says(key, member, fits)),
        Value::Array(items) => items.iter().any(|item| says(key, item, fits)),
        _ => fits(key, value),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn both_forms_of_error_are_read() {
        let platform = answer(400, r#"{"errorMessages":["a\nb"],"errors":{"password":"too short"}}"#);
        assert_eq!(message(&platform), "a b; too short");
        let desk = answer(400, r#"{"errorMessage":"no","i18nErrorMessage":{"i18nKey":"sd.no","parameters":[]}}"#);
        assert_eq!(message(&desk), "no");
        assert_eq!(message(&answer(400, "<html>")), "");
    }

    #[test]
    fn a_captcha_is_seen_in_headers_and_in_json() {
        let mut by_header = answer(403, "");
        by_header.headers.insert(
            "x-authentication-denied-reason",
            HeaderValue::from_static("CAPTCHA_CHALLENGE; login-url=https://jira/login.jsp"),
        );
        assert!(wants_captcha(&by_header));
        assert!(wants_captcha(&answer(200, r#"{"loginSucceeded":false,"captchaFailure":true}"#)));
        assert!(!wants_captcha(&answer(200, r#"{"loginSucceeded":false,"captchaFailure":false}"#)));
    }

    #[test]
    fn a_page_says_itself_whether_it_is_the_last() {
        let page: Page<u8> = serde_json::from_str(r#"{"size":50,"isLastPage":false,"values":[1]}"#).unwrap();
        assert!(!page.is_last_page && page.values == [1]);
        assert!(serde_json::from_str::<Page<u8>>(r#"{"size":1,"values":[1]}"#).is_err());
    }
}
