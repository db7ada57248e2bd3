//! Why a sign-in by SAML was refused, or could not begin.

use super::metadata_source::MetadataFault;
use super::workers::NotDone;
use crate::email::EmailDomain;
use crate::saml::mapping::NoSubject;
use crate::saml::rejected::SamlRejected;
use crate::saml::signing_key::NotSigned;
use crate::sign_in::once::NotRemembered;

/// A posted response was refused. `Display` is for the log and tells what to change; the browser is told neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamlSignInRejected {
    /// The form is not what a provider posts (SAML Bindings 3.5.4).
    #[error("the posted form is not a SAML response: {0}")]
    Form(&'static str),
    /// The provider began by itself, and may not.
    #[error(
        "nobody asked for this response (its RelayState is not ours); let the identity provider return RelayState, or \
         allow it to begin sign-ins with allow_idp_initiated"
    )]
    Unsolicited,
    /// The sign-in was at another provider.
    #[error("the response is for a sign-in at another provider")]
    MixedUp,
    /// The provider's metadata could not be had.
    #[error(transparent)]
    Metadata(#[from] MetadataFault),
    /// The response is not one to believe.
    #[error(transparent)]
    Response(#[from] SamlRejected),
    /// The assertion was used before.
    #[error("the assertion was used before")]
    Replayed,
    /// It could not be made sure that the assertion was not used before.
    #[error(transparent)]
    NotRemembered(#[from] NotRemembered),
    /// It names no account.
    #[error(transparent)]
    NoSubject(#[from] NoSubject),
    /// No e-mail address, though this provider may speak only for some domains.
    #[error(
        "no e-mail address; let the identity provider send one, or map attributes.email to the attribute that has it"
    )]
    EmailMissing,
    /// The provider may not speak for that domain.
    #[error("the e-mail address is at {0}, which this identity provider may not speak for")]
    EmailOutsideDomains(EmailDomain),
    /// More responses came than can be verified.
    #[error("too many responses wait to be verified")]
    Busy,
    /// The verifier itself failed.
    #[error("the verifier itself failed")]
    Broken,
}

impl SamlSignInRejected {
    /// The label for metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Form(_) => "saml_form",
            Self::Unsolicited => "saml_unsolicited",
            Self::MixedUp => "saml_mixed_up",
            Self::Metadata(fault) => fault.reason(),
            Self::Response(rejected) => rejected.reason(),
            Self::Replayed => "saml_replayed",
            Self::NotRemembered(fault) => fault.label,
            Self::NoSubject(rejected) => rejected.reason(),
            Self::EmailMissing => "email_missing",
            Self::EmailOutsideDomains(_) => "email_outside_domains",
            Self::Busy => "saml_busy",
            Self::Broken => "saml_verifier_failed",
        }
    }
}

impl From<NotDone> for SamlSignInRejected {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Busy => Self::Busy,
            NotDone::Broken => Self::Broken,
        }
    }
}

/// A SAML provider cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamlStartFailed {
    /// Its metadata could not be had.
    #[error(transparent)]
    Metadata(#[from] MetadataFault),
    /// It wants signed requests, and there is nothing to sign with.
    #[error(
        "the identity provider takes signed requests only (WantAuthnRequestsSigned); give saml.signing_key and saml.certificate"
    )]
    NoKey,
    /// It does not take requests in the configured way.
    #[error("the identity provider has no SingleSignOnService for the configured saml.binding")]
    BindingNotOffered,
    /// Our own cryptography failed.
    #[error("the request could not be signed")]
    NotSigned,
}

impl From<NotSigned> for SamlStartFailed {
    fn from(_: NotSigned) -> Self {
        Self::NotSigned
    }
}

impl SamlStartFailed {
    /// The label for metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Metadata(fault) => fault.reason(),
            Self::NoKey => "saml_no_signing_key",
            Self::BindingNotOffered => "saml_binding_not_offered",
            Self::NotSigned => "cryptography_failed",
        }
    }
}
