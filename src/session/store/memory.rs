//! Sessions in this process's memory: for tests and for a demonstration. Nothing outlives the process.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::kept::TakenUp;
use super::{
    FormStore, Mark, RecordChange, RecordSeen, RecordStore, Room, Sealed, SessionStore, Shelf, StoreError, StoredForm,
    StoredHead, StoredIndex, StoredSession, Tag,
};
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// Keeps sessions in memory.
#[derive(Debug)]
pub struct MemoryStore {
    /// `None` when closed.
    kept: Mutex<Option<Everything>>,
}

#[derive(Debug, Default)]
struct Everything {
    sessions: HashMap<SessionHash, StoredSession>,
    records: BTreeMap<(Shelf, Tag), Sealed>,
    marks: HashMap<Mark, Timestamp>,
    forms: BTreeMap<Tag, StoredForm>,
}

impl Everything {
    fn make(&mut self, changes: Vec<RecordChange>) {
        for RecordChange { shelf, tag, record } in changes {
            match record {
                Some(record) => drop(self.records.insert((shelf, tag), record)),
                None => drop(self.records.remove(&(shelf, tag))),
            }
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { kept: Mutex::new(Some(Everything::default())) }
    }
}

impl MemoryStore {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<SessionHash, StoredSession>) -> T) -> Result<T, StoreError> {
        self.with_all(|kept| act(&mut kept.sessions))
    }

    fn with_all<T>(&self, act: impl FnOnce(&mut Everything) -> T) -> Result<T, StoreError> {
        self.lock().as_mut().map(act).ok_or(StoreError::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Everything>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, hash: &SessionHash) -> Result<Option<StoredSession>, StoreError> {
        self.with(|sessions| sessions.get(hash).cloned())
    }

    async fn save(&self, hash: &SessionHash, session: StoredSession) -> Result<(), StoreError> {
        self.with(|sessions| drop(sessions.insert(*hash, session)))
    }

    async fn replace(&self, hash: &SessionHash, record: Sealed) -> Result<bool, StoreError> {
        self.with(|sessions| sessions.get_mut(hash).map(|session| session.record = record).is_some())
    }

    fn touch(&self, hash: &SessionHash, index: StoredIndex) -> Result<(), StoreError> {
        self.with(|sessions| {
            if let Some(session) = sessions.get_mut(hash) {
                session.index = index;
            }
        })
    }

    async fn forget(&self, hash: &SessionHash) -> Result<bool, StoreError> {
        self.with(|sessions| sessions.remove(hash).is_some())
    }

    async fn find_by_tag(&self, tags: &[Tag]) -> Result<Vec<SessionHash>, StoreError> {
        let carries = |session: &StoredSession| session.index.tags.iter().any(|tag| tags.contains(tag));
        self.with(|sessions| sessions.iter().filter(|(_, session)| carries(session)).map(|(hash, _)| *hash).collect())
    }

    async fn scan(&self, limit: usize) -> Result<Vec<(SessionHash, Sealed)>, StoreError> {
        let index = |(hash, session): (&SessionHash, &StoredSession)| (*hash, session.index.sealed.clone());
        self.with(|sessions| sessions.iter().take(limit).map(index).collect())
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.with(|sessions| sessions.len() as u64)
    }

    async fn mark_once(&self, mark: &Mark, until: Timestamp) -> Result<bool, StoreError> {
        self.with_all(|kept| match kept.marks.entry(*mark) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(until);
                true
            }
        })
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionHash>, StoreError> {
        self.with_all(|Everything { sessions, marks, forms, .. }| {
            forms.retain(|_, form| form.until >= now);
            let mut left = limit;
            marks.retain(|_, until| {
                let over = *until < now && left > 0;
                left = left.saturating_sub(usize::from(over));
                !over
            });
            let over = sessions.iter().filter(|(_, session)| session.index.swept_after < now);
            let over: Vec<SessionHash> = over.map(|(hash, _)| *hash).take(limit).collect();
            for hash in &over {
                sessions.remove(hash);
            }
            over
        })
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.health()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lock().take();
        Ok(())
    }

    fn health(&self) -> Result<(), StoreError> {
        self.with(|_| ())
    }
}

#[async_trait]
impl RecordStore for MemoryStore {
    async fn fetch(&self, shelf: Shelf, tag: &Tag) -> Result<Option<Sealed>, StoreError> {
        self.with_all(|kept| kept.records.get(&(shelf, *tag)).cloned())
    }

    async fn change(&self, changes: Vec<RecordChange>) -> Result<(), StoreError> {
        self.with_all(|kept| kept.make(changes))
    }

    async fn change_if(&self, seen: Vec<RecordSeen>, changes: Vec<RecordChange>) -> Result<bool, StoreError> {
        self.with_all(|kept| {
            let stands = |seen: &RecordSeen| kept.records.get(&(seen.shelf, seen.tag)) == seen.record.as_ref();
            let all = seen.iter().all(stands);
            if all {
                kept.make(changes);
            }
            all
        })
    }

    async fn walk(&self, shelf: Shelf, after: Option<&Tag>, limit: usize) -> Result<Vec<(Tag, Sealed)>, StoreError> {
        let from = match after {
            Some(tag) => Bound::Excluded((shelf, *tag)),
            None => Bound::Included((shelf, Tag::from_bytes([0; 32]))),
        };
        let to = Bound::Included((shelf, Tag::from_bytes([u8::MAX; 32])));
        self.with_all(|kept| {
            let found = kept.records.range((from, to)).take(limit);
            found.map(|((_, tag), record)| (*tag, record.clone())).collect()
        })
    }
}

#[async_trait]
impl FormStore for MemoryStore {
    async fn keep_form(&self, tag: &Tag, form: StoredForm, room: Room, now: Timestamp) -> Result<bool, StoreError> {
        self.with_all(|kept| {
            kept.forms.retain(|_, form| form.until >= now);
            let mut taken_up = TakenUp::default();
            for other in kept.forms.values() {
                taken_up.add(&other.whose, other.size(), &form);
            }
            let fits = taken_up.leaves_room(&form, room);
            if fits {
                kept.forms.insert(*tag, form);
            }
            fits
        })
    }

    async fn form_head(&self, tag: &Tag) -> Result<Option<StoredHead>, StoreError> {
        let head = |form: &StoredForm| StoredHead { head: form.head.clone(), until: form.until };
        self.with_all(|kept| kept.forms.get(tag).map(head))
    }

    async fn take_form(&self, tag: &Tag) -> Result<Option<StoredForm>, StoreError> {
        self.with_all(|kept| kept.forms.remove(tag))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::form_suite::form_suite;
    use super::super::record_suite::record_suite;
    use super::super::suite::store_suite;
    use super::*;

    form_suite!(|_folder| Arc::new(MemoryStore::default()) as Arc<dyn SessionStore>);
    record_suite!(|_folder| Arc::new(MemoryStore::default()) as Arc<dyn SessionStore>);
    store_suite!(|_folder| Arc::new(MemoryStore::default()) as Arc<dyn SessionStore>);
}
