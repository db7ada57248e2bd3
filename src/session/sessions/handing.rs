//! From a session at one portal to one at another: by a code that works once, for a minute, at that portal alone, and for
//! whoever began there.
//!
//! The code goes through the browser's address bar, so that it is worth nothing without what else the browser holds: the
//! caller asks for the state that ties it to the browser that began.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use moka::Entry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use ring::digest::{SHA256, digest};

use super::{OpenError, Sessions};
use crate::clock::Timestamp;
use crate::ids::{SessionHash, SessionId};
use crate::portal::host::HostName;
use crate::random::NoRandomness;
use crate::session::family::Family;
use crate::session::live::LiveSession;
use crate::session::store::StoreError;

/// How long a code is under way at most: the time of one redirect, on a bad line.
const UNDER_WAY: Duration = Duration::from_secs(60);
/// Codes under way at once; further ones push out the oldest.
const MOST: u64 = 10_000;
/// Codes under way of one session, as many as a browser that opens all of its tabs at once needs; further ones push out its own oldest.
/// Who is signed in can ask for any number, and would push out everybody's otherwise.
const OF_ONE_SESSION: usize = 16;

/// Codes under way.
pub(super) struct Codes {
    /// By their hash.
    all: Cache<CodeHash, Handed>,
    /// Those of each session, the oldest first.
    of_session: Cache<SessionHash, VecDeque<CodeHash>>,
}

type CodeHash = [u8; 32];

#[derive(Clone)]
struct Handed {
    session: Arc<LiveSession>,
    to: HostName,
    state: [u8; 32],
    made: Timestamp,
}

/// A code opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHanded {
    /// Nobody knows it: it was used, is too old, or never was.
    #[error("the code was used before, is too old, or was never made")]
    Unknown,
    /// It is for another portal, or for another round.
    #[error("the code is for another portal or another browser")]
    ForAnother,
    /// The session that it stands for has ended.
    #[error("the session that the code stands for is over")]
    Over,
}

impl NotHanded {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "group_code_unknown",
            Self::ForAnother => "group_code_for_another",
            Self::Over => "group_session_over",
        }
    }
}

impl Default for Codes {
    fn default() -> Self {
        let lru = EvictionPolicy::lru;
        Self {
            all: Cache::builder().max_capacity(MOST).time_to_live(UNDER_WAY).eviction_policy(lru()).build(),
            of_session: Cache::builder().max_capacity(MOST).time_to_live(UNDER_WAY).eviction_policy(lru()).build(),
        }
    }
}

impl Codes {
    fn insert(&self, code: CodeHash, handed: Handed) {
        let (session, mut pushed_out) = (*handed.session.hash(), None);
        self.all.insert(code, handed);
        self.of_session.entry(session).and_upsert_with(|known| {
            let mut codes = known.map(Entry::into_value).unwrap_or_default();
            if codes.len() >= OF_ONE_SESSION {
                pushed_out = codes.pop_front();
            }
            codes.push_back(code);
            codes
        });
        if let Some(oldest) = pushed_out {
            self.all.invalidate(&oldest);
        }
    }
}

impl Sessions {
    /// A code by which whoever began with `state` at the portal `to` gets a session there like this one.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn hand(
        &self,
        session: &Arc<LiveSession>,
        to: &HostName,
        state: &str,
        now: Timestamp,
    ) -> Result<String, NoRandomness> {
        let code = self.inner.random.token()?;
        let handed = Handed { session: Arc::clone(session), to: to.clone(), state: sha256(state), made: now };
        self.inner.codes.insert(sha256(&code), handed);
        Ok(code)
    }

    /// The session that `code` stands for, and when the code was made. It is used up, whatever comes of it.
    ///
    /// # Errors
    /// When it opens nothing here.
    pub fn take_handed(
        &self,
        code: &str,
        at: &HostName,
        state: &str,
        now: Timestamp,
    ) -> Result<(Arc<LiveSession>, Timestamp), NotHanded> {
        let handed = self.inner.codes.all.remove(&sha256(code)).ok_or(NotHanded::Unknown)?;
        if now.since(handed.made) > UNDER_WAY {
            return Err(NotHanded::Unknown);
        }
        if handed.to != *at || handed.state != sha256(state) {
            return Err(NotHanded::ForAnother);
        }
        if handed.session.is_ended() || handed.session.is_over(now) {
            return Err(NotHanded::Over);
        }
        Ok((handed.session, handed.made))
    }

    /// Opens a session at `portal` beside `other`: of the same person and sign-in, so that it ends no later, and of the same
    /// family. None is opened when a logout that means it was told since `begun`, when the code for it was made.
    ///
    /// # Errors
    /// As for [`Sessions::open`]; also when the other has ended meanwhile.
    pub async fn open_beside(
        &self,
        (other, begun): (&Arc<LiveSession>, Timestamp),
        portal: HostName,
        client: std::net::IpAddr,
    ) -> Result<(SessionId, Arc<LiveSession>), OpenError> {
        let (identity, hint) = (other.identity().clone(), other.sign_out_hint().cloned());
        let kin = Kin { family: other.family().cloned(), opened: Some(other.opened()) };
        let (id, session) = self.open_akin(identity, hint, portal, client, (begun, kin)).await?;
        // Signed out between the two: whoever ended the other one did not see this one.
        if other.is_ended() {
            let _ = self.end(&session).await;
            return Err(OpenError::EndedMeanwhile);
        }
        Ok((id, session))
    }

    /// Makes the session one of `family`, unless it is of one already; gives the one that it is of.
    ///
    /// # Errors
    /// When that could not be written: a sign-out elsewhere might then not find it after a restart.
    pub async fn join(&self, session: &Arc<LiveSession>, family: Family) -> Result<(), StoreError> {
        if session.family().is_some() {
            return Ok(());
        }
        let inner = &*self.inner;
        session.put_family(family);
        let order = session.writing.lock().await;
        inner.store.replace(session.hash(), session.sealed_record(&inner.random)?).await?;
        inner.store.touch(session.hash(), inner.index_of(session)?)?;
        drop(order);
        Ok(())
    }
}

/// What a session has from another one.
#[derive(Default)]
pub(super) struct Kin {
    pub family: Option<Family>,
    /// When the person signed in; now when nothing is said.
    pub opened: Option<Timestamp>,
}

fn sha256(text: &str) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    octets
}
