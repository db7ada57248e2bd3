//! The counts of requests in the session store: sealed, and found by a blind tag alone, as sessions are.

use async_trait::async_trait;

use super::creations::{Account, CreationLog, Entry, LogFailed};
use crate::clock::Timestamp;
use crate::session::store::Shelf;
use crate::session::{Change, RecordError, RecordName, Records};

/// Records that one piece of the sweep looks at.
const PIECE: usize = 256;

/// Keeps the counts among the records that outlive sessions.
#[derive(Clone, Debug)]
pub struct StoredCreations(Records);

impl StoredCreations {
    /// Counts in that store.
    pub fn new(records: Records) -> Self {
        Self(records)
    }

    /// Takes away what counts no more, and tells how many that were.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, LogFailed> {
        let mut after = None;
        let mut swept = 0_usize;
        loop {
            let piece = self.0.walk::<Entry>(Shelf::Creations, after.as_ref(), PIECE).await?;
            let over = piece.found.iter().filter(|found| found.record.is_over(now));
            let changes: Vec<Change> = over.map(|found| Change::remove(name(found.record.account()))).collect();
            if !changes.is_empty() {
                swept = swept.saturating_add(changes.len());
                self.0.change(changes).await?;
            }
            after = piece.next;
            if after.is_none() {
                return Ok(swept);
            }
        }
    }
}

fn name(account: &Account) -> RecordName {
    RecordName::new(Shelf::Creations, &[account.portal.as_str(), &account.issuer, &account.subject])
}

impl From<RecordError> for LogFailed {
    fn from(error: RecordError) -> Self {
        let label = match &error {
            RecordError::Store(error) => error.label(),
            RecordError::Unreadable => "session_store_damaged",
        };
        Self { label, message: error.to_string() }
    }
}

#[async_trait]
impl CreationLog for StoredCreations {
    async fn read(&self, account: &Account) -> Result<Option<Entry>, LogFailed> {
        Ok(self.0.load(&name(account)).await?)
    }

    async fn write(&self, entry: &Entry) -> Result<(), LogFailed> {
        Ok(self.0.change(vec![Change::put(name(entry.account()), entry)?]).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::limits::Creations;
    use crate::portal::HostName;
    use crate::portal::settings::Creations as Limits;
    use crate::random::Random;
    use crate::secret::Secret;
    use crate::session::Sessions;
    use crate::session::settings::{SessionSettings, StoreSettings};
    use crate::sign_in::VerifiedIdentity;

    fn sessions(path: &Path) -> Sessions {
        let settings = SessionSettings {
            idle_timeout: Duration::from_secs(60),
            absolute_timeout: Duration::from_secs(60),
            cache_entries: 10,
            store: StoreSettings::Embedded { path: path.to_owned() },
            keys: vec![Secret::generated("k".repeat(43))],
        };
        Sessions::start(&settings, Clock::System, Random::default()).unwrap()
    }

    fn creations(sessions: &Sessions) -> Creations {
        let log = Arc::new(StoredCreations::new(sessions.records()));
        let limits = Limits { per_day: Some(2), per_minute: None };
        Creations::new(HostName::parse("support.acme.com").unwrap(), limits, log)
    }

    #[tokio::test]
    async fn counts_outlive_a_restart_tell_nobody_anything_and_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.redb");
        let ana = VerifiedIdentity::for_test("okta", "ana-the-first", "ana@acme.com");
        let at = Timestamp::from_seconds;
        let before = sessions(&path);
        for n in 0..2 {
            creations(&before).count(&ana, at(n)).await.unwrap();
        }
        before.close().await.unwrap();
        let file = std::fs::read(&path).unwrap();
        for told in ["ana-the-first", "okta", "support.acme.com"] {
            assert!(memchr::memmem::find(&file, told.as_bytes()).is_none(), "{told}");
        }
        let after = sessions(&path);
        assert!(creations(&after).count(&ana, at(100)).await.is_err());
        let log = StoredCreations::new(after.records());
        assert_eq!(log.sweep(at(86_400)).await, Ok(0), "one of both still counts");
        assert_eq!(log.sweep(at(90_000)).await, Ok(1));
        assert_eq!(log.sweep(at(90_000)).await, Ok(0));
        after.close().await.unwrap();
        assert!(matches!(log.sweep(at(0)).await, Err(failed) if failed.label == "session_store_closed"));
    }
}
