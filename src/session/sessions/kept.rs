//! Kept forms: what a known browser has sent while its session was over, until it is sent again, dropped, or too old.
//!
//! It opens with the configured keys and the browser's own key together. Trusts the caller that the request came from the
//! portal's own page. Refuses more than there is room for, and whatever is of another browser or portal.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::keys::RingKey;
use super::super::sealed::{Kind, NotSealed};
use super::super::store::{Mark, Room, StoreError, StoredForm, Tag};
use super::Sessions;
use super::known_browser::{KnownBrowser, PersonMark};
use crate::clock::Timestamp;
use crate::ids::SessionHash;
use crate::limits::attempts::of_one_visitor;
use crate::portal::host::HostName;
use crate::random::NoRandomness;
use crate::secret::Secret;

/// How long a form is kept: longer than a sign-in may take.
pub const KEPT_FOR: Duration = Duration::from_secs(30 * 60);

/// Forms that people sent, of one browser: one for each of its tabs.
const FORMS_OF_ONE_BROWSER: u64 = 16;
/// Calls of scripts, of one browser: of those that are made again and again, few are wanted.
const CALLS_OF_ONE_BROWSER: u64 = 4;
/// Bytes from one address, behind which many people may sit.
const FROM_ONE_ADDRESS: u64 = 32 * 1024 * 1024;
/// Bytes in all.
const IN_ALL: u64 = 256 * 1024 * 1024;

/// Names a kept form: 256 random bits, 43 characters of base64url. It opens nothing without the browser's cookie.
#[derive(Clone)]
pub struct FormHandle(Secret);

impl FormHandle {
    /// Reads one, in its one canonical spelling.
    pub fn parse(text: &str) -> Option<Self> {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(Secret::generated(text)))
    }

    /// As it stands in addresses.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    fn tag(&self) -> Tag {
        Tag::from_bytes(*Mark::of(&["kept form", self.reveal()]).as_bytes())
    }
}

impl fmt::Debug for FormHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormHandle(..)")
    }
}

/// Who has sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SentBy {
    /// A person, by a form.
    Person,
    /// A person, by a form, in a browser of several people: perhaps by a page of another one.
    OneOfSeveral,
    /// A script.
    Script,
}

/// A request that was kept.
pub struct KeptForm {
    /// At which portal.
    pub portal: HostName,
    /// Who has written it.
    pub person: PersonMark,
    /// Who has sent it.
    pub sent_by: SentBy,
    /// When.
    pub at: Timestamp,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header fields, without those that are of one moment.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body, byte by byte.
    pub body: Bytes,
}

/// What is written before the body.
#[derive(Serialize, Deserialize)]
struct Head {
    portal: HostName,
    person: [u8; 32],
    sent_by: SentBy,
    at: Timestamp,
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
}

/// Method and path: neither what was written nor who wrote it.
impl fmt::Debug for KeptForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "KeptForm({} {path}, {} bytes)", self.method, self.body.len())
    }
}

/// Why a form was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// There is no room.
    #[error("there is no room for another form of this browser, from this address, or at all")]
    NoRoom,
    /// No handle could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotSealed> for NotKept {
    fn from(error: NotSealed) -> Self {
        Self::Store(error.into())
    }
}

/// A form that was taken out, and can be put back.
#[derive(Debug)]
pub struct TakenForm {
    handle: FormHandle,
    stored: StoredForm,
}

