//! The system call filter, as a classic BPF program.
//!
//! What it decides, by class:
//!
//! | calls | answer | why |
//! |---|---|---|
//! | another architecture's | killed | their numbers mean something else |
//! | x32's | `ENOSYS` | the same |
//! | chown and its kin | success, nothing done | owners are declared, one user id exists |
//! | chmod, creat, mknod with set-user-id or set-group-id | `EPERM` | no such bit leaves a build |
//! | setting or removing extended attributes | `ENOTSUP` | they would not survive and would leak the file system |
//! | mount family, new namespaces, ptrace family, clocks, modules, keys' and kernel's administration | `EPERM` | none of a build's business |
//! | what programs probe for: io_uring, bpf, keyrings, userfaultfd, openat2, clone3 … | `ENOSYS` | they fall back |
//! | sockets other than unix, IPv4, IPv6 and netlink, pairs other than unix | `EAFNOSUPPORT` | vsock and others ignore the network namespace |
//! | IPv4 and IPv6 but for TCP, UDP and ICMP, netlink but for routes | `EPROTONOSUPPORT` | asking is enough to load a module into the kernel, and some tell of the machine |
//! | limits, priority and processors of pid 1 or of the whole user | `EPERM` | pid 1 is not the builder's |
//! | setting the limit of dumps | success, nothing done | a dump may start a program of the host |
//! | `getgroups` | none | the caller's groups can not be left without privilege |
//! | what the [`World`] changes | asked of [`super::supervise`] | |
//! | everything else | allowed | the kernel remembers this per number and does not even run the program |

use super::jail::World;
use super::sys::Insn;
use std::collections::BTreeMap;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("parton's sandbox knows the system calls of x86_64 only");

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const X32_BIT: u32 = 0x4000_0000;

// The instructions used, named as in the kernel's documentation of classic BPF.
const LOAD: u16 = 0x20; // A = data[k]
const JUMP_EQ: u16 = 0x15; // A == k
const JUMP_GE: u16 = 0x35; // A >= k
const JUMP_SET: u16 = 0x45; // A & k != 0
const JUMP: u16 = 0x05; // always
const AND: u16 = 0x54; // A &= k
const RETURN: u16 = 0x06;

const AT_NR: u32 = 0;
const AT_ARCH: u32 = 4;

const ALLOW: u32 = 0x7fff_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const KILL: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;

/// The return values the kernel must know.
pub(super) const ACTIONS: [u32; 4] = [ALLOW, NOTIFY, KILL, ERRNO];

const EPERM: u32 = ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = ERRNO | libc::ENOSYS as u32;
const ENOTSUP: u32 = ERRNO | libc::ENOTSUP as u32;
const EPROTONOSUPPORT: u32 = ERRNO | libc::EPROTONOSUPPORT as u32;
const EAFNOSUPPORT: u32 = ERRNO | libc::EAFNOSUPPORT as u32;
/// Success with the value 0 without doing anything.
const PRETEND: u32 = ERRNO;

const SET_ID_BITS: u32 = 0o6000;

// Newer than the libc crate's table.
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const OPEN_TREE_ATTR: i64 = 467;
const FILE_SETATTR: i64 = 469;
const STATMOUNT: i64 = 457;
const LISTMOUNT: i64 = 458;

/// Refused: nothing a build may do.
pub(super) const REFUSED: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_fanotify_init,
    FILE_SETATTR,
];

/// Not there: programs probe for these and do without.
pub(super) const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_openat2,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_sysfs,
    libc::SYS_ustat,
    libc::SYS_uselib,
    libc::SYS__sysctl,
    STATMOUNT,
    LISTMOUNT,
];

const PRETENDED: &[i64] =
    &[libc::SYS_chown, libc::SYS_fchown, libc::SYS_lchown, libc::SYS_fchownat, libc::SYS_getgroups];

const UNSUPPORTED: &[i64] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    REMOVEXATTRAT,
];

