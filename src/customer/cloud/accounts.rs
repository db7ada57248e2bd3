//! Finds, creates and judges accounts, and keeps them where they belong.

use async_trait::async_trait;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use super::CloudAccounts;
use super::answers::{DeskUser, Managed, PlatformUser};
use crate::customer::accounts::{Account, CustomerAccounts, Made, Organization, Place, Presence};
use crate::customer::upstream::answers::{message, understood};
use crate::customer::upstream::{Listed, json_body};
use crate::customer::{DirectoryFailed, UpstreamFailed, places};
use crate::email::EmailAddress;

/// Users of one page of a search.
const PAGE: usize = 50;
/// Pages of a search: beyond that, so many accounts resemble the address that an operator has to look.
const PAGES: usize = 20;
/// Pages of organizations of one person.
const THEIRS: usize = 20;

/// What the platform knows of an address.
#[derive(Debug, Default)]
struct Matches {
    /// With exactly this address.
    exact: Vec<PlatformUser>,
    /// Atlassian accounts that were found by it and hide theirs.
    hidden: Vec<PlatformUser>,
}

#[async_trait]
impl CustomerAccounts for CloudAccounts {
    fn site(&self) -> &str {
        &self.site
    }

    fn spelled(&self, account: &str) -> String {
        account.to_owned()
    }

    async fn account(&self, account: &str, deadline: Instant) -> Result<Option<Account>, DirectoryFailed> {
        self.user(account, deadline).await?.map(judged).transpose()
    }

    async fn find(&self, email: &EmailAddress, deadline: Instant) -> Result<Option<Account>, DirectoryFailed> {
        the_one(self.search(email, deadline).await?.exact)
    }

    async fn create(
        &self,
        email: &EmailAddress,
        display_name: &str,
        deadline: Instant,
    ) -> Result<Made, DirectoryFailed> {
        let mut url = self.upstream.url(&["rest", "servicedeskapi", "customer"]);
        url.query_pairs_mut().append_pair("strictConflictStatusCode", "true");
        let body = json_body(&json!({ "email": email.as_str(), "displayName": display_name }));
        let answer = self.upstream.service(Method::POST, url, Some(body), deadline).await?;
        if answer.status.is_success() {
            let made: DeskUser = understood(&answer, "create a customer")?;
            let (email, name) = (Some(email.as_str().to_owned()), Some(display_name.to_owned()));
            return Ok(Made::New(Account { id: made.account_id, email, display_name: name, marked: true }));
        }
        // Somebody has the address: 409, and 400 where the strict status is not known. A search can be behind.
        let said = message(&answer);
        let matches = self.search(email, deadline).await?;
        if let Some(account) = the_one(matches.exact)? {
            return Ok(Made::Known(account));
        }
        if let Some(account) = self.member_with(email, deadline).await? {
            return Ok(Made::Known(account));
        }
        Err(match (answer.status, matches.hidden.first()) {
            (_, Some(hidden)) => DirectoryFailed::AtlassianAccount(hidden.account_id.clone()),
            (StatusCode::CONFLICT, None) => DirectoryFailed::Taken,
            (_, None) => DirectoryFailed::Rejected(said),
        })
    }

    async fn mark(&self, _account: &Account, _deadline: Instant) -> Result<(), DirectoryFailed> {
        Ok(())
    }

    /// There is no documented call for it.
    async fn rename(&self, _account: &str, _display_name: &str, _deadline: Instant) -> Result<bool, DirectoryFailed> {
        Ok(false)
    }

    /// There is no documented call for it.
    async fn change_email(
        &self,
        _account: &str,
        _email: &EmailAddress,
        _deadline: Instant,
    ) -> Result<bool, DirectoryFailed> {
        Ok(false)
    }

    async fn organization(&self, name: &str, deadline: Instant) -> Result<Organization, DirectoryFailed> {
        places::organization(&self.upstream, name, deadline).await
    }

    async fn link(&self, desk: &str, organization: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        places::link(&self.upstream, desk, organization, deadline).await
    }

    async fn presence(&self, place: &Place, account: &Account, deadline: Instant) -> Result<Presence, DirectoryFailed> {
        if let Place::Organization(id) = place {
            let mut url = self.upstream.url(&["rest", "servicedeskapi", "organization"]);
            url.query_pairs_mut().append_pair("accountId", &account.id);
            let fits = |page: &[Managed]| page.iter().any(|one| one.id == *id);
            match self.upstream.pages(&url, "which organizations are theirs?", THEIRS, deadline, fits).await? {
                Listed::Enough(_) => return Ok(Presence::In),
                Listed::End => return Ok(Presence::Out),
                Listed::More | Listed::Absent => {}
            }
        }
        let is_them = |user: &DeskUser| user.account_id == account.id;
        places::presence(&self.upstream, place, account.email.as_deref(), is_them, deadline).await
    }

    async fn add(&self, place: &Place, account: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        places::add(&self.upstream, place, json!({ "accountIds": [account] }), deadline).await
    }

    async fn remove(&self, place: &Place, account: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        if let Place::Organization(id) = place {
            let url = self.upstream.url(&["rest", "servicedeskapi", "organization", id]);
            let answer = self.upstream.service(Method::GET, url, None, deadline).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(());
            }
            if understood::<Managed>(&answer, "who manages this organization?")?.scim_managed {
                return Ok(());
            }
        }
        places::remove(&self.upstream, place, json!({ "accountIds": [account] }), deadline).await
    }

    async fn revoke(&self, account: &str, deadline: Instant) -> Result<(), DirectoryFailed> {
        let path = ["rest", "servicedeskapi", "customer", "user", account, "revoke-portal-only-access"];
        let answer = self.upstream.service(Method::PUT, self.upstream.url(&path), None, deadline).await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(UpstreamFailed::Unexpected("revoke portal access").into())
    }
}