impl Sessions {
    /// Keeps a form of that browser, which came from `client`.
    ///
    /// # Errors
    /// When there is no room, or it cannot be written.
    pub async fn keep_form(
        &self,
        browser: &KnownBrowser,
        form: KeptForm,
        client: IpAddr,
    ) -> Result<FormHandle, NotKept> {
        let inner = &*self.inner;
        let handle = FormHandle(Secret::generated(inner.random.token()?));
        let (kind, most) = match form.sent_by {
            SentBy::Person | SentBy::OneOfSeveral => ("form", FORMS_OF_ONE_BROWSER),
            SentBy::Script => ("call", CALLS_OF_ONE_BROWSER),
        };
        let (key, at) = (inner.keys.first(), form.at);
        let plain = plain(form)?;
        let sealed =
            key.form_key(browser.key(), handle.reveal()).seal(Kind::Form, &place(&handle), &plain, &inner.random)?;
        let address = of_one_visitor(client).to_string();
        let stored = StoredForm {
            sealed,
            browser: key.group_tag(&[b"browser", kind.as_bytes(), browser.key()]),
            address: key.group_tag(&[b"address", address.as_bytes()]),
            until: at.after(KEPT_FOR),
        };
        let room = Room { of_one_browser: most, from_one_address: FROM_ONE_ADDRESS, in_all: IN_ALL };
        let kept = inner.store.keep_form(&handle.tag(), stored, room, at).await?;
        if kept { Ok(handle) } else { Err(NotKept::NoRoom) }
    }

    /// The form that `handle` names, if that browser has sent it at that portal and its time is not over.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn kept_form(
        &self,
        handle: &FormHandle,
        browser: &KnownBrowser,
        portal: &HostName,
        now: Timestamp,
    ) -> Result<Option<KeptForm>, StoreError> {
        let stored = self.inner.store.kept_form(&handle.tag()).await?;
        let Some(stored) = stored.filter(|stored| now < stored.until) else { return Ok(None) };
        let opened = stored.sealed.key_id().and_then(|id| {
            self.inner.keys.with_id(id).find_map(|key: &RingKey| {
                key.form_key(browser.key(), handle.reveal()).open(Kind::Form, &place(handle), &stored.sealed)
            })
        });
        Ok(opened.and_then(|plain| read(&plain)).filter(|form| form.portal == *portal))
    }

    /// Takes the form out: of many calls one gets it. For whoever has read it by [`Sessions::kept_form`].
    ///
    /// # Errors
    /// When the store cannot be written: then it must not be used.
    pub async fn take_form(&self, handle: &FormHandle) -> Result<Option<TakenForm>, StoreError> {
        let stored = self.inner.store.take_form(&handle.tag()).await?;
        Ok(stored.map(|stored| TakenForm { handle: handle.clone(), stored }))
    }

    /// Puts a form back that nobody has got.
    ///
    /// # Errors
    /// When there is no room any more, or it cannot be written.
    pub async fn put_form_back(&self, taken: TakenForm, now: Timestamp) -> Result<(), NotKept> {
        let room = Room { of_one_browser: u64::MAX, from_one_address: u64::MAX, in_all: IN_ALL };
        let kept = self.inner.store.keep_form(&taken.handle.tag(), taken.stored, room, now).await?;
        if kept { Ok(()) } else { Err(NotKept::NoRoom) }
    }
}

fn place(handle: &FormHandle) -> SessionHash {
    SessionHash::from_bytes(*handle.tag().as_bytes())
}

/// The length of the head, the head, the body. Wiped when dropped.
fn plain(form: KeptForm) -> Result<Zeroizing<Vec<u8>>, NotSealed> {
    let KeptForm { portal, person, sent_by, at, method, target, fields, body } = form;
    let head = Head { portal, person: *person.as_bytes(), sent_by, at, method, target, fields };
    let head = Zeroizing::new(serde_json::to_vec(&head).map_err(|_| NotSealed::NoJson)?);
    let length = u32::try_from(head.len()).map_err(|_| NotSealed::NoJson)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(head.len().saturating_add(body.len()).saturating_add(4)));
    plain.extend_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(&head);
    plain.extend_from_slice(&body);
    Ok(plain)
}

fn read(plain: &[u8]) -> Option<KeptForm> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    let (head, body) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let Head { portal, person, sent_by, at, method, target, fields } = serde_json::from_slice(head).ok()?;
    let (person, body) = (PersonMark::from_bytes(person), Bytes::copy_from_slice(body));
    Some(KeptForm { portal, person, sent_by, at, method, target, fields, body })
}

#[cfg(test)]
mod tests;
