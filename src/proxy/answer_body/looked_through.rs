//! A short encoded body of known length is held until all of it was looked through: where nothing is replaced it goes as it
//! came, without being encoded anew, which is what costs most.
//!
//! Of a body whose length its head tells the upstream has all, so that waiting for its end costs no more than the way from
//! there. A stream has no length, and is never held.

use std::sync::Arc;

use bytes::Bytes;

use super::MOST_DECODED;
use crate::proxy::coding::{Coding, Decoder, Undecodable};
use crate::proxy::rewrite::{BodyRewriter, Rewriter};

/// The longest body that is held, in bytes: about what encoding one takes for itself.
pub const LONGEST: usize = 256 * 1024;

/// A body that is held.
#[derive(Debug)]
pub struct LookedThrough {
    coding: Coding,
    decoder: Decoder,
    rewriter: BodyRewriter,
    held: Vec<Bytes>,
    /// How long that is.
    length: usize,
    decoded: usize,
}

/// What is known so far.
#[derive(Debug)]
pub enum Seen {
    /// Nothing that is replaced.
    Nothing,
    /// Nothing was there to replace: the body as it came.
    Untouched(Bytes),
    /// It has to be rewritten: all the chunks that came until here.
    Changes(Vec<Bytes>),
}

impl LookedThrough {
    /// Starts with a body.
    pub fn new(rewriter: &Arc<Rewriter>, coding: Coding) -> Self {
        Self {
            coding,
            decoder: Decoder::new(coding),
            rewriter: BodyRewriter::new(Arc::clone(rewriter)),
            held: Vec::new(),
            length: 0,
            decoded: 0,
        }
    }

    /// That of the body.
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// Looks through the next chunk. What decodes to more than one chunk may become, or is longer than was said, is not held
    /// any more.
    ///
    /// # Errors
    /// When the body is not in its coding, or ends too early.
    pub fn push(&mut self, chunk: Bytes, end: bool) -> Result<Seen, Undecodable> {
        self.length = self.length.saturating_add(chunk.len());
        self.held.push(chunk.clone());
        let Self { decoder, rewriter, decoded, .. } = self;
        let looked = decoder.push(&chunk, |piece| {
            *decoded = decoded.saturating_add(piece.len());
            rewriter.push(piece, false);
            if rewriter.changed() || *decoded > MOST_DECODED { Err(Stopped::Enough) } else { Ok(()) }
        });
        match looked {
            Ok(()) => {}
            Err(Stopped::Enough) => return Ok(Seen::Changes(std::mem::take(&mut self.held))),
            Err(Stopped::Failed(failed)) => return Err(failed),
        }
        if end {
            self.decoder.finish()?;
            self.rewriter.push(Bytes::new(), true);
        }
        Ok(if self.rewriter.changed() || self.length > LONGEST {
            Seen::Changes(std::mem::take(&mut self.held))
        } else if end {
            Seen::Untouched(std::mem::take(&mut self.held).concat().into())
        } else {
            Seen::Nothing
        })
    }
}

/// Why looking through a chunk ended before its end.
enum Stopped {
    /// Nothing is gained by looking further.
    Enough,
    Failed(Undecodable),
}

impl From<Undecodable> for Stopped {
    fn from(failed: Undecodable) -> Self {
        Self::Failed(failed)
    }
}
