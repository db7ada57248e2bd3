//! A certificate that was issued, and whether it is what was ordered.

use std::fmt;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::problem::OrderFailed;
use super::settings::KeyType;
use crate::clock::Timestamp;
use crate::portal::HostName;
use crate::secret::Secret;

/// A certificate that is ordered where there is none: one host, one kind of key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WantedCertificate {
    /// The one host that it is for.
    pub host: HostName,
    /// The kind of its key.
    pub key_type: KeyType,
}

impl fmt::Display for WantedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.host, self.key_type.name())
    }
}

/// A certificate that can be served.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What it is.
    pub wanted: WantedCertificate,
    /// The chain and its key.
    pub key: Arc<CertifiedKey>,
    /// From when it is valid.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
}

impl Issued {
    /// Reads a chain and its key, both PEM, and sees that they are what was wanted: for the host, and for our key. Whether the
    /// time is right is for the caller to say.
    ///
    /// # Errors
    /// When they are something else.
    pub(super) fn read(wanted: &WantedCertificate, chain: &str, key: &Secret) -> Result<Self, OrderFailed> {
        let unusable = |what: &str| OrderFailed::Unusable(what.to_owned());
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let chain = chain.map_err(|_| unusable("what was issued is no certificate in PEM form"))?;
        let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(|_| unusable("our key is damaged"))?;
        let leaf = chain.first().ok_or_else(|| unusable("nothing was issued"))?;
        let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| unusable("what was issued cannot be read"))?;
        if !is_for(&leaf, &wanted.host) {
            return Err(unusable("what was issued is not for the host"));
        }
        let moment = |time: x509_parser::time::ASN1Time| Timestamp::from_seconds(time.timestamp());
        let (begins, ends) = (moment(leaf.validity().not_before), moment(leaf.validity().not_after));
        let key = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
            .and_then(|pair| pair.keys_match().map(|()| pair))
            .map_err(|_| unusable("what was issued is not for our key"))?;
        Ok(Self { wanted: wanted.clone(), key: Arc::new(key), begins, ends })
    }

    /// The gateway's own certificate.
    pub(super) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }
}

fn is_for(leaf: &X509Certificate<'_>, host: &HostName) -> bool {
    let names = leaf.subject_alternative_name().ok().flatten();
    names.is_some_and(|names| {
        let is = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(name) if name.eq_ignore_ascii_case(host.as_str()));
        names.value.general_names.iter().any(is)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_ordered_is_served() {
        let make = |name: &str| {
            let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
            (made.cert.pem(), Secret::generated(made.signing_key.serialize_pem()))
        };
        let ((cert, key), (other_cert, other_key)) = (make("a.test"), make("b.test"));
        let wanted = WantedCertificate { host: HostName::parse("a.test").unwrap(), key_type: KeyType::EcdsaP256 };
        let issued = Issued::read(&wanted, &cert, &key).unwrap();
        assert!(issued.begins < issued.ends);
        let why = |chain: &str, key: &Secret| Issued::read(&wanted, chain, key).unwrap_err().to_string();
        assert!(why(&other_cert, &other_key).contains("not for the host"));
        assert!(why(&cert, &other_key).contains("not for our key"));
        assert!(why("", &key).contains("nothing was issued"));
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(why(damaged, &key).contains("cannot be read"));
        assert!(why(&cert, &Secret::generated("x")).contains("our key is damaged"));
    }
}
