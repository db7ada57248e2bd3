//! SAML identity providers, and us as their service provider.

mod keys;

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::config::check::{Check, all, days, minutes, seconds};
use crate::config::raw::{RawAttributes, RawBinding, RawComparison, RawProvider, RawSaml};
use crate::config::tree::{Place, quote};
use crate::email::SpeaksFor;
use crate::portal::HostName;
use crate::portal::settings::PortalSettings;
use crate::saml::authn_request::Comparison;
use crate::saml::mapping::{Mapping, SubjectFrom};
use crate::saml::metadata::{self, Binding, MetadataRefused, Reading};
use crate::saml::response::Expected;
use crate::saml::signature::SignaturePolicy;
use crate::sign_in::saml::OwnKeys;
use crate::sign_in::saml::metadata_source::{MetadataFrom, MetadataSettings};
use crate::sign_in::settings::{EmailTrust, RequestSettings, SamlSettings, Unsolicited};

/// The longest entity id (SAML Core 8.3.6).
const LONGEST_ENTITY_ID: usize = 1024;

impl Check<'_> {
    pub(super) fn saml(
        &mut self,
        place: &Place<'_>,
        raw: &RawSaml,
        speaks_for: Option<&SpeaksFor>,
    ) -> Option<SamlSettings> {
        let entity_id = self.entity_id(&place.key("entity_id"), raw.entity_id.as_deref());
        let our_entity_id = self.entity_id(&place.key("our_entity_id"), raw.our_entity_id.as_deref());
        let keys = self.saml_keys(place, raw);
        let metadata = self.metadata(place, raw, entity_id.clone().flatten(), keys.as_deref());
        let request = self.request(place, raw);
        let mapping = self.attributes(&place.key("attributes"), raw.attributes.as_ref());
        let max_age = raw.max_age.as_ref().map_or(Some(None), |given| {
            self.duration(&place.key("max_age"), Some(given), minutes(60), minutes(1)..=days(30)).map(Some)
        });
        let skew = raw.clock_skew.as_ref();
        let clock_skew = self.duration(&place.key("clock_skew"), skew, Expected::SKEW, seconds(0)..=minutes(3));
        let usual = u64::try_from(Expected::LARGEST_MESSAGE).unwrap_or(u64::MAX);
        let size = raw.largest_response.as_ref();
        let largest = self.size(&place.key("largest_response"), size, usual, 16 * 1024..=2 * 1024 * 1024);
        if raw.email_is_verified.is_some() && speaks_for.is_some_and(|speaks_for| !speaks_for.is_open()) {
            let what = "has no meaning beside email_domains: addresses of these are verified, and others are refused";
            self.fault(&place.key("email_is_verified"), what, "remove it");
        }
        let signs = keys.as_deref().is_none_or(|keys| keys.signing().is_some());
        if raw.sign_out_at_provider == Some(true) && !signs {
            let what = "sends logout requests, which have to be signed, and there is no key to sign with";
            self.fault(&place.key("sign_out_at_provider"), what, "add signing_key and certificate");
        }
        let sign_metadata = raw.sign_metadata.unwrap_or(false);
        if sign_metadata && keys.as_deref().is_some_and(|keys| keys.signing().is_none()) {
            self.fault(&place.key("sign_metadata"), "needs a key to sign with", "add signing_key and certificate");
        }
        if raw.acs_index.is_some() && raw.our_entity_id.is_some() {
            let what = "names one address, and all portals that share our_entity_id would have it";
            self.fault(&place.key("acs_index"), what, "give each portal its own by acs_indexes");
        }
        entity_id?;
        Some(SamlSettings {
            metadata: metadata?,
            our_entity_id: our_entity_id?,
            keys: keys?,
            sign_metadata,
            request: request?,
            mapping: mapping?,
            email_trust: match raw.email_is_verified {
                Some(_) => EmailTrust::DangerouslyAlways,
                None => EmailTrust::AsClaimed,
            },
            clock_skew: clock_skew?,
            max_age: max_age?,
            signatures: SignaturePolicy { legacy_sha1: raw.sha1_signatures.is_some() },
            unsolicited: match raw.allow_idp_initiated {
                Some(_) => Unsolicited::DangerouslyTaken,
                None => Unsolicited::Refused,
            },
            largest_response: usize::try_from(largest?).unwrap_or(usize::MAX),
            sign_out_at_provider: raw.sign_out_at_provider.unwrap_or(false),
        })
    }

    fn entity_id(&mut self, place: &Place<'_>, raw: Option<&str>) -> Option<Option<String>> {
        raw.map_or(Some(None), |text| self.token(place, text, LONGEST_ENTITY_ID).map(Some))
    }

    fn metadata(
        &mut self,
        place: &Place<'_>,
        raw: &RawSaml,
        entity_id: Option<String>,
        keys: Option<&OwnKeys>,
    ) -> Option<MetadataSettings> {
        let from_place = place.key("metadata");
        let from = if raw.metadata.contains("://") {
            self.link(&from_place, &raw.metadata).map(MetadataFrom::Url)
        } else {
            self.metadata_file(&from_place, raw, entity_id.as_deref(), keys)
        };
        let signed_by = match &raw.metadata_certificate {
            None => Some(Vec::new()),
            Some(certificate) => self.trusted_certificates(&place.key("metadata_certificate"), certificate),
        };
        let given = raw.metadata_refresh.as_ref();
        let refresh = self.duration(&place.key("metadata_refresh"), given, minutes(60), minutes(1)..=days(1));
        Some(MetadataSettings { from: from?, signed_by: signed_by?, entity_id, refresh: refresh? })
    }

    /// A file is looked at right away: what is wrong with it had better be known before somebody wants to sign in. Its
    /// signature and its dates count when it is used.
    fn metadata_file(
        &mut self,
        place: &Place<'_>,
        raw: &RawSaml,
        entity_id: Option<&str>,
        keys: Option<&OwnKeys>,
    ) -> Option<MetadataFrom> {
        let path = self.path(place, &raw.metadata)?;
        let octets = match self.environment.read(&path) {
            Ok(octets) => octets,
            // That of a federation.
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => return Some(MetadataFrom::File(path)),
            Err(_) => {
                self.read(place, &path)?;
                return None;
            }
        };
        let reading = Reading { entity_id, now: Timestamp::from_millis(0) };
        match metadata::identity_provider(&octets, &reading) {
            Ok(provider) => {
                if provider.wants_signed_requests && keys.is_some_and(|keys| keys.signing().is_none()) {
                    let what = "describes a provider that takes signed requests only, and there is no key to sign with";
                    self.fault(place, what, "add signing_key and certificate");
                    return None;
                }
                let binding = raw.binding.map(binding);
                if binding.is_some_and(|binding| provider.sign_on_by(binding).is_none()) {
                    self.fault(place, "describes a provider that takes no requests by the configured binding", "");
                    return None;
                }
            }
            Err(refused) => {
                let cure = match refused {
                    MetadataRefused::SeveralEntities(_) => "add entity_id",
                    _ => "",
                };
                self.fault(place, refused.to_string(), cure);
                return None;
            }
        }
        Some(MetadataFrom::File(path))
    }

    fn request(&mut self, place: &Place<'_>, raw: &RawSaml) -> Option<RequestSettings> {
        let format_place = place.key("name_id_format");
        let format = raw.name_id_format.as_ref();
        let name_id_format = format.map_or(Some(None), |text| self.token(&format_place, text, 256).map(Some));
        let contexts_place = place.key("authn_contexts");
        let raw_contexts = raw.authn_contexts.as_deref().unwrap_or_default();
        let contexts: Vec<_> = (raw_contexts.iter().enumerate())
            .map(|(index, value)| self.token(&contexts_place.index(index), value, 256))
            .collect();
        self.distinct(&contexts_place, &contexts);
        let comparison = raw.authn_context_comparison.map(comparison).unwrap_or_default();
        if comparison != Comparison::Exact && raw_contexts.is_empty() {
            let what = "compares with authn_contexts, and there are none";
            self.fault(&place.key("authn_context_comparison"), what, "list them, or remove it");
        }
        let acs_indexes = self.acs_indexes(&place.key("acs_indexes"), raw);
        Some(RequestSettings {
            binding: raw.binding.map(binding),
            name_id_format: name_id_format?,
            force_authn: raw.force_authn.unwrap_or(false),
            authn_contexts: all(contexts)?,
            comparison,
            acs_index: raw.acs_index,
            acs_indexes: acs_indexes?,
        })
    }

    /// Says which hosts of `acs_indexes` are no portals: their portals would have another index than is meant.
    pub(in crate::config::check) fn portals_of_indexes(
        &mut self,
        place: &Place<'_>,
        providers: &BTreeMap<String, RawProvider>,
        portals: &[PortalSettings],
    ) {
        let hosts: Vec<&str> = portals.iter().map(|portal| portal.host.as_str()).collect();
        for (name, raw) in providers {
            let place = place.key(name).key("saml").key("acs_indexes");
            let given = raw.saml.iter().flat_map(|saml| saml.acs_indexes.iter().flatten());
            for (text, _) in given.filter(|(text, _)| !hosts.contains(&text.as_str())) {
                let what = format!("{} is the host of no portal", quote(text));
                self.fault(&place.key(text), what, format!("known: {}", hosts.join(", ")));
            }
        }
    }

    fn acs_indexes(&mut self, place: &Place<'_>, raw: &RawSaml) -> Option<BTreeMap<HostName, u16>> {
        let given = raw.acs_indexes.iter().flatten();
        if raw.our_entity_id.is_none() && given.clone().next().is_some() {
            let what = "is for portals that share our_entity_id, and there is none";
            self.fault(place, what, "use acs_index, or add our_entity_id");
        }
        let (mut indexes, mut seen) = (Vec::new(), BTreeMap::new());
        for (text, index) in given {
            let place = place.key(text);
            if let Some(other) = seen.insert(*index, text) {
                self.fault(&place, format!("{index} is the index of {other} already"), "each portal has its own");
            }
            indexes.push(self.host(&place, text).map(|host| (host, *index)));
        }
        Some(all(indexes)?.into_iter().collect())
    }

    fn attributes(&mut self, place: &Place<'_>, raw: Option<&RawAttributes>) -> Option<Mapping> {
        let nothing = RawAttributes::default();
        let raw = raw.unwrap_or(&nothing);
        let mut name = |key: &str, given: Option<&String>| {
            given.map_or(Some(None), |given| self.text(&place.key(key), given, 256).map(Some))
        };
        let subject = name("subject", raw.subject.as_ref());
        let email = name("email", raw.email.as_ref());
        let display_name = name("display_name", raw.display_name.as_ref());
        let groups = name("groups", raw.groups.as_ref());
        let claims_place = place.key("claims");
        let claims = raw.claims.iter().flatten().map(|(claim, attribute)| {
            let place = claims_place.key(claim);
            let attribute = self.text(&place, attribute, 256);
            Some((self.token(&place, claim, 64)?, attribute?))
        });
        let claims: Vec<_> = claims.collect();
        Some(Mapping {
            subject: subject?.map_or(SubjectFrom::NameId, SubjectFrom::Attribute),
            email: email?,
            display_name: display_name?,
            groups: groups?,
            claims: all(claims)?.into_iter().collect(),
        })
    }
}

fn binding(raw: RawBinding) -> Binding {
    match raw {
        RawBinding::Redirect => Binding::Redirect,
        RawBinding::Post => Binding::Post,
    }
}

fn comparison(raw: RawComparison) -> Comparison {
    match raw {
        RawComparison::Exact => Comparison::Exact,
        RawComparison::Minimum => Comparison::Minimum,
        RawComparison::Maximum => Comparison::Maximum,
        RawComparison::Better => Comparison::Better,
    }
}
