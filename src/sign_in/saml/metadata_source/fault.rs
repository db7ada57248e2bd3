//! Why there is no metadata.

use crate::http_client::CallFailed;
use crate::saml::keys::KeyRefused;
use crate::saml::metadata::MetadataRefused;

/// The metadata of a provider cannot be had, or is not taken. Each says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataFault {
    /// The file cannot be read.
    #[error("the metadata file cannot be read: {0}")]
    File(String),
    /// The server cannot be reached, or says "not now".
    #[error("the metadata cannot be fetched: {0}")]
    Unreachable(String),
    /// The server says where else to look.
    #[error(
        "the metadata is elsewhere: the server answered with status {0}; configure the address that it redirects to"
    )]
    Redirected(u16),
    /// The server has none.
    #[error("the metadata cannot be fetched: the server answered with status {0}; check the address")]
    Status(u16),
    /// The answer is not one that is read.
    #[error("the metadata cannot be read: {0}")]
    Misbehaved(&'static str),
    /// The metadata is not taken.
    #[error(transparent)]
    Refused(#[from] MetadataRefused),
    /// It has no key that is good enough.
    #[error("no signing key of the metadata can be used: {0}")]
    Keys(#[from] KeyRefused),
    /// It describes somebody else than before. Accounts belong to an entity id, so that this is a new provider.
    #[error("the metadata describes {found} now and {before} before; restart when that is right")]
    EntityChanged {
        /// Who it was.
        before: String,
        /// Who it is.
        found: String,
    },
    /// Metadata from elsewhere that sends people to this machine.
    #[error("the {0} of the metadata is an address of this very machine, and the metadata comes from elsewhere")]
    PointsHere(&'static str),
    /// What is at hand may be used no more.
    #[error("the metadata at hand may be used no more")]
    Expired,
}

impl MetadataFault {
    /// The labels for logs and metrics: the closed set.
    pub const REASONS: [&str; 6] = [
        "saml_metadata_unreachable",
        "saml_metadata_refused",
        "saml_metadata_signature",
        "saml_metadata_expired",
        "saml_metadata_no_usable_key",
        "saml_metadata_entity_changed",
    ];

    /// The label for logs and metrics, one of [`REASONS`](Self::REASONS).
    pub fn reason(&self) -> &'static str {
        match self {
            Self::File(_) | Self::Unreachable(_) | Self::Redirected(_) | Self::Status(_) => "saml_metadata_unreachable",
            Self::Refused(MetadataRefused::Unsigned | MetadataRefused::Signature(_)) => "saml_metadata_signature",
            Self::Refused(MetadataRefused::Expired(_)) | Self::Expired => "saml_metadata_expired",
            Self::Refused(MetadataRefused::NoSigningKey) | Self::Keys(_) => "saml_metadata_no_usable_key",
            Self::EntityChanged { .. } => "saml_metadata_entity_changed",
            Self::Misbehaved(_) | Self::Refused(_) | Self::PointsHere(_) => "saml_metadata_refused",
        }
    }

    /// What a failed call means.
    pub(super) fn from_call(failed: &CallFailed) -> Self {
        match failed {
            CallFailed::TooLarge(_) => Self::Misbehaved("it is larger than 64 MiB"),
            CallFailed::Compressed => Self::Misbehaved("the answer is compressed, which was not asked for"),
            CallFailed::NotAllowed => Self::Misbehaved("its address is not https, or has a user in it"),
            CallFailed::Unreachable(_) | CallFailed::Tls(_) | CallFailed::TimedOut(_) | CallFailed::Broken(_) => {
                Self::Unreachable(failed.to_string())
            }
        }
    }
}
