//! From members to files: the policy, and where everything goes.

use super::beneath::{Beneath, stamps};
use super::header::Time;
use super::members::{Kind, Member, Members};
use super::{Error, Links, Modes, Order, Unpack, Unpacked};
use crate::base::{RelPath, RelPathError, printable};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

/// How much content waits in memory for its turn when files are made in another order.
const WINDOW: u64 = 64 << 20;
/// The kernel follows no more links than this in one path.
const MAX_HOPS: u32 = 40;
/// Names on the way of all links of an archive. Links to links to links could keep a processor busy for days.
const MAX_STEPS: u64 = 10_000_000;

/// What was made at a path.
enum Made {
    File,
    /// `None` for a directory that the archive only implies.
    Dir(Option<(u32, Time)>),
    Link(Vec<u8>),
}

struct Waiting {
    path: RelPath,
    mode: u32,
    time: Time,
    content: Vec<u8>,
}

/// Reads all members and makes them beneath `dest`.
pub(super) fn lay_out(input: impl BufRead, dest: &Path, options: &Unpack) -> Result<Unpacked, Error> {
    let mut layout = Layout {
        options,
        dest: Beneath::new(dest)?,
        made: BTreeMap::new(),
        names: 0,
        checked: None,
        stripped: None,
        root_time: None,
        newest: None,
        unpacked: Unpacked::default(),
        window: Vec::new(),
        waiting: 0,
        hard: Vec::new(),
    };
    let mut members = Members::new(input, &options.limits);
    while let Some(member) = members.next()? {
        layout.member(member, &mut members)?;
    }
    layout.finish()
}

struct Layout<'a> {
    options: &'a Unpack,
    dest: Beneath,
    made: BTreeMap<RelPath, Made>,
    /// Bytes of the names and targets in `made`.
    names: u64,
    /// The parent that was checked last: members come directory by directory.
    checked: Option<RelPath>,
    /// The components that were stripped from the members so far.
    stripped: Option<Vec<u8>>,
    root_time: Option<Time>,
    newest: Option<Time>,
    unpacked: Unpacked,
    window: Vec<Waiting>,
    waiting: u64,
    /// Hard links (name, target), made last so that their targets are there in any order.
    hard: Vec<(RelPath, RelPath)>,
}

