//! Why a sign-in by OpenID Connect was refused, and who is to blame.

use crate::email::EmailDomain;
use crate::http_client::CallFailed;
use crate::sign_in::once::NotRemembered;

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The visitor: gave up, or is not somebody whom the provider vouches for.
    Visitor,
    /// The identity provider: down, or its answers are wrong.
    Provider,
    /// Whoever wrote the configuration, here or at the provider.
    Operator,
    /// This machine.
    Gateway,
}

/// The provider's documents could not be had. Told to everybody who waited for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    /// No answer, or an answer that says "not now".
    #[error("the identity provider cannot be reached: {0}")]
    Unreachable(String),
    /// An answer that is wrong.
    #[error("the identity provider's answer is wrong: {0}")]
    Misbehaved(String),
}

impl ProviderFault {
    /// What a failed call to `what` means.
    pub(super) fn from_call(what: &str, failed: &CallFailed) -> Self {
        match failed {
            CallFailed::TooLarge(_) | CallFailed::Compressed | CallFailed::NotAllowed => {
                Self::Misbehaved(format!("{what}: {failed}"))
            }
            CallFailed::Unreachable(_) | CallFailed::Tls(_) | CallFailed::TimedOut(_) | CallFailed::Broken(_) => {
                Self::Unreachable(format!("{what}: {failed}"))
            }
        }
    }

    /// The label for metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "provider_unreachable",
            Self::Misbehaved(_) => "provider_misbehaved",
        }
    }
}

