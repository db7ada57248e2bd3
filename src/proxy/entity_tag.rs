//! Entity tags (RFC 9110, section 8.8.3) of bodies that were rewritten.
//!
//! Such a body is not the upstream's octet for octet, so that its tag is weak. It also carries a mark, by which it is known
//! when it comes back: the upstream then gets to see the tag that it gave, to the letter, because many servers compare
//! letters. The mark depends on what is rewritten by what, so that no browser keeps a page that was rewritten otherwise.

use std::fmt::Write as _;

use ring::digest::{Context, SHA256};

use super::rewrite::Origin;
use crate::portal::settings::RewriteSettings;

/// The mark of one portal's rewriting: `~v` and eight hexadecimal digits. Behind it, `w` says that the upstream's own tag was
/// weak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagMark(String);

impl TagMark {
    /// The mark of these settings, and of what is inserted besides.
    pub fn of(origins: &[(Origin, Origin)], settings: &RewriteSettings, inserted: &str) -> Self {
        let mut digest = Context::new(&SHA256);
        // Lengths keep neighbours apart.
        let mut add = |text: &str| {
            digest.update(&text.len().to_be_bytes());
            digest.update(text.as_bytes());
        };
        for (from, to) in origins {
            add(&from.to_string());
            add(&to.to_string());
        }
        for text in &settings.texts {
            add(&text.from);
            add(&text.to);
            text.content_types.iter().for_each(|pattern| add(pattern.as_str()));
        }
        settings.content_types.iter().for_each(|pattern| add(pattern.as_str()));
        if !inserted.is_empty() {
            add(inserted);
        }
        let mut mark = "~v".to_owned();
        for byte in digest.finish().as_ref().iter().take(4) {
            let _ = write!(mark, "{byte:02x}"); // writing to a String cannot fail
        }
        Self(mark)
    }

    /// The tag of a rewritten body; `None` when the upstream's is none.
    pub fn put(&self, tag: &str) -> Option<String> {
        let (weak, opaque) = split(tag)?;
        Some(format!("W/\"{opaque}{}{}\"", self.0, if weak { "w" } else { "" }))
    }

    /// The upstream's tag behind one of ours; `None` for any other tag.
    pub fn take(&self, tag: &str) -> Option<String> {
        let (_, opaque) = split(tag)?;
        let weak = opaque.strip_suffix('w').and_then(|opaque| opaque.strip_suffix(&self.0));
        let strong = opaque.strip_suffix(&self.0);
        weak.map(|opaque| format!("W/\"{opaque}\"")).or_else(|| strong.map(|opaque| format!("\"{opaque}\"")))
    }

    /// A list of tags, as `If-None-Match` and `If-Match` have it, as the upstream knows them. `None` when none is ours.
    pub fn take_all(&self, list: &str) -> Option<String> {
        let tags = tags(list);
        let taken: Vec<Option<String>> = tags.iter().map(|tag| self.take(tag)).collect();
        if taken.iter().all(Option::is_none) {
            return None;
        }
        let restored = tags.iter().zip(taken).map(|(tag, taken)| taken.unwrap_or_else(|| (*tag).to_owned()));
        Some(restored.collect::<Vec<_>>().join(", "))
    }

    /// What the visitor calls the body that the upstream calls `tag`, if `list` shows that it has that body rewritten.
    pub fn known_as(&self, tag: &str, list: &str) -> Option<String> {
        let ours = self.put(tag)?;
        let (_, opaque) = split(tag)?;
        // A weak comparison (RFC 9110, section 8.8.3.2).
        let same = |known: &&str| self.take(known).is_some_and(|taken| split(&taken).is_some_and(|(_, o)| o == opaque));
        tags(list).iter().any(same).then_some(ours)
    }
}

/// Whether it is weak, and what stands between the quotes.
fn split(tag: &str) -> Option<(bool, &str)> {
    let tag = tag.trim();
    let (weak, quoted) = tag.strip_prefix("W/").map_or((false, tag), |quoted| (true, quoted));
    let opaque = quoted.strip_prefix('"')?.strip_suffix('"')?;
    (!opaque.contains('"')).then_some((weak, opaque))
}

/// The tags of a list. A comma within quotes does not end one.
fn tags(list: &str) -> Vec<&str> {
    let mut quoted = false;
    list.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|tag| !tag.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(to: &str) -> TagMark {
        let origins = [(Origin::parse("https://jsm.internal").unwrap(), Origin::parse(to).unwrap())];
        TagMark::of(&origins, &RewriteSettings::default(), "")
    }

    #[test]
    fn the_upstream_sees_its_own_tag_again() {
        let mark = mark("https://support.acme.com");
        for tag in ["\"1\"", "W/\"1\"", "\"\"", "\"a,b\"", "\"w\"", "W/\"x~v00000000\""] {
            let ours = mark.put(tag).unwrap();
            assert!(ours.starts_with("W/\""), "{ours}");
            assert_eq!(mark.take(&ours).as_deref(), Some(tag));
            assert_eq!(mark.take_all(&format!("\"other\", {ours}")), Some(format!("\"other\", {tag}")));
            assert_eq!(mark.known_as(tag, &format!("\"z\",{ours}")).as_deref(), Some(ours.as_str()));
            assert_eq!(mark.known_as(tag, tag), None, "a body that was not rewritten");
        }
        for none in ["1", "", "*", "\"a\"b\""] {
            assert_eq!((mark.put(none), mark.take(none), mark.take_all(none)), (None, None, None), "{none}");
        }
        assert_eq!(mark.take_all("\"1\", W/\"2\""), None);
    }

    #[test]
    fn a_page_that_was_rewritten_otherwise_is_another_one() {
        let (one, other) = (mark("https://support.acme.com"), mark("https://help.acme.com"));
        assert_eq!(other.take(&one.put("\"1\"").unwrap()), None);
    }
}
