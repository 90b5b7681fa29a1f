//! The jail of a build: what its phases see. Part of the contract that [`CONTRACT`] numbers.
//!
//! This is the plain jail; the [`Conditions`] of a round change what they name, and nothing else.
//!
//! `/` is the seed with the outputs of `needs.build` over it, the sysroot holds the outputs of what is linked against;
//! both read-only. `/build`, `/out` and `/tmp` can be written.

use super::conditions::{Conditions, Terminal};
use super::outcome::Order;
use crate::plan::Phase;
use crate::sandbox::{self, Bind, Jail, Overlay, Stdio, Step};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of all that a build can see of its jail: of what the sandbox gives, and of what this file says.
pub const CONTRACT: u64 = sandbox::CONTRACT * 1000 + 1;

/// Directories of the host that a jail is made of.
#[derive(Debug, Clone)]
pub struct Places {
    /// Layers of `/`, topmost first.
    pub root: Vec<PathBuf>,
    /// Layers of the sysroot, topmost first.
    pub sysroot: Vec<PathBuf>,
    /// Becomes the build directory: `/build` unless the conditions say otherwise.
    pub build: PathBuf,
    /// Becomes `/out`.
    pub out: PathBuf,
    /// Becomes the home directory, where that is not the build directory.
    pub home: PathBuf,
    /// Becomes `/tmp`, where that lies on a disk.
    pub tmp: PathBuf,
    /// For the kernel's use, where the build directory is shown through an overlay.
    pub work: PathBuf,
}

/// Builds the jail for some phases of an order. `out_writable` is false once the output is final.
pub fn jail(order: &Order, places: &Places, source_date: i64, phases: &[Phase], out_writable: bool) -> Jail {
    let env = environment(order, source_date);
    let conditions = &order.conditions;
    let bind = |at: &str, from: &PathBuf, write| Bind { at: at.to_owned(), from: from.clone(), write };
    let mut binds = vec![bind(&conditions.build_path, &places.build, true), bind("/out", &places.out, out_writable)];
    if conditions.home != conditions.build_path {
        binds.push(bind(&conditions.home, &places.home, true));
    }
    if conditions.tmp_on_disk {
        binds.push(bind("/tmp", &places.tmp, true));
    }
    Jail {
        root: places.root.clone(),
        overlays: sysroot(order, places),
        binds,
        overlaid: match conditions.build_on_overlay {
            true => BTreeMap::from([(conditions.build_path.clone(), places.work.clone())]),
            false => BTreeMap::new(),
        },
        files: files(order),
        tmp_size: 8 << 30,
        uid: conditions.uid,
        umask: conditions.umask,
        hostname: conditions.hostname.clone(),
        domainname: conditions.domainname.clone(),
        world: conditions.world.clone(),
        limits: order.limits.clone(),
        canaries: true,
        steps: phases.iter().map(|phase| step(phase, &conditions.build_path, &env)).collect(),
        stdio: match conditions.terminal {
            Terminal { pty: true, size, .. } => {
                let (columns, rows) = size.unwrap_or((80, 24));
                Stdio::Emulated { columns, rows }
            }
            _ => Stdio::Captured,
        },
        stdin: conditions.stdin,
    }
}

/// Where the sysroot is the root itself there is nothing to lay over it.
fn sysroot(order: &Order, places: &Places) -> Vec<Overlay> {
    match order.derivation.sysroot.as_str() {
        "/" => Vec::new(),
        at => vec![Overlay { at: at.to_owned(), layers: places.sysroot.clone() }],
    }
}

fn step(phase: &Phase, build: &str, env: &BTreeMap<String, String>) -> Step {
    Step {
        name: phase.name.clone(),
        argv: ["/bin/sh", "-euc", &phase.script].map(str::to_owned).to_vec(),
        env: env.clone(),
        cwd: format!("{build}/{}", phase.dir),
        timeout: None,
    }
}

/// The whole environment of every phase.
pub fn environment(order: &Order, source_date: i64) -> BTreeMap<String, String> {
    let conditions = &order.conditions;
    let fixed = [
        ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"),
        ("HOME", &conditions.home),
        ("TMPDIR", "/tmp"),
        ("OUT", "/out"),
        ("LC_ALL", &conditions.locale),
        ("TZ", &conditions.time_zone),
        ("TERM", &conditions.terminal.term),
        ("SHELL", "/bin/sh"),
        ("CONFIG_SHELL", "/bin/sh"),
        ("USER", &conditions.user),
        ("LOGNAME", &conditions.user),
    ];
    let mut env: BTreeMap<String, String> = fixed.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let mut set = |name: &str, value: String| drop(env.insert(name.to_owned(), value));
    set("SOURCE_DATE_EPOCH", source_date.to_string());
    set("JOBS", conditions.jobs.to_string());
    if let Some((columns, lines)) = conditions.terminal.size {
        set("COLUMNS", columns.to_string());
        set("LINES", lines.to_string());
    }
    // Of a language, that is: its codeset is behind the dot.
    if let Some((language, _)) = conditions.locale.split_once('.').filter(|(language, _)| language.contains('_')) {
        set("LANG", conditions.locale.clone());
        set("LANGUAGE", language.to_owned());
    }
    env.extend(order.derivation.env.clone());
    env.extend(conditions.noise.clone());
    env
}

/// Files of ours over the root.
fn files(order: &Order) -> BTreeMap<String, Vec<u8>> {
    let Conditions { user, uid, home, hostname: host, machine_id, .. } = &order.conditions;
    let mut files = BTreeMap::from([
        (
            "/etc/passwd".to_owned(),
            format!("root:x:0:0:root:/:/bin/sh\n{user}:x:{uid}:{uid}:{user}:{home}:/bin/sh\n").into_bytes(),
        ),
        ("/etc/group".to_owned(), format!("root:x:0:\n{user}:x:{uid}:\n").into_bytes()),
        ("/etc/hosts".to_owned(), format!("127.0.0.1 localhost {host}\n::1 localhost\n").into_bytes()),
        ("/etc/machine-id".to_owned(), format!("{machine_id}\n").into_bytes()),
        ("/etc/services".to_owned(), b"http 80/tcp\nhttps 443/tcp\nftp 21/tcp\nssh 22/tcp\nsmtp 25/tcp\n".to_vec()),
        ("/etc/protocols".to_owned(), b"ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\n".to_vec()),
    ]);
    for (n, patch) in order.derivation.patches.iter().enumerate() {
        files.insert(format!("/patches/{n:03}"), patch.text.clone().into_bytes());
    }
    files
}
