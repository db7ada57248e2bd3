//! Single logout (SAML Profiles 4.4): what we ask of the provider when somebody signs out here, and what it asks of us.
//!
//! Trusts what the provider's keys signed and nothing else: no cookie says who is signed out, and no message says where to
//! go. Refuses what is not signed, is not for us, is old, or was used before: nothing changes then.

mod asked;
mod begun;
mod rejected;

pub use self::asked::{LogoutAnswer, Named, TheirLogout};
pub use self::begun::AtProvider;
pub use self::rejected::LogoutRejected;

use std::sync::Arc;

use super::arrival::REMEMBERED_BEYOND;
use super::metadata_source::KnownProvider;
use super::{At, ServiceProvider, paths};
use crate::clock::Timestamp;
use crate::portal::HostName;
use crate::saml::binding::{Arrived, Direction, Outgoing};
use crate::saml::logout::ExpectedLogout;
use crate::saml::metadata::{Binding, Endpoint, IdentityProvider};
use crate::sign_in::outcome::Departure;
use crate::sign_in::settings::SamlSettings;

/// A logout message that the provider vouches for.
#[derive(Debug)]
pub(in crate::sign_in) enum Believed {
    /// It asks for a logout.
    Request(TheirLogout),
    /// It answers this request of ours.
    Response {
        /// The id of the request.
        request: String,
        /// How it ended.
        ended: AtProvider,
    },
}

impl ServiceProvider {
    /// The single logout service of that portal. Always from the configuration, never from a request.
    pub fn slo(&self, at: At<'_>) -> String {
        paths::slo(at, &self.name)
    }

    /// Believes a logout message, or says why not. A request is believed once.
    pub(in crate::sign_in) async fn believe_logout(
        &self,
        at: At<'_>,
        arrived: Arrived,
        binding: Binding,
    ) -> Result<Believed, LogoutRejected> {
        let known = self.metadata.current().await?;
        let work = Verification {
            arrived,
            binding,
            entity_id: self.entity_id(at),
            slo: self.slo(at),
            // With an entity id for each portal, the provider speaks to one of them alone.
            portal: self.settings.our_entity_id.is_none().then(|| at.portal.clone()),
            settings: Arc::clone(&self.settings),
            now: self.clock.now(),
            known,
        };
        let mut believed = self.workers.run(move || work.run()).await??;
        if let Believed::Request(request) = &mut believed
            && let Some((used, until)) = request.used()
            && !self.once.first_use(&used, until.after(REMEMBERED_BEYOND)).await?
        {
            request.refuse_replay();
        }
        Ok(believed)
    }

    /// Where logout messages go: in the way that is configured for requests, else by redirect where that is offered. A
    /// redirect also works in the frames in which some providers sign people out.
    fn logout_endpoint<'a>(&self, provider: &'a IdentityProvider) -> Option<&'a Endpoint> {
        let usual = || provider.logout_by(Binding::Redirect).or_else(|| provider.logout_by(Binding::Post));
        self.settings.request.binding.and_then(|binding| provider.logout_by(binding)).or_else(usual)
    }
}

/// All that a verification needs, to be carried to another thread.
struct Verification {
    arrived: Arrived,
    binding: Binding,
    entity_id: String,
    slo: String,
    portal: Option<HostName>,
    settings: Arc<SamlSettings>,
    now: Timestamp,
    known: Arc<KnownProvider>,
}

impl Verification {
    fn run(self) -> Result<Believed, LogoutRejected> {
        let issuer = &self.known.description.entity_id;
        let (direction, relay_state) = (self.arrived.direction, self.arrived.relay_state.clone());
        let proven = self.arrived.verify(&self.known.keys, self.settings.signatures)?;
        let xml = proven.xml()?;
        let expected = ExpectedLogout {
            issuer,
            destination: &self.slo,
            binding: self.binding,
            now: self.now,
            skew: self.settings.clock_skew,
        };
        match direction {
            Direction::Request => {
                let asked = asked::Reading {
                    entity_id: &self.entity_id,
                    portal: self.portal,
                    relay_state,
                    settings: &self.settings,
                    expected: &expected,
                };
                Ok(Believed::Request(asked.read(&xml)?))
            }
            Direction::Response => begun::read(&xml, &expected),
        }
    }
}

/// A signed message on its way.
fn departure(outgoing: Outgoing) -> Option<Departure> {
    match outgoing {
        Outgoing::Redirect(address) => url::Url::parse(&address).map(Departure::Redirect).ok(),
        Outgoing::Post(form) => Some(Departure::Post(form)),
    }
}
