//! Cloud sites: what all ways to open sessions there share, and the gateway as a site's identity provider.

use std::sync::Arc;

use url::Url;

use crate::clock::Timestamp;
use crate::config::check::{Check, all, days, minutes, seconds};
use crate::config::raw::{DurationText, RawCloudSaml, RawOtherAccounts, RawPortal, RawWalk};
use crate::config::tree::Place;
use crate::portal::settings::{
    CloudAccountsSettings, CloudSamlSettings, CloudSiteSettings, DirectorySettings, IdentityProviderSettings, Walk,
};
use crate::saml::keys::VerificationKeys;
use crate::saml::metadata::{
    self, Binding, Endpoint, IndexedEndpoint, Reading, ServiceProvider, Validity, vet_location,
};
use crate::saml::signing_key::{SignatureAlgorithm, SigningKey};

/// The longest entity id (SAML Core 8.3.6).
const LONGEST_ENTITY_ID: usize = 1024;

/// What the settings of every way to open sessions at Cloud have in common.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub portal: &'a RawPortal,
    pub other_accounts: Option<RawOtherAccounts>,
    pub site_address: Option<&'a String>,
    pub max_age: Option<&'a DurationText>,
    pub concurrency: Option<u32>,
    pub call_timeout: Option<&'a DurationText>,
}

