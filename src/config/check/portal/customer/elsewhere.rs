//! Where the site itself is, for people who do not stay here.

use url::Url;

use crate::config::check::Check;
use crate::config::check::portal::cloud::Shared;
use crate::config::raw::{RawOtherAccounts, RawPortal};
use crate::config::tree::Place;
use crate::portal::settings::{Elsewhere, OtherAccounts};

impl Check<'_> {
    /// What becomes of people with an Atlassian account, at a site of Cloud.
    pub(in crate::config::check::portal) fn elsewhere_than_here(
        &mut self,
        place: &Place<'_>,
        raw: Shared<'_>,
    ) -> Option<Elsewhere> {
        let address_place = place.key("site_address");
        let other_accounts = other_accounts(raw.other_accounts);
        let refused = raw.other_accounts.is_some() && !self.report.is_broken(&place.key("other_accounts"));
        if raw.site_address.is_some() && refused && other_accounts == OtherAccounts::Refuse {
            let what = "means nothing with other_accounts: refuse: nobody is led there";
            self.fault(&address_place, what, "remove one of them");
        }
        let address = self.native_address(&address_place, raw.site_address, raw.portal);
        Some(Elsewhere { address: address?, other_accounts })
    }

    /// An origin that is not this portal's own: people would be sent round in circles.
    pub(super) fn native_address(
        &mut self,
        place: &Place<'_>,
        given: Option<&String>,
        portal: &RawPortal,
    ) -> Option<Url> {
        // What is wrong with the upstream is told at its own place.
        let Some(text) = given else { return origin_of(&Url::parse(&portal.upstream.url).ok()?) };
        let url = self.site(place, text)?;
        if url.path() != "/" {
            self.fault(place, "has a path", "end it before the path: that of each request is put behind it");
            return None;
        }
        if url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(&portal.host)) {
            let what = "is this portal's own host: people would be sent round in circles";
            self.fault(place, what, "write the address of the site itself");
            return None;
        }
        origin_of(&url)
    }
}

pub(super) fn other_accounts(raw: Option<RawOtherAccounts>) -> OtherAccounts {
    match raw {
        None | Some(RawOtherAccounts::Offer) => OtherAccounts::Offer,
        Some(RawOtherAccounts::Refuse) => OtherAccounts::Refuse,
        Some(RawOtherAccounts::HandOver) => OtherAccounts::HandOver,
    }
}

fn origin_of(url: &Url) -> Option<Url> {
    Url::parse(&url.origin().ascii_serialization()).ok()
}
