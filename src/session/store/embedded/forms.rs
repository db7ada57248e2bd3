//! The tables of kept forms. A file that was made before there were any has none: then nothing is there, and the first
//! write makes them.

use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition, TableError, WriteTransaction};

use super::super::kept::TakenUp;
use super::super::{Room, Sealed, StoredForm, StoredHead, Tag, Whose};
use crate::clock::Timestamp;

type Key = &'static [u8; 32];
/// Until when, and the room that it takes.
type Sums = (i64, u64);
/// Which browser, person, address and portal.
type Tags = (Key, Key, Key, Key);

/// Tag to what is known of a form, sealed.
const HEADS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("heads of kept forms");
/// Tag to its body, sealed.
const BODIES: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("bodies of kept forms");
/// Tag to what counts for how much is kept: few, so that they are counted one by one.
const COUNTS: TableDefinition<'_, Key, (Sums, Tags)> = TableDefinition::new("counts of kept forms");

pub(super) fn head(database: &Database, tag: &Tag) -> Result<Option<StoredHead>, redb::Error> {
    let reading = database.begin_read()?;
    let (heads, counts) = match (reading.open_table(HEADS), reading.open_table(COUNTS)) {
        (Ok(heads), Ok(counts)) => (heads, counts),
        (Err(TableError::TableDoesNotExist(_)), _) | (_, Err(TableError::TableDoesNotExist(_))) => return Ok(None),
        (Err(error), _) | (_, Err(error)) => return Err(error.into()),
    };
    let (Some(head), Some(counts)) = (heads.get(tag.as_bytes())?, counts.get(tag.as_bytes())?) else {
        return Ok(None);
    };
    let ((until, _), _) = counts.value();
    Ok(Some(StoredHead { head: Sealed::from_bytes(head.value().to_vec()), until: Timestamp::from_millis(until) }))
}

/// Keeps a form where there is room. What is over makes room first.
pub(super) fn keep(
    writing: &WriteTransaction,
    tag: &Tag,
    form: &StoredForm,
    room: Room,
    now: Timestamp,
) -> Result<bool, redb::Error> {
    let mut tables = Tables::open(writing)?;
    tables.sweep(now)?;
    let mut taken_up = TakenUp::default();
    for row in tables.counts.iter()? {
        let counts = row?.1;
        let ((_, size), tags) = counts.value();
        taken_up.add(&whose(tags), size, form);
    }
    if !taken_up.leaves_room(form, room) {
        return Ok(false);
    }
    tables.heads.insert(tag.as_bytes(), form.head.as_bytes())?;
    tables.bodies.insert(tag.as_bytes(), form.body.as_bytes())?;
    let Whose { browser, person, address, portal } = &form.whose;
    let tags = (browser.as_bytes(), person.as_bytes(), address.as_bytes(), portal.as_bytes());
    tables.counts.insert(tag.as_bytes(), ((form.until.millis(), form.size()), tags))?;
    Ok(true)
}

pub(super) fn take(writing: &WriteTransaction, tag: &Tag) -> Result<Option<StoredForm>, redb::Error> {
    let mut tables = Tables::open(writing)?;
    let head = tables.heads.remove(tag.as_bytes())?;
    let body = tables.bodies.remove(tag.as_bytes())?;
    let counts = tables.counts.remove(tag.as_bytes())?;
    let (Some(head), Some(body), Some(counts)) = (head, body, counts) else { return Ok(None) };
    let ((until, _), tags) = counts.value();
    Ok(Some(StoredForm {
        head: Sealed::from_bytes(head.value().to_vec()),
        body: Sealed::from_bytes(body.value().to_vec()),
        whose: whose(tags),
        until: Timestamp::from_millis(until),
    }))
}

/// Forgets what is over.
pub(super) fn sweep(writing: &WriteTransaction, now: Timestamp) -> Result<(), redb::Error> {
    Tables::open(writing)?.sweep(now)
}

struct Tables<'t> {
    heads: Table<'t, Key, &'static [u8]>,
    bodies: Table<'t, Key, &'static [u8]>,
    counts: Table<'t, Key, (Sums, Tags)>,
}

impl<'t> Tables<'t> {
    fn open(writing: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            heads: writing.open_table(HEADS)?,
            bodies: writing.open_table(BODIES)?,
            counts: writing.open_table(COUNTS)?,
        })
    }

    fn sweep(&mut self, now: Timestamp) -> Result<(), redb::Error> {
        let mut over = Vec::new();
        for row in self.counts.iter()? {
            let (tag, counts) = row?;
            let ((until, _), _) = counts.value();
            if until < now.millis() {
                over.push(*tag.value());
            }
        }
        for tag in &over {
            self.heads.remove(tag)?;
            self.bodies.remove(tag)?;
            self.counts.remove(tag)?;
        }
        Ok(())
    }
}

fn whose((browser, person, address, portal): (&[u8; 32], &[u8; 32], &[u8; 32], &[u8; 32])) -> Whose {
    let tag = |bytes: &[u8; 32]| Tag::from_bytes(*bytes);
    Whose { browser: tag(browser), person: tag(person), address: tag(address), portal: tag(portal) }
}
