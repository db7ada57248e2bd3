//! The tables of the file, and what is done with them in one transaction.

use redb::{
    Database, MultimapTable, MultimapTableDefinition, ReadTransaction, ReadableDatabase as _, ReadableTable as _,
    ReadableTableMetadata as _, Table, TableDefinition, WriteTransaction,
};

use super::super::{Mark, Sealed, StoredIndex, StoredSession, Tag};
use crate::clock::Timestamp;
use crate::ids::SessionHash;

/// The format that this version writes and reads.
pub(super) const FORMAT: u64 = 1;

type Hash = &'static [u8; 32];

const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("vestibule");
/// Hash to sealed record.
const RECORDS: TableDefinition<'_, Hash, &[u8]> = TableDefinition::new("records");
/// Hash to `swept after | number of tags | tags | sealed index part`.
const INDEX: TableDefinition<'_, Hash, &[u8]> = TableDefinition::new("index");
/// Tag to hashes.
const TAGS: MultimapTableDefinition<'_, Hash, Hash> = MultimapTableDefinition::new("tags");
/// When the store may forget a session, in order.
const TIMES: TableDefinition<'_, (i64, Hash), ()> = TableDefinition::new("times");

/// Mark to the moment until which it is kept.
const MARKS: TableDefinition<'_, Hash, i64> = TableDefinition::new("marks");
/// When marks may be forgotten, in order.
const MARK_TIMES: TableDefinition<'_, (i64, Hash), ()> = TableDefinition::new("mark times");

/// The format that the file tells; `None` when it is not one of ours.
pub(super) fn format(reading: &ReadTransaction, names: &[String]) -> Result<Option<u64>, redb::Error> {
    if !names.iter().any(|name| name == "vestibule") {
        return Ok(None);
    }
    Ok(reading.open_table(ABOUT)?.get("format")?.map(|format| format.value()))
}

/// Makes the tables.
pub(super) fn create(database: &Database) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    writing.open_table(ABOUT)?.insert("format", FORMAT)?;
    drop(Tables::open(&writing)?);
    writing.commit()?;
    Ok(())
}

pub(super) fn load(database: &Database, hash: &SessionHash) -> Result<Option<StoredSession>, redb::Error> {
    let reading = database.begin_read()?;
    // One after the other: a cookie that somebody has made up costs one search.
    let Some(record) = reading.open_table(RECORDS)?.get(hash.as_bytes())? else { return Ok(None) };
    let Some(index) = reading.open_table(INDEX)?.get(hash.as_bytes())? else { return Ok(None) };
    let index = decoded(index.value());
    Ok(Some(StoredSession { record: Sealed::from_bytes(record.value().to_vec()), index }))
}

pub(super) fn find_by_tag(database: &Database, tags: &[Tag]) -> Result<Vec<SessionHash>, redb::Error> {
    let table = database.begin_read()?.open_multimap_table(TAGS)?;
    let mut hashes = Vec::new();
    for tag in tags {
        for hash in table.get(tag.as_bytes())? {
            hashes.push(SessionHash::from_bytes(*hash?.value()));
        }
    }
    hashes.sort_unstable();
    hashes.dedup();
    Ok(hashes)
}

pub(super) fn scan(database: &Database, limit: usize) -> Result<Vec<(SessionHash, Sealed)>, redb::Error> {
    let table = database.begin_read()?.open_table(INDEX)?;
    let mut found = Vec::new();
    for row in table.iter()?.take(limit) {
        let (hash, index) = row?;
        found.push((SessionHash::from_bytes(*hash.value()), decoded(index.value()).sealed));
    }
    Ok(found)
}

pub(super) fn count(database: &Database) -> Result<u64, redb::Error> {
    Ok(database.begin_read()?.open_table(RECORDS)?.len()?)
}

/// Writes something that matters to nobody, so that a commit shows whether the disk takes anything.
pub(super) fn prove_writable(writing: &WriteTransaction) -> Result<(), redb::Error> {
    let mut about = writing.open_table(ABOUT)?;
    let before = about.get("faults survived")?.map_or(0, |count| count.value());
    about.insert("faults survived", before.wrapping_add(1))?;
    Ok(())
}

/// The tables in a transaction that writes.
pub(super) struct Tables<'t> {
    records: Table<'t, Hash, &'static [u8]>,
    index: Table<'t, Hash, &'static [u8]>,
    tags: MultimapTable<'t, Hash, Hash>,
    times: Table<'t, (i64, Hash), ()>,
    marks: Table<'t, Hash, i64>,
    mark_times: Table<'t, (i64, Hash), ()>,
}

