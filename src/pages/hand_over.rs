//! The page on the way to the site itself, where people go on who have signed in here.

use askama::Template;
use http::StatusCode;
use url::Url;

use super::{FormTargets, Frame, Site, render};
use crate::reply::Reply;

#[derive(Template)]
#[template(path = "hand_over.html")]
struct HandOver<'a> {
    frame: Frame<'a>,
    host: &'a str,
    destination: &'a str,
}

/// Says where the visitor goes on, and leads there after a moment.
pub fn hand_over(site: &Site<'_>, destination: &Url) -> Reply {
    let web = matches!(destination.scheme(), "http" | "https"); // never a script
    let (host, destination) = (destination.host_str().unwrap_or_default(), destination.as_str());
    let destination = if web { destination } else { "/" };
    let page = HandOver { frame: Frame::of(site, |texts| texts.hand_over.title), host, destination };
    render(StatusCode::OK, &page, &FormTargets::ours())
}
