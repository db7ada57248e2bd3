//! Settings of `redirect`: people who have signed in here go on at the site itself.

use url::Url;

use super::{AccountsSettings, Product};

/// Visitors are handed over to the site's own pages.
#[derive(Clone, Debug, PartialEq)]
pub struct RedirectSettings {
    /// The origin that browsers know the site by; no path.
    pub address: Url,
    /// Cloud or Data Center.
    pub product: Product,
    /// People whose account there is more than a customer's.
    pub other_accounts: OtherAccounts,
    /// Accounts, where customers are provisioned.
    pub accounts: Option<AccountsSettings>,
}

/// What becomes of people whose account at the site is more than a customer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherAccounts {
    /// They are told so, and stay here.
    Refuse,
    /// They are handed over like everybody else; nothing is done for their account.
    HandOver,
}