impl CloudAccounts {
    /// The account of that id.
    async fn user(&self, account: &str, deadline: Instant) -> Result<Option<PlatformUser>, UpstreamFailed> {
        let mut url = self.upstream.url(&["rest", "api", "3", "user"]);
        url.query_pairs_mut().append_pair("accountId", account);
        let answer = self.upstream.service(Method::GET, url, None, deadline).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        understood(&answer, "who is this?").map(Some)
    }

    /// Whom the platform finds by the address, of whatever kind.
    async fn search(&self, email: &EmailAddress, deadline: Instant) -> Result<Matches, DirectoryFailed> {
        let mut matches = Matches::default();
        let mut start = 0_usize;
        for _ in 0..PAGES {
            let mut url = self.upstream.url(&["rest", "api", "3", "user", "search"]);
            url.query_pairs_mut()
                .append_pair("query", email.as_str())
                .append_pair("startAt", &start.to_string())
                .append_pair("maxResults", &PAGE.to_string());
            let answer = self.upstream.service(Method::GET, url, None, deadline).await?;
            let page: Vec<PlatformUser> = understood(&answer, "who has this address?")?;
            // A page can be short because some of it is hidden from us: only an empty one is the end.
            start = start.saturating_add(PAGE);
            let last = page.is_empty();
            for user in page {
                match user.email.as_deref().filter(|theirs| !theirs.is_empty()) {
                    Some(theirs) if is_same(theirs, email) => matches.exact.push(user),
                    Some(_) => {}
                    None if user.account_type.as_deref() == Some("atlassian") => matches.hidden.push(user),
                    None => {}
                }
            }
            if last {
                return Ok(matches);
            }
        }
        Err(DirectoryFailed::Ambiguous(start))
    }

    /// The member of a service desk with exactly this address, where the platform does not tell addresses.
    async fn member_with(&self, email: &EmailAddress, deadline: Instant) -> Result<Option<Account>, DirectoryFailed> {
        let fits = |user: &DeskUser| user.email.as_deref().is_some_and(|theirs| is_same(theirs, email));
        for desk in &self.desks {
            let mut url = self.upstream.url(&["rest", "servicedeskapi", "servicedesk", desk, "customer"]);
            url.query_pairs_mut().append_pair("query", email.as_str());
            let asked = "which customer has this address?";
            let listed = self.upstream.pages(&url, asked, PAGES, deadline, |page: &[DeskUser]| page.iter().any(fits));
            let Listed::Enough(page) = listed.await? else { continue };
            let mut found: Vec<DeskUser> = page.into_iter().filter(|user| fits(user)).collect();
            return match (found.len(), found.pop()) {
                (1, Some(user)) => self.account(&user.account_id, deadline).await,
                (more, _) => Err(DirectoryFailed::Ambiguous(more)),
            };
        }
        Ok(None)
    }
}

/// The one customer among those with an address; an Atlassian account beside it decides.
fn the_one(mut exact: Vec<PlatformUser>) -> Result<Option<Account>, DirectoryFailed> {
    if let Some(other) = exact.iter().find(|user| user.account_type.as_deref() == Some("atlassian")) {
        return Err(DirectoryFailed::AtlassianAccount(other.account_id.clone()));
    }
    match (exact.len(), exact.pop()) {
        (0, _) | (_, None) => Ok(None),
        (1, Some(user)) => judged(user).map(Some),
        (more, Some(_)) => Err(DirectoryFailed::Ambiguous(more)),
    }
}

/// Refuses whoever is not a portal-only customer, or no longer one. Who does not tell their kind cannot be judged.
fn judged(user: PlatformUser) -> Result<Account, DirectoryFailed> {
    match user.account_type.as_deref() {
        Some("customer") => {}
        Some("atlassian") => return Err(DirectoryFailed::AtlassianAccount(user.account_id)),
        Some(_) => return Err(DirectoryFailed::Licensed(user.account_id)),
        None => return Err(UpstreamFailed::Unexpected("of which kind is this account?").into()),
    }
    if !user.active {
        return Err(DirectoryFailed::Deactivated(user.account_id));
    }
    Ok(Account { id: user.account_id, email: user.email, display_name: user.display_name, marked: true })
}

/// Exactly the same address, whatever the case: nothing that merely resembles it.
fn is_same(theirs: &str, email: &EmailAddress) -> bool {
    EmailAddress::parse(theirs.trim()).is_ok_and(|theirs| theirs == *email)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(kind: &str, active: bool) -> PlatformUser {
        let json = json!({ "accountId": kind, "accountType": kind, "active": active, "emailAddress": "ana@acme.com" });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn only_one_active_portal_only_customer_is_fit() {
        let reason = |users: Vec<PlatformUser>| the_one(users).map_err(|failed| failed.reason());
        assert_eq!(reason(Vec::new()), Ok(None));
        assert_eq!(reason(vec![user("customer", true)]).unwrap().unwrap().id, "customer");
        for (users, expected) in [
            (vec![user("customer", false)], "deactivated"),
            (vec![user("atlassian", true)], "atlassian_account"),
            (vec![user("customer", true), user("atlassian", false)], "atlassian_account"),
            (vec![user("app", true)], "licensed_user"),
            (vec![user("customer", true), user("customer", true)], "customer_ambiguous"),
        ] {
            assert_eq!(reason(users), Err(expected));
        }
        let mut untold = user("customer", true);
        untold.account_type = None;
        assert_eq!(reason(vec![untold]), Err("upstream_unexpected"));
    }
}
