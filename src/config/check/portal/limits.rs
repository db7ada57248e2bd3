//! Sizes, times and counts of a portal.

use std::time::Duration;

use crate::config::check::{Check, minutes, seconds};
use crate::config::raw::{RawKeptForm, RawPortal, RawPortalLimits, RawTrustedJwt, RawTrustingProduct, SizeText};
use crate::config::tree::Place;
use crate::portal::settings::{Creations, KeptFormLimits, PortalLimits};

/// The moments of so many requests are kept for each customer.
const MOST_CREATIONS: u32 = 1000;

/// Several are in memory at once.
const MOST_KEPT: u64 = 16 * 1024 * 1024;

/// All that is kept, of all portals.
const ALL_KEPT: u64 = 256 * 1024 * 1024;

/// What is kept beside a body, at most: the head, and what sealing adds.
const AROUND_A_BODY: u64 = 64 * 1024;

/// Of one browser.
const MOST_FORMS: u64 = 1000;

/// More than that would be no limit.
const MOST_ATTEMPTS: u32 = 100_000;

impl Check<'_> {
    pub(super) fn portal_limits(&mut self, place: &Place<'_>, portal: &RawPortal) -> Option<PortalLimits> {
        let nothing = RawPortalLimits::default();
        let raw = portal.limits.as_ref().unwrap_or(&nothing);
        let default = PortalLimits::default();
        let body = self.size(&place.key("body"), raw.body.as_ref(), default.body, 1024..=10 * 1024 * 1024 * 1024);
        let kept_form = self.kept_form(&place.key("kept_form"), raw.kept_form.as_ref());
        let connect = self.duration(
            &place.key("upstream_connect"),
            raw.upstream_connect.as_ref(),
            default.upstream_connect,
            Duration::from_millis(100)..=minutes(1),
        );
        let response = self.duration(
            &place.key("upstream_response"),
            raw.upstream_response.as_ref(),
            default.upstream_response,
            seconds(1)..=minutes(60),
        );
        let idle = self.duration(
            &place.key("upstream_idle"),
            raw.upstream_idle.as_ref(),
            default.upstream_idle,
            seconds(1)..=minutes(60),
        );
        let websocket = self.duration(
            &place.key("websocket_idle"),
            raw.websocket_idle.as_ref(),
            default.websocket_idle,
            seconds(1)..=minutes(24 * 60),
        );
        let creations = self.creations(place, portal, raw);
        let sign_in_attempts = self.rate(
            &place.key("sign_in_attempts_per_address"),
            raw.sign_in_attempts_per_address.as_ref(),
            MOST_ATTEMPTS,
        );
        Some(PortalLimits {
            body: body?,
            kept_form: kept_form?,
            upstream_connect: connect?,
            upstream_response: response?,
            upstream_idle: idle?,
            websocket_idle: websocket?,
            creations: creations?,
            sign_in_attempts: sign_in_attempts?,
        })
    }

    fn kept_form(&mut self, place: &Place<'_>, raw: Option<&RawKeptForm>) -> Option<KeptFormLimits> {
        let default = KeptFormLimits::default();
        let Some(raw) = raw else { return Some(default) };
        // One size stands for the mapping.
        let size_place = if place.is_scalar() { place.clone() } else { place.key("size") };
        let size = self.size(&size_place, raw.size.as_ref(), default.size, 0..=MOST_KEPT);
        let kept_for = self.duration(
            &place.key("kept_for"),
            raw.kept_for.as_ref(),
            default.kept_for,
            minutes(10)..=minutes(24 * 60),
        );
        let mut count = |key: &str, given: Option<u64>, default: u64, least: u64| {
            self.count(&place.key(key), given, default, least..=MOST_FORMS)
        };
        let forms = count("forms_of_one_browser", raw.forms_of_one_browser, default.forms_of_one_browser, 1);
        let calls = count("calls_of_one_browser", raw.calls_of_one_browser, default.calls_of_one_browser, 0);
        let one = size.unwrap_or(default.size).saturating_add(AROUND_A_BODY);
        // Room for `forms` of the largest, where nothing is said.
        let mut room = |key: &str, given: Option<&SizeText>, default: u64, forms: u64| {
            let place = place.key(key);
            let room = self.size(&place, given, default.max(one.saturating_mul(forms)), 0..=ALL_KEPT)?;
            if one > room {
                let cure = "make it larger by 64KiB at least, or kept_form.size smaller";
                self.fault(&place, "has no room for one form of the size that is allowed", cure);
                return None;
            }
            Some(room)
        };
        let of_one_person = room("of_one_person", raw.of_one_person.as_ref(), default.of_one_person, 2);
        let from_one_address = room("from_one_address", raw.from_one_address.as_ref(), default.from_one_address, 4);
        let of_one_portal = room("of_one_portal", raw.of_one_portal.as_ref(), default.of_one_portal, 8);
        Some(KeptFormLimits {
            size: size?,
            kept_for: kept_for?,
            forms_of_one_browser: forms?,
            calls_of_one_browser: calls?,
            of_one_person: of_one_person?,
            from_one_address: from_one_address?,
            of_one_portal: of_one_portal?,
        })
    }

    fn creations(&mut self, place: &Place<'_>, portal: &RawPortal, raw: &RawPortalLimits) -> Option<Creations> {
        let mut limit = |key: &str, given: Option<u32>| {
            let place = place.key(key);
            let kind = &portal.customer_session;
            let other = |trusted: &RawTrustedJwt| matches!(trusted.product, Some(RawTrustingProduct::Other));
            let why = match kind {
                _ if kind.none.is_some() => Some("with customer_session none, no customer makes requests"),
                _ if kind.redirect.is_some() => Some("with redirect, requests are made at the site itself"),
                _ if kind.trusted_jwt.as_ref().is_some_and(other) => Some("only Jira Service Management has requests"),
                _ => None,
            };
            if let Some(why) = why.filter(|_| given.is_some()) {
                self.fault(&place, format!("counts nothing: {why}"), "remove it");
            }
            match given {
                Some(given) => self.count(&place, Some(given), given, 1..=MOST_CREATIONS).map(Some),
                None => Some(None),
            }
        };
        let per_day = limit("requests_per_customer_per_day", raw.requests_per_customer_per_day);
        let per_minute = limit("requests_per_customer_per_minute", raw.requests_per_customer_per_minute);
        Some(Creations { per_day: per_day?, per_minute: per_minute? })
    }
}
