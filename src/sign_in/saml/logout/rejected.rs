//! Why a logout message changed nothing.

use crate::saml::message::MessageRefused;
use crate::sign_in::once::NotRemembered;
use crate::sign_in::saml::metadata_source::MetadataFault;
use crate::sign_in::saml::workers::NotDone;

/// A logout message was refused, or could not be answered. `Display` is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutRejected {
    /// It is not one to believe.
    #[error(transparent)]
    Message(#[from] MessageRefused),
    /// The provider's metadata could not be had.
    #[error(transparent)]
    Metadata(#[from] MetadataFault),
    /// The request was used before.
    #[error("the logout request was used before")]
    Replayed,
    /// It could not be made sure that the request was not used before.
    #[error(transparent)]
    NotRemembered(#[from] NotRemembered),
    /// There is no key to sign the answer with.
    #[error("the answer has to be signed; give saml.signing_key and saml.certificate")]
    NoKey,
    /// More messages came than can be verified.
    #[error("too many messages wait to be verified")]
    Busy,
    /// The verifier or our cryptography failed.
    #[error("the verifier or the cryptography failed")]
    Broken,
}

impl LogoutRejected {
    /// The label for logs and metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Message(refused) => refused.reason(),
            Self::Metadata(_) => "logout_metadata_unavailable",
            Self::Replayed => "logout_replayed",
            Self::NotRemembered(fault) => fault.label,
            Self::NoKey => "logout_no_signing_key",
            Self::Busy => "logout_busy",
            Self::Broken => "logout_verifier_failed",
        }
    }

    /// Whether it may go better soon: it is for us to work again, and not for the provider.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Message(_) | Self::Replayed | Self::NoKey => false,
            Self::Metadata(_) | Self::NotRemembered(_) | Self::Busy | Self::Broken => true,
        }
    }
}

impl From<NotDone> for LogoutRejected {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Busy => Self::Busy,
            NotDone::Broken => Self::Broken,
        }
    }
}
