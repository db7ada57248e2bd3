//! The steps at the portal in front of JSM Cloud.

use super::{PROVIDER, StepFailed, Visitor, expect, start_of};

/// What the colleague has asked, who is in the same organization.
const COLLEAGUES_REQUEST: &str = "The invoice shows the old address";
/// Every request that somebody may see.
const ALL_REQUESTS: &str = "/servicedesk/customer/user/requests?reporter=all";

impl Visitor {
    pub(super) async fn sees_the_colleagues_request(&self) -> Result<(), StepFailed> {
        let page = self.page(ALL_REQUESTS).await?;
        expect(page.contains(COLLEAGUES_REQUEST), || format!("the list does not show it: {}", start_of(&page)))
    }

    pub(super) async fn sees_no_other_companys_request(&self) -> Result<(), StepFailed> {
        let page = self.page(ALL_REQUESTS).await?;
        expect(!page.contains(COLLEAGUES_REQUEST), || "the list shows another company's request".into())
    }

    /// Signs in, and reads that the portal is not for accounts of this kind.
    pub(super) async fn has_an_atlassian_account(&self, person: &str) -> Result<(), StepFailed> {
        let to_provider = self.is_stopped(PROVIDER).await?;
        let landed = self.sign_in(to_provider, person).await?;
        let answer = self.navigate(&landed).await?;
        let (status, page) = (answer.status(), answer.text().await?);
        let told = status == 403 && page.contains("You already have an Atlassian account");
        expect(told, || format!("the portal answered {status}: {}", start_of(&page)))
    }
}