const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// The filter for programs that shall see this world.
pub(super) fn program(world: &World) -> Vec<Insn> {
    let mut rules = Rules::new();
    let p = &mut rules;
    let creates = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;
    let open = |flags: u32, mode: u32| {
        [vec![load(low(flags)), jump(JUMP_SET, creates, 1, 0), ret(ALLOW)], bits(mode, SET_ID_BITS, EPERM)].concat()
    };
    on(p, libc::SYS_openat, open(2, 3));
    if world.clock_offset != 0 {
        on(p, libc::SYS_futex, futex());
        let clocks = [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE, libc::CLOCK_TAI, libc::CLOCK_REALTIME_ALARM];
        on(p, libc::SYS_clock_gettime, clocks.iter().flat_map(|id| equals(0, *id as u32, NOTIFY)).collect());
        let absolute = [vec![load(low(1)), jump(JUMP_SET, libc::TIMER_ABSTIME as u32, 1, 0), ret(ALLOW)]].concat();
        let absolute = clocks.iter().fold(absolute, |body, id| [body, equals(0, *id as u32, NOTIFY)].concat());
        on(p, libc::SYS_clock_nanosleep, absolute);
        for nr in [libc::SYS_gettimeofday, libc::SYS_time] {
            on(p, nr, vec![ret(NOTIFY)]);
        }
    }
    if world.watches_programs() {
        on(p, libc::SYS_execve, vec![ret(NOTIFY)]);
        on(p, libc::SYS_execveat, vec![ret(NOTIFY)]);
    }
    if world.random.is_some() {
        on(p, libc::SYS_getrandom, vec![ret(NOTIFY)]);
    }
    if world.orders() {
        on(p, libc::SYS_getdents64, vec![ret(NOTIFY)]);
        on(p, libc::SYS_getdents, vec![ret(ENOSYS)]);
    }
    if world.cpus.is_some() {
        on(p, libc::SYS_sched_getaffinity, vec![ret(NOTIFY)]);
        on(p, libc::SYS_sched_setaffinity, vec![ret(PRETEND)]);
    } else {
        on(p, libc::SYS_sched_setaffinity, equals(0, 1, EPERM));
    }
    if world.memory.is_some() {
        on(p, libc::SYS_sysinfo, vec![ret(NOTIFY)]);
    }
    if world.kernel_release.is_some() {
        on(p, libc::SYS_uname, vec![ret(NOTIFY)]);
    }
    on(p, libc::SYS_open, open(1, 2));
    on(p, libc::SYS_clone, bits(0, NEW_NAMESPACES, EPERM));
    on(p, libc::SYS_unshare, bits(0, NEW_NAMESPACES | libc::CLONE_NEWTIME as u32, EPERM));
    on(p, libc::SYS_ioctl, [equals(1, libc::TIOCSTI as u32, EPERM), equals(1, TIOCLINUX, EPERM)].concat());
    for (nr, mode) in [
        (libc::SYS_creat, 1),
        (libc::SYS_chmod, 1),
        (libc::SYS_fchmod, 1),
        (libc::SYS_fchmodat, 2),
        (libc::SYS_fchmodat2, 2),
    ] {
        on(p, nr, bits(mode, SET_ID_BITS, EPERM));
    }
    on(p, libc::SYS_mknod, node(1));
    on(p, libc::SYS_mknodat, node(2));
    on(p, libc::SYS_socket, socket());
    on(p, libc::SYS_socketpair, [equals(0, libc::AF_UNIX as u32, ALLOW), vec![ret(EAFNOSUPPORT)]].concat());
    on(p, libc::SYS_setrlimit, equals(0, libc::RLIMIT_CORE, PRETEND));
    on(p, libc::SYS_prlimit64, [equals(0, 1, EPERM), dumps()].concat());
    on(p, libc::SYS_setpriority, [equals(1, 1, EPERM), equals(0, libc::PRIO_USER, EPERM)].concat());
    on(p, libc::SYS_ioprio_set, [equals(1, 1, EPERM), equals(0, IOPRIO_WHO_USER, EPERM)].concat());
    for nr in [libc::SYS_sched_setscheduler, libc::SYS_sched_setparam, libc::SYS_sched_setattr] {
        on(p, nr, equals(0, 1, EPERM));
    }
    on(p, libc::SYS_personality, [equals(0, u32::MAX, ALLOW), vec![ret(EPERM)]].concat());
    for (class, action) in [(REFUSED, EPERM), (ABSENT, ENOSYS), (PRETENDED, PRETEND), (UNSUPPORTED, ENOTSUP)] {
        class.iter().for_each(|nr| on(p, *nr, vec![ret(action)]));
    }
    let mut program = vec![
        load(AT_ARCH),
        jump(JUMP_EQ, AUDIT_ARCH_X86_64, 1, 0),
        ret(KILL),
        load(AT_NR),
        jump(JUMP_GE, X32_BIT, 0, 1),
        ret(ENOSYS),
    ];
    program.extend(search(&rules.into_iter().collect::<Vec<_>>()));
    program
}

