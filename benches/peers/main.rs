//! parton beside its peers: the figures of the README, measured in one run.
//!
//! ```sh
//! cargo bench --bench peers -- [--quick] [--json FILE] [--store DIR] [FIGURE…]
//! ```
//!
//! Every figure lets parton and its peers take turns (A B A B …), so that what else the machine does falls on all of them
//! alike; its ratio is the median of the ratios of the turns. What a figure is made of (layers, workspaces, unpacked
//! sources) is made once and kept in `target/bench`; the seed and three tarballs are fetched when the store lacks them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people, not the library")]

mod child;
mod digest;
mod fetch;
mod gauge;
mod noop;
mod places;
mod round;
mod sandbox;
mod table;

use places::Places;
use std::path::PathBuf;
use std::process::ExitCode;
use table::Table;

/// What went wrong, in words; a bench has nobody to branch on it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measures a figure and puts it into the table.
type Measure = fn(&Places, &mut Table) -> Result<()>;

const FIGURES: [(&str, Measure); 5] = [
    ("sandbox", sandbox::measure),
    ("round", round::measure),
    ("noop", noop::measure),
    ("fetch", fetch::measure),
    ("digest", digest::measure),
];

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("child") => child::run(&args.split_off(1)),
        _ => all(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(args: Vec<String>) -> Result<()> {
    let (mut quick, mut json, mut store, mut wanted) = (false, None, None, Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // What cargo says to every bench.
            "--bench" => {}
            "--quick" => quick = true,
            "--json" => json = Some(PathBuf::from(args.next().ok_or("--json needs a file")?)),
            "--store" => store = Some(PathBuf::from(args.next().ok_or("--store needs a directory")?)),
            name if FIGURES.iter().any(|(known, _)| *known == name) => wanted.push(arg),
            other => {
                let known: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
                return Err(format!("there is no figure '{other}'; there are {}", known.join(", ")).into());
            }
        }
    }
    let places = Places::new(store)?;
    let mut table = Table::new(quick);
    for (name, measure) in FIGURES {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            eprintln!("── {name}");
            measure(&places, &mut table).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    print!("{table}");
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&table.to_json())?)?;
    }
    Ok(())
}
