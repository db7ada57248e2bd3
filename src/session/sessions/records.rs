//! Records that outlive sessions, sealed under the configured keys and kept in the same store: the store knows neither
//! whose they are nor what they say. They open with the configured keys alone.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::super::keys::RingKey;
use super::super::sealed::Kind;
use super::super::store::{RecordChange, RecordSeen, Sealed, Shelf, StoreError, Tag};
use super::{Inner, Sessions};
use crate::ids::SessionHash;

/// The records. Clones share them.
#[derive(Clone)]
pub struct Records {
    inner: Arc<Inner>,
}

/// Where a record stands: a shelf, and a name of several parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordName {
    shelf: Shelf,
    parts: Vec<String>,
}

impl RecordName {
    /// The name that the parts make. No two lists of parts make the same.
    pub fn new(shelf: Shelf, parts: &[&str]) -> Self {
        Self { shelf, parts: parts.iter().map(|part| (*part).to_owned()).collect() }
    }

    fn tag(&self, key: &RingKey) -> Tag {
        let parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        key.lasting_tag(self.shelf, &parts)
    }
}

/// One record put, or taken away.
pub struct Change {
    name: RecordName,
    plain: Option<Zeroizing<Vec<u8>>>,
}

impl Change {
    /// Puts `record` in that place.
    ///
    /// # Errors
    /// When it does not become JSON.
    pub fn put(name: RecordName, record: &impl Serialize) -> Result<Self, RecordError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(4096));
        serde_json::to_writer(&mut *plain, record).map_err(|_| RecordError::Unreadable)?;
        Ok(Self { name, plain: Some(plain) })
    }

    /// Takes away what stands in that place.
    pub fn remove(name: RecordName) -> Self {
        Self { name, plain: None }
    }
}

/// One record of a walk.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What it says.
    pub record: T,
    /// Whether it is sealed under the key that seals now; another one has to stay configured until it is put anew.
    pub sealed_by_first: bool,
}

/// What stood in a place when it was looked at.
#[derive(Clone, Debug)]
pub struct Seen<T> {
    /// What it says; `None` where nothing stands.
    pub record: Option<T>,
    /// Whether nothing keeps an older key from being taken out of the configuration: true for nothing, too.
    pub sealed_by_first: bool,
    /// The place as it was: the condition of a change.
    pub unchanged: Unchanged,
}

/// That a place is as it was when it was looked at.
#[derive(Clone, Debug)]
pub struct Unchanged(Vec<RecordSeen>);

/// A piece of a shelf.
#[derive(Clone, Debug)]
pub struct Walked<T> {
    /// What could be read.
    pub found: Vec<Found<T>>,
    /// How many more were met that no configured key opens.
    pub unreadable: usize,
    /// From where to go on; `None` at the end.
    pub next: Option<Tag>,
}

/// Why records cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is there and says nothing that this version understands.
    #[error("a record in the session store cannot be read: it was changed by something else, or by a later version")]
    Unreadable,
}

impl Sessions {
    /// The records that outlive sessions.
    pub fn records(&self) -> Records {
        Records { inner: Arc::clone(&self.inner) }
    }
}

impl Records {
    /// What stands in that place, sealed by whichever of the configured keys.
    ///
    /// # Errors
    /// When the store cannot be read, or what is there cannot be understood.
    pub async fn load<T: DeserializeOwned>(&self, name: &RecordName) -> Result<Option<T>, RecordError> {
        for key in self.inner.keys.all() {
            let tag = name.tag(key);
            if let Some(sealed) = self.inner.store.fetch(name.shelf, &tag).await? {
                return opened(key, name.shelf, &tag, &sealed).map(Some).ok_or(RecordError::Unreadable);
            }
        }
        Ok(None)
    }

    /// The same, and what is needed to change it only where nobody else has meanwhile.
    ///
    /// # Errors
    /// When the store cannot be read, or what is there cannot be understood.
    pub async fn see<T: DeserializeOwned>(&self, name: &RecordName) -> Result<Seen<T>, RecordError> {
        let (mut places, shelf, first) = (Vec::new(), name.shelf, self.inner.keys.first().id());
        let (mut record, mut sealed_by_first) = (None, true);
        for key in self.inner.keys.all() {
            let tag = name.tag(key);
            let found = self.inner.store.fetch(shelf, &tag).await?;
            if let Some(sealed) = found.as_ref().filter(|_| record.is_none()) {
                record = Some(opened(key, shelf, &tag, sealed).ok_or(RecordError::Unreadable)?);
                sealed_by_first = key.id() == first;
            }
            places.push(RecordSeen { shelf, tag, record: found });
        }
        Ok(Seen { record, sealed_by_first, unchanged: Unchanged(places) })
    }

