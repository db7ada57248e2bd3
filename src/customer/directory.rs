//! From a verified identity to the customer that it is: the account, its owner, and where it belongs.
//!
//! Owns the order of the steps; the calls are the upstream's ([`CustomerAccounts`]), and what was done stands in the
//! [`Ledger`]. Every step may be repeated, and what it is about to do is written down first: whatever a crash leaves
//! undone, the next sign-in finishes, with no duplicate. Trusts what the ledger says of an account's owner more than any
//! address: an account that belongs to one issuer and subject is given to no other.

mod leaving;
mod organizations;
mod owner;
mod places;
mod sync;
mod wanted;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::organizations::Organizations;
pub use self::sync::{Planned, Standing, SyncOutcome, Synced};
use super::accounts::{Account, CustomerAccounts};
use super::ledger::{Ledger, PersonRecord, Provisioned};
use super::people::Turn;
use super::{
    Customer, CustomerDirectory, CustomerEvent, CustomerObserver, DirectoryFailed, People, Provisioning, UpstreamFailed,
};
use crate::clock::{Clock, deadline as in_time};
use crate::email::EmailAddress;
use crate::portal::HostName;
use crate::portal::settings::DirectorySettings;
use crate::sign_in::VerifiedIdentity;

/// How long what was found in order is taken to be so still.
const IN_ORDER: Duration = Duration::from_secs(24 * 3600);
/// Characters of a name to show.
const DISPLAY_NAME: usize = 255;

/// The customers of one portal.
pub struct Directory {
    accounts: Arc<dyn CustomerAccounts>,
    ledger: Ledger,
    settings: DirectorySettings,
    portal: HostName,
    organizations: Organizations,
    people: Arc<People>,
    /// So many people are served at once, each to the end: a crowd that is served all at once finishes nobody in time.
    places: Semaphore,
    observer: Arc<dyn CustomerObserver>,
    clock: Clock,
}

/// What a directory works with.
#[derive(Debug)]
pub struct DirectoryParts {
    /// The calls to the upstream.
    pub accounts: Arc<dyn CustomerAccounts>,
    /// What was done before.
    pub ledger: Ledger,
    /// One for the whole process.
    pub people: Arc<People>,
    /// How many people are served at once.
    pub concurrency: usize,
    /// Who counts.
    pub observer: Arc<dyn CustomerObserver>,
    /// Where `now` comes from.
    pub clock: Clock,
}

/// A person whose turn it is, with their account.
struct Settled {
    person: PersonRecord,
    account: Account,
    /// Made by this very sign-in, so that it can be nowhere yet.
    new: bool,
}

impl Directory {
    /// The customers of `portal`.
    pub fn new(portal: HostName, settings: DirectorySettings, parts: DirectoryParts) -> Self {
        let DirectoryParts { accounts, ledger, people, concurrency, observer, clock } = parts;
        let organizations = Organizations::new(Arc::clone(&accounts));
        let places = Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self { accounts, ledger, settings, portal, organizations, people, places, observer, clock }
    }

    /// Waits until nobody else is busy with the person, or with somebody who has the same address: always in this order.
    async fn turns(
        &self,
        who: &VerifiedIdentity,
        email: Option<&EmailAddress>,
        deadline: Instant,
    ) -> Result<(Turn, Option<Turn>), DirectoryFailed> {
        let site = self.accounts.site();
        let waiting = async {
            let person = self.people.turn(&format!("{site} person {} {}", who.issuer(), who.subject())).await;
            let address = match email {
                Some(email) => Some(self.people.turn(&format!("{site} address {email}")).await),
                None => None,
            };
            (person, address)
        };
        tokio::time::timeout_at(deadline, waiting).await.map_err(|_| UpstreamFailed::TimedOut.into())
    }

    fn note(&self, provisioning: Provisioning) {
        self.observer.note(&CustomerEvent::Provisioned(provisioning));
    }

