//! One file per command: its function, nothing else. What can be typed is in `args.rs`, what is done in `ops`.

pub mod build;
pub mod check;
pub mod closure;
pub mod conditions;
pub mod ddc;
pub mod diff;
pub mod doctor;
pub mod fetch;
pub mod gc;
pub mod graph;
pub mod hash;
pub mod init;
pub mod log;
pub mod manual;
pub mod new;
pub mod seed;
pub mod shell;
pub mod show;
pub mod store;
pub mod why;
pub mod why_rebuild;

use super::error::Failure;
use super::shell::Shell;
use serde::Serialize;

/// Prints a value as one JSON document: an object whose first key names its schema.
fn json(shell: &Shell, schema: &'static str, value: &impl Serialize) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        schema: &'static str,
        #[serde(flatten)]
        value: &'a T,
    }
    let mut text = serde_json::to_string_pretty(&Envelope { schema, value }).map_err(std::io::Error::other)?;
    text.push('\n');
    shell.out(&text)?;
    Ok(())
}
