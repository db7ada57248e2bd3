//! Settings of Cloud sites: their accounts, and how customers are logged in there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{DirectorySettings, Elsewhere};
use crate::saml::keys::VerificationKeys;
use crate::saml::metadata::ServiceProvider;
use crate::saml::signing_key::SigningKey;

/// The accounts of a Cloud site.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudAccountsSettings {
    /// Who becomes which customer; on behalf of an administrator.
    pub directory: DirectorySettings,
    /// How many calls may run at once.
    pub concurrency: usize,
    /// Time limit for one call.
    pub call_timeout: Duration,
}

/// A Cloud site: its accounts, and what all ways to open sessions there share.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudSiteSettings {
    /// Its accounts.
    pub accounts: CloudAccountsSettings,
    /// How long a customer session is used at most, whatever the upstream's cookies say.
    pub max_age: Duration,
    /// People with an Atlassian account, who sign in at the site itself.
    pub elsewhere: Elsewhere,
}

/// Cloud: sessions by the site's own single sign-on, whose identity provider the gateway is.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudSamlSettings {
    /// The site.
    pub site: CloudSiteSettings,
    /// The gateway as its identity provider.
    pub identity_provider: IdentityProviderSettings,
    /// Where a sign-on begins in place of the portal's login, with `{email}` for the customer's address.
    pub start: Option<String>,
    /// Who goes the way.
    pub walk: Walk,
    /// Hosts that the way may lead over, besides the site and the one that takes answers.
    pub hosts: Vec<Url>,
}

/// Who goes the way from the portal's login to the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Walk {
    /// The gateway itself.
    #[default]
    Gateway,
    /// The visitor's browser, through the gateway.
    Browser,
}

/// The gateway as the one identity provider of a Cloud site.
#[derive(Clone)]
pub struct IdentityProviderSettings {
    /// The first signs, all are published. At least one, and all RSA.
    pub keys: Arc<[SigningKey]>,
    /// Our entity id; `None` for the address of our metadata.
    pub our_entity_id: Option<String>,
    /// The site: its entity id, and where it takes answers.
    pub site: ServiceProvider,
    /// The keys that sign the site's requests, where it has told any.
    pub site_keys: Option<Arc<VerificationKeys>>,
}

/// The keys of the site are those of its certificates.
impl PartialEq for IdentityProviderSettings {
    fn eq(&self, other: &Self) -> bool {
        let Self { keys, our_entity_id, site, site_keys } = self;
        *keys == other.keys
            && *our_entity_id == other.our_entity_id
            && *site == other.site
            && site_keys.as_ref().map(|keys| keys.count()) == other.site_keys.as_ref().map(|keys| keys.count())
    }
}

/// Without the keys.
impl fmt::Debug for IdentityProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityProviderSettings")
            .field("keys", &self.keys.len())
            .field("our_entity_id", &self.our_entity_id)
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}
