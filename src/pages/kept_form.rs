//! The pages around a kept form. They say that it is there, and nothing of what it says.

use std::time::Duration;

use askama::Template;
use http::StatusCode;

use super::notice::Moment;
use super::post_on::{SCRIPT, with_script};
use super::{FormTargets, Frame, Site, render};
use crate::clock::Timestamp;
use crate::refusal::Later;
use crate::reply::Reply;

/// The field that names the form that is to be dropped.
pub const HANDLE_FIELD: &str = "form";
/// Where that form is sent.
const DROP: &str = "/.vestibule/kept/drop";

/// A kept form, as the page about it tells of it.
#[derive(Clone, Copy, Debug)]
pub struct KeptPage<'a> {
    /// Where it is sent again: a path of this host.
    pub address: &'a str,
    /// Its handle.
    pub handle: &'a str,
    /// When it was kept.
    pub at: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Whether it is sent without a further click.
    pub by_itself: bool,
}

#[derive(Template)]
#[template(path = "kept_form_waits.html")]
struct Waits<'a> {
    frame: Frame<'a>,
    sign_in: &'a str,
    until: Moment,
}

#[derive(Template)]
#[template(path = "send_kept_form.html")]
struct Send<'a> {
    frame: Frame<'a>,
    page: KeptPage<'a>,
    at: Moment,
    until: Moment,
    script: &'static str,
}

/// Says that what was written is kept, and until when, and leads on to `sign_in`, a path of this host, after a moment.
pub fn kept_form_waits(site: &Site<'_>, sign_in: &str, until: Timestamp) -> Reply {
    let frame = Frame::of(site, |texts| texts.kept_form.waits_title);
    let page = Waits { frame, sign_in, until: minute_before(until) };
    render(StatusCode::OK, &page, &FormTargets::ours())
}

/// Sends a kept form, by itself or when the visitor says so.
pub fn send_kept_form(site: &Site<'_>, page: &KeptPage<'_>) -> Reply {
    let title = if page.by_itself {
        |t: &'static super::texts::Texts| t.kept_form.send_title
    } else {
        |t: &'static super::texts::Texts| t.kept_form.ask_title
    };
    let (at, until) = (moment(page.at), minute_before(page.until));
    let filled = Send { frame: Frame::of(site, title), page: *page, at, until, script: SCRIPT };
    let reply = render(StatusCode::OK, &filled, &FormTargets::ours());
    // The upstream's answer may lead elsewhere, as it might have from its own page.
    with_script(reply)
}

fn moment(at: Timestamp) -> Moment {
    Moment::of(Later::new(at, at))
}

/// A moment is rounded up to the minute: what ends then has to be told a minute less.
fn minute_before(at: Timestamp) -> Moment {
    moment(at.before(Duration::from_secs(60)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Language;

    #[test]
    fn a_form_of_a_person_is_sent_by_itself_and_a_scripts_call_is_not() {
        let site = Site { name: Some("support.acme.com"), language: Language::English, look: None };
        let (at, evil) = (Timestamp::from_seconds(1_764_099_000), "/a?b=1&c=\"><script>alert(1)</script>");
        let mut page = KeptPage { address: evil, handle: "h", at, until: at, by_itself: true };
        for (by_itself, scripts) in [(true, 1), (false, 0)] {
            page.by_itself = by_itself;
            let html = String::from_utf8(send_kept_form(&site, &page).body().to_vec()).unwrap();
            assert_eq!(html.matches("<script>").count(), scripts, "{html}");
            assert!(html.contains("action=\"/a?b=1&#38;c=&#34;&#62;&#60;script"), "{html}");
            assert!(html.contains("name=\"form\" value=\"h\"") && html.contains("19:30 UTC"), "{html}");
        }
    }
}
