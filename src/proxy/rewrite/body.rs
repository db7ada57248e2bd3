//! A body that is rewritten while it passes, in whatever chunks it comes: the result is that of rewriting the whole.

use std::sync::Arc;

use bytes::Bytes;

use super::Rewriter;
use super::origin::LOOK_BEHIND;

/// A body on its way, and the part of it that is still to be decided about.
#[derive(Debug)]
pub struct BodyRewriter {
    rewriter: Arc<Rewriter>,
    /// What may be the beginning of an address.
    held: Vec<u8>,
    /// The end of what stood before that.
    before: Vec<u8>,
    changed: bool,
}

impl BodyRewriter {
    /// Starts with a body.
    pub fn new(rewriter: Arc<Rewriter>) -> Self {
        Self { rewriter, held: Vec::new(), before: Vec::new(), changed: false }
    }

    /// Takes the next chunk and gives what is decided. At the `end` nothing is held back.
    pub fn push(&mut self, chunk: Bytes, end: bool) -> Bytes {
        let whole = if self.held.is_empty() {
            chunk
        } else {
            let mut whole = std::mem::take(&mut self.held);
            whole.extend_from_slice(&chunk);
            whole.into()
        };
        let rewriter = Arc::clone(&self.rewriter);
        let mut found = rewriter.find(&self.before, &whole, end);
        let decided = if end { whole.len() } else { rewriter.undecided(&whole, &found) };
        found.retain(|found| found.begin < decided);
        self.changed |= !found.is_empty();
        let out = (!found.is_empty()).then(|| rewriter.replaced(whole.get(..decided).unwrap_or_default(), &found));
        self.held = whole.get(decided..).unwrap_or_default().to_vec();
        self.remember(whole.get(..decided).unwrap_or_default());
        match out {
            Some(out) => out.into(),
            None => whole.slice(..decided),
        }
    }

    /// Whether anything was replaced so far.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn remember(&mut self, passed: &[u8]) {
        let tail = passed.get(passed.len().saturating_sub(LOOK_BEHIND)..).unwrap_or_default();
        if tail.len() >= LOOK_BEHIND {
            self.before.clear();
        }
        self.before.extend_from_slice(tail);
        let surplus = self.before.len().saturating_sub(LOOK_BEHIND);
        self.before.drain(..surplus);
    }
}