impl<'t> Tables<'t> {
    pub fn open(writing: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: writing.open_table(RECORDS)?,
            index: writing.open_table(INDEX)?,
            tags: writing.open_multimap_table(TAGS)?,
            times: writing.open_table(TIMES)?,
            marks: writing.open_table(MARKS)?,
            mark_times: writing.open_table(MARK_TIMES)?,
        })
    }

    pub fn save(&mut self, hash: &SessionHash, session: &StoredSession) -> Result<(), redb::Error> {
        self.forget(hash)?;
        self.records.insert(hash.as_bytes(), session.record.as_bytes())?;
        self.put_index(hash, &session.index)
    }

    pub fn replace(&mut self, hash: &SessionHash, record: &Sealed) -> Result<bool, redb::Error> {
        let known = self.records.get(hash.as_bytes())?.is_some();
        if known {
            self.records.insert(hash.as_bytes(), record.as_bytes())?;
        }
        Ok(known)
    }

    /// Writes what has changed: tags mostly have not, and each is a page.
    pub fn touch(&mut self, hash: &SessionHash, index: &StoredIndex) -> Result<(), redb::Error> {
        let Some(old) = self.index.get(hash.as_bytes())?.map(|old| decoded(old.value())) else { return Ok(()) };
        self.index.insert(hash.as_bytes(), encoded(index).as_slice())?;
        for tag in old.tags.iter().filter(|tag| !index.tags.contains(tag)) {
            self.tags.remove(tag.as_bytes(), hash.as_bytes())?;
        }
        for tag in index.tags.iter().filter(|tag| !old.tags.contains(tag)) {
            self.tags.insert(tag.as_bytes(), hash.as_bytes())?;
        }
        if old.swept_after != index.swept_after {
            self.times.remove((old.swept_after.millis(), hash.as_bytes()))?;
            self.times.insert((index.swept_after.millis(), hash.as_bytes()), ())?;
        }
        Ok(())
    }

    pub fn forget(&mut self, hash: &SessionHash) -> Result<bool, redb::Error> {
        let known = self.records.remove(hash.as_bytes())?.is_some();
        Ok(self.take_index(hash)? || known)
    }

    /// Keeps a mark; true when it was kept already, and then nothing changes.
    pub fn mark(&mut self, mark: &Mark, until: Timestamp) -> Result<bool, redb::Error> {
        let known = self.marks.get(mark.as_bytes())?.is_some();
        if !known {
            self.marks.insert(mark.as_bytes(), until.millis())?;
            self.mark_times.insert((until.millis(), mark.as_bytes()), ())?;
        }
        Ok(known)
    }

    fn sweep_marks(&mut self, now: Timestamp, limit: usize) -> Result<(), redb::Error> {
        let mut over = Vec::new();
        for row in self.mark_times.range(..(now.millis(), &[0; 32]))?.take(limit) {
            let row = row?.0;
            let (time, mark) = row.value();
            over.push((time, *mark));
        }
        for (time, mark) in &over {
            self.marks.remove(mark)?;
            self.mark_times.remove((*time, mark))?;
        }
        Ok(())
    }

    pub fn sweep(&mut self, now: Timestamp, limit: usize) -> Result<Vec<SessionHash>, redb::Error> {
        self.sweep_marks(now, limit)?;
        let mut over = Vec::new();
        for row in self.times.range(..(now.millis(), &[0; 32]))?.take(limit) {
            let row = row?.0;
            let (time, hash) = row.value();
            over.push((time, SessionHash::from_bytes(*hash)));
        }
        for (time, hash) in &over {
            self.forget(hash)?;
            self.times.remove((*time, hash.as_bytes()))?; // also where the index part does not tell this time
        }
        Ok(over.into_iter().map(|(_, hash)| hash).collect())
    }

    fn put_index(&mut self, hash: &SessionHash, index: &StoredIndex) -> Result<(), redb::Error> {
        self.index.insert(hash.as_bytes(), encoded(index).as_slice())?;
        for tag in &index.tags {
            self.tags.insert(tag.as_bytes(), hash.as_bytes())?;
        }
        self.times.insert((index.swept_after.millis(), hash.as_bytes()), ())?;
        Ok(())
    }

    /// Takes out the index part with its tags and time. False when there was none.
    fn take_index(&mut self, hash: &SessionHash) -> Result<bool, redb::Error> {
        let old = match self.index.remove(hash.as_bytes())? {
            Some(old) => decoded(old.value()),
            None => return Ok(false),
        };
        for tag in &old.tags {
            self.tags.remove(tag.as_bytes(), hash.as_bytes())?;
        }
        self.times.remove((old.swept_after.millis(), hash.as_bytes()))?;
        Ok(true)
    }
}

fn encoded(index: &StoredIndex) -> Vec<u8> {
    let tags = index.tags.iter().take(usize::from(u8::MAX));
    let room = tags.len().saturating_mul(32).saturating_add(index.sealed.as_bytes().len()).saturating_add(9);
    let mut bytes = Vec::with_capacity(room);
    bytes.extend_from_slice(&index.swept_after.millis().to_be_bytes());
    bytes.push(u8::try_from(tags.len()).unwrap_or(u8::MAX));
    for tag in tags {
        bytes.extend_from_slice(tag.as_bytes());
    }
    bytes.extend_from_slice(index.sealed.as_bytes());
    bytes
}

/// Bytes that this program did not write so become a sealed part that no key opens: they must neither sign anybody in
/// nor keep the transaction of others from being written.
fn decoded(bytes: &[u8]) -> StoredIndex {
    parsed(bytes).unwrap_or_else(|| StoredIndex {
        sealed: Sealed::from_bytes(Vec::new()),
        tags: Vec::new(),
        swept_after: Timestamp::from_millis(0),
    })
}

fn parsed(bytes: &[u8]) -> Option<StoredIndex> {
    let (time, rest) = bytes.split_first_chunk::<8>()?;
    let (&tags, rest) = rest.split_first()?;
    let (tags, sealed) = rest.split_at_checked(usize::from(tags).checked_mul(32)?)?;
    Some(StoredIndex {
        sealed: Sealed::from_bytes(sealed.to_vec()),
        tags: tags.as_chunks::<32>().0.iter().map(|tag| Tag::from_bytes(*tag)).collect(),
        swept_after: Timestamp::from_millis(i64::from_be_bytes(*time)),
    })
}

#[cfg(test)]
pub(super) fn damage_index_part(database: &Database, hash: &SessionHash) {
    let writing = database.begin_write().unwrap();
    writing.open_table(INDEX).unwrap().insert(hash.as_bytes(), b"torn".as_slice()).unwrap();
    writing.commit().unwrap();
}
