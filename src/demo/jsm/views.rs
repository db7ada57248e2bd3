//! The insides of the portal's pages.

use super::desk::Desk;
use super::html::escape;
use super::request_form::NewRequest;

/// A card that leads somewhere.
pub struct Card<'a> {
    /// Where it leads.
    pub link: String,
    /// What it is called.
    pub name: &'a str,
    /// What it is for.
    pub about: &'a str,
}

fn cards<'a>(cards: impl Iterator<Item = Card<'a>>) -> String {
    let card = |card: Card<'_>| {
        let (link, name, about) = (escape(&card.link), escape(card.name), escape(card.about));
        format!("<a class=\"card\" href=\"{link}\"><h2>{name}</h2><p>{about}</p></a>")
    };
    format!("<div class=\"cards\">{}</div>", cards.map(card).collect::<String>())
}

/// The list of portals.
pub fn portals<'a>(url: impl Fn(&str) -> String, desks: impl Iterator<Item = &'a Desk>) -> String {
    let card = |desk: &'a Desk| Card {
        link: url(&format!("/servicedesk/customer/portal/{}", desk.id)),
        name: desk.name,
        about: desk.description,
    };
    format!("<h1>How can we help?</h1>{}", cards(desks.map(card)))
}

/// One portal: what can be asked for.
pub fn portal(url: impl Fn(&str) -> String, desk: &Desk) -> String {
    let kinds = desk.request_types.iter().map(|kind| Card {
        link: url(&format!("/servicedesk/customer/portal/{}/create/{}", desk.id, kind.id)),
        name: kind.name,
        about: kind.description,
    });
    let (name, about) = (escape(desk.name), escape(desk.description));
    format!("<h1>{name}</h1><p class=\"lead\">{about}</p>{}", cards(kinds))
}

/// A sentence about what went wrong; nothing for none.
pub fn trouble(sentence: &str) -> String {
    match sentence {
        "" => String::new(),
        sentence => format!("<p class=\"trouble\" role=\"alert\">{}</p>", escape(sentence)),
    }
}

/// The form of a new request.
pub fn request_form(name: &str, action: &str, token: &str, filled: &NewRequest, wrong: &str) -> String {
    format!(
        "<form class=\"card\" id=\"create-request\" method=\"post\" enctype=\"multipart/form-data\" action=\"{action}\">\
         <h1>{name}</h1>{trouble}<input type=\"hidden\" name=\"atl_token\" value=\"{token}\">\
         <label>Summary<input name=\"summary\" maxlength=\"255\" value=\"{summary}\" required></label>\
         <label>Description<textarea name=\"description\" rows=\"6\">{description}</textarea></label>\
         <label>Attachments<input type=\"file\" name=\"attachment\" id=\"attachment\" multiple></label>\
         <ul id=\"uploads\" class=\"uploads\" aria-live=\"polite\"></ul><button>Send</button></form>",
        action = escape(action),
        name = escape(name),
        trouble = trouble(wrong),
        token = escape(token),
        summary = escape(&filled.summary),
        description = escape(&filled.description),
    )
}

/// One line of a list of requests.
pub struct Row<'a> {
    /// Where it leads.
    pub link: String,
    /// The key of the request.
    pub key: &'a str,
    /// What it is about.
    pub summary: &'a str,
    /// How far it is.
    pub status: &'a str,
}

/// A list of requests.
pub fn requests<'a>(title: &str, rows: impl Iterator<Item = Row<'a>>) -> String {
    let row = |row: Row<'_>| {
        format!(
            "<li><a href=\"{}\"><span class=\"key\">{}</span> {}</a><span class=\"status\">{}</span></li>",
            escape(&row.link),
            escape(row.key),
            escape(row.summary),
            escape(row.status)
        )
    };
    let rows: String = rows.map(row).collect();
    let list = match rows.as_str() {
        "" => "<p class=\"lead\">You have raised no request yet.</p>".to_owned(),
        rows => format!("<ul class=\"requests\" id=\"requests\">{rows}</ul>"),
    };
    format!("<h1>{}</h1>{list}", escape(title))
}

/// A file as a page shows it.
pub struct FileLine<'a> {
    /// Where it is.
    pub link: String,
    /// Its name.
    pub name: &'a str,
    /// How long it is, in bytes.
    pub size: usize,
}

/// One request, as a page shows it.
pub struct RequestView<'a> {
    /// The portal it was raised at.
    pub portal_link: String,
    /// Where comments are posted to.
    pub comment_action: String,
    /// Its key.
    pub key: &'a str,
    /// What it is about.
    pub summary: &'a str,
    /// The rest.
    pub description: &'a str,
    /// Its files.
    pub files: Vec<FileLine<'a>>,
    /// What was said: by whom, and what.
    pub comments: Vec<(&'a str, &'a str)>,
    /// More about it, as HTML.
    pub more: String,
}

/// The page of one request.
pub fn request(view: &RequestView<'_>, token: &str) -> String {
    let file = |file: &FileLine<'_>| {
        let (link, name) = (escape(&file.link), escape(file.name));
        format!("<li><a href=\"{link}\">{name}</a> <small>{} bytes</small></li>", file.size)
    };
    let said = |(author, text): &(&str, &str)| {
        format!("<li class=\"comment\"><b>{}</b><p>{}</p></li>", escape(author), escape(text))
    };
    format!(
        "<p class=\"crumbs\"><a href=\"{portal}\">Portal</a> / <span class=\"key\">{key}</span></p>\
         <h1>{summary}</h1>{more}<section class=\"card\"><p class=\"description\">{description}</p>\
         <h2>Attachments</h2><ul id=\"attachments\" class=\"uploads\">{files}</ul>\
         <label>Add a file<input type=\"file\" id=\"attachment\" multiple></label>\
         <ul id=\"uploads\" class=\"uploads\" aria-live=\"polite\"></ul></section>\
         <section class=\"card\"><h2>Activity</h2><ul id=\"comments\" class=\"comments\">{comments}</ul>\
         <form id=\"comment-form\" method=\"post\" action=\"{action}\">\
         <input type=\"hidden\" name=\"atl_token\" value=\"{token}\">\
         <label>Comment<textarea name=\"comment\" rows=\"3\" required></textarea></label><button>Add</button></form></section>",
        portal = escape(&view.portal_link),
        key = escape(view.key),
        summary = escape(view.summary),
        more = view.more,
        description = escape(view.description),
        files = view.files.iter().map(file).collect::<String>(),
        comments = view.comments.iter().map(said).collect::<String>(),
        action = escape(&view.comment_action),
        token = escape(token),
    )
}

/// A public article of the knowledge base: title and text.
pub fn article(number: &str) -> Option<(&'static str, &'static str)> {
    ARTICLES.iter().find(|(id, _, _)| *id == number).map(|(_, title, text)| (*title, *text))
}

/// The public articles of the knowledge base: number, title and text.
pub const ARTICLES: [(&str, &str, &str); 2] = [
    ("1", "How to write a good request", "Say what you did, what you expected, and what happened instead."),
    ("2", "Where to find an order number", "It stands at the top of the order's e-mail."),
];
