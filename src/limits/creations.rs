//! How many requests one customer may make. Counted by account, so that a second browser starts no new count, and written
//! down before the request goes on, so that a restart does not either.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

pub use super::window::Limit;
use super::window::Window;
use crate::clock::Timestamp;
use crate::portal::HostName;
use crate::portal::settings::Creations as Limits;
use crate::sign_in::VerifiedIdentity;

/// Accounts whose counts are held in memory, with up to 1000 moments each. The others are read when they are needed.
const HELD: u64 = 10_000;

/// Whose requests are counted: one person at one portal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Account {
    /// The portal.
    pub portal: HostName,
    /// OpenID Connect `iss`, or the SAML entity id.
    pub issuer: String,
    /// The issuer's name for the person.
    pub subject: String,
}

/// What is written down of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    account: Account,
    made: Window,
}

impl Entry {
    /// Whose it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Whether it says nothing any more that counts.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let mut made = self.made.clone();
        made.forget(now);
        made.is_empty()
    }
}

/// The log could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LogFailed {
    /// The metric label: one of the session store's.
    pub label: &'static str,
    /// What went wrong, for the log.
    pub message: String,
}

/// Where the counts are kept. All methods may be called at the same time.
#[async_trait]
pub trait CreationLog: fmt::Debug + Send + Sync {
    /// What was written of an account.
    async fn read(&self, account: &Account) -> Result<Option<Entry>, LogFailed>;

    /// Writes it; it is lasting when this returns.
    async fn write(&self, entry: &Entry) -> Result<(), LogFailed>;
}

/// Counts the requests of customers at one portal.
#[derive(Debug)]
pub struct Creations {
    portal: HostName,
    limits: Limits,
    log: Arc<dyn CreationLog>,
    /// `None` until it was read. The lock orders what is written of one account.
    held: Cache<Account, Arc<Mutex<Option<Window>>>>,
}

/// One request that was counted.
#[derive(Clone, Debug)]
pub struct Counted {
    account: Account,
    moment: Timestamp,
}

/// Why a request was not counted, and may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCounted {
    /// There were too many.
    #[error("the customer has made as many requests as they may")]
    TooMany {
        /// In a day or in a minute.
        limit: Limit,
        /// When one more is allowed.
        until: Timestamp,
    },
    /// It could not be told, or not be written down.
    #[error(transparent)]
    Log(#[from] LogFailed),
}

impl Creations {
    /// Counts at `portal`.
    pub fn new(portal: HostName, limits: Limits, log: Arc<dyn CreationLog>) -> Self {
        Self { portal, limits, log, held: Cache::new(HELD) }
    }

    /// Counts one more request of that person; it is written down when this returns.
    ///
    /// # Errors
    /// When it is one too many, or cannot be written down.
    pub async fn count(&self, who: &VerifiedIdentity, now: Timestamp) -> Result<Counted, NotCounted> {
        let (issuer, subject) = (who.issuer().to_owned(), who.subject().to_owned());
        let account = Account { portal: self.portal.clone(), issuer, subject };
        let held = self.held.get_with(account.clone(), Arc::default);
        let mut held = held.lock().await;
        let mut made = self.known(&account, held.as_ref()).await?;
        if let Err((limit, until)) = made.add(now, &self.limits) {
            *held = Some(made);
            return Err(NotCounted::TooMany { limit, until });
        }
        self.log.write(&Entry { account: account.clone(), made: made.clone() }).await?;
        *held = Some(made);
        Ok(Counted { account, moment: now })
    }

    /// The site did not take the request: it does not count after all.
    ///
    /// # Errors
    /// When that could not be written down. It then counts, after a restart.
    pub async fn take_back(&self, counted: &Counted) -> Result<(), LogFailed> {
        let held = self.held.get_with(counted.account.clone(), Arc::default);
        let mut held = held.lock().await;
        let mut made = self.known(&counted.account, held.as_ref()).await?;
        made.take_back(counted.moment);
        *held = Some(made.clone());
        self.log.write(&Entry { account: counted.account.clone(), made }).await
    }

