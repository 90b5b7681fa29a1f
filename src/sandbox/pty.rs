//! A terminal that belongs to nobody: what captured steps write to where their output shall be one.
//!
//! It changes no byte, echoes none and is nobody's controlling terminal. What is written arrives at the reading end a
//! little later, by the kernel's own leave. So at the end of a step a mark is written after it, by us, and all is there
//! when that arrives.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Action, OptionalActions, Winsize, tcflow, tcgetattr, tcsetattr, tcsetwinsize};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// How long a mark may take; only a terminal that a step has put out of order needs more than an instant.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// The end of the terminal that steps write to, as we hold it.
pub(super) struct Pty {
    end: OwnedFd,
    mark: Vec<u8>,
}

impl Pty {
    /// A terminal of this size: the end to read from, the end to give to steps, and ours.
    pub(super) fn open(columns: u16, rows: u16) -> io::Result<(File, OwnedFd, Self)> {
        let read = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        unlockpt(&read)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let write = ioctl_tiocgptpeer(&read, flags)?;
        let end = ioctl_tiocgptpeer(&read, flags)?;
        // Not of the steps' end, which is an open file of its own.
        rustix::io::ioctl_fionbio(&end, true)?;
        tcsetwinsize(&write, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
        let mut random = [0; 16];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let mark = format!("\0parton-{:032x}\0", u128::from_le_bytes(random)).into_bytes();
        let pty = Self { end, mark };
        pty.reset()?;
        Ok((File::from(read), write, pty))
    }

    /// Nothing is translated, echoed or held back, whatever a step has set.
    fn reset(&self) -> io::Result<()> {
        let mut modes = tcgetattr(&self.end)?;
        modes.make_raw();
        tcsetattr(&self.end, OptionalActions::Now, &modes)?;
        Ok(tcflow(&self.end, Action::OOn)?)
    }

    /// Everything that was written and not yet read, when nobody writes any more.
    ///
    /// # Errors
    /// The mark does not arrive.
    pub(super) fn rest(&self, read: &File) -> io::Result<Vec<u8>> {
        self.reset()?;
        let (mut put, mut rest) = (0, Vec::new());
        let mut buffer = [0; 64 << 10];
        while !rest.ends_with(&self.mark) {
            if put < self.mark.len() {
                match rustix::io::write(&self.end, &self.mark[put..]) {
                    Ok(n) => put += n,
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match poll(&mut [PollFd::new(read, PollFlags::IN)], Some(&PATIENCE)) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the terminal of a step hangs")),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            match rustix::io::read(read, &mut buffer) {
                Ok(n) => rest.extend_from_slice(&buffer[..n]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        rest.truncate(rest.len() - self.mark.len());
        Ok(rest)
    }
}
