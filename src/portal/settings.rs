//! Settings of a portal.

mod cloud;
mod cloud_password;
mod directory;
mod look;
mod redirect;
mod rewrite;
mod trusted_jwt;
mod upstream;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::cloud::{CloudAccountsSettings, CloudSamlSettings, CloudSiteSettings, IdentityProviderSettings, Walk};
pub use self::cloud_password::{CloudPasswordSettings, HookSettings, PasswordLogin, PasswordMail};
pub use self::directory::{
    DirectorySettings, EachOf, InvalidOrganizationName, OnEmailChange, OnLeave, OrganizationName, OrganizationRule,
    ValueSource,
};
pub use self::look::{Accent, Colour, Logo, LookSettings, Support};
pub use self::redirect::{Elsewhere, OtherAccounts, RedirectSettings};
pub use self::rewrite::{OriginPair, REQUEST_FIELDS, RewriteSettings, TextRule};
pub use self::trusted_jwt::{AccountsSettings, Product, TrustedJwtSettings};
pub use self::upstream::{
    Balance, CertificateAuthorities, ConnectionSettings, HealthCheckSettings, NodeAddress, NodesSettings,
    UpstreamSettings,
};
use super::{HostName, PathPattern, PublicOrigin};
use crate::condition::Condition;
use crate::email::{EmailAddress, EmailDomain, SpeaksFor};
use crate::ids::ProviderName;
use crate::secret::Secret;

/// One public host name with its upstream JSM site.
#[derive(Clone, Debug, PartialEq)]
pub struct PortalSettings {
    /// The public name.
    pub host: HostName,
    /// Names that lead to it.
    pub aliases: Vec<HostName>,
    /// The portals whose visitors sign in once for all of them.
    pub session_group: Option<SessionGroup>,
    /// What the browser calls it.
    pub public_origin: PublicOrigin,
    /// Where requests go.
    pub upstream: UpstreamSettings,
    /// Who may sign in, and how they choose where.
    pub sign_in: SignInSettings,
    /// Which verified identities may become customers.
    pub admission: AdmissionSettings,
    /// How a customer session is obtained.
    pub customer_session: CustomerSessionSettings,
    /// First match wins; without one the visitor has to be signed in.
    pub rules: Vec<RuleSettings>,
    /// What is replaced in answers and requests.
    pub rewrite: RewriteSettings,
    /// How our own pages look.
    pub look: LookSettings,
    /// Sizes and times.
    pub limits: PortalLimits,
}

impl PortalSettings {
    /// The same portal, where browsers use this port.
    #[must_use]
    pub fn with_public_port(self, port: u16) -> Self {
        Self { public_origin: PublicOrigin::new(&self.host, port), ..self }
    }
}

/// The name of a group of portals that share sign-ins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionGroup(String);

/// The text is no name of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a group's name is made of 1 to 64 lower-case letters, digits, \"-\" and \"_\"")]
pub struct InvalidSessionGroup;

impl SessionGroup {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn parse(raw: &str) -> Result<Self, InvalidSessionGroup> {
        ProviderName::parse(raw).map(|_| Self(raw.to_owned())).map_err(|_| InvalidSessionGroup)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Sign-in at a portal.
#[derive(Clone, Debug, PartialEq)]
pub struct SignInSettings {
    /// At least one, in the order in which a list shows them.
    pub providers: Vec<ProviderName>,
    /// How the visitor comes to one of them.
    pub choose: Choose,
    /// Whether the portal's pages get the script by which visitors sign in again without losing the page.
    pub in_page: bool,
}

/// How the visitor comes to an identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choose {
    /// By the domain of their e-mail address (home-realm discovery).
    ByEmail,
    /// From a list.
    List,
    /// There is only one.
    Single,
}

/// Which verified identities may become customers of a portal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdmissionSettings {
    /// Domains that may; empty means any domain that the provider may speak for.
    pub allow: Vec<EmailDomain>,
    /// Domains that may not, even when allowed.
    pub deny: Vec<EmailDomain>,
    /// People who may not.
    pub blocked: Vec<EmailAddress>,
    /// Accounts that may not: the provider, and its name for them.
    pub blocked_accounts: Vec<(ProviderName, String)>,
    /// What has to hold of everybody.
    pub require: Option<Condition>,
    /// Who may speak for people here, and for whom.
    pub providers: BTreeMap<ProviderName, SpeaksFor>,
    /// What each of them calls itself, where that is configured: a name of ours is not enough.
    pub issuers: BTreeMap<ProviderName, String>,
    /// What a refused person reads about whom to ask; plain text.
    pub contact: Option<String>,
}

/// How customer sessions are obtained.
#[derive(Clone, Debug, PartialEq)]
pub enum CustomerSessionSettings {
    /// Nothing is injected: the upstream knows nothing of the visitor.
    None,
    /// Data Center: a fresh random password for each sign-in, by documented calls.
    DataCenter(Box<DataCenterSettings>),
    /// Cloud: the site's own single sign-on, whose identity provider the gateway is.
    CloudSaml(Box<CloudSamlSettings>),
    /// Cloud: by the password that the customer has at the site.
    CloudPassword(Box<CloudPasswordSettings>),
    /// Any upstream that believes our signature: a token in each request.
    TrustedJwt(Box<TrustedJwtSettings>),
    /// None: who has signed in goes on at the site itself.
    Redirect(Box<RedirectSettings>),
}

