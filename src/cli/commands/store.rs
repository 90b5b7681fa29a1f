//! `parton store`

use super::super::args::{Global, StoreCommand};
use super::super::context::Context;
use super::super::error::{CommandError, Failure, Kind};
use super::super::shell::Shell;
use crate::ops;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Serialize)]
struct StorePath {
    path: PathBuf,
}

pub fn run(global: &Global, command: &StoreCommand, shell: &Shell) -> Result<(), Failure> {
    match command {
        StoreCommand::Path { package: None } => {
            let context = Context::open_store_only(global, shell)?;
            path(global, shell, context.store.path().to_owned())
        }
        StoreCommand::Path { package: Some(package) } => {
            let context = Context::open(global, shell)?;
            context.with(|session| path(global, shell, session.output(package)?))
        }
        StoreCommand::Verify { repair } => {
            let mut context = Context::open_store_only(global, shell)?;
            let verified = ops::verify_store(
                &mut context.store,
                *repair,
                &|event| context.progress.event(event),
                &context.cancel,
            )?;
            if global.json {
                super::json(shell, "parton.store-verify/1", &verified)?;
            } else {
                let mut out = String::new();
                verified.damages.iter().for_each(|damage| out.push_str(&format!("{damage}\n")));
                out.push_str(&match verified.damages.len() {
                    0 => "everything is what its name says\n".to_owned(),
                    n => format!("{n} damaged\n"),
                });
                verified.moved.iter().for_each(|path| out.push_str(&format!("moved to {}\n", path.display())));
                shell.out(&out)?;
            }
            if verified.damages.is_empty() || *repair {
                return Ok(());
            }
            Err(CommandError::new(Kind::Failed, "the store is damaged")
                .hint("`parton store verify --repair` sets the damaged objects aside; the next build makes them anew")
                .into())
        }
    }
}

fn path(global: &Global, shell: &Shell, path: PathBuf) -> Result<(), Failure> {
    if global.json {
        return super::json(shell, "parton.store-path/1", &StorePath { path });
    }
    shell.out(&format!("{}\n", path.display()))?;
    Ok(())
}