/// A callback, or what came of it, was refused. `Display` is for the log: it holds no token, code or secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcRejected {
    /// `access_denied`: the visitor, or the provider on their behalf, said no.
    #[error("the visitor was refused at the identity provider, or gave up there")]
    VisitorCancelled,
    /// Another error from the authorization endpoint (OpenID Connect Core 3.1.2.6).
    #[error("the identity provider answered with the error {0}")]
    ProviderError(ErrorCode),
    /// The callback itself is not what a provider sends.
    #[error("the callback is malformed: {0}")]
    CallbackMalformed(&'static str),
    /// The callback is from another provider than the sign-in was for (RFC 9207, RFC 9700 section 4.4).
    #[error("the callback is not from the provider that was asked: {0}")]
    MixedUp(&'static str),
    /// The provider's metadata, keys, tokens or UserInfo could not be had.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// The token endpoint does not accept us.
    #[error("the identity provider does not accept our client credentials: {0}")]
    ClientRefused(ErrorCode),
    /// The token endpoint does not accept the code: used, expired, or issued to somebody else.
    #[error("the identity provider does not accept the authorization code")]
    CodeRefused,
    /// The ID token is not one to believe.
    #[error("ID token: {0}")]
    IdToken(#[from] IdTokenRejected),
    /// UserInfo is not one to believe.
    #[error("UserInfo: {0}")]
    UserInfo(UserInfoRejected),
    /// No e-mail address, though this provider may speak only for some domains.
    #[error("no e-mail address, neither in the ID token nor in UserInfo")]
    EmailMissing,
    /// The claim is not an e-mail address that we accept.
    #[error("the claimed e-mail address is malformed")]
    EmailMalformed,
    /// `email_verified` is not `true`.
    #[error("the identity provider does not say that the e-mail address is verified")]
    EmailNotVerified,
    /// The provider may not speak for that domain.
    #[error("the e-mail address is at {0}, which this identity provider may not speak for")]
    EmailOutsideDomains(EmailDomain),
    /// It could not be written down that the code was used: then it must not be.
    #[error(transparent)]
    NotRemembered(#[from] NotRemembered),
    /// No randomness, no signature: nothing may go on.
    #[error("our own cryptography failed: {0}")]
    Cryptography(&'static str),
}

/// An `error` value as it may be shown in a log: letters, digits and `_`, or a dash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCode(String);

impl ErrorCode {
    /// Keeps `raw` when it is plain.
    pub fn new(raw: &str) -> Self {
        let plain = (1..=64).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        Self(if plain { raw.to_owned() } else { "-".to_owned() })
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an ID token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenRejected {
    /// Not a signed JWT in compact form with one meaning.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// Another kind of token (`typ`).
    #[error("another kind of token")]
    WrongType,
    /// The signature algorithm is not in the provider's list; `none` and HMAC never are.
    #[error("the signature algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// No usable key of the provider fits.
    #[error("no key of the provider fits")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    BadSignature,
    /// A claim that has to be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A claim is not of its type or out of its range.
    #[error("{0} is invalid")]
    Invalid(&'static str),
    /// `iss` is not the provider.
    #[error("iss is somebody else")]
    WrongIssuer,
    /// `aud` is not us alone.
    #[error("aud is not us alone")]
    WrongAudience,
    /// `azp` is not us.
    #[error("azp is somebody else")]
    WrongParty,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `nbf` is to come.
    #[error("not valid yet")]
    NotYetValid,
    /// `iat` is to come.
    #[error("issued in the future")]
    IssuedInFuture,
    /// `iat` is long ago.
    #[error("issued long ago")]
    IssuedLongAgo,
    /// `nonce` is not that of this sign-in.
    #[error("nonce is of another sign-in")]
    WrongNonce,
    /// `at_hash` or `c_hash` does not fit.
    #[error("{0} does not fit")]
    WrongHash(&'static str),
    /// `auth_time` is longer ago than was asked for.
    #[error("authenticated too long ago")]
    AuthenticatedTooLongAgo,
}

impl IdTokenRejected {
    /// The label for metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "id_token_malformed",
            Self::WrongType => "id_token_wrong_type",
            Self::AlgorithmNotAllowed => "id_token_algorithm_not_allowed",
            Self::UnknownKey => "id_token_unknown_key",
            Self::BadSignature => "id_token_bad_signature",
            Self::Missing(_) => "id_token_claim_missing",
            Self::Invalid(_) => "id_token_claim_invalid",
            Self::WrongIssuer => "id_token_wrong_issuer",
            Self::WrongAudience => "id_token_wrong_audience",
            Self::WrongParty => "id_token_wrong_party",
            Self::Expired => "id_token_expired",
            Self::NotYetValid => "id_token_not_yet_valid",
            Self::IssuedInFuture => "id_token_issued_in_future",
            Self::IssuedLongAgo => "id_token_issued_long_ago",
            Self::WrongNonce => "id_token_wrong_nonce",
            Self::WrongHash(_) => "id_token_wrong_hash",
            Self::AuthenticatedTooLongAgo => "id_token_authenticated_too_long_ago",
        }
    }
}

/// Why a UserInfo answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserInfoRejected {
    /// A signed or encrypted answer (JWT): we ask for plain JSON.
    #[error("signed UserInfo is not supported: set the client's userinfo_signed_response_alg to none")]
    Signed,
    /// Not a JSON object with one meaning.
    #[error("not a JSON object")]
    Malformed,
    /// `sub` is not that of the ID token (OpenID Connect Core 5.3.2).
    #[error("sub is somebody else")]
    WrongSubject,
}

impl OidcRejected {
    /// The label for metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::VisitorCancelled => "visitor_cancelled",
            Self::ProviderError(_) => "provider_error",
            Self::CallbackMalformed(_) => "callback_malformed",
            Self::MixedUp(_) => "callback_mixed_up",
            Self::Provider(fault) => fault.reason(),
            Self::ClientRefused(_) => "client_refused",
            Self::CodeRefused => "code_refused",
            Self::IdToken(rejected) => rejected.reason(),
            Self::UserInfo(UserInfoRejected::Signed) => "userinfo_signed",
            Self::UserInfo(UserInfoRejected::Malformed) => "userinfo_malformed",
            Self::UserInfo(UserInfoRejected::WrongSubject) => "userinfo_wrong_subject",
            Self::EmailMissing => "email_missing",
            Self::EmailMalformed => "email_malformed",
            Self::EmailNotVerified => "email_not_verified",
            Self::EmailOutsideDomains(_) => "email_outside_domains",
            Self::NotRemembered(fault) => fault.label,
            Self::Cryptography(_) => "cryptography_failed",
        }
    }

    /// Who has to do something about it.
    pub fn blame(&self) -> Blame {
        match self {
            Self::VisitorCancelled
            | Self::CallbackMalformed(_)
            | Self::CodeRefused
            | Self::EmailNotVerified
            | Self::EmailOutsideDomains(_) => Blame::Visitor,
            Self::ProviderError(_)
            | Self::MixedUp(_)
            | Self::Provider(_)
            | Self::IdToken(_)
            | Self::UserInfo(UserInfoRejected::Malformed | UserInfoRejected::WrongSubject)
            | Self::EmailMalformed => Blame::Provider,
            Self::ClientRefused(_) | Self::UserInfo(UserInfoRejected::Signed) | Self::EmailMissing => Blame::Operator,
            Self::NotRemembered(_) | Self::Cryptography(_) => Blame::Gateway,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b17_error_codes_are_shown_only_when_plain() {
        for (raw, shown) in [
            ("invalid_request", "invalid_request"),
            ("<script>", "-"),
            ("", "-"),
            ("a b", "-"),
            ("a\r\nSet-Cookie:x", "-"),
            (&"a".repeat(65), "-"),
        ] {
            assert_eq!(ErrorCode::new(raw).to_string(), shown);
        }
    }

    #[test]
    fn who_is_to_blame() {
        for (rejected, reason, blame) in [
            (OidcRejected::VisitorCancelled, "visitor_cancelled", Blame::Visitor),
            (OidcRejected::EmailNotVerified, "email_not_verified", Blame::Visitor),
            (IdTokenRejected::BadSignature.into(), "id_token_bad_signature", Blame::Provider),
            (ProviderFault::Unreachable("x".into()).into(), "provider_unreachable", Blame::Provider),
            (OidcRejected::ClientRefused(ErrorCode::new("x")), "client_refused", Blame::Operator),
            (OidcRejected::Cryptography("x"), "cryptography_failed", Blame::Gateway),
        ] {
            assert_eq!((rejected.reason(), rejected.blame()), (reason, blame));
        }
    }
}
