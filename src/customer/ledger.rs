//! What the gateway has done for people at an upstream, and whose each account is. Kept beside the sessions, sealed, and
//! found by blind tags; it outlives sessions and restarts.
//!
//! Two records belong together. A person's tells the account, and what the gateway itself has added it to; an account's
//! tells the one person (issuer and subject) that it belongs to. Both are written in one step, so that no crash leaves an
//! account with two owners. What is about to be done is written before it is done: what a crash cut off is then known to
//! be ours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::accounts::Place;
use crate::clock::Timestamp;
use crate::email::EmailAddress;
use crate::portal::HostName;
use crate::session::store::Shelf;
use crate::session::{Change, RecordError, RecordName, Records, Seen, StoreError, Unchanged};
use crate::sign_in::VerifiedIdentity;

/// Records of one step of a walk.
const PIECE: usize = 200;

/// A person at one site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonRecord {
    /// The site.
    pub site: String,
    /// The person, as last let in.
    pub identity: VerifiedIdentity,
    /// The address that the account was accepted with.
    pub email: EmailAddress,
    /// Their account, in the spelling to compare by; `None` while one is being looked for or made.
    pub account: Option<String>,
    /// Whether the gateway made the account, or was about to.
    pub made: bool,
    /// What was done for each portal.
    pub portals: BTreeMap<String, Provisioned>,
}

/// What was done for a person at one portal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioned {
    /// When everything was last in order.
    pub finished: Option<Timestamp>,
    /// When their admission was found to have ended.
    pub left: Option<Timestamp>,
    /// Where the gateway keeps them.
    pub held: Vec<Held>,
}

/// One place where the gateway keeps somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The place.
    pub place: Place,
    /// The organization's name, as the rules have it.
    pub name: Option<String>,
    /// How they came there.
    pub how: How,
}

/// How somebody came to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The gateway was about to add them, who were not in it.
    Adding,
    /// The gateway has added them.
    Added,
    /// They were in it already, or nobody can tell: it is not ours to take away.
    Found,
}

impl How {
    /// Whether the gateway may take it away again.
    pub fn is_ours(self) -> bool {
        self != Self::Found
    }
}

/// Whose an account is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// OpenID Connect `iss`, or the SAML entity id.
    pub issuer: String,
    /// OpenID Connect `sub`, or the SAML NameID.
    pub subject: String,
    /// Whether an operator has set the account free for whoever comes next with its address.
    pub released: bool,
}

impl Holder {
    /// Whether that is `who`.
    pub fn is(&self, who: &VerifiedIdentity) -> bool {
        self.issuer == who.issuer() && self.subject == who.subject()
    }
}

impl PersonRecord {
    /// Nothing is known yet.
    pub fn new(site: &str, who: &VerifiedIdentity, email: &EmailAddress) -> Self {
        Self {
            site: site.to_owned(),
            identity: who.clone(),
            email: email.clone(),
            account: None,
            made: false,
            portals: BTreeMap::new(),
        }
    }

    /// What was done for that portal.
    pub fn at(&self, portal: &HostName) -> Provisioned {
        self.portals.get(portal.as_str()).cloned().unwrap_or_default()
    }

    /// Notes what was done for that portal.
    pub fn note(&mut self, portal: &HostName, provisioned: Provisioned) {
        self.portals.insert(portal.as_str().to_owned(), provisioned);
    }

    /// Whether another portal than that one keeps the person there.
    pub fn is_kept_elsewhere(&self, portal: &HostName, place: &Place) -> Option<How> {
        let others = self.portals.iter().filter(|(name, _)| *name != portal.as_str());
        let held = others.flat_map(|(_, provisioned)| &provisioned.held).filter(|held| held.place == *place);
        held.map(|held| held.how).max_by_key(|how| how.is_ours())
    }

    fn name(&self) -> RecordName {
        person_name(&self.site, self.identity.issuer(), self.identity.subject())
    }
}

/// How a change of the configured keys stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Records that the first key has sealed anew.
    pub moved: usize,
    /// Records that no configured key opens.
    pub unreadable: usize,
}

/// The ledger. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    records: Records,
}

impl Ledger {
    /// The ledger in `records`.
    pub fn new(records: Records) -> Self {
        Self { records }
    }

