//! The pages on the way to an identity provider.

use askama::Template;
use http::StatusCode;
use url::Url;

use super::{EMAIL_FIELD, FormTargets, Frame, PROVIDER_FIELD, SIGN_IN, Site, TRANSACTION_FIELD, render};
use crate::ids::ProviderName;
use crate::reply::Reply;

/// One identity provider in the list.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Its name: the value of the button.
    pub provider: &'a ProviderName,
    /// What people read.
    pub label: &'a str,
}

/// Why an e-mail address led nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailProblem {
    /// It is not an e-mail address.
    NotAnAddress,
    /// No provider is responsible for its domain.
    NoProvider,
}

#[derive(Template)]
#[template(path = "choose_provider.html")]
struct ChooseProvider<'a> {
    frame: Frame<'a>,
    choices: &'a [Choice<'a>],
    transaction: &'a str,
}

#[derive(Template)]
#[template(path = "ask_email.html")]
struct AskEmail<'a> {
    frame: Frame<'a>,
    transaction: &'a str,
    email: &'a str,
    problem: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "go_on.html")]
struct GoOn<'a> {
    frame: Frame<'a>,
    destination: &'a str,
}

/// The list of providers: one button each, in a form that is sent to [`SIGN_IN`].
///
/// `transaction` is the opaque handle of the pending sign-in; `targets` are the providers, if the answer to the form
/// redirects to them.
pub fn choose_provider(site: &Site<'_>, choices: &[Choice<'_>], transaction: &str, targets: &FormTargets) -> Reply {
    render(
        StatusCode::OK,
        &ChooseProvider { frame: Frame::of(site, |t| t.choose.title), choices, transaction },
        targets,
    )
}

/// Asks for the e-mail address whose domain tells the provider (home-realm discovery); sent to [`SIGN_IN`].
///
/// With a `problem`, `email` is what was entered, so that it can be mended; otherwise it may be empty.
pub fn ask_email(
    site: &Site<'_>,
    transaction: &str,
    email: &str,
    problem: Option<EmailProblem>,
    targets: &FormTargets,
) -> Reply {
    let frame = Frame::of(site, |t| t.email.title);
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let problem = problem.map(|problem| match problem {
        EmailProblem::NotAnAddress => frame.texts.email.not_an_address,
        EmailProblem::NoProvider => frame.texts.email.no_provider,
    });
    render(status, &AskEmail { frame, transaction, email, problem }, targets)
}

/// Sends the browser to a provider from a page instead of by a redirect, for answers to forms: see [`FormTargets`].
pub fn go_on(site: &Site<'_>, destination: &Url) -> Reply {
    let web = matches!(destination.scheme(), "http" | "https"); // never a script
    let destination = if web { destination.as_str() } else { "/" };
    render(StatusCode::OK, &GoOn { frame: Frame::of(site, |t| t.go_on.title), destination }, &FormTargets::ours())
}
