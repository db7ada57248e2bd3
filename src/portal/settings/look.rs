//! Settings of how our own pages look at a portal.

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::email::EmailAddress;

/// How our own pages look. By default as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LookSettings {
    /// What the portal is called; its host when nothing is said.
    pub name: Option<String>,
    /// A picture beside the name.
    pub logo: Option<Logo>,
    /// The colour of what can be done, on light and on dark ground.
    pub accent: Option<Accent>,
    /// What people read above the ways to sign in; plain text.
    pub welcome: Option<String>,
    /// Whom people may ask.
    pub support: Support,
}

/// A picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    /// Its media type, by its content.
    pub media_type: &'static str,
    /// Its octets.
    pub octets: Arc<[u8]>,
}

/// Two colours that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent {
    /// On light ground.
    pub light: Colour,
    /// On dark ground.
    pub dark: Colour,
}

/// A colour: red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

/// Whom people may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Support {
    /// An address to write to.
    pub email: Option<EmailAddress>,
    /// A number to call, as people write it.
    pub phone: Option<String>,
    /// A page; `https`.
    pub page: Option<Url>,
}

impl Support {
    /// Whether nobody is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logo({}, {} bytes)", self.media_type, self.octets.len())
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    /// Reads `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let all = u32::from_str_radix(digits, 16).ok().filter(|_| plain)?;
        let [_, red, green, blue] = all.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// The contrast of two colours, from 1 to 21 (WCAG 2.2).
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// `percent` of the way to another colour.
    #[must_use]
    pub fn towards(self, other: Self, percent: u16) -> Self {
        let percent = percent.min(100);
        let mut mixed = [0; 3];
        for (place, (from, to)) in mixed.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            let kept = u16::from(from).saturating_mul(100_u16.saturating_sub(percent));
            let new = u16::from(to).saturating_mul(percent);
            *place = u8::try_from(kept.saturating_add(new).div_euclid(100)).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_compared() {
        let colour = |text| Colour::parse(text).unwrap();
        assert_eq!(colour("#1D5a8c").to_string(), "#1d5a8c");
        for wrong in ["", "1d5a8c", "#1d5a8", "#1d5a8cc", "#+d5a8c", "#gggggg", "#fff", "red", "#é5a8c"] {
            assert_eq!(Colour::parse(wrong), None, "{wrong}");
        }
        assert!((colour("#000000").contrast(colour("#ffffff")) - 21.0).abs() < 0.001);
        assert!((colour("#777777").contrast(colour("#ffffff")) - 4.48).abs() < 0.01);
        assert_eq!(colour("#000000").towards(colour("#ffffff"), 50), Colour([127; 3]));
        assert_eq!(colour("#102030").towards(colour("#ffffff"), 0), colour("#102030"));
        assert_eq!(colour("#102030").towards(colour("#ffffff"), 200), colour("#ffffff"));
    }
}
