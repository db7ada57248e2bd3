//! Everybody whom the ledger knows, held against the settings of today: what would change for whom, and changing it.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Directory;
use crate::clock::deadline as in_time;
use crate::customer::ledger::{How, PersonRecord};
use crate::customer::{Customer, CustomerDirectory as _, DirectoryFailed};
use crate::email::EmailAddress;
use crate::portal::settings::OnLeave;
use crate::sign_in::VerifiedIdentity;

/// How a person stands with the portal today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are admitted.
    Admitted,
    /// Their admission has ended.
    Ended,
    /// That depends on where they come from, or when.
    Untold,
}

/// Tells how people stand.
pub type Stands<'a> = &'a (dyn Fn(&VerifiedIdentity) -> Standing + Send + Sync);

/// One thing that would change for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planned {
    /// They would get an account.
    Account,
    /// They would be added to a service desk.
    JoinDesk(String),
    /// They would be added to an organization.
    JoinOrganization(String),
    /// They would be taken out of a place that the gateway has added them to.
    Leave(String),
    /// They would lose their access to the portal.
    Revoke,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => f.write_str("find or create the account"),
            Self::JoinDesk(id) => write!(f, "add to service desk {id}"),
            Self::JoinOrganization(name) => write!(f, "add to organization \"{name}\""),
            Self::Leave(place) => write!(f, "remove from {place}"),
            Self::Revoke => f.write_str("revoke portal access"),
        }
    }
}

/// A person for whom something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    /// Their e-mail address.
    pub email: String,
    /// Who vouches for them.
    pub provider: String,
    /// What changes.
    pub changes: Vec<Planned>,
    /// Why it could not be done.
    pub failed: Option<String>,
}

/// What a comparison of one portal came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncOutcome {
    /// The portal.
    pub portal: String,
    /// How many people are known.
    pub known: usize,
    /// Records that no configured key opens.
    pub unreadable: usize,
    /// Those for whom something changes.
    pub people: Vec<Synced>,
}

impl Directory {
    /// Compares everybody who is known at this portal with the settings. `dry_run` calls nobody and changes nothing.
    ///
    /// # Errors
    /// When the ledger cannot be read. What fails for one person is told with that person.
    pub async fn sync(
        &self,
        stands: Stands<'_>,
        dry_run: bool,
        per_person: std::time::Duration,
    ) -> Result<SyncOutcome, DirectoryFailed> {
        let (people, unreadable) = self.ledger.people(self.accounts.site()).await?;
        let here = people.into_iter().filter(|person| person.portals.contains_key(self.portal.as_str()));
        let mut outcome = SyncOutcome { portal: self.portal.to_string(), known: 0, unreadable, people: Vec::new() };
        for person in here {
            outcome.known = outcome.known.saturating_add(1);
            let (admitted, changes) = match stands(&person.identity) {
                Standing::Admitted => (true, self.planned_for_customer(&person)),
                Standing::Ended => (false, self.planned_for_leaver(&person)),
                Standing::Untold => continue,
            };
            if changes.is_empty() {
                continue;
            }
            let failed = match dry_run {
                true => None,
                false => {
                    self.carry_out(&person, admitted, in_time(per_person)).await.err().map(|failed| failed.to_string())
                }
            };
            let (email, provider) = (person.email.to_string(), person.identity.provider().to_string());
            outcome.people.push(Synced { email, provider, changes, failed });
        }
        outcome.people.sort_by(|a, b| a.email.cmp(&b.email));
        Ok(outcome)
    }

    /// The customer who has exactly that address at the upstream, whoever they are here: for what operators do to accounts.
    ///
    /// # Errors
    /// When the account is not a mere customer's, or the upstream does not tell.
    pub async fn known(&self, email: &EmailAddress, deadline: Instant) -> Result<Option<Customer>, DirectoryFailed> {
        let account = self.accounts.find(email, deadline).await?;
        Ok(account.map(|account| Customer::fit(account, email.clone())))
    }

    /// Sets the accounts of everybody with that address free: whoever next proves it gets the account, and what the
    /// gateway did for it. How many there were.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub async fn release(&self, email: &EmailAddress) -> Result<usize, DirectoryFailed> {
        let (people, _) = self.ledger.people(self.accounts.site()).await?;
        let mut released = 0_usize;
        for person in people.iter().filter(|person| person.email == *email) {
            if self.ledger.release(person).await? {
                released = released.saturating_add(1);
            }
        }
        Ok(released)
    }

    async fn carry_out(&self, person: &PersonRecord, admitted: bool, deadline: Instant) -> Result<(), DirectoryFailed> {
        let who = &person.identity;
        if !admitted {
            return self.leave(who, deadline).await;
        }
        // Not `ensure`: an existing customer is let in whatever fails, and here the failure is what matters.
        let email = who.email().filter(|_| who.email_verified()).ok_or(DirectoryFailed::NoVerifiedEmail)?;
        let _turns = self.turns(who, Some(email), deadline).await?;
        let mut settled = self.settle(who, email, deadline).await?;
        let before = settled.person.at(&self.portal);
        self.put_in_order(&mut settled, who, &before, deadline).await
    }

    fn planned_for_customer(&self, person: &PersonRecord) -> Vec<Planned> {
        let before = person.at(&self.portal);
        let wishes = self.wishes(&person.identity);
        let account = person.account.is_none().then_some(Planned::Account);
        let held = |wish: &super::places::Wish| before.held.iter().any(|held| wish.is(held) && held.how != How::Adding);
        let joins = wishes.iter().filter(|wish| !held(wish)).map(|wish| match wish {
            super::places::Wish::Desk(id) => Planned::JoinDesk(id.clone()),
            super::places::Wish::Organization(name) => Planned::JoinOrganization(name.clone()),
        });
        let gone = before.held.iter().filter(|held| held.how.is_ours() && !wishes.iter().any(|wish| wish.is(held)));
        account.into_iter().chain(joins).chain(gone.map(told)).collect()
    }

    fn planned_for_leaver(&self, person: &PersonRecord) -> Vec<Planned> {
        let before = person.at(&self.portal);
        if person.account.is_none() || before.left.is_some() || self.settings.on_leave == OnLeave::Keep {
            return Vec::new();
        }
        let gone = before.held.iter().filter(|held| self.goes(held)).map(told);
        gone.chain(self.revokes(person).then_some(Planned::Revoke)).collect()
    }
}

fn told(held: &crate::customer::ledger::Held) -> Planned {
    Planned::Leave(match &held.name {
        Some(name) => format!("organization \"{name}\""),
        None => held.place.to_string(),
    })
}
