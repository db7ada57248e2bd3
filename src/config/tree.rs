//! The text as a tree in which every value knows its place. YAML 1.2 with anchors; refuses what hides a mistake:
//! duplicate keys, tags, several documents, and aliases that grow without end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::fault::Report;

/// How deep settings may lie.
const DEEPEST: usize = 32;
/// How many values a file may have, aliases written out.
const MOST: usize = 50_000;

/// A place in the text: line and column, from 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Mark {
    /// The file as a whole.
    pub(super) const FILE: Self = Self { line: 0, column: 0 };

    fn start(span: &Span) -> Self {
        Self { line: span.start.line().max(1), column: span.start.col().saturating_add(1) }
    }
}

/// A value and where it stands. Has no `Debug`: it may hold a secret.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) at: Mark,
    pub(super) kind: Kind,
}

#[derive(Clone)]
pub(super) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, exactly as written; numbers too, so that `0010` stays what it is where text is meant.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Mark,
    pub(super) value: Node,
}

impl Node {
    /// What it is, for a sentence.
    pub(super) fn found(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    fn key(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            Kind::Null | Kind::Scalar(_) | Kind::List(_) => None,
        }
    }

    fn index(&self, index: usize) -> Option<&Self> {
        match &self.kind {
            Kind::List(items) => items.get(index),
            Kind::Null | Kind::Scalar(_) | Kind::Map(_) => None,
        }
    }
}

/// A setting: its path, and where it stands, or where it would have to stand.
#[derive(Clone)]
pub(super) struct Place<'t> {
    path: String,
    node: Option<&'t Node>,
    at: Mark,
}

impl<'t> Place<'t> {
    pub(super) fn root(node: &'t Node) -> Self {
        Self { path: String::new(), node: Some(node), at: node.at }
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.child(join(&self.path, key), self.node.and_then(|node| node.key(key)))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.child(format!("{}[{index}]", self.path), self.node.and_then(|node| node.index(index)))
    }

    /// The place of a key that no setting has.
    pub(super) fn unknown(&self, entry: &'t Entry) -> Self {
        Self { path: join(&self.path, &entry.key), node: Some(&entry.value), at: entry.key_at }
    }

    fn child(&self, path: String, node: Option<&'t Node>) -> Self {
        Self { path, node, at: node.map_or(self.at, |node| node.at) }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether a single value stands there.
    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.node, Some(Node { kind: Kind::Scalar(_), .. }))
    }

    pub(super) fn at(&self) -> Mark {
        self.at
    }

    /// The place of `key`, or this one where its value alone is written in place of a mapping.
    pub(super) fn key_or_short(&self, key: &str) -> Self {
        match self.node {
            Some(Node { kind: Kind::Scalar(_), .. }) => self.clone(),
            _ => self.key(key),
        }
    }

    #[cfg(test)]
    pub(super) fn node(&self) -> Option<&'t Node> {
        self.node
    }
}

