//! How a request ended (SAML Core 3.2.2.1).

use super::names::{SAMLP, STATUS_SUCCESS};
use super::write::Element;
use super::xml::{Node, ShapeRefused};

/// The longest code or message that is kept, in characters.
const LONGEST: usize = 200;

/// A status as we send it. The codes are those of [`names`](super::names).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// Success, or who is to blame.
    pub code: &'a str,
    /// What went wrong, closer.
    pub detail: Option<&'a str>,
    /// For people.
    pub message: Option<&'a str>,
}

impl<'a> Status<'a> {
    /// All went well.
    pub const SUCCESS: Status<'static> = Status::of(STATUS_SUCCESS, None);

    /// A status without words.
    pub const fn of(code: &'a str, detail: Option<&'a str>) -> Self {
        Self { code, detail, message: None }
    }

    /// The element, for inside of a message.
    pub(super) fn to_element(self) -> Element {
        let code = |value: &str| Element::new("samlp:StatusCode").attribute("Value", value);
        Element::new("samlp:Status")
            .child(code(self.code).children(self.detail.map(code)))
            .children(self.message.map(|text| Element::new("samlp:StatusMessage").text(text)))
    }
}

/// A status as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedStatus {
    /// Success, or who is to blame.
    pub code: String,
    /// What went wrong, closer.
    pub detail: Option<String>,
}

impl ReceivedStatus {
    /// Reads the status of a message. Codes that are too long to be any are cut: they decide nothing but Success.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub(super) fn read(message: Node<'_, '_>) -> Result<Self, ShapeRefused> {
        let code = message.one(SAMLP, "Status")?.one(SAMLP, "StatusCode")?;
        let value = |code: Node<'_, '_>| -> String {
            code.attribute("Value").unwrap_or_default().chars().take(LONGEST).collect()
        };
        Ok(Self { code: value(code), detail: code.maybe(SAMLP, "StatusCode")?.map(value) })
    }

    /// Whether all went well. A detail that says otherwise is believed more (SimpleSAMLphp puts PartialLogout there).
    pub fn is_success(&self) -> bool {
        self.code == STATUS_SUCCESS && self.detail.as_deref().is_none_or(|detail| detail == STATUS_SUCCESS)
    }

    /// Whether that code is said anywhere.
    pub fn says(&self, code: &str) -> bool {
        self.code == code || self.detail.as_deref() == Some(code)
    }
}
