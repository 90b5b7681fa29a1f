//! A tar archive as a sequence of members: ustar, the older format before it, GNU's long names, and pax headers.
//!
//! Everything by which readers of tar are known to disagree is refused: sizes that contradict each other, two names for
//! one member, contents of links, headers that belong to nothing, anything but zeros behind the end.

use super::header::{BLOCK, Header, Time};
use super::{Error, Limits};
use crate::base::printable;
use std::io::BufRead;

/// The longest name or target that a GNU long-name header may carry.
const LONG_NAME: u64 = 8 << 10;
/// The longest pax header.
const PAX: u64 = 1 << 20;
/// The largest size that fits a plain header in octal.
const PLAIN_SIZE: u64 = 0o777_7777_7777;

/// One member, before its content.
#[derive(Debug)]
pub(super) struct Member {
    /// The name as the archive spells it.
    pub name: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub mtime: Time,
    pub size: u64,
}

#[derive(Debug)]
pub(super) enum Kind {
    File,
    Dir,
    Link(Vec<u8>),
    /// Another name for the member of this name.
    Hard(Vec<u8>),
}

/// What extended headers say about the next member.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<Time>,
    pax: bool,
    /// One of GNU's headers for a long name or target.
    long: bool,
}

/// Reads members one after another.
pub(super) struct Members<'a, R> {
    input: R,
    limits: &'a Limits,
    /// Content of the current member that is not yet read, and the zeros that fill its last block.
    content: u64,
    padding: u64,
    /// The member read last, for errors.
    last: String,
    count: u64,
    global_mtime: Option<Time>,
}

impl<'a, R: BufRead> Members<'a, R> {
    pub(super) fn new(input: R, limits: &'a Limits) -> Self {
        Self { input, limits, content: 0, padding: 0, last: String::new(), count: 0, global_mtime: None }
    }

