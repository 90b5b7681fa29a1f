//! How long it takes to have a program run in a sandbox of many layers, and everything gone again.

use crate::Result;
use crate::gauge::{Look, Side, Taken, process};
use crate::places::{PARTON, Places, run, this, version};
use crate::table::{Aim, Table};
use parton::base::Cancel;
use parton::sandbox::{self, Bind, Jail, Launcher, Limits, Stdin, Stdio, Step, World};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// As many as a package with that many inputs has.
const LAYERS: usize = 24;

/// Holds for a peer that has the same layers to merge.
const AIM: Aim = Aim::Ratio(0.6);

pub fn measure(places: &Places, table: &mut Table) -> Result<()> {
    let dir = places.once("layers", make)?;
    let merged = dir.join("merged");
    let layers = dir.to_string_lossy().into_owned();
    let parton = |name: &str, canaries: bool| {
        let (launcher, jail) = (Launcher::with_program(PARTON), Jail { canaries, ..jail(&dir) });
        let layers = layers.clone();
        Side::new(name, move |look| match look {
            Look::Memory => process(&mut this(&["sandbox", &layers])?, look),
            Look::Time => {
                let began = Instant::now();
                enter(&launcher, &jail)?;
                Ok(Taken { wall: began.elapsed(), inner: None, memory: None })
            }
        })
    };
    let mut sides = vec![parton("parton", false), parton("parton, every wall tried before and after", true)];
    let mut aims = vec![Aim::None];
    match version("bwrap") {
        Some(version) if understands("bwrap", "--ro-overlay") => {
            let dir = &dir;
            sides.push(Side::process(format!("bubblewrap {version}"), move || Ok(bwrap(dir, Root::Overlay))));
            aims.push(AIM);
        }
        Some(version) => {
            let dir = &dir;
            if rustix::process::getuid().is_root() {
                let name = format!("bubblewrap {version}, the layers mounted for it by sh and mount");
                sides.push(Side::process(name, move || Ok(bwrap(dir, Root::MountedForIt))));
                aims.push(AIM);
            } else {
                table.note("This bubblewrap has no overlays, and only root can mount one for it.");
            }
            let name = format!("bubblewrap {version}, one directory instead of the layers");
            sides.push(Side::process(name, move || Ok(bwrap(dir, Root::Merged))));
            aims.push(Aim::None);
        }
        None => table.note("bubblewrap is not on this machine."),
    }
    match version("runc") {
        Some(version) => {
            let (bundle, state) = (bundle(places, &merged)?, places.fresh("runc-state")?);
            let runc = move || {
                let mut command = Command::new("runc");
                command.arg("--root").arg(&state).args(["run", "--bundle"]).arg(&bundle).arg("parton-bench");
                Ok(command)
            };
            match runc().and_then(|mut command| run(&mut command)) {
                Ok(()) => {
                    sides.push(Side::process(format!("runc {version}, one directory instead of the layers"), runc));
                    aims.push(Aim::None);
                }
                Err(error) => table.note(format!("runc does not run here: {error}")),
            }
        }
        None => table.note("runc is not on this machine."),
    }
    table.measure(&format!("sandbox of {LAYERS} layers, start to end"), 101, &mut sides, &aims)
}

pub fn child(dir: &Path) -> Result<()> {
    enter(&Launcher::with_program(PARTON), &jail(dir))
}

fn enter(launcher: &Launcher, jail: &Jail) -> Result<()> {
    let exit = sandbox::run(launcher, jail, &mut |_| {}, &Cancel::new())?;
    if exit.success(jail.steps.len()) { Ok(()) } else { Err(format!("{exit:?}").into()) }
}

fn layer(dir: &Path, n: usize) -> PathBuf {
    dir.join(format!("layers/{n:02}"))
}

