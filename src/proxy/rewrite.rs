//! Turns the upstream's own addresses into public ones and back, in headers and, streaming, in bodies.
//!
//! A body is never held back whole: what is kept between two chunks is what may be the beginning of an address, and
//! that is nothing for most of them. What holds no address is passed on as it came, without being copied.

mod body;
mod fields;
mod origin;
mod search;
mod spelling;

use bytes::Bytes;

pub use body::BodyRewriter;
pub use fields::{FieldNames, FieldRewriter, LONGEST_NAME, Notation, query};
use origin::Mention;
pub use origin::{InvalidOrigin, Origin};
use search::{Needle, Search};

/// Replaces origins by others, in each spelling that web pages use, and literal texts by others.
#[derive(Clone, Debug)]
pub struct Rewriter {
    origins: Vec<(Origin, Origin)>,
    texts: Vec<(Vec<u8>, Vec<u8>)>,
    search: Search,
    /// What each needle of the search stands for.
    targets: Vec<Target>,
    /// The longest match with what has to be known behind it, in bytes.
    longest: usize,
}

#[derive(Clone, Debug)]
enum Target {
    /// This spelling of the host of this origin.
    Host(usize, String),
    Text(usize),
}

/// The rewriter could not be built: the texts are longer or more than the search supports.
#[derive(Debug, thiserror::Error)]
#[error("the addresses cannot be rewritten: {0}")]
pub struct RewriterFailed(#[from] aho_corasick::BuildError);

/// Something that is replaced.
#[derive(Clone, Copy, Debug)]
struct Found<'t> {
    begin: usize,
    end: usize,
    by: By<'t>,
}

#[derive(Clone, Copy, Debug)]
enum By<'t> {
    Origin(usize, Mention<'t>),
    Text(usize),
}

impl Rewriter {
    /// Replaces each first origin by the second, and each first text, exactly as it stands, by the second. Of two that
    /// begin at the same place, a text wins over an origin, and a longer text over a shorter one.
    ///
    /// # Errors
    /// When the search cannot be built.
    pub fn new(origins: Vec<(Origin, Origin)>, texts: Vec<(String, String)>) -> Result<Self, RewriterFailed> {
        let (mut needles, mut targets) = (Vec::new(), Vec::new());
        for (index, (from, _)) in origins.iter().enumerate() {
            for host in from.hosts() {
                targets.push(Target::Host(index, host.clone()));
                needles.push(Needle { text: host.clone().into_bytes(), ignores_case: true });
            }
        }
        let texts: Vec<(Vec<u8>, Vec<u8>)> =
            texts.into_iter().filter(|(from, _)| !from.is_empty()).map(|(from, to)| (from.into(), to.into())).collect();
        for (index, (from, _)) in texts.iter().enumerate() {
            targets.push(Target::Text(index));
            needles.push(Needle { text: from.clone(), ignores_case: false });
        }
        let longest_origin = origins.iter().map(|(from, _)| from.longest_mention());
        let longest = longest_origin.chain(texts.iter().map(|(from, _)| from.len())).max().unwrap_or(0);
        let search = Search::new(&needles)?;
        Ok(Self { origins, texts, search, targets, longest })
    }

    /// Rewrites an address that stands at the start of a header value: `Origin`, `Referer`. `None` when it is another one.
    pub fn address(&self, value: &[u8]) -> Option<Vec<u8>> {
        let found = self.find(&[], value, true).into_iter().find(|found| found.begin == 0)?;
        let mut out = Vec::with_capacity(value.len());
        self.write(&found, &mut out);
        out.extend_from_slice(value.get(found.end..)?);
        Some(out)
    }

    /// Rewrites a whole text; `None` when nothing in it changes.
    pub fn text(&self, text: &[u8]) -> Option<Bytes> {
        let found = self.find(&[], text, true);
        (!found.is_empty()).then(|| self.replaced(text, &found).into())
    }

    /// What is replaced in `text`, in order and without overlaps. `before` is what stood before the text; after its `end`
    /// nothing follows, otherwise what is not decided yet is left out.
    fn find<'t>(&self, before: &[u8], text: &'t [u8], end: bool) -> Vec<Found<'t>> {
        let mut all: Vec<Found<'t>> = Vec::new();
        for candidate in self.search.candidates(text) {
            let begin = candidate.begin;
            let found = match self.targets.get(candidate.needle) {
                Some(Target::Host(index, host)) => self.origins.get(*index).and_then(|(from, _)| {
                    let host_end = begin.checked_add(host.len())?;
                    if !text.get(begin..host_end)?.eq_ignore_ascii_case(host.as_bytes()) {
                        return None;
                    }
                    let mention = from.mention_at(before, text, begin, host_end, end)?;
                    Some(Found { begin: mention.begin, end: mention.end, by: By::Origin(*index, mention) })
                }),
                Some(Target::Text(index)) => self.texts.get(*index).and_then(|(from, _)| {
                    let end = begin.checked_add(from.len())?;
                    (text.get(begin..end)? == from.as_slice()).then_some(Found { begin, end, by: By::Text(*index) })
                }),
                None => None,
            };
            all.extend(found);
        }
        if all.len() > 1 {
            all.sort_by_key(|found| {
                let origin = matches!(found.by, By::Origin(..));
                (found.begin, origin, std::cmp::Reverse(found.end))
            });
            let mut done = 0;
            all.retain(|found| {
                let apart = found.begin >= done;
                if apart {
                    done = found.end;
                }
                apart
            });
        }
        all
    }

    /// From where on a text that goes on is not decided yet; what is found before that stands. Nothing is undecided within
    /// what is found already.
    fn undecided(&self, text: &[u8], found: &[Found<'_>]) -> usize {
        let from = text.len().saturating_sub(self.longest);
        let mut at = from;
        let mut found = found.iter().skip_while(|found| found.end <= from).peekable();
        while at < text.len() {
            if let Some(next) = found.next_if(|next| next.begin < at) {
                at = at.max(next.end);
                continue;
            }
            if self.may_begin(text.get(at..).unwrap_or_default()) {
                return at;
            }
            if let Some(next) = found.next_if(|next| next.begin == at) {
                at = next.end;
                continue;
            }
            at = at.saturating_add(1);
        }
        text.len()
    }

    fn may_begin(&self, text: &[u8]) -> bool {
        self.origins.iter().any(|(from, _)| from.may_begin(text))
            || self.texts.iter().any(|(from, _)| from.len() > text.len() && from.starts_with(text))
    }

    fn replaced(&self, text: &[u8], found: &[Found<'_>]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len().saturating_add(text.len() / 8));
        let mut done = 0;
        for found in found {
            out.extend_from_slice(text.get(done..found.begin).unwrap_or_default());
            self.write(found, &mut out);
            done = found.end;
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
        out
    }

    fn write(&self, found: &Found<'_>, out: &mut Vec<u8>) {
        match &found.by {
            By::Origin(index, mention) => {
                if let Some((_, to)) = self.origins.get(*index) {
                    to.write(mention, out);
                }
            }
            By::Text(index) => {
                out.extend_from_slice(self.texts.get(*index).map(|(_, to)| to.as_slice()).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests;
