//! The body of an answer on its way to the visitor: out of its coding, through the rewriter, and into a coding again.
//!
//! Memory is bounded whatever the upstream sends: of each chunk that arrives no more than [`MOST_DECODED`] is made, so that
//! a body of a few kilobytes cannot become gigabytes here. What arrives is put out at once, so that nobody waits for the end of
//! a stream.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::coding::{Coding, Decoder, Encoder, Undecodable};
use super::in_page::Insert;
use super::rewrite::{BodyRewriter, Rewriter};

/// The most that one chunk of an encoded body may become, in bytes. Chunks are at most 64 KiB long: text shrinks to a
/// tenth, and rarely to a fiftieth; this is a hundred and twenty-eighth.
pub const MOST_DECODED: usize = 8 * 1024 * 1024;

/// A body that is rewritten.
#[derive(Debug)]
pub struct AnswerBody {
    rewriter: BodyRewriter,
    insert: Option<Insert>,
    coded: Option<Box<Coded>>,
}

#[derive(Debug)]
struct Coded {
    decoder: Decoder,
    encoder: Option<Encoder>,
    /// Whether there was any body at all.
    begun: bool,
    /// The most that one chunk may become.
    most: usize,
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
        Self { rewriter: BodyRewriter::new(Arc::clone(rewriter)), insert: None, coded: None }
    }

    /// A body that comes in one coding and goes in another, or in none.
    pub fn coded(rewriter: &Arc<Rewriter>, from: Coding, to: Option<Coding>) -> Self {
        let encoder = to.map(Encoder::new);
        let coded = Coded { decoder: Decoder::new(from), encoder, begun: false, most: MOST_DECODED };
        Self { rewriter: BodyRewriter::new(Arc::clone(rewriter)), insert: None, coded: Some(Box::new(coded)) }
    }

    /// With something at the start of the document's head.
    #[must_use]
    pub fn inserting(self, insert: Insert) -> Self {
        Self { insert: Some(insert), ..self }
    }

    /// Takes the next chunk and gives what can go on. At the `end` nothing is held back.
    ///
    /// # Errors
    /// When the body is not in its coding, ends too early, or grows beyond measure.
    pub fn push(&mut self, chunk: Bytes, end: bool) -> Result<Bytes, BodyFailed> {
        let (rewriter, insert) = (&mut self.rewriter, &mut self.insert);
        let mut rewritten = |chunk: Bytes, end: bool| {
            let out = rewriter.push(chunk, end);
            match insert {
                Some(insert) => insert.push(out, end),
                None => out,
            }
        };
        let Some(coded) = &mut self.coded else { return Ok(rewritten(chunk, end)) };
        let Coded { decoder, encoder, begun, most } = coded.as_mut();
        *begun |= !chunk.is_empty();
        let (mut out, mut decoded, mut failed) = (Vec::new(), 0_usize, None);
        decoder.push(&chunk, |piece| {
            decoded = decoded.saturating_add(piece.len());
            if decoded > *most {
                return Err(Undecodable::Bomb);
            }
            if let Err(error) = put(encoder.as_mut(), &rewritten(piece, false), &mut out) {
                failed.get_or_insert(error);
            }
            Ok(())
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
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
