//! `gateway.yaml`: from text to checked settings, or to every fault in it, each with its place and its cure.
//!
//! The text becomes a `tree` that knows where each value stands; `structure` compares it with the `schema` of the `raw`
//! types; `check` makes the settings that the parts own. Trusts nobody's spelling. Refuses unknown keys, duplicate keys,
//! and whatever is designed but not in this version (`unavailable`). Secrets are found here (value, environment or
//! file), and no message and no summary holds one.

use std::fmt;
use std::path::Path;

use crate::ids::ProviderName;
use crate::listener::settings::{ListenSettings, TlsSettings};
use crate::portal::HostName;
use crate::portal::settings::PortalSettings;
use crate::session::settings::SessionSettings;
use crate::sign_in::saml::SignInPortal;
use crate::sign_in::settings::ProviderSettings;
use crate::telemetry::settings::LogSettings;

mod check;
mod environment;
mod fault;
mod quantity;
mod raw;
mod schema;
mod structure;
mod summary;
mod tree;
mod unavailable;

#[cfg(test)]
mod documents;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod tests;

pub use environment::{Environment, ProcessEnvironment};
pub use fault::{Fault, Faults};
pub use schema::json_schema;

use fault::Report;
use tree::{Mark, Place};

/// Checked settings: everything that `gateway.yaml` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the gateway listens.
    pub listen: ListenSettings,
    /// Certificates and protocol versions of the public side.
    pub tls: TlsSettings,
    /// Sessions and the keys that seal them.
    pub session: SessionSettings,
    /// Where people prove who they are; at least one, in the order of their names.
    pub providers: Vec<ProviderSettings>,
    /// The public names; at least one, in the order of the file.
    pub portals: Vec<PortalSettings>,
    /// The log.
    pub log: LogSettings,
    /// Tells one text from another.
    pub digest: TextDigest,
}

/// SHA-256 of a text that may hold secrets: it shows nothing of itself.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct TextDigest([u8; 32]);

impl TextDigest {
    fn of(text: &str) -> Self {
        let mut octets = [0; 32];
        octets.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref());
        Self(octets)
    }

    /// Its octets, for a keyed digest.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TextDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TextDigest(..)")
    }
}

impl Config {
    /// The same settings, once the public side is bound to `port`: for a configuration that asks for any free port with
    /// 0. A `public_port` stays what it is.
    #[must_use]
    pub fn listening_on(mut self, port: u16) -> Self {
        self.listen.https.set_port(port);
        let public = self.listen.public_port.unwrap_or(port);
        self.portals = self.portals.into_iter().map(|portal| portal.with_public_port(public)).collect();
        self
    }

    /// Every name that visitors may ask for in a handshake.
    pub fn served_hosts(&self) -> Vec<HostName> {
        let of = |portal: &PortalSettings| [vec![portal.host.clone()], portal.aliases.clone()].concat();
        self.portals.iter().flat_map(of).collect()
    }

    /// Where people sign in, and at which providers, when visitors reach the public side at `public_port`. Those of a group of
    /// portals sign in at its home.
    pub fn sign_in_portals(&self, public_port: u16) -> Vec<SignInPortal> {
        let of = |portal: &PortalSettings| {
            let providers = self.signs_in_at(portal);
            let PortalSettings { host, public_origin, .. } = portal.clone().with_public_port(public_port);
            SignInPortal { host, origin: public_origin, providers }
        };
        self.portals.iter().map(of).collect()
    }

    /// The providers from which people come back to `portal`: none where its group has another home.
    fn signs_in_at(&self, portal: &PortalSettings) -> Vec<ProviderName> {
        let mut providers = portal.sign_in.providers.clone();
        let Some(group) = &portal.session_group else { return providers };
        let mut of_group = self.portals.iter().filter(|one| one.session_group.as_ref() == Some(group));
        if of_group.next().is_none_or(|home| home.host != portal.host) {
            return Vec::new();
        }
        for provider in of_group.flat_map(|one| &one.sign_in.providers) {
            if !providers.contains(provider) {
                providers.push(provider.clone());
            }
        }
        providers
    }

    /// What `vestibule check` shows: every setting that matters, and where each secret came from, never what it is.
    pub fn summary(&self) -> String {
        summary::of(self)
    }
}

/// Reads the file at `path`. Relative paths in it start at its folder.
///
/// # Errors
/// Every fault of the file; that it cannot be read is one.
pub fn load(path: &Path, environment: &dyn Environment) -> Result<Config, Faults> {
    let name = path.display().to_string();
    let whole = |what: String| {
        let mut report = Report::default();
        report.of_text(Mark::FILE, "", what, "");
        Faults::new(&name, report.into_faults())
    };
    let bytes =
        environment.read(path).map_err(|error| whole(format!("cannot be read: {}", environment::reason(&error))))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| whole("is not UTF-8 text".to_owned()))?;
    let base = path.parent().unwrap_or(Path::new(""));
    parse(text, base, environment).map_err(|faults| faults.of_file(name))
}

/// Reads the text of a file. Relative paths in it start at `base_dir`.
///
/// # Errors
/// Every fault of the text.
pub fn parse(text: &str, base_dir: &Path, environment: &dyn Environment) -> Result<Config, Faults> {
    let mut report = Report::default();
    let config = read(text, base_dir, environment, &mut report);
    let config = config.map(|config| Config { digest: TextDigest::of(text), ..config });
    config.filter(|_| report.is_empty()).ok_or_else(|| {
        if report.is_empty() {
            report.of_text(Mark::FILE, "", "is refused for a reason that could not be named", "report this as a fault");
        }
        Faults::new("gateway.yaml", report.into_faults())
    })
}

fn read(text: &str, base: &Path, environment: &dyn Environment, report: &mut Report) -> Option<Config> {
    let tree = tree::read(text, report)?;
    let root = Place::root(&tree);
    let value = structure::check(&tree, &json_schema(), report);
    let raw = match serde_path_to_error::deserialize::<_, raw::Raw>(value) {
        Ok(raw) => raw,
        Err(error) => {
            // `structure` lets nothing through that `raw` cannot read. The cause is not told: it may quote a secret.
            let what = "does not have the form that was expected";
            report.of_text(root.at(), &error.path().to_string(), what, "compare it with \"vestibule schema\"");
            return None;
        }
    };
    check::Check { report, environment, base }.config(&root, raw)
}
