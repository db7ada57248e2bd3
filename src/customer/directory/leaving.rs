//! What becomes of a customer whose admission has ended.

use tokio::time::Instant;

use super::Directory;
use crate::customer::accounts::Place;
use crate::customer::ledger::{Held, PersonRecord, Provisioned};
use crate::customer::{DirectoryFailed, Provisioning};
use crate::portal::settings::OnLeave;

impl Directory {
    /// Does what `on_leave` says, once. Nothing but what the gateway has added is taken away. What a crash or an outage
    /// leaves undone is done the next time that the person is found to have left.
    pub(super) async fn take_leave(&self, mut person: PersonRecord, deadline: Instant) -> Result<(), DirectoryFailed> {
        let before = person.at(&self.portal);
        let (Some(account), None) = (person.account.clone(), before.left) else { return Ok(()) };
        if self.settings.on_leave == OnLeave::Keep {
            return Ok(());
        }
        let (mut kept, mut failed) = (Vec::new(), None);
        for held in before.held {
            if !self.goes(&held) {
                kept.push(held);
                continue;
            }
            if let Err(error) = self.take_out(&mut person, &account, &held, deadline).await {
                kept.push(held);
                failed = failed.or(Some(error));
            }
        }
        if self.revokes(&person)
            && let Err(error) = self.accounts.revoke(&account, deadline).await
        {
            failed = failed.or(Some(error));
        }
        let left = failed.is_none().then(|| self.clock.now());
        person.note(&self.portal, Provisioned { finished: None, left, held: kept });
        self.ledger.put(&person).await?;
        match failed {
            None => {
                tracing::info!(%account, on_leave = ?self.settings.on_leave, "a customer whose admission ended has left");
                self.note(Provisioning::Left);
                Ok(())
            }
            Some(failed) => Err(failed),
        }
    }

    /// Whether leaving takes that away.
    pub(super) fn goes(&self, held: &Held) -> bool {
        held.how.is_ours()
            && match (self.settings.on_leave, &held.place) {
                (OnLeave::Keep, _) | (OnLeave::RemoveAddedOrganizations, Place::Desk(_)) => false,
                (OnLeave::RemoveAddedOrganizations, Place::Organization(_)) | (OnLeave::RevokePortalAccess, _) => true,
            }
    }

    /// Whether leaving takes the whole access: not while another portal of the site still lets the person in.
    pub(super) fn revokes(&self, person: &PersonRecord) -> bool {
        let others = person.portals.iter().filter(|(name, _)| *name != self.portal.as_str());
        let mut active = others.filter(|(_, provisioned)| provisioned.finished.is_some() && provisioned.left.is_none());
        self.settings.on_leave == OnLeave::RevokePortalAccess && active.next().is_none()
    }
}
