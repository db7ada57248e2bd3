//! Kept forms: what a known browser has sent while its session was over, until it is sent again, dropped, or too old.
//!
//! It opens with the configured keys and the browser's own key together. Trusts the caller that the request came from the
//! portal's own page. Refuses more than there is room for, and whatever is of another browser or portal.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::keys::RingKey;
use super::super::sealed::{Kind, NotSealed, Sealed};
use super::super::store::{Mark, Room, StoreError, StoredForm, Tag, Whose};
use super::Sessions;
use super::known_browser::{KnownBrowser, PersonMark};
use crate::clock::Timestamp;
use crate::ids::SessionHash;
use crate::limits::attempts::of_one_visitor;
use crate::portal::host::HostName;
use crate::portal::settings::KeptFormLimits;
use crate::random::NoRandomness;
use crate::secret::Secret;

/// Bytes of all portals.
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

/// A request that was kept, but for its body.
pub struct KeptForm {
    /// At which portal.
    pub portal: HostName,
    /// Who has written it.
    pub person: PersonMark,
    /// Who has sent it.
    pub sent_by: SentBy,
    /// When.
    pub at: Timestamp,
    /// From when on it is nobody's any more.
    pub until: Timestamp,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header fields, without those that are of one moment.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Bytes of the body.
    pub length: u64,
}

/// The same, as it is written.
#[derive(Serialize, Deserialize)]
struct Head {
    portal: HostName,
    person: [u8; 32],
    sent_by: SentBy,
    at: Timestamp,
    until: Timestamp,
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    length: u64,
}

/// Method and path: neither what was written nor who wrote it.
impl fmt::Debug for KeptForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "KeptForm({} {path}, {} bytes)", self.method, self.length)
    }
}

/// Why a form was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// There is no room.
    #[error("there is no room for another form of this browser, person, address or portal, or at all")]
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
    /// Keeps a form of that browser, which came from `client`, where `limits` leave room.
    ///
    /// # Errors
    /// When there is no room, or it cannot be written.
    pub async fn keep_form(
        &self,
        browser: &KnownBrowser,
        form: KeptForm,
        body: &[u8],
        client: IpAddr,
        limits: &KeptFormLimits,
    ) -> Result<FormHandle, NotKept> {
        let inner = &*self.inner;
        let handle = FormHandle(Secret::generated(inner.random.token()?));
        let (kind, most) = match form.sent_by {
            SentBy::Person | SentBy::OneOfSeveral => ("form", limits.forms_of_one_browser),
            SentBy::Script => ("call", limits.calls_of_one_browser),
        };
        let (key, place) = (inner.keys.first(), place(&handle));
        let (at, until) = (form.at, form.until);
        let address = of_one_visitor(client).to_string();
        let whose = Whose {
            browser: key.group_tag(&[b"browser", kind.as_bytes(), browser.key()]),
            person: key.group_tag(&[b"person", form.person.as_bytes()]),
            address: key.group_tag(&[b"address", address.as_bytes()]),
            portal: key.group_tag(&[b"portal", form.portal.as_str().as_bytes()]),
        };
        let sealing = key.form_key(browser.key(), handle.reveal());
        let head = sealing.seal(Kind::Form, &place, &written(form)?, &inner.random)?;
        let body = sealing.seal(Kind::FormBody, &place, body, &inner.random)?;
        let room = Room {
            of_one_browser: most,
            of_one_person: limits.of_one_person,
            from_one_address: limits.from_one_address,
            of_one_portal: limits.of_one_portal,
            in_all: IN_ALL,
        };
        let stored = StoredForm { head, body, whose, until };
        let kept = inner.store.keep_form(&handle.tag(), stored, room, at).await?;
        if kept { Ok(handle) } else { Err(NotKept::NoRoom) }
    }

    /// The form that `handle` names, if that browser has sent it at that portal and its time is not over. Its body stays where
    /// it is.
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
        let stored = self.inner.store.form_head(&handle.tag()).await?;
        let Some(stored) = stored.filter(|stored| now < stored.until) else { return Ok(None) };
        let opened = self.open_part(Kind::Form, handle, browser, &stored.head);
        Ok(opened.and_then(|head| read(&head)).filter(|form| form.portal == *portal))
    }

    /// The body of a form that was taken out: none where that browser has not sent it.
    pub fn body_of(&self, taken: &TakenForm, browser: &KnownBrowser) -> Option<Bytes> {
        let body = self.open_part(Kind::FormBody, &taken.handle, browser, &taken.stored.body)?;
        Some(Bytes::from_owner(body)) // which is wiped with the last of its copies
    }

    fn open_part(
        &self,
        kind: Kind,
        handle: &FormHandle,
        browser: &KnownBrowser,
        sealed: &Sealed,
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.inner
            .keys
            .with_id(sealed.key_id()?)
            .find_map(|key: &RingKey| key.form_key(browser.key(), handle.reveal()).open(kind, &place(handle), sealed))
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
        let any = u64::MAX;
        let room =
            Room { of_one_browser: any, of_one_person: any, from_one_address: any, of_one_portal: any, in_all: IN_ALL };
        let kept = self.inner.store.keep_form(&taken.handle.tag(), taken.stored, room, now).await?;
        if kept { Ok(()) } else { Err(NotKept::NoRoom) }
    }
}

fn place(handle: &FormHandle) -> SessionHash {
    SessionHash::from_bytes(*handle.tag().as_bytes())
}

/// Wiped when dropped.
fn written(form: KeptForm) -> Result<Zeroizing<Vec<u8>>, NotSealed> {
    let KeptForm { portal, person, sent_by, at, until, method, target, fields, length } = form;
    let head = Head { portal, person: *person.as_bytes(), sent_by, at, until, method, target, fields, length };
    serde_json::to_vec(&head).map(Zeroizing::new).map_err(|_| NotSealed::NoJson)
}

fn read(head: &[u8]) -> Option<KeptForm> {
    let Head { portal, person, sent_by, at, until, method, target, fields, length } =
        serde_json::from_slice(head).ok()?;
    let person = PersonMark::from_bytes(person);
    Some(KeptForm { portal, person, sent_by, at, until, method, target, fields, length })
}

#[cfg(test)]
mod tests;