impl Check<'_> {
    /// The site of any kind of customer session at Cloud.
    pub(super) fn cloud_site(
        &mut self,
        place: &Place<'_>,
        raw: Shared<'_>,
        directory: Option<DirectorySettings>,
    ) -> Option<CloudSiteSettings> {
        let max_age = self.duration(&place.key("max_age"), raw.max_age, minutes(8 * 60), minutes(1)..=days(30));
        let given = raw.concurrency.and_then(|count| usize::try_from(count).ok());
        let concurrency = self.count(&place.key("concurrency"), given, 8, 1..=256);
        let call_timeout =
            self.duration(&place.key("call_timeout"), raw.call_timeout, seconds(10), seconds(1)..=minutes(5));
        let elsewhere = self.elsewhere_than_here(place, raw);
        let accounts =
            CloudAccountsSettings { directory: directory?, concurrency: concurrency?, call_timeout: call_timeout? };
        Some(CloudSiteSettings { accounts, max_age: max_age?, elsewhere: elsewhere? })
    }

    pub(super) fn cloud_saml(
        &mut self,
        place: &Place<'_>,
        raw: &RawCloudSaml,
        directory: Option<DirectorySettings>,
        portal: &RawPortal,
    ) -> Option<CloudSamlSettings> {
        let shared = Shared {
            portal,
            other_accounts: raw.other_accounts,
            site_address: raw.site_address.as_ref(),
            max_age: raw.max_age.as_ref(),
            concurrency: raw.concurrency,
            call_timeout: raw.call_timeout.as_ref(),
        };
        let site = self.cloud_site(place, shared, directory);
        let keys = self.identity_provider_keys(place, raw);
        let our_place = place.key("our_entity_id");
        let our_entity_id = raw.our_entity_id.as_ref();
        let our_entity_id =
            our_entity_id.map_or(Some(None), |text| self.token(&our_place, text, LONGEST_ENTITY_ID).map(Some));
        let described = self.described_site(place, raw);
        let start = raw.start.as_ref().map_or(Some(None), |start| {
            let with_address = start.replace("{email}", "ana%40acme.com");
            self.link(&place.key("start"), &with_address).map(|_| Some(start.clone()))
        });
        let hosts_place = place.key("hosts");
        let raw_hosts = raw.hosts.as_deref().unwrap_or_default();
        let hosts: Vec<Option<Url>> =
            raw_hosts.iter().enumerate().map(|(index, host)| self.site(&hosts_place.index(index), host)).collect();
        self.distinct(&hosts_place, &hosts);
        let (described, site_keys) = described?;
        Some(CloudSamlSettings {
            site: site?,
            identity_provider: IdentityProviderSettings {
                keys: keys?.into(),
                our_entity_id: our_entity_id?,
                site: described,
                site_keys,
            },
            start: start?,
            walk: match raw.walk {
                None | Some(RawWalk::Gateway) => Walk::Gateway,
                Some(RawWalk::Browser) => Walk::Browser,
            },
            hosts: all(hosts)?,
        })
    }

    /// The first key and the others.
    fn identity_provider_keys(&mut self, place: &Place<'_>, raw: &RawCloudSaml) -> Option<Vec<SigningKey>> {
        let (key_place, more_place) = (place.key("signing_key"), place.key("more_keys"));
        let first = self.rsa_key_pair(&key_place, &raw.signing_key, &place.key("certificate"), &raw.certificate);
        let more = raw.more_keys.iter().flatten().enumerate().map(|(index, pair)| {
            let place = more_place.index(index);
            self.rsa_key_pair(&place.key("key"), &pair.key, &place.key("certificate"), &pair.certificate)
        });
        let keys = more.collect::<Vec<_>>();
        all(std::iter::once(first).chain(keys).collect())
    }

    /// The site as a service provider, with its keys.
    fn described_site(
        &mut self,
        place: &Place<'_>,
        raw: &RawCloudSaml,
    ) -> Option<(ServiceProvider, Option<Arc<VerificationKeys>>)> {
        let metadata_place = place.key("site_metadata");
        let by_hand = [("site_entity_id", raw.site_entity_id.is_some()), ("site_acs", raw.site_acs.is_some())];
        match (&raw.site_metadata, &raw.site_entity_id, &raw.site_acs) {
            (Some(file), None, None) => self.site_metadata(&metadata_place, file),
            (Some(_), ..) => {
                for (key, _) in by_hand.iter().filter(|(_, given)| *given) {
                    self.fault(
                        &place.key(key),
                        "stands beside site_metadata, which tells it too",
                        "remove one of them",
                    );
                }
                None
            }
            (None, Some(entity_id), Some(acs)) => {
                let entity_id = self.token(&place.key("site_entity_id"), entity_id, LONGEST_ENTITY_ID);
                let acs = self.consumer(&place.key("site_acs"), acs);
                Some((by_hand_described(entity_id?, acs?), None))
            }
            (None, ..) => {
                for (key, _) in by_hand.iter().filter(|(_, given)| !*given) {
                    let place = place.key(key);
                    if !self.report.is_broken(&place) {
                        let cure = "Atlassian's administration shows it once the identity provider is set up there";
                        self.fault(&place, "is missing: answers go to the site alone", cure);
                    }
                }
                None
            }
        }
    }

    fn consumer(&mut self, place: &Place<'_>, acs: &str) -> Option<String> {
        match vet_location(acs) {
            Ok(()) => Some(acs.to_owned()),
            Err(_) => {
                let what = "is no address that answers can be sent to";
                self.fault(place, what, "an https address, exactly as Atlassian shows it");
                None
            }
        }
    }

    fn site_metadata(
        &mut self,
        place: &Place<'_>,
        file: &str,
    ) -> Option<(ServiceProvider, Option<Arc<VerificationKeys>>)> {
        let path = self.path(place, file)?;
        let octets = self.read(place, &path)?;
        let reading = Reading { entity_id: None, now: Timestamp::from_millis(0) };
        let site = match metadata::service_provider(&octets, &reading) {
            Ok(site) => site,
            Err(refused) => {
                self.fault(place, refused.to_string(), "");
                return None;
            }
        };
        if site.signing_certificates.is_empty() {
            if site.signs_requests {
                self.fault(place, "says that requests are signed, and names no key for that", "");
                return None;
            }
            return Some((site, None));
        }
        match VerificationKeys::from_certificates(&site.signing_certificates) {
            Ok(keys) => Some((site, Some(Arc::new(keys)))),
            Err(refused) => {
                self.fault(place, refused.to_string(), "");
                None
            }
        }
    }

    /// A key of a kind that Atlassian takes.
    fn rsa_key_pair(
        &mut self,
        key_place: &Place<'_>,
        key: &crate::config::raw::RawSecret,
        certificate_place: &Place<'_>,
        certificate: &crate::config::raw::RawSecret,
    ) -> Option<SigningKey> {
        let pair = self.signing_key_pair(key_place, key, certificate_place, certificate)?;
        if pair.algorithm() != SignatureAlgorithm::RsaSha256 {
            let cure = "such as openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj /CN=vestibule";
            self.fault(key_place, "is not an RSA key, and Atlassian takes no other", cure);
            return None;
        }
        Some(pair)
    }
}

fn by_hand_described(entity_id: String, acs: String) -> ServiceProvider {
    let endpoint = Endpoint { binding: Binding::Post, location: acs, response_location: None };
    ServiceProvider {
        entity_id,
        signing_certificates: Vec::new(),
        encryption_certificates: Vec::new(),
        consumers: vec![IndexedEndpoint { index: 0, is_default: true, endpoint }],
        logout: Vec::new(),
        signs_requests: false,
        wants_signed_assertions: true,
        name_id_formats: Vec::new(),
        validity: Validity::default(),
    }
}
