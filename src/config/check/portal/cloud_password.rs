//! Customer sessions at Cloud by the customer's password.

use std::path::PathBuf;

use super::cloud::Shared;
use crate::config::check::{Check, all, minutes, seconds};
use crate::config::raw::{RawCloudPassword, RawPasswordHook, RawPasswordLogin, RawPasswordMail, RawPortal};
use crate::config::tree::Place;
use crate::portal::settings::{CloudPasswordSettings, DirectorySettings, HookSettings, PasswordLogin, PasswordMail};

/// Where the login page of a site asks for the mail.
const FORGOT_PASSWORD: &str = "/rest/servicedesk/1/customer/pages/user/forgot-password";
/// Arguments of the program.
const MOST_ARGUMENTS: usize = 64;

impl Check<'_> {
    pub(super) fn cloud_password(
        &mut self,
        place: &Place<'_>,
        raw: &RawCloudPassword,
        directory: Option<DirectorySettings>,
        portal: &RawPortal,
    ) -> Option<CloudPasswordSettings> {
        let logins = match &raw.logins {
            None => vec![PasswordLogin::V1, PasswordLogin::V2],
            Some(raw) => raw.iter().map(login).collect(),
        };
        self.some_and_distinct(&place.key("logins"), &logins, "no customer could be logged in");
        let mails = match &raw.mails {
            None => vec![PasswordMail::Invitation, PasswordMail::ForgotPassword],
            Some(raw) => raw.iter().map(mail).collect(),
        };
        let mails_place = place.key("mails");
        self.some_and_distinct(&mails_place, &mails, "no customer could set a password");
        let desks = directory.as_ref().is_none_or(|directory| !directory.service_desks.is_empty());
        if mails == [PasswordMail::Invitation] && !desks {
            let what = "invitation needs a service desk to invite to, and directory.service_desks is empty";
            self.fault(&mails_place, what, "name one there, or use forgot_password");
        }
        let forgot = raw.forgot_password_path.as_deref().unwrap_or(FORGOT_PASSWORD);
        let forgot_password_path = self.path_of_a_site(&place.key("forgot_password_path"), forgot);
        let hook = match &raw.password_hook {
            None => Some(None),
            Some(raw) => self.hook(&place.key("password_hook"), raw).map(Some),
        };
        let shared = Shared {
            portal,
            other_accounts: raw.other_accounts,
            site_address: raw.site_address.as_ref(),
            max_age: raw.max_age.as_ref(),
            concurrency: raw.concurrency,
            call_timeout: raw.call_timeout.as_ref(),
        };
        let site = self.cloud_site(place, shared, directory);
        Some(CloudPasswordSettings {
            site: site?,
            logins,
            mails,
            forgot_password_path: forgot_password_path?,
            hook: hook?,
        })
    }

    fn some_and_distinct<T: Ord + Copy>(&mut self, place: &Place<'_>, items: &[T], otherwise: &str) {
        if items.is_empty() {
            self.fault(place, format!("is empty: {otherwise}"), "name at least one, or remove the key");
        }
        let items: Vec<_> = items.iter().copied().map(Some).collect();
        self.distinct(place, &items);
    }

    /// A path below the site's address, without query.
    fn path_of_a_site(&mut self, place: &Place<'_>, text: &str) -> Option<String> {
        let text = self.token(place, text, 1000)?;
        if !text.starts_with('/') || text.starts_with("//") || text.contains(['?', '#', '\\', '%']) {
            self.fault(place, "is not a path", "such as /rest/servicedesk/1/…, without a host and without a query");
            return None;
        }
        Some(text)
    }

    fn hook(&mut self, place: &Place<'_>, raw: &RawPasswordHook) -> Option<HookSettings> {
        let program_place = place.key("program");
        let program = self.text(&program_place, &raw.program, 4096).map(PathBuf::from);
        let absolute = program.as_ref().is_none_or(|program| program.is_absolute());
        if !absolute {
            self.fault(&program_place, "is not an absolute path", "such as /usr/local/bin/jsm-password");
        }
        let list = place.key("arguments");
        let given = raw.arguments.as_deref().unwrap_or_default();
        if given.len() > MOST_ARGUMENTS {
            self.fault(&list, format!("has {} arguments", given.len()), format!("at most {MOST_ARGUMENTS}"));
        }
        let arguments: Vec<_> =
            given.iter().enumerate().map(|(index, argument)| self.text(&list.index(index), argument, 4096)).collect();
        let timeout = self.duration(&place.key("timeout"), raw.timeout.as_ref(), seconds(10), seconds(1)..=minutes(1));
        let given = raw.concurrency.and_then(|count| usize::try_from(count).ok());
        let concurrency = self.count(&place.key("concurrency"), given, 4, 1..=64);
        Some(HookSettings {
            program: program.filter(|_| absolute)?,
            arguments: all(arguments)?,
            timeout: timeout?,
            concurrency: concurrency?,
        })
    }
}

fn login(raw: &RawPasswordLogin) -> PasswordLogin {
    match raw {
        RawPasswordLogin::V1 => PasswordLogin::V1,
        RawPasswordLogin::V2 => PasswordLogin::V2,
    }
}

fn mail(raw: &RawPasswordMail) -> PasswordMail {
    match raw {
        RawPasswordMail::Invitation => PasswordMail::Invitation,
        RawPasswordMail::ForgotPassword => PasswordMail::ForgotPassword,
    }
}
