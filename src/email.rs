//! E-mail addresses and their domains, parsed once into the one spelling that everything compares.

mod speaks_for;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::speaks_for::{EmailDomains, SpeaksFor};

/// An e-mail address: exactly one `@`, a plain ASCII local part (RFC 5322 `dot-atom`), a domain in its ASCII (IDNA)
/// form, all in lower case. Two addresses that a mail system may treat as one are equal here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    text: String,
    at: usize,
}

/// The text is not an e-mail address that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an e-mail address has one \"@\", plain letters, digits and . _ % + - and the like before it, and a domain after it"
)]
pub struct InvalidEmail;

impl EmailAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is not exactly one `@` between a plain local part (at most 64 bytes) and a domain, or longer than 254.
    pub fn parse(raw: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = raw.split_once('@').ok_or(InvalidEmail)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
        let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
        if !(1..=64).contains(&local.len()) || !local.bytes().all(plain) || dots {
            return Err(InvalidEmail);
        }
        let domain = EmailDomain::exact(domain).map_err(|_| InvalidEmail)?;
        let text = format!("{}@{domain}", local.to_ascii_lowercase());
        if text.len() > 254 {
            return Err(InvalidEmail);
        }
        Ok(Self { at: local.len(), text })
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands after the `@`.
    pub fn domain(&self) -> &str {
        self.text.get(self.at.saturating_add(1)..).unwrap_or_default()
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = InvalidEmail;

    fn try_from(raw: String) -> Result<Self, InvalidEmail> {
        Self::parse(&raw)
    }
}

impl From<EmailAddress> for String {
    fn from(email: EmailAddress) -> Self {
        email.text
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A mail domain, or with `*.` before it all domains below it: in ASCII (IDNA) form and in lower case, no trailing dot.
/// `acme.com` holds no subdomain, and `*.acme.com` does not hold `acme.com` itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailDomain(String);

/// The text is not a domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a domain is made of labels like \"acme.com\", without \"@\" or a dot at the end; \"*.acme.com\" means its subdomains"
)]
pub struct InvalidDomain;

impl EmailDomain {
    /// Reads a domain and maps it to ASCII (UTS 46).
    ///
    /// # Errors
    /// When it is not a domain name, or would mean everything below a top-level domain.
    pub fn parse(raw: &str) -> Result<Self, InvalidDomain> {
        match raw.strip_prefix("*.") {
            None => Self::exact(raw).map(Self),
            Some(below) => {
                let below = Self::exact(below)?;
                below.contains('.').then(|| Self(format!("*.{below}"))).ok_or(InvalidDomain)
            }
        }
    }

    fn exact(raw: &str) -> Result<String, InvalidDomain> {
        let ascii = idna::domain_to_ascii_strict(raw).map_err(|_| InvalidDomain)?;
        let labels = ascii.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
        (labels && ascii.len() <= 253).then_some(ascii).ok_or(InvalidDomain)
    }

    /// The domain, with its `*.` when it means those below.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `email` is at exactly this domain, or below where `*.` says so.
    pub fn holds(&self, email: &EmailAddress) -> bool {
        self.holds_name(email.domain())
    }

    /// Whether everything that `other` holds is held by this, too.
    pub fn covers(&self, other: &Self) -> bool {
        self == other || (self.0.starts_with('*') && self.holds_name(other.name()))
    }

    /// Whether some domain is held by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    fn name(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    fn holds_name(&self, domain: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(end) => domain.strip_suffix(end).is_some_and(|labels| !labels.is_empty()),
            None => domain == self.0,
        }
    }
}

impl fmt::Display for EmailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EmailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_one_spelling() {
        let email = EmailAddress::parse("Ana.Lima@Bücher.Example").unwrap();
        assert_eq!(email.as_str(), "ana.lima@xn--bcher-kva.example");
        assert_eq!(email.domain(), "xn--bcher-kva.example");
        assert!(EmailDomain::parse("BÜCHER.example").unwrap().holds(&email));
    }

    #[test]
    fn a60_odd_addresses_are_refused() {
        for wrong in [
            "",
            "@",
            "ana",
            "ana@",
            "@acme.com",
            "ana@evil.test@acme.com",
            "ana@acme.com@evil.test",
            "ana @acme.com",
            "\"ana@evil.test\"@acme.com",
            "ana@acme.com.",
            "ana@.acme.com",
            "ana@acme..com",
            "ana@acme.com\r\n",
            "ana@acme.com\0",
            ".ana@acme.com",
            "an..a@acme.com",
            "аna@acme.com",
            "ana@[127.0.0.1]",
            "ana@-acme.com",
        ] {
            assert!(EmailAddress::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(EmailAddress::parse(&format!("{}@acme.com", "a".repeat(65))).is_err());
    }

    #[test]
    fn a_domain_holds_no_subdomain() {
        let acme = EmailDomain::parse("acme.com").unwrap();
        assert!(acme.holds(&EmailAddress::parse("ana@ACME.com").unwrap()));
        for other in ["ana@eu.acme.com", "ana@evilacme.com", "ana@acme.com.evil.test"] {
            assert!(!acme.holds(&EmailAddress::parse(other).unwrap()), "{other}");
        }
    }

    #[test]
    fn a_star_holds_subdomains_and_nothing_else() {
        let below = EmailDomain::parse("*.BÜCHER.example").unwrap();
        assert_eq!(below.as_str(), "*.xn--bcher-kva.example");
        for (email, expected) in [
            ("ana@eu.bücher.example", true),
            ("ana@a.b.xn--bcher-kva.example", true),
            ("ana@bücher.example", false),
            ("ana@evilbücher.example", false),
            ("ana@bücher.example.evil.test", false),
        ] {
            assert_eq!(below.holds(&EmailAddress::parse(email).unwrap()), expected, "{email}");
        }
        for wrong in ["*", "*.", "*.com", "*.*.acme.com", "*acme.com", "a.*.com", "*.acme.com."] {
            assert!(EmailDomain::parse(wrong).is_err(), "{wrong}");
        }
        assert!(EmailAddress::parse("ana@*.acme.com").is_err());
    }

    #[test]
    fn domains_cover_and_overlap() {
        for (wide, narrow, covers, overlaps) in [
            ("acme.com", "acme.com", true, true),
            ("*.acme.com", "eu.acme.com", true, true),
            ("*.acme.com", "*.eu.acme.com", true, true),
            ("*.acme.com", "*.acme.com", true, true),
            ("*.acme.com", "acme.com", false, false),
            ("acme.com", "*.acme.com", false, false),
            ("eu.acme.com", "*.acme.com", false, true),
            ("*.acme.com", "globex.com", false, false),
        ] {
            let (wide, narrow) = (EmailDomain::parse(wide).unwrap(), EmailDomain::parse(narrow).unwrap());
            assert_eq!((wide.covers(&narrow), wide.overlaps(&narrow)), (covers, overlaps), "{wide:?} {narrow:?}");
        }
    }
}
