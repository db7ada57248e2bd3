//! The mails of the site by which a customer sets a password: the documented invitation, and what the site's own login page
//! asks for when somebody has forgotten theirs, which nobody has documented.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use super::ByPassword;
use crate::customer::cloud::CloudAccounts;
use crate::customer::cloud::site::CloudSite;
use crate::customer::directory::shown;
use crate::customer::upstream::json_body;
use crate::customer::{BrokerFailed, Customer, UpstreamFailed};
use crate::email::EmailAddress;
use crate::http_client::Call;
use crate::portal::settings::PasswordMail;

impl ByPassword {
    /// Asks for a mail, in the configured order; whoever had a password before is asked about that first. Which one was
    /// taken, if any.
    pub(super) async fn ask_for_mail(
        &self,
        site: &CloudSite,
        customer: &Customer,
        name: &str,
        stale: bool,
        deadline: Instant,
    ) -> Result<Option<PasswordMail>, BrokerFailed> {
        let mut mails = self.settings.mails.clone();
        mails.sort_by_key(|mail| stale && *mail != PasswordMail::ForgotPassword);
        let mut failed = None;
        for mail in mails {
            let asked = match mail {
                PasswordMail::Invitation => self.accounts.invite(customer.address(), name, deadline).await,
                PasswordMail::ForgotPassword => self.forgot(site, customer, deadline).await,
            };
            match asked {
                Ok(true) => return Ok(Some(mail)),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(?mail, %error, "the upstream was asked for a mail to a customer, and failed");
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(None), |failed| Err(failed.into()))
    }

    /// The site does not tell whether there is such a customer: that it took the call is all that can be known.
    async fn forgot(&self, site: &CloudSite, customer: &Customer, deadline: Instant) -> Result<bool, UpstreamFailed> {
        let mut url = site.url().clone();
        url.set_path(&self.settings.forgot_password_path);
        let body = json_body(&json!({ "email": customer.address().as_str() }));
        let call = Call::post(url, "application/json", body).accepting("application/json");
        let answer = site.send(call, deadline).await?;
        match answer.status {
            status if status.is_success() && answer.media_type() != "text/html" => Ok(true),
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST => {
                Ok(false)
            }
            status if status.is_redirection() || answer.media_type() == "text/html" => {
                Err(UpstreamFailed::HtmlInsteadOfJson)
            }
            _ => Err(UpstreamFailed::Unexpected("send somebody the mail for a forgotten password")),
        }
    }
}

impl CloudAccounts {
    /// Invites a customer to the first service desk: they get a mail. False when the site does not want to.
    async fn invite(&self, email: &EmailAddress, name: &str, deadline: Instant) -> Result<bool, UpstreamFailed> {
        let Some(desk) = self.desks.first() else { return Ok(false) };
        let url = self.upstream.url(&["rest", "servicedeskapi", "servicedesk", desk, "customer", "invite"]);
        let name = shown(name);
        let name = if name.is_empty() { email.as_str() } else { &name };
        let body = json_body(&json!({ "email": email.as_str(), "displayName": name }));
        let answer = self.upstream.service(Method::POST, url, Some(body), deadline).await?;
        Ok(answer.status.is_success())
    }
}