/// The layers, and a directory that looks as they do when merged.
fn make(dir: &Path) -> Result<()> {
    for n in 0..LAYERS {
        let own = layer(dir, n).join(format!("usr/share/package-{n}"));
        fs::create_dir_all(&own)?;
        for file in 0..10 {
            fs::write(own.join(format!("file-{file}")), format!("{n} {file}\n"))?;
        }
    }
    let bottom = layer(dir, LAYERS - 1);
    for name in ["bin", "build", "out", "proc", "dev", "tmp", "etc"] {
        fs::create_dir_all(bottom.join(name))?;
    }
    let source = dir.join("true.c");
    fs::write(&source, "int main(void) { return 0; }\n")?;
    run(Command::new("cc").args(["-O2", "-static", "-o"]).arg(bottom.join("bin/true")).arg(&source))?;
    fs::write(bottom.join("etc/passwd"), "builder:x:1000:1000::/build:/bin/sh\n")?;
    for name in ["merged", "root", "build", "out"] {
        fs::create_dir(dir.join(name))?;
    }
    for n in 0..LAYERS {
        run(Command::new("cp").arg("-a").arg(layer(dir, n).join(".")).arg(dir.join("merged")))?;
    }
    Ok(())
}

fn jail(dir: &Path) -> Jail {
    let bind = |at: &str, name: &str| Bind { at: at.to_owned(), from: dir.join(name), write: true };
    Jail {
        root: (0..LAYERS).map(|n| layer(dir, n)).collect(),
        overlays: Vec::new(),
        binds: vec![bind("/build", "build"), bind("/out", "out")],
        overlaid: BTreeMap::new(),
        files: BTreeMap::new(),
        tmp_size: 1 << 30,
        uid: 1000,
        umask: 0o022,
        hostname: "parton".to_owned(),
        domainname: "(none)".to_owned(),
        world: World::default(),
        limits: Limits { time: Duration::from_secs(60), ..Limits::default() },
        canaries: false,
        steps: vec![Step {
            name: "true".to_owned(),
            argv: vec!["/bin/true".to_owned()],
            env: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
            cwd: "/build".to_owned(),
            timeout: None,
        }],
        stdio: Stdio::Captured,
        stdin: Stdin::Null,
    }
}

/// How bubblewrap gets its root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    /// By an overlay that it mounts itself, which it has learnt in version 0.11.
    Overlay,
    /// By an overlay that is mounted for it, in a mount namespace that ends with it.
    MountedForIt,
    /// By a directory into which the layers were copied beforehand: it has less to do than parton.
    Merged,
}

/// Every namespace, the same mounts, no rights: what bubblewrap can do of parton's walls.
fn bwrap(dir: &Path, root: Root) -> Command {
    let mut command = match root {
        Root::MountedForIt => {
            let mut command = Command::new("unshare");
            let line = "mount -t overlay -o ro,lowerdir=\"$0\" overlay root && exec bwrap \"$@\"";
            // Relative names, or they would not fit into the one page that mount options may fill.
            let layers: Vec<String> = (0..LAYERS).map(|n| format!("layers/{n:02}")).collect();
            command.current_dir(dir).args(["--mount", "sh", "-c", line]).arg(layers.join(":"));
            command
        }
        Root::Overlay | Root::Merged => Command::new("bwrap"),
    };
    command.args(["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
    command.args(["--uid", "1000", "--gid", "1000", "--hostname", "parton", "--clearenv", "--setenv", "PATH", "/bin"]);
    match root {
        Root::Overlay => {
            // The last one named is the topmost.
            for n in (0..LAYERS).rev() {
                command.arg("--overlay-src").arg(layer(dir, n));
            }
            command.args(["--ro-overlay", "/"]);
        }
        Root::MountedForIt => {
            command.args(["--ro-bind", "root", "/"]);
        }
        Root::Merged => {
            command.arg("--ro-bind").arg(dir.join("merged")).arg("/");
        }
    }
    command.arg("--bind").arg(dir.join("build")).arg("/build").arg("--bind").arg(dir.join("out")).arg("/out");
    command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/build", "/bin/true"]);
    command
}

fn understands(program: &str, option: &str) -> bool {
    Command::new(program).arg("--help").output().is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(option))
}

/// runc's own example of a specification, with our root and program.
fn bundle(places: &Places, merged: &Path) -> Result<PathBuf> {
    let bundle = places.fresh("runc-bundle")?;
    let mut spec = Command::new("runc");
    spec.arg("spec").arg("--bundle").arg(&bundle);
    if !rustix::process::getuid().is_root() {
        spec.arg("--rootless");
    }
    run(&mut spec)?;
    let path = bundle.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["/bin/true"]);
    config["root"] = serde_json::json!({ "path": merged, "readonly": true });
    // The merged root has no /sys to mount on.
    fs::create_dir_all(merged.join("sys"))?;
    fs::write(&path, serde_json::to_vec(&config)?)?;
    Ok(bundle)
}
