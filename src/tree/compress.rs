//! From compressed bytes to plain ones, as one stream. The compression is told by its first bytes.

use super::Error;
use super::bunzip::Bunzip;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use std::io::{self, BufRead, Chain, Cursor, Read};

/// Dictionaries (xz) and windows (zstd) may make a decoder hold this many bytes; the largest in honest use is 1 GiB for
/// zstd `--long=30`, but no source in our set needs more than 128 MiB.
const WINDOW_LOG: u32 = 28;
const XZ_MEMORY_KIB: u32 = 512 << 10;

/// Bytes that were looked at, put back before the rest.
type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// A decoder with the name of its format.
pub(super) struct Decoder<'a> {
    pub format: &'static str,
    pub plain: Box<dyn Read + 'a>,
}

/// The plain content of bytes compressed with gzip, bzip2, xz or zstd, and which of them it was. Errors of the format come
/// as errors of reading.
///
/// # Errors
/// The bytes begin like none of them, or do not go on like it.
pub fn unpacked<'a>(input: impl BufRead + 'a) -> Result<(&'static str, Box<dyn Read + 'a>), Error> {
    let Decoder { format, plain } = decoder(input)?;
    if format == "archive" { Err(Error::UnknownFormat) } else { Ok((format, plain)) }
}

/// The plain content of a raw deflate stream, as zip archives hold it.
pub fn inflated<'a>(input: impl BufRead + 'a) -> Box<dyn Read + 'a> {
    Box::new(DeflateDecoder::new(input))
}

/// The plain content of a zlib stream, as ELF sections and PNG files hold it.
pub fn unzlibbed<'a>(input: impl BufRead + 'a) -> Box<dyn Read + 'a> {
    Box::new(ZlibDecoder::new(input))
}

/// Chooses a decoder by the first bytes. What looks like none of the formats is passed on as it is.
pub(super) fn decoder<'a, R: BufRead + 'a>(mut input: R) -> Result<Decoder<'a>, Error> {
    let mut head = Vec::with_capacity(6);
    input.by_ref().take(6).read_to_end(&mut head).map_err(|e| Error::from_stream("archive", e))?;
    let magic = head.clone();
    let input: Peeked<R> = Cursor::new(head).chain(input);
    Ok(match magic.as_slice() {
        [] => return Err(Error::Truncated { format: "archive" }),
        [0x1f, 0x8b, ..] => Decoder { format: "gzip", plain: Box::new(Gunzip { stream: Some(GzDecoder::new(input)) }) },
        [b'B', b'Z', b'h', ..] => {
            Decoder { format: "bzip2", plain: Box::new(Bunzip::new(input).map_err(Error::Read)?) }
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            let xz = lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY_KIB);
            Decoder { format: "xz", plain: Box::new(xz) }
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut zstd = zstd::Decoder::with_buffer(input).map_err(|e| Error::from_stream("zstd", e))?;
            zstd.window_log_max(WINDOW_LOG).map_err(|e| Error::from_stream("zstd", e))?;
            Decoder { format: "zstd", plain: Box::new(zstd) }
        }
        _ => Decoder { format: "archive", plain: Box::new(input) },
    })
}

/// Streams of gzip after another. Zeros may follow the last one, since tapes were padded with them; nothing else.
struct Gunzip<R> {
    stream: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(stream) = &mut self.stream else { return Ok(0) };
            let read = stream.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut input) = self.stream.take().map(GzDecoder::into_inner) else { return Ok(0) };
            if input.fill_buf()?.first() == Some(&0x1f) {
                self.stream = Some(GzDecoder::new(input));
                continue;
            }
            loop {
                let rest = input.fill_buf()?;
                if rest.iter().any(|byte| *byte != 0) {
                    return Err(Error::Trailing { format: "gzip" }.into_stream());
                }
                let length = rest.len();
                if length == 0 {
                    return Ok(0);
                }
                input.consume(length);
            }
        }
    }
}
