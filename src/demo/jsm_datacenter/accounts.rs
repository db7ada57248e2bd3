//! The people of the site.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::html::percent;
use super::state::State;
use super::{JsmDataCenter, SEED_PASSWORD, SERVICE_ACCOUNT};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// The group that makes an administrator.
pub(super) const ADMINISTRATORS: &str = "jira-administrators";
/// The group that gives access to the agents' application.
pub(super) const AGENTS: &str = "jira-servicedesk-users";

/// Where an account lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// Jira's own directory.
    Internal,
    /// An external directory (LDAP, Crowd) that Jira may only read.
    ReadOnly,
}

/// One account.
#[derive(Clone, Debug)]
pub struct User {
    /// Jira's lasting key, such as `JIRAUSER10100`; made when left empty.
    pub key: String,
    /// The user name; of customers it is the e-mail address.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// The name that pages show.
    pub display_name: String,
    /// The password, if one was ever set.
    pub password: Option<Secret>,
    /// Whether the account may be used.
    pub active: bool,
    /// The groups it is in.
    pub groups: BTreeSet<String>,
    /// Where it lives.
    pub directory: Directory,
    /// Failed logins since the last good one.
    pub failed_logins: u32,
    /// Good logins in all.
    pub login_count: u32,
    /// When the last good login was.
    pub last_login: Option<Timestamp>,
    /// When the last failed login was.
    pub last_failure: Option<Timestamp>,
}

impl User {
    /// A customer: no licence, no group, no password.
    pub fn customer(email: &str, display_name: &str) -> Self {
        Self {
            key: String::new(),
            username: email.to_owned(),
            email: email.to_owned(),
            display_name: display_name.to_owned(),
            password: None,
            active: true,
            groups: BTreeSet::new(),
            directory: Directory::Internal,
            failed_logins: 0,
            login_count: 0,
            last_login: None,
            last_failure: None,
        }
    }

    /// Whether the account has access to an application, and so costs a seat.
    pub fn is_licensed(&self) -> bool {
        self.groups.contains(AGENTS) || self.is_admin()
    }

    /// Whether the account may administer the site.
    pub fn is_admin(&self) -> bool {
        self.groups.contains(ADMINISTRATORS)
    }

    /// Whether this is the password; no password never is.
    pub(super) fn has_password(&self, tried: &str) -> bool {
        let set = self.password.as_ref().filter(|password| !password.reveal().is_empty());
        set.is_some_and(|set| set.reveal().as_bytes().ct_eq(tried.as_bytes()).into())
    }
}

pub(super) fn seeded_groups() -> BTreeSet<String> {
    [ADMINISTRATORS, AGENTS, "jira-software-users"].map(str::to_owned).into()
}

pub(super) fn seeded(service_password: &Secret) -> Vec<User> {
    let person = |username: &str, email: &str, name: &str, groups: &[&str]| User {
        username: username.to_owned(),
        password: Some(Secret::generated(SEED_PASSWORD)),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..User::customer(email, name)
    };
    let mut service = person(SERVICE_ACCOUNT, "svc-vestibule@jsm.internal", "Vestibule Service", &[ADMINISTRATORS]);
    service.password = Some(service_password.clone());
    let mut external = person("ldap.person", "ldap.person@example.com", "Lada Pearson", &[]);
    external.directory = Directory::ReadOnly;
    let mut left = person("left.person", "left.person@example.com", "Lee Left", &[]);
    left.active = false;
    vec![
        service,
        external,
        left,
        person("agent", "agent@jsm.internal", "Agnes Agent", &[AGENTS]),
        person("admin", "admin@jsm.internal", "Ada Admin", &[ADMINISTRATORS]),
        person("carla@example.com", "carla@example.com", "Carla Castro", &[]),
        person("chen@example.com", "chen@example.com", "Chen Chu", &[]),
        person("cleo@example.com", "cleo@example.com", "Cleo Clark", &[]),
    ]
}

impl State {
    fn avatars(&self) -> Value {
        let avatar = self.url("/rest/servicedesk/1/customer/viewport-resources/portal-logo/0");
        json!({"48x48": avatar, "32x32": avatar, "24x24": avatar, "16x16": avatar})
    }

    /// The account as `/rest/api/2` shows it; groups and roles in full where `expand` asks.
    pub(super) fn platform_user(&self, user: &User, expand: &str) -> Value {
        let asked = |what: &str| expand.split(',').any(|part| part.trim() == what);
        let list = |items: Vec<Value>, what: &str| json!({"size": items.len(), "items": if asked(what) { items } else { Vec::new() }});
        let groups = user.groups.iter().map(
            |name| json!({"name": name, "self": self.url(&format!("/rest/api/2/group?groupname={}", percent(name)))}),
        );
        let role = json!({"key": "jira-servicedesk", "name": "Jira Service Desk"});
        let roles = if user.is_licensed() { vec![role] } else { Vec::new() };
        json!({
            "self": self.url(&format!("/rest/api/2/user?username={}", percent(&user.username))),
            "key": user.key, "name": user.username, "emailAddress": user.email, "avatarUrls": self.avatars(),
            "displayName": user.display_name, "active": user.active, "deleted": false, "timeZone": "UTC",
            "locale": "en_US", "groups": list(groups.collect(), "groups"),
            "applicationRoles": list(roles, "applicationRoles"), "expand": "groups,applicationRoles",
        })
    }

    /// The account as `/rest/servicedeskapi` shows it.
    pub(super) fn desk_user(&self, user: &User) -> Value {
        let rest = self.url(&format!("/rest/api/2/user?username={}", percent(&user.username)));
        json!({
            "name": user.username, "key": user.key, "emailAddress": user.email, "displayName": user.display_name,
            "active": user.active, "timeZone": "UTC",
            "_links": {"jiraRest": rest, "avatarUrls": self.avatars(), "self": rest},
        })
    }

    /// What search finds: user name, e-mail or name contains the text, in any case.
    pub(super) fn search_users<'a>(&'a self, text: &str) -> impl Iterator<Item = &'a User> + use<'a> {
        let needle = text.trim().to_lowercase();
        self.users.values().filter(move |user| {
            let holds = |field: &str| field.to_lowercase().contains(&needle);
            needle == "." || holds(&user.username) || holds(&user.email) || holds(&user.display_name)
        })
    }
}

impl JsmDataCenter {
    /// The account of that user name, in any case.
    pub fn user(&self, username: &str) -> Option<User> {
        self.state().user(username).cloned()
    }

    /// Every account.
    pub fn users(&self) -> Vec<User> {
        self.state().users.values().cloned().collect()
    }

    /// Adds an account, or replaces the one of that user name.
    pub fn add_user(&self, user: User) {
        self.state().add_user(user);
    }

    /// Changes an account; whether there is one.
    pub fn change_user(&self, username: &str, change: impl FnOnce(&mut User)) -> bool {
        self.state().user_mut(username).map(change).is_some()
    }

    /// Clears failed logins, as an administrator does for somebody who meets the CAPTCHA.
    pub fn clear_captcha(&self, username: &str) -> bool {
        self.change_user(username, |user| user.failed_logins = 0)
    }
}
