//! What this program does as a process of its own, so that its time and memory can be compared with a peer's.

use crate::{Result, digest, fetch, round, sandbox};
use std::path::Path;

pub fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["sandbox", layers] => sandbox::child(Path::new(layers)),
        ["round", kind, store, jobs] => round::child(kind, Path::new(store), jobs.parse()?),
        ["fetch", url, sha256, dest] => fetch::child(url, sha256, Path::new(dest)),
        ["unpack", archive, dest] => digest::child(Path::new(archive), Path::new(dest)),
        other => Err(format!("no child is called {other:?}").into()),
    }
}
