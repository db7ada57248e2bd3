//! The pages around signing out.

use askama::Template;
use http::StatusCode;

use super::{FormTargets, Frame, LocalHref, SIGN_OUT, Site, render};
use crate::reply::Reply;

/// What became of the session at the identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderSession {
    /// It ended as well.
    Ended,
    /// It ended as well, but not everybody who was told of it has confirmed.
    EndedPartly,
    /// Nobody ended it: the next sign-in may ask nothing.
    MayContinue,
}

#[derive(Template)]
#[template(path = "sign_out.html")]
struct SignOut<'a> {
    frame: Frame<'a>,
    person: Option<&'a str>,
    fields: &'a [(&'static str, &'a str)],
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOut<'a> {
    frame: Frame<'a>,
    sentence: &'static str,
    sign_in: &'a LocalHref,
}

/// Asks whether to sign out: a link from another site ends nobody's session. The form is sent to [`SIGN_OUT`].
///
/// `person` is who is signed in, as shown; `fields` are hidden fields; `targets` is the provider, if signing out goes on there.
pub fn sign_out(
    site: &Site<'_>,
    person: Option<&str>,
    fields: &[(&'static str, &str)],
    targets: &FormTargets,
) -> Reply {
    render(StatusCode::OK, &SignOut { frame: Frame::of(site, |t| t.sign_out.title), person, fields }, targets)
}

/// Says that the session has ended; `sign_in` is where a new one begins.
pub fn signed_out(site: &Site<'_>, provider_session: ProviderSession, sign_in: &LocalHref) -> Reply {
    let frame = Frame::of(site, |t| t.signed_out.title);
    let sentence = match provider_session {
        ProviderSession::Ended => frame.texts.signed_out.ended,
        ProviderSession::EndedPartly => frame.texts.signed_out.ended_partly,
        ProviderSession::MayContinue => frame.texts.signed_out.may_continue,
    };
    render(StatusCode::OK, &SignedOut { frame, sentence, sign_in }, &FormTargets::ours())
}
