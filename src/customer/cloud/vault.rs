//! Customers' passwords at a Cloud site, which no call can set: kept since their owner, or an operator, gave them.
//!
//! One record for each account of each portal, on a shelf of the session store: sealed by the configured keys, and in it the
//! password in an [`Envelope`] with a data key of its own, bound to the site, the portal and the account. A password
//! that was given for one site is therefore sent to no other, whatever `upstream` says later. Who acts for a person
//! holds that person's turn ([`place`]) from reading to writing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::customer::People;
use crate::customer::ledger::Resealed;
use crate::portal::HostName;
use crate::random::Random;
use crate::secret::Secret;
use crate::session::envelope::Envelope;
use crate::session::store::{Shelf, StoreError};
use crate::session::{Change, RecordError, RecordName, Records};

/// So many passwords in a row may be refused before no more are tried: sites want a CAPTCHA after a few.
pub const TRIES: u32 = 2;
/// After so long, one more is.
pub const REST: Duration = Duration::from_secs(3600);
/// So many mails are asked for one person...
pub const MAILS: usize = 3;
/// ... in this time.
pub const MAILS_IN: Duration = Duration::from_secs(3600);
/// Records of one step of a walk.
const PIECE: usize = 200;

/// The passwords of one portal's customers. Clones share them.
#[derive(Clone, Debug)]
pub struct PasswordVault {
    records: Records,
    random: Random,
    site: String,
    portal: String,
}

/// How it stands with somebody's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None was given.
    None,
    /// One was given, and worked when it was last tried.
    Held,
    /// The one that was given is refused.
    Stale,
}

/// What is known of one account's password.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasswordRecord {
    site: String,
    portal: String,
    account: String,
    password: Option<Envelope>,
    stale: bool,
    /// Passwords refused in a row.
    refused: u32,
    refused_last: Option<Timestamp>,
    /// When the latest mails were asked for.
    mailed: Vec<Timestamp>,
}

impl PasswordRecord {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        match (&self.password, self.stale) {
            (_, true) => Standing::Stale,
            (Some(_), false) => Standing::Held,
            (None, false) => Standing::None,
        }
    }

    /// Whether a password may be tried that may be wrong.
    ///
    /// # Errors
    /// From when on, when not now.
    pub fn may_be_tried(&self, now: Timestamp) -> Result<(), Timestamp> {
        let again = self.refused_last.map(|last| last.after(REST));
        match again {
            Some(again) if self.refused >= TRIES && now < again => Err(again),
            _ => Ok(()),
        }
    }

    /// Whether a mail may be asked for.
    ///
    /// # Errors
    /// From when on, when not now.
    pub fn may_be_mailed(&self, now: Timestamp) -> Result<(), Timestamp> {
        let recent = || self.mailed.iter().filter(|at| now.since(**at) < MAILS_IN);
        match recent().min() {
            Some(first) if recent().count() >= MAILS => Err(first.after(MAILS_IN)),
            _ => Ok(()),
        }
    }
}

impl PasswordVault {
    /// The passwords of the customers of `portal` at `site`, in `records`.
    pub fn new(records: Records, random: Random, site: &str, portal: &HostName) -> Self {
        Self { records, random, site: site.to_owned(), portal: portal.to_string() }
    }

    /// What is known of an account's password; nothing, where nothing is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(&self, account: &str) -> Result<PasswordRecord, RecordError> {
        let known = self.records.load::<PasswordRecord>(&self.name(account)).await?;
        Ok(known.unwrap_or_else(|| PasswordRecord {
            site: self.site.clone(),
            portal: self.portal.clone(),
            account: account.to_owned(),
            password: None,
            stale: false,
            refused: 0,
            refused_last: None,
            mailed: Vec::new(),
        }))
    }

    /// The password, good or stale; of this site, portal and account, or none.
    pub fn open(&self, record: &PasswordRecord) -> Option<Secret> {
        record.password.as_ref()?.open(&[&self.site, &self.portal, &record.account])
    }

    /// Keeps a password that works, or that an operator vouches for.
    ///
    /// # Errors
    /// When it could not be sealed or written.
    pub async fn keep(&self, mut record: PasswordRecord, password: &Secret) -> Result<(), RecordError> {
        let place = [self.site.as_str(), &self.portal, &record.account];
        let envelope = Envelope::seal(password, &place, &self.random).map_err(StoreError::from)?;
        (record.password, record.stale) = (Some(envelope), false);
        (record.refused, record.refused_last) = (0, None);
        self.put(&record).await
    }

    /// Keeps a password that was refused, so that it is known when it comes again.
    ///
    /// # Errors
    /// When it could not be sealed or written.
    pub async fn keep_stale(&self, mut record: PasswordRecord, password: &Secret) -> Result<(), RecordError> {
        let place = [self.site.as_str(), &self.portal, &record.account];
        record.password = Some(Envelope::seal(password, &place, &self.random).map_err(StoreError::from)?);
        record.stale = true;
        self.put(&record).await
    }

    /// The site has refused a password. `the_kept_one`: the one that is kept, which is stale from now on.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn refused(
        &self,
        record: &mut PasswordRecord,
        the_kept_one: bool,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        record.refused = record.refused.saturating_add(1);
        record.refused_last = Some(now);
        record.stale |= the_kept_one;
        self.put(record).await
    }

    /// The site was asked to send a mail: whoever follows its link sets a new password, which may be tried then.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn mailed(&self, mut record: PasswordRecord, now: Timestamp) -> Result<(), RecordError> {
        record.mailed.retain(|at| now.since(*at) < MAILS_IN);
        record.mailed.push(now);
        (record.refused, record.refused_last) = (0, None);
        self.put(&record).await
    }

    /// Forgets all about an account's password. Whether one was kept.
    ///
    /// # Errors
    /// When the store does not do its part.
    pub async fn forget(&self, account: &str) -> Result<bool, RecordError> {
        let kept = self.load(account).await?.password.is_some();
        self.records.change(vec![Change::remove(self.name(account))]).await?;
        Ok(kept)
    }

    async fn put(&self, record: &PasswordRecord) -> Result<(), RecordError> {
        self.records.change(vec![Change::put(self.name(&record.account), record)?]).await
    }

    fn name(&self, account: &str) -> RecordName {
        name(&self.site, &self.portal, account)
    }
}

