//! The meaning of the file: from what was written to checked settings, with a fault for whatever does not make sense.
//! A function here gives `None` only after it has reported a fault, or where `structure` has.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::{Host, Url};

use super::environment::{Environment, reason};
use super::fault::Report;
use super::quantity::{duration, rate, show_duration, show_size, size};
use super::raw::{DurationText, RateText, Raw, SizeText};
use super::tree::{Place, is_invisible, quote};
use super::{Config, TextDigest};
use crate::condition::Condition;
use crate::portal::settings::{PortalSettings, Rate};
use crate::sign_in::settings::{Protocol, ProviderSettings};

mod acme;
mod listen;
mod portal;
mod provider;
mod secret;
mod session;
mod telemetry;
mod tls;

/// What a check needs besides the settings.
pub(super) struct Check<'a> {
    pub(super) report: &'a mut Report,
    pub(super) environment: &'a dyn Environment,
    /// The folder that relative paths start from.
    pub(super) base: &'a Path,
}

/// Each portal knows what its providers call themselves, as far as that is configured.
fn know_issuers(mut portals: Vec<PortalSettings>, providers: &[ProviderSettings]) -> Vec<PortalSettings> {
    for portal in &mut portals {
        for provider in providers.iter().filter(|one| portal.sign_in.providers.contains(&one.name)) {
            let issuer = match &provider.protocol {
                Protocol::Oidc(oidc) => Some(oidc.issuer_text.clone()),
                Protocol::Saml(saml) => saml.metadata.entity_id.clone(),
            };
            portal.admission.issuers.extend(issuer.map(|issuer| (provider.name.clone(), issuer)));
        }
    }
    portals
}

