//! What the cookie of a customer's session tells of itself: whose it is, and until when.
//!
//! It is a signed token whose key nobody but Atlassian has, so that nothing here is proven by its signature. It proves one
//! thing alone: what the site itself has said, over the connection on which it set the cookie. That is what has to be known
//! before the cookie is used for anybody.

use serde::Deserialize;
use serde_json::Number;

use crate::clock::Timestamp;
use crate::secret::Secret;

/// A longer token is not looked at, in bytes: a cookie has 4 KiB.
const LONGEST: usize = 8 * 1024;

/// What a token tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The account id.
    pub account: String,
    /// When it is over, where it tells.
    pub expires: Option<Timestamp>,
}

/// Whether a token tells that it is that account's.
pub(super) fn is_of(token: &Secret, account: &str) -> bool {
    Told::read(token).is_some_and(|told| told.account == account)
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: Option<Number>,
}

impl Told {
    /// Reads a token; `None` when it does not tell whose it is.
    pub fn read(token: &Secret) -> Option<Self> {
        let token = token.reveal();
        if token.len() > LONGEST {
            return None;
        }
        // "Dangerous" where it is taken for proof, which it is not here.
        let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
        let expires = claims.exp.as_ref().and_then(Number::as_i64).map(Timestamp::from_seconds);
        (!claims.sub.is_empty()).then_some(Self { account: claims.sub, expires })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn told(claims: &str) -> Option<Told> {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        Told::read(&Secret::generated(format!("{}.{}.c2lnbmF0dXJl", part(r#"{"alg":"HS256"}"#), part(claims))))
    }

    #[test]
    fn a_token_tells_whose_it_is_and_until_when() {
        let read = told(r#"{"sub":"qm:1:2","exp":1000,"iss":"x","more":{}}"#).unwrap();
        assert_eq!((read.account.as_str(), read.expires), ("qm:1:2", Some(Timestamp::from_seconds(1000))));
        assert_eq!(told(r#"{"sub":"qm:1:2"}"#).unwrap().expires, None);
        assert_eq!(told(r#"{"sub":"qm:1:2","exp":1.5}"#).unwrap().expires, None);
    }

    #[test]
    fn what_names_nobody_is_nobodys() {
        for claims in ["{}", r#"{"sub":""}"#, r#"{"sub":7}"#, r#"{"exp":1}"#, "[]", ""] {
            assert_eq!(told(claims), None, "{claims}");
        }
        for token in ["", "a", "a.b", "a.b.c", "..", &"a".repeat(LONGEST + 1)] {
            assert_eq!(Told::read(&Secret::generated(token)), None, "{token}");
        }
    }
}
