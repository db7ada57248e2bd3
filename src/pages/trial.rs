//! The pages around test sign-ins: for the operator on the admin listener, and for the browser that walked one.

use askama::Template;
use http::StatusCode;

use super::{FormTargets, Frame, Language, PROVIDER_FIELD, Site, render};
use crate::reply::Reply;
use crate::sign_in::VerifiedIdentity;
use crate::sign_in::trial::{Refused, Report, Trial, TrialState};

/// Where the form of [`prepare_trial`] is sent, with POST, and below which each test sign-in has its page. On the admin
/// listener.
pub const TEST_SIGN_IN: &str = "/test-sign-in";

/// The field that carries the portal's host.
pub const PORTAL_FIELD: &str = "portal";

/// A portal, and the providers that may sign people in there.
#[derive(Clone, Debug)]
pub struct TrialChoice {
    /// Its host.
    pub portal: String,
    /// Their names and labels.
    pub providers: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "prepare_trial.html")]
struct Prepare<'a> {
    frame: Frame<'a>,
    choices: &'a [TrialChoice],
}

#[derive(Template)]
#[template(path = "trial_waits.html")]
struct Waits<'a> {
    frame: Frame<'a>,
    trial: &'a Trial,
    /// Absent once it was opened.
    link: Option<String>,
}

#[derive(Template)]
#[template(path = "trial_report.html")]
struct Ended<'a> {
    frame: Frame<'a>,
    trial: &'a Trial,
    report: &'a Report,
    identity: Option<&'a VerifiedIdentity>,
    against: Option<&'a Refused>,
}

#[derive(Template)]
#[template(path = "trial_gone.html")]
struct Gone<'a> {
    frame: Frame<'a>,
}

#[derive(Template)]
#[template(path = "tried.html")]
struct Tried<'a> {
    frame: Frame<'a>,
}

/// Lets the operator choose where to try a sign-in.
pub fn prepare_trial(choices: &[TrialChoice]) -> Reply {
    render(StatusCode::OK, &Prepare { frame: operators("Test a sign-in"), choices }, &FormTargets::ours())
}

/// A test sign-in, as far as it has come. `begin_at` is the public address below which tickets are taken.
pub fn trial(trial: &Trial, begin_at: &str) -> Reply {
    match &trial.state {
        TrialState::Prepared { ticket } => {
            let (frame, link) = (operators("Open this link"), Some(format!("{begin_at}{ticket}")));
            render(StatusCode::OK, &Waits { frame, trial, link }, &FormTargets::ours())
        }
        TrialState::UnderWay { .. } => {
            let frame = operators("The test sign-in is under way");
            render(StatusCode::OK, &Waits { frame, trial, link: None }, &FormTargets::ours())
        }
        TrialState::Ended(ended) => {
            let report = &ended.report;
            let identity = report.outcome.as_deref().ok();
            let (title, against) = match (&report.outcome, &ended.not_admitted) {
                (Ok(_), None) => ("This person would be signed in", None),
                (Ok(_), Some(not_admitted)) => ("This person would not be admitted", Some(not_admitted)),
                (Err(refused), _) => ("This sign-in would be refused", Some(refused)),
            };
            let page = Ended { frame: operators(title), trial, report, identity, against };
            render(StatusCode::OK, &page, &FormTargets::ours())
        }
    }
}

/// No test sign-in has that address, or none any more.
pub fn trial_gone() -> Reply {
    render(StatusCode::NOT_FOUND, &Gone { frame: operators("No such test sign-in") }, &FormTargets::ours())
}

/// Tells the browser that walked a test sign-in that it is over. Nothing of the result: that is the operator's.
pub fn tried(site: &Site<'_>) -> Reply {
    render(StatusCode::OK, &Tried { frame: Frame::of(site, |texts| texts.tried.title) }, &FormTargets::ours())
}

/// The operator's pages speak English, and of no portal.
fn operators(title: &'static str) -> Frame<'static> {
    Frame { title, ..Frame::of(&Site { name: Some("Vestibule"), language: Language::English, look: None }, |_| "") }
}

#[cfg(test)]
mod tests;
