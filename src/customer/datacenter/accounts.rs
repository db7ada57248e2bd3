//! Finds, creates, judges, marks and changes accounts.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use super::DataCenter;
use super::answers::{self, FoundUser, Named, User, understood};
use crate::customer::accounts::{Account, CustomerAccounts, Made, Organization, Place, Presence};
use crate::customer::places;
use crate::customer::upstream::json_body;
use crate::customer::{DirectoryFailed, UpstreamFailed};
use crate::email::EmailAddress;
use crate::http_client::Answer;

/// Users of one page of a search.
const PAGE: usize = 50;
/// Pages of a search: beyond that, so many accounts resemble the address that an operator has to look.
const PAGES: usize = 20;
/// How often a new account is looked for until every node knows it.
const APPEARANCES: u32 = 6;
/// The first wait for a new account to appear; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Groups that Jira gives the right to administer by default.
const ADMINISTRATORS: [&str; 4] =
    ["administrators", "jira-administrators", "jira-system-administrators", "system-administrators"];
/// Groups that Jira gives access to an application by default.
const APPLICATION_USERS: [&str; 6] = [
    "jira-core-users",
    "jira-software-users",
    "jira-servicedesk-users",
    "jira-servicemanagement-users",
    "jira-users",
    "jira-developers",
];

#[async_trait]
impl CustomerAccounts for DataCenter {
    fn site(&self) -> &str {
        self.upstream.base().as_str()
    }

    /// User names are kept in lower case and compared so.
    fn spelled(&self, account: &str) -> String {
        account.to_lowercase()
    }

    async fn account(&self, account: &str, deadline: Instant) -> Result<Option<Account>, DirectoryFailed> {
        self.user(account, deadline).await?.map(|user| self.judged(user)).transpose()
    }

    async fn find(&self, email: &EmailAddress, deadline: Instant) -> Result<Option<Account>, DirectoryFailed> {
        self.user_of(email, deadline).await?.map(|user| self.judged(user)).transpose()
    }

    async fn create(
        &self,
        email: &EmailAddress,
        display_name: &str,
        deadline: Instant,
    ) -> Result<Made, DirectoryFailed> {
        Ok(match self.create_user(email, display_name, deadline).await? {
            (user, true) => Made::New(self.judged(user)?),
            (user, false) => Made::Known(self.judged(user)?),
        })
    }

    async fn mark(&self, account: &Account, deadline: Instant) -> Result<(), DirectoryFailed> {
        match &self.settings.managed_group {
            Some(group) if !account.marked => self.mark_with(group, &account.id, deadline).await,
            Some(_) | None => Ok(()),
        }
    }

    async fn rename(&self, account: &str, display_name: &str, deadline: Instant) -> Result<bool, DirectoryFailed> {
        self.change_user(account, &json!({ "displayName": display_name }), deadline).await
    }

    async fn change_email(
        &self,
        account: &str,
        email: &EmailAddress,
        deadline: Instant,
    ) -> Result<bool, DirectoryFailed> {
        let named = self.user(email.as_str(), deadline).await?.map(|user| user.name);
        let others = self.search(email, deadline).await?.into_iter().chain(named);
        if others.into_iter().any(|other| other.to_lowercase() != account.to_lowercase()) {
            return Err(DirectoryFailed::Taken);
        }
        self.change_user(account, &json!({ "emailAddress": email.as_str() }), deadline).await
    }

    async fn organization(&self, name: &str, deadline: Instant) -> Result<Organization, DirectoryFailed> {
        places::organization(&self.upstream, name, deadline).await
    }

    async fn link(&self, desk: &str, organization: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        places::link(&self.upstream, desk, organization, deadline).await
    }

    async fn presence(&self, place: &Place, account: &Account, deadline: Instant) -> Result<Presence, DirectoryFailed> {
        let is_them = |user: &Named| user.name.to_lowercase() == account.id.to_lowercase();
        places::presence(&self.upstream, place, account.email.as_deref(), is_them, deadline).await
    }

    async fn add(&self, place: &Place, account: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        places::add(&self.upstream, place, json!({ "usernames": [account] }), deadline).await
    }

    async fn remove(&self, place: &Place, account: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        places::remove(&self.upstream, place, json!({ "usernames": [account] }), deadline).await
    }

    /// There is no call that takes a customer's access: they are out of the desks by now, and every session ends.
    async fn revoke(&self, account: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        let url = self.upstream.url(&["rest", "api", "2", "user", "session", account]);
        self.upstream.service(Method::DELETE, url, None, deadline).await?;
        Ok(())
    }
}

