//! What the browser shows when the gateway itself speaks.
//!
//! Owns the templates, their words and their look. Trusts only what a caller hands over, and escapes all of it: no page
//! reads a request. Carries nothing from elsewhere, and no script but the constant lines of a few pages, each allowed by its
//! hash ([`post_on()`], [`send_kept_form()`], [`waits_for_tab()`], [`signed_in()`]), so that the strictest content security policy holds.

mod assets;
mod form_targets;
mod hand_over;
mod in_page;
mod kept_form;
mod local_href;
mod look;
mod notice;
mod other_tab;
mod password;
mod post_on;
mod sign_in;
mod sign_out;
pub mod texts;
mod trial;
mod wants;

pub use assets::{ASSETS, asset};
pub use form_targets::FormTargets;
pub use hand_over::hand_over;
pub use in_page::{InPageScript, in_page_script, in_page_tag, signed_in};
pub use kept_form::{HANDLE_FIELD, KeptPage, kept_form_waits, send_kept_form};
pub use local_href::{InvalidLocalHref, LocalHref};
pub use look::Look;
pub use notice::{Actions, Form, Notice, Retry, SiteLink, Ways, refusal, refusal_json};
pub use other_tab::waits_for_tab;
pub use password::{CLAIM_PASSWORD, Claim, ClaimSaid, MAIL_FIELD, NEXT_FIELD, PASSWORD_FIELD, claim_password};
pub use post_on::post_on;
pub use sign_in::{Choice, EmailProblem, ask_email, choose_provider, go_on};
pub use sign_out::{ProviderSession, sign_out, signed_out};
pub use texts::{Explanation, Language};
pub use trial::{PORTAL_FIELD, TEST_SIGN_IN, TrialChoice, prepare_trial, trial, trial_gone, tried};
pub use wants::{Wants, wants_page};

use askama::Template;
use http::StatusCode;
use http::header::CONTENT_SECURITY_POLICY;

use crate::portal::settings::Support;
use crate::reply::Reply;
use texts::Texts;

/// Where the forms of [`choose_provider`] and [`ask_email`] are sent, with POST.
pub const SIGN_IN: &str = "/.vestibule/sign-in";

/// Where the form of [`sign_out`] is sent, with POST.
pub const SIGN_OUT: &str = "/.vestibule/sign-out";

/// The hidden field that carries the handle of a pending sign-in.
pub const TRANSACTION_FIELD: &str = "transaction";

/// The button that carries the provider's name.
pub const PROVIDER_FIELD: &str = "provider";

/// The field that carries the visitor's e-mail address.
pub const EMAIL_FIELD: &str = "email";

/// Whose page it is, and in which language.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The portal's host, as configured; `None` when the request named no portal of ours.
    pub name: Option<&'a str>,
    /// The language of the texts.
    pub language: Language,
    /// The portal's own look, where it has one.
    pub look: Option<&'a Look>,
}

/// What the layout around every page needs.
struct Frame<'a> {
    title: &'static str,
    site_name: Option<&'a str>,
    texts: &'static Texts,
    stylesheet: &'static str,
    icon: &'static str,
    look: Option<&'a Look>,
}

impl<'a> Frame<'a> {
    fn of(site: &Site<'a>, title: fn(&'static Texts) -> &'static str) -> Self {
        let texts = site.language.texts();
        Self {
            title: title(texts),
            site_name: site.look.and_then(Look::name).or(site.name),
            texts,
            stylesheet: assets::stylesheet_path(),
            icon: assets::icon_path(),
            look: site.look,
        }
    }
}

impl Frame<'_> {
    fn logo(&self) -> Option<String> {
        self.look?.logo_path()
    }

    fn support(&self) -> Option<&Support> {
        self.look?.support()
    }

    fn welcome(&self) -> Option<&str> {
        self.look?.welcome()
    }
}

/// Fills a template, and allows its forms to end at `targets`.
fn render(status: StatusCode, template: &impl Template, targets: &FormTargets) -> Reply {
    match template.render() {
        Ok(html) => Reply::page(status, html).with_header(CONTENT_SECURITY_POLICY, targets.policy()),
        // Only an out-of-order template gets here; a refusal keeps its status, and "all is well" may not be said.
        Err(_) if status.is_success() => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made."),
        Err(_) => Reply::text(status, status.canonical_reason().unwrap_or("This page could not be made.")),
    }
}

#[cfg(test)]
mod tests;