impl Check<'_> {
    /// Checks a whole file. `None` when a fault was found.
    pub(super) fn config(&mut self, root: &Place<'_>, raw: Raw) -> Option<Config> {
        if raw.version != 1 {
            self.fault(&root.key("version"), format!("{} is not known", raw.version), "write 1");
        }
        let keys = self.keys(&root.key("keys"), &raw.keys);
        let listen = self.listen(&root.key("listen"), &raw.listen);
        let tls = self.tls(&root.key("tls"), &raw.tls, raw.listen.http.is_some());
        let session = self.session(&root.key("session"), &raw.session, keys);
        let log = telemetry::log(raw.telemetry.unwrap_or_default());
        let (providers, claimed) = self.providers(&root.key("identity_providers"), &raw.identity_providers);
        let port = listen.as_ref().map(|listen| listen.public_port.unwrap_or(listen.https.port()));
        let portals = self.portals(&root.key("portals"), &raw.portals, &claimed, listen.as_ref(), port.unwrap_or(443));
        if let (Some(portals), Some(tls)) = (&portals, &tls) {
            self.portals_of_acme(&root.key("portals"), portals, tls);
            let hosts = root.key("tls").key("client_certificates").key("hosts");
            self.hosts_of_client_certificates(&hosts, tls, portals);
            self.conditions_over_certificates(&root.key("portals"), tls, portals);
        }
        if let Some(portals) = &portals {
            self.portals_of_indexes(&root.key("identity_providers"), &raw.identity_providers, portals);
        }
        let portals = portals.map(|portals| know_issuers(portals, providers.as_deref().unwrap_or_default()));
        let sound = self.report.is_empty();
        let (listen, tls, session) = (listen?, tls?, session?);
        let config = Config {
            listen,
            tls,
            session,
            providers: providers?,
            portals: portals?,
            log,
            digest: TextDigest::default(),
        };
        sound.then_some(config)
    }

    fn fault(&mut self, place: &Place<'_>, what: impl Into<String>, cure: impl Into<String>) {
        self.report.fault(place, what, cure);
    }

    /// The file that a path in the configuration means.
    fn path(&mut self, place: &Place<'_>, text: &str) -> Option<PathBuf> {
        if text.is_empty() {
            self.fault(place, "is empty", "write the path of a file");
            return None;
        }
        Some(self.base.join(text))
    }

    /// Reads the file at `path`.
    fn read(&mut self, place: &Place<'_>, path: &Path) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        match self.environment.read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let what = format!("cannot read {}: {}", path.display(), reason(&error));
                self.fault(place, what, "relative paths start at the folder of this file");
                None
            }
        }
    }

    fn duration(
        &mut self,
        place: &Place<'_>,
        given: Option<&DurationText>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Some(DurationText(text)) = given else { return Some(default) };
        match duration(text) {
            Ok(time) => self.bounded(place, time, bounds, show_duration),
            Err(error) => {
                self.fault(place, format!("{}: {error}", quote(text)), "such as 30s, 10m or 1h30m");
                None
            }
        }
    }

    fn size(
        &mut self,
        place: &Place<'_>,
        given: Option<&SizeText>,
        default: u64,
        bounds: RangeInclusive<u64>,
    ) -> Option<u64> {
        let Some(SizeText(text)) = given else { return Some(default) };
        match size(text) {
            Ok(size) => self.bounded(place, size, bounds, show_size),
            Err(error) => {
                self.fault(place, format!("{}: {error}", quote(text)), "such as 32KiB or 64MiB");
                None
            }
        }
    }

    fn rate(&mut self, place: &Place<'_>, given: Option<&RateText>, most: u32) -> Option<Option<Rate>> {
        let Some(RateText(text)) = given else { return Some(None) };
        match rate(text) {
            Ok((times, per)) => {
                let times = self.bounded(place, times, 1..=most, |times| times.to_string())?;
                Some(Some(Rate { times, per }))
            }
            Err(error) => {
                self.fault(place, format!("{}: {error}", quote(text)), "such as 20/min");
                None
            }
        }
    }

    /// A condition. Its own places are characters of the text.
    fn condition(&mut self, place: &Place<'_>, given: Option<&String>) -> Option<Option<Condition>> {
        match given.map(|text| Condition::parse(text)).transpose() {
            Ok(condition) => Some(condition),
            Err(mistake) => {
                self.fault(place, mistake.what, mistake.cure);
                None
            }
        }
    }

    fn count<T>(&mut self, place: &Place<'_>, given: Option<T>, default: T, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: PartialOrd + Copy + fmt::Display,
    {
        given.map_or(Some(default), |number| self.bounded(place, number, bounds, |number| number.to_string()))
    }

    fn bounded<T: PartialOrd + Copy>(
        &mut self,
        place: &Place<'_>,
        given: T,
        bounds: RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> Option<T> {
        let (least, most) = (*bounds.start(), *bounds.end());
        let problem = match given {
            given if given < least => "little",
            given if given > most => "much",
            _ => return Some(given),
        };
        let cure = format!("from {} to {}", show(least), show(most));
        self.fault(place, format!("{} is too {problem}", show(given)), cure);
        None
    }

    /// Plain text for people: not empty, and not too long.
    fn text(&mut self, place: &Place<'_>, text: &str, longest: usize) -> Option<String> {
        let length = text.chars().count();
        if text.trim().is_empty() {
            self.fault(place, "is empty", "write a text, or remove the key");
            return None;
        }
        if length > longest {
            self.fault(place, format!("is {length} characters long"), format!("at most {longest}"));
            return None;
        }
        Some(text.to_owned())
    }

    /// A word for a machine: visible ASCII characters only.
    fn token(&mut self, place: &Place<'_>, text: &str, longest: usize) -> Option<String> {
        let text = self.text(place, text, longest)?;
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
            let what = format!("holds {}", quote(&odd.to_string()));
            self.fault(place, what, "only ASCII letters, digits and punctuation, without spaces");
            return None;
        }
        Some(text)
    }

    /// Whether every item is there for the first time.
    fn distinct<T: Ord + Clone>(&mut self, place: &Place<'_>, items: &[Option<T>]) {
        let mut first: BTreeMap<T, usize> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let Some(item) = item else { continue };
            if let Some(earlier) = first.get(item) {
                let what = format!("is the same as {}", place.index(*earlier).path());
                self.fault(&place.index(index), what, "remove one of them");
            } else {
                first.insert(item.clone(), index);
            }
        }
    }

    /// An `https` URL, or an `http` one of this machine; without user, query and fragment.
    fn site(&mut self, place: &Place<'_>, text: &str) -> Option<Url> {
        let url = self.link(place, text)?;
        if url.query().is_some() {
            self.fault(place, "has a query or a fragment", "end it before the \"?\" or \"#\"");
            return None;
        }
        Some(url)
    }

    /// The same, and it may have a query.
    fn link(&mut self, place: &Place<'_>, text: &str) -> Option<Url> {
        // Never quoted: people put passwords into URLs.
        let url = match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => url,
            Ok(_) | Err(_) => {
                self.fault(place, "is not the address of a site", "such as https://acme.example");
                return None;
            }
        };
        let odd = text.chars().any(|c| c.is_whitespace() || c == '\\' || is_invisible(c));
        let before = self.report.count();
        if odd {
            self.fault(place, "holds a space or a backslash", "remove it");
        } else if !url.username().is_empty() || url.password().is_some() {
            self.fault(place, "holds a user name or a password", "remove everything up to the \"@\"");
        } else if url.fragment().is_some() {
            self.fault(place, "has a query or a fragment", "end it before the \"?\" or \"#\"");
        } else if url.scheme() == "http" && !is_loopback(&url) {
            self.fault(place, "plain http is for this machine only: localhost, 127.0.0.1 or [::1]", "use https");
        }
        (self.report.count() == before).then_some(url)
    }
}

/// All of them, or nothing when one has a fault.
fn all<T>(items: Vec<Option<T>>) -> Option<Vec<T>> {
    items.into_iter().collect()
}

/// Whether a URL leads to this machine, by its name alone: no name is looked up.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes.saturating_mul(60))
}

const fn days(days: u64) -> Duration {
    minutes(days.saturating_mul(24 * 60))
}
