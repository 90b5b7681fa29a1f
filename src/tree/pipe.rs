//! Decoding on one thread while another uses what comes out, with a bounded number of chunks between them.

use super::{Error, Limits, compress};
use crate::base::{Cancel, Progress};
use std::io::{self, BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;

const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 16;
/// How far ahead of the ratio a decoder may be: small archives of zeros are no bombs.
const SLACK: u64 = 64 << 20;

enum Message {
    Chunk(Vec<u8>),
    End,
    Failed(Error),
}

/// The end of a pipe into which a thread writes.
pub(super) struct Sink {
    chunks: SyncSender<Message>,
    spare: Receiver<Vec<u8>>,
}

/// The end from which the other thread reads.
pub(super) struct Piped {
    chunks: Receiver<Message>,
    spare: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

/// Starts a thread that fills a pipe; an error if the machine gives none.
pub(super) fn pipe<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce(&Sink) -> Result<(), Error> + Send + 'scope,
) -> Result<Piped, Error> {
    let (chunks, received) = sync_channel(CHUNKS);
    let (spare, returned) = channel();
    let started = std::thread::Builder::new().spawn_scoped(scope, move || {
        let sink = Sink { chunks, spare: returned };
        // A decoder that panics on hostile bytes must be an error of this archive, not the end of the process.
        let result = catch_unwind(AssertUnwindSafe(|| work(&sink))).unwrap_or_else(|_| {
            Err(Error::Corrupt { format: "archive", detail: "its decoder gave up in disorder".to_owned() })
        });
        // When nobody reads any more, the reader has an error of its own.
        _ = sink.chunks.send(match result {
            Ok(()) => Message::End,
            Err(error) => Message::Failed(error),
        });
    });
    started.map_err(Error::Read)?;
    Ok(Piped { chunks: received, spare, chunk: Vec::new(), at: 0, ended: false })
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let length = chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&chunk[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Piped {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.chunk.len() && !self.ended {
            let next = match self.chunks.recv() {
                Ok(Message::Chunk(chunk)) => chunk,
                Ok(Message::End) => {
                    self.ended = true;
                    Vec::new()
                }
                Ok(Message::Failed(error)) => return Err(error.into_stream()),
                Err(_) => return Err(Error::Cancelled.into_stream()),
            };
            // The thread may be gone already; then nobody needs the space.
            _ = self.spare.send(std::mem::replace(&mut self.chunk, next));
            self.at = 0;
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

/// Who is told how far the archive is read, and who may stop it.
#[derive(Clone, Copy)]
pub(super) struct Watch<'a> {
    pub progress: Option<&'a Progress<'a>>,
    pub cancel: &'a Cancel,
}

/// Counts what is read.
struct Counted<'a, R> {
    input: R,
    count: &'a std::cell::Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// Decodes a stream into a pipe, within limits.
pub(super) fn decode(input: impl Read, limits: &Limits, watch: Watch<'_>, sink: &Sink) -> Result<(), Error> {
    let count = std::cell::Cell::new(0);
    let counted = Counted { input, count: &count };
    let mut decoder = compress::decoder(BufReader::with_capacity(128 << 10, counted))?;
    let mut produced = 0;
    loop {
        if watch.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut chunk = sink.spare.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let mut filled = 0;
        while filled < CHUNK {
            match decoder.plain.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::from_stream(decoder.format, e)),
            }
        }
        produced += filled as u64;
        if let Some(progress) = watch.progress {
            progress.advance(count.get());
        }
        if produced > limits.total {
            let what = "the size of the unpacked archive";
            return Err(Error::Limit { member: String::new(), what, limit: limits.total, actual: produced });
        }
        if produced > SLACK.saturating_add(count.get().saturating_mul(limits.ratio)) {
            return Err(Error::Bomb { consumed: count.get(), produced, limit: limits.ratio });
        }
        let last = filled < CHUNK;
        chunk.truncate(filled);
        if filled > 0 && sink.chunks.send(Message::Chunk(chunk)).is_err() {
            return Err(Error::Cancelled);
        }
        if last {
            return Ok(());
        }
    }
}
