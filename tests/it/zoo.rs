//! The archive zoo: archives that were made to be misread, each with the answer that parton owes it.
//!
//! [`cases`] generates them; the ordinary tests unpack each one in both orders and compare the answer to the letter.
//! `ci/zoo` has the same archives unpacked by GNU tar, bsdtar and dpkg-deb as well ([`peers`]) and writes a table of who
//! escapes, who errors and who accepts.

mod ends;
mod extensions;
mod links;
mod members;
mod names;
mod numbers;
mod packages;
mod peers;
mod streams;

use crate::corpus::invariants;
use crate::tree::archive::Archive;
use parton::tree::{Entry, Error, Limits, Order, Tree, Unpack, unpack, unpack_deb};
use std::collections::BTreeSet;
use std::path::Path;

/// A directory outside of every destination, for names and targets that are absolute. The peers' runs watch it.
pub const OUTSIDE: &str = "/tmp/zoo-outside";

/// One archive and what becomes of it.
pub struct Case {
    /// `subject/what is odd`.
    pub name: String,
    /// Made when needed: some are large.
    pub make: Box<dyn Fn() -> Vec<u8>>,
    pub kind: Kind,
    pub answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tar,
    Deb,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The message; `…` stands for what another implementation words or counts.
    Refused(String),
    /// What lies there afterwards: `dir/`, `file = size`, `link -> target`.
    Made(Vec<String>),
}

pub fn refused(name: &str, archive: Vec<u8>, message: &str) -> Case {
    lazy(name, move || archive.clone(), message)
}

pub fn lazy(name: &str, make: impl Fn() -> Vec<u8> + 'static, message: &str) -> Case {
    let answer = Answer::Refused(message.to_owned());
    Case { name: name.to_owned(), make: Box::new(make), kind: Kind::Tar, answer }
}

pub fn made(name: &str, archive: Vec<u8>, tree: &[&str]) -> Case {
    let answer = Answer::Made(tree.iter().map(|line| (*line).to_owned()).collect());
    Case { name: name.to_owned(), make: Box::new(move || archive.clone()), kind: Kind::Tar, answer }
}

/// The zoo.
pub fn cases() -> Vec<Case> {
    let subjects = [
        names::cases(),
        links::cases(),
        members::cases(),
        numbers::cases(),
        extensions::cases(),
        ends::cases(),
        streams::cases(),
        packages::cases(),
    ];
    subjects.into_iter().flatten().collect()
}

/// One file, for cases where only one thing is odd.
pub fn plain() -> Vec<u8> {
    Archive::new().file("x", b"content").end()
}

/// What parton makes of a case in an empty directory.
pub fn answer(case: &Case, bytes: &[u8], dest: &Path, order: Order) -> Answer {
    // A bound small enough to be met by a test.
    let limits = Limits { entries: 10_000, ..Limits::default() };
    let result: Result<_, Error> = match case.kind {
        Kind::Tar => unpack(bytes, dest, &Unpack { order, limits, ..Unpack::source(0) }, None),
        Kind::Deb => unpack_deb(bytes, dest, &Unpack { order, limits, ..Unpack::package() }, None),
    };
    match result {
        Ok(_) => {
            let tree = Tree::scan(dest).unwrap();
            Answer::Made(tree.iter().map(|(path, entry)| line(path.to_string(), entry)).collect())
        }
        Err(error) => Answer::Refused(error.to_string()),
    }
}

fn line(path: String, entry: &Entry) -> String {
    match entry {
        Entry::Dir { .. } => path + "/",
        Entry::File { size, .. } => format!("{path} = {size}"),
        Entry::Link { target } => format!("{path} -> {}", String::from_utf8_lossy(target)),
    }
}

impl Answer {
    fn is(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::Refused(owed), Self::Refused(said)) => match owed.split_once('…') {
                Some((start, end)) => said.starts_with(start) && said.ends_with(end),
                None => said == owed,
            },
            _ => self == found,
        }
    }
}

#[test]
fn every_case_gets_the_answer_it_is_owed() {
    let mut wrong = Vec::new();
    for case in cases() {
        let bytes = (case.make)();
        for order in [Order::Forward, Order::Reverse] {
            let place = invariants::place::Place::new();
            let found = answer(&case, &bytes, &place.dest(), order);
            place.assert_untouched();
            if !case.answer.is(&found) {
                wrong.push(format!("{} ({order:?})\n  owed  {:?}\n  found {found:?}", case.name, case.answer));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the fuzzer checks holds for the zoo too: no case is unpacked to something that comes out otherwise from another
/// reader, or from the canonical archive.
#[test]
#[expect(clippy::print_stdout, reason = "a test that fails shows what it printed")]
fn the_fuzzers_promises_hold_for_every_case() {
    for case in cases() {
        let bytes = (case.make)();
        // The large ones are about limits, which the other test has met.
        if bytes.len() < 1 << 20 {
            println!("{}", case.name);
            match case.kind {
                Kind::Tar => invariants::tar::check(&bytes),
                Kind::Deb => invariants::deb::check(&bytes),
            }
        }
    }
}

#[test]
fn the_zoo_is_large_and_its_names_are_different() {
    let cases = cases();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len());
    assert!(names.len() >= 80, "{}", names.len());
    assert!(names.iter().all(|name| name.contains('/')));
}
