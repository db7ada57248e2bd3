//! The table of records that outlive sessions. A file that was made before there were any has no such table: then
//! nothing is there, and the first change makes it.

use std::ops::Bound;

use redb::{
    Database, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition, TableError,
    WriteTransaction,
};

use super::super::{RecordChange, RecordSeen, Sealed, Shelf, Tag};

type Place = (u8, &'static [u8; 32]);

/// Shelf and tag to sealed record.
const LASTING: TableDefinition<'_, Place, &[u8]> = TableDefinition::new("lasting");

pub(super) fn fetch(database: &Database, shelf: Shelf, tag: &Tag) -> Result<Option<Sealed>, redb::Error> {
    let Some(table) = table(database)? else { return Ok(None) };
    let record = table.get((shelf as u8, tag.as_bytes()))?;
    Ok(record.map(|record| Sealed::from_bytes(record.value().to_vec())))
}

pub(super) fn walk(
    database: &Database,
    shelf: Shelf,
    after: Option<&Tag>,
    limit: usize,
) -> Result<Vec<(Tag, Sealed)>, redb::Error> {
    let Some(table) = table(database)? else { return Ok(Vec::new()) };
    let shelf = shelf as u8;
    let from = match after {
        Some(tag) => Bound::Excluded((shelf, tag.as_bytes())),
        None => Bound::Included((shelf, &[0; 32])),
    };
    let mut found = Vec::new();
    for row in table.range((from, Bound::Included((shelf, &[u8::MAX; 32]))))?.take(limit) {
        let (place, record) = row?;
        found.push((Tag::from_bytes(*place.value().1), Sealed::from_bytes(record.value().to_vec())));
    }
    Ok(found)
}

pub(super) fn change(writing: &WriteTransaction, changes: &[RecordChange]) -> Result<(), redb::Error> {
    make(&mut writing.open_table(LASTING)?, changes)
}

/// Whether everything stood as it was seen, and the changes were made.
pub(super) fn change_if(
    writing: &WriteTransaction,
    seen: &[RecordSeen],
    changes: &[RecordChange],
) -> Result<bool, redb::Error> {
    let mut table = writing.open_table(LASTING)?;
    for RecordSeen { shelf, tag, record } in seen {
        let stands = table.get((*shelf as u8, tag.as_bytes()))?;
        if stands.as_ref().map(|stands| stands.value()) != record.as_ref().map(Sealed::as_bytes) {
            return Ok(false);
        }
    }
    make(&mut table, changes)?;
    Ok(true)
}

fn make(table: &mut Table<'_, Place, &'static [u8]>, changes: &[RecordChange]) -> Result<(), redb::Error> {
    for RecordChange { shelf, tag, record } in changes {
        let place = (*shelf as u8, tag.as_bytes());
        match record {
            Some(record) => drop(table.insert(place, record.as_bytes())?),
            None => drop(table.remove(place)?),
        }
    }
    Ok(())
}

fn table(database: &Database) -> Result<Option<ReadOnlyTable<Place, &'static [u8]>>, redb::Error> {
    match database.begin_read()?.open_table(LASTING) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
