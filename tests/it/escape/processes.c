/* Processes: those outside, pid 1 of the jail, and rights over them. TARGET is pid 1 inside, the victim outside. */
#include "attempt.h"
#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/utsname.h>

static char text[65536];
static pid_t target(void) { return atoi(bait("TARGET")); }

static void seen(void) {
    DIR *proc = opendir("/proc");
    struct dirent *e;
    char path[300];
    while (proc && (e = readdir(proc))) {
        if (*e->d_name < '0' || *e->d_name > '9') continue;
        snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
        if (slurp(path, text, sizeof text) > 0 && !strcmp(text, "parton-bait\n")) return escaped("the victim is %s", e->d_name);
    }
    held("the victim is not in /proc");
}
static void signalled(void) {
    pid_t victim = atoi(bait("BAIT_VICTIM"));
    char path[100];
    snprintf(path, sizeof path, "/proc/%d/comm", victim);
    if (slurp(path, text, sizeof text) > 0 && strcmp(text, "parton-bait\n")) return held("that id is a process of our own");
    judge(kill(victim, SIGCONT), "kill");
}
static void signalled_by_descriptor(void) {
    int f = syscall(SYS_pidfd_open, atoi(bait("BAIT_VICTIM")), 0);
    if (f < 0) return held("pidfd_open: %s", strerror(errno));
    judge(syscall(SYS_pidfd_send_signal, f, SIGCONT, 0, 0), "pidfd_send_signal");
}
/* Everybody, in what any signal does no harm to a process that does not wait for it; the victim notes it. */
static void everybody_signalled(void) {
    if (*bait("CONTROL")) return held("not outside: it would reach every process of the user");
    kill(-1, SIGURG);
    held("sent; whoever got it is judged outside");
}
static void group_and_session(void) {
    pid_t session = getsid(0), group = getpgrp(), leader = getppid() ? getsid(getppid()) : -1;
    if (session > 0 && session != getpid() && session != group) escaped("the session of %d", session);
    else if (leader > 0 && leader != group && leader != getpid()) escaped("the parent's session %d", leader);
    else held("session %d, own group", session);
}

/* ---- pid 1, which is parton's own ---- */

static void one_killed(void) {
    if (*bait("CONTROL")) return held("not outside: the victim is to live");
    const int all[] = {SIGKILL, SIGSTOP, SIGTERM, SIGSEGV, SIGABRT, SIGTRAP, SIGXCPU, SIGSYS, SIGCHLD, 34};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) kill(1, all[i]);
    pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, 0, 0);
    pause_ms(20);
    held("it goes on");
}
static void one_traced(void) {
    /* Seizing stops nobody, and ends with us. */
    long result = ptrace(PTRACE_SEIZE, target(), 0, 0);
    if (result < 0) result = ptrace(PTRACE_ATTACH, target(), 0, 0);
    judge(result, "ptrace");
}
static void one_memory(void) {
    char path[100];
    struct iovec here = {text, 8}, there = {(void *)&text, 8};
    long result = syscall(SYS_process_vm_readv, target(), &here, 1, &there, 1, 0);
    if (result >= 0 || errno == EFAULT) return escaped("process_vm_readv reached it");
    int error = errno;
    snprintf(path, sizeof path, "/proc/%d/mem", target());
    if (open(path, O_RDWR) >= 0) return escaped("opened %s", path);
    held("process_vm_readv: %s, mem: %s", strerror(error), strerror(errno));
}
static void one_looked_into(void) {
    const char *const names[] = {"environ", "maps", "auxv", "stack", "syscall", "io", "pagemap", "personality", "map_files", "fd", "fdinfo", "ns", 0};
    char path[100];
    for (int i = 0; names[i]; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", target(), names[i]);
        int f = open(path, O_RDONLY);
        /* Some open for everybody and show nothing. */
        if (f >= 0 && (read(f, text, 64) > 0 || errno == EISDIR)) return escaped("read %s", path);
    }
    held("%s", strerror(errno));
}
static void one_program(void) {
    char path[100];
    snprintf(path, sizeof path, "/proc/%d/exe", target());
    long n = readlink(path, text, 200);
    if (n >= 0) return text[n] = 0, escaped("it is %s", text);
    int error = errno, f = open(path, O_RDONLY);
    if (f >= 0) return escaped("opened it");
    held("readlink: %s, open: %s", strerror(error), strerror(errno));
}
static void one_descriptor(void) {
    int process = syscall(SYS_pidfd_open, target(), 0);
    if (process < 0) return held("pidfd_open: %s", strerror(errno));
    judge(syscall(SYS_pidfd_getfd, process, 0, 0), "pidfd_getfd");
}
/* Time and memory that pid 1 may use, its priority and its processors: with them it could be kept from doing its work. */
static void one_limits(void) {
    struct rlimit limit;
    if (syscall(SYS_prlimit64, target(), RLIMIT_CORE, 0, &limit) == 0) return escaped("read them");
    judge(syscall(SYS_prlimit64, target(), RLIMIT_CORE, &limit, 0), "prlimit");
}
static void one_priority(void) {
    errno = 0;
    int now = getpriority(PRIO_PROCESS, target());
    struct sched_param none = {0};
    long result = setpriority(PRIO_PROCESS, target(), now);
    if (result < 0) result = syscall(SYS_sched_setscheduler, target(), 3 /* SCHED_BATCH */, &none);
    if (result < 0) result = syscall(SYS_ioprio_set, 1, target(), 4 | 2 << 13);
    judge(result, "setpriority, sched_setscheduler, ioprio_set");
}
static void one_processors(void) {
    unsigned long mask[128];
    int process = target();
    long n = syscall(SYS_sched_getaffinity, process, sizeof mask, mask);
    errno = 0;
    /* Pretended success is none. Every further round tells of another kernel. */
    struct utsname u;
    if (n > 0 && !uname(&u) && strstr(u.release, "-varied")) return held("answers are made up in this round");
    judge(n < 0 ? n : syscall(SYS_sched_setaffinity, process, n, mask), "sched_setaffinity");
}
static void everybody_priority(void) {
    if (*bait("CONTROL")) return held("not outside: it would slow the user's session down");
    judge(setpriority(PRIO_USER, 0, 5), "setpriority for the user");
}

