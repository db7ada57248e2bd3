//! The keys that sign tokens for an upstream: the first signs, all are published (RFC 7517), so that one follows another
//! without a gap.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::secret::Secret;

/// The least size of an RSA key, in octets of its modulus: 2048 bits (RFC 7518, section 3.3).
const LEAST_RSA_OCTETS: usize = 256;

/// A key cannot sign tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenKeyRefused {
    /// It is none of the kinds that we sign with.
    #[error("there is no PEM private key (PKCS #8, without a passphrase) of type RSA or P-256")]
    UnknownKey,
    /// It is too short.
    #[error("the RSA key has less than 2048 bits")]
    WeakKey,
}

/// The token was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token was not signed")]
pub struct NotSigned;

/// One private key, and how it is published.
struct TokenKey {
    private: EncodingKey,
    algorithm: Algorithm,
    published: Jwk,
}

/// The keys of one portal.
pub struct TokenKeys {
    signs: TokenKey,
    published: Bytes,
    ids: Vec<String>,
}

impl TokenKey {
    /// RSA keys sign with RS256, P-256 keys with ES256. A key's id is its thumbprint (RFC 7638).
    fn from_pem(key: &Secret) -> Result<Self, TokenKeyRefused> {
        let pem = key.reveal().as_bytes();
        let readings =
            [(EncodingKey::from_rsa_pem(pem), Algorithm::RS256), (EncodingKey::from_ec_pem(pem), Algorithm::ES256)];
        let signs = |(key, algorithm): (jsonwebtoken::errors::Result<EncodingKey>, Algorithm)| {
            let key = key.ok()?;
            // A PEM does not tell its curve: try.
            jsonwebtoken::crypto::sign(b"", &key, algorithm).is_ok().then_some((key, algorithm))
        };
        let (private, algorithm) = readings.into_iter().find_map(signs).ok_or(TokenKeyRefused::UnknownKey)?;
        let unknown = |_| TokenKeyRefused::UnknownKey;
        let mut published = Jwk::from_encoding_key(&private, algorithm).map_err(unknown)?;
        if let AlgorithmParameters::RSA(parameters) = &published.algorithm {
            let modulus = URL_SAFE_NO_PAD.decode(&parameters.n).map_err(|_| TokenKeyRefused::UnknownKey)?;
            let octets = modulus.iter().skip_while(|octet| **octet == 0).count();
            if octets < LEAST_RSA_OCTETS {
                return Err(TokenKeyRefused::WeakKey);
            }
        }
        published.common.key_id = Some(published.thumbprint(ThumbprintHash::SHA256).map_err(unknown)?);
        published.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { private, algorithm, published })
    }
}

impl TokenKeys {
    /// Reads the keys; the first one signs.
    ///
    /// # Errors
    /// The number of the first key that cannot serve, from 0, and why; none at all counts as the first.
    pub fn from_pems(keys: &[Secret]) -> Result<Self, (usize, TokenKeyRefused)> {
        let read = |(index, key)| TokenKey::from_pem(key).map_err(|refused| (index, refused));
        let keys: Vec<TokenKey> = keys.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let set = JwkSet { keys: keys.iter().map(|key| key.published.clone()).collect() };
        let ids = set.keys.iter().filter_map(|key| key.common.key_id.clone()).collect();
        let published = serde_json::to_vec(&set).map_err(|_| (0, TokenKeyRefused::UnknownKey))?;
        let signs = keys.into_iter().next().ok_or((0, TokenKeyRefused::UnknownKey))?;
        Ok(Self { signs, published: published.into(), ids })
    }

    /// The public keys, as a JWK set.
    pub fn published(&self) -> &Bytes {
        &self.published
    }

    /// The keys' names, the one that signs first.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// A signed token that says `claims`. Takes about a millisecond with RSA: not for an async worker.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<Secret, NotSigned> {
        let mut header = Header::new(self.signs.algorithm);
        header.kid.clone_from(&self.signs.published.common.key_id);
        jsonwebtoken::encode(&header, claims, &self.signs.private).map(Secret::generated).map_err(|_| NotSigned)
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKeys({})", self.ids.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{p256_pem, rsa_pem};
    use super::*;

    fn published(keys: &[Secret]) -> Value {
        serde_json::from_slice(TokenKeys::from_pems(keys).unwrap().published()).unwrap()
    }

    #[test]
    fn each_kind_of_key_is_published_with_its_algorithm_and_without_its_secret() {
        let keys = [rsa_pem(), p256_pem()];
        let set = published(&keys);
        let told = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let [rsa, ec] = set["keys"].as_array().unwrap().as_slice() else { panic!("{set}") };
        assert_eq!(
            (told(rsa, "kty"), told(rsa, "alg"), told(rsa, "use")),
            ("RSA".into(), "RS256".into(), "sig".into())
        );
        assert_eq!((told(ec, "kty"), told(ec, "alg"), told(ec, "crv")), ("EC".into(), "ES256".into(), "P-256".into()));
        for key in [rsa, ec] {
            assert_eq!(told(key, "kid").len(), 43, "a SHA-256 thumbprint");
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(key.get(private).is_none(), "{key}");
            }
        }
        assert_ne!(told(rsa, "kid"), told(ec, "kid"));
        assert_eq!(set, published(&keys), "the ids do not change with a restart");
    }

    #[test]
    fn the_first_signs_and_says_which_it_is() {
        let keys = TokenKeys::from_pems(&[p256_pem(), rsa_pem()]).unwrap();
        let token = keys.sign(&json!({ "sub": "ana" })).unwrap();
        let header = jsonwebtoken::decode_header(token.reveal()).unwrap();
        assert_eq!((header.alg, header.kid.as_ref()), (Algorithm::ES256, keys.ids().first()));
        assert!(!format!("{keys:?}").contains("PRIVATE"));
    }

    #[test]
    fn keys_that_cannot_serve_are_refused_by_name() {
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
        for wrong in ["", "secret", &ed25519, &p384] {
            let refused = TokenKeys::from_pems(&[rsa_pem(), Secret::generated(wrong)]).unwrap_err();
            assert_eq!(refused, (1, TokenKeyRefused::UnknownKey), "{wrong}");
        }
        let weak = Secret::generated(crate::saml::test_keys::weak_rsa_key_pem());
        let (_, refused) = TokenKeys::from_pems(&[weak]).unwrap_err();
        assert!(matches!(refused, TokenKeyRefused::WeakKey | TokenKeyRefused::UnknownKey), "{refused:?}");
        assert!(TokenKeys::from_pems(&[]).is_err());
    }
}