impl CustomerSessionSettings {
    /// Whether Jira Service Management stands behind the portal, so that its paths are known.
    pub fn is_jsm(&self) -> bool {
        match self {
            Self::None => false,
            Self::TrustedJwt(settings) => settings.product != Product::Other,
            Self::DataCenter(_) | Self::CloudSaml(_) | Self::CloudPassword(_) | Self::Redirect(_) => true,
        }
    }

    /// Where people whose account is more than a customer's find the site itself: where an address is known that browsers
    /// can use.
    pub fn elsewhere(&self) -> Option<&Elsewhere> {
        match self {
            Self::CloudSaml(settings) => Some(&settings.site.elsewhere),
            Self::CloudPassword(settings) => Some(&settings.site.elsewhere),
            Self::Redirect(settings) => Some(&settings.elsewhere),
            Self::None | Self::DataCenter(_) | Self::TrustedJwt(_) => None,
        }
    }
}

/// Data Center: accounts and sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct DataCenterSettings {
    /// Accounts, and where they belong; on behalf of an administrator.
    pub directory: DirectorySettings,
    /// Ways to log in, tried in order; the one that worked is remembered.
    pub logins: Vec<DataCenterLogin>,
    /// The group that marks accounts whose password the gateway sets; `None` marks nothing.
    pub managed_group: Option<String>,
    /// How long a customer session is used at most, whatever the upstream's cookies say.
    pub max_age: Duration,
    /// How many logins and account calls may run at once.
    pub concurrency: usize,
    /// Time limit for one call.
    pub call_timeout: Duration,
}

/// A service identity at the upstream.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceCredentials {
    /// `Authorization: Bearer` with a personal access token.
    Bearer(Secret),
    /// `Authorization: Basic`.
    Basic {
        /// User name.
        user: String,
        /// Password or token.
        token: Secret,
    },
}

/// A way to log a customer in at Data Center.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataCenterLogin {
    /// `POST /rest/auth/1/session`.
    RestSession,
    /// `POST /servicedesk/customer/user/login`.
    PortalForm,
    /// `POST /rest/tsv/1.0/authenticate`.
    Tsv,
}

/// What a path needs.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSettings {
    /// Which paths.
    pub path: PathPattern,
    /// What they need.
    pub access: Access,
    /// What has to hold of the person besides.
    pub require: Option<Condition>,
}

/// What a path needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: forwarded without a customer session.
    Public,
    /// A session.
    SignedIn,
    /// Nobody may.
    Deny,
}

/// Sizes and times of one portal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortalLimits {
    /// Bytes of a request body.
    pub body: u64,
    /// What is kept while its sender signs in again.
    pub kept_form: KeptFormLimits,
    /// To reach the upstream, TCP and TLS each.
    pub upstream_connect: Duration,
    /// From the request sent to the head of the answer, and between two reads of its body.
    pub upstream_response: Duration,
    /// How long an idle upstream connection is kept.
    pub upstream_idle: Duration,
    /// How long a WebSocket stays open with nothing going through it either way.
    pub websocket_idle: Duration,
    /// How many requests one customer may make.
    pub creations: Creations,
    /// How many sign-ins one address may try.
    pub sign_in_attempts: Option<Rate>,
}

/// What is kept of those whose session is over: sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptFormLimits {
    /// Of one body; 0 keeps none.
    pub size: u64,
    /// For how long.
    pub kept_for: Duration,
    /// How many forms of one browser.
    pub forms_of_one_browser: u64,
    /// How many calls of scripts in one browser; 0 keeps none.
    pub calls_of_one_browser: u64,
    /// Of one person, in all their browsers.
    pub of_one_person: u64,
    /// From one address, behind which many people may sit.
    pub from_one_address: u64,
    /// Of the portal.
    pub of_one_portal: u64,
}

impl Default for KeptFormLimits {
    fn default() -> Self {
        Self {
            size: 1024 * 1024,
            // Longer than a sign-in may take.
            kept_for: Duration::from_secs(30 * 60),
            // One for each tab.
            forms_of_one_browser: 16,
            // Of those that are made again and again, few are wanted.
            calls_of_one_browser: 4,
            // A part of what one address has: nobody takes the room of those beside them.
            of_one_person: 8 * 1024 * 1024,
            from_one_address: 32 * 1024 * 1024,
            of_one_portal: 128 * 1024 * 1024,
        }
    }
}

/// How many requests one customer may make; `None` for any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Creations {
    /// In any 24 hours.
    pub per_day: Option<u32>,
    /// In any 60 seconds.
    pub per_minute: Option<u32>,
}

/// So many in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub times: u32,
    /// In how much time.
    pub per: Duration,
}

impl Default for PortalLimits {
    fn default() -> Self {
        Self {
            body: 64 * 1024 * 1024,
            kept_form: KeptFormLimits::default(),
            upstream_connect: Duration::from_secs(5),
            upstream_response: Duration::from_secs(60),
            upstream_idle: Duration::from_secs(60),
            websocket_idle: Duration::from_secs(5 * 60),
            creations: Creations::default(),
            sign_in_attempts: None,
        }
    }
}
