//! From an address to unpacked, verified sources.

use crate::Result;
use crate::gauge::Side;
use crate::places::{PROJECT, Places, this};
use crate::table::{Aim, Table};
use parton::base::Cancel;
use parton::fetch::{Config, Fetcher, Pin};
use parton::spec::SourceKind;
use parton::store::{Blob, Store};
use parton::tree::{Unpack, unpack};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

pub fn measure(places: &Places, table: &mut Table) -> Result<()> {
    for package in ["busybox", "openssl"] {
        let blob = blob(places, package)?;
        let url = serve(blob.path.clone())?;
        let (url, sha256) = (url.as_str(), blob.sha256.to_string());
        let parton = Side::process("parton", || {
            let dest = places.fresh("fetch/parton")?;
            this(&["fetch", url, &sha256, &dest.to_string_lossy()])
        });
        // What a careful person types; tar finds out what the bytes are compressed with by itself only from a file.
        let flag = if is_bzip2(&blob.path)? { "j" } else { "z" };
        let line = format!("curl -s \"$0\" | tee >(sha256sum >&2) | tar -x{flag} --strip-components=1 -C \"$1\"");
        let pipe = Side::process("curl, sha256sum and tar in a pipe", || {
            let dest = places.fresh("fetch/pipe")?;
            let mut command = Command::new("bash");
            command.args(["-o", "pipefail", "-c", &line, url]).arg(&dest);
            Ok(command)
        });
        let figure = format!("fetch, verify, unpack {package} ({:.1} MB)", blob.size as f64 / 1e6);
        table.measure(&figure, 15, &mut [parton, pipe], &[Aim::Ratio(1.0 / 1.5)])?;
    }
    Ok(())
}

/// Fetches to a file beside `dest` and unpacks that, as a build does.
#[expect(clippy::disallowed_methods, reason = "stands in for the command line, which reads the clock")]
pub fn child(url: &str, sha256: &str, dest: &Path) -> Result<()> {
    let cancel = Cancel::new();
    let file = dest.join("archive");
    let fetcher = Fetcher::new(Config::new(dest.join("cache"), SystemTime::now()));
    let pin = Pin {
        name: "archive".to_owned(),
        urls: vec![url.to_owned()],
        sha256: sha256.parse()?,
        size: None,
        archive_path: None,
    };
    fetcher.fetch(&pin, &file, &|_| {}, &cancel)?;
    let files = dest.join("files");
    std::fs::create_dir(&files)?;
    unpack(File::open(&file)?, &files, &Unpack::source(1), None)?;
    Ok(())
}

/// The tarball of a package, fetched if the store lacks it.
pub fn blob(places: &Places, package: &str) -> Result<Blob> {
    places.prepare(PROJECT, &["fetch", package])?;
    let text = std::fs::read_to_string(Path::new(PROJECT).join("specs").join(package).join("spec.toml"))?;
    let (spec, _) = parton::spec::read_spec(Path::new(PROJECT), package, text);
    let spec = spec.ok_or("the spec has mistakes")?;
    let Some(SourceKind::File { sha256, .. }) = spec.sources.first().map(|source| &source.kind) else {
        return Err(format!("{package} has no tarball").into());
    };
    let store = Store::open(&places.store, &mut |_| true)?;
    Ok(store.blob(sha256.value)?.ok_or("the tarball is not in the store")?)
}

fn is_bzip2(path: &Path) -> Result<bool> {
    let mut magic = [0; 3];
    io::Read::read_exact(&mut File::open(path)?, &mut magic)?;
    Ok(magic == *b"BZh")
}

/// Serves a file to whoever asks this machine for anything, as long as the program runs; its address.
fn serve(file: PathBuf) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/archive", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let file = file.clone();
            // A client that breaks off is noticed by itself.
            std::thread::spawn(move || answer(stream, &file).is_ok());
        }
    });
    Ok(url)
}

fn answer(mut stream: TcpStream, file: &Path) -> io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut file = File::open(file)?;
    let size = file.metadata()?.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n")?;
    // The kernel copies from file to socket, so that the server takes little of what the sides need.
    io::copy(&mut file, &mut stream).map(drop)
}
