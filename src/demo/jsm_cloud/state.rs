//! Everything that the site remembers.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::accounts::{Account, uuid};
use super::counters::Counters;
use super::credentials::ApiToken;
use super::mail::{Mail, Ticket};
use super::organizations::Organization;
use super::rate_limit::{RateLimit, Window};
use super::requests::{Attachment, CustomerRequest};
use super::saml::Saml;
use super::sessions::Session;
use crate::clock::Timestamp;
use crate::demo::jsm::desk::Desk;
use crate::demo::jsm::upload::TemporaryFile;
use crate::random::{NoRandomness, Random};

/// What the administrators of the site, or Atlassian, can turn on and off.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the real site")]
pub struct Switches {
    /// Whether customers may sign in with a password.
    pub password_login: bool,
    /// Whether the first login endpoint is still there.
    pub login_v1: bool,
    /// Whether the second login endpoint is there.
    pub login_v2: bool,
    /// By which status a login endpoint says that it is gone.
    pub gone: u16,
    /// Whether customers may sign in through the site's identity provider (Guard). Needs one to be configured.
    pub single_sign_on: bool,
    /// Whether the way to the identity provider needs a script, and not only redirects.
    pub single_sign_on_by_script: bool,
    /// Whether strangers may make an account for themselves.
    pub public_sign_up: bool,
    /// When a CAPTCHA stands before the login.
    pub captcha: Captcha,
    /// How long a session's token is good (`exp`).
    pub token_lifetime: Duration,
    /// How long a browser keeps the session's cookie.
    pub cookie_lifetime: Duration,
    /// Whether a session is good only for the `User-Agent` that opened it.
    pub bound_to_user_agent: bool,
    /// How long a new account is unknown to searches and to other calls.
    pub settle_after: Duration,
    /// How many REST calls are answered; none for no limit.
    pub rate_limit: Option<RateLimit>,
    /// Whether a request is shared with the one organization of who raised it.
    pub share_with_organization: bool,
    /// Where people with an Atlassian account are sent to.
    pub atlassian_login: String,
}

/// When a CAPTCHA stands before the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captcha {
    /// Never.
    Off,
    /// After three failures of the same account, until an administrator sets a new password.
    AfterThreeFailures,
    /// For everybody.
    Always,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            password_login: true,
            login_v1: true,
            login_v2: true,
            gone: 404,
            single_sign_on: false,
            single_sign_on_by_script: false,
            public_sign_up: false,
            captcha: Captcha::AfterThreeFailures,
            token_lifetime: Duration::from_secs(8 * 3600),
            cookie_lifetime: Duration::from_secs(24 * 3600),
            bound_to_user_agent: false,
            settle_after: Duration::ZERO,
            rate_limit: None,
            share_with_organization: true,
            atlassian_login: "https://id.atlassian.com/login".to_owned(),
        }
    }
}

pub(super) struct State {
    pub(super) base_url: String,
    /// The URL of what is beside the site: the host of scoped tokens and of single sign-on.
    pub(super) atlassian_url: Option<String>,
    pub(super) cloud_id: String,
    pub(super) switches: Switches,
    pub(super) accounts: Vec<Account>,
    /// Addresses with an Atlassian account that the site knows nothing of.
    pub(super) elsewhere: Vec<String>,
    pub(super) api_tokens: Vec<ApiToken>,
    /// By the token's id (`jti`).
    pub(super) sessions: HashMap<String, Session>,
    pub(super) desks: Vec<Desk>,
    pub(super) organizations: BTreeMap<u64, Organization>,
    pub(super) requests: Vec<CustomerRequest>,
    pub(super) attachments: BTreeMap<u64, Attachment>,
    pub(super) temporary: HashMap<String, TemporaryFile>,
    pub(super) mails: Vec<Mail>,
    /// Links in mails that were not used yet.
    pub(super) tickets: HashMap<String, Ticket>,
    pub(super) saml: Saml,
    pub(super) window: Window,
    pub(super) counters: Counters,
    last_id: u64,
}

impl State {
    pub(super) fn seeded(random: &Random, now: Timestamp) -> Result<Self, NoRandomness> {
        let mut state = Self {
            base_url: "http://localhost:8080".to_owned(),
            atlassian_url: None,
            cloud_id: uuid(random)?,
            switches: Switches::default(),
            accounts: Vec::new(),
            elsewhere: Vec::new(),
            api_tokens: Vec::new(),
            sessions: HashMap::new(),
            desks: Desk::seeded(),
            organizations: BTreeMap::new(),
            requests: Vec::new(),
            attachments: BTreeMap::new(),
            temporary: HashMap::new(),
            mails: Vec::new(),
            tickets: HashMap::new(),
            saml: Saml::new(uuid(random)?),
            window: Window::default(),
            counters: Counters::default(),
            last_id: 10_000,
        };
        state.seed_accounts(random, now)?;
        Ok(state)
    }

    /// A number that nothing else on the site has.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// The URL of a path of what is beside the site; of the site itself when there is nothing beside it.
    pub(super) fn beside(&self, path: &str) -> String {
        format!("{}{path}", self.atlassian_url.as_ref().unwrap_or(&self.base_url))
    }

    /// The host that cookies are for.
    pub(super) fn host(&self) -> String {
        let host = url::Url::parse(&self.base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.unwrap_or_default()
    }
}
