//! `parton new`

use super::super::args::{Global, New};
use super::super::context::Context;
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops;

pub fn run(global: &Global, args: &New, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let new = ops::new_spec(session, &args.url, args.name.as_deref())?;
        let print = args.output.as_deref().is_some_and(|path| path.as_os_str() == "-");
        let written = if print {
            None
        } else {
            let default = session.workspace.root.join("specs").join(&new.name).join("spec.toml");
            let path = args.output.clone().unwrap_or(default);
            ops::write_new(&path, &new)?;
            Some(path)
        };
        if global.json {
            return super::json(shell, "parton.new/1", &new);
        }
        new.notes.iter().for_each(|note| shell.note(note));
        match written {
            Some(path) => shell.status("Wrote", &path.display().to_string()),
            None => shell.out(&new.text)?,
        }
        Ok(())
    })
}
