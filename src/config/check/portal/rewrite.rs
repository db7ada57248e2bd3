//! What a portal rewrites: origins that are none of ours, types that exist, texts that can be found.

use url::Url;

use crate::config::check::{Check, all};
use crate::config::raw::{RawOrigin, RawPortal, RawRewrite, RawTextRule};
use crate::config::tree::{Place, quote};
use crate::portal::media_type::MediaPattern;
use crate::portal::settings::{OriginPair, REQUEST_FIELDS, RewriteSettings, TextRule};
use crate::portal::{HostName, PublicOrigin};

/// Bytes of a text that is searched for: shorter ones are everywhere.
const SEARCHED: std::ops::RangeInclusive<usize> = 4..=1024;

/// Bytes of what takes its place.
const LONGEST_REPLACEMENT: usize = 4096;

/// The longest name of a field, in bytes.
const LONGEST_FIELD: usize = 64;

const MEBIBYTE: u64 = 1024 * 1024;

impl Check<'_> {
    pub(super) fn rewrite(
        &mut self,
        place: &Place<'_>,
        portal: &RawPortal,
        host: Option<&HostName>,
        port: u16,
    ) -> Option<RewriteSettings> {
        let nothing = RawRewrite::default();
        let raw = portal.rewrite.as_ref().unwrap_or(&nothing);
        let default = RewriteSettings::default();
        let own = [host.map(|host| PublicOrigin::new(host, port).to_string()), Some(portal.upstream.url.clone())];
        let own: Vec<Url> = own.into_iter().flatten().filter_map(|text| Url::parse(&text).ok()).collect();
        let origins_place = place.key("origins");
        let raw_origins = raw.origins.as_deref().unwrap_or_default();
        let origins: Vec<_> = raw_origins
            .iter()
            .enumerate()
            .map(|(index, raw)| self.origin_pair(&origins_place.index(index), raw, &own))
            .collect();
        let known = |pair: &Option<OriginPair>| pair.as_ref().map(|pair| pair.upstream.to_string());
        self.distinct(&origins_place, &origins.iter().map(known).collect::<Vec<_>>());
        let types_place = place.key("content_types");
        let content_types = match &raw.content_types {
            Some(raw) => self.media_patterns(&types_place, raw),
            None => Some(default.content_types),
        };
        let texts_place = place.key("texts");
        let texts: Vec<_> = raw
            .texts
            .as_deref()
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(index, raw)| self.text_rule(&texts_place.index(index), raw, content_types.as_deref()))
            .collect();
        let from = |text: &Option<TextRule>| text.as_ref().map(|text| (text.from.clone(), types(text)));
        self.distinct(&texts_place, &texts.iter().map(from).collect::<Vec<_>>());
        let fields = match &raw.request_fields {
            Some(raw) => self.field_names(&place.key("request_fields"), raw),
            None => Some(REQUEST_FIELDS.map(str::to_owned).into()),
        };
        let largest = self.size(
            &place.key("largest_body"),
            raw.largest_body.as_ref(),
            default.largest_body,
            1024..=MEBIBYTE.saturating_mul(10 * 1024),
        );
        Some(RewriteSettings {
            origins: all(origins)?,
            content_types: content_types?,
            texts: all(texts)?,
            request_fields: fields?,
            largest_body: largest?,
        })
    }

    fn origin_pair(&mut self, place: &Place<'_>, raw: &RawOrigin, own: &[Url]) -> Option<OriginPair> {
        let upstream_place = place.key("upstream");
        let upstream = self.bare_origin(&upstream_place, &raw.upstream);
        if let Some(upstream) = &upstream
            && own.iter().any(|own| own.origin() == upstream.origin())
        {
            self.fault(&upstream_place, "is an address of this portal, which is known already", "remove it");
            return None;
        }
        let public_place = place.key("public");
        let public = match &raw.public {
            None => None,
            Some(text) => {
                let public = self.bare_origin(&public_place, text)?;
                if public.scheme() != "https" {
                    let what = "is not https: a page of the portal could not load anything from there";
                    self.fault(&public_place, what, "write https://");
                    return None;
                }
                Some(public)
            }
        };
        Some(OriginPair { upstream: upstream?, public })
    }

    /// A scheme, a host and perhaps a port.
    fn bare_origin(&mut self, place: &Place<'_>, text: &str) -> Option<Url> {
        let url = match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            _ => {
                let what = format!("{} is not an origin", quote(text));
                self.fault(place, what, "such as https://jira.acme.internal:8443");
                return None;
            }
        };
        let nobody = url.username().is_empty() && url.password().is_none();
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !nobody {
            let cure = format!("write {}", url.origin().ascii_serialization());
            self.fault(place, "is more than scheme, host and port", cure);
            return None;
        }
        Some(url)
    }

    fn media_patterns(&mut self, place: &Place<'_>, raw: &[String]) -> Option<Vec<MediaPattern>> {
        let patterns: Vec<Option<MediaPattern>> = raw
            .iter()
            .enumerate()
            .map(|(index, text)| {
                let pattern = MediaPattern::parse(text);
                if let Err(error) = pattern {
                    let cure = "without parameters and without *";
                    self.fault(&place.index(index), format!("{}: {error}", quote(text)), cure);
                }
                pattern.ok()
            })
            .collect();
        let texts = patterns.iter().map(|pattern| pattern.as_ref().map(|pattern| pattern.as_str().to_owned()));
        self.distinct(place, &texts.collect::<Vec<_>>());
        all(patterns)
    }

    fn text_rule(&mut self, place: &Place<'_>, raw: &RawTextRule, known: Option<&[MediaPattern]>) -> Option<TextRule> {
        let from_place = place.key("from");
        if !SEARCHED.contains(&raw.from.len()) {
            let what = format!("is {} bytes long", raw.from.len());
            let cure = format!("write {} to {} bytes", SEARCHED.start(), SEARCHED.end());
            self.fault(&from_place, what, cure);
        }
        if raw.to.len() > LONGEST_REPLACEMENT {
            let what = format!("is {} bytes long", raw.to.len());
            self.fault(&place.key("to"), what, format!("write at most {LONGEST_REPLACEMENT} bytes"));
        }
        if raw.from == raw.to {
            self.fault(&place.key("to"), "is what is searched for", "remove the rule");
        }
        let types_place = place.key("content_types");
        let content_types = self.media_patterns(&types_place, raw.content_types.as_deref().unwrap_or_default())?;
        for (index, pattern) in content_types.iter().enumerate() {
            if known.is_some_and(|known| !known.contains(pattern)) {
                let what = format!("\"{}\" is not among the content types that are rewritten", pattern.as_str());
                self.fault(&types_place.index(index), what, "add it to rewrite.content_types");
            }
        }
        Some(TextRule { from: raw.from.clone(), to: raw.to.clone(), content_types })
    }

    fn field_names(&mut self, place: &Place<'_>, raw: &[String]) -> Option<Vec<String>> {
        let names: Vec<Option<String>> = raw
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
                if name.is_empty() || name.len() > LONGEST_FIELD || !plain {
                    let what = format!("{} is no name of a field", quote(name));
                    let cure = format!("write letters, digits, \"_\", \"-\" and \".\", at most {LONGEST_FIELD}");
                    self.fault(&place.index(index), what, cure);
                    return None;
                }
                Some(name.clone())
            })
            .collect();
        self.distinct(place, &names);
        all(names)
    }
}

fn types(text: &TextRule) -> Vec<String> {
    text.content_types.iter().map(|pattern| pattern.as_str().to_owned()).collect()
}
