//! Sessions and their keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Check, all, days, minutes, seconds};
use crate::config::raw::{RawSecret, RawSession};
use crate::config::tree::Place;
use crate::secret::Secret;
use crate::session::settings::{SessionSettings, StoreSettings};

/// How a key starts: a kind that tells it from other secrets, and a version.
const KEY_PREFIX: &str = "vk1_";

impl Check<'_> {
    pub(super) fn keys(&mut self, place: &Place<'_>, raw: &[RawSecret]) -> Option<Vec<Secret>> {
        if raw.is_empty() {
            self.fault(place, "is empty", "make a key with \"vestibule keys new\"");
        }
        let keys: Vec<_> = raw.iter().enumerate().map(|(index, raw)| self.key(&place.index(index), raw)).collect();
        let values: Vec<_> = keys.iter().map(|key| key.as_ref().map(Secret::reveal)).collect();
        self.distinct(place, &values);
        all(keys)
    }

    fn key(&mut self, place: &Place<'_>, raw: &RawSecret) -> Option<Secret> {
        let key = self.secret(place, raw, |c| c.is_ascii_graphic())?;
        let bits = key.reveal().strip_prefix(KEY_PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        if bits.is_none_or(|bits| zeroize::Zeroizing::new(bits).len() != 32) {
            let cure = "make one with \"vestibule keys new\": vk1_ and 43 characters";
            self.fault(place, "is not a key of this program", cure);
            return None;
        }
        Some(key)
    }

    pub(super) fn session(
        &mut self,
        place: &Place<'_>,
        raw: &RawSession,
        keys: Option<Vec<Secret>>,
    ) -> Option<SessionSettings> {
        let (idle_place, absolute_place) = (place.key("idle_timeout"), place.key("absolute_timeout"));
        let range = || seconds(10)..=days(30);
        let idle = self.duration(&idle_place, raw.idle_timeout.as_ref(), minutes(30), range());
        let absolute = self.duration(&absolute_place, raw.absolute_timeout.as_ref(), minutes(12 * 60), range());
        if let (Some(idle), Some(absolute)) = (idle, absolute)
            && idle > absolute
        {
            self.fault(&idle_place, "is longer than session.absolute_timeout", "make it the same or shorter");
        }
        let cache_entries = self.count(&place.key("cache_entries"), raw.cache_entries, 100_000, 100..=10_000_000);
        let path_place = place.key("store").key("embedded").key("path");
        let path = raw.store.embedded.as_ref().and_then(|embedded| {
            let path = self.path(&path_place, &embedded.path)?;
            if embedded.path.ends_with('/') {
                self.fault(&path_place, "is a folder", "name a file in it, such as sessions.redb");
                return None;
            }
            Some(path)
        });
        Some(SessionSettings {
            idle_timeout: idle?,
            absolute_timeout: absolute?,
            cache_entries: cache_entries?,
            store: StoreSettings::Embedded { path: path? },
            keys: keys?,
        })
    }
}
