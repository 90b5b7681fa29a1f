//! What is promised about the bytes of a record in a store.

use super::place::scratch;
use parton::base::{Blake3, DrvId};
use parton::report;
use parton::store::{Record, Store};
use std::fs;

struct Shared {
    store: Store,
    dir: tempfile::TempDir,
}

thread_local! {
    /// One store for all inputs: what is read is only the record's file. It goes away with the thread.
    static SHARED: Shared = {
        let dir = scratch();
        let store = Store::open(dir.path(), &mut |_| false).unwrap();
        Shared { store, dir }
    };
}

/// Bytes in a record's place are refused, or are the record that the store's page describes: written again in that form
/// they are read as the same. With the right digest before them, so that what follows is looked at, and as they are.
pub fn check(bytes: &[u8]) {
    read(bytes);
    if let Some(record) = read(&with_digest(bytes)) {
        let again = with_digest(&written(&record));
        assert_eq!(read(&again).unwrap(), record);
        if let Ok(told) = report::Record::from_bytes(&record.body) {
            let body = told.to_bytes().unwrap();
            let retold = report::Record::from_bytes(&body).unwrap();
            assert_eq!(retold.to_bytes().unwrap(), body);
        }
    }
    if let Ok(told) = report::Record::from_bytes(bytes) {
        told.to_bytes().unwrap();
    }
    report::Glance::read(bytes);
}

fn read(bytes: &[u8]) -> Option<Record> {
    SHARED.with(|shared| {
        let drv = DrvId::from_bytes([7; 32]);
        fs::write(shared.dir.path().join("drv").join(drv.to_string()), bytes).unwrap();
        shared.store.record(drv).ok().map(|record| record.expect("the file is there"))
    })
}

fn with_digest(rest: &[u8]) -> Vec<u8> {
    [format!("parton record 1 {}\n", Blake3::of(rest)).as_bytes(), rest].concat()
}

/// A record as the store's page describes it, by other means than the store's.
fn written(record: &Record) -> Vec<u8> {
    let escape = |name: &str| {
        let kept =
            |at: usize, byte: u8| byte.is_ascii_alphanumeric() || b"-_+:".contains(&byte) || byte == b'.' && at > 0;
        let each = name.bytes().enumerate();
        let text: String = each
            .map(|(at, byte)| if kept(at, byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
            .collect();
        if text.is_empty() { "%".to_owned() } else { text }
    };
    let mut out = format!("name {} {}\n", escape(&record.package), escape(&record.profile));
    out.extend(record.refs.trees.iter().map(|id| format!("tree {id}\n")));
    out.extend(record.refs.logs.iter().map(|id| format!("log {id}\n")));
    out.extend(record.refs.blobs.iter().map(|id| format!("blob {id}\n")));
    [out.as_bytes(), b"\n", &record.body].concat()
}
