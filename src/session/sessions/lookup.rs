//! From a cookie to a session: judged in memory, loaded from the store once, its use written back now and then.

use std::sync::Arc;
use std::time::Duration;

use super::super::entry::SessionEntry;
use super::super::live::{LiveSession, Standing};
use super::super::record::Record;
use super::super::registry::{Loaded, Whereabouts};
use super::super::sealed::{Kind, NotSealed, Sealed};
use super::super::store::{StoreError, StoredIndex, StoredSession};
use super::Inner;
use crate::clock::Timestamp;
use crate::ids::{SessionHash, SessionId};
use crate::portal::host::HostName;

impl Inner {
    /// The session if this request may have it; noted as used.
    pub(super) fn admitted(
        &self,
        live: Arc<LiveSession>,
        portal: &HostName,
        now: Timestamp,
    ) -> Option<Arc<LiveSession>> {
        match live.admit(portal, now) {
            Standing::Sound => {
                self.write_back(&live, self.lifetimes.write_back);
                Some(live)
            }
            Standing::NotHere => None,
            Standing::Over => {
                self.lay_down(&live);
                None
            }
        }
    }

    /// Ends a session here, without waiting for the store: the next sweep makes it forget.
    pub(super) fn lay_down(&self, live: &LiveSession) {
        live.mark_ended();
        self.registry.end(live.hash());
        self.cache.invalidate(live.hash());
    }

    pub(super) async fn load(&self, id: &SessionId) -> Loaded {
        let hash = id.hash();
        let arriving = match self.registry.whereabouts(&hash) {
            Whereabouts::Here(live) => {
                self.cache.insert(hash, Arc::clone(&live));
                // Ended between the two lines: the cache must not keep it.
                if live.is_ended() {
                    self.cache.invalidate(&hash);
                }
                return Ok(Some(live));
            }
            Whereabouts::Ended => return Ok(None),
            Whereabouts::Arriving(arriving) => arriving,
        };
        let loading = arriving.arrival.loaded.get_or_init(|| async {
            let Some(stored) = self.store.load(&hash).await? else { return Ok(None) };
            let Some(live) = self.opened(id, &hash, &stored) else {
                tracing::warn!(session = %hash, "a stored session does not open with the configured keys");
                return Ok(None);
            };
            let live = Arc::new(live);
            if !arriving.admit(&live) {
                return Ok(None);
            }
            self.cache.insert(hash, Arc::clone(&live));
            if live.is_ended() {
                self.cache.invalidate(&hash);
            }
            Ok(Some(live))
        });
        loading.await.clone()
    }

    /// Opens both parts of a stored session.
    fn opened(&self, id: &SessionId, hash: &SessionHash, stored: &StoredSession) -> Option<LiveSession> {
        let entry = self.entry(hash, &stored.index.sealed)?;
        let key_id = stored.record.key_id()?;
        let plain =
            self.keys.with_id(key_id).find_map(|key| key.record_key(id).open(Kind::Record, hash, &stored.record))?;
        let record = Record::read(&plain)?;
        let record_key = self.keys.first().record_key(id);
        Some(LiveSession::new(*hash, record, entry.last_seen, self.lifetimes, record_key))
    }

    /// Opens an index part.
    pub(super) fn entry(&self, hash: &SessionHash, sealed: &Sealed) -> Option<SessionEntry> {
        let plain =
            self.keys.with_id(sealed.key_id()?).find_map(|key| key.index_key(hash).open(Kind::Index, hash, sealed))?;
        SessionEntry::read(&plain, hash)
    }

    /// The index part as it is to be stored now.
    pub(super) fn index_of(&self, live: &LiveSession) -> Result<StoredIndex, NotSealed> {
        let (entry, key) = (live.entry(), self.keys.first());
        let sealed = key.index_key(live.hash()).seal(Kind::Index, live.hash(), &entry.plain()?, &self.random)?;
        let tags = entry.selectors().filter_map(|selector| key.tag(&selector)).collect();
        Ok(StoredIndex { sealed, tags, swept_after: live.swept_after() })
    }

    /// Has the use of a session written, if it was not within the last `at_least`.
    fn write_back(&self, live: &LiveSession, at_least: Duration) {
        let Some(before) = live.claim_write_back(at_least) else { return };
        let queued = self.index_of(live).map_err(StoreError::from);
        if let Err(error) = queued.and_then(|index| self.store.touch(live.hash(), index)) {
            live.not_written(before);
            tracing::debug!(session = %live.hash(), %error, "the use of a session was not written; the next use tries again");
        }
    }

    pub(super) fn write_all_back(&self) {
        for live in self.registry.all() {
            if !live.is_ended() {
                self.write_back(&live, Duration::ZERO);
            }
        }
    }
}
