//! git's smart protocol over http(s), carried by the room's own client: same TLS, proxy, limits and cancellation as
//! every other download, and no second TLS library. libgit2 speaks the protocol; this carries the bytes.
//!
//! libgit2 asks a process-wide table for the carrier of an address, and that table knows nothing of our configuration.
//! Since libgit2 works on the thread that called it, the carrier is handed over in a thread-local slot that is filled
//! for the time of one call ([`with_carrier`]).

use super::error::Halt;
use super::net::{Net, Stream};
use crate::base::Cancel;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use git2::{ConfigLevel, Error, ErrorClass, ErrorCode, Remote};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What an exchange needs.
#[derive(Clone)]
pub(super) struct Carrier {
    pub net: Arc<Net>,
    pub proxy: Option<String>,
    pub cancel: Cancel,
}

thread_local! {
    static CARRIER: RefCell<Option<Carrier>> = const { RefCell::new(None) };
}

/// Runs libgit2 calls with a carrier for http(s) addresses.
pub(super) fn with_carrier<T>(carrier: Carrier, work: impl FnOnce() -> T) -> Result<T, Error> {
    struct Emptied;
    impl Drop for Emptied {
        fn drop(&mut self) {
            CARRIER.with(|slot| slot.replace(None));
        }
    }
    set_up()?;
    CARRIER.with(|slot| slot.replace(Some(carrier)));
    let _emptied = Emptied;
    Ok(work())
}

/// Prepares libgit2, once in the life of the process.
fn set_up() -> Result<(), Error> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !*done {
        configure_libgit2()?;
        *done = true;
    }
    Ok(())
}

#[expect(unsafe_code, reason = "libgit2 keeps transports and options in unsynchronised globals")]
fn configure_libgit2() -> Result<(), Error> {
    let factory = |remote: &Remote<'_>| {
        let carrier = CARRIER.with(|slot| slot.borrow().clone());
        let carrier = carrier.ok_or_else(|| trouble("http addresses are fetched by parton's fetch room only"))?;
        Transport::smart(remote, true, Http { carrier, base: Arc::default() })
    };
    // SAFETY: these write globals of libgit2 without synchronisation. `set_up` calls this once, under a lock that
    // every use of libgit2 in this process passes first (`with_carrier` is the room's only way to it, and no other room
    // uses it), so no other thread is inside libgit2 yet.
    unsafe {
        git2::transport::register("http", factory)?;
        git2::transport::register("https", factory)?;
        // What a user's own git configuration says (other addresses for these, say) must not change what is fetched.
        for level in [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData] {
            git2::opts::set_search_path(level, "")?;
        }
        // Repositories of other users may be read: nothing in them is run, and the commit id vouches for the content.
        git2::opts::set_verify_owner_validation(false)?;
        git2::opts::set_server_connect_timeout_in_milliseconds(10_000)?;
        git2::opts::set_server_timeout_in_milliseconds(30_000)
    }
}

fn trouble(message: &str) -> Error {
    Error::new(ErrorCode::GenericError, ErrorClass::Http, message)
}

struct Http {
    carrier: Carrier,
    /// Where the first answer came from, after redirects: the next requests go there.
    base: Arc<Mutex<Option<String>>>,
}

impl SmartSubtransport for Http {
    fn action(&self, url: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        let first = match service {
            Service::UploadPackLs => true,
            Service::UploadPack => false,
            Service::ReceivePackLs | Service::ReceivePack => return Err(trouble("parton never pushes")),
        };
        let known = self.base.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let base = known.unwrap_or_else(|| url.trim_end_matches('/').to_owned());
        Ok(Box::new(Exchange {
            carrier: self.carrier.clone(),
            base,
            first,
            found_base: Arc::clone(&self.base),
            body: Vec::new(),
            answer: None,
            chunk: Vec::new(),
            at: 0,
        }))
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A request that is sent when its answer is first read.
struct Exchange {
    carrier: Carrier,
    base: String,
    /// The question what there is; else the question for objects.
    first: bool,
    found_base: Arc<Mutex<Option<String>>>,
    body: Vec<u8>,
    answer: Option<Stream>,
    chunk: Vec<u8>,
    at: usize,
}

const LIST: &str = "/info/refs?service=git-upload-pack";

impl Exchange {
    fn send(&mut self) -> io::Result<Stream> {
        let path = if self.first { LIST } else { "/git-upload-pack" };
        let url = reqwest::Url::parse(&format!("{}{path}", self.base)).map_err(io::Error::other)?;
        let body = std::mem::take(&mut self.body);
        let Carrier { net, proxy, cancel } = &self.carrier;
        let answer = net.exchange(&url, proxy.as_deref(), false, cancel, |client| {
            if self.first {
                client.get(url.clone())
            } else {
                client
                    .post(url.clone())
                    .header("Content-Type", "application/x-git-upload-pack-request")
                    .header("Accept", "application/x-git-upload-pack-result")
                    .body(body)
            }
        });
        let (head, stream) = answer.map_err(into_io)?;
        if head.status != 200 {
            return Err(io::Error::other(format!("the server answered {}", head.status)));
        }
        let expected = if self.first { "advertisement" } else { "result" };
        if head.kind.as_deref() != Some(&format!("application/x-git-upload-pack-{expected}")) {
            return Err(io::Error::other("the server does not speak git's smart protocol"));
        }
        if self.first
            && let Some(base) = head.url.strip_suffix(LIST)
        {
            *self.found_base.lock().unwrap_or_else(PoisonError::into_inner) = Some(base.to_owned());
        }
        Ok(stream)
    }
}

fn into_io(halt: Halt) -> io::Error {
    match halt {
        Halt::Place(failure) => io::Error::other(failure),
        Halt::Cancelled => io::Error::other("stopped on request"),
        Halt::Disk { source, .. } => source,
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.answer.is_none() {
            self.answer = Some(self.send()?);
        }
        while self.at == self.chunk.len() {
            let Some(stream) = &mut self.answer else { return Ok(0) };
            match stream.next(&self.carrier.cancel).map_err(into_io)? {
                Some(chunk) => (self.chunk, self.at) = (chunk, 0),
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.chunk.len() - self.at);
        buffer[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.answer.is_some() {
            return Err(io::Error::other("a request after its answer"));
        }
        self.body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
