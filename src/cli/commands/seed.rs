//! `parton seed`

use super::super::args::{Global, SeedCommand};
use super::super::context::Context;
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops::{self, SeedPackage};
use crate::report::text;
use serde::Serialize;

#[derive(Serialize)]
struct Packages {
    id: crate::base::Blake3,
    suite: String,
    packages: Vec<SeedPackage>,
    bytes: u64,
}

pub fn run(global: &Global, command: &SeedCommand, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let (name, profile) = session.profile()?;
        let seed = match command {
            SeedCommand::Show => session.seeds()?.by_profile.remove(name).ok_or(ops::Error::NoSeed)?,
            SeedCommand::Resolve => {
                let resolved = ops::resolve_seed(session, profile)?;
                resolved.notes.iter().for_each(|note| shell.note(note));
                shell.status("Wrote", &resolved.path.display().to_string());
                resolved.seed
            }
        };
        let bytes = seed.size();
        if global.json {
            let packages = Packages { id: seed.id(), suite: seed.recipe.suite.clone(), packages: seed.packages, bytes };
            return super::json(shell, "parton.seed/1", &packages);
        }
        let mut out = String::new();
        for package in &seed.packages {
            out.push_str(&format!("{:>10}  {} {}\n", text::size(package.size), package.name, package.version));
        }
        out.push_str(&format!("{:>10}  in {} packages, seed {}\n", text::size(bytes), seed.packages.len(), seed.id()));
        shell.out(&out)?;
        Ok(())
    })
}