    /// What is known of a person at a site.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn person(&self, site: &str, who: &VerifiedIdentity) -> Result<Option<PersonRecord>, RecordError> {
        self.records.load(&person_name(site, who.issuer(), who.subject())).await
    }

    /// Who has an account, in the spelling to compare by; and that nobody has got it since, for [`Ledger::bind`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn holder(&self, site: &str, account: &str) -> Result<Seen<Holder>, RecordError> {
        self.records.see(&account_name(site, account)).await
    }

    /// What is known of the person who has an account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn person_of(&self, site: &str, holder: &Holder) -> Result<Option<PersonRecord>, RecordError> {
        self.records.load(&person_name(site, &holder.issuer, &holder.subject)).await
    }

    /// Keeps what is known of a person whose account stays the same.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn put(&self, person: &PersonRecord) -> Result<(), RecordError> {
        self.records.change(vec![Change::put(person.name(), person)?]).await
    }

    /// Gives a person their account, in one step: from now on it is nobody else's. `unchanged` is what [`Ledger::holder`] has seen of the
    /// account, `instead_of` the person who had it before, `left` the account that this person had before.
    ///
    /// # Errors
    /// When it could not be written; [`StoreError::Busy`], and nothing is written, when somebody else has changed the account's holder since.
    pub async fn bind(
        &self,
        person: &PersonRecord,
        unchanged: &Unchanged,
        instead_of: Option<&PersonRecord>,
        left: Option<&str>,
    ) -> Result<(), RecordError> {
        let mut changes = Vec::new();
        if let Some(before) = instead_of {
            changes.push(Change::remove(before.name()));
        }
        if let Some(left) = left {
            changes.push(Change::remove(account_name(&person.site, left)));
        }
        changes.push(Change::put(person.name(), person)?);
        if let Some(account) = &person.account {
            let (issuer, subject) = (person.identity.issuer().to_owned(), person.identity.subject().to_owned());
            let holder = Holder { issuer, subject, released: false };
            changes.push(Change::put(account_name(&person.site, account), &holder)?);
        }
        match self.records.change_if(&[unchanged], changes).await? {
            true => Ok(()),
            false => Err(StoreError::Busy.into()),
        }
    }

    /// Sets a person's account free for whoever comes next with its address. False when the person has none, or somebody else has got it.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn release(&self, person: &PersonRecord) -> Result<bool, RecordError> {
        let Some(account) = &person.account else { return Ok(false) };
        let name = account_name(&person.site, account);
        loop {
            let Seen { record, unchanged, .. } = self.records.see::<Holder>(&name).await?;
            let Some(holder) = record.filter(|holder| holder.is(&person.identity)) else { return Ok(false) };
            let free = Change::put(name.clone(), &Holder { released: true, ..holder })?;
            if self.records.change_if(&[&unchanged], vec![free]).await? {
                return Ok(true);
            }
        }
    }

    /// Everybody known at a site, in no meaningful order, and how many records no configured key opens.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn people(&self, site: &str) -> Result<(Vec<PersonRecord>, usize), RecordError> {
        let (mut people, mut unreadable, mut after) = (Vec::new(), 0_usize, None);
        loop {
            let walked = self.records.walk::<PersonRecord>(Shelf::People, after.as_ref(), PIECE).await?;
            unreadable = unreadable.saturating_add(walked.unreadable);
            people.extend(walked.found.into_iter().map(|found| found.record).filter(|person| person.site == site));
            match walked.next {
                Some(next) => after = Some(next),
                None => return Ok((people, unreadable)),
            }
        }
    }

    /// Has the first of the configured keys seal everything, so that the others can go.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn reseal(&self) -> Result<Resealed, RecordError> {
        let mut resealed = Resealed::default();
        let mut after = None;
        loop {
            let walked = self.records.walk::<PersonRecord>(Shelf::People, after.as_ref(), PIECE).await?;
            resealed.unreadable = resealed.unreadable.saturating_add(walked.unreadable);
            for person in walked.found.iter().filter(|found| !found.sealed_by_first) {
                self.reseal_person(&person.record).await?;
                resealed.moved = resealed.moved.saturating_add(1);
            }
            match walked.next {
                Some(next) => after = Some(next),
                None => return Ok(resealed),
            }
        }
    }

    /// Reads again what is put, and puts it only as it still is: a sign-in may change it meanwhile, and an account have got another holder.
    async fn reseal_person(&self, walked: &PersonRecord) -> Result<(), RecordError> {
        loop {
            let seen = self.records.see::<PersonRecord>(&walked.name()).await?;
            let Some(person) = &seen.record else { return Ok(()) };
            let (mut changes, mut unchanged) =
                (vec![Change::put(person.name(), person)?], vec![seen.unchanged.clone()]);
            if let Some(account) = &person.account {
                let name = account_name(&person.site, account);
                let held = self.records.see::<Holder>(&name).await?;
                unchanged.push(held.unchanged);
                if let Some(holder) = held.record {
                    changes.push(Change::put(name, &holder)?);
                }
            }
            let unchanged: Vec<&Unchanged> = unchanged.iter().collect();
            if self.records.change_if(&unchanged, changes).await? {
                return Ok(());
            }
        }
    }
}

fn person_name(site: &str, issuer: &str, subject: &str) -> RecordName {
    RecordName::new(Shelf::People, &[site, issuer, subject])
}

fn account_name(site: &str, account: &str) -> RecordName {
    RecordName::new(Shelf::Accounts, &[site, account])
}
