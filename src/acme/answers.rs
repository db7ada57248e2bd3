//! Answers to challenges that are out. Every gateway has all of them: an authority asks whichever it reaches.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use ring::digest::{SHA256, digest};
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};

use super::settings::ChallengeKind;
use crate::clock::Timestamp;
use crate::portal::HostName;

/// The protocol that a TLS handshake names which is a challenge and nothing else (RFC 8737, section 6.2).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// Where tokens are asked for (RFC 8555, section 8.3).
const HTTP_01_PATH: &str = "/.well-known/acme-challenge/";

/// The token that a path asks for.
pub fn http_01_token(path: &str) -> Option<&str> {
    path.strip_prefix(HTTP_01_PATH).filter(|token| !token.is_empty())
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub kind: ChallengeKind,
    pub host: HostName,
    pub token: String,
    /// The token, and which account has it (RFC 8555, section 8.1).
    pub key_authorization: String,
    /// Who died over an order left it behind; it is taken away after this.
    pub until: Timestamp,
}

/// An answer, and the certificate that it is told with.
#[derive(Clone)]
struct AtHand {
    answer: Answer,
    certificate: Option<Arc<CertifiedKey>>,
}

/// The answers at hand. Clones share them; looking at them waits for nobody.
#[derive(Clone, Default)]
pub struct Answers(Arc<ArcSwap<Vec<AtHand>>>);

impl Answers {
    /// What is answered to `token`, asked of `host` on port 80.
    pub fn http_01(&self, host: &HostName, token: &str) -> Option<String> {
        let at_hand = self.0.load();
        let asked = |one: &&AtHand| {
            let answer = &one.answer;
            answer.kind == ChallengeKind::Http01 && answer.host == *host && answer.token == token
        };
        at_hand.iter().find(asked).map(|one| one.answer.key_authorization.clone())
    }

    /// The certificate that answers a handshake for `host` in the protocol [`ACME_TLS`].
    pub fn tls_alpn_01(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let at_hand = self.0.load();
        // The latest one: an order that was given up may have left another behind.
        let mut of_host = at_hand.iter().rev().filter(|one| one.answer.host.as_str().eq_ignore_ascii_case(host));
        of_host.find_map(|one| one.certificate.clone())
    }

    /// These are the answers from now on. What was there already is kept with its certificate.
    pub(super) fn replace(&self, answers: &[Answer]) {
        let known = self.0.load();
        if known.len() == answers.len() && known.iter().zip(answers).all(|(one, other)| one.answer == *other) {
            return;
        }
        let at_hand = |answer: &Answer| match known.iter().find(|one| one.answer == *answer) {
            Some(one) => one.clone(),
            None => AtHand { answer: answer.clone(), certificate: certificate(answer) },
        };
        self.0.store(Arc::new(answers.iter().map(at_hand).collect()));
    }
}

/// The hosts that are asked for.
impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.load().iter().map(|one| one.answer.host.as_str())).finish()
    }
}

/// The certificate of RFC 8737, section 3: the host, and a digest of the key authorization, which nobody trusts.
fn certificate(answer: &Answer) -> Option<Arc<CertifiedKey>> {
    if answer.kind != ChallengeKind::TlsAlpn01 {
        return None;
    }
    let made = (|| {
        let key = KeyPair::generate().ok()?;
        let mut params = CertificateParams::new(vec![answer.host.to_string()]).ok()?;
        params.distinguished_name = DistinguishedName::new();
        let digest = digest(&SHA256, answer.key_authorization.as_bytes());
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
        let certificate = params.self_signed(&key).ok()?;
        let der = PrivateKeyDer::try_from(key.serialize_der()).ok()?;
        // Not read again: no verifier takes a certificate with this extension for one of a server.
        let key = rustls::crypto::ring::sign::any_supported_type(&der).ok()?;
        Some(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
    })();
    if made.is_none() {
        tracing::error!(host = %answer.host, "the certificate that answers a tls-alpn-01 challenge could not be made");
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: ChallengeKind, host: &str, token: &str) -> Answer {
        let host = HostName::parse(host).unwrap();
        let key_authorization = format!("{token}.thumbprint");
        Answer { kind, host, token: token.into(), key_authorization, until: Timestamp::from_seconds(60) }
    }

    #[test]
    fn each_answer_is_for_its_host_its_token_and_its_kind() {
        let answers = Answers::default();
        let (http, tls) = (ChallengeKind::Http01, ChallengeKind::TlsAlpn01);
        answers.replace(&[answer(http, "a.test", "one"), answer(tls, "b.test", "two")]);
        let host = |name: &str| HostName::parse(name).unwrap();
        assert_eq!(answers.http_01(&host("a.test"), "one").as_deref(), Some("one.thumbprint"));
        for (other, token) in [("a.test", "two"), ("a.test", "on"), ("b.test", "one"), ("b.test", "two")] {
            assert_eq!(answers.http_01(&host(other), token), None, "{other} {token}");
        }
        assert!(answers.tls_alpn_01("B.test").is_some());
        assert!(answers.tls_alpn_01("a.test").is_none());
        let same = answers.tls_alpn_01("b.test").unwrap();
        answers.replace(&[answer(tls, "b.test", "two")]);
        assert!(Arc::ptr_eq(&same, &answers.tls_alpn_01("b.test").unwrap()), "it is not made anew");
        assert_eq!(answers.http_01(&host("a.test"), "one"), None);
        answers.replace(&[]);
        assert!(answers.tls_alpn_01("b.test").is_none());
    }

    #[test]
    fn only_a_token_is_a_token() {
        assert_eq!(http_01_token("/.well-known/acme-challenge/abc_-1"), Some("abc_-1"));
        for other in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge", "/x", "/.well-known/"] {
            assert_eq!(http_01_token(other), None, "{other}");
        }
    }
}
