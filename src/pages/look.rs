//! A portal's own look: its name, picture and colour on every page of ours, and whom to ask.
//!
//! Colours become a stylesheet of a few lines, and the picture a file, both named by their content and below our own path, so
//! that the content security policy stays as strict as without.

use std::fmt;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};

use super::assets::{self, ASSETS};
use crate::portal::settings::{Colour, Logo, LookSettings, Support};
use crate::reply::Reply;

/// A picture can be a document with scripts and styles when it is opened by itself (SVG): it may do nothing.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// How the pages of a portal look.
#[derive(Default)]
pub struct Look {
    name: Option<String>,
    welcome: Option<String>,
    support: Support,
    stylesheet: Option<File>,
    logo: Option<File>,
}

/// A file of ours that is not part of the program.
struct File {
    name: String,
    etag: String,
    content_type: HeaderValue,
    body: Bytes,
}

impl Look {
    /// As `settings` say.
    pub fn new(settings: &LookSettings) -> Self {
        let stylesheet = settings.accent.map(|accent| {
            let light = accent.light.towards(Colour([0; 3]), 20);
            let dark = accent.dark.towards(Colour([0xff; 3]), 25);
            let css = format!(
                ":root {{ --accent: {}; --accent-hover: {light}; }}\n@media (prefers-color-scheme: dark) {{ :root {{ --accent: \
                 {}; --accent-hover: {dark}; }} }}\n",
                accent.light, accent.dark
            );
            File::new("look-", ".css", "text/css; charset=utf-8", css.into())
        });
        let logo = settings.logo.as_ref().map(|Logo { media_type, octets }| {
            let suffix = match *media_type {
                "image/png" => ".png",
                "image/jpeg" => ".jpg",
                "image/webp" => ".webp",
                _ => ".svg",
            };
            File::new("logo-", suffix, media_type, Bytes::copy_from_slice(octets))
        });
        let LookSettings { name, welcome, support, .. } = settings.clone();
        Self { name, welcome, support, stylesheet, logo }
    }

    /// What the portal is called.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn welcome(&self) -> Option<&str> {
        self.welcome.as_deref()
    }

    pub(super) fn support(&self) -> Option<&Support> {
        (!self.support.is_empty()).then_some(&self.support)
    }

    pub(super) fn stylesheet_path(&self) -> Option<String> {
        self.stylesheet.as_ref().map(File::path)
    }

    pub(super) fn logo_path(&self) -> Option<String> {
        self.logo.as_ref().map(File::path)
    }

    /// The file of the look at `path`, if there is one.
    pub fn asset(&self, path: &str, headers: &HeaderMap) -> Option<Reply> {
        let name = path.strip_prefix(ASSETS)?;
        let file = [&self.stylesheet, &self.logo].into_iter().flatten().find(|file| file.name == name)?;
        let etag = HeaderValue::try_from(&file.etag).ok()?;
        if assets::is_known(headers, &etag) {
            return Some(Reply::asset_unchanged(etag));
        }
        let reply = Reply::asset(file.content_type.clone(), file.body.clone(), etag);
        let policy = HeaderValue::from_static(PICTURE_POLICY);
        Some(reply.with_header(header::CONTENT_SECURITY_POLICY, policy))
    }
}

impl File {
    fn new(prefix: &str, suffix: &str, content_type: &'static str, body: Bytes) -> Self {
        let hash = assets::hash(&body);
        let content_type = HeaderValue::from_static(content_type);
        Self { name: format!("{prefix}{hash}{suffix}"), etag: format!("\"{hash}\""), content_type, body }
    }

    fn path(&self) -> String {
        format!("{ASSETS}{}", self.name)
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::settings::Accent;

    fn look() -> Look {
        let accent = Accent { light: Colour([0x1d, 0x5a, 0x8c]), dark: Colour([0x8f, 0xc1, 0xec]) };
        let logo =
            Logo { media_type: "image/svg+xml", octets: b"<svg><script>alert(1)</script></svg>".as_slice().into() };
        Look::new(&LookSettings { accent: Some(accent), logo: Some(logo), ..LookSettings::default() })
    }

    #[test]
    fn files_of_a_look_are_kept_and_do_nothing() {
        let (look, none) = (look(), HeaderMap::new());
        for (path, content_type) in
            [(look.stylesheet_path().unwrap(), "text/css; charset=utf-8"), (look.logo_path().unwrap(), "image/svg+xml")]
        {
            let reply = look.asset(&path, &none).unwrap();
            assert_eq!(reply.headers()["content-type"], content_type);
            assert_eq!(reply.headers()["cache-control"], "public, max-age=31536000, immutable");
            assert!(reply.headers()["content-security-policy"].to_str().unwrap().ends_with("sandbox"));
            let mut known = HeaderMap::new();
            known.insert("if-none-match", reply.headers()["etag"].clone());
            assert_eq!(look.asset(&path, &known).unwrap().status(), 304);
            assert!(look.asset(&format!("{path}/"), &none).is_none() && Look::default().asset(&path, &none).is_none());
        }
    }
}
