//! `redirect`: where people go on, and which of them.

use super::elsewhere::other_accounts;
use super::trusted_jwt::is_cloud;
use crate::config::check::Check;
use crate::config::raw::{RawNativeProduct, RawPortal, RawRedirect};
use crate::config::tree::Place;
use crate::portal::settings::{Elsewhere, Product, RedirectSettings};

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
            None if is_cloud(&raw_portal.upstream.url) => Product::Cloud,
            None => Product::DataCenter,
        };
        let address = self.native_address(&place.key("address"), raw.address.as_ref(), raw_portal);
        if raw.other_accounts.is_some() && raw_portal.directory.is_none() {
            let what = "means nothing without a directory: nobody's account is looked at";
            self.fault(&place.key("other_accounts"), what, "remove it, or add directory");
        }
        let other_accounts = other_accounts(raw.other_accounts);
        let accounts = self.accounts(portal, place, raw_portal, product, raw.concurrency, raw.call_timeout.as_ref());
        let elsewhere = Elsewhere { address: address?, other_accounts };
        Some(RedirectSettings { elsewhere, product, accounts: accounts? })
    }
}
