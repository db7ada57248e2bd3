//! How we prove to the token endpoint who we are (OpenID Connect Core 9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use url::{Url, form_urlencoded};

use super::super::settings::ClientAuthentication;
use super::rejected::OidcRejected;
use crate::clock::Timestamp;
use crate::http_client::Call;
use crate::random::Random;
use crate::secret::Secret;

/// How long an assertion may be used, in seconds.
const ASSERTION_LIFETIME: i64 = 60;

/// What the configured way needs, ready for use.
pub(super) enum Authenticator {
    Basic(Secret),
    Post(Secret),
    Assertion { key: EncodingKey, algorithm: Algorithm, key_id: Option<String> },
}

/// The configured key cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key for private_key_jwt is not a PEM (PKCS#8) private key of type RSA, P-256, P-384 or Ed25519")]
pub struct UnusableClientKey;

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

impl Authenticator {
    /// Makes ready what `settings` say.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub(super) fn new(settings: &ClientAuthentication) -> Result<Self, UnusableClientKey> {
        match settings {
            ClientAuthentication::SecretBasic(secret) => Ok(Self::Basic(secret.clone())),
            ClientAuthentication::SecretPost(secret) => Ok(Self::Post(secret.clone())),
            ClientAuthentication::PrivateKeyJwt { key, key_id } => {
                let (key, algorithm) = signing_key(key.reveal().as_bytes()).ok_or(UnusableClientKey)?;
                Ok(Self::Assertion { key, algorithm, key_id: key_id.clone() })
            }
        }
    }

    /// A request to `endpoint` with `form` and the proof.
    pub(super) fn request(
        &self,
        endpoint: &Url,
        client_id: &str,
        form: &[(&str, &str)],
        random: &Random,
        now: Timestamp,
    ) -> Result<Call, OidcRejected> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut authorization = None;
        match self {
            // RFC 6749 section 2.3.1: form-encoded first, so that ":" and "%" in a secret mean themselves.
            Self::Basic(secret) => {
                let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = Secret::generated(format!("{}:{}", encode(client_id), encode(secret.reveal())));
                authorization = Some(Secret::generated(format!("Basic {}", STANDARD.encode(pair.reveal()))));
            }
            Self::Post(secret) => {
                body.append_pair("client_id", client_id).append_pair("client_secret", secret.reveal());
            }
            Self::Assertion { key, algorithm, key_id } => {
                let mut header = Header::new(*algorithm);
                header.kid.clone_from(key_id);
                let claims = Assertion {
                    iss: client_id,
                    sub: client_id,
                    aud: endpoint.as_str(),
                    jti: random.token().map_err(|_| OidcRejected::Cryptography("no randomness"))?,
                    iat: now.seconds(),
                    exp: now.seconds().saturating_add(ASSERTION_LIFETIME),
                };
                let assertion = jsonwebtoken::encode(&header, &claims, key)
                    .map_err(|_| OidcRejected::Cryptography("the client assertion could not be signed"))?;
                body.append_pair("client_id", client_id)
                    .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                    .append_pair("client_assertion", &assertion);
            }
        }
        let call = Call::post(endpoint.clone(), "application/x-www-form-urlencoded", body.finish());
        let call = call.accepting("application/json");
        Ok(match authorization {
            Some(authorization) => call.authorized(authorization.reveal()),
            None => call,
        })
    }
}

/// The key, and the algorithm that goes with its type: a PEM does not say it, so try which one signs.
fn signing_key(pem: &[u8]) -> Option<(EncodingKey, Algorithm)> {
    let readings = [
        (EncodingKey::from_rsa_pem(pem), Algorithm::RS256),
        (EncodingKey::from_ec_pem(pem), Algorithm::ES256),
        (EncodingKey::from_ec_pem(pem), Algorithm::ES384),
        (EncodingKey::from_ed_pem(pem), Algorithm::EdDSA),
    ];
    readings.into_iter().find_map(|(key, algorithm)| {
        let key = key.ok()?;
        jsonwebtoken::crypto::sign(b"probe", &key, algorithm).ok()?;
        Some((key, algorithm))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(settings: &ClientAuthentication, client_id: &str) -> Call {
        let endpoint = "https://idp.example/token".parse().unwrap();
        let authenticator = Authenticator::new(settings).unwrap();
        let form = [("grant_type", "authorization_code"), ("code", "a b&c")];
        authenticator.request(&endpoint, client_id, &form, &Random::default(), Timestamp::from_seconds(1000)).unwrap()
    }

    fn form(call: &Call) -> std::collections::HashMap<String, String> {
        form_urlencoded::parse(&call.body).into_owned().collect()
    }

    #[test]
    fn b20_basic_is_form_encoded_first() {
        let secret = Secret::generated("p:a%s+ s/ü");
        let call = request(&ClientAuthentication::SecretBasic(secret), "cl:ient");
        let header = call.headers["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
        let pair = String::from_utf8(STANDARD.decode(header).unwrap()).unwrap();
        assert_eq!(pair, "cl%3Aient:p%3Aa%25s%2B+s%2F%C3%BC");
        assert!(call.headers["authorization"].is_sensitive());
        assert_eq!(form(&call)["code"], "a b&c");
        assert!(!form(&call).contains_key("client_secret"));
    }

    #[test]
    fn b20_post_goes_into_the_body_and_never_into_the_url() {
        let call = request(&ClientAuthentication::SecretPost(Secret::generated("p:a%s ü")), "client");
        assert_eq!((form(&call)["client_secret"].as_str(), form(&call)["client_id"].as_str()), ("p:a%s ü", "client"));
        assert_eq!((call.url.query(), call.headers.get("authorization")), (None, None));
    }

    #[test]
    fn b20_private_key_jwt_by_key_type() {
        for (algorithm, name) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "ES256"),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "ES384"),
            (&rcgen::PKCS_ED25519, "EdDSA"),
        ] {
            let pem = rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem();
            let settings =
                ClientAuthentication::PrivateKeyJwt { key: Secret::generated(pem), key_id: Some("k1".into()) };
            let call = request(&settings, "client");
            let assertion = &form(&call)["client_assertion"];
            let part = |index| -> serde_json::Value {
                let part = assertion.split('.').nth(index).unwrap();
                let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
                serde_json::from_slice(&decoded).unwrap()
            };
            assert_eq!((part(0)["alg"].as_str().unwrap(), part(0)["kid"].as_str().unwrap()), (name, "k1"));
            let claims = part(1);
            assert_eq!((&claims["iss"], &claims["sub"]), (&"client".into(), &"client".into()));
            assert_eq!(claims["aud"], "https://idp.example/token");
            assert_eq!((claims["iat"].as_i64(), claims["exp"].as_i64()), (Some(1000), Some(1060)));
            assert_eq!(claims["jti"].as_str().unwrap().len(), 43);
        }
        let nonsense = ClientAuthentication::PrivateKeyJwt { key: Secret::generated("nonsense"), key_id: None };
        assert_eq!(Authenticator::new(&nonsense).err(), Some(UnusableClientKey));
    }
}
