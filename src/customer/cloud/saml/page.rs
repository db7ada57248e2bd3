//! What a page on the way says about where to go on: a form that posts itself, a link, a page that refreshes, or an address
//! in the state of its script.
//!
//! Reads, and runs nothing. What it finds is a suggestion, held against the hosts of the settings by the walk.

use html5gum::{Token, Tokenizer};
use regex::Regex;
use std::sync::LazyLock;

/// Addresses of a page that are looked at.
const MOST_ADDRESSES: usize = 500;
/// Forms and fields of a page that are looked at.
const MOST_FIELDS: usize = 100;

static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"https?://[^\s"'<>\\`]+"#).ok());

/// What a page says.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Its forms.
    pub forms: Vec<Form>,
    /// Where it refreshes to.
    pub refresh: Option<String>,
    /// Addresses in its links, then in its scripts.
    pub addresses: Vec<String>,
    /// Whether a script of it posts a form.
    pub posts_by_script: bool,
}

/// A form.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// Where it goes.
    pub action: String,
    /// Whether it is posted.
    pub posts: bool,
    /// Its hidden fields.
    pub hidden: Vec<(String, String)>,
    /// Whether there is anything in it for a person to fill in.
    pub asks: bool,
}

impl Page {
    /// Reads a page.
    pub fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let mut page = Self::default();
        let (mut inside, mut script) = (false, String::new());
        let mut in_script = false;
        for token in Tokenizer::new(text.as_ref()).flatten() {
            match token {
                Token::StartTag(tag) => {
                    let attribute = |name: &str| {
                        tag.attributes.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
                    };
                    match &**tag.name {
                        b"form" => {
                            inside = page.forms.len() < MOST_FIELDS;
                            if inside {
                                page.forms.push(Form {
                                    action: attribute("action").unwrap_or_default(),
                                    posts: attribute("method")
                                        .is_some_and(|method| method.eq_ignore_ascii_case("post")),
                                    ..Form::default()
                                });
                            }
                        }
                        b"input" | b"textarea" | b"select" if inside => {
                            let kind = attribute("type").unwrap_or_default().to_ascii_lowercase();
                            if let Some(form) = page.forms.last_mut() {
                                match (kind.as_str(), attribute("name")) {
                                    ("hidden", Some(name)) if form.hidden.len() < MOST_FIELDS => {
                                        form.hidden.push((name, attribute("value").unwrap_or_default()));
                                    }
                                    ("hidden" | "submit" | "button" | "image", _) => {}
                                    _ => form.asks = true,
                                }
                            }
                        }
                        b"a" => page.addresses.extend(attribute("href")),
                        b"meta" if attribute("http-equiv").is_some_and(|kind| kind.eq_ignore_ascii_case("refresh")) => {
                            let content = attribute("content").unwrap_or_default();
                            page.refresh = page.refresh.take().or_else(|| refresh(&content));
                        }
                        b"body" => {
                            page.posts_by_script |= attribute("onload").is_some_and(|does| does.contains("submit"))
                        }
                        b"script" => in_script = true,
                        _ => {}
                    }
                }
                Token::EndTag(tag) => match &**tag.name {
                    b"form" => inside = false,
                    b"script" => in_script = false,
                    _ => {}
                },
                Token::String(text) if in_script => {
                    script.push_str(&String::from_utf8_lossy(&text));
                    script.push('\n');
                }
                _ => {}
            }
        }
        page.posts_by_script |= script.contains("submit(");
        page.addresses.extend(addresses(&script));
        page.addresses.truncate(MOST_ADDRESSES);
        page
    }

    /// Whether it leads nowhere.
    pub fn is_bare(&self) -> bool {
        self.forms.is_empty() && self.addresses.is_empty()
    }

    /// The form that posts itself, with nothing for a person to fill in.
    pub fn self_posting(&self) -> Option<&Form> {
        let fits = |form: &&Form| form.posts && !form.asks && !form.hidden.is_empty();
        self.forms.iter().find(fits).filter(|_| self.posts_by_script)
    }
}

/// `0; url=https://...`
fn refresh(content: &str) -> Option<String> {
    let (_, rest) = content.split_once([';', ','])?;
    let (name, address) = rest.split_once('=')?;
    let address = address.trim().trim_matches(['"', '\'']);
    (name.trim().eq_ignore_ascii_case("url") && !address.is_empty()).then(|| address.to_owned())
}

/// Addresses in a script, whose JSON escapes slashes in one way or another.
fn addresses(script: &str) -> Vec<String> {
    let plain = script.replace("\\/", "/").replace("\\u002F", "/").replace("\\u002f", "/").replace("\\u0026", "&");
    let Some(pattern) = ADDRESS.as_ref() else { return Vec::new() };
    pattern.find_iter(&plain).take(MOST_ADDRESSES).map(|found| found.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_links_and_scripts_are_read() {
        let page = Page::read(
            br#"<!DOCTYPE html><body onload="document.forms[0].submit()">
            <form method="POST" action="https://a.example/sso?x=1&amp;y=2"><input type=hidden name=SAMLRequest value="a&#43;b">
            <input type="hidden" name="RelayState" value="r"><noscript><input type="submit" value="Go"></noscript></form>
            <a href="/saml/login">Go</a><meta http-equiv="Refresh" content="0; url='https://a.example/next'">
            <script>var x = {"to":"https:\/\/b.example\/saml\u002Fone?a=b\u0026c=d"}</script>"#,
        );
        let form = page.self_posting().unwrap();
        assert_eq!(form.action, "https://a.example/sso?x=1&y=2");
        assert_eq!(form.hidden, [("SAMLRequest".into(), "a+b".into()), ("RelayState".into(), "r".into())]);
        assert_eq!(page.addresses, ["/saml/login", "https://b.example/saml/one?a=b&c=d"]);
        assert_eq!(page.refresh.as_deref(), Some("https://a.example/next"));
    }

    #[test]
    fn a_form_for_people_is_not_posted() {
        for form in [
            r#"<form method=post action=/x><input type=hidden name=a><input name=email></form>"#,
            r#"<form method=post action=/x><input type=hidden name=a><input type=password name=p></form>"#,
            r#"<form action=/x><input type=hidden name=a></form>"#,
            r#"<form method=post action=/x></form>"#,
        ] {
            let page = Page::read(format!("{form}<script>document.forms[0].submit()</script>").as_bytes());
            assert!(page.self_posting().is_none(), "{form}");
        }
        assert!(Page::read(b"<form method=post action=/x><input type=hidden name=a></form>").self_posting().is_none());
    }

    #[test]
    fn anything_at_all_is_read() {
        for odd in
            [&b""[..], b"<", b"\xff\xfe<form", b"<form><form><input", b"<script>https://", b"<meta http-equiv=refresh>"]
        {
            let _ = Page::read(odd);
        }
        let many = "<form>".repeat(100_000) + &"<input type=hidden name=a>".repeat(100_000);
        let page = Page::read(many.as_bytes());
        assert!(page.forms.len() <= MOST_FIELDS && page.forms.iter().all(|form| form.hidden.len() <= MOST_FIELDS));
    }
}
