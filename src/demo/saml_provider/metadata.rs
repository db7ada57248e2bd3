//! What the provider says of itself.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header;

use super::{Fault, SamlProvider};
use crate::saml::message_id;
use crate::saml::metadata::published::MEDIA_TYPE;
use crate::saml::metadata::{Binding, Endpoint, IdentityProvider, Validity};
use crate::saml::names::{NAMEID_EMAIL, NAMEID_PERSISTENT, NAMEID_TRANSIENT, NAMEID_UNSPECIFIED};

/// The formats of NameID that can be had.
pub(super) const FORMATS: [&str; 4] = [NAMEID_PERSISTENT, NAMEID_TRANSIENT, NAMEID_EMAIL, NAMEID_UNSPECIFIED];

impl SamlProvider {
    /// The description of this provider.
    pub fn description(&self) -> IdentityProvider {
        let endpoint = |binding, path| Endpoint { binding, location: self.location(path), response_location: None };
        let both = |path| vec![endpoint(Binding::Redirect, path), endpoint(Binding::Post, path)];
        IdentityProvider {
            entity_id: self.entity_id(),
            signing_certificates: vec![self.key().signing().certificate().to_vec()],
            sign_on: both("sso"),
            logout: if self.settings().offers_logout { both("slo") } else { Vec::new() },
            wants_signed_requests: self.settings().wants_signed_requests,
            name_id_formats: FORMATS.map(str::to_owned).to_vec(),
            validity: Validity::default(),
        }
    }

    /// The metadata, signed.
    ///
    /// # Errors
    /// When there is no randomness, or the key does not sign.
    fn metadata(&self) -> Result<String, Fault> {
        let id = message_id::generate(self.random())?;
        Ok(self.description().to_document(&id, Some(self.key().signing()))?)
    }
}

/// GET `/metadata`.
pub(super) async fn publish(State(provider): State<SamlProvider>) -> Result<Response, Fault> {
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], provider.metadata()?).into_response())
}
