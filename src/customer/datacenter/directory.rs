//! Finds or creates the account of a person, judges it, marks it, and adds it to the service desks.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use super::DataCenter;
use super::answers::{self, FoundUser, Named, User};
use super::upstream::json_body;
use crate::clock::deadline as in_time;
use crate::customer::{Customer, CustomerDirectory, DirectoryFailed, UpstreamFailed};
use crate::email::EmailAddress;
use crate::http_client::Answer;
use crate::sign_in::VerifiedIdentity;

/// Users of one page of a search.
const PAGE: usize = 50;
/// Pages of a search: beyond that, so many accounts resemble the address that an operator has to look.
const PAGES: usize = 20;
/// Characters of a name to show.
const DISPLAY_NAME: usize = 255;
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
impl CustomerDirectory for DataCenter {
    async fn ensure(&self, who: &VerifiedIdentity, deadline: Instant) -> Result<Customer, DirectoryFailed> {
        let email = who.email().filter(|_| who.email_verified()).ok_or(DirectoryFailed::NoVerifiedEmail)?;
        let place = self.place(email.as_str());
        let turn = tokio::time::timeout_at(deadline, self.people.turn(&place));
        let _turn = turn.await.map_err(|_| UpstreamFailed::TimedOut)?;
        let user = match self.find(email, deadline).await? {
            Some(user) => user,
            None if self.settings.create_customers => self.create(email, who.display_name(), deadline).await?,
            None => return Err(DirectoryFailed::Unknown),
        };
        judge(&user)?;
        self.mark(&user, deadline).await?;
        for desk in &self.settings.service_desks {
            self.join(desk, &user.name, deadline).await?;
        }
        Ok(Customer::fit(user.name, email.clone()))
    }
}

impl DataCenter {
    /// The account that the address belongs to.
    async fn find(&self, email: &EmailAddress, deadline: Instant) -> Result<Option<User>, DirectoryFailed> {
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

    /// Makes the account. Somebody else, or we before a crash, may have made it meanwhile.
    async fn create(
        &self,
        email: &EmailAddress,
        display_name: &str,
        deadline: Instant,
    ) -> Result<User, DirectoryFailed> {
        let name: String = display_name.chars().filter(|c| !c.is_control()).take(DISPLAY_NAME).collect();
        let full_name = if name.trim().is_empty() { email.as_str() } else { name.trim() };
        let url = self.upstream.url(&["rest", "servicedeskapi", "customer"]);
        let body = json_body(&json!({ "email": email.as_str(), "fullName": full_name }));
        let answer = self.upstream.service(Method::POST, url, Some(body), deadline).await?;
        if !answer.status.is_success() {
            if let Some(user) = self.find(email, deadline).await? {
                return Ok(user);
            }
            let taken = answer.status == StatusCode::CONFLICT || self.user(email.as_str(), deadline).await?.is_some();
            let said = answers::message(&answer);
            return Err(if taken { DirectoryFailed::Taken } else { DirectoryFailed::Rejected(said) });
        }
        let made: Named = understood(&answer, "create a customer")?;
        tracing::info!(account = %made.name, "a customer was created");
        let mut wait = FIRST_WAIT;
        for _ in 0..APPEARANCES {
            if let Some(user) = self.user(&made.name, deadline).await? {
                return Ok(user);
            }
            self.wait(&mut wait, deadline).await?;
        }
        Err(UpstreamFailed::Unexpected("who was just created?").into())
    }

    /// Gives the account the group that says whose it is, unless it has it.
    async fn mark(&self, user: &User, deadline: Instant) -> Result<(), DirectoryFailed> {
        let Some(group) = &self.settings.managed_group else { return Ok(()) };
        if user.groups.names().any(|name| name == group) {
            return Ok(());
        }
        let mut answer = self.give_group(group, &user.name, deadline).await?;
        if answer.status == StatusCode::NOT_FOUND {
            let url = self.upstream.url(&["rest", "api", "2", "group"]);
            let body = json_body(&json!({ "name": group }));
            // Another request may have made it first: what counts is whether it can be given now.
            self.upstream.service(Method::POST, url, Some(body), deadline).await?;
            answer = self.give_group(group, &user.name, deadline).await?;
        }
        if answer.status.is_success() {
            return Ok(());
        }
        // 400 can mean that the account has it already, by another request: only the list tells.
        let now = self.expect_user(&user.name, deadline).await?;
        if now.groups.names().any(|name| name == group) {
            return Ok(());
        }
        tracing::warn!(%group, said = answers::message(&answer), "the group that marks managed accounts cannot be given");
        Err(DirectoryFailed::ManagedGroup(group.clone()))
    }

    async fn give_group(&self, group: &str, account: &str, deadline: Instant) -> Result<Answer, UpstreamFailed> {
        let mut url = self.upstream.url(&["rest", "api", "2", "group", "user"]);
        url.query_pairs_mut().append_pair("groupname", group);
        let body = json_body(&json!({ "name": account }));
        self.upstream.service(Method::POST, url, Some(body), deadline).await
    }

    /// Adds the account to a service desk; who is in it already stays in it.
    async fn join(&self, desk: &str, account: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        let mut wait = FIRST_WAIT;
        for _ in 0..APPEARANCES {
            let url = self.upstream.url(&["rest", "servicedeskapi", "servicedesk", desk, "customer"]);
            let body = json_body(&json!({ "usernames": [account] }));
            let answer = self.upstream.service(Method::POST, url, Some(body), deadline).await?;
            match answer.status {
                status if status.is_success() => return Ok(()),
                // An account that was just made may not be known to every node.
                StatusCode::BAD_REQUEST => self.wait(&mut wait, deadline).await?,
                _ => break,
            }
        }
        Err(DirectoryFailed::ServiceDesk(desk.to_owned()))
    }

    /// Waits a little, and longer the next time.
    async fn wait(&self, wait: &mut Duration, deadline: Instant) -> Result<(), UpstreamFailed> {
        let until = in_time(self.upstream.jittered(*wait));
        if until >= deadline {
            return Err(UpstreamFailed::TimedOut);
        }
        tokio::time::sleep_until(until).await;
        *wait = wait.saturating_mul(2);
        Ok(())
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

fn understood<T: serde::de::DeserializeOwned>(answer: &Answer, asked: &'static str) -> Result<T, UpstreamFailed> {
    let body = answer.status.is_success().then(|| answer.json().ok()).flatten();
    body.ok_or(UpstreamFailed::Unexpected(asked))
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
