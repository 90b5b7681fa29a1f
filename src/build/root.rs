//! The jail of a build: what its phases see. Part of the contract that [`CONTRACT`] numbers.
//!
//! `/` is the seed with the outputs of `needs.build` over it, the sysroot holds the outputs of what is linked against;
//! both read-only. `/build`, `/out` and `/tmp` can be written.

use super::outcome::Order;
use crate::plan::Phase;
use crate::sandbox::{self, Bind, Jail, Overlay, Stdio, Step};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of all that a build can see of its jail: of what the sandbox gives, and of what this file says.
pub const CONTRACT: u64 = sandbox::CONTRACT * 1000 + 1;

/// The user and group id of every build.
const UID: u32 = 1000;

/// Directories of the host that a jail is made of.
#[derive(Debug, Clone)]
pub struct Places {
    /// Layers of `/`, topmost first.
    pub root: Vec<PathBuf>,
    /// Layers of the sysroot, topmost first.
    pub sysroot: Vec<PathBuf>,
    /// Becomes `/build`.
    pub build: PathBuf,
    /// Becomes `/out`.
    pub out: PathBuf,
}

/// Builds the jail for some phases of an order. `out_writable` is false once the output is final.
pub fn jail(order: &Order, places: &Places, source_date: i64, phases: &[Phase], out_writable: bool) -> Jail {
    let env = environment(order, source_date);
    Jail {
        root: places.root.clone(),
        overlays: sysroot(order, places),
        binds: vec![
            Bind { at: "/build".to_owned(), from: places.build.clone(), write: true },
            Bind { at: "/out".to_owned(), from: places.out.clone(), write: out_writable },
        ],
        files: files(order),
        tmp_size: 8 << 30,
        uid: UID,
        hostname: order.conditions.hostname.clone(),
        domainname: order.conditions.domainname.clone(),
        world: order.conditions.world.clone(),
        limits: order.limits.clone(),
        canaries: true,
        steps: phases.iter().map(|phase| step(phase, &env)).collect(),
        stdio: Stdio::Captured,
    }
}

/// Where the sysroot is the root itself there is nothing to lay over it.
fn sysroot(order: &Order, places: &Places) -> Vec<Overlay> {
    match order.derivation.sysroot.as_str() {
        "/" => Vec::new(),
        at => vec![Overlay { at: at.to_owned(), layers: places.sysroot.clone() }],
    }
}

fn step(phase: &Phase, env: &BTreeMap<String, String>) -> Step {
    Step {
        name: phase.name.clone(),
        argv: ["/bin/sh", "-euc", &phase.script].map(str::to_owned).to_vec(),
        env: env.clone(),
        cwd: format!("/build/{}", phase.dir),
        timeout: None,
    }
}

/// The whole environment of every phase.
pub fn environment(order: &Order, source_date: i64) -> BTreeMap<String, String> {
    let fixed = [
        ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"),
        ("HOME", "/build"),
        ("TMPDIR", "/tmp"),
        ("OUT", "/out"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("TERM", "dumb"),
        ("SHELL", "/bin/sh"),
        ("CONFIG_SHELL", "/bin/sh"),
        ("USER", "builder"),
        ("LOGNAME", "builder"),
    ];
    let mut env: BTreeMap<String, String> = fixed.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    env.insert("SOURCE_DATE_EPOCH".to_owned(), source_date.to_string());
    env.insert("JOBS".to_owned(), order.conditions.jobs.to_string());
    env.extend(order.derivation.env.clone());
    env.extend(order.conditions.noise.clone());
    env
}

/// Files of ours over the root.
fn files(order: &Order) -> BTreeMap<String, Vec<u8>> {
    let user = &order.conditions.user;
    let host = &order.conditions.hostname;
    let mut files = BTreeMap::from([
        (
            "/etc/passwd".to_owned(),
            format!("root:x:0:0:root:/:/bin/sh\n{user}:x:{UID}:{UID}:{user}:/build:/bin/sh\n").into_bytes(),
        ),
        ("/etc/group".to_owned(), format!("root:x:0:\n{user}:x:{UID}:\n").into_bytes()),
        ("/etc/hosts".to_owned(), format!("127.0.0.1 localhost {host}\n::1 localhost\n").into_bytes()),
        ("/etc/machine-id".to_owned(), b"00000000000000000000000000000000\n".to_vec()),
        ("/etc/services".to_owned(), b"http 80/tcp\nhttps 443/tcp\nftp 21/tcp\nssh 22/tcp\nsmtp 25/tcp\n".to_vec()),
        ("/etc/protocols".to_owned(), b"ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\n".to_vec()),
    ]);
    for (n, patch) in order.derivation.patches.iter().enumerate() {
        files.insert(format!("/patches/{n:03}"), patch.text.clone().into_bytes());
    }
    files
}