    /// The steps after the account is known, and what their failure means: whoever was a customer before comes in all the
    /// same.
    async fn complete(
        &self,
        mut settled: Settled,
        who: &VerifiedIdentity,
        deadline: Instant,
    ) -> Result<Customer, DirectoryFailed> {
        let before = settled.person.at(&self.portal);
        let was_customer = before.finished.is_some() || !settled.person.made;
        // The rest of the time is for the login.
        let until = if was_customer { half_way(deadline) } else { deadline };
        let outcome = match tokio::time::timeout_at(until, self.put_in_order(&mut settled, who, &before, until)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(UpstreamFailed::TimedOut.into()),
        };
        let Settled { person, account, .. } = settled;
        match outcome {
            Ok(()) => {}
            Err(failed) if was_customer => {
                let account = &account.id;
                tracing::warn!(%account, reason = failed.reason(), %failed, "an existing customer's account is not in order; they are let in");
                self.note(Provisioning::Incomplete);
            }
            Err(failed) => return Err(failed),
        }
        Ok(Customer::fit(account, person.email))
    }

    async fn put_in_order(
        &self,
        settled: &mut Settled,
        who: &VerifiedIdentity,
        before: &Provisioned,
        deadline: Instant,
    ) -> Result<(), DirectoryFailed> {
        let marked = self.accounts.mark(&settled.account, deadline).await;
        if marked.is_err() && before.finished.is_none() {
            return marked;
        }
        let renamed = self.rename(settled, who, deadline).await;
        let placed = self.put_in_places(settled, who, before, deadline).await;
        marked.and(placed).and(renamed)
    }

    /// Has the upstream show the name that the provider tells.
    async fn rename(
        &self,
        settled: &Settled,
        who: &VerifiedIdentity,
        deadline: Instant,
    ) -> Result<(), DirectoryFailed> {
        let Some(told) = who.told_display_name().map(shown).filter(|name| !name.is_empty()) else { return Ok(()) };
        let shown_there = settled.account.display_name.as_deref();
        if !self.settings.update_display_name || shown_there.is_none_or(|there| there.trim() == told) {
            return Ok(());
        }
        if self.accounts.rename(&settled.account.id, &told, deadline).await? {
            self.note(Provisioning::Renamed);
        }
        Ok(())
    }
}

#[async_trait]
impl CustomerDirectory for Directory {
    async fn ensure(&self, who: &VerifiedIdentity, deadline: Instant) -> Result<Customer, DirectoryFailed> {
        let email = who.email().filter(|_| who.email_verified()).ok_or(DirectoryFailed::NoVerifiedEmail)?;
        let _turns = self.turns(who, Some(email), deadline).await?;
        let place = tokio::time::timeout_at(deadline, self.places.acquire()).await;
        let _place = place.map_err(|_| DirectoryFailed::Crowded)?;
        let settled = self.settle(who, email, deadline).await?;
        self.complete(settled, who, deadline).await
    }

    async fn leave(&self, who: &VerifiedIdentity, deadline: Instant) -> Result<(), DirectoryFailed> {
        let _turns = self.turns(who, None, deadline).await?;
        match self.ledger.person(self.accounts.site(), who).await? {
            Some(person) => self.take_leave(person, deadline).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({} at {})", self.portal, self.accounts.site())
    }
}

/// A name as it may be shown: on one line, and not longer than upstreams take.
pub(super) fn shown(name: &str) -> String {
    let plain: String = name.chars().filter(|c| !c.is_control()).take(DISPLAY_NAME).collect();
    plain.trim().to_owned()
}

fn half_way(deadline: Instant) -> Instant {
    let now = in_time(Duration::ZERO);
    let half = deadline.saturating_duration_since(now).checked_div(2).unwrap_or_default();
    now.checked_add(half).unwrap_or(deadline)
}

#[cfg(test)]
pub(super) mod tests;
