//! What a response has to be to be believed.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::saml::keys::{DecryptionKey, VerificationKeys};
use crate::saml::signature::SignaturePolicy;

/// What a response is held against. All of it is ours: nothing comes from the message.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The entity id of the provider that was asked.
    pub identity_provider: &'a str,
    /// Its keys, from metadata.
    pub keys: &'a VerificationKeys,
    /// Our entity id: the audience.
    pub service_provider: &'a str,
    /// The address that the response arrived at.
    pub acs: &'a str,
    /// What it has to answer.
    pub in_response_to: InResponseTo<'a>,
    /// Our private keys, for what is encrypted.
    pub decryption_keys: &'a [DecryptionKey],
    /// Whether what no signature of the Response covers is decrypted from AES-CBC, too. Anybody can send that, so that whoever
    /// tries cipher texts out is stopped here.
    pub decrypts_uncovered_cbc: bool,
    /// The present moment.
    pub now: Timestamp,
    /// By how much the provider's clock may differ from ours, in both directions.
    pub skew: Duration,
    /// Which algorithms are believed.
    pub policy: SignaturePolicy,
    /// What the sign-in was asked to be.
    pub requested: Requested,
    /// The largest message, in octets as received.
    pub largest_message: usize,
    /// How old a Response and an Assertion may be, beside the skew.
    pub oldest_message: Duration,
}

impl<'a> Expected<'a> {
    /// The largest message that is read by default: 256 KiB.
    pub const LARGEST_MESSAGE: usize = 256 * 1024;
    /// How much clocks may differ by default: one minute.
    pub const SKEW: Duration = Duration::from_secs(60);
    /// How old a message may be by default: half an hour.
    pub const OLDEST_MESSAGE: Duration = Duration::from_secs(30 * 60);

    /// How far ahead of ours the clock may be that wrote `IssueInstant` and `AuthnInstant`: five minutes.
    pub const AHEAD: Duration = Duration::from_secs(5 * 60);

    /// What is usual: nothing encrypted, nothing special asked for, and the default limits.
    pub fn new(
        identity_provider: &'a str,
        keys: &'a VerificationKeys,
        service_provider: &'a str,
        acs: &'a str,
        in_response_to: InResponseTo<'a>,
        now: Timestamp,
    ) -> Self {
        Self {
            identity_provider,
            keys,
            service_provider,
            acs,
            in_response_to,
            decryption_keys: &[],
            decrypts_uncovered_cbc: true,
            now,
            skew: Self::SKEW,
            policy: SignaturePolicy::default(),
            requested: Requested::default(),
            largest_message: Self::LARGEST_MESSAGE,
            oldest_message: Self::OLDEST_MESSAGE,
        }
    }

    /// Whether something was written at `at`, in the future. Whoever dates `NotBefore` back to allow for clocks leaves
    /// `IssueInstant` and `AuthnInstant` as they are, so these get what providers usually date back by, and `NotBefore`
    /// is exact.
    pub(super) fn is_written_in_future(&self, at: Timestamp) -> bool {
        at > self.now.after(self.skew.max(Self::AHEAD))
    }

    /// Whether `at` has not come yet, by any clock within the skew.
    pub(super) fn is_future(&self, at: Timestamp) -> bool {
        at > self.now.after(self.skew)
    }

    /// Whether something that holds until before `at` has ended, by every clock within the skew.
    pub(super) fn has_ended(&self, at: Timestamp) -> bool {
        self.now >= at.after(self.skew)
    }
}

/// What a response has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InResponseTo<'a> {
    /// This request of ours.
    Request(&'a str),
    /// Nothing: the provider began. A response that names any request is refused then, for that request is not pending.
    Unsolicited,
}

/// What the request asked of the sign-in beyond who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// With `ForceAuthn`: the person has signed in at or after this moment, when the request was made.
    pub force_authn_after: Option<Timestamp>,
    /// The sign-in is no older than this.
    pub max_age: Option<Duration>,
    /// One of these classes; any when empty.
    pub authn_contexts: Vec<String>,
}
