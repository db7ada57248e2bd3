//! Sign-ins that one process has begun and the next one is to end: what is told of them at a handover. It goes from memory
//! to memory, and is wiped behind.

use std::fmt;
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::SignIn;
use super::browser::BrowserHash;
use super::next_url::NextUrl;
use super::pending::{Asked, Pending};
use super::provider::Provider;
use super::saml::AuthnAsked;
use crate::clock::Timestamp;
use crate::ids::{ProviderName, SessionHash};
use crate::portal::HostName;
use crate::secret::Secret;

/// What is held for a browser that is under way.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeldSignIn {
    pub(super) key: [u8; 32],
    pub(super) browser: BrowserHash,
    pub(super) with_cookie: bool,
    pub(super) since: Timestamp,
    pub(super) slot: HeldSlot,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum HeldSlot {
    Remembered { portal: HostName, next: NextUrl },
    Waits(Box<Waits>),
    Used { portal: HostName, next: NextUrl },
}

/// A sign-in that waits for its callback.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Waits {
    provider: ProviderName,
    /// Who was asked: see `ProviderSettings::who_is_asked`. Empty when it is nobody who is configured.
    asked_of: String,
    portal: HostName,
    session: Option<SessionHash>,
    known: Option<Hidden>,
    next: NextUrl,
    begun: Timestamp,
    asked: WhatWasAsked,
}

#[derive(Debug, Serialize, Deserialize)]
enum WhatWasAsked {
    Oidc { nonce: String, pkce_verifier: Hidden },
    Saml(AuthnAsked),
}

/// A secret on its way from one process to the next.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct Hidden(String);

impl Hidden {
    fn of(secret: &Secret) -> Self {
        Self(secret.reveal().to_owned())
    }

    fn secret(mut self) -> Secret {
        Secret::generated(std::mem::take(&mut self.0))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(..)")
    }
}

impl Waits {
    /// `None` for a test sign-in.
    pub(super) fn of(pending: &Pending) -> Option<Self> {
        if pending.trial.is_some() {
            return None;
        }
        let asked_of = pending.asked_of.upgrade().map(|provider| provider.settings().who_is_asked());
        Some(Self {
            provider: pending.provider.clone(),
            asked_of: asked_of.unwrap_or_default(),
            portal: pending.portal.clone(),
            session: pending.session,
            known: pending.known.as_ref().map(Hidden::of),
            next: pending.next.clone(),
            begun: pending.begun,
            asked: match &pending.asked {
                Asked::Oidc { nonce, pkce_verifier } => {
                    WhatWasAsked::Oidc { nonce: nonce.clone(), pkce_verifier: Hidden::of(pkce_verifier) }
                }
                Asked::Saml(asked) => WhatWasAsked::Saml(asked.clone()),
            },
        })
    }

    pub(super) fn into_pending(self, browser: BrowserHash, asked_of: Weak<Provider>) -> Pending {
        let Self { provider, portal, session, known, next, begun, asked, .. } = self;
        let asked = match asked {
            WhatWasAsked::Oidc { nonce, pkce_verifier } => Asked::Oidc { nonce, pkce_verifier: pkce_verifier.secret() },
            WhatWasAsked::Saml(asked) => Asked::Saml(asked),
        };
        let known = known.map(Hidden::secret);
        Pending { provider, asked_of, portal, browser, session, known, next, begun, trial: None, asked }
    }
}

impl SignIn {
    /// What the next process has to know: all that is under way, and what changes of it from now on, as long as the receiver
    /// is kept.
    pub fn hand_over(&self) -> (Vec<HeldSignIn>, mpsc::UnboundedReceiver<HeldSignIn>) {
        self.pending.hand_over(self.clock.now())
    }

    /// Goes on with what another process began. What was asked of a provider that is another one here begins again.
    pub fn take_over(&self, held: HeldSignIn) {
        self.pending.take_over(held, |waits| {
            let provider = self.provider(&waits.provider);
            let same = provider.filter(|provider| provider.settings().who_is_asked() == waits.asked_of);
            same.map_or_else(Weak::new, Arc::downgrade)
        });
    }
}
