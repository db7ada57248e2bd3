//! The HTTP-POST binding (SAML Bindings 3.5): the form that a browser posts.

mod received;

pub use self::received::read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Direction;
use crate::saml::write::Element;

/// The values of a page that posts itself. All of them are somebody's text: the page that shows them has to escape them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostForm {
    /// Where the form goes.
    pub action: String,
    /// The name of the field with the message.
    pub field: &'static str,
    /// The message, in base64 on one line.
    pub message: String,
    /// The field `RelayState`, when there is one.
    pub relay_state: Option<String>,
}

impl PostForm {
    /// A form that carries `message`, which is signed already or goes unsigned.
    pub fn new(action: &str, direction: Direction, message: &Element, relay_state: Option<&str>) -> Self {
        Self {
            action: action.to_owned(),
            field: direction.parameter(),
            message: STANDARD.encode(message.to_xml()),
            relay_state: relay_state.map(str::to_owned),
        }
    }

    /// The form's hidden fields: name and value.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let relay_state = self.relay_state.as_deref().map(|value| ("RelayState", value));
        std::iter::once((self.field, self.message.as_str())).chain(relay_state)
    }
}
