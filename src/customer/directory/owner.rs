//! Whose account it is: found or made by the exact address, once; from then on bound to issuer and subject.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{Directory, Settled, shown};
use crate::customer::accounts::{Account, Made};
use crate::customer::ledger::{Holder, PersonRecord};
use crate::customer::{DirectoryFailed, Provisioning};
use crate::email::EmailAddress;
use crate::portal::settings::OnEmailChange;
use crate::session::Unchanged;
use crate::sign_in::VerifiedIdentity;

/// The account that a person leaves.
#[derive(Clone, Copy, Debug)]
struct Left<'a> {
    account: &'a str,
    is_there: bool,
}

impl Directory {
    /// The account of `who`: the one they had before, else the one of their address.
    pub(super) async fn settle(
        &self,
        who: &VerifiedIdentity,
        email: &EmailAddress,
        deadline: Instant,
    ) -> Result<Settled, DirectoryFailed> {
        let known = self.ledger.person(self.accounts.site(), who).await?;
        let mut person = known.unwrap_or_else(|| PersonRecord::new(self.accounts.site(), who, email));
        person.identity = who.clone();
        let Some(bound) = person.account.clone() else { return self.first_time(person, email, deadline).await };
        if person.email != *email && self.settings.on_email_change == OnEmailChange::Refuse {
            return Err(DirectoryFailed::EmailChanged);
        }
        // An operator may have set the account free, and somebody else may have it by now.
        let holder = self.ledger.holder(&person.site, &bound).await?;
        match &holder.record {
            Some(record) if !record.is(who) => return Err(DirectoryFailed::BoundToAnother),
            Some(_) => {}
            None => self.ledger.bind(&person, &holder.unchanged, None, None).await?,
        }
        let Some(mut account) = self.accounts.account(&bound, deadline).await? else {
            tracing::warn!(account = %bound, "a bound account is not there any more: the person begins anew");
            let left = Left { account: &bound, is_there: false };
            return self.move_to(person, email, Some(left), deadline).await;
        };
        if person.email == *email {
            return Ok(Settled { person, account, new: false });
        }
        match self.settings.on_email_change {
            OnEmailChange::Follow if self.accounts.change_email(&account.id, email, deadline).await? => {
                tracing::info!(account = %account.id, "an account has got its person's new address");
                self.note(Provisioning::EmailFollowed);
                account.email = Some(email.as_str().to_owned());
            }
            OnEmailChange::Follow => {
                let left = Left { account: &bound, is_there: true };
                return self.move_to(person, email, Some(left), deadline).await;
            }
            OnEmailChange::Keep | OnEmailChange::Refuse => {
                tracing::info!(account = %account.id, "a person has another address than before, and keeps their account");
            }
        }
        person.email = email.clone();
        Ok(Settled { person, account, new: false })
    }

    /// Nobody has signed in as this person before, or not to the end.
    async fn first_time(
        &self,
        person: PersonRecord,
        email: &EmailAddress,
        deadline: Instant,
    ) -> Result<Settled, DirectoryFailed> {
        self.move_to(person, email, None, deadline).await
    }

    /// Gives the person the account of that address, in place of the one that they leave. Nothing of that one changes
    /// before it is sure that they may have the other.
    async fn move_to(
        &self,
        mut person: PersonRecord,
        email: &EmailAddress,
        left: Option<Left<'_>>,
        deadline: Instant,
    ) -> Result<Settled, DirectoryFailed> {
        let before = match left {
            Some(_) => std::mem::take(&mut person.portals),
            None => BTreeMap::new(),
        };
        let (account, new) = match self.accounts.find(email, deadline).await? {
            Some(account) => (account, false),
            None if self.settings.create_customers => {
                if left.is_none() {
                    // Written first: whatever is found under this address after a crash is then known to be ours.
                    person.email = email.clone();
                    person.made = true;
                    self.ledger.put(&person).await?;
                }
                self.create(&mut person, email, deadline).await?
            }
            None => return Err(DirectoryFailed::Unknown),
        };
        if left.is_some() {
            person.made = new;
        }
        let (instead_of, unchanged) = self.may_have(&mut person, &account).await?;
        if let Some(Left { account, is_there: true }) = left {
            self.leave_places(&before, account, deadline).await?;
        }
        person.email = email.clone();
        person.account = Some(self.accounts.spelled(&account.id));
        let left = left.map(|left| left.account).filter(|left| Some(*left) != person.account.as_deref());
        self.ledger.bind(&person, &unchanged, instead_of.as_ref(), left).await?;
        self.note(Provisioning::Bound);
        Ok(Settled { person, account, new })
    }

    async fn create(
        &self,
        person: &mut PersonRecord,
        email: &EmailAddress,
        deadline: Instant,
    ) -> Result<(Account, bool), DirectoryFailed> {
        let name = shown(person.identity.display_name());
        let name = if name.is_empty() { email.as_str() } else { &name };
        match self.accounts.create(email, name, deadline).await? {
            Made::New(account) => {
                tracing::info!(account = %account.id, "a customer was created");
                self.note(Provisioning::Created);
                Ok((account, true))
            }
            Made::Known(account) => {
                person.made = false;
                Ok((account, false))
            }
        }
    }

    /// Whether the person may have the account: nobody else has it, or an operator has set it free. Then what the
    /// gateway did for the one who had it is theirs, and that one's record goes. All of it as long as nobody has got it since.
    async fn may_have(
        &self,
        person: &mut PersonRecord,
        account: &Account,
    ) -> Result<(Option<PersonRecord>, Unchanged), DirectoryFailed> {
        let seen = self.ledger.holder(&person.site, &self.accounts.spelled(&account.id)).await?;
        let other = seen.record.filter(|holder| !holder.is(&person.identity));
        let Some(holder) = other else { return Ok((None, seen.unchanged)) };
        if !holder.released {
            tracing::warn!(
                account = %account.id,
                provider = %person.identity.provider(),
                "somebody proves the address of an account that belongs to another identity: refused"
            );
            self.note(Provisioning::TakeoverRefused);
            return Err(DirectoryFailed::BoundToAnother);
        }
        Ok((self.inherit(person, &holder).await?, seen.unchanged))
    }

    async fn inherit(
        &self,
        person: &mut PersonRecord,
        holder: &Holder,
    ) -> Result<Option<PersonRecord>, DirectoryFailed> {
        let before = self.ledger.person_of(&person.site, holder).await?;
        if let Some(before) = &before {
            person.portals.clone_from(&before.portals);
            person.made = before.made;
        }
        Ok(before)
    }
}
