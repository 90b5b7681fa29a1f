//! `parton hash`

use super::super::args::{Global, Hash};
use super::super::context::{Context, working_directory};
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops::{self, Hashed};

pub fn run(global: &Global, args: &Hash, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open_store_only(global, shell)?;
    let base = working_directory(global)?;
    context.with(|session| {
        let hashed = ops::hash(session, &base, &args.what, args.commit.as_deref())?;
        if global.json {
            return super::json(shell, "parton.hash/1", &hashed);
        }
        // As a spec would have it, to be pasted.
        shell.out(&match &hashed {
            Hashed::File { sha256, blake3, size } => {
                format!("sha256 = \"{sha256}\"\nsize = {size}\n# blake3 {blake3}\n")
            }
            Hashed::Tree { tree, files, bytes } => format!("tree = \"{tree}\"\n# {files} files, {bytes} bytes\n"),
        })?;
        Ok(())
    })
}
