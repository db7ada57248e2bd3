//! The certificate that a visitor brought, as conditions and the access log speak of it.
//!
//! Trusts that the handshake has found it good: what stands in it is then what its authority has vouched for. A name is written
//! so that no value in it can be taken for another part (RFC 4514).

use std::fmt::Write as _;
use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer as _, X509Certificate, X509Name};

/// What is told of a certificate. What it does not say, or not in a way that can be read, is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    fingerprint: [u8; 32],
    hexadecimal: String,
    subject: Option<String>,
    issuer: Option<String>,
    common_name: Option<String>,
    organization: Option<String>,
    names: Option<Vec<String>>,
}

impl ClientCertificate {
    /// Reads a certificate that was found good.
    pub fn read(der: &[u8]) -> Self {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, der).as_ref());
        let mut hexadecimal = String::with_capacity(64);
        for octet in fingerprint {
            let _ = write!(hexadecimal, "{octet:02x}"); // writing to a String cannot fail
        }
        let nothing = Self { fingerprint, hexadecimal, ..Self::default() };
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return nothing };
        let subject = certificate.subject();
        Self {
            subject: written(subject),
            issuer: written(certificate.issuer()),
            common_name: only(subject.iter_common_name()),
            organization: only(subject.iter_organization()),
            names: alternative_names(&certificate),
            ..nothing
        }
    }

    /// SHA-256 of it.
    pub const fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The same in lower-case hexadecimal.
    pub fn fingerprint_text(&self) -> &str {
        &self.hexadecimal
    }

    /// Whose it is, as RFC 4514 writes it: `CN=Ana Lima,O=Acme,C=DE`.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Who has issued it, in the same way.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The subject's common name, where it has exactly one.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The subject's organization, where it has exactly one.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The other names that it is for, each with its kind: `email:`, `dns:`, `uri:` or `ip:`. None where it says none, or where one
    /// cannot be read. Domains are in lower case.
    pub fn alternative_names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }
}

/// RFC 4514, section 2.1: the last part first.
fn written(name: &X509Name<'_>) -> Option<String> {
    let mut text = String::new();
    for part in name.iter_rdn().collect::<Vec<_>>().into_iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        for (number, attribute) in part.iter().enumerate() {
            if number > 0 {
                text.push('+');
            }
            match oid2abbrev(attribute.attr_type(), oid_registry()) {
                Ok(short) => text.push_str(short),
                Err(_) => text.push_str(&attribute.attr_type().to_id_string()),
            }
            text.push('=');
            escaped(value(attribute)?, &mut text);
        }
    }
    Some(text)
}

/// RFC 4514, section 2.4.
fn escaped(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(text, "\\{:02x}", u32::from(c));
                continue;
            }
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => text.push('\\'),
            '#' | ' ' if at == 0 => text.push('\\'),
            ' ' if at == last => text.push('\\'),
            _ => {}
        }
        text.push(c);
    }
}

fn value<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> Option<&'a str> {
    attribute.as_str().ok()
}

/// The value of an attribute that stands there once.
fn only<'a>(mut attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<String> {
    match (attributes.next(), attributes.next()) {
        (Some(attribute), None) => value(attribute).map(str::to_owned),
        _ => None,
    }
}

/// Names of kinds that have no text (directory names, what others have defined) are left out.
fn alternative_names(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let names = certificate.subject_alternative_name().ok()??;
    if names.value.general_names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
        return None;
    }
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::RFC822Name(email) => {
            let (local, domain) = email.rsplit_once('@')?;
            Some(format!("email:{local}@{}", domain.to_ascii_lowercase()))
        }
        GeneralName::DNSName(host) => Some(format!("dns:{}", host.to_ascii_lowercase())),
        GeneralName::URI(uri) => Some(format!("uri:{uri}")),
        GeneralName::IPAddress(octets) => {
            let address = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let address = address.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
            address.ok().map(|address| format!("ip:{address}"))
        }
        _ => None,
    };
    let texts: Vec<String> = names.value.general_names.iter().filter_map(text).collect();
    (!texts.is_empty()).then_some(texts)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[(DnType, &str)], others: Vec<SanType>) -> ClientCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), DnValue::Utf8String((*value).to_owned()));
        }
        params.subject_alt_names = others;
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        ClientCertificate::read(made.der())
    }

    #[test]
    fn names_are_written_so_that_no_value_looks_like_another_part() {
        let plain = [(DnType::CountryName, "DE"), (DnType::OrganizationName, "Acme"), (DnType::CommonName, "Ana Lima")];
        let ana = certificate(&plain, vec![]);
        assert_eq!(ana.subject(), Some("CN=Ana Lima,O=Acme,C=DE"));
        assert_eq!(
            (ana.issuer(), ana.common_name(), ana.organization()),
            (ana.subject(), Some("Ana Lima"), Some("Acme"))
        );
        assert_eq!(ana.alternative_names(), None);
        assert_eq!(
            (ana.fingerprint_text().len(), ana.fingerprint()[0]),
            (64, u8::from_str_radix(&ana.fingerprint_text()[..2], 16).unwrap())
        );
        for (value, expected) in [
            ("Eve,O=Acme", "CN=Eve\\,O\\=Acme"),
            ("Eve+O=Acme", "CN=Eve\\+O\\=Acme"),
            ("Eve\\", "CN=Eve\\\\"),
            ("Eve\n", "CN=Eve\\0a"),
            ("#Eve ", "CN=\\#Eve\\ "),
            (" \"<;>", "CN=\\ \\\"\\<\\;\\>"),
        ] {
            let eve = certificate(&[(DnType::CommonName, value)], vec![]);
            assert_eq!((eve.subject(), eve.common_name(), eve.organization()), (Some(expected), Some(value), None));
        }
    }

    #[test]
    fn other_names_are_told_with_their_kind() {
        let name = |text: &str| text.to_owned().try_into().unwrap();
        let others = vec![
            SanType::DnsName(name("Ana.Partners.TEST")),
            SanType::Rfc822Name(name("Ana@Partners.test")),
            SanType::URI(name("spiffe://partners.test/ana")),
            SanType::IpAddress([10, 1, 2, 3].into()),
        ];
        let ana = certificate(&[], others);
        let expected =
            ["dns:ana.partners.test", "email:Ana@partners.test", "uri:spiffe://partners.test/ana", "ip:10.1.2.3"];
        assert_eq!(ana.alternative_names().unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let odd = ClientCertificate::read(b"no certificate");
        assert_eq!((odd.subject(), odd.issuer(), odd.alternative_names()), (None, None, None));
        assert_eq!(odd.fingerprint_text().len(), 64);
    }
}