    /// The next member, past whatever is left of the one before; `None` at the end, which is checked to be one.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Error> {
        let mut extended = Extended::default();
        let mut block = [0; BLOCK];
        loop {
            self.skip()?;
            self.exactly(&mut block)?;
            if block == [0; BLOCK] {
                if extended.any() {
                    return Err(self.extension("it belongs to no member"));
                }
                return self.end().map(|()| None);
            }
            let Some(header) = Header::read(&block) else {
                return Err(match self.count {
                    0 => Error::UnknownFormat,
                    _ => Error::Checksum { after: self.last.clone() },
                });
            };
            self.count += 1;
            if self.count > self.limits.entries {
                return Err(self.limit("the number of members", self.limits.entries, self.count));
            }
            match header.kind() {
                b'L' => {
                    extended.long = true;
                    let name = self.long_name(&header)?;
                    if extended.name.replace(name).is_some() {
                        return Err(self.extension("it names the member a second time"));
                    }
                }
                b'K' => {
                    extended.long = true;
                    let link = self.long_name(&header)?;
                    if extended.link.replace(link).is_some() {
                        return Err(self.extension("it names the target of the link a second time"));
                    }
                }
                b'x' => {
                    if std::mem::replace(&mut extended.pax, true) {
                        return Err(self.extension("two pax headers before one member"));
                    }
                    let records = self.whole(&header, PAX)?;
                    self.pax(&records, &mut extended)?;
                }
                b'g' => {
                    if extended.any() {
                        return Err(self.extension("a global header parts a member from its own"));
                    }
                    let records = self.whole(&header, PAX)?;
                    let mut global = Extended::default();
                    self.pax(&records, &mut global)?;
                    if global.name.is_some() || global.link.is_some() || global.size.is_some() {
                        return Err(self.extension("a global header gives every member the same name or size"));
                    }
                    self.global_mtime = global.mtime.or(self.global_mtime);
                }
                // Some readers take the size for that of the long name in between, others for the member's.
                _ if extended.long && extended.size.is_some() => {
                    return Err(self.extension("a size in a pax header and a long name before one member"));
                }
                _ => return self.member(&header, extended).map(Some),
            }
        }
    }

    /// The next part of the current member's content; empty at its end.
    pub(super) fn content(&mut self) -> Result<&[u8], Error> {
        if self.content == 0 {
            return Ok(&[]);
        }
        let chunk = self.input.fill_buf().map_err(|e| Error::from_stream("tar", e))?;
        if chunk.is_empty() {
            return Err(Error::Truncated { format: "tar" });
        }
        Ok(&chunk[..chunk.len().min(usize::try_from(self.content).unwrap_or(usize::MAX))])
    }

    /// Marks that many bytes of what [`Self::content`] gave as used.
    pub(super) fn used(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.content -= bytes as u64;
    }

    fn member(&mut self, header: &Header<'_>, extended: Extended) -> Result<Member, Error> {
        let name = extended.name.unwrap_or_else(|| header.name());
        let shown = printable(&name);
        self.last.clone_from(&shown);
        let plain_size = header.size()?;
        let size = match extended.size {
            // A size that the plain header can hold must be in it: readers without pax skip by the plain one.
            Some(size) if size != plain_size && !(plain_size == 0 && size > PLAIN_SIZE) => {
                return Err(Error::SizeDiffers { member: shown, extended: size, plain: plain_size });
            }
            Some(size) => size,
            None => plain_size,
        };
        let link = extended.link.unwrap_or_else(|| header.link());
        let (kind, what) = match header.kind() {
            // Before POSIX, a directory was a file whose name ends in a slash.
            b'0' | 0 if name.ends_with(b"/") => (Kind::Dir, "directory"),
            b'0' | 0 | b'7' => (Kind::File, "file"),
            b'1' => (Kind::Hard(link), "hard link"),
            b'2' => (Kind::Link(link), "symbolic link"),
            b'3' => return Err(Error::SpecialMember { member: shown, kind: "character device" }),
            b'4' => return Err(Error::SpecialMember { member: shown, kind: "block device" }),
            b'5' => (Kind::Dir, "directory"),
            b'6' => return Err(Error::SpecialMember { member: shown, kind: "fifo" }),
            b'S' => return Err(Error::Sparse { member: shown }),
            other => return Err(Error::UnknownMember { member: shown, kind: printable(&[other]) }),
        };
        if size > 0 && !matches!(kind, Kind::File) {
            return Err(Error::ContentOfNonFile { member: shown, kind: what, size });
        }
        if size > self.limits.file {
            return Err(self.limit("the size of a file", self.limits.file, size));
        }
        let mtime = match extended.mtime.or(self.global_mtime) {
            Some(mtime) => mtime,
            None => header.mtime()?,
        };
        self.expect(size);
        Ok(Member { name, kind, mode: header.mode()?, mtime, size })
    }

    fn expect(&mut self, size: u64) {
        self.content = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// The content of an extended header.
    fn whole(&mut self, header: &Header<'_>, limit: u64) -> Result<Vec<u8>, Error> {
        let size = header.size()?;
        if size > limit {
            return Err(self.limit("the size of an extended header", limit, size));
        }
        self.expect(size);
        let mut whole = Vec::with_capacity(size as usize);
        loop {
            let chunk = self.content()?;
            if chunk.is_empty() {
                return Ok(whole);
            }
            whole.extend_from_slice(chunk);
            let length = chunk.len();
            self.used(length);
        }
    }

    fn long_name(&mut self, header: &Header<'_>) -> Result<Vec<u8>, Error> {
        let mut name = self.whole(header, LONG_NAME)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        match name.contains(&0) || name.is_empty() {
            true => Err(self.extension("a long name is empty or goes on after its NUL")),
            false => Ok(name),
        }
    }

    /// Reads records of the form `length key=value\n`, where the length counts itself and the line's end.
    fn pax(&self, mut records: &[u8], to: &mut Extended) -> Result<(), Error> {
        while !records.is_empty() {
            let malformed = || self.extension("a record is not of the form 'length key=value'");
            let space = records.iter().take(8).position(|byte| *byte == b' ').ok_or_else(malformed)?;
            let length = decimal(&records[..space]).and_then(|n| usize::try_from(n).ok()).ok_or_else(malformed)?;
            let record = records.get(space + 1..length).ok_or_else(malformed)?;
            let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            records = &records[length..];
            let twice = match key {
                b"path" => to.name.replace(self.pax_name(value)?).is_some(),
                b"linkpath" => to.link.replace(self.pax_name(value)?).is_some(),
                b"size" => to.size.replace(decimal(value).ok_or_else(malformed)?).is_some(),
                b"mtime" => to.mtime.replace(time(value).ok_or_else(malformed)?).is_some(),
                b"SCHILY.realsize" | b"SUN.holesdata" => return Err(Error::Sparse { member: self.last.clone() }),
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(Error::Sparse { member: self.last.clone() });
                }
                // Owners, other times, comments, attributes: what a tree does not hold.
                _ => false,
            };
            if twice {
                return Err(self.extension("it states one thing twice"));
            }
        }
        Ok(())
    }

    fn pax_name(&self, value: &[u8]) -> Result<Vec<u8>, Error> {
        match value.is_empty() || value.contains(&0) {
            true => Err(self.extension("a name is empty or contains a NUL byte")),
            false => Ok(value.to_vec()),
        }
    }

    /// Past what is left of the current member.
    fn skip(&mut self) -> Result<(), Error> {
        let padding = std::mem::take(&mut self.padding);
        self.content = self.content.saturating_add(padding);
        loop {
            let length = self.content()?.len();
            if length == 0 {
                return Ok(());
            }
            self.used(length);
        }
    }

    fn exactly(&mut self, block: &mut [u8; BLOCK]) -> Result<(), Error> {
        self.input.read_exact(block).map_err(|e| Error::from_stream("tar", e))
    }

    /// After one block of zeros: another one, and then nothing but zeros. Reading to the end also makes the layers below
    /// check theirs.
    fn end(&mut self) -> Result<(), Error> {
        let mut block = [0; BLOCK];
        self.exactly(&mut block)?;
        let mut clean = block == [0; BLOCK];
        loop {
            let rest = self.input.fill_buf().map_err(|e| Error::from_stream("tar", e))?;
            clean &= rest.iter().all(|byte| *byte == 0);
            if !clean {
                return Err(Error::Trailing { format: "tar" });
            }
            if rest.is_empty() {
                return Ok(());
            }
            let length = rest.len();
            self.input.consume(length);
        }
    }

    fn extension(&self, reason: &'static str) -> Error {
        Error::Extension { member: self.last.clone(), reason }
    }

    fn limit(&self, what: &'static str, limit: u64, actual: u64) -> Error {
        Error::Limit { member: self.last.clone(), what, limit, actual }
    }
}