    /// Makes all changes, where all those places are still as they were seen; else none. Whether they were made.
    ///
    /// # Errors
    /// When they could not be written.
    pub async fn change_if(&self, unchanged: &[&Unchanged], changes: Vec<Change>) -> Result<bool, RecordError> {
        let seen = unchanged.iter().flat_map(|Unchanged(places)| places.iter().cloned()).collect();
        let writes = self.writes(changes)?;
        Ok(self.inner.store.change_if(seen, writes).await?)
    }

    /// Makes all changes or none; lasting when this returns. What is put is sealed by the first key.
    ///
    /// # Errors
    /// When they could not be written.
    pub async fn change(&self, changes: Vec<Change>) -> Result<(), RecordError> {
        let writes = self.writes(changes)?;
        Ok(self.inner.store.change(writes).await?)
    }

    fn writes(&self, changes: Vec<Change>) -> Result<Vec<RecordChange>, RecordError> {
        let first = self.inner.keys.first();
        let mut writes = Vec::with_capacity(changes.len());
        for Change { name, plain } in changes {
            let shelf = name.shelf;
            for key in self.inner.keys.all().skip(1) {
                writes.push(RecordChange { shelf, tag: name.tag(key), record: None });
            }
            let tag = name.tag(first);
            let record = match plain {
                Some(plain) => {
                    let key = first.lasting_key(shelf, &tag);
                    Some(key.seal(Kind::Lasting, &place(&tag), &plain, &self.inner.random).map_err(StoreError::from)?)
                }
                None => None,
            };
            writes.push(RecordChange { shelf, tag, record });
        }
        Ok(writes)
    }

    /// Up to `limit` records of a shelf, from where the piece before ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn walk<T: DeserializeOwned>(
        &self,
        shelf: Shelf,
        after: Option<&Tag>,
        limit: usize,
    ) -> Result<Walked<T>, RecordError> {
        let piece = self.inner.store.walk(shelf, after, limit).await?;
        let next = piece.last().filter(|_| piece.len() >= limit).map(|(tag, _)| *tag);
        let mut walked = Walked { found: Vec::with_capacity(piece.len()), unreadable: 0, next };
        let first = self.inner.keys.first().id();
        for (tag, sealed) in &piece {
            let id = sealed.key_id();
            let record = id.and_then(|id| self.inner.keys.with_id(id).find_map(|key| opened(key, shelf, tag, sealed)));
            match record {
                Some(record) => walked.found.push(Found { record, sealed_by_first: id == Some(first) }),
                None => walked.unreadable = walked.unreadable.saturating_add(1),
            }
        }
        Ok(walked)
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({:?})", self.inner.store)
    }
}

fn opened<T: DeserializeOwned>(key: &RingKey, shelf: Shelf, tag: &Tag, sealed: &Sealed) -> Option<T> {
    let plain = key.lasting_key(shelf, tag).open(Kind::Lasting, &place(tag), sealed)?;
    serde_json::from_slice(&plain).ok()
}

