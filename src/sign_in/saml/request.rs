//! What the provider is asked (SAML Core 3.4.1), and how the browser carries it there.

use serde::{Deserialize, Serialize};
use url::Url;

use super::rejected::SamlStartFailed;
use super::{At, ServiceProvider};
use crate::clock::Timestamp;
use crate::saml::authn_request::{Acs, AuthnRequest, NameIdPolicy};
use crate::saml::binding::post::PostForm;
use crate::saml::binding::{Direction, redirect};
use crate::saml::metadata::{Binding, Endpoint, IdentityProvider};
use crate::saml::sign::sign;
use crate::sign_in::outcome::Departure;

/// What the answer has to fit to. It waits here, on the server's side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::sign_in) struct AuthnAsked {
    /// The ID of the request.
    pub(in crate::sign_in) id: String,
    /// When it was made.
    pub(in crate::sign_in) at: Timestamp,
    /// Whether the person has to prove anew who they are.
    pub(in crate::sign_in) forced: bool,
}

impl ServiceProvider {
    /// The way to the provider, with our request and `relay_state`.
    pub(in crate::sign_in) async fn depart(
        &self,
        at: At<'_>,
        relay_state: &str,
        asked: &AuthnAsked,
    ) -> Result<Departure, SamlStartFailed> {
        let known = self.metadata.current().await?;
        let key = self.settings.keys.signing();
        if known.description.wants_signed_requests && key.is_none() {
            return Err(SamlStartFailed::NoKey);
        }
        let endpoint = self.sign_on(&known.description)?;
        let settings = &self.settings.request;
        let (issuer, acs) = (self.entity_id(at), self.acs(at));
        let format = settings.name_id_format.as_deref();
        let request = AuthnRequest {
            id: &asked.id,
            issue_instant: asked.at,
            destination: &endpoint.location,
            issuer: &issuer,
            acs: settings.acs_index_at(at.portal).map_or(Acs::Url(&acs), Acs::Index),
            force_authn: asked.forced,
            is_passive: false,
            name_id_policy: format.map(|format| NameIdPolicy { format: Some(format), allow_create: true }),
            authn_contexts: &settings.authn_contexts,
            comparison: settings.comparison,
        };
        let (message, location) = (request.to_element(), endpoint.location.as_str());
        match endpoint.binding {
            Binding::Post => {
                let message = match key {
                    Some(key) => sign(message, key)?,
                    None => message,
                };
                Ok(Departure::Post(PostForm::new(location, Direction::Request, &message, Some(relay_state))))
            }
            Binding::Redirect | Binding::Soap => {
                let url = redirect::url(location, Direction::Request, &message, Some(relay_state), key)?;
                Url::parse(&url).map(Departure::Redirect).map_err(|_| SamlStartFailed::NotSigned)
            }
        }
    }

    /// Where the provider is asked: by the configured binding, else by redirect where it offers that.
    fn sign_on<'a>(&self, provider: &'a IdentityProvider) -> Result<&'a Endpoint, SamlStartFailed> {
        let found = match self.settings.request.binding {
            Some(binding) => provider.sign_on_by(binding),
            None => provider.sign_on_by(Binding::Redirect).or_else(|| provider.sign_on_by(Binding::Post)),
        };
        found.ok_or(SamlStartFailed::BindingNotOffered)
    }
}