impl Layout<'_> {
    fn member(&mut self, member: Member, members: &mut Members<'_, impl BufRead>) -> Result<(), Error> {
        let is_dir = matches!(member.kind, Kind::Dir);
        let Some(path) = self.place(&member.name, is_dir)? else {
            self.root_time = Some(member.mtime);
            return Ok(());
        };
        self.check_parents(&path, &member.name)?;
        let duplicate = || Error::Duplicate { member: printable(&member.name) };
        match self.made.get_mut(&path) {
            Some(Made::Dir(known)) if is_dir => {
                *known = Some((self.options.modes.of_dir(member.mode), member.mtime));
                return Ok(());
            }
            Some(_) => return Err(duplicate()),
            None => {}
        }
        let made = match member.kind {
            Kind::Dir => {
                if let Order::Forward = self.options.order {
                    self.dest.enter(&path)?;
                }
                self.unpacked.dirs += 1;
                Made::Dir(Some((self.options.modes.of_dir(member.mode), member.mtime)))
            }
            Kind::Link(target) => {
                self.check_target(&target, &member.name)?;
                self.dest.link(&path, &target, member.mtime)?;
                self.unpacked.links += 1;
                Made::Link(target)
            }
            Kind::Hard(target) => {
                let target = self.hard_target(&target, &member.name)?;
                self.hard.push((path.clone(), target));
                self.unpacked.files += 1;
                Made::File
            }
            Kind::File => {
                self.file(&path, &member, members)?;
                self.newest = self.newest.max(Some(member.mtime));
                self.unpacked.files += 1;
                self.unpacked.bytes += member.size;
                Made::File
            }
        };
        self.note(path, made, &member.name)
    }

    /// Remembers what is at a path: in memory, so within limits. One member can imply many directories.
    fn note(&mut self, path: RelPath, made: Made, name: &[u8]) -> Result<(), Error> {
        let target = if let Made::Link(target) = &made { target.len() } else { 0 };
        self.names += (path.as_bytes().len() + target) as u64;
        self.made.insert(path, made);
        let limits = &self.options.limits;
        let limit = |what, limit: u64, actual: u64| match actual > limit {
            true => Err(Error::Limit { member: printable(name), what, limit, actual }),
            false => Ok(()),
        };
        limit("the number of files and directories", limits.entries, self.made.len() as u64)?;
        limit("the length of all names together", limits.names, self.names)
    }

    /// Where a name goes; `None` for the top directory itself and those above it.
    fn place(&mut self, name: &[u8], is_dir: bool) -> Result<Option<RelPath>, Error> {
        let limits = &self.options.limits;
        let limit = |what, limit: u32, actual: usize| match actual as u64 > u64::from(limit) {
            true => Err(Error::Limit { member: printable(name), what, limit: limit.into(), actual: actual as u64 }),
            false => Ok(()),
        };
        limit("the length of a name", limits.name, name.len())?;
        let whole = match RelPath::new(name) {
            Ok(whole) => whole,
            Err(RelPathError::Empty) if is_dir && !name.is_empty() => return Ok(None),
            Err(reason) => return Err(Error::Name { member: printable(name), reason }),
        };
        limit("the depth of a name", limits.depth, whole.components().count())?;
        let strip = self.options.strip as usize;
        if strip > 0 {
            let parts: Vec<_> = whole.components().take(strip).collect();
            let front = parts.join(&b'/');
            // A directory above the part that is kept may be shorter.
            match &self.stripped {
                Some(first) if parts.len() == strip && *first != front => {
                    return Err(Error::StripDiffers { member: printable(name), first: printable(first) });
                }
                None if parts.len() == strip => self.stripped = Some(front),
                _ => {}
            }
        }
        match whole.strip(strip) {
            Some(path) => Ok(Some(path)),
            None if is_dir => Ok(None),
            None => Err(Error::Stripped { member: printable(name), strip: self.options.strip }),
        }
    }

    /// Everything above a path must be a directory; what is not there yet is implied.
    fn check_parents(&mut self, path: &RelPath, name: &[u8]) -> Result<(), Error> {
        let parent = path.parent();
        if parent == self.checked {
            return Ok(());
        }
        let mut above = parent.clone();
        let mut implied = Vec::new();
        while let Some(dir) = above {
            match self.made.get(&dir) {
                Some(Made::Dir(_)) => break,
                None => implied.push(dir.clone()),
                Some(other) => {
                    let kind = if let Made::File = other { "file" } else { "symbolic link" };
                    return Err(Error::Through { member: printable(name), through: dir.to_string(), kind });
                }
            }
            above = dir.parent();
        }
        for dir in implied {
            self.note(dir, Made::Dir(None), name)?;
            self.unpacked.dirs += 1;
        }
        self.checked = parent;
        Ok(())
    }

    fn check_target(&self, target: &[u8], name: &[u8]) -> Result<(), Error> {
        let reason = match target {
            [] => "empty",
            _ if target.contains(&0) => "not a path: it contains a NUL byte",
            [b'/', ..] if self.options.links == Links::Inside => {
                return Err(Error::LinkEscapes { member: printable(name), target: printable(target) });
            }
            _ if target.len() > 4095 => "longer than the kernel takes",
            _ => return Ok(()),
        };
        Err(Error::LinkTarget { member: printable(name), reason })
    }

    fn hard_target(&mut self, target: &[u8], name: &[u8]) -> Result<RelPath, Error> {
        let refused = |reason| Error::HardLink { member: printable(name), target: printable(target), reason };
        let path = match self.place(target, false) {
            Ok(Some(path)) => path,
            Ok(None) | Err(Error::Stripped { .. } | Error::StripDiffers { .. }) => {
                return Err(refused("outside the part that is kept"));
            }
            Err(other) => return Err(other),
        };
        match self.made.get(&path) {
            Some(Made::File) => Ok(path),
            Some(Made::Dir(_)) => Err(refused("a directory")),
            Some(Made::Link(_)) => Err(refused("a symbolic link")),
            None => Err(refused("not an earlier member")),
        }
    }

    fn file(&mut self, path: &RelPath, member: &Member, members: &mut Members<'_, impl BufRead>) -> Result<(), Error> {
        let mode = self.options.modes.of_file(member.mode);
        if self.options.order == Order::Reverse {
            if self.waiting + member.size > WINDOW {
                self.make_waiting()?;
            }
            if member.size <= WINDOW {
                // Reserved as it comes: the size is only a claim so far.
                let mut content = Vec::new();
                pour(members, |chunk| {
                    content.extend_from_slice(chunk);
                    Ok(())
                })?;
                self.waiting += member.size;
                self.window.push(Waiting { path: path.clone(), mode, time: member.mtime, content });
                return Ok(());
            }
        }
        let file = self.dest.file(path, mode)?;
        pour(members, |chunk| self.write(&file, path, chunk))?;
        self.stamp(&file, path, member.mtime)
    }

    fn make_waiting(&mut self) -> Result<(), Error> {
        self.waiting = 0;
        for one in std::mem::take(&mut self.window).into_iter().rev() {
            let file = self.dest.file(&one.path, one.mode)?;
            self.write(&file, &one.path, &one.content)?;
            self.stamp(&file, &one.path, one.time)?;
        }
        Ok(())
    }

    fn write(&self, file: &OwnedFd, path: &RelPath, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            match rustix::io::write(file, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(e) => return Err(self.dest.failed("write", path, e)),
            }
        }
        Ok(())
    }

    fn stamp(&self, file: &OwnedFd, path: &RelPath, time: Time) -> Result<(), Error> {
        rustix::fs::futimens(file, &stamps(time)).map_err(|e| self.dest.failed("set the time of", path, e))
    }

    fn finish(mut self) -> Result<Unpacked, Error> {
        self.make_waiting()?;
        for (path, target) in std::mem::take(&mut self.hard) {
            self.dest.hard_link(&path, &target)?;
        }
        if self.options.links == Links::Inside {
            self.check_links()?;
        }
        // Directories that are only implied get no time of their own from anybody's clock.
        let newest = self.newest.unwrap_or(Time { secs: 0, nanos: 0 });
        // From the end, so that what is in a directory comes before it and leaves its time alone.
        for (path, made) in self.made.iter().rev() {
            if let Made::Dir(known) = made {
                let (mode, time) = known.map_or((None, newest), |(mode, time)| (Some(mode), time));
                self.dest.settle(Some(path), mode, time)?;
            }
        }
        self.dest.settle(None, None, self.root_time.unwrap_or(newest))?;
        self.unpacked.newest_mtime = newest.secs;
        Ok(self.unpacked)
    }

    /// Follows every link as the kernel would, with the destination as the root that must not be left.
    fn check_links(&self) -> Result<(), Error> {
        let mut steps = 0;
        for (path, made) in &self.made {
            if let Made::Link(target) = made
                && self.escapes(path, target, &mut steps)?
            {
                return Err(Error::LinkEscapes { member: path.to_string(), target: printable(target) });
            }
        }
        Ok(())
    }

    fn escapes(&self, link: &RelPath, target: &[u8], steps: &mut u64) -> Result<bool, Error> {
        let mut at: Vec<&[u8]> = link.components().collect();
        at.pop();
        let mut ahead: Vec<&[u8]> = target.rsplit(|b| *b == b'/').collect();
        let mut hops = 0;
        while let Some(part) = ahead.pop() {
            *steps += 1;
            if *steps > MAX_STEPS {
                let what = "the number of names on the way of all links";
                return Err(Error::Limit { member: link.to_string(), what, limit: MAX_STEPS, actual: *steps });
            }
            match part {
                b"" | b"." => continue,
                b".." if at.pop().is_none() => return Ok(true),
                b".." => continue,
                _ => at.push(part),
            }
            let Ok(here) = RelPath::new(at.join(&b'/')) else { return Ok(true) };
            if let Some(Made::Link(target)) = self.made.get(&here) {
                hops += 1;
                if hops > MAX_HOPS {
                    // A loop: it leads nowhere.
                    return Ok(false);
                }
                at.pop();
                ahead.extend(target.rsplit(|b| *b == b'/'));
            }
        }
        Ok(false)
    }
}

impl Modes {
    fn of_file(self, mode: u32) -> u32 {
        match self {
            Self::Plain if mode & 0o111 != 0 => 0o755,
            Self::Plain => 0o644,
            Self::Kept => mode & 0o777,
        }
    }

    fn of_dir(self, mode: u32) -> u32 {
        match self {
            Self::Plain => 0o755,
            Self::Kept => mode & 0o1777,
        }
    }
}

/// Hands the content of the current member to `to`, part by part.
fn pour(members: &mut Members<'_, impl BufRead>, mut to: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    loop {
        let chunk = members.content()?;
        if chunk.is_empty() {
            return Ok(());
        }
        let length = chunk.len();
        to(chunk)?;
        members.used(length);
    }
}
