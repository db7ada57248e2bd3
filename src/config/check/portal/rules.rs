//! Rules of a portal: patterns that can match, in an order in which each can.

use crate::config::check::{Check, all};
use crate::config::raw::{RawAccess, RawRule};
use crate::config::tree::Place;
use crate::portal::PathPattern;
use crate::portal::settings::{Access, RuleSettings};

impl Check<'_> {
    pub(super) fn rules(&mut self, place: &Place<'_>, raw: &[RawRule]) -> Option<Vec<RuleSettings>> {
        let mut rules: Vec<Option<RuleSettings>> = Vec::new();
        for (index, raw) in raw.iter().enumerate() {
            let path_place = place.index(index).key("path");
            let path = match PathPattern::parse(&raw.path) {
                Ok(path) => Some(path),
                Err(error) => {
                    self.fault(&path_place, error.to_string(), "such as \"/servicedesk/customer/kb/**\"");
                    None
                }
            };
            if path.is_some() && own_pages(&raw.path) {
                let what = "paths below /.vestibule are the gateway's own pages, which no rule can change";
                self.fault(&path_place, what, "remove the rule");
            }
            let text = |rule: &Option<RuleSettings>| rule.as_ref().map(|rule| rule.path.to_string());
            let covering = rules.iter().position(|rule| text(rule).is_some_and(|earlier| covers(&earlier, &raw.path)));
            if let Some(earlier) = covering.filter(|_| path.is_some()) {
                let what = format!("is never reached: {} matches all of it first", place.index(earlier).path());
                self.fault(&path_place, what, "move it up, or remove it");
            }
            let access = match raw.access {
                RawAccess::Public => Access::Public,
                RawAccess::SignedIn => Access::SignedIn,
                RawAccess::Deny => Access::Deny,
            };
            let require_place = place.index(index).key("require");
            let require = self.condition(&require_place, raw.require.as_ref());
            if raw.require.is_some() && access != Access::SignedIn {
                let what = "is asked of nobody: only those who are signed in can meet a condition";
                self.fault(&require_place, what, "write access: signed_in, or remove it");
            }
            let rule = path.zip(require).map(|(path, require)| RuleSettings { path, access, require });
            rules.push(rule);
        }
        all(rules)
    }
}

/// The segments of a sound pattern, and whether it goes on with any rest.
fn segments(pattern: &str) -> (Vec<&str>, bool) {
    let mut segments: Vec<&str> = pattern.split('/').filter(|segment| !segment.is_empty()).collect();
    let open = segments.pop_if(|last| *last == "**").is_some();
    (segments, open)
}

fn own_pages(pattern: &str) -> bool {
    segments(pattern).0.first().is_some_and(|first| first.eq_ignore_ascii_case(".vestibule"))
}

/// Whether whatever `later` matches is matched by `earlier`.
fn covers(earlier: &str, later: &str) -> bool {
    let ((earlier, earlier_open), (later, later_open)) = (segments(earlier), segments(later));
    let lengths = if earlier_open { later.len() >= earlier.len() } else { later.len() == earlier.len() && !later_open };
    lengths && earlier.iter().zip(&later).all(|(wide, narrow)| *wide == "*" || wide == narrow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_covers_what_it_matches_first() {
        for (earlier, later, expected) in [
            ("/**", "/a", true),
            ("/**", "/**", true),
            ("/a/**", "/a", true),
            ("/a/**", "/a/b/**", true),
            ("/a/**", "/b", false),
            ("/a/b/**", "/a/**", false),
            ("/a", "/a/", true),
            ("/a", "/a/**", false),
            ("/a/*", "/a/b", true),
            ("/a/b", "/a/*", false),
            ("/*/b", "/a/b", true),
        ] {
            assert_eq!(covers(earlier, later), expected, "{earlier} {later}");
        }
    }
}
