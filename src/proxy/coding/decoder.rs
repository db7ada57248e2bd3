//! Decodes a body while it passes, a bounded piece at a time.

use std::io;

use bytes::{Bytes, BytesMut};
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};

use super::Coding;

/// The most that one piece is long, in bytes.
const PIECE: usize = 32 * 1024;

/// The largest window that a zstd body may ask for: 8 MiB, as RFC 9659, section 3 has it for the web.
const ZSTD_WINDOW_LOG: u32 = 23;

/// A body cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// It is not what `Content-Encoding` says.
    #[error("the body is not {coding}: {source}", coding = coding.name())]
    Broken {
        /// What it should have been.
        coding: Coding,
        /// What is wrong.
        source: io::Error,
    },
    /// It ends in the middle.
    #[error("the {} body ends too early", .0.name())]
    Cut(Coding),
    /// It grows beyond all measure.
    #[error("the body grows beyond measure when it is decoded")]
    Bomb,
}

/// A body on its way out of a coding.
#[derive(Debug)]
pub struct Decoder {
    coding: Coding,
    codec: Codec,
    begun: bool,
    ended: bool,
}

#[derive(Debug)]
enum Codec {
    Gzip(GzipDecoder),
    Brotli(BrotliDecoder),
    Zstd(ZstdDecoder),
    /// It takes two bytes to tell which of the two ways of `deflate` it is.
    Unclear(Vec<u8>),
    Zlib(ZlibDecoder),
    Raw(DeflateDecoder),
}

impl Codec {
    fn as_dyn(&mut self) -> Option<&mut dyn DecodeV2> {
        Some(match self {
            Self::Gzip(codec) => codec,
            Self::Brotli(codec) => codec,
            Self::Zstd(codec) => codec,
            Self::Zlib(codec) => codec,
            Self::Raw(codec) => codec,
            Self::Unclear(_) => return None,
        })
    }
}

impl Decoder {
    /// Starts with a body.
    pub fn new(coding: Coding) -> Self {
        let codec = match coding {
            Coding::Gzip => Codec::Gzip(GzipDecoder::new()),
            Coding::Brotli => Codec::Brotli(BrotliDecoder::new()),
            Coding::Zstd => Codec::Zstd(ZstdDecoder::new_with_params(&[DParameter::window_log_max(ZSTD_WINDOW_LOG)])),
            Coding::Deflate => Codec::Unclear(Vec::new()),
        };
        Self { coding, codec, begun: false, ended: false }
    }

    /// Decodes the next chunk; what comes of it is given to `sink` in pieces, which may refuse more of it.
    ///
    /// # Errors
    /// When it is not of this coding, or the sink's.
    pub fn push<E: From<Undecodable>>(
        &mut self,
        chunk: &[u8],
        mut sink: impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.begun = true;
        if let Codec::Unclear(first) = &mut self.codec {
            first.extend_from_slice(chunk);
            let [one, two, ..] = first.as_slice() else { return Ok(()) };
            let known =
                if is_zlib(*one, *two) { Codec::Zlib(ZlibDecoder::new()) } else { Codec::Raw(DeflateDecoder::new()) };
            let Codec::Unclear(first) = std::mem::replace(&mut self.codec, known) else { return Ok(()) };
            return self.run(&first, &mut sink);
        }
        self.run(chunk, &mut sink)
    }

    fn run<E: From<Undecodable>>(
        &mut self,
        chunk: &[u8],
        sink: &mut impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let coding = self.coding;
        let broken = |source| Undecodable::Broken { coding, source };
        let mut input = PartialBuffer::new(chunk);
        loop {
            let feeding = !input.unwritten().is_empty();
            if self.ended {
                if !feeding || !self.goes_on(input.unwritten()) {
                    return Ok(()); // what follows the end is nothing that anybody reads
                }
                self.codec.as_dyn().map_or(Ok(()), |codec| codec.reinit()).map_err(broken)?;
                self.ended = false;
            }
            let mut piece = BytesMut::zeroed(PIECE);
            let mut output = WriteBuffer::new_initialized(&mut piece);
            let before = input.written_len();
            // Without input there may still be output: what did not fit into the last piece.
            let done = match &mut self.codec {
                Codec::Zstd(codec) => codec.decode(&mut input, &mut output).map_err(broken)?,
                other => match other.as_dyn() {
                    Some(codec) if feeding => codec.decode(&mut input, &mut output).map_err(broken)?,
                    Some(codec) => {
                        codec.flush(&mut output).map_err(broken)?;
                        false
                    }
                    None => return Ok(()),
                },
            };
            let (written, full) = (output.written_len(), output.has_no_spare_space());
            if written > 0 {
                piece.truncate(written);
                sink(piece.freeze())?;
            }
            if done {
                self.ended = true;
                continue;
            }
            if input.unwritten().is_empty() {
                if !full {
                    return Ok(());
                }
            } else if written == 0 && input.written_len() == before {
                return Err(broken(io::ErrorKind::InvalidData.into()).into());
            }
        }
    }

    /// Whether another member or frame follows the one that has ended.
    fn goes_on(&self, rest: &[u8]) -> bool {
        match self.coding {
            Coding::Gzip => rest.first() == Some(&0x1f),
            Coding::Zstd => matches!(rest.first(), Some(0x28 | 0x50..=0x5f)),
            Coding::Brotli | Coding::Deflate => false,
        }
    }

    /// The body has ended.
    ///
    /// # Errors
    /// When it should not have yet.
    pub fn finish(&mut self) -> Result<(), Undecodable> {
        if !self.begun || self.ended {
            return Ok(()); // an answer without a body is not encoded, whatever it says
        }
        let mut piece = BytesMut::zeroed(PIECE);
        let mut output = WriteBuffer::new_initialized(&mut piece);
        let finished = self.codec.as_dyn().map_or(Ok(false), |codec| codec.finish(&mut output));
        match finished {
            Ok(true) if output.written_len() == 0 => {
                self.ended = true;
                Ok(())
            }
            _ => Err(Undecodable::Cut(self.coding)),
        }
    }
}

/// Whether a body begins as RFC 1950, section 2.2 has it.
fn is_zlib(one: u8, two: u8) -> bool {
    one & 0x0f == 8 && one >> 4 <= 7 && u16::from_be_bytes([one, two]).checked_rem(31) == Some(0)
}
