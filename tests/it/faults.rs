//! Faults that lose nothing: processes killed at any instant, calls that fail, power that is cut, partons in each other's way.
//!
//! | file | what happens | to what |
//! |---|---|---|
//! | `errors.rs` | every call on the store fails, is cut short or is the last | a program over the library; sampled, whole builds |
//! | `power.rs` | the power is cut between any two calls | what a disk may hold then is opened as a store |
//! | `kill.rs` | parton, a jail's first process, or all of them are killed at seeded instants | whole commands |
//! | `soak.rs` | eight partons do all sorts of things at once | whole commands |
//!
//! The rest: `shim.rs` makes calls fail and records them, `cycle.rs` is the program over the library and what it promised,
//! `world.rs` a workspace whose seed is made of this machine's shell, so that builds are real, quick and need no network.
//!
//! The tests here are the short cut; the ignored ones whose names begin with `all_` go all the way. `ci/faults` runs those
//! and writes what they measured.

mod cycle;
mod errors;
mod kill;
mod power;
mod shim;
mod soak;
mod world;

use crate::common::Dice;
use std::io::Write as _;

/// A number that `ci/faults` gives, or the default.
fn parameter(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Writes a measured line for `ci/faults`, or for whoever runs the test by hand.
fn report(line: &str) {
    let line = format!("{line}\n");
    match std::env::var_os("PARTON_FAULTS_REPORT") {
        Some(path) => {
            let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
        None => std::io::stdout().write_all(line.as_bytes()).unwrap(),
    }
}
