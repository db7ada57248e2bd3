//! Encodes a body while it passes.

use std::io;

use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::CParameter;
use compression_codecs::{BrotliEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder};

use super::Coding;

/// How much room for output is made at once, in bytes.
const ROOM: usize = 16 * 1024;

/// Levels at which a body is encoded no slower than it was decoded, give or take, with windows of a few hundred
/// kilobytes: memory is what each of many answers under way costs.
const GZIP_LEVEL: i32 = 4;
const BROTLI_LEVEL: i32 = 4;
const BROTLI_WINDOW_LOG: i32 = 18;
const ZSTD_LEVEL: i32 = 2;
const ZSTD_WINDOW_LOG: u32 = 18;

/// A body on its way into a coding.
#[derive(Debug)]
pub struct Encoder {
    codec: Codec,
}

#[derive(Debug)]
enum Codec {
    Gzip(GzipEncoder),
    Brotli(Box<BrotliEncoder>),
    Zstd(ZstdEncoder),
    Zlib(ZlibEncoder),
}

impl Encoder {
    /// Starts with a body.
    pub fn new(coding: Coding) -> Self {
        let codec = match coding {
            Coding::Gzip => Codec::Gzip(GzipEncoder::new(Level::Precise(GZIP_LEVEL).into())),
            Coding::Deflate => Codec::Zlib(ZlibEncoder::new(Level::Precise(GZIP_LEVEL).into())),
            Coding::Brotli => {
                let params = EncoderParams::default().quality(Level::Precise(BROTLI_LEVEL));
                Codec::Brotli(Box::new(BrotliEncoder::new(params.window_size(BROTLI_WINDOW_LOG).text_mode())))
            }
            Coding::Zstd => {
                Codec::Zstd(ZstdEncoder::new_with_params(ZSTD_LEVEL, &[CParameter::window_log(ZSTD_WINDOW_LOG)]))
            }
        };
        Self { codec }
    }

    fn codec(&mut self) -> &mut dyn EncodeV2 {
        match &mut self.codec {
            Codec::Gzip(codec) => codec,
            Codec::Brotli(codec) => codec.as_mut(),
            Codec::Zstd(codec) => codec,
            Codec::Zlib(codec) => codec,
        }
    }

    /// Takes more of the body.
    ///
    /// # Errors
    /// When the library fails.
    pub fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = PartialBuffer::new(text);
        while !input.unwritten().is_empty() {
            self.with_room(out, |codec, output| codec.encode(&mut input, output).map(|()| true))?;
        }
        Ok(())
    }

    /// Puts out all that was taken, so that nobody waits for it.
    ///
    /// # Errors
    /// When the library fails.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while !self.with_room(out, |codec, output| codec.flush(output))? {}
        Ok(())
    }

    /// Ends the body.
    ///
    /// # Errors
    /// When the library fails.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while !self.with_room(out, |codec, output| codec.finish(output))? {}
        Ok(())
    }

    fn with_room<T>(
        &mut self,
        out: &mut Vec<u8>,
        step: impl FnOnce(&mut dyn EncodeV2, &mut WriteBuffer<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let begin = out.len();
        out.resize(begin.saturating_add(ROOM), 0);
        let room = out.get_mut(begin..).unwrap_or_default();
        let mut output = WriteBuffer::new_initialized(room);
        let result = step(self.codec(), &mut output);
        let written = output.written_len();
        out.truncate(begin.saturating_add(written));
        result
    }
}
