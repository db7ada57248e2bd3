//! What the steps of a sign-in take and give.

use std::fmt;

use url::Url;

use super::browser::TieCookie;
use super::hint::SignOutHint;
use super::identity::VerifiedIdentity;
use super::next_url::NextUrl;
use super::oidc::UnusableClientKey;
use super::oidc::rejected::ProviderFault;
use super::rejected::SignInRejected;
use super::saml::SamlStartFailed;
use super::trial::{Report, TrialId};
use crate::clock::Timestamp;
use crate::ids::{ProviderName, SessionHash};
use crate::portal::{HostName, PublicOrigin};
use crate::random::NoRandomness;
use crate::saml::binding::post::PostForm;
use crate::saml::keys::KeyRefused;
use crate::secret::Secret;

/// At which portal somebody signs in.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// Its public host.
    pub portal: &'a HostName,
    /// What the browser calls it: redirect URIs are made from this, never from a request.
    pub origin: &'a PublicOrigin,
}

/// A sign-in has begun.
pub struct Started {
    /// How the browser gets to the provider.
    pub departure: Departure,
    /// The cookie that the browser is to keep, when it has none yet that will do.
    pub cookie: Option<TieCookie>,
}

/// How the browser gets to the provider. Holds `state`, `nonce`, RelayState: not for the log.
pub enum Departure {
    /// It is sent there.
    Redirect(Url),
    /// It posts a form there.
    Post(PostForm),
}

/// A sign-in whose provider is still to be chosen.
pub struct Remembered {
    /// Names it on the page where the provider is chosen.
    pub handle: String,
    /// The value for the sign-in cookie, when the browser has none yet.
    pub browser_key_to_set: Option<String>,
}

/// What a callback led to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each sign-in, and it is taken apart at once")]
pub enum Callback {
    /// Somebody signed in.
    SignedIn {
        /// Who.
        identity: VerifiedIdentity,
        /// What the provider is told when they sign out.
        hint: SignOutHint,
        /// Where they wanted to go.
        next: NextUrl,
        /// When the sign-in began: what the provider has ended since then is not opened.
        begun: Timestamp,
        /// The session that they had when the sign-in began: it ends.
        before: Option<SessionHash>,
        /// The cookie by which the browser was known then: answers that are posted come without it.
        known: Option<Secret>,
    },
    /// A test sign-in came to its end. Nobody is signed in.
    Tried {
        /// Which.
        trial: TrialId,
        /// What came of it.
        report: Report,
    },
    /// Somebody signed in at the provider longer ago than `max_age`: [`SignIn::start_again`](super::SignIn::start_again)
    /// makes it ask them.
    TooOld {
        /// Where they wanted to go.
        next: NextUrl,
    },
    /// Nothing waits for it: unknown, expired, repeated, or another browser's. Begin again, or go to `next` when there
    /// is a session already.
    Stale {
        /// Where they wanted to go, as far as that is known.
        next: NextUrl,
        /// How often it was begun again, this time included: for [`SignIn::restart`](super::SignIn::restart).
        restarts: u8,
    },
    /// Beginning again would not help: the browser brings no cookie of ours back.
    NoCookie,
    /// Beginning again would not help: it was begun again and again within a minute.
    LoopBroken,
    /// The provider said no, or we do not believe it.
    Refused {
        /// Why.
        rejected: SignInRejected,
        /// Where they wanted to go, for the retry.
        next: NextUrl,
    },
}

/// The sign-in cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UnusableProvider {
    /// The client's private key cannot sign.
    #[error("provider {0}: {1}")]
    ClientKey(ProviderName, #[source] UnusableClientKey),
    /// No certificate that its metadata has to be signed by can be used.
    #[error("provider {0}: the certificate to verify its metadata with: {1}")]
    MetadataCertificate(ProviderName, #[source] KeyRefused),
}

/// A sign-in could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartFailed {
    /// There is no provider of that name.
    #[error("there is no provider of that name")]
    UnknownProvider,
    /// The provider's metadata could not be had.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// The SAML provider cannot be asked.
    #[error(transparent)]
    Saml(#[from] SamlStartFailed),
    /// No randomness: nothing may go on.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl StartFailed {
    /// The label for metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownProvider => "provider_unknown",
            Self::Provider(fault) => fault.reason(),
            Self::Saml(failed) => failed.reason(),
            Self::NoRandomness(_) => "cryptography_failed",
        }
    }
}

/// Where to, without the parameters.
impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.departure {
            Departure::Redirect(to) => write!(f, "Started({}{})", to.origin().ascii_serialization(), to.path()),
            Departure::Post(form) => write!(f, "Started(by a form to {})", form.action),
        }
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remembered(..)")
    }
}