/// A sealed part is bound to its place in the store: for a session that is its hash, for a record its tag.
fn place(tag: &Tag) -> SessionHash {
    SessionHash::from_bytes(*tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::random::Random;
    use crate::secret::Secret;
    use crate::session::settings::{SessionSettings, StoreSettings};
    use crate::session::store::SessionStore;
    use crate::session::store::memory::MemoryStore;

    fn records(store: &Arc<MemoryStore>, keys: &[&str]) -> Records {
        let settings = SessionSettings {
            idle_timeout: std::time::Duration::from_secs(60),
            absolute_timeout: std::time::Duration::from_secs(60),
            cache_entries: 10,
            store: StoreSettings::Embedded { path: "/nowhere".into() },
            keys: keys.iter().map(|key| Secret::generated(key.repeat(43))).collect(),
        };
        let store: Arc<dyn SessionStore> = Arc::clone(store) as _;
        Sessions::with_store(&settings, store, Clock::System, Random::default()).unwrap().records()
    }

    fn name(parts: &[&str]) -> RecordName {
        RecordName::new(Shelf::People, parts)
    }

    async fn put(records: &Records, parts: &[&str], text: &str) {
        records.change(vec![Change::put(name(parts), &text).unwrap()]).await.unwrap();
    }

    #[tokio::test]
    async fn names_are_told_apart_and_hidden() {
        let store = Arc::new(MemoryStore::default());
        let records = records(&store, &["a"]);
        put(&records, &["https://a", "1"], "ana@acme.com").await;
        assert_eq!(records.load::<String>(&name(&["https://a", "1"])).await.unwrap().unwrap(), "ana@acme.com");
        for other in [&["https://", "a1"][..], &["https://a1"], &["https://a", "1", ""], &[]] {
            assert_eq!(records.load::<String>(&name(other)).await.unwrap(), None, "{other:?}");
        }
        let shown = format!("{store:?}");
        let plain = "ana@acme.com".bytes().map(|b| b.to_string()).collect::<Vec<_>>().join(", ");
        assert!(!shown.contains("acme") && !shown.contains(&plain));
    }

    #[tokio::test]
    async fn a_new_key_takes_over_and_the_old_one_can_go() {
        let store = Arc::new(MemoryStore::default());
        put(&records(&store, &["a"]), &["ana"], "one").await;
        let both = records(&store, &["b", "a"]);
        assert_eq!(both.load::<String>(&name(&["ana"])).await.unwrap().unwrap(), "one");
        let walked = both.walk::<String>(Shelf::People, None, 10).await.unwrap();
        assert!(!walked.found[0].sealed_by_first);
        put(&both, &["ana"], "two").await;
        let walked = both.walk::<String>(Shelf::People, None, 10).await.unwrap();
        assert_eq!((walked.found.len(), walked.found[0].sealed_by_first), (1, true), "the old one is gone");
        let only = records(&store, &["b"]);
        assert_eq!(only.load::<String>(&name(&["ana"])).await.unwrap().unwrap(), "two");
        let stranger = records(&store, &["c"]);
        assert_eq!(stranger.load::<String>(&name(&["ana"])).await.unwrap(), None);
        assert_eq!(stranger.walk::<String>(Shelf::People, None, 10).await.unwrap().unreadable, 1);
    }

    #[tokio::test]
    async fn who_saw_a_place_changes_it_unless_somebody_else_has() {
        let store = Arc::new(MemoryStore::default());
        let (one, other) = (records(&store, &["a"]), records(&store, &["a"]));
        let place = name(&["lease"]);
        let (by_one, by_other) = (one.see::<String>(&place).await.unwrap(), other.see::<String>(&place).await.unwrap());
        assert!(by_one.record.is_none() && by_one.sealed_by_first);
        let put = |text: &str| vec![Change::put(name(&["lease"]), &text).unwrap()];
        assert!(one.change_if(&[&by_one.unchanged], put("one")).await.unwrap());
        assert!(!other.change_if(&[&by_other.unchanged], put("other")).await.unwrap());
        let seen = other.see::<String>(&place).await.unwrap();
        assert_eq!(seen.record.as_deref(), Some("one"));
        assert!(other.change_if(&[&seen.unchanged], vec![Change::remove(place.clone())]).await.unwrap());
        assert!(!one.change_if(&[&seen.unchanged], put("late")).await.unwrap());
        assert!(one.change_if(&[&by_one.unchanged], put("again")).await.unwrap(), "it is as it was");
    }

    #[tokio::test]
    async fn what_an_older_key_has_sealed_is_seen_and_moved() {
        let store = Arc::new(MemoryStore::default());
        let place = name(&["lease"]);
        put(&records(&store, &["a"]), &["lease"], "one").await;
        let both = records(&store, &["b", "a"]);
        let seen = both.see::<String>(&place).await.unwrap();
        assert_eq!((seen.record.as_deref(), seen.sealed_by_first), (Some("one"), false));
        let moved = vec![Change::put(place.clone(), &"one").unwrap()];
        assert!(both.change_if(&[&seen.unchanged], moved).await.unwrap());
        assert!(both.see::<String>(&place).await.unwrap().sealed_by_first);
        assert_eq!(records(&store, &["b"]).load::<String>(&place).await.unwrap().as_deref(), Some("one"));
    }

    #[tokio::test]
    async fn c5_a_record_that_was_moved_or_changed_is_not_believed() {
        let store = Arc::new(MemoryStore::default());
        let records = records(&store, &["a"]);
        put(&records, &["ana"], "one").await;
        put(&records, &["ben"], "two").await;
        let piece = store_walk(&store).await;
        let swapped = RecordChange { shelf: Shelf::People, tag: piece[0].0, record: Some(piece[1].1.clone()) };
        crate::session::store::RecordStore::change(&*store, vec![swapped]).await.unwrap();
        let outcomes = [records.load::<String>(&name(&["ana"])).await, records.load(&name(&["ben"])).await];
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(RecordError::Unreadable)).count(), 1);
    }

    async fn store_walk(store: &Arc<MemoryStore>) -> Vec<(Tag, Sealed)> {
        crate::session::store::RecordStore::walk(&**store, Shelf::People, None, 10).await.unwrap()
    }
}
