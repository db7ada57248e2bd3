//! Customers and their sessions at the upstream.

use crate::config::check::{Check, all, days, minutes, seconds};
use crate::config::raw::{RawDataCenter, RawDirectory, RawLogin, RawPortal, RawSiteToken};
use crate::config::tree::Place;
use crate::portal::settings::{CustomerSessionSettings, DataCenterLogin, DataCenterSettings, ServiceCredentials};

/// What `directory` says. The account may be missing, which matters to some kinds of customer session only.
struct Directory {
    credentials: Option<ServiceCredentials>,
    create_customers: bool,
    service_desks: Vec<String>,
}

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
        let Some(data_center) = &chosen.datacenter else {
            // Not chosen at all: `structure` has said so. The directory is looked at all the same.
            if let Some(directory) = &raw.directory {
                self.directory(&directory_place, directory);
            }
            return None;
        };
        let token_place = directory_place.key("site_token");
        if raw.directory.as_ref().is_none_or(|directory| directory.site_token.is_none())
            && !self.report.is_broken(&token_place)
        {
            let what = "datacenter needs an account to find and make customers with";
            let cure = "add directory.site_token, such as directory: {site_token: {token: {env: JSM_TOKEN}}}";
            self.fault(&session_place, what, cure);
        }
        let directory = raw.directory.as_ref().and_then(|directory| self.directory(&directory_place, directory));
        let settings = self.data_center(&session_place.key("datacenter"), data_center, directory)?;
        Some(CustomerSessionSettings::DataCenter(settings))
    }

    fn data_center(
        &mut self,
        place: &Place<'_>,
        raw: &RawDataCenter,
        directory: Option<Directory>,
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
        let directory = directory?;
        Some(DataCenterSettings {
            credentials: directory.credentials?,
            logins,
            create_customers: directory.create_customers,
            managed_group: managed_group?,
            service_desks: directory.service_desks,
            max_age: max_age?,
            concurrency: concurrency?,
            call_timeout: call_timeout?,
        })
    }

    fn directory(&mut self, place: &Place<'_>, raw: &RawDirectory) -> Option<Directory> {
        let credentials = raw.site_token.as_ref().and_then(|token| self.credentials(&place.key("site_token"), token));
        let desks_place = place.key("service_desks");
        let desks: Vec<_> = raw
            .service_desks
            .as_deref()
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(index, desk)| self.service_desk(&desks_place.index(index), desk))
            .collect();
        self.distinct(&desks_place, &desks);
        let create_customers = raw.create_customers.unwrap_or(true);
        Some(Directory { credentials, create_customers, service_desks: all(desks)? })
    }

    fn credentials(&mut self, place: &Place<'_>, raw: &RawSiteToken) -> Option<ServiceCredentials> {
        let user = match &raw.user {
            None => Some(None),
            Some(user) => self.user(&place.key("user"), user).map(Some),
        };
        // A Bearer token is a word (RFC 6750, section 2.1); a password may be anything on one line.
        let allowed = if raw.user.is_some() { |_| true } else { |c: char| c.is_ascii_graphic() };
        let token = self.secret(&place.key("token"), &raw.token, allowed)?;
        Some(match user? {
            Some(user) => ServiceCredentials::Basic { user, token },
            None => ServiceCredentials::Bearer(token),
        })
    }

    fn user(&mut self, place: &Place<'_>, user: &str) -> Option<String> {
        let user = self.text(place, user, 255)?;
        if user.contains(':') {
            // RFC 7617, section 2: the first colon ends the user name.
            self.fault(place, "holds a \":\", which Basic authentication cannot carry", "use a personal access token");
            return None;
        }
        Some(user)
    }

    fn service_desk(&mut self, place: &Place<'_>, desk: &str) -> Option<String> {
        let number = (1..=18).contains(&desk.len()) && desk.bytes().all(|b| b.is_ascii_digit());
        if !number {
            let cure = "the number in /rest/servicedeskapi/servicedesk, such as \"10\"";
            self.fault(place, "is not the number of a service desk", cure);
        }
        number.then(|| desk.to_owned())
    }
}

fn login(raw: &RawLogin) -> DataCenterLogin {
    match raw {
        RawLogin::RestSession => DataCenterLogin::RestSession,
        RawLogin::PortalForm => DataCenterLogin::PortalForm,
        RawLogin::Tsv => DataCenterLogin::Tsv,
    }
}
