//! The page about what was kept: it waits for a sign-in, it is sent, it is dropped.

use std::sync::Arc;

use super::{page_site, start_of};
use crate::pages::{self, HANDLE_FIELD, KeptPage};
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::answer::Form;
use crate::proxy::kept::{address_of, page_of};
use crate::proxy::site::Site;
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;
use crate::session::{FormHandle, KeptForm, PersonMark, SentBy};
use crate::sign_in::NextUrl;
use crate::sign_in::next_url::KEPT_FORMS;
use crate::telemetry::Outcome;

/// Where the form of the page is sent that drops what was kept.
pub(super) const DROP: &str = "/.vestibule/kept/drop";

/// The handle that a path names.
pub(super) fn handle_of(path: &str) -> Option<FormHandle> {
    FormHandle::parse(path.strip_prefix(KEPT_FORMS)?)
}

impl Gateway {
    /// Shows what becomes of a kept form, as things stand now.
    pub(super) async fn show_kept(
        &self,
        handle: &FormHandle,
        site: &Arc<Site>,
        visitor: &Visitor,
    ) -> Result<Verdict, Refusal> {
        let browser = visitor.known.as_ref().ok_or(Reason::FormGone)?;
        let form = self.find_kept(handle, browser, site).await?.ok_or(Reason::FormGone)?;
        let answered = |reply| Ok(Verdict::Reply(Outcome::Answered, reply));
        let Some(session) = &visitor.session else {
            let page = pages::kept_form_waits(
                &page_site(site),
                &format!("/.vestibule/sign-in?kept={}", handle.reveal()),
                form.until,
            );
            return Ok(Verdict::Reply(Outcome::SentToSignIn, page));
        };
        if form.person != PersonMark::of(session.identity()) {
            return Err(self.drop_of_another(handle, site).await);
        }
        answered(pages::send_kept_form(
            &page_site(site),
            &KeptPage {
                address: &address_of(&form.target, handle),
                handle: handle.reveal(),
                at: form.at,
                until: form.until,
                by_itself: form.sent_by == SentBy::Person,
            },
        ))
    }

    /// Drops a kept form, and leads back to the page that it came from.
    pub(super) async fn drop_kept(&self, posted: &Form, site: &Site, visitor: &Visitor) -> Result<Verdict, Refusal> {
        let handle = posted.field(HANDLE_FIELD).and_then(FormHandle::parse).ok_or(Reason::FormGone)?;
        let browser = visitor.known.as_ref().ok_or(Reason::FormGone)?;
        let form = self.find_kept(&handle, browser, site).await?.ok_or(Reason::FormGone)?;
        if self.take(&handle).await?.is_some() {
            self.metrics.form_kept(site.settings.host.as_str(), "dropped");
        }
        let back = came_from(&form, site).unwrap_or_else(|| start_of(site));
        Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(back.as_str())))
    }
}

/// The page that it was sent from.
fn came_from(form: &KeptForm, site: &Site) -> Option<NextUrl> {
    let (_, referer) = form.fields.iter().find(|(name, _)| name == "referer")?;
    let path = std::str::from_utf8(referer).ok()?.strip_prefix(site.settings.public_origin.as_str())?;
    NextUrl::parse(path).ok()
}

/// Where somebody goes on who signs in to have a kept form sent.
pub(super) fn next_of_kept(handle: &str) -> Option<NextUrl> {
    let handle = FormHandle::parse(handle)?;
    NextUrl::kept_form(&page_of(&handle))
}
