//! Organizations by name, and their links to service desks: looked up once for many people, by one call at a time.

use std::hash::Hash;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use moka::future::{Cache, CacheBuilder};
use tokio::time::Instant;

use crate::customer::DirectoryFailed;
use crate::customer::accounts::{CustomerAccounts, Organization};

/// How long a name is known to mean an organization.
const KNOWN: Duration = Duration::from_secs(600);
/// Names and links that are remembered at most.
const REMEMBERED: u64 = 10_000;

/// What is known of organizations.
#[derive(Debug)]
pub(super) struct Organizations {
    accounts: Arc<dyn CustomerAccounts>,
    by_name: LazyLock<Cache<String, Organization>>,
    links: LazyLock<Cache<(String, String), ()>>,
}

/// Made for the first of them.
fn remembering<K, V>() -> CacheBuilder<K, V, Cache<K, V>>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(REMEMBERED).time_to_live(KNOWN)
}

impl Organizations {
    pub fn new(accounts: Arc<dyn CustomerAccounts>) -> Self {
        Self {
            accounts,
            by_name: LazyLock::new(|| remembering().build()),
            links: LazyLock::new(|| remembering().support_invalidation_closures().build()),
        }
    }

    /// The organization of that name, made if need be, and linked to every one of `desks`. Those who ask at the same
    /// time share one call, and its failure.
    pub async fn named(
        &self,
        name: &str,
        desks: &[String],
        deadline: Instant,
    ) -> Result<Organization, DirectoryFailed> {
        let finding = self.accounts.organization(name, deadline);
        let found = self.by_name.try_get_with(name.to_owned(), finding).await.map_err(unshared)?;
        for desk in desks {
            let linking = self.accounts.link(desk, &found.id, deadline);
            let link = (desk.clone(), found.id.clone());
            self.links.try_get_with(link, linking).await.map_err(|failed| match unshared(failed) {
                DirectoryFailed::Organization(_) => DirectoryFailed::Organization(name.to_owned()),
                failed => failed,
            })?;
        }
        Ok(found)
    }

    /// Looks it up anew the next time: what was known of it did not hold.
    pub async fn forget(&self, name: &str) {
        if let Some(known) = self.by_name.remove(name).await {
            let _ = self.links.invalidate_entries_if(move |(_, organization), ()| *organization == known.id);
        }
    }
}

fn unshared(failed: Arc<DirectoryFailed>) -> DirectoryFailed {
    Arc::unwrap_or_clone(failed)
}