impl DataCenter {
    /// The account that the address belongs to.
    async fn user_of(&self, email: &EmailAddress, deadline: Instant) -> Result<Option<User>, DirectoryFailed> {
        // An account that was made by Service Management has the address as its name.
        if let Some(user) = self.user(email.as_str(), deadline).await?
            && is_named(&user.name, email)
            && user.email.as_deref().is_none_or(|theirs| theirs.is_empty() || is_same(theirs, email))
        {
            return Ok(Some(user));
        }
        let mut names = self.search(email, deadline).await?;
        match names.len() {
            0 => Ok(None),
            // Anybody may put another's address into their own profile. A name is given once: it decides.
            more @ 2.. => match names.iter().position(|name| is_named(name, email)) {
                Some(position) => self.expect_user(&names.swap_remove(position), deadline).await.map(Some),
                None => Err(DirectoryFailed::Ambiguous(more)),
            },
            _ => match names.pop() {
                Some(name) => self.expect_user(&name, deadline).await.map(Some),
                None => Ok(None),
            },
        }
    }

    /// The names of all accounts with exactly this address, active or not.
    async fn search(&self, email: &EmailAddress, deadline: Instant) -> Result<Vec<String>, DirectoryFailed> {
        let mut names = Vec::new();
        let mut seen = HashSet::new();
        let mut start = 0_usize;
        for _ in 0..PAGES {
            let mut url = self.upstream.url(&["rest", "api", "2", "user", "search"]);
            url.query_pairs_mut()
                .append_pair("username", email.as_str())
                .append_pair("startAt", &start.to_string())
                .append_pair("maxResults", &PAGE.to_string())
                .append_pair("includeInactive", "true");
            let answer = self.upstream.service(Method::GET, url, None, deadline).await?;
            let page: Vec<FoundUser> = understood(&answer, "who has this address?")?;
            start = start.saturating_add(page.len());
            let mut anything_new = false;
            for user in page {
                if !seen.insert(user.name.clone()) {
                    continue;
                }
                anything_new = true;
                if user.email.as_deref().is_some_and(|theirs| is_same(theirs, email)) {
                    names.push(user.name);
                }
            }
            // Only a page without anything new is the last for sure: a site can cap pages below what was asked for.
            if !anything_new {
                return Ok(names);
            }
        }
        Err(DirectoryFailed::Ambiguous(start))
    }

    /// Whether the groups of the account of that name let it administer.
    pub(super) async fn is_administrator(&self, name: &str, deadline: Instant) -> Result<bool, UpstreamFailed> {
        let user = self.user(name, deadline).await?;
        Ok(user.is_some_and(|user| matches!(judge(&user), Err(DirectoryFailed::Administrator(_)))))
    }

    /// The account of that name, with its groups and roles.
    async fn user(&self, name: &str, deadline: Instant) -> Result<Option<User>, UpstreamFailed> {
        const ASKED: &str = "who is this?";
        let mut url = self.upstream.url(&["rest", "api", "2", "user"]);
        url.query_pairs_mut().append_pair("username", name).append_pair("expand", "groups,applicationRoles");
        let answer = self.upstream.service(Method::GET, url, None, deadline).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let user: User = understood(&answer, ASKED)?;
        // Fail closed: who has groups that we were not told of cannot be judged.
        let whole = user.groups.is_whole() && user.application_roles.is_whole();
        whole.then_some(Some(user)).ok_or(UpstreamFailed::Unexpected(ASKED))
    }

    async fn expect_user(&self, name: &str, deadline: Instant) -> Result<User, DirectoryFailed> {
        let user = self.user(name, deadline).await?;
        Ok(user.ok_or(UpstreamFailed::Unexpected("who is this?"))?)
    }

    /// Makes the account; whether this call did. Somebody else may have made it meanwhile.
    async fn create_user(
        &self,
        email: &EmailAddress,
        display_name: &str,
        deadline: Instant,
    ) -> Result<(User, bool), DirectoryFailed> {
        let url = self.upstream.url(&["rest", "servicedeskapi", "customer"]);
        let body = json_body(&json!({ "email": email.as_str(), "fullName": display_name }));
        let answer = self.upstream.service(Method::POST, url, Some(body), deadline).await?;
        if !answer.status.is_success() {
            if let Some(user) = self.user_of(email, deadline).await? {
                return Ok((user, false));
            }
            let taken = answer.status == StatusCode::CONFLICT || self.user(email.as_str(), deadline).await?.is_some();
            let said = answers::message(&answer);
            return Err(if taken { DirectoryFailed::Taken } else { DirectoryFailed::Rejected(said) });
        }
        let made: Named = understood(&answer, "create a customer")?;
        let mut wait = FIRST_WAIT;
        for _ in 0..APPEARANCES {
            if let Some(user) = self.user(&made.name, deadline).await? {
                return Ok((user, true));
            }
            self.upstream.wait(&mut wait, deadline).await?;
        }
        Err(UpstreamFailed::Unexpected("who was just created?").into())
    }

