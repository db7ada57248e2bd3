//! Service desks and organizations, over the Service Management API that Cloud and Data Center share. They differ in how
//! an account is named, which the caller says.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::accounts::{Organization, Place, Presence};
use super::upstream::answers::{self, is_absent, understood};
use super::upstream::{Listed, Upstream, json_body};
use super::{DirectoryFailed, UpstreamFailed};

/// Pages of an organization's members that are looked through for one account: beyond, nobody can tell in reasonable time.
const MEMBER_PAGES: usize = 40;
/// The same for a service desk, which can have very many.
const DESK_PAGES: usize = 4;
/// The question that a list of members answers.
const WHO: &str = "who is in this?";
/// Pages of organizations that are looked through for one name.
const ORGANIZATION_PAGES: usize = 400;
/// How often a new account is added until every node knows it.
const APPEARANCES: u32 = 7;
/// The first wait for a new account to appear; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// An organization as the upstream tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    id: String,
    name: String,
    /// Told by Cloud alone.
    #[serde(default)]
    scim_managed: bool,
}

impl From<Found> for Organization {
    fn from(found: Found) -> Self {
        Self { id: found.id, scim_managed: found.scim_managed }
    }
}

/// The organization of that name, made if there is none.
pub(super) async fn organization(
    upstream: &Upstream,
    name: &str,
    deadline: Instant,
) -> Result<Organization, DirectoryFailed> {
    let url = upstream.url(&["rest", "servicedeskapi", "organization"]);
    let body = json_body(&json!({ "name": name }));
    let answer = upstream.service(Method::POST, url.clone(), Some(body), deadline).await?;
    if answer.status.is_success() {
        let found: Found = understood(&answer, "which organization is this?")?;
        // An upstream that answers with another one must not have people put into it.
        if found.name.trim().to_lowercase() == name.to_lowercase() {
            return Ok(found.into());
        }
        return Err(UpstreamFailed::Unexpected("which organization is this?").into());
    }
    // Where the one of that name is not given back, it is in the list.
    let fits = |found: &Found| found.name.trim() == name;
    let listed = upstream
        .pages(&url, "which organizations are there?", ORGANIZATION_PAGES, deadline, |page| page.iter().any(fits));
    if let Listed::Enough(page) = listed.await?
        && let Some(found) = page.into_iter().find(fits)
    {
        return Ok(found.into());
    }
    tracing::warn!(
        organization = name,
        said = answers::message(&answer),
        "an organization can be neither found nor made"
    );
    Err(DirectoryFailed::Organization(name.to_owned()))
}

/// Lets an organization use a service desk.
pub(super) async fn link(
    upstream: &Upstream,
    desk: &str,
    organization: &str,
    deadline: Instant,
) -> Result<(), DirectoryFailed> {
    let url = upstream.url(&["rest", "servicedeskapi", "servicedesk", desk, "organization"]);
    let number = organization.parse::<u64>().map_or_else(|_| Value::from(organization), Value::from);
    let body = json_body(&json!({ "organizationId": number }));
    let answer = upstream.service(Method::POST, url.clone(), Some(body), deadline).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    // It may be linked already.
    let fits = |found: &Found| found.id == organization;
    let listed = upstream
        .pages(&url, "which organizations has the desk?", ORGANIZATION_PAGES, deadline, |page| page.iter().any(fits));
    match listed.await? {
        Listed::Enough(_) => Ok(()),
        Listed::Absent => Err(DirectoryFailed::ServiceDesk(desk.to_owned())),
        Listed::End | Listed::More => Err(DirectoryFailed::Organization(organization.to_owned())),
    }
}

/// Whether somebody whom `is_them` recognises is in a place; `hint` is what a search finds them by. A search is said to
/// find fewer than there are, so it proves that somebody is in, and only a look at all members that they are not.
pub(super) async fn presence<T: DeserializeOwned>(
    upstream: &Upstream,
    place: &Place,
    hint: Option<&str>,
    is_them: impl Fn(&T) -> bool + Send + Sync,
    deadline: Instant,
) -> Result<Presence, DirectoryFailed> {
    let url = members(upstream, place);
    let fits = |page: &[T]| page.iter().any(&is_them);
    let (pages, search) = match (place, hint) {
        (Place::Desk(_), Some(hint)) => {
            let mut url = url.clone();
            url.query_pairs_mut().append_pair("query", hint);
            (DESK_PAGES, Some(url))
        }
        (Place::Desk(_), None) => (DESK_PAGES, None),
        (Place::Organization(_), _) => (MEMBER_PAGES, None),
    };
    if let Some(search) = search
        && told(upstream.pages(&search, WHO, MEMBER_PAGES, deadline, fits).await)? == Presence::In
    {
        return Ok(Presence::In);
    }
    told(upstream.pages(&url, WHO, pages, deadline, fits).await)
}

fn told<T>(listed: Result<Listed<T>, UpstreamFailed>) -> Result<Presence, DirectoryFailed> {
    match listed {
        Ok(Listed::Enough(_)) => Ok(Presence::In),
        Ok(Listed::End) => Ok(Presence::Out),
        Ok(Listed::More | Listed::Absent) => Ok(Presence::Untold),
        // The right to look is another one than the right to add.
        Err(UpstreamFailed::CredentialsLackPermission | UpstreamFailed::Unexpected(_)) => Ok(Presence::Untold),
        Err(failed) => Err(failed.into()),
    }
}

/// Adds whom `people` names.
pub(super) async fn add(
    upstream: &Upstream,
    place: &Place,
    people: Value,
    deadline: Instant,
) -> Result<(), DirectoryFailed> {
    let mut wait = FIRST_WAIT;
    for _ in 0..APPEARANCES {
        let answer =
            upstream.service(Method::POST, members(upstream, place), Some(json_body(&people)), deadline).await?;
        match answer.status {
            status if status.is_success() => return Ok(()),
            // An account that was just made may not be known to every node.
            StatusCode::BAD_REQUEST => upstream.wait(&mut wait, deadline).await?,
            _ => break,
        }
    }
    Err(match place {
        Place::Desk(id) => DirectoryFailed::ServiceDesk(id.clone()),
        Place::Organization(id) => DirectoryFailed::Organization(id.clone()),
    })
}

/// Takes out whom `people` names. A place that is not there, or that everybody is in, counts as left.
pub(super) async fn remove(
    upstream: &Upstream,
    place: &Place,
    people: Value,
    deadline: Instant,
) -> Result<(), DirectoryFailed> {
    let answer = upstream.service(Method::DELETE, members(upstream, place), Some(json_body(&people)), deadline).await?;
    if !answer.status.is_success() && is_absent(&answer) {
        tracing::debug!(%place, said = answers::message(&answer), "nobody to take out");
    }
    Ok(())
}

fn members(upstream: &Upstream, place: &Place) -> Url {
    match place {
        Place::Desk(id) => upstream.url(&["rest", "servicedeskapi", "servicedesk", id, "customer"]),
        Place::Organization(id) => upstream.url(&["rest", "servicedeskapi", "organization", id, "user"]),
    }
}
