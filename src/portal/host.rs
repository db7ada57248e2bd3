//! Host names and origins, in the one spelling that is compared.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A DNS host name or an IP address without a port: ASCII, lower case, no trailing dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostName(Arc<str>);

/// The text is not a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is a name like support.acme.com, without scheme, port, path or trailing dot")]
pub struct InvalidHostName;

impl HostName {
    /// Reads a host name; upper case is folded, everything else that is odd is refused.
    ///
    /// # Errors
    /// When it is not a DNS name of letters, digits and `-`, or an IP address.
    pub fn parse(raw: &str) -> Result<Self, InvalidHostName> {
        // Browsers send it in lower case.
        let folded = raw.bytes().any(|b| b.is_ascii_uppercase()).then(|| raw.to_ascii_lowercase());
        let host = folded.as_deref().unwrap_or(raw);
        if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| InvalidHostName)?;
            return Ok(Self(format!("[{address}]").into()));
        }
        let labels = host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
        // "127.1" and "2130706433" mean an address to some parsers: only the full dotted form is one.
        let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        let sound = labels && host.len() <= 253 && (!numeric || host.parse::<Ipv4Addr>().is_ok());
        sound.then(|| Self(host.into())).ok_or(InvalidHostName)
    }

    /// Whether it is a name, and not an address.
    pub fn is_name(&self) -> bool {
        !self.0.starts_with('[') && self.0.parse::<Ipv4Addr>().is_err()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `https://host[:port]`, as the browser sees a portal. The port is left out when it is 443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicOrigin {
    text: Arc<str>,
    authority: Arc<str>,
}

impl PublicOrigin {
    /// The origin of `host` on `port`.
    pub fn new(host: &HostName, port: u16) -> Self {
        let authority = if port == 443 { host.to_string() } else { format!("{host}:{port}") };
        Self { text: format!("https://{authority}").into(), authority: authority.into() }
    }

    /// `https://host[:port]`, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `host[:port]`.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Display for PublicOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e1_hosts_have_one_spelling() {
        assert_eq!(HostName::parse("Support.ACME.com").unwrap().as_str(), "support.acme.com");
        assert_eq!(HostName::parse("[::1]").unwrap().as_str(), "[::1]");
        assert_eq!(HostName::parse("[0:0::1]").unwrap().as_str(), "[::1]");
        assert_eq!(HostName::parse("[2001:DB8::A]").unwrap().as_str(), "[2001:db8::a]");
        assert!(HostName::parse("127.0.0.1").is_ok());
        for wrong in [
            "",
            ".",
            "a..b",
            "support.acme.com.",
            "support_acme.com",
            "user@acme.com",
            "acme.com:443",
            "acme.com/",
            "127.1",
            "2130706433",
            "[::1",
            "::1",
            "acme com",
            "acmé.com",
            "-a.com",
            "a\0.com",
        ] {
            assert!(HostName::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_default_port_is_not_written() {
        let host = HostName::parse("support.acme.com").unwrap();
        assert_eq!(PublicOrigin::new(&host, 443).as_str(), "https://support.acme.com");
        assert_eq!(PublicOrigin::new(&host, 8443).authority(), "support.acme.com:8443");
    }
}
