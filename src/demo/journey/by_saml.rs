//! The steps of whoever signs in by SAML.

use reqwest::Response;
use reqwest::header::{ACCEPT, ORIGIN};

use super::{DEEP_LINK, StepFailed, Visitor, expect, first, location_of, on_the_way, start_of, unescape};
use crate::demo::saml_provider::SamlProvider;

impl Visitor {
    /// Chooses `person` on the provider's page, and delivers what it says of them.
    async fn delivers(&self, to_provider: String, person: &str) -> Result<Response, StepFailed> {
        let page = self.client.get(&to_provider).send().await?.text().await?;
        let handle = first(&page, r#"name="handle" value="([^"]+)""#)?;
        let action = unescape(&first(&page, r#"<form method="post" action="([^"]+)""#)?);
        let chosen = [("handle", handle.as_str()), ("person", person)];
        let answer = self.client.post(action).form(&chosen).send().await?.text().await?;
        let action = unescape(&first(&answer, r#"<form method="post" action="([^"]+)""#)?);
        let response = unescape(&first(&answer, r#"name="SAMLResponse" value="([^"]+)""#)?);
        let relay_state = unescape(&first(&answer, r#"name="RelayState" value="([^"]+)""#)?);
        let fields = [("SAMLResponse", response), ("RelayState", relay_state)];
        // As a browser sends it: from another site.
        let posted = self.client.post(action).header(ORIGIN, "null").header(ACCEPT, "text/html");
        Ok(posted.header("sec-fetch-site", "cross-site").form(&fields).send().await?)
    }

    pub(super) async fn signs_in_by_saml(&self, to_provider: String, person: &str) -> Result<String, StepFailed> {
        let returned = self.delivers(to_provider, person).await?;
        let location = location_of(&returned);
        let right = returned.status() == 303 && location == DEEP_LINK;
        expect(right, || format!("the assertion consumer service answered {} to {location:?}", returned.status()))?;
        Ok(location)
    }

    pub(super) async fn is_refused_by_saml(&self, to_provider: String, person: &str) -> Result<(), StepFailed> {
        let returned = self.delivers(to_provider, person).await?;
        let status = returned.status();
        expect(status == 403, || format!("the assertion consumer service answered {status}"))
    }

    /// Begins on the portal's page, and goes on to the provider and back.
    pub(super) async fn signs_out_everywhere(&self, provider: &SamlProvider) -> Result<(), StepFailed> {
        let address = format!("{}/.vestibule/sign-out", self.origin);
        let posted = self.client.post(address).header(ORIGIN, &self.origin).header(ACCEPT, "text/html");
        let to_provider = on_the_way(&posted.send().await?.text().await?)?;
        let answer = self.client.get(&to_provider).send().await?;
        let page = self.page(&location_of(&answer)).await?;
        expect(page.contains("It is safe to close this page."), || format!("the page says: {}", start_of(&page)))?;
        expect(provider.signed_in() == 0, || "somebody is still signed in at the provider".into())
    }

    /// Begins on the provider's page, which tells the gateway.
    pub(super) async fn signs_out_at_the_provider(&self, provider: &SamlProvider) -> Result<(), StepFailed> {
        let page = self.client.get(format!("{}/logout", provider.address())).send().await?.text().await?;
        let handle = first(&page, r#"name="handle" value="([^"]+)""#)?;
        let confirm = self.client.post(format!("{}/logout/confirm", provider.address())).form(&[("handle", handle)]);
        let to_us = location_of(&confirm.send().await?);
        let answered = self.navigate(&to_us).await?;
        let (status, back) = (answered.status(), location_of(&answered));
        let right = status == 303 && back.starts_with(&provider.address());
        expect(right, || format!("the single logout service answered {status} to {back:?}"))?;
        let page = self.client.get(back).send().await?.text().await?;
        expect(page.contains("You are signed out everywhere."), || format!("the provider says: {}", start_of(&page)))
    }
}
