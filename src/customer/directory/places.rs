//! Where a customer belongs: service desks and organizations. Added where they are missing; taken away where the gateway
//! itself has added them and it no longer holds.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::wanted::wanted;
use super::{Directory, IN_ORDER, Settled};
use crate::customer::accounts::{Place, Presence};
use crate::customer::ledger::{Held, How, PersonRecord, Provisioned};
use crate::customer::{DirectoryFailed, Provisioning};
use crate::sign_in::VerifiedIdentity;

/// One place that is wanted, before it is known by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Desk(String),
    Organization(String),
}

impl Wish {
    /// Whether that is the wished place.
    pub fn is(&self, held: &Held) -> bool {
        match self {
            Self::Desk(id) => held.place == Place::Desk(id.clone()),
            Self::Organization(name) => held.name.as_ref() == Some(name),
        }
    }
}

impl Directory {
    /// What the settings want for `who`.
    pub(super) fn wishes(&self, who: &VerifiedIdentity) -> Vec<Wish> {
        let desks = self.settings.service_desks.iter().cloned().map(Wish::Desk);
        let organizations = wanted(&self.settings.organizations, who);
        desks.chain(organizations.into_iter().map(|name| Wish::Organization(name.as_str().to_owned()))).collect()
    }

    /// Adds and takes away, and writes down what was done. A place that cannot be had does not keep the others from
    /// being tried; the first failure is told.
    pub(super) async fn put_in_places(
        &self,
        settled: &mut Settled,
        who: &VerifiedIdentity,
        before: &Provisioned,
        deadline: Instant,
    ) -> Result<(), DirectoryFailed> {
        let now = self.clock.now();
        let in_order = before.left.is_none() && before.finished.is_some_and(|at| now.since(at) < IN_ORDER);
        let wishes = self.wishes(who);
        let mut provisioned = Provisioned { left: None, ..before.clone() };
        let mut failed = None;

        // First all that has to be known, then one note of all that is about to be done, then the doing.
        let mut to_add = Vec::new();
        for wish in &wishes {
            let known = before.held.iter().find(|held| wish.is(held));
            if in_order && known.is_some_and(|held| held.how != How::Adding) {
                continue;
            }
            match self.look_into(wish, settled, known, deadline).await {
                Ok(Some((held, missing))) => {
                    provisioned.held.retain(|other| other.place != held.place && !wish.is(other));
                    if missing {
                        to_add.push(held.place.clone());
                    }
                    provisioned.held.push(held);
                }
                Ok(None) => {}
                Err(error) if must_stop(&error) => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if !to_add.is_empty() {
            settled.person.note(&self.portal, provisioned.clone());
            self.ledger.put(&settled.person).await?;
        }
        for place in to_add {
            match self.accounts.add(&place, &settled.account.id, deadline).await {
                Ok(()) => {
                    let added = provisioned.held.iter_mut().find(|held| held.place == place && held.how == How::Adding);
                    if let Some(held) = added {
                        held.how = How::Added;
                        self.note(Provisioning::Added);
                    }
                }
                Err(error) => {
                    // What was known of an organization may not hold any more: look it up anew.
                    let held = provisioned.held.iter().find(|held| held.place == place);
                    if let (DirectoryFailed::Organization(_), Some(name)) =
                        (&error, held.and_then(|held| held.name.as_deref()))
                    {
                        self.organizations.forget(name).await;
                    }
                    if must_stop(&error) {
                        return Err(error);
                    }
                    // What is not ours and could not be had is not held: the next sign-in looks again.
                    provisioned.held.retain(|held| held.place != place || held.how == How::Adding);
                    failed = failed.or(Some(error));
                }
            }
        }
        let kept = self.take_away(&mut settled.person, &settled.account.id, provisioned, &wishes, deadline).await;
        let (mut provisioned, taken) = kept;
        failed = failed.or(taken.err());
        let finished = failed.is_none();
        if finished && !in_order {
            provisioned.finished = Some(now);
        }
        settled.person.note(&self.portal, provisioned);
        self.ledger.put(&settled.person).await?;
        failed.map_or(Ok(()), Err)
    }

    /// What is to be held for a wish, and whether the account has to be added. `None` where it is left to others.
    async fn look_into(
        &self,
        wish: &Wish,
        settled: &Settled,
        known: Option<&Held>,
        deadline: Instant,
    ) -> Result<Option<(Held, bool)>, DirectoryFailed> {
        let (place, name) = match wish {
            Wish::Desk(id) => (Place::Desk(id.clone()), None),
            Wish::Organization(name) => {
                let found = self.organizations.named(name, &self.settings.service_desks, deadline).await?;
                if found.scim_managed {
                    tracing::debug!(organization = %name, "members of this organization are left to SCIM");
                    return Ok(None);
                }
                (Place::Organization(found.id), Some(name.clone()))
            }
        };
        // The number may have changed: an organization was deleted, and made anew under its name.
        let known = known.filter(|held| held.place == place).map(|held| held.how);
        let elsewhere = settled.person.is_kept_elsewhere(&self.portal, &place).filter(|how| how.is_ours());
        let held = |how| Held { place: place.clone(), name: name.clone(), how };
        Ok(Some(match (known, elsewhere) {
            _ if settled.new => (held(How::Adding), true),
            (Some(How::Added | How::Adding), _) => (held(How::Adding), true),
            (_, Some(how)) => (held(how), how == How::Adding),
            (Some(How::Found) | None, None) => {
                match self.accounts.presence(&place, &settled.account, deadline).await? {
                    Presence::In => (held(How::Found), false),
                    Presence::Out => (held(How::Adding), true),
                    Presence::Untold => (held(How::Found), true),
                }
            }
        }))
    }

    /// Takes the account out of what is held, ours, and not wished for. What was Found is only forgotten.
    async fn take_away(
        &self,
        person: &mut PersonRecord,
        account: &str,
        provisioned: Provisioned,
        wishes: &[Wish],
        deadline: Instant,
    ) -> (Provisioned, Result<(), DirectoryFailed>) {
        let (mut kept, mut outcome) = (Vec::new(), Ok(()));
        for held in provisioned.held {
            let wished = wishes.iter().any(|wish| wish.is(&held));
            if wished || !held.how.is_ours() {
                if wished {
                    kept.push(held);
                }
                continue;
            }
            if let Err(error) = self.take_out(person, account, &held, deadline).await {
                kept.push(held);
                outcome = outcome.and(Err(error));
            }
        }
        (Provisioned { held: kept, ..provisioned }, outcome)
    }

    /// Takes the account out of one place, unless another portal keeps it there: then that one has it from now on.
    pub(super) async fn take_out(
        &self,
        person: &mut PersonRecord,
        account: &str,
        held: &Held,
        deadline: Instant,
    ) -> Result<(), DirectoryFailed> {
        if person.is_kept_elsewhere(&self.portal, &held.place).is_some() {
            let portal = self.portal.as_str();
            let others = person.portals.iter_mut().filter(|(name, _)| *name != portal);
            for other in others.flat_map(|(_, provisioned)| &mut provisioned.held) {
                if other.place == held.place {
                    other.how = How::Added;
                }
            }
            return Ok(());
        }
        self.accounts.remove(&held.place, account, deadline).await?;
        tracing::info!(%account, place = %held.place, "taken away what no longer holds");
        self.note(Provisioning::Removed);
        Ok(())
    }

    /// Takes the account out of everything that the gateway has added it to, for every portal.
    pub(super) async fn leave_places(
        &self,
        portals: &BTreeMap<String, Provisioned>,
        account: &str,
        deadline: Instant,
    ) -> Result<(), DirectoryFailed> {
        let held = portals.values().flat_map(|provisioned| &provisioned.held).filter(|held| held.how.is_ours());
        for held in held {
            self.accounts.remove(&held.place, account, deadline).await?;
            self.note(Provisioning::Removed);
        }
        Ok(())
    }
}

/// Whether trying the other places makes no sense.
fn must_stop(failed: &DirectoryFailed) -> bool {
    matches!(failed, DirectoryFailed::Upstream(_) | DirectoryFailed::Ledger(_))
}
