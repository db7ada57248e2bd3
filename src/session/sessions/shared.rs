//! Sign-ins of one browser that end at the same time open one session: the first opens it, the others are given its id.
//!
//! The id is held here for [`TOGETHER`] and no longer, so that an answer which overtakes another one sets the same cookie.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::Mutex;

use super::{OpenError, Sessions};
use crate::clock::Timestamp;
use crate::ids::{SessionHash, SessionId};
use crate::portal::host::HostName;
use crate::session::LiveSession;
use crate::sign_in::{SignOutHint, VerifiedIdentity};

/// How long after a session was opened another sign-in of the same browser shares it.
const TOGETHER: Duration = Duration::from_secs(15);
/// Browsers that sign in at the same time.
const BROWSERS: u64 = 10_000;

/// The sessions that were opened just now, by browser.
pub(super) type JustOpened = Cache<SessionHash, Arc<Mutex<Option<(SessionId, Arc<LiveSession>)>>>>;

pub(super) fn just_opened() -> JustOpened {
    Cache::builder().max_capacity(BROWSERS).time_to_live(TOGETHER).build()
}

impl Sessions {
    /// As [`Sessions::open_begun`], unless another sign-in of the same browser, person and portal has opened one just now: then
    /// that one, and `true`. `browser` is the hash of a secret that only the browser has; `before` the session that was there
    /// when the sign-in began, which a new one is to take the place of.
    ///
    /// # Errors
    /// As [`Sessions::open`].
    pub async fn open_together(
        &self,
        (browser, before): (SessionHash, Option<SessionHash>),
        identity: VerifiedIdentity,
        hint: Option<SignOutHint>,
        portal: HostName,
        client: IpAddr,
        begun: Timestamp,
    ) -> Result<(SessionId, Arc<LiveSession>, bool), OpenError> {
        let place = self.inner.just_opened.get_with(browser, Arc::default);
        let mut opened = place.lock().await; // the others wait here until the first is through
        if let Some((id, live)) = opened.as_ref()
            && is_same(live, &identity, &portal)
            && before.as_ref() != Some(live.hash())
            && self.inner.clock.now().since(live.opened()) < TOGETHER
        {
            return Ok((id.clone(), Arc::clone(live), true));
        }
        let (id, live) = self.open_begun(identity, hint, portal, client, begun).await?;
        *opened = Some((id.clone(), Arc::clone(&live)));
        Ok((id, live, false))
    }
}

/// Whether the session is of this very sign-in in all that counts.
fn is_same(live: &LiveSession, identity: &VerifiedIdentity, portal: &HostName) -> bool {
    let theirs = live.identity();
    !live.is_ended()
        && live.portal() == portal
        && (theirs.provider(), theirs.issuer(), theirs.subject())
            == (identity.provider(), identity.issuer(), identity.subject())
}