/// Has the first of the configured keys seal all records of all portals, so that the others can go. No envelope is opened.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn reseal(records: &Records, people: &People) -> Result<Resealed, RecordError> {
    let (mut resealed, mut after) = (Resealed::default(), None);
    loop {
        let walked = records.walk::<PasswordRecord>(Shelf::Passwords, after.as_ref(), PIECE).await?;
        resealed.unreadable = resealed.unreadable.saturating_add(walked.unreadable);
        for found in walked.found.iter().filter(|found| !found.sealed_by_first) {
            let PasswordRecord { site, portal, account, .. } = &found.record;
            let _turn = people.turn(&place(site, account)).await;
            let name = name(site, portal, account);
            // Read again: somebody may have given another one since.
            if let Some(record) = records.load::<PasswordRecord>(&name).await? {
                records.change(vec![Change::put(name, &record)?]).await?;
                resealed.moved = resealed.moved.saturating_add(1);
            }
        }
        match walked.next {
            Some(next) => after = Some(next),
            None => return Ok(resealed),
        }
    }
}

/// What the turn of a person is called who logs in at that site.
pub fn place(site: &str, account: &str) -> String {
    format!("{site} login of {account}")
}

fn name(site: &str, portal: &str, account: &str) -> RecordName {
    RecordName::new(Shelf::Passwords, &[site, portal, account])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::session::Sessions;
    use crate::session::settings::{SessionSettings, StoreSettings};
    use crate::session::store::SessionStore;
    use crate::session::store::embedded::EmbeddedStore;
    use crate::session::store::memory::MemoryStore;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
    const SITE: &str = "https://acme.atlassian.net/";
    const ANA: &str = "qm:1:ana";

    fn records(store: Arc<dyn SessionStore>, keys: &[&str]) -> Records {
        let settings = SessionSettings {
            idle_timeout: Duration::from_secs(60),
            absolute_timeout: Duration::from_secs(60),
            cache_entries: 10,
            store: StoreSettings::Embedded { path: "/nowhere".into() },
            keys: keys.iter().map(|key| Secret::generated(key.repeat(43))).collect(),
        };
        Sessions::with_store(&settings, store, Clock::System, Random::default()).unwrap().records()
    }

    fn vault_at(records: Records, site: &str, portal: &str) -> PasswordVault {
        PasswordVault::new(records, Random::default(), site, &HostName::parse(portal).unwrap())
    }

    fn vault(store: &Arc<MemoryStore>, keys: &[&str]) -> PasswordVault {
        vault_at(records(Arc::clone(store) as _, keys), SITE, "support.acme.com")
    }

    async fn give(vault: &PasswordVault, password: &str) {
        let record = vault.load(ANA).await.unwrap();
        vault.keep(record, &Secret::generated(password)).await.unwrap();
    }

    async fn held(vault: &PasswordVault) -> Option<String> {
        let record = vault.load(ANA).await.unwrap();
        vault.open(&record).map(|password| password.reveal().to_owned())
    }

    #[tokio::test]
    async fn a_password_is_none_held_and_stale() {
        let vault = vault(&Arc::default(), &["k"]);
        assert_eq!(vault.load(ANA).await.unwrap().standing(), Standing::None);
        give(&vault, "one").await;
        let mut record = vault.load(ANA).await.unwrap();
        assert_eq!(record.standing(), Standing::Held);
        vault.refused(&mut record, true, NOW).await.unwrap();
        assert_eq!(vault.load(ANA).await.unwrap().standing(), Standing::Stale);
        give(&vault, "two").await;
        assert_eq!(vault.load(ANA).await.unwrap().standing(), Standing::Held);
        assert_eq!(held(&vault).await.unwrap(), "two");
        assert!(vault.forget(ANA).await.unwrap() && !vault.forget(ANA).await.unwrap());
        assert_eq!(vault.load(ANA).await.unwrap().standing(), Standing::None);
    }

    #[tokio::test]
    async fn no_other_site_portal_or_account_gets_a_password() {
        let store = Arc::<MemoryStore>::default();
        let ours = vault(&store, &["k"]);
        give(&ours, "one").await;
        for (site, portal) in [("https://evil.test/", "support.acme.com"), (SITE, "other.acme.com")] {
            let other = vault_at(records(Arc::clone(&store) as _, &["k"]), site, portal);
            assert_eq!(held(&other).await, None, "{site} {portal}");
            // Not even when a record were to get into the wrong hands.
            assert!(other.open(&ours.load(ANA).await.unwrap()).is_none());
        }
        let mut moved = ours.load(ANA).await.unwrap();
        moved.account = "qm:1:ben".into();
        assert!(ours.open(&moved).is_none());
    }

    #[tokio::test]
    async fn refusals_in_a_row_stop_until_a_mail_or_a_rest() {
        let vault = vault(&Arc::default(), &["k"]);
        let mut record = vault.load(ANA).await.unwrap();
        for _ in 0..TRIES {
            assert_eq!(record.may_be_tried(NOW), Ok(()));
            vault.refused(&mut record, false, NOW).await.unwrap();
        }
        let mut record = vault.load(ANA).await.unwrap();
        assert_eq!(record.may_be_tried(NOW), Err(NOW.after(REST)));
        assert_eq!(record.standing(), Standing::None, "nothing is stale that was not kept");
        let later = NOW.after(REST);
        assert_eq!(record.may_be_tried(later), Ok(()));
        vault.refused(&mut record, false, later).await.unwrap();
        assert_eq!(record.may_be_tried(later), Err(later.after(REST)), "one more, and not two");
        vault.mailed(record, later).await.unwrap();
        assert_eq!(vault.load(ANA).await.unwrap().may_be_tried(later), Ok(()));
    }

    #[tokio::test]
    async fn so_many_mails_in_so_long() {
        let vault = vault(&Arc::default(), &["k"]);
        for n in 0..MAILS {
            let record = vault.load(ANA).await.unwrap();
            let now = NOW.after(Duration::from_secs(60 * n as u64));
            assert_eq!(record.may_be_mailed(now), Ok(()));
            vault.mailed(record, now).await.unwrap();
        }
        let record = vault.load(ANA).await.unwrap();
        assert_eq!(record.may_be_mailed(NOW.after(Duration::from_secs(600))), Err(NOW.after(MAILS_IN)));
        assert_eq!(record.may_be_mailed(NOW.after(MAILS_IN)), Ok(()));
    }

    #[tokio::test]
    async fn a_new_key_takes_over_all_passwords_and_the_old_one_can_go() {
        let (store, people) = (Arc::<MemoryStore>::default(), People::default());
        give(&vault(&store, &["a"]), "one").await;
        let both = records(Arc::clone(&store) as _, &["b", "a"]);
        assert_eq!(reseal(&both, &people).await.unwrap(), Resealed { moved: 1, unreadable: 0 });
        assert_eq!(reseal(&both, &people).await.unwrap(), Resealed::default(), "once");
        assert_eq!(held(&vault(&store, &["b"])).await.unwrap(), "one");
        let stranger = records(Arc::clone(&store) as _, &["c"]);
        assert_eq!(reseal(&stranger, &people).await.unwrap(), Resealed { moved: 0, unreadable: 1 });
        assert_eq!(held(&vault(&store, &["c"])).await, None);
    }

    #[tokio::test]
    async fn passwords_outlive_a_restart_and_stand_nowhere_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.redb");
        let open = || {
            let store: Arc<dyn SessionStore> = Arc::new(EmbeddedStore::open(path.clone()).unwrap());
            (vault_at(records(Arc::clone(&store), &["k"]), SITE, "support.acme.com"), store)
        };
        let (vault, store) = open();
        give(&vault, "correct-horse-battery").await;
        store.close().await.unwrap();
        drop((vault, store));
        assert_eq!(held(&open().0).await.unwrap(), "correct-horse-battery");
        let bytes = std::fs::read(&path).unwrap();
        for text in ["correct-horse", ANA, "acme.atlassian"] {
            assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is in the file");
        }
    }
}
