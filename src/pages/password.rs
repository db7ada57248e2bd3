//! The page on which a customer gives the password that they have at the support desk, once.

use askama::Template;
use http::StatusCode;

use super::notice::Moment;
use super::texts::Texts;
use super::{FormTargets, Frame, SIGN_OUT, Site, render};
use crate::refusal::Later;
use crate::reply::Reply;

/// Where the forms of [`claim_password`] are sent, with POST.
pub const CLAIM_PASSWORD: &str = "/.vestibule/password";

/// The hidden field that carries where the visitor wanted to go.
pub const NEXT_FIELD: &str = "next";

/// The button that asks for the mail.
pub const MAIL_FIELD: &str = "mail";

/// The field that carries the password.
pub const PASSWORD_FIELD: &str = "password";

/// What the page says of the step before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimSaid {
    /// Nothing: it is shown for the first time.
    Nothing,
    /// The mail was asked for.
    Mailed,
    /// The support desk sends no mail now.
    NotMailed,
    /// So many mails were asked for already.
    TooManyMails(Later),
    /// The support desk does not take the password.
    Wrong,
    /// So many wrong passwords were given already.
    TooManyTries(Later),
    /// What was entered cannot be a password.
    NoPassword,
}

/// What the page is about.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The address that the account has at the support desk: the mail goes there.
    pub email: &'a str,
    /// Whether a password was given before, and is not taken any more.
    pub stale: bool,
    /// Where the visitor wanted to go: a path on this host.
    pub next: &'a str,
    /// What it says of the step before.
    pub said: ClaimSaid,
}

#[derive(Template)]
#[template(path = "claim_password.html")]
struct ClaimPassword<'a> {
    frame: Frame<'a>,
    lead: &'static str,
    email: &'a str,
    next: &'a str,
    mail_button: &'static str,
    /// Whether the next thing to do is to enter it, and not to ask for a mail.
    enter: bool,
    wrong: bool,
    said: Option<&'static str>,
    problem: Option<&'static str>,
    later: Option<Moment>,
}

/// Asks for the password that the customer has at the support desk, and offers the mail by which they set one. Both forms
/// are sent to [`CLAIM_PASSWORD`]. What was entered is never shown again.
pub fn claim_password(site: &Site<'_>, claim: &Claim<'_>) -> Reply {
    let frame = Frame::of(site, if claim.stale { |texts| texts.claim.title_stale } else { |texts| texts.claim.title });
    let texts: &Texts = frame.texts;
    let words = &texts.claim;
    let (status, problem, later) = match claim.said {
        ClaimSaid::Nothing | ClaimSaid::Mailed => (StatusCode::OK, None, None),
        ClaimSaid::NotMailed => (StatusCode::SERVICE_UNAVAILABLE, Some(words.not_mailed), None),
        ClaimSaid::TooManyMails(later) => (StatusCode::TOO_MANY_REQUESTS, Some(words.too_many_mails), Some(later)),
        ClaimSaid::Wrong => (StatusCode::UNPROCESSABLE_ENTITY, Some(words.wrong), None),
        ClaimSaid::TooManyTries(later) => (StatusCode::TOO_MANY_REQUESTS, Some(words.too_many_tries), Some(later)),
        ClaimSaid::NoPassword => (StatusCode::UNPROCESSABLE_ENTITY, Some(words.no_password), None),
    };
    let mailed = claim.said == ClaimSaid::Mailed;
    let page = ClaimPassword {
        lead: if claim.stale { words.lead_stale } else { words.lead },
        email: claim.email,
        next: claim.next,
        mail_button: if mailed { words.mail_again } else { words.mail_button },
        enter: matches!(claim.said, ClaimSaid::Mailed | ClaimSaid::Wrong | ClaimSaid::NoPassword)
            || claim.stale && claim.said == ClaimSaid::Nothing,
        wrong: matches!(claim.said, ClaimSaid::Wrong | ClaimSaid::NoPassword),
        said: mailed.then_some(words.mailed),
        problem,
        later: later.map(Moment::of),
        frame,
    };
    super::notice::retry_after(render(status, &page, &FormTargets::ours()), later)
}
