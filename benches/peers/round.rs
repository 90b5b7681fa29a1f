//! What a round costs over the same commands run bare, and what varying the world costs over leaving it alone.

use crate::Result;
use crate::gauge::{Side, turns};
use crate::places::{PARTON, PROJECT, Places, this};
use crate::table::{Aim, Table};
use parton::base::Cancel;
use parton::build::{Conditions, Executor as _, Local, Order, coverage};
use parton::plan::{Derivation, SourcePin};
use parton::report::Record;
use parton::sandbox::{Launcher, Limits};
use parton::store::Store;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PACKAGE: &str = "zlib";

pub fn measure(places: &Places, table: &mut Table) -> Result<()> {
    places.prepare(PROJECT, &["build", "--no-check", PACKAGE])?;
    let jobs = u32::try_from(std::thread::available_parallelism()?.get())?;
    let store = places.store.to_string_lossy().into_owned();
    let script = places.fresh("bare")?.join("build.sh");
    fs::write(&script, bare(&open(&places.store)?, jobs)?)?;

    let round = |kind: &'static str| {
        let (store, jobs) = (store.clone(), jobs.to_string());
        Side::process(kind, move || this(&["round", kind, &store, &jobs]))
    };
    let chroot = Side::process("the same commands in a chroot", || {
        let mut command = Command::new("unshare");
        // Without root's rights a chroot needs a user namespace, which gives them.
        let root = rustix::process::getuid().is_root();
        command.args(if root { &["--mount"][..] } else { &["--mount", "--map-root-user"] });
        command.arg("sh").arg(&script).arg(places.vacant("bare/work")?);
        Ok(command)
    });
    let mut sides = [round("plain"), chroot];
    let taken = turns(&mut sides, table.turns(7))?;
    table.add("commands of a round", &sides, &taken, &[Aim::Ratio(1.02)], &|taken| taken.inner)?;
    table.add("whole round", &sides, &taken, &[Aim::Ratio(1.02)], &|taken| Some(taken.wall))?;

    let mut sides = [round("varied"), round("plain")];
    let taken = turns(&mut sides, table.turns(7))?;
    table.add("varied round, equal jobs", &sides, &taken, &[Aim::Ratio(1.10)], &|taken| Some(taken.wall))
}

/// Executes one round and says how long its commands took.
#[expect(clippy::print_stdout, reason = "this is how the gauge is told")]
pub fn child(kind: &str, store: &Path, jobs: u32) -> Result<()> {
    let store = open(store)?;
    let derivation = derivation(&store)?;
    let conditions = match kind {
        "plain" => Conditions::plain(jobs),
        _ => {
            // What a package's first further round takes.
            let levels = coverage::plan(&[], 1).remove(0);
            Conditions { jobs, ..Conditions::at(derivation.id(), 2, jobs, jobs, &levels) }
        }
    };
    let order = Order { derivation, round: 1, conditions, limits: Limits::default(), check: false };
    let launcher = Launcher::with_program(PARTON);
    let outcome = Local { store: &store, launcher: &launcher }.execute(&order, &|_| {}, &Cancel::new())?;
    if outcome.output().is_none() {
        return Err(format!("{:?}", outcome.end).into());
    }
    println!("inner {}", outcome.phases.iter().map(|phase| phase.wall).sum::<Duration>().as_nanos());
    Ok(())
}

fn open(path: &Path) -> Result<Store> {
    Ok(Store::open(path, &mut |_| true)?)
}

fn derivation(store: &Store) -> Result<Derivation> {
    let current = store.latest(PACKAGE)?.into_iter().next().ok_or("the package is not built")?;
    let record = store.record(current.drv)?.ok_or("the package has no record")?;
    Ok(Record::from_bytes(&record.body)?.derivation)
}

/// A script that does by hand what a round does: sources, root, commands, and nothing left. `$1` is where.
fn bare(store: &Store, jobs: u32) -> Result<String> {
    let derivation = derivation(store)?;
    let seed = store
        .seed(derivation.seed.ok_or("no seed")?)?
        .and_then(|tree| store.tree_path(tree).transpose())
        .ok_or("no seed")??;
    let mut script = String::from("set -eu\nmkdir -p \"$1\" && cd \"$1\"\nmkdir -p root build out skel/phases\n");
    writeln!(script, "for dir in build out tmp dev proc sysroot; do mkdir skel/$dir; done")?;
    for source in &derivation.sources {
        let SourcePin::Archive { sha256, strip, nested: None } = &source.pin else {
            return Err("the package's source is no plain archive".into());
        };
        let blob = store.blob(*sha256)?.ok_or("the source is not in the store")?;
        writeln!(script, "mkdir build/{}", source.dest)?;
        writeln!(script, "tar -xf {} -C build/{} --strip-components={strip}", quote(&blob.path), source.dest)?;
    }
    for (n, phase) in derivation.phases.iter().enumerate() {
        writeln!(
            script,
            "cat >skel/phases/{n} <<'end of phase'\ncd '/build/{}'\n{}\nend of phase",
            phase.dir, phase.script
        )?;
    }
    writeln!(script, "mount -t overlay -o lowerdir=skel:{} overlay root", quote(&seed))?;
    script.push_str("for dir in build out; do mount --bind $dir root/$dir; done\n");
    script.push_str("mount -t tmpfs tmpfs root/tmp\nmount --rbind /dev root/dev\nmount --rbind /proc root/proc\n");
    let mut env = derivation.env.clone();
    let fixed = [
        ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"),
        ("HOME", "/build"),
        ("TMPDIR", "/tmp"),
        ("OUT", "/out"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("SHELL", "/bin/sh"),
        ("CONFIG_SHELL", "/bin/sh"),
        ("JOBS", &jobs.to_string()),
    ];
    env.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let env: Vec<String> = env.iter().map(|(name, value)| quote(format!("{name}={value}"))).collect();
    script.push_str("began=$(date +%s%N)\n");
    for n in 0..derivation.phases.len() {
        writeln!(script, "env -i {} chroot root /bin/sh -eu /phases/{n} >>log 2>&1", env.join(" "))?;
    }
    script.push_str("echo inner $(($(date +%s%N) - began))\n");
    // A lazy unmount, as processes of the build may not be gone quite yet.
    script.push_str("umount -l root/build root/out root/tmp root/dev root/proc root\ncd / && rm -rf \"$1\"\n");
    Ok(script)
}

fn quote(text: impl AsRef<std::ffi::OsStr>) -> String {
    format!("'{}'", text.as_ref().to_string_lossy().replace('\'', "'\\''"))
}