/// What to do in which call.
type Rules = BTreeMap<u32, Vec<Insn>>;

/// What to do in this call; whatever `body` leaves open is allowed.
fn on(rules: &mut Rules, nr: i64, mut body: Vec<Insn>) {
    if body.len() > 1 {
        body.push(ret(ALLOW));
    }
    let before = rules.insert(nr as u32, body);
    assert!(before.is_none(), "two rules for the call {nr}");
}

/// A binary search for the number, which must be loaded: installing a filter makes the kernel run it for every number
/// there is, and each call that is not always allowed runs it again.
fn search(rules: &[(u32, Vec<Insn>)]) -> Vec<Insn> {
    if rules.len() <= 3 {
        let mut program = Vec::new();
        for (nr, body) in rules {
            let skip = u8::try_from(body.len()).expect("the body of a rule is short");
            program.push(jump(JUMP_EQ, *nr, 0, skip));
            program.extend(body);
        }
        program.push(ret(ALLOW));
        return program;
    }
    let (lower, upper) = rules.split_at(rules.len() / 2);
    let below = search(lower);
    let mut program = match u8::try_from(below.len()) {
        Ok(near) => vec![jump(JUMP_GE, upper[0].0, near, 0)],
        // Conditional jumps reach 255 instructions, unconditional ones any distance.
        Err(_) => vec![jump(JUMP_GE, upper[0].0, 0, 1), jump(JUMP, below.len() as u32, 0, 0)],
    };
    program.extend(below);
    program.extend(search(upper));
    program
}

const TIOCLINUX: u32 = 0x541c;
const IOPRIO_WHO_USER: u32 = 3;