    /// Changes an account. False where its directory cannot be written.
    async fn change_user(
        &self,
        account: &str,
        change: &serde_json::Value,
        deadline: Instant,
    ) -> Result<bool, DirectoryFailed> {
        let mut url = self.upstream.url(&["rest", "api", "2", "user"]);
        url.query_pairs_mut().append_pair("username", account);
        match self.upstream.service(Method::PUT, url, Some(json_body(change)), deadline).await {
            Ok(answer) if answer.status.is_success() => Ok(true),
            Ok(answer) => {
                tracing::debug!(account, said = answers::message(&answer), "an account cannot be changed");
                Ok(false)
            }
            // The same status for "you may not" and for "nobody can": a read-only directory is the usual reason.
            Err(UpstreamFailed::CredentialsLackPermission) => Ok(false),
            Err(failed) => Err(failed.into()),
        }
    }

    fn judged(&self, user: User) -> Result<Account, DirectoryFailed> {
        judge(&user)?;
        let group = self.settings.managed_group.as_ref();
        let marked = group.is_none_or(|group| user.groups.names().any(|name| name == group));
        Ok(Account { id: user.name, email: user.email, display_name: user.display_name, marked })
    }

    /// Gives the account the group that says whose it is.
    async fn mark_with(&self, group: &str, account: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        let mut answer = self.give_group(group, account, deadline).await?;
        if answer.status == StatusCode::NOT_FOUND {
            let url = self.upstream.url(&["rest", "api", "2", "group"]);
            let body = json_body(&json!({ "name": group }));
            // Another request may have made it first: what counts is whether it can be given now.
            self.upstream.service(Method::POST, url, Some(body), deadline).await?;
            answer = self.give_group(group, account, deadline).await?;
        }
        if answer.status.is_success() {
            return Ok(());
        }
        // 400 can mean that the account has it already, by another request: only the list tells.
        let now = self.expect_user(account, deadline).await?;
        if now.groups.names().any(|name| name == group) {
            return Ok(());
        }
        tracing::warn!(%group, said = answers::message(&answer), "the group that marks managed accounts cannot be given");
        Err(DirectoryFailed::ManagedGroup(group.to_owned()))
    }

    async fn give_group(&self, group: &str, account: &str, deadline: Instant) -> Result<Answer, UpstreamFailed> {
        let mut url = self.upstream.url(&["rest", "api", "2", "group", "user"]);
        url.query_pairs_mut().append_pair("groupname", group);
        let body = json_body(&json!({ "name": account }));
        self.upstream.service(Method::POST, url, Some(body), deadline).await
    }
}

/// Refuses whoever is more than a customer, or no longer one. The strongest reason comes first.
fn judge(user: &User) -> Result<(), DirectoryFailed> {
    let name = || user.name.clone();
    let in_any_of =
        |groups: &[&str]| user.groups.names().any(|group| groups.iter().any(|known| group.eq_ignore_ascii_case(known)));
    if in_any_of(&ADMINISTRATORS) {
        return Err(DirectoryFailed::Administrator(name()));
    }
    if !user.application_roles.is_empty() || in_any_of(&APPLICATION_USERS) {
        return Err(DirectoryFailed::Licensed(name()));
    }
    if !user.active || user.deleted {
        return Err(DirectoryFailed::Deactivated(name()));
    }
    Ok(())
}

fn is_named(name: &str, email: &EmailAddress) -> bool {
    name.eq_ignore_ascii_case(email.as_str())
}

/// Exactly the same address, whatever the case: nothing that merely resembles it.
fn is_same(theirs: &str, email: &EmailAddress) -> bool {
    EmailAddress::parse(theirs.trim()).is_ok_and(|theirs| theirs == *email)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(groups: &[&str], roles: &[&str], active: bool) -> User {
        let list = |names: &[&str]| {
            let items: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
            json!({ "size": items.len(), "items": items })
        };
        let json = json!({ "name": "fred", "active": active, "groups": list(groups), "applicationRoles": list(roles) });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn only_an_active_mere_customer_is_fit() {
        judge(&user(&["gateway-managed", "vip"], &[], true)).unwrap();
        for (groups, roles, active, reason) in [
            (&["jira-administrators"][..], &["Jira Software"][..], true, "administrator"),
            (&["Administrators"], &[], false, "administrator"),
            (&[], &["Jira Service Management"], true, "licensed_user"),
            (&["jira-software-users"], &[], true, "licensed_user"),
            (&[], &[], false, "deactivated"),
        ] {
            assert_eq!(judge(&user(groups, roles, active)).unwrap_err().reason(), reason);
        }
    }

    #[test]
    fn what_does_not_tell_its_roles_is_not_read() {
        let json = json!({ "name": "fred", "active": true, "groups": { "size": 0, "items": [] } });
        assert!(serde_json::from_value::<User>(json).is_err());
    }

    #[test]
    fn addresses_are_compared_whole() {
        let email = EmailAddress::parse("ana@acme.com").unwrap();
        assert!(is_same(" ANA@Acme.com", &email));
        for other in ["ana@acme.com.evil.test", "xana@acme.com", "ana+1@acme.com", "ana at acme dot com", ""] {
            assert!(!is_same(other, &email), "{other}");
        }
    }
}
