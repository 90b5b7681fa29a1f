//! One request, one stream of bytes, every wait bounded. The only address in parton that opens connections for files.
//!
//! reqwest's blocking calls can not be interrupted, so each request has a thread of its own that hands chunks over a
//! short queue. The consumer decides about silence, drips and cancellation, and simply stops listening: the thread
//! then ends by itself, at the latest after its own time limits.

use super::error::{Failure, Halt};
use super::place::Address;
use super::{Config, Patience};
use crate::base::Cancel;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes handed over at once, at most.
const CHUNK: usize = 128 << 10;
/// Chunks on their way at once: with `CHUNK`, the memory of one download.
const QUEUE: usize = 8;
/// How often a waiting consumer looks up.
const TICK: Duration = Duration::from_millis(50);

/// What all requests of one fetcher share.
pub(super) struct Net {
    offline: bool,
    patience: Patience,
    user_agent: String,
    no_proxy: Option<String>,
    ca_bundles: Vec<PathBuf>,
    /// One client per proxy, made when first needed: most runs need none.
    clients: Mutex<BTreeMap<Option<String>, Client>>,
    tls: Mutex<Option<rustls::ClientConfig>>,
    /// Hosts whose names did not resolve. Asked once in the life of a fetcher: with every upstream down, the second
    /// pin of a host must not wait again.
    unresolvable: Mutex<BTreeMap<String, ()>>,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("offline", &self.offline).finish_non_exhaustive()
    }
}

/// From where to go on.
#[derive(Debug, Default, Clone)]
pub(super) struct Resume {
    /// Bytes that are there already.
    pub from: u64,
    /// The server's own name for the version they belong to.
    pub validator: Option<String>,
}

/// What is known before the first byte.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub status: u16,
    /// Bytes that will follow, if announced.
    pub length: Option<u64>,
    /// Of a partial answer: its first byte and the size of the whole.
    pub range: Option<(u64, Option<u64>)>,
    /// Of "range not satisfiable": the size of the whole.
    pub whole: Option<u64>,
    /// Name of this version, fit for `If-Range`.
    pub validator: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// Media type.
    pub kind: Option<String>,
    /// Address after all redirects.
    pub url: String,
}

enum Message {
    Head(Box<Head>),
    Chunk(Vec<u8>),
    End,
    Failed(Failure),
}

/// An answer that is being received.
pub(super) struct Stream {
    queue: Receiver<Message>,
    patience: Patience,
    window: Instant,
    in_window: u64,
    received: u64,
}

