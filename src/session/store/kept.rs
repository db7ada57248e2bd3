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
    /// What was sent, sealed under the browser's key and a configured one.
    pub sealed: Sealed,
    /// Which browser it is from, and what kind of thing it is: blind.
    pub browser: Tag,
    /// Which address it came from: blind.
    pub address: Tag,
    /// It is nobody's any more after this moment.
    pub until: Timestamp,
}

impl StoredForm {
    /// The room that it takes, in bytes.
    pub fn size(&self) -> u64 {
        u64::try_from(self.sealed.as_bytes().len()).unwrap_or(u64::MAX).max(LEAST)
    }
}

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Forms of one browser and kind.
    pub of_one_browser: u64,
    /// Bytes from one address.
    pub from_one_address: u64,
    /// Bytes in all.
    pub in_all: u64,
}

/// What is taken up already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TakenUp {
    of_one_browser: u64,
    from_one_address: u64,
    in_all: u64,
}

impl TakenUp {
    /// Counts a form that is kept, beside `new`, which is to be kept.
    pub fn add(&mut self, browser: &Tag, address: &Tag, size: u64, new: &StoredForm) {
        self.in_all = self.in_all.saturating_add(size);
        if *browser == new.browser {
            self.of_one_browser = self.of_one_browser.saturating_add(1);
        }
        if *address == new.address {
            self.from_one_address = self.from_one_address.saturating_add(size);
        }
    }

    /// Whether there is room for `new`.
    pub fn leaves_room(&self, new: &StoredForm, room: Room) -> bool {
        self.of_one_browser < room.of_one_browser
            && self.from_one_address.saturating_add(new.size()) <= room.from_one_address
            && self.in_all.saturating_add(new.size()) <= room.in_all
    }
}

/// Keeps forms for a while. All methods may be called at the same time; a write is lasting when it has returned.
#[async_trait]
pub trait FormStore: fmt::Debug + Send + Sync {
    /// Keeps a form, where there is room beside those whose time is not over at `now`: false, and nothing kept, where there
    /// is none.
    async fn keep_form(&self, tag: &Tag, form: StoredForm, room: Room, now: Timestamp) -> Result<bool, StoreError>;

    /// The form under that tag, over or not.
    async fn kept_form(&self, tag: &Tag) -> Result<Option<StoredForm>, StoreError>;

    /// Takes the form under that tag out: of many calls at the same time, one gets it.
    async fn take_form(&self, tag: &Tag) -> Result<Option<StoredForm>, StoreError>;
}
