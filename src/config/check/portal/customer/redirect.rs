//! `redirect`: where people go on, and which of them.

use url::Url;

use super::trusted_jwt::is_cloud;
use crate::config::check::Check;
use crate::config::raw::{RawNativeProduct, RawOtherAccounts, RawPortal, RawRedirect};
use crate::config::tree::Place;
use crate::portal::settings::{OtherAccounts, Product, RedirectSettings};

impl Check<'_> {
    pub(super) fn redirect(
        &mut self,
        portal: &Place<'_>,
        place: &Place<'_>,
        raw: &RawRedirect,
        raw_portal: &RawPortal,
    ) -> Option<RedirectSettings> {
        let product = match raw.product {
            Some(RawNativeProduct::Cloud) => Product::Cloud,
            Some(RawNativeProduct::DataCenter) => Product::DataCenter,
            None if is_cloud(&raw_portal.upstream) => Product::Cloud,
            None => Product::DataCenter,
        };
        let address = self.native_address(&place.key("address"), raw, raw_portal);
        if raw.other_accounts.is_some() && raw_portal.directory.is_none() {
            let what = "means nothing without a directory: nobody's account is looked at";
            self.fault(&place.key("other_accounts"), what, "remove it, or add directory");
        }
        let other_accounts = match raw.other_accounts {
            None | Some(RawOtherAccounts::Refuse) => OtherAccounts::Refuse,
            Some(RawOtherAccounts::HandOver) => OtherAccounts::HandOver,
        };
        let accounts = self.accounts(portal, place, raw_portal, product, raw.concurrency, raw.call_timeout.as_ref());
        Some(RedirectSettings { address: address?, product, other_accounts, accounts: accounts? })
    }

    /// An origin that is not this portal's own: people would be sent round in circles.
    fn native_address(&mut self, place: &Place<'_>, raw: &RawRedirect, portal: &RawPortal) -> Option<Url> {
        // What is wrong with the upstream is told at its own place.
        let Some(text) = &raw.address else { return origin_of(&Url::parse(&portal.upstream).ok()?) };
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

fn origin_of(url: &Url) -> Option<Url> {
    Url::parse(&url.origin().ascii_serialization()).ok()
}