impl Net {
    pub fn new(config: &Config) -> Self {
        Self {
            offline: config.offline,
            patience: config.patience,
            user_agent: config.user_agent.clone(),
            no_proxy: config.no_proxy.clone(),
            ca_bundles: config.ca_bundles.clone(),
            clients: Mutex::default(),
            tls: Mutex::default(),
            unresolvable: Mutex::default(),
        }
    }

    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Asks one address, once, and waits for the head of the answer.
    pub fn open(&self, address: &Address, resume: &Resume, cancel: &Cancel) -> Result<(Box<Head>, Stream), Halt> {
        let url = reqwest::Url::parse(&address.url).map_err(|e| Failure::Address(e.to_string()))?;
        match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| Failure::Address("no path on this machine".to_owned()))?;
                let from = resume.from;
                self.start("parton-file", cancel, move |sender| pump_file(&path, from, sender))
            }
            "http" | "https" => self.exchange(&url, address.proxy.as_deref(), address.private, cancel, |client| {
                let mut request = client.get(url.clone());
                if resume.from > 0 {
                    request = request.header(RANGE, format!("bytes={}-", resume.from));
                    if let Some(validator) = &resume.validator {
                        request = request.header(IF_RANGE, validator);
                    }
                }
                request
            }),
            other => Err(Failure::Address(format!("'{other}' is not http, https or file")).into()),
        }
    }

    /// One request over http or https: the only place where a connection is opened for one.
    pub fn exchange(
        &self,
        url: &reqwest::Url,
        proxy: Option<&str>,
        private: bool,
        cancel: &Cancel,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<(Box<Head>, Stream), Halt> {
        if self.offline {
            return Err(Failure::Offline.into());
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        if proxy.is_none() && self.is_unresolvable(&host) {
            return Err(Failure::Unresolvable.into());
        }
        let client = self.client(proxy)?;
        let limit = self.patience.connect + self.patience.idle + Duration::from_secs(1);
        let request = request(&client).timeout(limit);
        let veil = private.then(|| host.clone());
        let redirects = self.patience.redirects;
        let answer = self.start("parton-http", cancel, move |sender| {
            // Moved in so that this thread, not the consumer, waits for a client's own thread to end.
            let _client = client;
            pump_http(request, redirects, veil.as_deref(), sender);
        });
        if let Err(Halt::Place(Failure::Unresolvable)) = &answer {
            self.remember_unresolvable(&host);
        }
        answer
    }

    /// Starts a pump and waits for the head.
    fn start(
        &self,
        name: &str,
        cancel: &Cancel,
        work: impl FnOnce(&SyncSender<Message>) + Send + 'static,
    ) -> Result<(Box<Head>, Stream), Halt> {
        let (sender, queue) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&sender))
            .map_err(|e| Failure::Connect(format!("no thread for it: {e}")))?;
        let mut stream = Stream { queue, patience: self.patience, window: Instant::now(), in_window: 0, received: 0 };
        match stream.message(self.patience.connect + self.patience.idle, cancel)? {
            Message::Head(head) => Ok((head, stream)),
            Message::Failed(failure) => Err(failure.into()),
            Message::Chunk(_) | Message::End => Err(Failure::Connect("an answer without a head".to_owned()).into()),
        }
    }

    /// A whole answer of at most `limit` bytes, with the usual attempts.
    pub fn read(&self, address: &Address, limit: u64, cancel: &Cancel) -> Result<Vec<u8>, Halt> {
        let mut attempt = 1;
        loop {
            let failure = match self.read_once(address, limit, cancel) {
                Err(Halt::Place(failure)) if failure.may_pass() => failure,
                other => return other,
            };
            attempt += 1;
            if attempt > self.patience.attempts {
                return Err(failure.into());
            }
            pause(self.patience.pause_before(attempt), cancel)?;
        }
    }

    fn read_once(&self, address: &Address, limit: u64, cancel: &Cancel) -> Result<Vec<u8>, Halt> {
        let (head, mut stream) = self.open(address, &Resume::default(), cancel)?;
        if head.status != 200 {
            return Err(Failure::Status(head.status).into());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next(cancel)? {
            if bytes.len() as u64 + chunk.len() as u64 > limit {
                return Err(Failure::TooLarge { limit }.into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn is_unresolvable(&self, host: &str) -> bool {
        self.unresolvable.lock().unwrap_or_else(PoisonError::into_inner).contains_key(host)
    }

    fn remember_unresolvable(&self, host: &str) {
        self.unresolvable.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), ());
    }

    /// The client for a proxy, or for none.
    pub fn client(&self, proxy: Option<&str>) -> Result<Client, Failure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = proxy.map(str::to_owned);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let trouble = |e: reqwest::Error| Failure::Connect(format!("the HTTP client can not be set up: {}", chain(&e)));
        let mut builder = Client::builder()
            .tls_backend_preconfigured(self.tls()?)
            // Files come one per connection; multiplexing many of them over one is slower.
            .http1_only()
            .user_agent(&self.user_agent)
            .connect_timeout(self.patience.connect)
            .timeout(self.patience.idle)
            .redirect(reqwest::redirect::Policy::limited(self.patience.redirects))
            // Without this reqwest would read the environment.
            .no_proxy();
        if let Some(url) = proxy {
            let exceptions = self.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
            builder = builder.proxy(reqwest::Proxy::all(url).map_err(trouble)?.no_proxy(exceptions));
        }
        let client = builder.build().map_err(trouble)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    /// TLS with the ring provider, named explicitly, and the machine's trusted certificates.
    fn tls(&self) -> Result<rustls::ClientConfig, Failure> {
        let mut cached = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*cached {
            return Ok(config.clone());
        }
        let mut roots = rustls::RootCertStore::empty();
        if let Some(pem) = self.ca_bundles.iter().find_map(|path| fs_err::read(path).ok()) {
            // A certificate that rustls can not use is one authority fewer, not a reason to trust none.
            let (_used, _ignored) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Failure::Connect(format!("TLS can not be set up: {e}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        *cached = Some(config.clone());
        Ok(config)
    }
}

impl Stream {
    /// The next bytes; `None` at a proper end.
    pub fn next(&mut self, cancel: &Cancel) -> Result<Option<Vec<u8>>, Halt> {
        match self.message(self.patience.idle, cancel)? {
            Message::Chunk(bytes) => {
                self.received += bytes.len() as u64;
                self.in_window += bytes.len() as u64;
                self.check_rate()?;
                Ok(Some(bytes))
            }
            Message::End => Ok(None),
            Message::Failed(failure) => Err(failure.into()),
            Message::Head(_) => {
                Err(Failure::Broken { received: self.received, why: "a second head".to_owned() }.into())
            }
        }
    }

    fn message(&mut self, silence: Duration, cancel: &Cancel) -> Result<Message, Halt> {
        // Counted from here and not from the last message: the time we took over that one is not the server's silence.
        let start = Instant::now();
        loop {
            if cancel.is_cancelled() {
                return Err(Halt::Cancelled);
            }
            match self.queue.recv_timeout(TICK.min(silence)) {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) if start.elapsed() >= silence => {
                    return Err(Failure::Silent(silence).into());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let why = "the reader ended".to_owned();
                    return Err(Failure::Broken { received: self.received, why }.into());
                }
            }
        }
    }

    fn check_rate(&mut self) -> Result<(), Failure> {
        let window = self.window.elapsed();
        if window < self.patience.rate_window {
            return Ok(());
        }
        let received = std::mem::take(&mut self.in_window);
        self.window = Instant::now();
        let needed = window.as_millis().saturating_mul(u128::from(self.patience.min_rate)) / 1000;
        if u128::from(received) < needed { Err(Failure::Slow { received, window }) } else { Ok(()) }
    }
}

/// Sleeps, but not through a wish to stop.
pub(super) fn pause(duration: Duration, cancel: &Cancel) -> Result<(), Halt> {
    let start = Instant::now();
    while start.elapsed() < duration {
        if cancel.is_cancelled() {
            return Err(Halt::Cancelled);
        }
        std::thread::sleep(TICK.min(duration.saturating_sub(start.elapsed())));
    }
    Ok(())
}

// In the pumps a failed `send` means that nobody listens any more: they just end.

fn pump_file(path: &std::path::Path, from: u64, to: &SyncSender<Message>) {
    let opened = fs_err::File::open(path).and_then(|mut file| {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(std::io::Error::other(format!("{} is not a regular file", path.display())));
        }
        let start = file.seek(SeekFrom::Start(from.min(meta.len())))?;
        Ok((file, meta.len(), start))
    });
    match opened {
        Ok((file, whole, start)) => {
            let (status, range) = if start > 0 { (206, Some((start, Some(whole)))) } else { (200, None) };
            let length = Some(whole - start);
            let head = Head { status, length, range, whole: Some(whole), ..Head::default() };
            let _ = to.send(Message::Head(Box::new(head))).and_then(|()| to.send(pump(file, to, None)));
        }
        Err(e) => {
            let _ = to.send(Message::Failed(Failure::Unreadable(e.to_string())));
        }
    }
}

fn pump_http(request: RequestBuilder, redirects: usize, veil: Option<&str>, to: &SyncSender<Message>) {
    let _ = match request.send() {
        Ok(response) => {
            to.send(Message::Head(Box::new(head(&response)))).and_then(|()| to.send(pump(response, to, veil)))
        }
        Err(error) => to.send(Message::Failed(request_failure(&error, redirects, veil))),
    };
}

/// Hands over everything a reader has and returns the message that ends it.
fn pump(mut reader: impl Read, to: &SyncSender<Message>, veil: Option<&str>) -> Message {
    let mut received = 0;
    loop {
        let mut chunk = vec![0; CHUNK];
        let mut filled = 0;
        // Small receptions are gathered only as far as they come at once: the consumer must hear a drip.
        match reader.read(&mut chunk) {
            Ok(0) => return Message::End,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Message::Failed(Failure::Broken { received, why: veiled(chain(&e), veil) }),
        }
        chunk.truncate(filled);
        received += filled as u64;
        if to.send(Message::Chunk(chunk)).is_err() {
            return Message::End;
        }
    }
}

fn head(response: &Response) -> Head {
    let headers = response.headers();
    let range = text(headers, CONTENT_RANGE).and_then(|v| v.trim().strip_prefix("bytes ")).unwrap_or_default();
    let (span, whole) = range.split_once('/').unwrap_or_default();
    let whole = whole.parse().ok();
    Head {
        status: response.status().as_u16(),
        length: text(headers, CONTENT_LENGTH).and_then(|v| v.parse().ok()),
        range: span.split_once('-').and_then(|(from, _)| from.parse().ok()).map(|from| (from, whole)),
        whole,
        // A weak validator does not promise equal bytes, and neither does a date; but a date is refused by a server
        // that knows better, and the digest decides in the end.
        validator: text(headers, ETAG)
            .filter(|tag| tag.starts_with('"'))
            .or_else(|| text(headers, LAST_MODIFIED))
            .map(str::to_owned),
        retry_after: text(headers, RETRY_AFTER).and_then(|v| v.parse().ok()).map(Duration::from_secs),
        kind: text(headers, CONTENT_TYPE).map(str::to_owned),
        url: response.url().to_string(),
    }
}

fn text(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn request_failure(error: &reqwest::Error, redirects: usize, veil: Option<&str>) -> Failure {
    if error.is_redirect() {
        return Failure::Redirects(redirects);
    }
    let why = chain(error);
    // hyper reports a failed look-up only in words; a test holds them still.
    if why.contains("dns error") {
        return Failure::Unresolvable;
    }
    // rustls says why; asking again does not make a certificate good.
    if let Some((_, reason)) = why.split_once("invalid peer certificate: ") {
        return Failure::Untrusted(veiled(reason.to_owned(), veil));
    }
    if error.is_builder() {
        return Failure::Address(veiled(why, veil));
    }
    Failure::Connect(veiled(why, veil))
}

fn veiled(why: String, host: Option<&str>) -> String {
    match host {
        Some(host) if !host.is_empty() => why.replace(host, "the archive"),
        _ => why,
    }
}

/// An error and its causes in one line, without the address: whoever reports it names the place.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = match error.downcast_ref::<reqwest::Error>() {
            // Its own text holds the address; its causes say what happened.
            Some(error) if error.source().is_some() => None,
            Some(error) if error.is_timeout() => Some("timed out".to_owned()),
            _ => Some(error.to_string()),
        };
        if let Some(text) = text
            && !parts.iter().any(|part| part.contains(&text))
        {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}
