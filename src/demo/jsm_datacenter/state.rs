//! Everything that the site remembers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::access_plugin::Believed;
use super::accounts::{self, User};
use super::counters::Counters;
use super::organizations::Organization;
use super::requests::{Attachment, CustomerRequest};
use super::sessions::Session;
use crate::demo::jsm::desk::Desk;
use crate::demo::jsm::upload::TemporaryFile;
use crate::secret::Secret;

/// What an operator of the site can turn on and off.
#[derive(Clone, Debug)]
pub struct Switches {
    /// Whether `POST /rest/auth/1/session` exists.
    pub rest_session: bool,
    /// Whether the portal's legacy login form takes posts.
    pub legacy_form: bool,
    /// Whether `/rest/tsv/1.0/authenticate` exists.
    pub two_step_login: bool,
    /// Whether every login needs a second step, which no caller without a person can give.
    pub two_step_enforced: bool,
    /// Whether `Authorization: Basic` is taken.
    pub basic_auth: bool,
    /// When a CAPTCHA stands before the login.
    pub captcha: Captcha,
    /// How long a session may be unused.
    pub idle_limit: Duration,
    /// Whether `seraph.rememberme.cookie` opens a new session when the old one is gone.
    pub remember_me: bool,
    /// A balancer's cookie (name, value): a session is found only on the node that it was opened on.
    pub node_affinity: Option<(String, String)>,
}

/// When a CAPTCHA stands before the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captcha {
    /// Never.
    Off,
    /// After three failures of the same account, until an administrator clears it.
    AfterThreeFailures,
    /// For everybody.
    Always,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            rest_session: true,
            legacy_form: true,
            two_step_login: true,
            two_step_enforced: false,
            basic_auth: true,
            captcha: Captcha::AfterThreeFailures,
            idle_limit: super::IDLE_LIMIT,
            remember_me: true,
            node_affinity: None,
        }
    }
}

pub(super) struct State {
    pub(super) base_url: String,
    pub(super) switches: Switches,
    /// By lower-case user name.
    pub(super) users: BTreeMap<String, User>,
    pub(super) groups: BTreeSet<String>,
    /// Personal access token to user name.
    pub(super) tokens: HashMap<String, String>,
    pub(super) sessions: HashMap<String, Session>,
    /// Nodes that are not ready.
    pub(super) starting: BTreeSet<u32>,
    /// Remember-me cookie to user name.
    pub(super) remembered: HashMap<String, String>,
    pub(super) desks: Vec<Desk>,
    pub(super) organizations: BTreeMap<u64, Organization>,
    pub(super) requests: Vec<CustomerRequest>,
    pub(super) attachments: BTreeMap<u64, Attachment>,
    pub(super) temporary: HashMap<String, TemporaryFile>,
    pub(super) counters: Counters,
    /// Whose tokens the plugin believes, when it is installed.
    pub(super) believed: Option<Believed>,
    last_id: u64,
}

impl State {
    pub(super) fn seeded(service_password: &Secret, service_token: &Secret) -> Self {
        let mut state = Self {
            base_url: "http://localhost:8080".to_owned(),
            switches: Switches::default(),
            users: BTreeMap::new(),
            groups: accounts::seeded_groups(),
            tokens: HashMap::from([(service_token.reveal().to_owned(), super::SERVICE_ACCOUNT.to_owned())]),
            sessions: HashMap::new(),
            starting: BTreeSet::new(),
            remembered: HashMap::new(),
            desks: Desk::seeded(),
            organizations: BTreeMap::new(),
            requests: Vec::new(),
            attachments: BTreeMap::new(),
            temporary: HashMap::new(),
            counters: Counters::default(),
            believed: None,
            last_id: 10_000,
        };
        for user in accounts::seeded(service_password) {
            state.add_user(user);
        }
        state
    }

    /// A number that nothing else on the site has.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    pub(super) fn user(&self, username: &str) -> Option<&User> {
        self.users.get(&username.to_lowercase())
    }

    pub(super) fn user_mut(&mut self, username: &str) -> Option<&mut User> {
        self.users.get_mut(&username.to_lowercase())
    }

    pub(super) fn add_user(&mut self, mut user: User) {
        if user.key.is_empty() {
            user.key = format!("JIRAUSER{}", self.fresh_id());
        }
        self.users.insert(user.username.to_lowercase(), user);
    }
}
