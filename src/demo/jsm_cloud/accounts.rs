//! The people of the site: portal-only customers, Atlassian accounts, and apps.

use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::html::percent;
use super::state::State;
use super::{JsmCloud, SEED_PASSWORD, SERVICE_ACCOUNT};
use crate::clock::Timestamp;
use crate::random::{NoRandomness, Random};
use crate::secret::Secret;

/// What kind of account it is, as the platform's `accountType` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountType {
    /// Portal-only: lives on this site, and opens the portal alone.
    Customer,
    /// An Atlassian account: signs in at Atlassian's own pages, never at the portal's.
    Atlassian,
    /// An app.
    App,
}

impl AccountType {
    /// As the platform writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Atlassian => "atlassian",
            Self::App => "app",
        }
    }
}

/// What somebody may do beyond asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Asks.
    Customer,
    /// Answers: has a seat.
    Agent,
    /// Runs the site.
    Administrator,
}

/// One account.
#[derive(Clone, Debug)]
pub struct Account {
    /// `qm:<uuid>:<id>` for customers.
    pub account_id: String,
    /// Which kind.
    pub account_type: AccountType,
    /// The e-mail address.
    pub email: String,
    /// The name that pages show.
    pub display_name: String,
    /// What it may do.
    pub role: Role,
    /// The portal's password, if one was ever set.
    pub password: Option<Secret>,
    /// Whether the account may be used.
    pub active: bool,
    /// Whether it may open the portal; an administrator can revoke that.
    pub portal_access: bool,
    /// Failed logins since the last good one.
    pub failed_logins: u32,
    /// When it was made.
    pub created: Timestamp,
}

impl Account {
    /// Whether this is the password; no password never is.
    pub(super) fn has_password(&self, tried: &str) -> bool {
        let set = self.password.as_ref().filter(|password| !password.reveal().is_empty());
        set.is_some_and(|set| set.reveal().as_bytes().ct_eq(tried.as_bytes()).into())
    }

    /// Whether a portal session of this account is good.
    pub(super) fn may_open_portal(&self) -> bool {
        self.account_type == AccountType::Customer && self.active && self.portal_access
    }
}

/// A fresh account id of that kind.
fn account_id(random: &Random, account_type: AccountType) -> Result<String, NoRandomness> {
    Ok(match account_type {
        AccountType::Customer => format!("qm:{}:{}", uuid(random)?, uuid(random)?),
        AccountType::Atlassian | AccountType::App => format!("557058:{}", uuid(random)?),
    })
}

/// A random UUID (RFC 9562, version 4).
pub(super) fn uuid(random: &Random) -> Result<String, NoRandomness> {
    let bits = u128::from_be_bytes(random.bytes::<16>()?);
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{bits:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

pub(super) fn looks_like_email(text: &str) -> bool {
    let parts = text.split_once('@');
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    plain && parts.is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.') && !domain.contains('@'))
}

impl State {
    /// Makes an account without a password; its id.
    pub(super) fn make_account(
        &mut self,
        random: &Random,
        account_type: AccountType,
        email: &str,
        display_name: &str,
        now: Timestamp,
    ) -> Result<String, NoRandomness> {
        let id = account_id(random, account_type)?;
        self.accounts.push(Account {
            account_id: id.clone(),
            account_type,
            email: email.to_owned(),
            display_name: display_name.to_owned(),
            role: Role::Customer,
            password: None,
            active: true,
            portal_access: true,
            failed_logins: 0,
            created: now,
        });
        Ok(id)
    }

    pub(super) fn seed_accounts(&mut self, random: &Random, now: Timestamp) -> Result<(), NoRandomness> {
        use AccountType::{App, Atlassian, Customer};
        let seeds = [
            (SERVICE_ACCOUNT, "Vestibule Service", Atlassian, Role::Administrator),
            ("agent@jsm.internal", "Agnes Agent", Atlassian, Role::Agent),
            ("automation@jsm.internal", "Automation for Jira", App, Role::Agent),
            ("carla@example.com", "Carla Castro", Customer, Role::Customer),
            ("chen@example.com", "Chen Chu", Customer, Role::Customer),
            ("cleo@example.com", "Cleo Clark", Customer, Role::Customer),
            ("left.person@example.com", "Lee Left", Customer, Role::Customer),
            ("atla@example.com", "Atla Astley", Atlassian, Role::Customer),
            ("twin@example.com", "Tia Twin", Customer, Role::Customer),
            ("twin@example.com", "Tia Twin", Atlassian, Role::Customer),
        ];
        for (email, name, account_type, role) in seeds {
            let id = self.make_account(random, account_type, email, name, now)?;
            if let Some(account) = self.account_mut(&id) {
                account.role = role;
                account.active = email != "left.person@example.com";
                account.password = (account_type == Customer).then(|| Secret::generated(SEED_PASSWORD));
            }
        }
        Ok(())
    }

    pub(super) fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.account_id == id)
    }

    pub(super) fn account_mut(&mut self, id: &str) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|account| account.account_id == id)
    }

    /// The portal-only customer of that address, in any case.
    pub(super) fn customer(&self, email: &str) -> Option<&Account> {
        let mut customers = self.accounts.iter().filter(|account| account.account_type == AccountType::Customer);
        customers.find(|account| account.email.eq_ignore_ascii_case(email))
    }

    /// Whether that address has an Atlassian account, on this site or elsewhere: its owner signs in at Atlassian's pages.
    pub(super) fn has_atlassian_account(&self, email: &str) -> bool {
        let here = self.accounts.iter().filter(|account| account.account_type == AccountType::Atlassian);
        here.map(|account| &account.email).chain(&self.elsewhere).any(|known| known.eq_ignore_ascii_case(email))
    }

    /// What search finds: e-mail or name contains the text, in any case. New accounts take their time to be found.
    pub(super) fn search_accounts<'a>(&'a self, text: &str, now: Timestamp) -> impl Iterator<Item = &'a Account> {
        let needle = text.trim().to_lowercase();
        let settle = self.switches.settle_after;
        self.accounts.iter().filter(move |account| {
            let holds = |field: &str| field.to_lowercase().contains(&needle);
            account.created.after(settle) <= now && (holds(&account.email) || holds(&account.display_name))
        })
    }
}

