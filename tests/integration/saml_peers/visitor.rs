//! A browser without a screen: follows redirects, keeps cookies, and sends the forms of the pages that it is shown, with the
//! headers that tell the other side where a request comes from.

use std::time::Duration;

use regex::Regex;
use reqwest::{Method, RequestBuilder, Response};
use url::Url;

/// How many redirects in a row somebody follows.
const REDIRECTS: usize = 8;

/// Somebody with a browser.
pub struct Visitor {
    client: reqwest::Client,
    /// Where they are.
    pub at: Url,
    pub status: u16,
    pub page: String,
    /// A redirect that leads there is not followed; [`at`](Self::at) is then where it leads.
    stops_at: Option<String>,
}

/// A form on a page.
#[derive(Clone, Debug)]
pub struct Form {
    pub action: Url,
    pub fields: Vec<(String, String)>,
    by_get: bool,
}

impl Form {
    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Visitor {
    /// Trusts that authority, in PEM.
    pub fn new(authority: &str) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .add_root_certificate(reqwest::Certificate::from_pem(authority.as_bytes()).unwrap())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { client, at: Url::parse("about:blank").unwrap(), status: 0, page: String::new(), stops_at: None }
    }

    /// Does not follow redirects to addresses that begin so.
    pub fn stopping_at(mut self, address: &str) -> Self {
        self.stops_at = Some(address.to_owned());
        self
    }

    /// Enters an address.
    pub async fn open(&mut self, address: &str) {
        let url = Url::parse(address).unwrap();
        let request = self.request(Method::GET, &url, "none");
        self.arrive(url, request).await;
    }

    /// Follows the link that a page gives by itself (`http-equiv="refresh"`), or its only one.
    pub async fn go_on(&mut self) {
        let refresh = Regex::new(r#"http-equiv="refresh" content="0;url=([^"]*)""#).unwrap();
        let found = refresh.captures(&self.page).unwrap_or_else(|| panic!("no way on at {}: {}", self.at, self.page));
        let url = self.at.join(&text_of(&found[1])).unwrap();
        let request = self.request(Method::GET, &url, self.site_of(&url));
        self.arrive(url, request).await;
    }

    /// The first form of the page.
    pub fn form(&self) -> Form {
        let whole = Regex::new(r"(?s)<form\b([^>]*)>(.*?)</form>").unwrap();
        let found = whole.captures(&self.page).unwrap_or_else(|| panic!("no form at {}: {}", self.at, self.page));
        let action = attribute(&found[1], "action").unwrap_or_default();
        let by_get = !attribute(&found[1], "method").unwrap_or_default().eq_ignore_ascii_case("post");
        let input = Regex::new(r"(?s)<input\b([^>]*)>").unwrap();
        let hidden = input.captures_iter(&found[2]).filter_map(|found| {
            let of = |name: &str| attribute(&found[1], name);
            (of("type")? == "hidden").then(|| Some((of("name")?, of("value").unwrap_or_default())))?
        });
        Form { action: self.at.join(&action).unwrap(), fields: hidden.collect(), by_get }
    }

    /// Sends the first form of the page, with these fields beside its hidden ones.
    pub async fn submit(&mut self, more: &[(&str, &str)]) {
        let mut form = self.form();
        form.fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.send(&form).await;
    }

    /// Sends a form, as the page that is shown would.
    pub async fn send(&mut self, form: &Form) {
        let mut url = form.action.clone();
        let site = self.site_of(&url);
        let request = if form.by_get {
            url.query_pairs_mut().clear().extend_pairs(&form.fields);
            self.request(Method::GET, &url, site)
        } else {
            let origin = self.at.origin().ascii_serialization();
            self.request(Method::POST, &url, site).header("origin", origin).form(&form.fields)
        };
        self.arrive(url, request).await;
    }

    /// Posts fields to an address, from a page at `from`.
    pub async fn post_from(&mut self, from: &str, to: &str, fields: &[(&str, &str)]) {
        self.at = Url::parse(from).unwrap();
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.send(&Form { action: Url::parse(to).unwrap(), fields, by_get: false }).await;
    }

    fn request(&self, method: Method, url: &Url, site: &str) -> RequestBuilder {
        self.client
            .request(method, url.clone())
            .header("accept", "text/html,application/xhtml+xml")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", site)
    }

    /// What a browser says about a request to `url` from the page that is shown.
    fn site_of(&self, url: &Url) -> &'static str {
        if self.at.origin() == url.origin() { "same-origin" } else { "cross-site" }
    }

    async fn arrive(&mut self, mut url: Url, mut request: RequestBuilder) {
        for _ in 0..REDIRECTS {
            let answer = request.send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
            let Some(next) = redirect(&url, &answer) else {
                self.status = answer.status().as_u16();
                self.at = url;
                self.page = answer.text().await.unwrap();
                return;
            };
            if self.stops_at.as_ref().is_some_and(|stop| next.as_str().starts_with(stop)) {
                (self.status, self.at, self.page) = (answer.status().as_u16(), next, String::new());
                return;
            }
            let site = if url.origin() == next.origin() { "same-origin" } else { "cross-site" };
            request = self.request(Method::GET, &next, site);
            url = next;
        }
        panic!("too many redirects; the last one leads to {url}");
    }
}

fn redirect(from: &Url, answer: &Response) -> Option<Url> {
    let location = answer.headers().get("location").filter(|_| answer.status().is_redirection())?;
    Some(from.join(location.to_str().unwrap()).unwrap())
}

/// The value of an attribute in a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let found = Regex::new(&format!(r#"(?s)\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)')"#)).unwrap();
    let found = found.captures(tag)?;
    Some(text_of(found.get(1).or_else(|| found.get(2))?.as_str()))
}

/// Text as it stands in HTML, with the character references that servers write.
fn text_of(html: &str) -> String {
    let reference = Regex::new(r"&(?:#x([0-9A-Fa-f]+)|#([0-9]+)|([a-z]+));").unwrap();
    let replaced = reference.replace_all(html, |found: &regex::Captures<'_>| {
        let number = match (found.get(1), found.get(2)) {
            (Some(hex), _) => u32::from_str_radix(hex.as_str(), 16).ok(),
            (_, Some(decimal)) => decimal.as_str().parse().ok(),
            _ => [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\'')]
                .into_iter()
                .find(|(name, _)| *name == &found[3])
                .map(|(_, character)| u32::from(character)),
        };
        number.and_then(char::from_u32).map_or_else(|| found[0].to_owned(), |character| character.to_string())
    });
    replaced.into_owned()
}
