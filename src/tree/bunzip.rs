//! bzip2, its blocks decoded side by side.
//!
//! A bzip2 stream is a sequence of blocks that know nothing of each other, each marked by the same 48 bits and protected
//! by its own checksum. The marks stand at any bit, so they are searched for; what lies between two of them is made a
//! stream of one block and decoded by the ordinary decoder, on any processor. That every piece decodes to its very end
//! with the right checksum, and that the checksum over all checksums is right, shows that the marks were marks. (Data
//! that looks like a mark by chance would be refused; that takes about 2⁴⁸ bits.)

use super::Error;
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const BLOCK: u64 = 0x3141_5926_5359;
const END: u64 = 0x1772_4538_5090;
const MARK: u64 = (1 << 48) - 1;
/// Compressed blocks are smaller than this: 900,000 symbols of at most 20 bits.
const MAX_BLOCK: usize = 3 << 20;
const MAX_WORKERS: usize = 8;

type Decoded = Result<Vec<u8>, Error>;
type Job = (Vec<u8>, Sender<Decoded>);

/// Reads the plain content of bzip2 streams that follow each other.
pub(super) struct Bunzip<R> {
    input: R,
    ended: bool,
    /// Bytes of the input from that of the current mark on, and the bit in the first byte at which the mark starts.
    ahead: Vec<u8>,
    bit: usize,
    level: u8,
    /// The checksum over the checksums of the blocks so far.
    checksum: u32,
    /// Between streams, where a new one may start or the data may end.
    between: bool,
    first: bool,
    coming: VecDeque<Receiver<Decoded>>,
    /// Nothing is left to cut; or what kept us from cutting on.
    cut_all: bool,
    failed: Option<Error>,
    plain: Vec<u8>,
    at: usize,
    workers: Workers,
}

impl<R: BufRead> Bunzip<R> {
    /// An error if the machine gives no thread to decode on.
    pub(super) fn new(input: R) -> io::Result<Self> {
        Ok(Self {
            input,
            ended: false,
            ahead: Vec::new(),
            bit: 0,
            level: 0,
            checksum: 0,
            between: true,
            first: true,
            coming: VecDeque::new(),
            cut_all: false,
            failed: None,
            plain: Vec::new(),
            at: 0,
            workers: Workers::new()?,
        })
    }

    /// Cuts the next block out and gives it to the workers; `false` at the end of the data.
    fn cut(&mut self) -> Result<bool, Error> {
        while self.between {
            if !self.start()? {
                return Ok(false);
            }
            self.end_of_stream()?;
        }
        let length = self.find_next()?;
        let job = one_block_stream(&self.ahead, self.bit, length, self.level);
        let block_checksum = bits(&self.ahead, self.bit + 48, 32) as u32;
        self.checksum = self.checksum.rotate_left(1) ^ block_checksum;
        self.coming.push_back(self.workers.decode(job)?);
        self.drop_bits(length);
        self.end_of_stream()?;
        Ok(true)
    }

    /// Reads the header of a stream; `false` if only zeros are left.
    fn start(&mut self) -> Result<bool, Error> {
        self.need(4)?;
        match self.ahead.get(..4) {
            Some(&[b'B', b'Z', b'h', level @ b'1'..=b'9']) => {
                self.level = level;
                self.drop_bits(32);
                (self.checksum, self.between, self.first) = (0, false, false);
                Ok(true)
            }
            _ if self.first => Err(match self.ahead.len() {
                0..4 => truncated(),
                _ => corrupt("its header is malformed"),
            }),
            _ => loop {
                if self.ahead.iter().any(|byte| *byte != 0) {
                    return Err(match self.ahead.starts_with(b"BZh") {
                        true => corrupt("a header is malformed"),
                        false => Error::Trailing { format: "bzip2" },
                    });
                }
                self.ahead.clear();
                if !self.more()? {
                    return Ok(false);
                }
            },
        }
    }

    /// If the mark at which we stand ends the stream, checks it and goes past it; otherwise it must start a block.
    fn end_of_stream(&mut self) -> Result<(), Error> {
        self.need_bits(80)?;
        match bits(&self.ahead, self.bit, 48) {
            BLOCK => Ok(()),
            END if bits(&self.ahead, self.bit + 48, 32) == u64::from(self.checksum) => {
                let padding = (8 - (self.bit + 80) % 8) % 8;
                self.drop_bits(80 + padding);
                self.between = true;
                Ok(())
            }
            END => Err(corrupt("the checksum of the whole is wrong")),
            _ => Err(corrupt("neither a block nor the end follows")),
        }
    }

