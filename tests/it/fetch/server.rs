//! A web server on the loopback that does exactly what a test says, one request per connection.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// How many requests for this path came before.
    pub before: usize,
}

impl Request {
    /// First byte asked for.
    pub fn range(&self) -> Option<usize> {
        self.headers.get("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

pub struct Server {
    port: u16,
    log: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let log: Arc<Mutex<Vec<Request>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let (their_log, their_stop) = (Arc::clone(&log), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if their_stop.load(Ordering::Relaxed) {
                    break;
                }
                let (Ok(mut stream), log, answer) = (stream, Arc::clone(&their_log), Arc::clone(&answer)) else {
                    break;
                };
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    let Some(mut request) = read(&stream) else { return };
                    {
                        let mut log = log.lock().unwrap();
                        request.before = log.iter().filter(|r| r.path == request.path).count();
                        log.push(request.clone());
                    }
                    answer(&request, &mut stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port, log, stop }
    }

    /// Serves these files properly, ranges and all; 404 for everything else.
    pub fn files(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::start(move |request, stream| match files.get(&request.path) {
            Some(content) => whole(request, stream, content),
            None => reply(stream, "404 Not Found", &[], b"no"),
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, path.trim_start_matches('/'))
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|r| r.path).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length").and_then(|v| v.parse().ok()) {
        body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
    } else if headers.get("transfer-encoding").is_some_and(|v| v == "chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; length + 2];
            reader.read_exact(&mut chunk).ok()?;
            if length == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
    Some(Request { method, path, headers, body, before: 0 })
}

/// Status line and headers; the connection is closed after the answer.
pub fn head(stream: &mut TcpStream, status: &str, headers: &[(&str, String)]) {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all((text + "\r\n").as_bytes());
}

pub fn reply(stream: &mut TcpStream, status: &str, headers: &[(&str, String)], body: &[u8]) {
    let mut headers = headers.to_vec();
    headers.push(("Content-Length", body.len().to_string()));
    head(stream, status, &headers);
    let _ = stream.write_all(body);
}

/// A good server's answer.
pub fn whole(request: &Request, stream: &mut TcpStream, content: &[u8]) {
    up_to(request, stream, content, content.len());
}

/// A good server's answer, but only bytes before `end` are sent before the line is cut.
pub fn up_to(request: &Request, stream: &mut TcpStream, content: &[u8], end: usize) {
    let etag = ("ETag", format!("\"{:x}\"", content.len()));
    match request.range() {
        Some(from) if from >= content.len() => {
            reply(stream, "416 Range Not Satisfiable", &[("Content-Range", format!("bytes */{}", content.len()))], b"");
        }
        from => {
            let from_byte = from.unwrap_or(0);
            let mut headers = vec![("Content-Length", (content.len() - from_byte).to_string()), etag];
            let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
            if from.is_some() {
                let span = format!("bytes {from_byte}-{}/{}", content.len() - 1, content.len());
                headers.push(("Content-Range", span));
            }
            head(stream, status, &headers);
            let _ = stream.write_all(&content[from_byte.min(end)..end]);
        }
    }
}
