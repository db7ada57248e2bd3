//! The tables of kept forms. A file that was made before there were any has none: then nothing is there, and the first
//! write makes them.

use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition, TableError, WriteTransaction};

use super::super::kept::TakenUp;
use super::super::{Room, Sealed, StoredForm, Tag};
use crate::clock::Timestamp;

type Key = &'static [u8; 32];
/// Until when, which browser, which address, and the room that it takes.
type About = (i64, Key, Key, u64);

/// Tag to sealed form.
const FORMS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("kept forms");
/// Tag to what is known of it: few, so that they are counted one by one.
const ABOUT: TableDefinition<'_, Key, About> = TableDefinition::new("about kept forms");

pub(super) fn kept(database: &Database, tag: &Tag) -> Result<Option<StoredForm>, redb::Error> {
    let reading = database.begin_read()?;
    let (forms, about) = match (reading.open_table(FORMS), reading.open_table(ABOUT)) {
        (Ok(forms), Ok(about)) => (forms, about),
        (Err(TableError::TableDoesNotExist(_)), _) | (_, Err(TableError::TableDoesNotExist(_))) => return Ok(None),
        (Err(error), _) | (_, Err(error)) => return Err(error.into()),
    };
    let (Some(form), Some(about)) = (forms.get(tag.as_bytes())?, about.get(tag.as_bytes())?) else { return Ok(None) };
    Ok(Some(stored(form.value(), about.value())))
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
    for row in tables.about.iter()? {
        let about = row?.1;
        let (_, browser, address, size) = about.value();
        taken_up.add(&Tag::from_bytes(*browser), &Tag::from_bytes(*address), size, form);
    }
    if !taken_up.leaves_room(form, room) {
        return Ok(false);
    }
    tables.forms.insert(tag.as_bytes(), form.sealed.as_bytes())?;
    let about = (form.until.millis(), form.browser.as_bytes(), form.address.as_bytes(), form.size());
    tables.about.insert(tag.as_bytes(), about)?;
    Ok(true)
}

pub(super) fn take(writing: &WriteTransaction, tag: &Tag) -> Result<Option<StoredForm>, redb::Error> {
    let mut tables = Tables::open(writing)?;
    let form = tables.forms.remove(tag.as_bytes())?;
    let about = tables.about.remove(tag.as_bytes())?;
    Ok(form.zip(about).map(|(form, about)| stored(form.value(), about.value())))
}

/// Forgets what is over.
pub(super) fn sweep(writing: &WriteTransaction, now: Timestamp) -> Result<(), redb::Error> {
    Tables::open(writing)?.sweep(now)
}

struct Tables<'t> {
    forms: Table<'t, Key, &'static [u8]>,
    about: Table<'t, Key, About>,
}

impl<'t> Tables<'t> {
    fn open(writing: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self { forms: writing.open_table(FORMS)?, about: writing.open_table(ABOUT)? })
    }

    fn sweep(&mut self, now: Timestamp) -> Result<(), redb::Error> {
        let mut over = Vec::new();
        for row in self.about.iter()? {
            let (tag, about) = row?;
            if about.value().0 < now.millis() {
                over.push(*tag.value());
            }
        }
        for tag in &over {
            self.forms.remove(tag)?;
            self.about.remove(tag)?;
        }
        Ok(())
    }
}

fn stored(form: &[u8], (until, browser, address, _): (i64, &[u8; 32], &[u8; 32], u64)) -> StoredForm {
    StoredForm {
        sealed: Sealed::from_bytes(form.to_vec()),
        browser: Tag::from_bytes(*browser),
        address: Tag::from_bytes(*address),
        until: Timestamp::from_millis(until),
    }
}
