//! Secrets: found where the file says they are. No message quotes one.

use zeroize::Zeroizing;

use super::Check;
use crate::config::raw::RawSecret;
use crate::config::tree::{Place, quote};
use crate::secret::{Secret, Source};

impl Check<'_> {
    /// A secret of one line, all of whose letters are `allowed`.
    pub(super) fn secret(&mut self, place: &Place<'_>, raw: &RawSecret, allowed: fn(char) -> bool) -> Option<Secret> {
        let secret = self.any_secret(place, raw)?;
        let text = secret.reveal();
        let reference = text.starts_with("${") && text.ends_with('}') || text.starts_with("$(") && text.ends_with(')');
        if reference && *secret.source() == Source::Value {
            self.fault(place, "is taken as it stands: nothing is replaced in texts", "write {env: NAME}");
            return None;
        }
        if text.trim() != text || !text.chars().all(|c| allowed(c) && !c.is_control()) {
            let what = format!("the secret {} holds a character that cannot be part of it", secret.source());
            self.fault(place, what, "copy it again, without spaces and line ends");
            return None;
        }
        Some(secret)
    }

    /// A secret of any form, such as a PEM file.
    pub(super) fn any_secret(&mut self, place: &Place<'_>, raw: &RawSecret) -> Option<Secret> {
        let (text, source) = match raw {
            RawSecret::Value(text) => (Zeroizing::new(text.clone()), Source::Value),
            RawSecret::Env(name) => (self.variable(place, name)?, Source::Env(name.clone())),
            RawSecret::File(path) => (self.file(place, path)?, Source::File(path.clone())),
        };
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            let what = match source {
                Source::Value | Source::Generated => "is empty".to_owned(),
                Source::Env(_) | Source::File(_) => format!("the secret {source} is empty"),
            };
            self.fault(place, what, "");
            return None;
        }
        Some(Secret::new(text, source))
    }

    fn variable(&mut self, place: &Place<'_>, name: &str) -> Option<Zeroizing<String>> {
        let sound = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !sound {
            let what = format!("{} is not the name of an environment variable", quote(name));
            self.fault(&place.key("env"), what, "letters, digits and \"_\", without \"$\"");
            return None;
        }
        let value = self.environment.variable(name);
        if value.is_none() {
            let cure = format!("set it for the gateway's process, as in {name}=... vestibule run");
            self.fault(&place.key("env"), format!("the environment variable {name} is not set"), cure);
        }
        value
    }

    fn file(&mut self, place: &Place<'_>, text: &str) -> Option<Zeroizing<String>> {
        let place = place.key("file");
        let path = self.path(&place, text)?;
        let bytes = self.read(&place, &path)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Some(Zeroizing::new(text.to_owned())),
            Err(_) => {
                self.fault(&place, format!("{} is not a text file", path.display()), "");
                None
            }
        }
    }
}
