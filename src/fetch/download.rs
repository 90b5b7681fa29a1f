//! One address, as many attempts as patience allows, into one partial file, up to the right digest or a reason.

use super::error::{Failure, Halt};
use super::net::{Head, Net, Resume, Stream, pause};
use super::part::{From, Part};
use super::place::Address;
use crate::base::{Blake3, Cancel, Progress, Sha256};
use std::time::{Duration, Instant};

/// An attempt that brings this much counts as none: a big file over a bad line arrives in the end.
const GOOD_ATTEMPT: u64 = 1 << 20;

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Absent only for an address that is to be pinned yet.
    pub sha256: Option<Sha256>,
    pub size: Option<u64>,
    /// For when there is no size.
    pub max_size: u64,
}

impl Wanted {
    fn limit(&self) -> u64 {
        self.size.unwrap_or(self.max_size)
    }
}

/// Reports at most so often.
pub(super) struct Meter<'a> {
    progress: &'a Progress<'a>,
    last: Instant,
}

impl<'a> Meter<'a> {
    pub fn new(progress: &'a Progress<'a>) -> Self {
        Self { progress, last: Instant::now() }
    }

    fn tell(&mut self, done: u64) {
        if self.last.elapsed() >= Duration::from_millis(50) {
            self.last = Instant::now();
            self.progress.advance(done);
        }
    }
}

/// Fills `part` from `address` until its digest is the wanted one.
pub(super) fn download(
    net: &Net,
    address: &Address,
    wanted: &Wanted,
    part: &mut Part,
    meter: &mut Meter<'_>,
    cancel: &Cancel,
) -> Result<Blake3, Halt> {
    meter.progress.now(part.len(), address.place.to_string());
    loop {
        receive(net, address, wanted, part, meter, cancel)?;
        let (found, blake3) = part.digests();
        let expected = wanted.sha256.unwrap_or(found);
        if found == expected {
            meter.progress.advance(part.len());
            return Ok(blake3);
        }
        // Bytes of two answers were put together and do not fit. Which of them is wrong can not be told: once more,
        // all from here. After that nothing is mixed, so this happens once.
        let mixed = part.is_mixed();
        part.reset()?;
        if !mixed {
            return Err(Failure::WrongHash { expected, found }.into());
        }
    }
}

/// Receives until the place says that this is all.
fn receive(
    net: &Net,
    address: &Address,
    wanted: &Wanted,
    part: &mut Part,
    meter: &mut Meter<'_>,
    cancel: &Cancel,
) -> Result<(), Halt> {
    let mut attempt = 1;
    loop {
        if part.len() > wanted.limit() {
            part.reset()?;
        }
        if wanted.size == Some(part.len()) {
            return Ok(());
        }
        let before = part.len();
        let mut asked_to_wait = None;
        let failure = match attempt_once(net, address, wanted, part, meter, &mut asked_to_wait, cancel) {
            Err(Halt::Place(failure)) if failure.may_pass() => failure,
            Err(Halt::Place(failure @ Failure::TooLarge { .. })) => {
                part.reset()?;
                return Err(failure.into());
            }
            other => return other,
        };
        attempt = if part.len() >= before.saturating_add(GOOD_ATTEMPT) { 2 } else { attempt + 1 };
        if attempt > net.patience().attempts {
            return Err(failure.into());
        }
        let wait = asked_to_wait.unwrap_or_default().min(net.patience().longest_pause);
        pause(wait.max(net.patience().pause_before(attempt)), cancel)?;
    }
}

fn attempt_once(
    net: &Net,
    address: &Address,
    wanted: &Wanted,
    part: &mut Part,
    meter: &mut Meter<'_>,
    asked_to_wait: &mut Option<Duration>,
    cancel: &Cancel,
) -> Result<(), Halt> {
    // A validator of one place means nothing at another; without one, the digest still tells whether it fitted.
    let validator = part.from().filter(|from| from.place == address.place).and_then(|from| from.validator.clone());
    if wanted.sha256.is_none() && validator.is_none() {
        // Nothing would tell whether the rest belongs to the same version.
        part.reset()?;
    }
    let (head, stream) = net.open(address, &Resume { from: part.len(), validator }, cancel)?;
    *asked_to_wait = head.retry_after;
    match head.status {
        206 if head.range.is_some_and(|(from, _)| from == part.len()) && part.len() > 0 => {
            check_size(wanted, head.range.and_then(|(_, whole)| whole))?;
        }
        200 => {
            check_size(wanted, head.length)?;
            part.reset()?;
        }
        416 if part.len() > 0 => {
            // All there already, or the file is another one by now.
            if head.whole == Some(part.len()) && wanted.size.is_none() {
                return Ok(());
            }
            let received = part.len();
            part.reset()?;
            return Err(Failure::Broken { received, why: "the server has no such range".to_owned() }.into());
        }
        206 => {
            let received = part.len();
            part.reset()?;
            return Err(Failure::Broken { received, why: "the server sent another range".to_owned() }.into());
        }
        status => return Err(Failure::Status(status).into()),
    }
    part.goes_on(From { place: address.place.clone(), validator: head.validator.clone() })?;
    drain(&head, stream, wanted, part, meter, cancel)
}

fn check_size(wanted: &Wanted, announced: Option<u64>) -> Result<(), Failure> {
    match (wanted.size, announced) {
        (Some(expected), Some(found)) if expected != found => Err(Failure::WrongSize { expected, found }),
        (None, Some(found)) if found > wanted.max_size => Err(Failure::TooLarge { limit: wanted.max_size }),
        _ => Ok(()),
    }
}

fn drain(
    head: &Head,
    mut stream: Stream,
    wanted: &Wanted,
    part: &mut Part,
    meter: &mut Meter<'_>,
    cancel: &Cancel,
) -> Result<(), Halt> {
    let start = part.len();
    loop {
        let chunk = match stream.next(cancel) {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            // The stream counts its own bytes; what matters is how many are there in all.
            Err(Halt::Place(Failure::Broken { why, .. })) => {
                return Err(Failure::Broken { received: part.len(), why }.into());
            }
            Err(halt) => return Err(halt),
        };
        if part.len() + chunk.len() as u64 > wanted.limit() {
            return Err(Failure::TooLarge { limit: wanted.limit() }.into());
        }
        part.push(&chunk)?;
        meter.tell(part.len());
    }
    let received = part.len();
    let short = match wanted.size {
        Some(size) => received < size,
        None => head.length.is_some_and(|length| received < start + length),
    };
    if short {
        return Err(Failure::Broken { received, why: "the connection was closed".to_owned() }.into());
    }
    Ok(())
}
