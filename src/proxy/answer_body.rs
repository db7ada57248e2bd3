//! The body of an answer on its way to the visitor: out of its coding, through the rewriter, and into a coding again.
//!
//! Memory is bounded whatever the upstream sends: of each chunk that arrives no more than [`MOST_DECODED`] is made, so that
//! a body of a few kilobytes cannot become gigabytes here. What arrives is put out at once, so that nobody waits for the end of
//! a stream. A short encoded body whose length is known is no stream: see [`looked_through`].

mod looked_through;

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::coding::{Coding, Decoder, Encoder, Undecodable};
use super::in_page::Insert;
use super::rewrite::{BodyRewriter, Rewriter};
pub use looked_through::LONGEST;
use looked_through::{LookedThrough, Seen};

/// The most that one chunk of an encoded body may become, in bytes. Chunks are at most 64 KiB long: text shrinks to a
/// tenth, and rarely to a fiftieth; this is a hundred and twenty-eighth.
pub const MOST_DECODED: usize = 8 * 1024 * 1024;

/// A body that is rewritten.
#[derive(Debug)]
pub struct AnswerBody {
    rewriter: BodyRewriter,
    insert: Option<Insert>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Plain,
    Coded(Box<Coded>),
    /// As it came, if nothing in it is replaced.
    LookedThrough(Box<LookedThrough>),
}

#[derive(Debug)]
struct Coded {
    decoder: Decoder,
    encoder: Option<Encoder>,
    /// Whether there was any body at all.
    begun: bool,
}

impl Coded {
    fn new(from: Coding, to: Option<Coding>) -> Self {
        Self { decoder: Decoder::new(from), encoder: to.map(Encoder::new), begun: false }
    }
}

/// A body cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum BodyFailed {
    /// It does not decode.
    #[error(transparent)]
    Decode(#[from] Undecodable),
    /// It does not encode.
    #[error("the body cannot be encoded: {0}")]
    Encode(#[from] io::Error),
}

impl AnswerBody {
    /// A body without a coding.
    pub fn plain(rewriter: &Arc<Rewriter>) -> Self {
        Self { rewriter: BodyRewriter::new(Arc::clone(rewriter)), insert: None, way: Way::Plain }
    }

    /// A body that comes in one coding and goes in another, or in none.
    pub fn coded(rewriter: &Arc<Rewriter>, from: Coding, to: Option<Coding>) -> Self {
        let way = Way::Coded(Box::new(Coded::new(from, to)));
        Self { rewriter: BodyRewriter::new(Arc::clone(rewriter)), insert: None, way }
    }

    /// A body that goes in the coding in which it comes, and is no longer than [`LONGEST`]: it goes as it came if nothing in it
    /// is replaced.
    pub fn short(rewriter: &Arc<Rewriter>, coding: Coding) -> Self {
        let looked_through = LookedThrough::new(rewriter, coding);
        let way = Way::LookedThrough(Box::new(looked_through));
        Self { rewriter: BodyRewriter::new(Arc::clone(rewriter)), insert: None, way }
    }

    /// With something at the start of the document's head.
    #[must_use]
    pub fn inserting(self, insert: Insert) -> Self {
        let way = match self.way {
            // It does not stay as it came.
            Way::LookedThrough(looked) => Way::Coded(Box::new(Coded::new(looked.coding(), Some(looked.coding())))),
            way => way,
        };
        Self { insert: Some(insert), way, ..self }
    }

    /// Takes the next chunk and gives what can go on. At the `end` nothing is held back.
    ///
    /// # Errors
    /// When the body is not in its coding, ends too early, or grows beyond measure.
    pub fn push(&mut self, chunk: Bytes, end: bool) -> Result<Bytes, BodyFailed> {
        let Way::LookedThrough(looked) = &mut self.way else { return self.rewritten(chunk, end) };
        let held = match looked.push(chunk, end)? {
            Seen::Nothing => return Ok(Bytes::new()),
            Seen::Untouched(body) => return Ok(body),
            Seen::Changes(held) => held,
        };
        let coding = looked.coding();
        self.way = Way::Coded(Box::new(Coded::new(coding, Some(coding))));
        let mut out = BytesMut::new();
        for chunk in held {
            out.extend_from_slice(&self.rewritten(chunk, false)?);
        }
        if end {
            out.extend_from_slice(&self.rewritten(Bytes::new(), true)?);
        }
        Ok(out.freeze())
    }

    fn rewritten(&mut self, chunk: Bytes, end: bool) -> Result<Bytes, BodyFailed> {
        let (rewriter, insert) = (&mut self.rewriter, &mut self.insert);
        let mut rewritten = |chunk: Bytes, end: bool| {
            let out = rewriter.push(chunk, end);
            match insert {
                Some(insert) => insert.push(out, end),
                None => out,
            }
        };
        let Way::Coded(coded) = &mut self.way else { return Ok(rewritten(chunk, end)) };
        let Coded { decoder, encoder, begun } = coded.as_mut();
        *begun |= !chunk.is_empty();
        let (mut out, mut decoded) = (Vec::new(), 0_usize);
        decoder.push(&chunk, |piece| {
            decoded = decoded.saturating_add(piece.len());
            if decoded > MOST_DECODED {
                return Err(BodyFailed::from(Undecodable::Bomb));
            }
            put(encoder.as_mut(), &rewritten(piece, false), &mut out).map_err(BodyFailed::from)
        })?;
        if end {
            decoder.finish()?;
            put(encoder.as_mut(), &rewritten(Bytes::new(), true), &mut out)?;
            if let Some(encoder) = encoder.as_mut().filter(|_| *begun) {
                encoder.finish(&mut out)?;
            }
        } else if let Some(encoder) = encoder.as_mut().filter(|_| decoded > 0) {
            encoder.flush(&mut out)?;
        }
        Ok(out.into())
    }
}

fn put(encoder: Option<&mut Encoder>, text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    match encoder {
        _ if text.is_empty() => Ok(()),
        Some(encoder) => encoder.write(text, out),
        None => {
            out.extend_from_slice(text);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