/* ---- rights ---- */

static void capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    syscall(SYS_capget, &header, data);
    if (data[0].effective | data[0].permitted | data[0].inheritable | data[1].permitted) return escaped("%x %x", data[0].permitted, data[1].permitted);
    for (int i = 0; i < 41; i++)
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) return escaped("%d can be had", i);
    data[0].effective = data[0].permitted = 1 << CAP_SYS_ADMIN;
    judge(syscall(SYS_capset, &header, data), "capset");
}
static void user_changed(void) {
    long result = setresuid(1, 1, 1);
    if (result < 0) result = setresgid(1, 1, 1);
    if (result < 0) result = setgroups(0, 0);
    judge(result, "setresuid, setresgid, setgroups");
}
static void new_privileges(void) {
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) held("no_new_privs is set for good");
    else escaped("set-user-id programs have their effect");
}
static void namespaces(void) {
    long result = unshare(CLONE_NEWUSER);
    const int others[] = {CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, 0x02000000, 0x80, 0};
    for (int i = 0; result < 0 && others[i]; i++) result = unshare(others[i]);
    judge(result, "unshare");
}
static void namespaces_by_clone(void) {
    long result = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (result == 0) _exit(0);
    int error = errno;
    uint64_t arguments[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    if (result < 0) result = syscall(SYS_clone3, arguments, sizeof arguments);
    if (result == 0) _exit(0);
    if (result > 0) waitpid(result, 0, 0);
    if (result < 0) held("clone: %s, clone3: %s", strerror(error), strerror(errno));
    else escaped("a new user namespace");
}
static void group_made_elsewhere(void) {
    /* A process that is born in another control group. */
    uint64_t arguments[11] = {0x200000000ull, 0, 0, 0, SIGCHLD};
    int f = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
    if (f < 0) f = open("/sys/fs/cgroup/unified", O_RDONLY | O_DIRECTORY);
    arguments[10] = f;
    if (f < 0) return held("no control groups: %s", strerror(errno));
    long result = syscall(SYS_clone3, arguments, sizeof arguments);
    if (result == 0) _exit(0);
    judge(result, "clone3");
}

static const struct attempt list[] = {
    {"seen", seen}, {"signalled", signalled}, {"signalled_by_descriptor", signalled_by_descriptor},
    {"everybody_signalled", everybody_signalled}, {"group_and_session", group_and_session}, {"one_killed", one_killed},
    {"one_traced", one_traced, 1}, {"one_memory", one_memory}, {"one_looked_into", one_looked_into},
    {"one_program", one_program}, {"one_descriptor", one_descriptor}, {"one_limits", one_limits},
    {"one_priority", one_priority}, {"one_processors", one_processors}, {"everybody_priority", everybody_priority, 1},
    {"capabilities", capabilities}, {"user_changed", user_changed, 1}, {"new_privileges", new_privileges},
    {"namespaces", namespaces, 1}, {"namespaces_by_clone", namespaces_by_clone, 1},
    {"group_made_elsewhere", group_made_elsewhere, 1},
};
ATTEMPTS(list)
