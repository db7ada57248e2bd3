//! Settings of `redirect`: people who have signed in here go on at the site itself.

use url::Url;

use super::{AccountsSettings, Product};

/// Visitors are handed over to the site's own pages.
#[derive(Clone, Debug, PartialEq)]
pub struct RedirectSettings {
    /// Where they go on, and what becomes of people whose account there is more than a customer's.
    pub elsewhere: Elsewhere,
    /// Cloud or Data Center.
    pub product: Product,
    /// Accounts, where customers are provisioned.
    pub accounts: Option<AccountsSettings>,
}

/// Where the site itself is for people whose account there is more than a customer's.
#[derive(Clone, Debug, PartialEq)]
pub struct Elsewhere {
    /// The origin that browsers know the site by; no path.
    pub address: Url,
    /// What becomes of them here.
    pub other_accounts: OtherAccounts,
}

/// What becomes of people whose account at the site is more than a customer's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtherAccounts {
    /// They are told so, and stay here.
    Refuse,
    /// They are told so, by a page with a link to the site itself.
    #[default]
    Offer,
    /// They are handed over like everybody else; nothing is done for their account.
    HandOver,
}
