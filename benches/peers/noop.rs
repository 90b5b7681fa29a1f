//! A build with nothing to do, of few packages and of many.

use crate::Result;
use crate::gauge::Side;
use crate::places::{PROJECT, Places, run, version};
use crate::table::{Aim, Table};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub fn measure(places: &Places, table: &mut Table) -> Result<()> {
    for (count, aim, wanted) in [(100, Duration::from_millis(10), 51), (5_000, Duration::from_millis(200), 15)] {
        let workspace = places.once(&format!("noop-{count}"), |dir| specs(dir, count))?;
        eprintln!("building {count} packages, unless they are");
        places.prepare(&workspace, &["build", "--all"])?;
        let parton = Side::process("parton", || Ok(places.parton(&workspace, &["build", "--all", "--quiet"])));
        let mut sides = vec![parton];
        match version("ninja") {
            Some(version) => {
                let dir = places.once(&format!("ninja-{count}"), |dir| ninja_file(dir, count))?;
                let ninja = move || {
                    let mut command = Command::new("ninja");
                    command.arg("-C").arg(&dir);
                    Ok(command)
                };
                run(&mut ninja()?)?;
                sides.push(Side::process(format!("ninja {version}"), ninja));
            }
            None => table.note("ninja is not on this machine."),
        }
        match version("nix-build") {
            // Its time grows with the packages; what it takes for few says enough.
            Some(version) if count <= 100 => {
                let dir = places.once(&format!("nix-{count}"), |dir| nix_file(dir, count))?;
                let nix = move || Ok(nix_build(&dir));
                match nix().and_then(|mut command| run(&mut command)) {
                    Ok(()) => sides.push(Side::process(format!("nix-build {version}"), nix)),
                    Err(error) => table.note(format!("nix-build does not run here: {error}")),
                }
            }
            Some(_) => {}
            None => table.note("nix-build is not on this machine."),
        }
        let aims = vec![Aim::Time(aim); sides.len() - 1];
        table.measure(&format!("nothing to do, {count} packages"), wanted, &mut sides, &aims)?;
    }
    Ok(())
}

fn name(n: usize) -> String {
    format!("p{n:04}")
}

/// Every package but the first needs another, up to a dozen deep: the longest chain that a real set of this size has.
fn need(n: usize) -> Option<usize> {
    (n > 0).then(|| (n - 1) / 2)
}

fn specs(dir: &Path, count: usize) -> Result<()> {
    let project = Path::new(PROJECT);
    fs::create_dir(dir.join("specs"))?;
    for file in ["parton.toml", "specs/seed.toml", "specs/seed.lock"] {
        fs::copy(project.join(file), dir.join(file))?;
    }
    for n in 0..count {
        let (name, host) = (name(n), need(n).map(|other| format!("{:?}", name(other))).unwrap_or_default());
        let spec = dir.join("specs").join(&name);
        fs::create_dir(&spec)?;
        let text = format!(
            r#"[package]
name = "{name}"
version = "1.{n}"
license = "Apache-2.0"
homepage = "https://{name}.example"
summary = "Package {n} of {count} that do next to nothing"

[needs]
host = [{host}]

[build]
system = "script"

[build.phases]
install = """
mkdir -p "$OUT/usr/share"
echo {n} >"$OUT/usr/share/{name}"
"""
"#
        );
        fs::write(spec.join("spec.toml"), text)?;
    }
    Ok(())
}

fn ninja_file(dir: &Path, count: usize) -> Result<()> {
    let mut text = String::from("rule install\n  command = echo $out >$out\n");
    for n in 0..count {
        let input = need(n).map(|other| format!(" out/{}", name(other))).unwrap_or_default();
        writeln!(text, "build out/{}: install{input}", name(n))?;
    }
    Ok(fs::write(dir.join("build.ninja"), text)?)
}

fn nix_file(dir: &Path, count: usize) -> Result<()> {
    let mut text = String::from("let\n");
    for n in 0..count {
        let input = need(n).map(|other| format!(" input = {};", name(other))).unwrap_or_default();
        writeln!(
            text,
            "{0} = derivation {{ name = \"{0}\"; system = builtins.currentSystem; builder = \"/bin/sh\";{input} \
             args = [ \"-c\" \"echo {n} >$out\" ]; }};",
            name(n)
        )?;
    }
    let all: Vec<String> = (0..count).map(name).collect();
    writeln!(text, "in [ {} ]", all.join(" "))?;
    Ok(fs::write(dir.join("default.nix"), text)?)
}

/// On a store of its own, without sandbox or daemon.
fn nix_build(dir: &Path) -> Command {
    let mut command = Command::new("nix-build");
    command.current_dir(dir).arg("default.nix").args(["--no-out-link", "--quiet"]);
    let options = [("sandbox", "false"), ("substitute", "false"), ("build-users-group", "")];
    for (name, value) in options {
        command.args(["--option", name, value]);
    }
    command.env("HOME", dir).env_remove("NIX_PATH").env_remove("NIX_REMOTE");
    for (name, below) in [("STORE", "store"), ("STATE", "var"), ("LOG", "log"), ("CONF", "etc")] {
        command.env(format!("NIX_{name}_DIR"), dir.join("nix").join(below));
    }
    command
}