/// `path.key`, with a key that is no plain word in quotes.
fn join(path: &str, key: &str) -> String {
    let plain =
        !key.is_empty() && key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let key = if plain { key.to_owned() } else { quote(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A text from the file within a message: in quotes, escaped, and cut when it is long.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for (count, c) in text.chars().enumerate() {
        if count == 60 {
            quoted.push('…');
            break;
        }
        if is_invisible(c) {
            // Writing to a String cannot fail.
            let _ = write!(quoted, "\\u{{{:x}}}", u32::from(c));
        } else if matches!(c, '"' | '\\') {
            quoted.extend(['\\', c]);
        } else {
            quoted.push(c);
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a character would not show, or would make its neighbours show in another order (UTR 36, section 2.5).
pub(super) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Reads a file with exactly one document. `None` when there is no tree to look at; what was found is in `report`.
pub(super) fn read(text: &str, report: &mut Report) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { parser: Parser::new_from_str(text), report, anchors: BTreeMap::new(), nodes: 0 };
    reader.document()
}

struct Reader<'a, 't> {
    parser: Parser<'t, StrInput<'t>>,
    report: &'a mut Report,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl<'t> Reader<'_, 't> {
    fn document(&mut self) -> Option<Node> {
        let root = loop {
            match self.next("")? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, _) => {
                    self.report.of_text(Mark::FILE, "", "the file is empty", "start with \"version: 1\"");
                    return None;
                }
                (event, span) => break self.node(event, &span, "", 0)?,
            }
        };
        loop {
            match self.next("")? {
                (Event::StreamEnd, _) => return Some(root),
                (Event::DocumentEnd, _) => {}
                (_, span) => {
                    let cure = "remove everything from this \"---\" on";
                    self.report.of_text(Mark::start(&span), "", "a second document starts here", cure);
                    return None;
                }
            }
        }
    }

    fn next(&mut self, path: &str) -> Option<(Event<'t>, Span)> {
        match self.parser.next_event()? {
            Ok(event) => Some(event),
            Err(error) => {
                let at = Mark { line: error.marker().line().max(1), column: error.marker().col().saturating_add(1) };
                let cure = "look at the indentation, the quotes and the brackets here and just before";
                self.report.of_text(at, path, format!("this is not YAML: {}", error.info()), cure);
                None
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span, path: &str, depth: usize) -> Option<Node> {
        let at = Mark::start(span);
        self.nodes = self.nodes.saturating_add(1);
        if depth > DEEPEST || self.nodes > MOST {
            self.too_much(at, path);
            return None;
        }
        let (anchor, kind) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at, path);
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (anchor, if null { Kind::Null } else { Kind::Scalar(text.into_owned()) })
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at, path);
                (anchor, Kind::List(self.list(path, depth)?))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at, path);
                (anchor, Kind::Map(self.mapping(path, depth)?))
            }
            Event::Alias(anchor) => return self.alias(anchor, at, path),
            // No other event starts a value.
            _ => {
                self.report.of_text(at, path, "this is not YAML: a value was expected here", "");
                return None;
            }
        };
        let node = Node { at, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Some(node)
    }

    fn list(&mut self, path: &str, depth: usize) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.next(path)? {
                (Event::SequenceEnd, _) => return Some(items),
                (event, span) => {
                    let path = format!("{path}[{}]", items.len());
                    items.push(self.node(event, &span, &path, depth.saturating_add(1))?);
                }
            }
        }
    }

    fn mapping(&mut self, path: &str, depth: usize) -> Option<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next(path)?;
            if event == Event::MappingEnd {
                return Some(entries);
            }
            let key_at = Mark::start(&span);
            let key = match self.node(event, &span, path, depth.saturating_add(1))?.kind {
                Kind::Scalar(key) => Some(key),
                Kind::Null | Kind::List(_) | Kind::Map(_) => {
                    self.report.of_text(key_at, path, "a key is the name of a setting, and this is none", "");
                    None
                }
            };
            let path = key.as_deref().map_or_else(|| path.to_owned(), |key| join(path, key));
            let (event, span) = self.next(&path)?;
            let mut value = self.node(event, &span, &path, depth.saturating_add(1))?;
            if matches!(value.kind, Kind::Null) {
                // What is not there has no place of its own.
                value.at = key_at;
            }
            let Some(key) = key else { continue };
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let what = format!("is given twice: first on line {}", first.key_at.line);
                self.report.of_text(key_at, &path, what, "keep one of them");
            } else {
                entries.push(Entry { key, key_at, value });
            }
        }
    }

    fn alias(&mut self, anchor: usize, at: Mark, path: &str) -> Option<Node> {
        let Some(node) = self.anchors.get(&anchor) else {
            self.report.of_text(at, path, "this alias stands within its own anchor", "");
            return None;
        };
        self.nodes = self.nodes.saturating_add(size(node));
        if self.nodes > MOST {
            self.too_much(at, path);
            return None;
        }
        self.anchors.get(&anchor).map(|node| Node { at, kind: node.kind.clone() })
    }

    fn too_much(&mut self, at: Mark, path: &str) {
        let what = format!("there are more than {MOST} values here, or they lie deeper than {DEEPEST} levels");
        self.report.of_text(at, path, what, "no gateway needs as much");
    }

    fn refuse_tag(&mut self, tagged: bool, at: Mark, path: &str) {
        if tagged {
            self.report.of_text(at, path, "tags such as \"!!str\" have no meaning here", "remove it");
        }
    }
}

/// How many values a tree has.
fn size(node: &Node) -> usize {
    let below: usize = match &node.kind {
        Kind::Null | Kind::Scalar(_) => 0,
        Kind::List(items) => items.iter().map(size).fold(0, usize::saturating_add),
        Kind::Map(entries) => entries.iter().map(|entry| size(&entry.value)).fold(0, usize::saturating_add),
    };
    below.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let mut report = Report::default();
        read(text, &mut report);
        report.into_faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_value_knows_its_place() {
        let mut report = Report::default();
        let root = read("a:\n  - b: 1\n    c: [x, y]\nd:\n", &mut report).unwrap();
        assert!(report.is_empty());
        let root = Place::root(&root);
        for (place, path, line, column) in [
            (root.key("a").index(0).key("b"), "a[0].b", 2, 8),
            (root.key("a").index(0).key("c").index(1), "a[0].c[1]", 3, 12),
            (root.key("d"), "d", 4, 1),
            (root.key("a").index(0).key("missing"), "a[0].missing", 2, 5),
            (root.key("a").index(7).key("b"), "a[7].b", 2, 3),
        ] {
            assert_eq!((place.path(), place.at().line, place.at().column), (path, line, column));
        }
    }

    #[test]
    fn aliases_stand_for_what_was_anchored() {
        let mut report = Report::default();
        let root = read("a: &all\n  - x\n  - y\nb: *all\n", &mut report).unwrap();
        assert!(report.is_empty());
        let place = Place::root(&root).key("b");
        assert!(matches!(place.index(1).node().map(|node| &node.kind), Some(Kind::Scalar(text)) if text == "y"));
        assert_eq!(place.at().line, 4);
    }

    #[test]
    fn aliases_do_not_grow_without_end() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = level - 1;
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 8].join(", ")));
        }
        assert!(faults(&text).iter().any(|fault| fault.contains("more than 50000 values")));
    }

    #[test]
    fn depth_has_a_limit() {
        for text in ["[".repeat(100), "[".repeat(100_000), "- ".repeat(5_000), "{a: ".repeat(100)] {
            assert_eq!(faults(&text).len(), 1);
        }
    }

    #[test]
    fn invisible_characters_show_in_messages() {
        assert_eq!(quote("a\u{202e}b\"\n"), "\"a\\u{202e}b\\\"\\u{a}\"");
        assert_eq!(quote(&"x".repeat(80)).chars().count(), 63);
    }
}
