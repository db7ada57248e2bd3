//! Certificates by ACME.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Check, all, days, minutes};
use crate::acme::settings::{AcmeSettings, ChallengeKind, ExternalAccount, KeyType};
use crate::config::raw::{RawAcme, RawChallenge, RawExternalAccount, RawKeyType};
use crate::config::tree::{Place, quote};
use crate::email::EmailAddress;
use crate::listener::settings::TlsSettings;
use crate::portal::settings::PortalSettings;

impl Check<'_> {
    pub(super) fn acme(&mut self, place: &Place<'_>, raw: &RawAcme, listens_for_http: bool) -> Option<AcmeSettings> {
        let directory = self.link(&place.key("directory"), &raw.directory);
        if !raw.agree_to_terms {
            let what = "has to be true: the authority issues nothing to whoever does not agree";
            self.fault(&place.key("agree_to_terms"), what, "read its terms of service, and write true");
        }
        let list = place.key("contact");
        let given = raw.contact.as_deref().unwrap_or_default().iter().enumerate();
        let contact: Vec<_> = given.map(|(index, text)| self.contact(&list.index(index), text)).collect();
        self.distinct(&list, &contact);
        let challenges = self.challenges(&place.key("challenges"), raw.challenges.as_deref(), listens_for_http);
        let key_types = self.key_types(&place.key("key_types"), raw.key_types.as_deref());
        let external = place.key("eab");
        let external_account =
            raw.eab.as_ref().map_or(Some(None), |raw| self.external_account(&external, raw).map(Some));
        let profile =
            raw.profile.as_ref().map_or(Some(None), |text| self.token(&place.key("profile"), text, 100).map(Some));
        let before = place.key("renew_before");
        let renew_before = match &raw.renew_before {
            Some(_) => self.duration(&before, raw.renew_before.as_ref(), days(30), minutes(60)..=days(365)).map(Some),
            None => Some(None),
        };
        let ca = place.key("ca");
        let authorities = match &raw.ca {
            Some(text) => self.path(&ca, text).and_then(|path| {
                let pem = self.read(&ca, &path)?;
                self.certificates(&ca, &pem)
            }),
            None => Some(Vec::new()),
        };
        Some(AcmeSettings {
            directory: directory?,
            authorities: authorities?,
            contact: all(contact)?,
            challenges: challenges?,
            key_types: key_types?,
            external_account: external_account?,
            profile: profile?,
            renew_before: renew_before?,
        })
    }

    fn contact(&mut self, place: &Place<'_>, text: &str) -> Option<String> {
        let Some(address) = text.strip_prefix("mailto:") else {
            let cure = match EmailAddress::parse(text) {
                Ok(_) => format!("write \"mailto:{text}\""),
                Err(_) => "such as \"mailto:ops@acme.com\"".to_owned(),
            };
            self.fault(place, format!("{} is not a mailto: address", quote(text)), cure);
            return None;
        };
        if EmailAddress::parse(address).is_err() {
            self.fault(
                place,
                format!("{} is not an e-mail address", quote(address)),
                "such as \"mailto:ops@acme.com\"",
            );
            return None;
        }
        Some(text.to_owned())
    }

    fn challenges(
        &mut self,
        place: &Place<'_>,
        raw: Option<&[RawChallenge]>,
        listens_for_http: bool,
    ) -> Option<Vec<ChallengeKind>> {
        let Some(raw) = raw else {
            let both = [ChallengeKind::TlsAlpn01, ChallengeKind::Http01];
            return Some(both.into_iter().filter(|kind| listens_for_http || *kind != ChallengeKind::Http01).collect());
        };
        if raw.is_empty() {
            self.fault(place, "is empty: no host could be proved to be ours", "name a challenge, or remove the key");
            return None;
        }
        let kinds = raw.iter().enumerate().map(|(index, raw)| match raw {
            RawChallenge::Http01 if !listens_for_http => {
                let what = "is answered on listen.http, and there is none";
                self.fault(&place.index(index), what, "set listen.http, or remove it");
                None
            }
            RawChallenge::Http01 => Some(ChallengeKind::Http01),
            RawChallenge::TlsAlpn01 => Some(ChallengeKind::TlsAlpn01),
        });
        let kinds: Vec<_> = kinds.collect();
        self.distinct(place, &kinds);
        all(kinds)
    }

    fn key_types(&mut self, place: &Place<'_>, raw: Option<&[RawKeyType]>) -> Option<Vec<KeyType>> {
        let Some(raw) = raw else { return Some(vec![KeyType::EcdsaP256]) };
        if raw.is_empty() {
            self.fault(place, "is empty", "name a kind of key, or remove the key");
            return None;
        }
        let kind = |raw: &RawKeyType| match raw {
            RawKeyType::EcdsaP256 => KeyType::EcdsaP256,
            RawKeyType::Rsa2048 => KeyType::Rsa2048,
        };
        let kinds: Vec<KeyType> = raw.iter().map(kind).collect();
        self.distinct(place, &kinds.iter().copied().map(Some).collect::<Vec<_>>());
        Some(kinds)
    }

    fn external_account(&mut self, place: &Place<'_>, raw: &RawExternalAccount) -> Option<ExternalAccount> {
        let kid = self.token(&place.key("kid"), &raw.kid, 200);
        let key_place = place.key("key");
        let key = self.secret(&key_place, &raw.key, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '='));
        let key = key.filter(|key| {
            let bytes = URL_SAFE_NO_PAD.decode(key.reveal().trim_end_matches('='));
            let sound = bytes.is_ok_and(|bytes| zeroize::Zeroizing::new(bytes).len() >= 16);
            if !sound {
                self.fault(
                    &key_place,
                    "is not a key in base64url of 128 bits or more",
                    "copy it again from the authority",
                );
            }
            sound
        });
        Some(ExternalAccount { kid: kid?, key: key? })
    }

    /// An authority issues for names, and browsers tell no address in a handshake.
    pub(super) fn portals_of_acme(&mut self, place: &Place<'_>, portals: &[PortalSettings], tls: &TlsSettings) {
        if tls.acme.is_none() || !tls.certificates.is_empty() {
            return;
        }
        for (index, portal) in portals.iter().enumerate().filter(|(_, portal)| !portal.host.is_name()) {
            let what = format!("{} is an address, and tls.acme orders certificates for names alone", portal.host);
            self.fault(&place.index(index).key("host"), what, "list a certificate file for it under tls.certificates");
        }
    }
}