    async fn known(&self, account: &Account, held: Option<&Window>) -> Result<Window, LogFailed> {
        match held {
            Some(made) => Ok(made.clone()),
            None => Ok(self.log.read(account).await?.map(|entry| entry.made).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex as Lock;

    use super::*;

    #[derive(Debug, Default)]
    struct Notebook {
        written: Lock<HashMap<Account, Entry>>,
        broken: Lock<bool>,
    }

    impl Notebook {
        fn works(&self) -> Result<(), LogFailed> {
            let failed = LogFailed { label: "session_store_full", message: "full".into() };
            if *self.broken.lock().unwrap() { Err(failed) } else { Ok(()) }
        }
    }

    #[async_trait]
    impl CreationLog for Notebook {
        async fn read(&self, account: &Account) -> Result<Option<Entry>, LogFailed> {
            self.works()?;
            Ok(self.written.lock().unwrap().get(account).cloned())
        }

        async fn write(&self, entry: &Entry) -> Result<(), LogFailed> {
            self.works()?;
            self.written.lock().unwrap().insert(entry.account.clone(), entry.clone());
            Ok(())
        }
    }

    fn creations(log: &Arc<Notebook>, portal: &str) -> Creations {
        let limits = Limits { per_day: Some(3), per_minute: None };
        Creations::new(HostName::parse(portal).unwrap(), limits, Arc::clone(log) as _)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn person(subject: &str) -> VerifiedIdentity {
        VerifiedIdentity::for_test("okta", subject, "ana@acme.com")
    }

    #[tokio::test]
    async fn an_account_is_counted_and_a_restart_forgets_nothing() {
        let log = Arc::new(Notebook::default());
        let before = creations(&log, "a.example");
        for n in 0..3 {
            before.count(&person("ana"), at(n)).await.unwrap();
        }
        let too_many = NotCounted::TooMany { limit: Limit::Day, until: at(86_400) };
        assert_eq!(before.count(&person("ana"), at(10)).await.unwrap_err(), too_many);
        let after = creations(&log, "a.example");
        assert_eq!(after.count(&person("ana"), at(10)).await.unwrap_err(), too_many);
        // Others, elsewhere, and another provider's account of that name are not meant.
        after.count(&person("ben"), at(10)).await.unwrap();
        creations(&log, "b.example").count(&person("ana"), at(10)).await.unwrap();
        after.count(&VerifiedIdentity::for_test("adfs", "ana", "ana@acme.com"), at(10)).await.unwrap();
        assert!(after.count(&person("ana"), at(86_400)).await.is_ok());
    }

    #[tokio::test]
    async fn what_the_site_did_not_take_does_not_count() {
        let log = Arc::new(Notebook::default());
        let creations = creations(&log, "a.example");
        for n in 0..20 {
            let counted = creations.count(&person("ana"), at(n)).await.unwrap();
            creations.take_back(&counted).await.unwrap();
        }
        assert!(log.written.lock().unwrap().values().all(|entry| entry.is_over(at(20))));
    }

    #[tokio::test]
    async fn fifty_at_once_are_three() {
        let log = Arc::new(Notebook::default());
        let creations = Arc::new(creations(&log, "a.example"));
        let tries: Vec<_> = (0..50)
            .map(|_| {
                let creations = Arc::clone(&creations);
                tokio::spawn(async move { creations.count(&person("ana"), at(0)).await.is_ok() })
            })
            .collect();
        let mut counted = 0;
        for one in tries {
            counted += usize::from(one.await.unwrap());
        }
        assert_eq!(counted, 3);
    }

    #[tokio::test]
    async fn what_cannot_be_written_down_does_not_go_on() {
        let log = Arc::new(Notebook::default());
        let creations = creations(&log, "a.example");
        *log.broken.lock().unwrap() = true;
        assert!(matches!(creations.count(&person("ana"), at(0)).await, Err(NotCounted::Log(_))));
        *log.broken.lock().unwrap() = false;
        for n in 0..3 {
            creations.count(&person("ana"), at(n)).await.unwrap();
        }
    }

    #[test]
    fn an_entry_is_over_when_nothing_of_it_counts() {
        let account =
            Account { portal: HostName::parse("a.example").unwrap(), issuer: "i".into(), subject: "s".into() };
        let mut made = Window::default();
        made.add(at(0), &Limits::default()).unwrap();
        let entry = Entry { account, made };
        let written = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&written).unwrap(), entry);
        assert!(!entry.is_over(at(86_399)));
        assert!(entry.is_over(at(86_400)));
    }
}