fn load(at: u32) -> Insn {
    Insn { code: LOAD, jt: 0, jf: 0, k: at }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Insn {
    Insn { code, jt, jf, k }
}

fn ret(action: u32) -> Insn {
    Insn { code: RETURN, jt: 0, jf: 0, k: action }
}

/// Offset of the lower half of an argument.
fn low(argument: u32) -> u32 {
    16 + 8 * argument
}

/// If the argument (its lower half) is this value.
fn equals(argument: u32, value: u32, action: u32) -> Vec<Insn> {
    vec![load(low(argument)), jump(JUMP_EQ, value, 0, 1), ret(action)]
}

/// If the argument (its lower half) has any of these bits.
fn bits(argument: u32, mask: u32, action: u32) -> Vec<Insn> {
    vec![load(low(argument)), jump(JUMP_SET, mask, 0, 1), ret(action)]
}

/// Device nodes and set-id bits in the mode of mknod.
fn node(mode: u32) -> Vec<Insn> {
    let kind = |kind: u32| jump(JUMP_EQ, kind, 0, 1);
    let mut body = bits(mode, SET_ID_BITS, EPERM);
    body.extend([load(low(mode)), Insn { code: AND, jt: 0, jf: 0, k: libc::S_IFMT }]);
    body.extend([kind(libc::S_IFCHR), ret(EPERM), kind(libc::S_IFBLK), ret(EPERM)]);
    body
}

/// The families, and of those that have many the protocols, that a build may use.
fn socket() -> Vec<Insn> {
    let internet = [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_ICMP, libc::IPPROTO_ICMPV6];
    let families = [
        (libc::AF_INET, &internet[..]),
        (libc::AF_INET6, &internet[..]),
        (libc::AF_NETLINK, &[libc::NETLINK_ROUTE][..]),
    ];
    let mut body = equals(0, libc::AF_UNIX as u32, ALLOW);
    for (family, protocols) in families {
        let mut inner: Vec<Insn> = protocols.iter().flat_map(|protocol| equals(2, *protocol as u32, ALLOW)).collect();
        inner.push(ret(EPROTONOSUPPORT));
        let skip = u8::try_from(inner.len()).expect("the protocols of a family are few");
        body.extend([load(low(0)), jump(JUMP_EQ, family as u32, 0, skip)]);
        body.extend(inner);
    }
    body.push(ret(EAFNOSUPPORT));
    body
}

/// Setting the limit of dumps in prlimit64, whose third argument points to a limit if there is one to set.
fn dumps() -> Vec<Insn> {
    vec![
        load(low(1)),
        jump(JUMP_EQ, libc::RLIMIT_CORE, 0, 5),
        load(low(2)),
        jump(JUMP_SET, u32::MAX, 2, 0),
        load(low(2) + 4),
        jump(JUMP_SET, u32::MAX, 0, 1),
        ret(PRETEND),
    ]
}

/// Waits until a point of the wall clock: only FUTEX_WAIT_BITSET with FUTEX_CLOCK_REALTIME and a deadline is of interest.
fn futex() -> Vec<Insn> {
    const REALTIME: u32 = libc::FUTEX_CLOCK_REALTIME as u32;
    let wait = libc::FUTEX_WAIT_BITSET as u32;
    vec![
        load(low(1)),
        Insn { code: AND, jt: 0, jf: 0, k: 0x7f | REALTIME },
        jump(JUMP_EQ, wait | REALTIME, 1, 0),
        ret(ALLOW),
        load(low(3)),
        jump(JUMP_EQ, 0, 0, 2),
        load(low(3) + 4),
        jump(JUMP_EQ, 0, 1, 0),
        ret(NOTIFY),
        ret(ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers to a call: the kernel's interpreter in small.
    fn run(world: &World, arch: u32, nr: i64, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend((nr as u32).to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend([0; 8]);
        data.extend(args.iter().flat_map(|a| a.to_le_bytes()));
        let program = program(world);
        let (mut at, mut a) = (0, 0_u32);
        loop {
            let insn = program[at];
            at += 1;
            let branch = |yes: bool| usize::from(if yes { insn.jt } else { insn.jf });
            match insn.code {
                LOAD => a = u32::from_le_bytes(data[insn.k as usize..][..4].try_into().unwrap()),
                AND => a &= insn.k,
                JUMP => at += insn.k as usize,
                JUMP_EQ => at += branch(a == insn.k),
                JUMP_GE => at += branch(a >= insn.k),
                JUMP_SET => at += branch(a & insn.k != 0),
                RETURN => return insn.k,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    fn plain(nr: i64, args: &[u64]) -> u32 {
        under(&World::default(), nr, args)
    }

    fn under(world: &World, nr: i64, args: &[u64]) -> u32 {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        run(world, AUDIT_ARCH_X86_64, nr, all)
    }

    #[test]
    fn each_class_has_its_answer() {
        assert_eq!(plain(libc::SYS_read, &[]), ALLOW);
        for nr in REFUSED {
            assert_eq!(plain(*nr, &[]), EPERM, "{nr}");
        }
        for nr in ABSENT {
            assert_eq!(plain(*nr, &[]), ENOSYS, "{nr}");
        }
        for nr in PRETENDED {
            assert_eq!(plain(*nr, &[]), PRETEND, "{nr}");
        }
        for nr in UNSUPPORTED {
            assert_eq!(plain(*nr, &[]), ENOTSUP, "{nr}");
        }
        assert_eq!(run(&World::default(), 0x4000_0003, libc::SYS_read, [0; 6]), KILL);
        assert_eq!(plain(i64::from(X32_BIT), &[]), ENOSYS);
    }

    #[test]
    fn set_id_bits_are_refused_wherever_a_mode_is_given() {
        let create = libc::O_CREAT as u64;
        assert_eq!(plain(libc::SYS_openat, &[0, 0, 0, 0o4755]), ALLOW, "garbage in an unused argument");
        assert_eq!(plain(libc::SYS_openat, &[0, 0, create, 0o755]), ALLOW);
        assert_eq!(plain(libc::SYS_openat, &[0, 0, create, 0o4755]), EPERM);
        assert_eq!(plain(libc::SYS_openat, &[0, 0, libc::O_TMPFILE as u64, 0o2755]), EPERM);
        assert_eq!(plain(libc::SYS_openat, &[0, 0, libc::O_DIRECTORY as u64, 0o2755]), ALLOW);
        assert_eq!(plain(libc::SYS_open, &[0, create, 0o2755]), EPERM);
        assert_eq!(plain(libc::SYS_chmod, &[0, 0o4755]), EPERM);
        assert_eq!(plain(libc::SYS_chmod, &[0, 0o1777]), ALLOW);
        assert_eq!(plain(libc::SYS_fchmodat2, &[0, 0, 0o6000]), EPERM);
        assert_eq!(plain(libc::SYS_mknod, &[0, u64::from(libc::S_IFREG | 0o4755)]), EPERM);
        assert_eq!(plain(libc::SYS_mknodat, &[0, 0, u64::from(libc::S_IFCHR | 0o600)]), EPERM);
        assert_eq!(plain(libc::SYS_mknodat, &[0, 0, u64::from(libc::S_IFIFO | 0o600)]), ALLOW);
    }

    #[test]
    fn namespaces_terminals_and_odd_sockets_are_refused() {
        assert_eq!(plain(libc::SYS_clone, &[libc::CLONE_VM as u64 | 17]), ALLOW);
        assert_eq!(plain(libc::SYS_clone, &[libc::CLONE_NEWUSER as u64 | 17]), EPERM);
        assert_eq!(plain(libc::SYS_unshare, &[libc::CLONE_NEWTIME as u64]), EPERM);
        assert_eq!(plain(libc::SYS_unshare, &[libc::CLONE_FILES as u64]), ALLOW);
        assert_eq!(plain(libc::SYS_ioctl, &[0, libc::TIOCSTI | 1 << 32]), EPERM, "the kernel looks at the lower half");
        assert_eq!(plain(libc::SYS_ioctl, &[0, libc::TCGETS]), ALLOW);
        assert_eq!(plain(libc::SYS_socket, &[libc::AF_INET6 as u64]), ALLOW);
        assert_eq!(plain(libc::SYS_socket, &[libc::AF_VSOCK as u64]), EAFNOSUPPORT);
        let netlink = |protocol| plain(libc::SYS_socket, &[libc::AF_NETLINK as u64, 3, protocol]);
        assert_eq!((netlink(0), netlink(15)), (ALLOW, EPROTONOSUPPORT));
        let internet = |protocol| plain(libc::SYS_socket, &[libc::AF_INET as u64, 1, protocol]);
        assert_eq!([0, 6, 17, 1, 58].map(internet), [ALLOW; 5]);
        assert_eq!([132, 136, 255, 262].map(internet), [EPROTONOSUPPORT; 4]);
        assert_eq!(plain(libc::SYS_socket, &[libc::AF_UNIX as u64, 1, 99]), ALLOW, "the kernel's to judge");
        assert_eq!(plain(libc::SYS_socketpair, &[libc::AF_UNIX as u64]), ALLOW);
        assert_eq!(plain(libc::SYS_socketpair, &[libc::AF_TIPC as u64]), EAFNOSUPPORT);
        assert_eq!(plain(libc::SYS_personality, &[0xffff_ffff]), ALLOW);
        assert_eq!(plain(libc::SYS_personality, &[0]), EPERM);
    }

    #[test]
    fn pid_one_and_the_limit_of_dumps_are_left_alone() {
        let core = u64::from(libc::RLIMIT_CORE);
        assert_eq!(plain(libc::SYS_prlimit64, &[1, 7, 0, 8]), EPERM);
        assert_eq!(plain(libc::SYS_prlimit64, &[0, core, 0, 8]), ALLOW, "asking");
        assert_eq!(plain(libc::SYS_prlimit64, &[0, core, 8, 0]), PRETEND);
        assert_eq!(plain(libc::SYS_prlimit64, &[5, core, 1 << 32, 8]), PRETEND, "a pointer with an empty lower half");
        assert_eq!(plain(libc::SYS_prlimit64, &[0, core + 1, 8, 0]), ALLOW);
        assert_eq!(plain(libc::SYS_setrlimit, &[core, 8]), PRETEND);
        for nr in [libc::SYS_sched_setscheduler, libc::SYS_sched_setattr, libc::SYS_sched_setaffinity] {
            assert_eq!((plain(nr, &[1]), plain(nr, &[0])), (EPERM, ALLOW));
        }
        assert_eq!(plain(libc::SYS_setpriority, &[0, 1]), EPERM);
        assert_eq!(plain(libc::SYS_setpriority, &[u64::from(libc::PRIO_USER), 0]), EPERM);
        assert_eq!(plain(libc::SYS_setpriority, &[0, 0]), ALLOW);
        assert_eq!(plain(libc::SYS_ioprio_set, &[3, 1000]), EPERM);
    }

    #[test]
    fn only_a_changed_world_is_asked_for() {
        let clock = World { clock_offset: 1, ..World::default() };
        let wait = (libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG) as u64;
        let real = libc::FUTEX_CLOCK_REALTIME as u64;
        assert_eq!(plain(libc::SYS_clock_gettime, &[0]), ALLOW);
        assert_eq!(under(&clock, libc::SYS_clock_gettime, &[libc::CLOCK_REALTIME as u64]), NOTIFY);
        assert_eq!(under(&clock, libc::SYS_clock_gettime, &[libc::CLOCK_TAI as u64]), NOTIFY);
        assert_eq!(under(&clock, libc::SYS_clock_gettime, &[libc::CLOCK_MONOTONIC as u64]), ALLOW);
        assert_eq!(under(&clock, libc::SYS_clock_nanosleep, &[0, 1]), NOTIFY);
        assert_eq!(under(&clock, libc::SYS_clock_nanosleep, &[0, 0]), ALLOW);
        assert_eq!(under(&clock, libc::SYS_clock_nanosleep, &[1, 1]), ALLOW);
        assert_eq!(under(&clock, libc::SYS_futex, &[0, wait | real, 0, 1 << 32]), NOTIFY);
        assert_eq!(under(&clock, libc::SYS_futex, &[0, wait | real, 0, 8]), NOTIFY);
        assert_eq!(under(&clock, libc::SYS_futex, &[0, wait | real, 0, 0]), ALLOW);
        assert_eq!(under(&clock, libc::SYS_futex, &[0, wait, 0, 8]), ALLOW);
        assert_eq!(under(&clock, libc::SYS_execve, &[]), NOTIFY);
        assert_eq!(plain(libc::SYS_execve, &[]), ALLOW);
        assert_eq!(plain(libc::SYS_getdents64, &[]), ALLOW);
        let backwards = World { dir_backwards: true, ..World::default() };
        assert_eq!(under(&backwards, libc::SYS_getdents64, &[]), NOTIFY);
        assert_eq!(under(&backwards, libc::SYS_execve, &[]), ALLOW);
        let random = World { random: Some(1), ..World::default() };
        assert_eq!(under(&random, libc::SYS_getrandom, &[]), NOTIFY);
        assert_eq!(under(&random, libc::SYS_execve, &[]), NOTIFY, "it would be told sixteen bytes at its start");
        assert_eq!(under(&random, libc::SYS_clock_gettime, &[0]), ALLOW);
        assert_eq!(plain(libc::SYS_getrandom, &[]), ALLOW);
    }
}
