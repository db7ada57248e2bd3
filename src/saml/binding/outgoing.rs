//! A signed message on its way out through the browser.

use super::post::PostForm;
use super::{Direction, redirect};
use crate::saml::metadata::Binding;
use crate::saml::sign::sign;
use crate::saml::signing_key::{NotSigned, SigningKey};
use crate::saml::write::Element;

/// How the browser takes a message on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// It goes to this address.
    Redirect(String),
    /// It posts this form.
    Post(PostForm),
}

impl Outgoing {
    /// Signs `message` as its binding wants it. What cannot go through a browser goes by a form.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn sign(
        binding: Binding,
        location: &str,
        direction: Direction,
        message: Element,
        relay_state: Option<&str>,
        key: &SigningKey,
    ) -> Result<Self, NotSigned> {
        match binding {
            Binding::Redirect => {
                redirect::url(location, direction, &message, relay_state, Some(key)).map(Self::Redirect)
            }
            Binding::Post | Binding::Soap => {
                Ok(Self::Post(PostForm::new(location, direction, &sign(message, key)?, relay_state)))
            }
        }
    }
}
