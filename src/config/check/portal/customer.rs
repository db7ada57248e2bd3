//! Customers and their sessions at the upstream.

use crate::config::check::{Check, days, minutes, seconds};
use crate::config::raw::{DurationText, RawDataCenter, RawLogin, RawPortal};
use crate::config::tree::Place;
use crate::portal::settings::{
    AccountsSettings, CustomerSessionSettings, DataCenterLogin, DataCenterSettings, DirectorySettings, Product,
};

mod elsewhere;
mod redirect;
mod trusted_jwt;

impl Check<'_> {
    pub(super) fn customer_session(&mut self, place: &Place<'_>, raw: &RawPortal) -> Option<CustomerSessionSettings> {
        let session_place = place.key("customer_session");
        let directory_place = place.key("directory");
        let chosen = &raw.customer_session;
        if chosen.none.is_some() {
            if raw.directory.is_some() && !self.report.is_broken(&session_place) {
                let what = "nothing uses it: customer_session is none";
                self.fault(&directory_place, what, "remove it, or choose customer_session: datacenter");
            }
            return Some(CustomerSessionSettings::None);
        }
        if let Some(data_center) = &chosen.datacenter {
            let directory = self.needed_directory(place, raw, "datacenter", Product::DataCenter);
            let settings = self.data_center(&session_place.key("datacenter"), data_center, directory)?;
            return Some(CustomerSessionSettings::DataCenter(Box::new(settings)));
        }
        if let Some(cloud) = &chosen.cloud_saml {
            let directory = self.needed_directory(place, raw, "cloud_saml", Product::Cloud);
            let settings = self.cloud_saml(&session_place.key("cloud_saml"), cloud, directory, raw)?;
            return Some(CustomerSessionSettings::CloudSaml(Box::new(settings)));
        }
        if let Some(cloud) = &chosen.cloud_password {
            let directory = self.needed_directory(place, raw, "cloud_password", Product::Cloud);
            let settings = self.cloud_password(&session_place.key("cloud_password"), cloud, directory, raw)?;
            return Some(CustomerSessionSettings::CloudPassword(Box::new(settings)));
        }
        if let Some(trusted) = &chosen.trusted_jwt {
            let settings = self.trusted_jwt(place, &session_place.key("trusted_jwt"), trusted, raw)?;
            return Some(CustomerSessionSettings::TrustedJwt(Box::new(settings)));
        }
        if let Some(redirect) = &chosen.redirect {
            let settings = self.redirect(place, &session_place.key("redirect"), redirect, raw)?;
            return Some(CustomerSessionSettings::Redirect(Box::new(settings)));
        }
        // Not chosen at all: `structure` has said so. The directory is looked at all the same.
        if let Some(directory) = &raw.directory {
            self.directory(&directory_place, directory, &raw.sign_in.providers, None);
        }
        None
    }

    /// The directory of a kind of customer session that has no use without one.
    fn needed_directory(
        &mut self,
        place: &Place<'_>,
        raw: &RawPortal,
        kind: &str,
        product: Product,
    ) -> Option<DirectorySettings> {
        let directory_place = place.key("directory");
        let token_place = directory_place.key("site_token");
        if raw.directory.as_ref().is_none_or(|directory| directory.site_token.is_none())
            && !self.report.is_broken(&token_place)
        {
            let what = format!("{kind} needs an account to find and make customers with");
            let user = if product == Product::Cloud { "user: bot@acme.com, " } else { "" };
            let cure = format!(
                "add directory.site_token, such as directory: {{site_token: {{{user}token: {{env: JSM_TOKEN}}}}}}"
            );
            self.fault(&place.key("customer_session"), what, cure);
        }
        let directory = raw.directory.as_ref()?;
        self.directory(&directory_place, directory, &raw.sign_in.providers, Some(product))
    }

    /// The accounts of a kind of customer session that needs none to log in; `place` is the portal's.
    fn accounts(
        &mut self,
        place: &Place<'_>,
        kind: &Place<'_>,
        raw: &RawPortal,
        product: Product,
        concurrency: Option<u32>,
        call_timeout: Option<&DurationText>,
    ) -> Option<Option<AccountsSettings>> {
        let given = concurrency.and_then(|count| usize::try_from(count).ok());
        let concurrency = self.count(&kind.key("concurrency"), given, 8, 1..=256);
        let call_timeout = self.duration(&kind.key("call_timeout"), call_timeout, seconds(10), seconds(1)..=minutes(5));
        let Some(raw_directory) = &raw.directory else {
            return concurrency.and(call_timeout).map(|_| None);
        };
        let directory_place = place.key("directory");
        if raw_directory.site_token.is_none() && !self.report.is_broken(&directory_place.key("site_token")) {
            let what = "has no account to find and make customers with";
            self.fault(&directory_place, what, "add site_token, or remove directory: then nobody is provisioned");
        }
        let directory = self.directory(&directory_place, raw_directory, &raw.sign_in.providers, Some(product));
        Some(Some(AccountsSettings { directory: directory?, concurrency: concurrency?, call_timeout: call_timeout? }))
    }

    fn data_center(
        &mut self,
        place: &Place<'_>,
        raw: &RawDataCenter,
        directory: Option<DirectorySettings>,
    ) -> Option<DataCenterSettings> {
        let logins_place = place.key("logins");
        let logins: Vec<_> = match &raw.logins {
            None => vec![DataCenterLogin::RestSession, DataCenterLogin::PortalForm, DataCenterLogin::Tsv],
            Some(raw) => raw.iter().map(login).collect(),
        };
        if logins.is_empty() {
            self.fault(
                &logins_place,
                "is empty: no customer could be logged in",
                "name at least one, or remove the key",
            );
        }
        let names: Vec<_> = logins.iter().map(|login| Some(format!("{login:?}"))).collect();
        self.distinct(&logins_place, &names);
        let managed_group = match &raw.managed_group {
            Some(group) => self.text(&place.key("managed_group"), group, 255).map(Some),
            None => Some(None),
        };
        let max_age =
            self.duration(&place.key("max_age"), raw.max_age.as_ref(), minutes(4 * 60), minutes(1)..=days(30));
        let given = raw.concurrency.and_then(|count| usize::try_from(count).ok());
        let concurrency = self.count(&place.key("concurrency"), given, 8, 1..=256);
        let call_timeout =
            self.duration(&place.key("call_timeout"), raw.call_timeout.as_ref(), seconds(10), seconds(1)..=minutes(5));
        Some(DataCenterSettings {
            directory: directory?,
            logins,
            managed_group: managed_group?,
            max_age: max_age?,
            concurrency: concurrency?,
            call_timeout: call_timeout?,
        })
    }
}

fn login(raw: &RawLogin) -> DataCenterLogin {
    match raw {
        RawLogin::RestSession => DataCenterLogin::RestSession,
        RawLogin::PortalForm => DataCenterLogin::PortalForm,
        RawLogin::Tsv => DataCenterLogin::Tsv,
    }
}
