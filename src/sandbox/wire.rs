//! What parton and the jail's first processes say to each other, over one socket.
//!
//! Each message is its length (4 bytes, little endian) and that much JSON. Both ends are the same program, so nothing
//! here needs to stay compatible. When either end is closed the other side ends the run.

use super::bait::Bait;
use super::canary::Tried;
use super::error::Failure;
use super::examine::Examined;
use super::jail::{Jail, StepExit, Stopped, Wall};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::Pid;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// From parton to the jail.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Down {
    /// The first message: what to build, and what its probes shall reach for. Before it goes a descriptor, the steps'
    /// standard input.
    Jail(Box<Jail>, Option<Box<Bait>>),
    /// Instead of a jail: try to build each wall, alone.
    Examine(Box<Jail>),
    /// Instead of a jail: run its probes without it.
    Control(Box<Jail>, Box<Bait>),
    /// All output of the ended step was read; the next may begin.
    Next,
    /// End the running step and go.
    Stop,
}

/// From the jail to parton.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Up {
    /// All walls stand.
    Ready(Vec<Wall>),
    /// The walls were tried. If one did not hold, nothing more is run.
    Probed(Vec<Tried>),
    /// The answer to [`Down::Examine`].
    Examined(Vec<Examined>),
    /// A step begins.
    Step(usize),
    /// The step ended and nothing of it is left.
    Ended(StepExit),
    /// A limit was passed; the step is being ended, or has failed because of it.
    Stopped(Stopped),
    /// Something could not be done; nothing more follows.
    Failed(Failure),
    /// All is done.
    Done,
}

/// One end of the socket.
#[derive(Debug)]
pub(super) struct Wire {
    stream: UnixStream,
    received: Vec<u8>,
}

/// No message is longer: a guard against nonsense, not against an enemy (the builder can not reach the socket).
const LONGEST: usize = 256 << 20;

impl Wire {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, received: Vec::new() }
    }

    pub(super) fn send(&self, message: &impl Serialize) -> io::Result<()> {
        let mut bytes = vec![0; 4];
        serde_json::to_writer(&mut bytes, message)?;
        let length = u32::try_from(bytes.len() - 4).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        (&self.stream).write_all(&bytes)
    }

    /// Waits for the next message; `None` when the other side is gone.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Whether something is there to be read.
    pub(super) fn readable(&self) -> bool {
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [rustix::event::PollFd::new(self, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready != 0)
    }

    /// Reads what is there (waits if nothing is); `false` when the other side is gone.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        loop {
            match (&self.stream).read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.received.extend_from_slice(&buffer[..n]);
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(e) => return Err(e),
            }
        }
    }

    /// A message that was read completely, if there is one.
    pub(super) fn take<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some((head, rest)) = self.received.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message = serde_json::from_slice(body)?;
        self.received.drain(..4 + length);
        Ok(Some(message))
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Sends a descriptor (with one byte of ballast) over a socket.
pub(super) fn send_descriptor(socket: BorrowedFd<'_>, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(b"d")], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Receives a descriptor; `None` when the other side is gone or sent none.
pub(super) fn receive_descriptor(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    Ok(control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    }))
}

/// Introduces this process to the other side, which learns its process id as it sees it. Sends one byte.
pub(super) fn introduce(socket: BorrowedFd<'_>) -> io::Result<()> {
    sendmsg(socket, &[IoSlice::new(b"i")], &mut SendAncillaryBuffer::default(), SendFlags::empty())?;
    Ok(())
}

/// Lets a socket tell who sends; before the sender begins.
pub(super) fn expect_introduction(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_passcred(socket, true)?)
}

/// Receives an introduction; `None` when the other side is gone.
pub(super) fn introduced(socket: BorrowedFd<'_>) -> io::Result<Option<Pid>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())?;
    rustix::net::sockopt::set_socket_passcred(socket, false)?;
    Ok(control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.pid),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_descriptors_arrive_whole_and_in_order() {
        let (a, b) = UnixStream::pair().unwrap();
        let (here, mut there) = (Wire::new(a), Wire::new(b));
        here.send(&Up::Done).unwrap();
        here.send(&Up::Step(1)).unwrap();
        assert!(matches!(there.receive().unwrap(), Some(Up::Done)));
        assert!(matches!(there.receive().unwrap(), Some(Up::Step(1))));
        let file = tempfile::tempfile().unwrap();
        send_descriptor(here.as_fd(), file.as_fd()).unwrap();
        assert!(receive_descriptor(there.as_fd()).unwrap().is_some());
        expect_introduction(there.as_fd()).unwrap();
        introduce(here.as_fd()).unwrap();
        assert_eq!(introduced(there.as_fd()).unwrap(), Some(rustix::process::getpid()));
        drop(here);
        assert!(there.receive::<Up>().unwrap().is_none());
    }
}
