//! How our own pages look at a portal: what everybody can read, and a picture that is one.

use url::Url;

use crate::config::check::Check;
use crate::config::raw::{RawLook, RawSupport};
use crate::config::tree::{Place, is_invisible, quote};
use crate::email::EmailAddress;
use crate::portal::settings::{Accent, Colour, Logo, LookSettings, Support};

/// The most bytes of a picture.
const LARGEST_LOGO: usize = 256 * 1024;
/// The most characters of a line, and of the welcome.
const LONGEST: (usize, usize) = (80, 400);
/// The least contrast of text (WCAG 2.2, 1.4.3).
const READABLE: f64 = 4.5;
/// The grounds of `templates/page.css` on which the accent is hardest to read, and the text on it where it is dark ground.
const LIGHT_GROUND: Colour = Colour([0xee, 0xf3, 0xf8]);
const DARK_GROUND: Colour = Colour([0x24, 0x2e, 0x3b]);
const ON_DARK_ACCENT: Colour = Colour([0x0d, 0x1b, 0x29]);
const WHITE: Colour = Colour([0xff; 3]);

impl Check<'_> {
    pub(super) fn look(&mut self, place: &Place<'_>, raw: Option<&RawLook>) -> Option<LookSettings> {
        let Some(raw) = raw else { return Some(LookSettings::default()) };
        let name = self.shown(&place.key("name"), raw.name.as_deref(), LONGEST.0);
        let welcome = self.shown(&place.key("welcome"), raw.welcome.as_deref(), LONGEST.1);
        let logo = match &raw.logo {
            Some(text) => self.logo(&place.key("logo"), text).map(Some),
            None => Some(None),
        };
        let accent = self.accent(place, raw);
        let support = self.support(&place.key("support"), raw.support.as_ref());
        Some(LookSettings { name: name?, logo: logo?, accent: accent?, welcome: welcome?, support: support? })
    }

    /// A text that people read: one line, and nothing in it that cannot be seen.
    fn shown(&mut self, place: &Place<'_>, text: Option<&str>, most: usize) -> Option<Option<String>> {
        let Some(text) = text.map(str::trim) else { return Some(None) };
        let plain = !text.is_empty() && !text.chars().any(|c| c.is_control() || is_invisible(c));
        if plain && text.chars().count() <= most {
            return Some(Some(text.to_owned()));
        }
        self.fault(place, format!("is no text of 1 to {most} characters on one line"), "");
        None
    }

    fn logo(&mut self, place: &Place<'_>, text: &str) -> Option<Logo> {
        let path = self.path(place, text)?;
        let octets = self.read(place, &path)?;
        if octets.len() > LARGEST_LOGO {
            self.fault(place, format!("{} has more than 256 KiB", path.display()), "a smaller picture will do");
            return None;
        }
        let Some(media_type) = media_type(&octets) else {
            let what = format!("{} is no picture of a kind that is known", path.display());
            self.fault(place, what, "SVG, PNG, JPEG or WebP");
            return None;
        };
        Some(Logo { media_type, octets: octets.as_slice().into() })
    }

    fn accent(&mut self, place: &Place<'_>, raw: &RawLook) -> Option<Option<Accent>> {
        let (light_place, dark_place) = (place.key("accent"), place.key("accent_dark"));
        let Some(text) = &raw.accent else {
            if raw.accent_dark.is_some() {
                self.fault(&dark_place, "goes with accent, which is not given", "add accent");
                return None;
            }
            return Some(None);
        };
        let light = self.colour(&light_place, text);
        let dark = raw.accent_dark.as_ref().map(|text| self.colour(&dark_place, text));
        let light = light?;
        if light.contrast(LIGHT_GROUND) < READABLE {
            let darker = (0..=100).map(|percent| light.towards(Colour([0; 3]), percent));
            let cure = darker.into_iter().find(|colour| colour.contrast(LIGHT_GROUND) >= READABLE);
            let cure = cure.map(|colour| format!("such as {colour}")).unwrap_or_default();
            self.fault(&light_place, format!("{light} cannot be read on light ground (contrast below 4.5)"), cure);
            return None;
        }
        let reads =
            |colour: &Colour| colour.contrast(DARK_GROUND) >= READABLE && colour.contrast(ON_DARK_ACCENT) >= READABLE;
        let lighter = |from: Colour| (0..=100).map(move |percent| from.towards(WHITE, percent)).find(reads);
        match dark {
            None => Some(lighter(light).map(|dark| Accent { light, dark })),
            Some(given) => {
                let dark = given?;
                if !reads(&dark) {
                    let cure = lighter(dark).map(|colour| format!("such as {colour}")).unwrap_or_default();
                    self.fault(&dark_place, format!("{dark} cannot be read on dark ground (contrast below 4.5)"), cure);
                    return None;
                }
                Some(Some(Accent { light, dark }))
            }
        }
    }

    fn colour(&mut self, place: &Place<'_>, text: &str) -> Option<Colour> {
        let colour = Colour::parse(text);
        if colour.is_none() {
            self.fault(place, format!("{} is no colour", quote(text)), "such as \"#1d5a8c\", in quotes");
        }
        colour
    }

    fn support(&mut self, place: &Place<'_>, raw: Option<&RawSupport>) -> Option<Support> {
        let Some(RawSupport { email, phone, page }) = raw else { return Some(Support::default()) };
        let email = match email.as_deref().map(EmailAddress::parse) {
            None => Some(None),
            Some(Ok(email)) => Some(Some(email)),
            Some(Err(error)) => {
                self.fault(&place.key("email"), error.to_string(), "such as help@acme.com");
                None
            }
        };
        let phone = self.shown(&place.key("phone"), phone.as_deref(), LONGEST.0);
        let page = match page.as_deref().map(Url::parse) {
            None => Some(None),
            Some(Ok(url)) if url.scheme() == "https" && url.username().is_empty() && url.password().is_none() => {
                Some(Some(url))
            }
            Some(_) => {
                self.fault(&place.key("page"), "is no https address", "such as https://www.acme.com/help");
                None
            }
        };
        Some(Support { email: email?, phone: phone?, page: page? })
    }
}

/// By what a file begins with.
fn media_type(octets: &[u8]) -> Option<&'static str> {
    let begins = |with: &[u8]| octets.starts_with(with);
    let is_svg = || {
        let start = octets.get(..octets.len().min(1024)).unwrap_or_default();
        std::str::from_utf8(octets).is_ok()
            && octets.trim_ascii_start().starts_with(b"<")
            && start.windows(4).any(|window| window == b"<svg")
    };
    match () {
        () if begins(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
        () if begins(b"\xff\xd8\xff") => Some("image/jpeg"),
        () if begins(b"RIFF") && octets.get(8..12) == Some(b"WEBP") => Some("image/webp"),
        () if is_svg() => Some("image/svg+xml"),
        () => None,
    }
}
