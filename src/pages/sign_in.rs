//! The pages on the way to an identity provider.

use askama::Template;
use http::StatusCode;
use url::Url;

use super::other_tab::{watch, with_watch};
use super::{EMAIL_FIELD, FormTargets, Frame, LocalHref, PROVIDER_FIELD, SIGN_IN, Site, TRANSACTION_FIELD, render};
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
    watch: String,
}

#[derive(Template)]
#[template(path = "ask_email.html")]
struct AskEmail<'a> {
    frame: Frame<'a>,
    transaction: &'a str,
    email: &'a str,
    problem: Option<&'static str>,
    watch: String,
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
/// redirects to them; `next`, if it is told, is where the page goes on by itself when the visitor has signed in in another tab.
pub fn choose_provider(
    site: &Site<'_>,
    choices: &[Choice<'_>],
    transaction: &str,
    targets: &FormTargets,
    next: Option<&LocalHref>,
) -> Reply {
    let frame = Frame::of(site, |t| t.choose.title);
    let page = ChooseProvider { frame, choices, transaction, watch: watch(next) };
    watching(render(StatusCode::OK, &page, targets), next)
}

fn watching(reply: Reply, next: Option<&LocalHref>) -> Reply {
    if next.is_some() { with_watch(reply) } else { reply }
}

/// Asks for the e-mail address whose domain tells the provider (home-realm discovery); sent to [`SIGN_IN`].
///
/// With a `problem`, `email` is what was entered, so that it can be mended; otherwise it may be empty. `next` as for
/// [`choose_provider`].
pub fn ask_email(
    site: &Site<'_>,
    transaction: &str,
    email: &str,
    problem: Option<EmailProblem>,
    targets: &FormTargets,
    next: Option<&LocalHref>,
) -> Reply {
    let frame = Frame::of(site, |t| t.email.title);
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let problem = problem.map(|problem| match problem {
        EmailProblem::NotAnAddress => frame.texts.email.not_an_address,
        EmailProblem::NoProvider => frame.texts.email.no_provider,
    });
    let page = AskEmail { frame, transaction, email, problem, watch: watch(next) };
    watching(render(status, &page, targets), next)
}

/// Sends the browser to a provider from a page instead of by a redirect, for answers to forms: see [`FormTargets`].
pub fn go_on(site: &Site<'_>, destination: &Url) -> Reply {
    let web = matches!(destination.scheme(), "http" | "https"); // never a script
    let destination = if web { destination.as_str() } else { "/" };
    render(StatusCode::OK, &GoOn { frame: Frame::of(site, |t| t.go_on.title), destination }, &FormTargets::ours())
}
