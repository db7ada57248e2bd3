//! A known browser: one in which somebody has signed in here before. A sealed cookie says so, which outlives the session and
//! opens nothing: it only lets a browser keep what it sent while its session was over, and shows which tabs are one browser's.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::super::sealed::{Kind, NotSealed, Sealed};
use super::super::store::Mark;
use super::Sessions;
use crate::clock::Timestamp;
use crate::ids::SessionHash;
use crate::portal::host::HostName;
use crate::secret::Secret;
use crate::sign_in::VerifiedIdentity;

/// How much longer than a session can last a browser is known.
pub(super) const LONGER: Duration = Duration::from_secs(24 * 3600);

/// Key, person, whether there were others, and time.
const PLAIN: usize = 32 + 32 + 1 + 8;

/// A person, as far as two sign-ins can be told to be the same person's: SHA-256 of issuer and subject.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PersonMark([u8; 32]);

impl PersonMark {
    /// The mark of whom a provider has named.
    pub fn of(identity: &VerifiedIdentity) -> Self {
        Self(*Mark::of(&["person", identity.issuer(), identity.subject()]).as_bytes())
    }

    /// The mark as it was written.
    pub(super) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to write.
    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PersonMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonMark(..)")
    }
}

/// A browser in which somebody has signed in here.
#[derive(Clone)]
pub struct KnownBrowser {
    key: Zeroizing<[u8; 32]>,
    person: PersonMark,
    shared: bool,
}

impl KnownBrowser {
    /// Who signed in there last.
    pub fn person(&self) -> PersonMark {
        self.person
    }

    /// Whether several people have signed in there, so that a page of one may still be open when another one has signed in.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// What only this browser has: for deriving keys.
    pub(super) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// What this process may know the browser by.
    pub fn hash(&self) -> SessionHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, self.key.as_ref()).as_ref());
        SessionHash::from_bytes(hash)
    }
}

impl fmt::Debug for KnownBrowser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownBrowser(..)")
    }
}

impl Sessions {
    /// The value of the cookie by which the browser of somebody who has just signed in at `portal` is known from now on; one
    /// that is known already keeps its key.
    ///
    /// # Errors
    /// Without randomness.
    pub fn know(
        &self,
        identity: &VerifiedIdentity,
        portal: &HostName,
        before: Option<&KnownBrowser>,
        now: Timestamp,
    ) -> Result<Secret, NotSealed> {
        let inner = &*self.inner;
        let mut plain = Zeroizing::new(Vec::with_capacity(PLAIN));
        match before {
            Some(before) => plain.extend_from_slice(before.key.as_ref()),
            None => {
                let key = Zeroizing::new(inner.random.bytes::<32>().map_err(|_| NotSealed::NoRandomness)?);
                plain.extend_from_slice(key.as_ref());
            }
        }
        let person = PersonMark::of(identity);
        plain.extend_from_slice(person.as_bytes());
        plain.push(u8::from(before.is_some_and(|before| before.shared || before.person != person)));
        plain.extend_from_slice(&now.millis().to_be_bytes());
        let sealed = inner.keys.first().browser_key().seal(Kind::Browser, &place(portal), &plain, &inner.random)?;
        Ok(Secret::generated(URL_SAFE_NO_PAD.encode(sealed.as_bytes())))
    }

    /// A person, as pages of the portal may tell them from another: opaque, and of this gateway's keys.
    pub fn page_mark(&self, identity: &VerifiedIdentity) -> String {
        let tag = self.inner.keys.first().group_tag(&[b"page", PersonMark::of(identity).as_bytes()]);
        URL_SAFE_NO_PAD.encode(tag.as_bytes().get(..16).unwrap_or_default())
    }

    /// The browser that presents this cookie at `portal`: none when we did not seal it, or too long ago.
    pub fn known_browser(&self, cookie: &Secret, portal: &HostName, now: Timestamp) -> Option<KnownBrowser> {
        let inner = &*self.inner;
        let sealed = Sealed::from_bytes(URL_SAFE_NO_PAD.decode(cookie.reveal()).ok()?);
        let id = sealed.key_id()?;
        let open = |key: &super::super::keys::RingKey| key.browser_key().open(Kind::Browser, &place(portal), &sealed);
        let plain = inner.keys.with_id(id).find_map(open)?;
        let (key, rest) = plain.split_first_chunk::<32>()?;
        let (person, rest) = rest.split_first_chunk::<32>()?;
        let (&shared, rest) = rest.split_first()?;
        let since = Timestamp::from_millis(i64::from_be_bytes(rest.try_into().ok()?));
        let over = since.after(inner.lifetimes.absolute).after(LONGER);
        (now < over).then(|| KnownBrowser {
            key: Zeroizing::new(*key),
            person: PersonMark(*person),
            shared: shared != 0,
        })
    }
}

/// A sealed part is bound to its place: here, to a portal.
fn place(portal: &HostName) -> SessionHash {
    SessionHash::from_bytes(*Mark::of(&["known browser", portal.as_str()]).as_bytes())
}
