//! `parton seed`

use super::super::args::{Global, SeedCommand};
use super::super::context::{Context, working_directory};
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops::{self, ArchiveSeed, Exported, PackageSeed, Seed};
use crate::report::text;
use serde_json::json;
use std::path::Path;

pub fn run(global: &Global, command: &SeedCommand, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    let here = working_directory(global)?;
    context.with(|session| {
        let (name, profile) = session.profile()?;
        match command {
            SeedCommand::Show => match session.seeds()?.by_profile.remove(name).ok_or(ops::Error::NoSeed)? {
                Seed::Packages(seed) => packages(global, shell, &seed),
                Seed::Archive(seed) => archive(global, shell, &seed),
            },
            SeedCommand::Resolve => {
                let resolved = ops::resolve_seed(session, profile)?;
                resolved.notes.iter().for_each(|note| shell.note(note));
                shell.status("Wrote", &resolved.path.display().to_string());
                packages(global, shell, &resolved.seed)
            }
            SeedCommand::Export { output } => {
                let output = output.as_ref().map(|path| here.join(path));
                exported(global, shell, &ops::export_seed(session, output.as_deref())?)
            }
        }
    })
}

fn packages(global: &Global, shell: &Shell, seed: &PackageSeed) -> Result<(), Failure> {
    let bytes = seed.size();
    if global.json {
        let (id, suite, packages) = (seed.id(), &seed.recipe.suite, &seed.packages);
        let shown = json!({ "id": id, "suite": suite, "packages": packages, "archive": null, "bytes": bytes });
        return super::json(shell, "parton.seed/1", &shown);
    }
    let mut out = String::new();
    for package in &seed.packages {
        out.push_str(&format!("{:>10}  {} {}\n", text::size(package.size), package.name, package.version));
    }
    out.push_str(&format!("{:>10}  in {} packages, seed {}\n", text::size(bytes), seed.packages.len(), seed.id()));
    shell.out(&out)?;
    Ok(())
}

fn archive(global: &Global, shell: &Shell, seed: &ArchiveSeed) -> Result<(), Failure> {
    if global.json {
        let shown = json!({ "id": seed.id(), "suite": null, "packages": null, "archive": seed, "bytes": seed.size });
        return super::json(shell, "parton.seed/1", &shown);
    }
    shell.out(&format!("{}{:>10}  in {}, seed {}\n", contents(seed), text::size(seed.size), seed.file, seed.id()))?;
    Ok(())
}

fn contents(seed: &ArchiveSeed) -> String {
    let line = |package: &ops::ArchivedPackage| {
        format!("{:>10}  {} {}\n", package.tree.short(), package.name, package.version)
    };
    seed.packages.iter().map(line).collect()
}

fn exported(global: &Global, shell: &Shell, exported: &Exported) -> Result<(), Failure> {
    let shown = |path: &Path| path.display().to_string();
    shell.status("Wrote", &shown(&exported.archive));
    shell.status("Wrote", &shown(&exported.lock));
    if global.json {
        return super::json(shell, "parton.seed-export/1", exported);
    }
    let seed = &exported.seed;
    let mut out = contents(seed);
    out.push_str(&format!(
        "{:>10}  from {} files, {}, tree {}\n",
        text::size(seed.size),
        exported.files,
        text::size(exported.bytes),
        seed.tree
    ));
    out.push_str(&format!("\nA profile that builds with it, for parton.toml:\n\n{}", exported.profile));
    shell.out(&out)?;
    Ok(())
}