impl Extended {
    fn any(&self) -> bool {
        self.pax || self.name.is_some() || self.link.is_some()
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Seconds with an optional fraction, maybe negative.
fn time(text: &[u8]) -> Option<Time> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let secs = i64::try_from(decimal(parts.next()?)?).ok()?;
    let mut nanos = 0;
    if let Some(fraction) = parts.next() {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        nanos = (0..9).fold(0, |value, at| value * 10 + fraction.get(at).map_or(0, |digit| u32::from(digit - b'0')));
    }
    match (negative, nanos) {
        (false, _) => Some(Time { secs, nanos }),
        (true, 0) => Some(Time { secs: -secs, nanos }),
        (true, _) => Some(Time { secs: -secs - 1, nanos: 1_000_000_000 - nanos }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_and_signs() {
        assert_eq!(time(b"12"), Some(Time { secs: 12, nanos: 0 }));
        assert_eq!(time(b"12.5"), Some(Time { secs: 12, nanos: 500_000_000 }));
        assert_eq!(time(b"12.1234567899"), Some(Time { secs: 12, nanos: 123_456_789 }));
        assert_eq!(time(b"-1.25"), Some(Time { secs: -2, nanos: 750_000_000 }));
        assert_eq!(time(b"-1"), Some(Time { secs: -1, nanos: 0 }));
        for bad in ["", "x", "1.x", "--1", "1e5", "99999999999999999999"] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }
}