    /// How many bits there are from the mark at which we stand to the next one.
    fn find_next(&mut self) -> Result<usize, Error> {
        let filter = filter();
        let mut window = 0;
        let mut at = 0;
        loop {
            while let Some(byte) = self.ahead.get(at) {
                window = window << 8 | u64::from(*byte);
                at += 1;
                // The second but last byte of the window lies wholly within a mark that ends in the last one.
                if !filter[(window >> 8) as u8 as usize] {
                    continue;
                }
                for shift in (0..8).rev() {
                    let here = (window >> shift) & MARK;
                    let end = at * 8 - shift;
                    // Not the mark at which we stand, nor one that overlaps with it and its checksum.
                    if (here == BLOCK || here == END) && end >= self.bit + 80 + 48 {
                        return Ok(end - 48 - self.bit);
                    }
                }
            }
            if at > MAX_BLOCK {
                return Err(corrupt("a block does not end"));
            }
            if !self.more()? {
                return Err(truncated());
            }
        }
    }

    fn drop_bits(&mut self, count: usize) {
        let position = self.bit + count;
        self.ahead.drain(..(position / 8).min(self.ahead.len()));
        self.bit = position % 8;
    }

    fn need_bits(&mut self, count: usize) -> Result<(), Error> {
        self.need((self.bit + count).div_ceil(8))?;
        match self.ahead.len() * 8 < self.bit + count {
            true => Err(truncated()),
            false => Ok(()),
        }
    }

    fn need(&mut self, bytes: usize) -> Result<(), Error> {
        while self.ahead.len() < bytes && self.more()? {}
        Ok(())
    }

    fn more(&mut self) -> Result<bool, Error> {
        if self.ended {
            return Ok(false);
        }
        let chunk = self.input.fill_buf().map_err(|e| Error::from_stream("bzip2", e))?;
        self.ahead.extend_from_slice(chunk);
        let length = chunk.len();
        self.input.consume(length);
        self.ended = length == 0;
        Ok(!self.ended)
    }

    fn next(&mut self) -> Result<bool, Error> {
        while !self.cut_all && self.failed.is_none() && self.coming.len() <= self.workers.threads.len() {
            match self.cut() {
                Ok(more) => self.cut_all = !more,
                // Kept until the blocks before it are used up: errors come in the order of the data.
                Err(error) => self.failed = Some(error),
            }
        }
        if let Some(block) = self.coming.pop_front() {
            self.plain = block.recv().unwrap_or_else(|_| Err(corrupt("its decoder gave up in disorder")))?;
            self.at = 0;
            return Ok(true);
        }
        match self.failed.take() {
            Some(error) => {
                self.cut_all = true;
                Err(error)
            }
            None => Ok(false),
        }
    }
}

impl<R: BufRead> Read for Bunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if !self.next().map_err(Error::into_stream)? {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.plain.len() - self.at);
        buffer[..length].copy_from_slice(&self.plain[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// Threads of their own: the shared pool may be busy with whoever waits for what is decoded here.
struct Workers {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn new() -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let count = std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_WORKERS));
        let work = || {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().spawn(move || {
                loop {
                    // Taken in a statement of its own, so that the lock is not held while decoding.
                    let job = queue.lock().map(|queue| queue.recv());
                    let Ok(Ok((block, result))) = job else { return };
                    // Nobody waits any more when the archive was refused meanwhile.
                    _ = result.send(decode(&block));
                }
            })
        };
        // One is enough; what more there are only saves time.
        let mut threads = vec![work()?];
        threads.extend((1..count).map_while(|_| work().ok()));
        Ok(Self { jobs: Some(jobs), threads })
    }

    fn decode(&self, block: Vec<u8>) -> Result<Receiver<Decoded>, Error> {
        let (result, decoded) = channel();
        let sent = self.jobs.as_ref().map(|jobs| jobs.send((block, result)));
        match sent {
            Some(Ok(())) => Ok(decoded),
            _ => Err(corrupt("its decoders gave up in disorder")),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic was noticed where its block was missing.
            _ = thread.join();
        }
    }
}

fn decode(stream: &[u8]) -> Decoded {
    let mut plain = Vec::with_capacity(1 << 20);
    bzip2::bufread::BzDecoder::new(stream).read_to_end(&mut plain).map_err(|e| match e.kind() {
        // The piece ends where the next mark is, so whatever is missing in it was never there.
        io::ErrorKind::UnexpectedEof => corrupt("a block ends early"),
        _ => Error::from_stream("bzip2", e),
    })?;
    Ok(plain)
}

