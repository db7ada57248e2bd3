//! Certificates, and how TLS is spoken.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, RawSecret};

/// Certificates and protocol versions of the public side.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawTls {
    /// Chosen by the name that the browser asks for (SNI); of several for one name, the first whose kind of key the browser
    /// can verify. The files are looked at every second, and renewed certificates are served at once.
    #[schemars(example = serde_json::json!([{ "cert": "certs/support.acme.com.pem", "key": "certs/support.acme.com.key" }]))]
    pub certificates: Option<Vec<RawCertificate>>,
    /// Has certificates ordered from a certificate authority, for each portal whose host is in none of `certificates`.
    pub acme: Option<RawAcme>,
    /// The oldest TLS version that is spoken.
    #[schemars(extend("default" = "1.2"))]
    pub minimum_version: Option<RawTlsVersion>,
    /// The only cipher suites that are spoken, the best first, by their IANA names. Without it, all that are known to be good:
    /// AES-GCM and ChaCha20-Poly1305, with forward secrecy.
    #[schemars(example = serde_json::json!(["TLS_AES_256_GCM_SHA384"]))]
    pub cipher_suites: Option<Vec<RawCipherSuite>>,
    /// Certificates that visitors bring, besides signing in.
    pub client_certificates: Option<RawClientCertificates>,
    /// What browsers are told of https (`Strict-Transport-Security`), on every answer.
    pub hsts: Option<RawHsts>,
}

/// For how long browsers speak nothing but https with the portals.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawHsts {
    /// From the latest answer on. `0s` tells browsers to forget it.
    #[schemars(extend("default" = "365d"))]
    pub max_age: Option<DurationText>,
    /// Also with every host below the portal's own. All of them have to speak https then, also those that are not behind this
    /// gateway.
    #[schemars(extend("default" = false))]
    pub include_subdomains: Option<bool>,
    /// Whether browsers may have the host on a list that they come with. Whoever is on it gets off within months only.
    #[schemars(extend("default" = false))]
    pub preload: Option<bool>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the names of the IANA registry")]
pub(in crate::config) enum RawCipherSuite {
    /// TLS 1.3.
    TLS_AES_128_GCM_SHA256,
    /// TLS 1.3.
    TLS_AES_256_GCM_SHA384,
    /// TLS 1.3.
    TLS_CHACHA20_POLY1305_SHA256,
    /// TLS 1.2. HTTP/2 over TLS 1.2 needs it or the next one (RFC 9113, section 9.2.2).
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    /// TLS 1.2.
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    /// TLS 1.2.
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    /// TLS 1.2.
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    /// TLS 1.2.
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    /// TLS 1.2.
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

/// A certificate and its key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawCertificate {
    /// File with the certificate chain, PEM, the gateway's own certificate first.
    #[schemars(example = "certs/support.acme.com.pem")]
    pub cert: String,
    /// File with the private key of the first certificate, PEM, not encrypted.
    #[schemars(example = "certs/support.acme.com.key")]
    pub key: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::config) enum RawTlsVersion {
    /// TLS 1.2 and 1.3.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3 alone.
    #[serde(rename = "1.3")]
    V1_3,
}

/// A certificate authority that issues certificates by ACME. Account, certificates and keys are kept in the session store,
/// sealed with `keys`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawAcme {
    /// The address of its directory. Another one is another account, and everything is ordered anew; certificates of the one
    /// before are kept for the way back.
    #[schemars(example = "https://acme-v02.api.letsencrypt.org/directory")]
    pub directory: String,
    /// That you have read its terms of service, and agree.
    #[schemars(example = true)]
    pub agree_to_terms: bool,
    /// Whom it writes to when something is wrong.
    #[schemars(extend("default" = []), example = serde_json::json!(["mailto:ops@acme.com"]))]
    pub contact: Option<Vec<String>>,
    /// The ways to prove that a host is ours, the best first; when one fails the next is tried. Without it: `tls_alpn_01`, and
    /// `http_01` where there is `listen.http`.
    #[schemars(example = serde_json::json!(["http_01"]))]
    pub challenges: Option<Vec<RawChallenge>>,
    /// A certificate of each of these kinds is ordered. With two, each visitor gets the first whose kind of key they can verify.
    #[schemars(extend("default" = ["ecdsa_p256"]))]
    pub key_types: Option<Vec<RawKeyType>>,
    /// Binds the account to one that the authority knows already.
    pub eab: Option<RawExternalAccount>,
    /// The profile of certificates, for authorities that have several.
    #[schemars(example = &"shortlived")]
    pub profile: Option<String>,
    /// How long before its end a certificate is renewed. Without it, when a third of its life is left. An authority that
    /// suggests an earlier time is followed.
    #[schemars(example = "30d")]
    pub renew_before: Option<DurationText>,
    /// File with the authorities, PEM, that verify the directory itself in place of the system's: for a private one.
    #[schemars(example = "certs/internal-ca.pem")]
    pub ca: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
pub(in crate::config) enum RawChallenge {
    /// A handshake on port 443, which has to lead to `listen.https` with nothing between that ends TLS.
    #[serde(rename = "tls_alpn_01")]
    TlsAlpn01,
    /// A request on port 80, which has to lead to `listen.http`.
    #[serde(rename = "http_01")]
    Http01,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
pub(in crate::config) enum RawKeyType {
    /// Small and fast; every browser of the last ten years knows it.
    #[serde(rename = "ecdsa_p256")]
    EcdsaP256,
    /// For clients that know nothing else.
    #[serde(rename = "rsa_2048")]
    Rsa2048,
}

/// An account that the authority knows already (external account binding).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawExternalAccount {
    /// The key's id, as the authority gives it.
    #[schemars(example = "kid-1")]
    pub kid: String,
    /// The HMAC key, base64url, as the authority gives it.
    #[schemars(example = serde_json::json!({ "file": "secrets/acme-eab" }))]
    pub key: RawSecret,
}

/// Certificates that visitors bring: whoever has none, or one that is not good, gets no connection. The files are looked at
/// every second.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawClientCertificates {
    /// File with the authorities that issue them, PEM.
    #[schemars(example = "certs/partners-ca.pem")]
    pub ca: String,
    /// Files with what these authorities have revoked, PEM. With any, an authority without a list, or with one that is over,
    /// lets nobody in.
    #[schemars(extend("default" = []), example = serde_json::json!(["certs/partners.crl.pem"]))]
    pub crls: Option<Vec<String>>,
    /// The portals, by their hosts. Without it, all.
    #[schemars(example = serde_json::json!(["partners.acme.com"]))]
    pub hosts: Option<Vec<String>>,
    /// Whether there is a way in without one.
    #[schemars(extend("default" = "required"))]
    pub mode: Option<RawDemand>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawDemand {
    /// No certificate, no connection.
    Required,
    /// One that is brought has to be good, and the access log tells its fingerprint.
    Optional,
}
