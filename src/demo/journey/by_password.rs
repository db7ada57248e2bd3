//! A Cloud portal whose customers have passwords: asked once, and again when it has changed.

use reqwest::Response;
use reqwest::header::{ACCEPT, ORIGIN};

use super::{DEEP_LINK, StepFailed, Visitor, expect, first, location_of, start_of, unescape};
use crate::demo::jsm_cloud::JsmCloud;

const CLAIM: &str = "/.vestibule/password";
const PASSWORD: &str = "what Ana has chosen";

impl Visitor {
    async fn claims(&self, fields: &[(&str, &str)]) -> Result<Response, StepFailed> {
        let call = self.client.post(format!("{}{CLAIM}", self.origin)).header(ORIGIN, &self.origin);
        Ok(call.header(ACCEPT, "text/html").header("sec-fetch-mode", "navigate").form(fields).send().await?)
    }

    /// The page that she wanted leads to the one that asks for the password.
    pub(super) async fn is_asked_for_her_password(&self, says: &str) -> Result<(), StepFailed> {
        let location = location_of(&self.navigate(DEEP_LINK).await?);
        expect(location.starts_with(CLAIM), || format!("{DEEP_LINK} leads to {location:?}"))?;
        let page = self.page(&location).await?;
        expect(page.contains(says) && page.contains("ana@acme.example"), || format!("it says: {}", start_of(&page)))
    }

    /// The site sends its mail, whose link leads to the site itself; there she chooses a password.
    pub(super) async fn chooses_a_password_by_mail(&self, jsm: &JsmCloud) -> Result<(), StepFailed> {
        let answer = self.claims(&[("mail", "yes"), ("next", DEEP_LINK)]).await?;
        expect(answer.status() == 200, || format!("asking for the mail was answered {}", answer.status()))?;
        let mail = jsm.last_mail_to("ana@acme.example");
        let mail = mail.ok_or_else(|| StepFailed::Unexpected("no mail was sent".into()))?;
        let page = self.client.get(mail.link).send().await?.text().await?;
        let action = unescape(&first(&page, r#"<form class="card narrow" method="post" action="([^"]+)""#)?);
        let token = first(&page, r#"name="atl_token" value="([^"]+)""#)?;
        let chosen = self.client.post(action).form(&[("password", PASSWORD), ("atl_token", &token)]).send().await?;
        expect(chosen.status().is_redirection(), || format!("the site answered {}", chosen.status()))
    }

    pub(super) async fn gives_the_password(&self, password: Option<&str>) -> Result<String, StepFailed> {
        let password = password.unwrap_or(PASSWORD);
        let answer = self.claims(&[("password", password), ("next", DEEP_LINK)]).await?;
        let right = answer.status() == 303 && location_of(&answer) == DEEP_LINK;
        expect(right, || format!("giving the password was answered {}", answer.status()))?;
        Ok(DEEP_LINK.to_owned())
    }
}
