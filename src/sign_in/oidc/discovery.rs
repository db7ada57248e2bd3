//! The provider's metadata (OpenID Connect Discovery 1.0, RFC 8414), as far as a relying party for the code flow needs it.

use serde_json::{Map, Value};
use url::{Host, Url};

use super::rejected::ProviderFault;
use super::strict_json;
use crate::http_client::{Answer, Call, HttpClient, allowed};

/// What we use of the metadata.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) end_session_endpoint: Option<Url>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3).
    pub(super) answers_with_issuer: bool,
}

/// Where the metadata of `issuer` is (Discovery 4): its path, without a slash at the end, and the well-known suffix.
pub(super) fn metadata_url(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    let path = format!("{}/.well-known/openid-configuration", issuer.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

impl Metadata {
    /// Reads metadata that was fetched for `issuer`, whose configured text is `issuer_text`.
    pub(super) fn parse(bytes: &[u8], issuer: &Url, issuer_text: &str) -> Result<Self, ProviderFault> {
        let wrong = |what: &str| ProviderFault::Misbehaved(format!("metadata: {what}"));
        let document = strict_json::object(bytes).map_err(|_| wrong("not a JSON object"))?;
        // Discovery 4.3: exactly the issuer that was used, or somebody else's keys would do.
        if document.get("issuer").and_then(Value::as_str) != Some(issuer_text) {
            return Err(wrong("the issuer is not the one that is configured"));
        }
        let required = |name| endpoint(&document, name, issuer)?.ok_or_else(|| wrong(&format!("{name} is missing")));
        Ok(Self {
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint: required("token_endpoint")?,
            jwks_uri: required("jwks_uri")?,
            userinfo_endpoint: endpoint(&document, "userinfo_endpoint", issuer)?,
            end_session_endpoint: endpoint(&document, "end_session_endpoint", issuer)?,
            answers_with_issuer: document.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        })
    }
}

/// An endpoint may be on another host (large providers do that), but not on ours, and never in plain text.
fn endpoint(document: &Map<String, Value>, name: &str, issuer: &Url) -> Result<Option<Url>, ProviderFault> {
    let wrong = |what: &str| ProviderFault::Misbehaved(format!("metadata: {name} {what}"));
    let text = match document.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        Some(_) => return Err(wrong("is not a string")),
    };
    let url = Url::parse(text).map_err(|_| wrong("is not a URL"))?;
    if !allowed(&url) || url.fragment().is_some() {
        return Err(wrong("is not an https URL without user and fragment"));
    }
    if is_loopback(&url) && !is_loopback(issuer) {
        return Err(wrong("points back to this machine"));
    }
    Ok(Some(url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => false,
    }
}

/// Fetches a document that has to be there: status 200.
pub(super) async fn fetch(http: &HttpClient, what: &str, call: Call) -> Result<Answer, ProviderFault> {
    let answer = http.send(call).await.map_err(|failed| ProviderFault::from_call(what, &failed))?;
    let status = answer.status;
    match status.as_u16() {
        200 => Ok(answer),
        429 | 500..=599 => Err(ProviderFault::Unreachable(format!("{what}: status {}", status.as_u16()))),
        other => Err(ProviderFault::Misbehaved(format!("{what}: status {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(issuer: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Result<Metadata, ProviderFault> {
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": "https://idp.example/authorize?tenant=1",
            "token_endpoint": "https://tokens.idp.example/token",
            "jwks_uri": "https://idp.example/jwks",
        });
        change(document.as_object_mut().unwrap());
        Metadata::parse(document.to_string().as_bytes(), &issuer.parse().unwrap(), issuer)
    }

    #[test]
    fn the_well_known_place_keeps_the_path_of_the_issuer() {
        for (issuer, expected) in [
            ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
            ("https://idp.example/", "https://idp.example/.well-known/openid-configuration"),
            ("https://idp.example/realms/a", "https://idp.example/realms/a/.well-known/openid-configuration"),
            ("https://idp.example/realms/a/", "https://idp.example/realms/a/.well-known/openid-configuration"),
        ] {
            assert_eq!(metadata_url(&issuer.parse().unwrap()).as_str(), expected);
        }
    }

    #[test]
    fn b22_metadata_of_somebody_else_is_refused() {
        assert!(parse("https://idp.example", |_| {}).is_ok());
        for issuer in
            [json!("https://idp.example/"), json!("https://IDP.example"), json!("https://evil.test"), json!(1)]
        {
            let refused = parse("https://idp.example", |document| {
                document.insert("issuer".into(), issuer.clone());
            });
            assert!(matches!(refused, Err(ProviderFault::Misbehaved(_))), "{issuer}");
        }
        assert!(parse("https://idp.example", |document| drop(document.remove("issuer"))).is_err());
    }

    #[test]
    fn b22_endpoints_are_there_on_https_and_not_on_this_machine() {
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            assert!(parse("https://idp.example", |document| drop(document.remove(name))).is_err(), "{name}");
        }
        for name in
            ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"]
        {
            for wrong in [
                json!("http://idp.example/x"),
                json!("http://169.254.169.254/x"),
                json!("http://127.0.0.1:9090/x"),
                json!("https://localhost/x"),
                json!("https://0.0.0.0/x"),
                json!("https://user:pass@idp.example/x"),
                json!("https://idp.example/x#fragment"),
                json!("javascript:alert(1)"),
                json!("/relative"),
                json!(""),
                json!(7),
                json!(["https://idp.example/x"]),
            ] {
                let refused = parse("https://idp.example", |document| {
                    document.insert(name.into(), wrong.clone());
                });
                assert!(refused.is_err(), "{name} {wrong}");
            }
        }
        let at_home = parse("http://127.0.0.1:8080", |document| {
            document.insert("jwks_uri".into(), json!("http://127.0.0.1:8080/jwks"));
        });
        assert!(at_home.is_ok());
    }
}
