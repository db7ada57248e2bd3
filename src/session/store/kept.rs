//! Kept forms: sealed bytes under the hash of their handle, with an end, and with room for so many.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Sealed, StoreError, Tag};
use crate::clock::Timestamp;

/// What a form takes at least, whatever its size, so that many small ones are not free. In bytes.
const LEAST: u64 = 4096;

/// A kept form as a store sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredForm {
    /// What is known of it, sealed under the browser's key and a configured one.
    pub head: Sealed,
    /// Its body, sealed in the same way.
    pub body: Sealed,
    /// Whose it is.
    pub whose: Whose,
    /// It is nobody's any more after this moment.
    pub until: Timestamp,
}

/// Whose a kept form is: by tags that say nothing, but for what belongs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// Which browser it is from, and what kind of thing it is.
    pub browser: Tag,
    /// Who has written it.
    pub person: Tag,
    /// Which address it came from.
    pub address: Tag,
    /// At which portal.
    pub portal: Tag,
}

/// What is looked at of a kept form before its body counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHead {
    /// What is known of it, sealed.
    pub head: Sealed,
    /// It is nobody's any more after this moment.
    pub until: Timestamp,
}

impl StoredForm {
    /// The room that it takes, in bytes.
    pub fn size(&self) -> u64 {
        let bytes = self.head.as_bytes().len().saturating_add(self.body.as_bytes().len());
        u64::try_from(bytes).unwrap_or(u64::MAX).max(LEAST)
    }
}

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Forms of one browser and kind.
    pub of_one_browser: u64,
    /// Bytes of one person.
    pub of_one_person: u64,
    /// Bytes from one address.
    pub from_one_address: u64,
    /// Bytes of one portal.
    pub of_one_portal: u64,
    /// Bytes in all.
    pub in_all: u64,
}

/// What is taken up already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TakenUp {
    of_one_browser: u64,
    of_one_person: u64,
    from_one_address: u64,
    of_one_portal: u64,
    in_all: u64,
}

impl TakenUp {
    /// Counts a form that is kept, beside `new`, which is to be kept.
    pub fn add(&mut self, whose: &Whose, size: u64, new: &StoredForm) {
        let add = |sum: &mut u64, size: u64, counts: bool| {
            if counts {
                *sum = sum.saturating_add(size);
            }
        };
        add(&mut self.in_all, size, true);
        add(&mut self.of_one_browser, 1, whose.browser == new.whose.browser);
        add(&mut self.of_one_person, size, whose.person == new.whose.person);
        add(&mut self.from_one_address, size, whose.address == new.whose.address);
        add(&mut self.of_one_portal, size, whose.portal == new.whose.portal);
    }

    /// Whether there is room for `new`.
    pub fn leaves_room(&self, new: &StoredForm, room: Room) -> bool {
        let size = new.size();
        self.of_one_browser < room.of_one_browser
            && self.of_one_person.saturating_add(size) <= room.of_one_person
            && self.from_one_address.saturating_add(size) <= room.from_one_address
            && self.of_one_portal.saturating_add(size) <= room.of_one_portal
            && self.in_all.saturating_add(size) <= room.in_all
    }
}

/// Keeps forms for a while. All methods may be called at the same time; a write is lasting when it has returned.
#[async_trait]
pub trait FormStore: fmt::Debug + Send + Sync {
    /// Keeps a form, where there is room beside those whose time is not over at `now`: false, and nothing kept, where there
    /// is none.
    async fn keep_form(&self, tag: &Tag, form: StoredForm, room: Room, now: Timestamp) -> Result<bool, StoreError>;

    /// What is known of the form under that tag, over or not. Its body stays where it is.
    async fn form_head(&self, tag: &Tag) -> Result<Option<StoredHead>, StoreError>;

    /// Takes the form under that tag out: of many calls at the same time, one gets it.
    async fn take_form(&self, tag: &Tag) -> Result<Option<StoredForm>, StoreError>;
}
