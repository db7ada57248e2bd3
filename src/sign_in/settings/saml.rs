//! Settings of a SAML identity provider, and of us as its service provider.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::EmailTrust;
use crate::portal::HostName;
use crate::saml::authn_request::Comparison;
use crate::saml::mapping::Mapping;
use crate::saml::metadata::Binding;
use crate::saml::signature::SignaturePolicy;
use crate::sign_in::saml::OwnKeys;
use crate::sign_in::saml::metadata_source::MetadataSettings;

/// A SAML identity provider, and us as its service provider.
#[derive(Clone, Debug, PartialEq)]
pub struct SamlSettings {
    /// Where its metadata comes from.
    pub metadata: MetadataSettings,
    /// Our entity id; `None` gives each portal one of its own.
    pub our_entity_id: Option<String>,
    /// Our keys.
    pub keys: Arc<OwnKeys>,
    /// Whether our metadata is signed; never without a key.
    pub sign_metadata: bool,
    /// What is asked.
    pub request: RequestSettings,
    /// Which attribute means what.
    pub mapping: Mapping,
    /// Whether addresses count that are of no domain that the provider speaks for.
    pub email_trust: EmailTrust,
    /// The most that clocks may differ; at most 3 minutes.
    pub clock_skew: Duration,
    /// How old a sign-in at the provider may be.
    pub max_age: Option<Duration>,
    /// Which signature algorithms are believed.
    pub signatures: SignaturePolicy,
    /// Whether the provider may begin.
    pub unsolicited: Unsolicited,
    /// The largest response, in octets of base64.
    pub largest_response: usize,
    /// Whether signing out of Vestibule also signs out at the provider.
    pub sign_out_at_provider: bool,
}

/// What a provider is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestSettings {
    /// How the request travels; `None` takes HTTP-Redirect where the provider offers it.
    pub binding: Option<Binding>,
    /// The format of NameID that is asked for.
    pub name_id_format: Option<String>,
    /// Whether people have to prove anew who they are, each time.
    pub force_authn: bool,
    /// Ways to sign in that are good enough.
    pub authn_contexts: Vec<String>,
    /// How they are compared.
    pub comparison: Comparison,
    /// The index of our assertion consumer service, for a provider that takes no address.
    pub acs_index: Option<u16>,
    /// The same of each portal, where portals share an entity id.
    pub acs_indexes: BTreeMap<HostName, u16>,
}

impl RequestSettings {
    /// The index of our assertion consumer service at that portal; `None` where the request names its address.
    pub fn acs_index_at(&self, portal: &HostName) -> Option<u16> {
        self.acs_indexes.get(portal).copied().or(self.acs_index)
    }
}

/// Whether a response that nobody asked for signs anybody in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsolicited {
    /// It does not.
    #[default]
    Refused,
    /// It does. Anybody who has an account at the provider can then sign others in as themselves by a link of their own
    /// (login CSRF).
    DangerouslyTaken,
}