/// A stream of the one block that starts at a bit of `bytes` and has `length` bits.
fn one_block_stream(bytes: &[u8], bit: usize, length: usize, level: u8) -> Vec<u8> {
    let mut stream = Vec::with_capacity(length / 8 + 16);
    stream.extend_from_slice(&[b'B', b'Z', b'h', level]);
    let whole = length / 8;
    match bit {
        0 => stream.extend_from_slice(&bytes[..whole]),
        _ => stream.extend(bytes[..whole + 1].windows(2).map(|pair| pair[0] << bit | pair[1] >> (8 - bit))),
    }
    // What is left of the block, the end mark, and the checksum over the one checksum, which is that checksum.
    let rest = length % 8;
    let mut tail = u128::from(bits(bytes, bit + whole * 8, rest));
    tail = tail << 48 | u128::from(END);
    tail = tail << 32 | u128::from(bits(bytes, bit + 48, 32));
    let used = rest + 80;
    let padding = (8 - used % 8) % 8;
    let tail = (tail << padding).to_be_bytes();
    stream.extend_from_slice(&tail[tail.len() - (used + padding) / 8..]);
    stream
}

/// Up to 56 bits from a bit of `bytes` on, which must be there.
fn bits(bytes: &[u8], from: usize, count: usize) -> u64 {
    let (first, end) = (from / 8, (from + count).div_ceil(8));
    let value = bytes[first..end].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    (value >> (end * 8 - from - count)) & ((1 << count) - 1)
}

/// Which bytes can come before the byte in which a mark ends.
fn filter() -> [bool; 256] {
    let mut filter = [false; 256];
    for mark in [BLOCK, END] {
        for shift in 0..8 {
            filter[((mark << shift) >> 8) as u8 as usize] = true;
        }
    }
    filter
}

fn truncated() -> Error {
    Error::Truncated { format: "bzip2" }
}

fn corrupt(detail: &str) -> Error {
    Error::Corrupt { format: "bzip2", detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn compress(plain: &[u8], level: u32) -> Vec<u8> {
        let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(level));
        out.write_all(plain).unwrap();
        out.finish().unwrap()
    }

    fn decompress(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Bunzip::new(io::BufReader::with_capacity(step, bytes))?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn noise(length: usize, mut seed: u32) -> Vec<u8> {
        std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .take(length)
        .collect()
    }

    #[test]
    fn many_blocks_come_out_in_order() {
        let plain: Vec<u8> = noise(700_000, 1).iter().map(|byte| byte & 0x3f).collect();
        for level in [1, 2, 9] {
            assert_eq!(decompress(&compress(&plain, level), 4096).unwrap(), plain);
        }
    }

    #[test]
    fn a_checksum_of_the_whole_that_is_wrong_is_noticed() {
        let mut stream = compress(&noise(250_000, 2), 1);
        let last = stream.len() - 2;
        stream[last] ^= 0x10;
        let error = decompress(&stream, 4096).unwrap_err().to_string();
        assert_eq!(error, "the bzip2 data is corrupt: the checksum of the whole is wrong");
    }

    /// An end whose checksum is made zero looks like an empty stream to a decoder that is given only that piece.
    #[test]
    fn a_wrong_end_is_not_forgotten_when_more_follows() {
        let mut stream = compress(b"one", 1);
        let end = (0..stream.len() * 8 - 80).find(|at| bits(&stream, *at, 48) == END).unwrap();
        for bit in end + 48..end + 80 {
            stream[bit / 8] &= !(0x80 >> (bit % 8));
        }
        stream.extend(compress(b"two", 1));
        assert!(decompress(&stream, 4096).is_err());
    }

    #[test]
    fn nothing_and_zeros_and_runs() {
        for plain in [vec![], vec![0], vec![0; 3_000_000], vec![b'r'; 259]] {
            assert_eq!(decompress(&compress(&plain, 9), 1).unwrap(), plain);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the ordinary decoder makes of damaged data, this one makes the same of it or refuses it.
        #[test]
        fn it_never_knows_better(length in 0_usize..250_000, seed: u32, at in 0.0..1.0, bit in 0..8, cut: bool) {
            let mut stream = compress(&noise(length, seed), 1);
            let at = (stream.len() as f64 * at) as usize;
            match cut {
                true => stream.truncate(at),
                false => stream[at] ^= 1_u8 << bit,
            }
            let mut ordinary = Vec::new();
            let result = bzip2::bufread::MultiBzDecoder::new(&stream[..]).read_to_end(&mut ordinary);
            if let Ok(plain) = decompress(&stream, 1000) {
                prop_assert!(result.is_ok());
                prop_assert_eq!(plain, ordinary);
            }
        }
    }
}