fn avatars(base: &str) -> Value {
    let avatar = format!("{base}/rest/servicedesk/1/customer/viewport-resources/portal-logo/0");
    json!({"48x48": avatar, "24x24": avatar, "16x16": avatar, "32x32": avatar})
}

/// The account as `/rest/servicedeskapi` shows it.
pub(super) fn desk_user(base: &str, account: &Account) -> Value {
    let rest = format!("{base}/rest/api/2/user?accountId={}", percent(&account.account_id));
    json!({
        "accountId": account.account_id, "emailAddress": account.email, "displayName": account.display_name,
        "active": account.active && account.portal_access, "timeZone": "Etc/GMT",
        "_links": {"jiraRest": rest, "avatarUrls": avatars(base), "self": rest},
    })
}

/// The account as `/rest/api/3` shows it; the address only to whom it concerns.
pub(super) fn platform_user(base: &str, version: &str, account: &Account, with_email: bool) -> Value {
    let link = format!("{base}/rest/api/{version}/user?accountId={}", percent(&account.account_id));
    let mut shown = json!({
        "self": link, "accountId": account.account_id, "accountType": account.account_type.name(),
        "avatarUrls": avatars(base), "displayName": account.display_name,
        "active": account.active && account.portal_access, "timeZone": "Etc/GMT", "locale": "en_US",
    });
    if let Some(fields) = shown.as_object_mut().filter(|_| with_email) {
        fields.insert("emailAddress".to_owned(), account.email.clone().into());
    }
    shown
}

impl JsmCloud {
    /// Every account.
    pub fn accounts(&self) -> Vec<Account> {
        self.state().accounts.clone()
    }

    /// The portal-only customer of that address.
    pub fn customer(&self, email: &str) -> Option<Account> {
        self.state().customer(email).cloned()
    }

    /// Adds an account of that kind without a call, as an administrator does in their own pages; its id.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn add_account(&self, account_type: AccountType, email: &str, name: &str) -> Result<String, NoRandomness> {
        let now = self.now();
        self.state().make_account(self.random(), account_type, email, name, now)
    }

    /// Tells the site that this address has an Atlassian account that does not belong to it.
    pub fn add_atlassian_account_elsewhere(&self, email: &str) {
        self.state().elsewhere.push(email.to_owned());
    }

    /// Changes an account; whether there is one of that id.
    pub fn change_account(&self, id: &str, change: impl FnOnce(&mut Account)) -> bool {
        self.state().account_mut(id).map(change).is_some()
    }

    /// Sets a customer's password, as an administrator does in their own pages; whether there is such a customer.
    pub fn set_password(&self, email: &str, password: &str) -> bool {
        let mut state = self.state();
        let id = state.customer(email).map(|account| account.account_id.clone());
        let Some(account) = id.and_then(|id| state.account_mut(&id)) else { return false };
        account.password = Some(Secret::generated(password));
        true
    }
}
