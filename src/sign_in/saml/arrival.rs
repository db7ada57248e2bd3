//! A response arrives at the assertion consumer service: verified, used once, and turned into a person.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::metadata_source::KnownProvider;
use super::person::Reading;
use super::rejected::SamlSignInRejected;
use super::request::AuthnAsked;
use super::{At, ServiceProvider};
use crate::clock::{Clock, Timestamp};
use crate::saml::authn_request::Comparison;
use crate::saml::encryption::EncryptionRefused;
use crate::saml::rejected::SamlRejected;
use crate::saml::response::{self, Expected, InResponseTo, Requested, VerifiedResponse};
use crate::sign_in::hint::{SamlSession, SignOutHint};
use crate::sign_in::identity::VerifiedIdentity;
use crate::sign_in::settings::{SamlSettings, Unsolicited};
use crate::sign_in::trial::{self, Refused, Report};

/// A used assertion is remembered for this much longer than it is believed now: after a restart with a larger `clock_skew` it
/// would be believed for longer.
pub(super) const REMEMBERED_BEYOND: Duration = Duration::from_secs(3 * 60);

/// The fields that a browser posts for a provider (SAML Bindings 3.5.4).
#[derive(Clone)]
pub struct PostedResponse {
    /// `SAMLResponse`.
    pub response: String,
    /// `RelayState`.
    pub relay_state: Option<String>,
    /// Where the browser is.
    pub client: Option<IpAddr>,
}

impl fmt::Debug for PostedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostedResponse(..)")
    }
}

/// What a response may answer.
#[derive(Clone, Copy, Debug)]
pub(in crate::sign_in) enum Answers<'a> {
    /// This request of ours.
    Request(&'a AuthnAsked),
    /// Nothing: the provider began.
    Nothing,
}

impl ServiceProvider {
    /// Believes a posted response, once, or says why not.
    pub(in crate::sign_in) async fn consume(
        &self,
        at: At<'_>,
        posted: &PostedResponse,
        answers: Answers<'_>,
    ) -> Result<(VerifiedIdentity, SignOutHint), SamlSignInRejected> {
        self.person(self.believe(at, posted, answers).await?)
    }

    /// What a test sign-in shows of a posted response. It is used up like any other.
    pub(in crate::sign_in) async fn examine(&self, at: At<'_>, posted: &PostedResponse, asked: &AuthnAsked) -> Report {
        let believed = self.believe(at, posted, Answers::Request(asked)).await;
        let now = self.clock.now();
        match believed {
            Ok(verified) => {
                let (message, attributes) = trial::verified(&verified);
                let outcome = match self.person(verified) {
                    Ok((identity, _)) => Ok(Box::new(identity)),
                    Err(rejected) => Err(Refused { reason: rejected.reason(), sentence: rejected.to_string() }),
                };
                Report { ended: now, message, attributes, outcome }
            }
            Err(rejected) => {
                let unverified = response::peek(posted.response.as_bytes(), self.settings.largest_response).ok();
                let message = trial::unverified(unverified.as_ref());
                Report::refused(now, message, rejected.reason(), rejected.to_string())
            }
        }
    }

    async fn believe(
        &self,
        at: At<'_>,
        posted: &PostedResponse,
        answers: Answers<'_>,
    ) -> Result<VerifiedResponse, SamlSignInRejected> {
        if matches!(answers, Answers::Nothing) && self.settings.unsolicited == Unsolicited::Refused {
            return Err(SamlSignInRejected::Unsolicited);
        }
        let known = self.metadata.current().await?;
        let verified = self.verify(at, posted, answers, known).await?;
        let used = ["saml assertion", &verified.issuer, &verified.assertion_id];
        if self.once.first_use(&used, verified.not_on_or_after.after(REMEMBERED_BEYOND)).await? {
            Ok(verified)
        } else {
            Err(SamlSignInRejected::Replayed)
        }
    }

    fn person(&self, verified: VerifiedResponse) -> Result<(VerifiedIdentity, SignOutHint), SamlSignInRejected> {
        let reading = Reading {
            provider: &self.name,
            mapping: &self.settings.mapping,
            email_trust: self.settings.email_trust,
            speaks_for: &self.speaks_for,
        };
        let identity = VerifiedIdentity::vouch(reading.establish(&verified, self.clock.now())?);
        let VerifiedResponse { name_id, session_indexes, .. } = verified;
        Ok((identity, SignOutHint::Saml(SamlSession { name_id, session_indexes })))
    }

    /// Verifies beside the async workers.
    async fn verify(
        &self,
        at: At<'_>,
        posted: &PostedResponse,
        answers: Answers<'_>,
        known: Arc<KnownProvider>,
    ) -> Result<VerifiedResponse, SamlSignInRejected> {
        let asked = match answers {
            Answers::Request(asked) => Some(asked.clone()),
            Answers::Nothing => None,
        };
        let verification = Verification {
            response: posted.response.clone(),
            entity_id: self.entity_id(at),
            acs: self.acs(at),
            settings: Arc::clone(&self.settings),
            decrypts_uncovered_cbc: self.decryptions.may_try(posted.client, self.clock.now()),
            clock: self.clock.clone(),
            known,
            asked,
        };
        let verified = self.workers.run(move || verification.run()).await?;
        if let Err(SamlRejected::Encryption(EncryptionRefused::Failed)) = &verified {
            self.decryptions.failed(posted.client, self.clock.now());
        }
        Ok(verified?)
    }
}

/// All that a verification needs, to be carried to another thread.
struct Verification {
    response: String,
    entity_id: String,
    acs: String,
    settings: Arc<SamlSettings>,
    decrypts_uncovered_cbc: bool,
    clock: Clock,
    known: Arc<KnownProvider>,
    asked: Option<AuthnAsked>,
}

impl Verification {
    fn run(self) -> Result<VerifiedResponse, SamlRejected> {
        let answers = self.asked.as_ref().map_or(InResponseTo::Unsolicited, |asked| InResponseTo::Request(&asked.id));
        let provider = &self.known.description.entity_id;
        let now = self.clock.now();
        let expected = Expected {
            decryption_keys: self.settings.keys.decryption(),
            decrypts_uncovered_cbc: self.decrypts_uncovered_cbc,
            skew: self.settings.clock_skew,
            policy: self.settings.signatures,
            requested: self.requested(),
            largest_message: self.settings.largest_response,
            ..Expected::new(provider, &self.known.keys, &self.entity_id, &self.acs, answers, now)
        };
        response::verify(self.response.as_bytes(), &expected)
    }

    fn requested(&self) -> Requested {
        let request = &self.settings.request;
        let forced: Option<Timestamp> = self.asked.as_ref().filter(|asked| asked.forced).map(|asked| asked.at);
        // Which class is better than another is for the provider to know (SAML Core 3.3.2.2.1).
        let exact = request.comparison == Comparison::Exact;
        Requested {
            force_authn_after: forced,
            max_age: self.settings.max_age,
            authn_contexts: if exact { request.authn_contexts.clone() } else { Vec::new() },
        }
    }
}
