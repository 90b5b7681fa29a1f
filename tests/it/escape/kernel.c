/* The kernel's services: those that are administration, those that many escapes were built on, and the filter itself. */
#include "attempt.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>

static char text[4096];

static void user_faults(void) {
    long result = syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */);
    if (result < 0) result = open("/dev/userfaultfd", O_RDWR);
    judge(result, "userfaultfd");
}
static void io_uring(void) {
    char parameters[120] = {0};
    judge(syscall(425, 4, parameters), "io_uring_setup");
}
static void bpf(void) {
    struct { uint32_t type, key, value, entries; char rest[100]; } map = {2, 4, 4, 1, {0}};
    judge(syscall(SYS_bpf, 0, &map, sizeof map), "bpf");
}
static void perf_events(void) {
    char attributes[128] = {0};
    attributes[0] = 1; /* software */
    attributes[4] = 112;
    attributes[40] = 0x61; /* disabled, without kernel and hypervisor */
    judge(syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0), "perf_event_open");
}
static void keyrings_read(void) {
    long key = syscall(SYS_keyctl, 10 /* search */, -4 /* the user's */, "user", bait("BAIT_QUEUE"), 0);
    if (key < 0) key = syscall(SYS_request_key, "user", bait("BAIT_QUEUE"), 0, 0);
    if (key < 0) return held("keyctl, request_key: %s", strerror(errno));
    long n = syscall(SYS_keyctl, 11 /* read */, key, text, sizeof text);
    escaped("key %ld of %ld bytes", key, n);
}
static void keyrings_written(void) {
    long key = syscall(SYS_add_key, "user", "parton-escape", "x", 1, -4);
    if (key > 0) syscall(SYS_keyctl, 9, key, -4);
    judge(key, "add_key");
}
static void keyring_joined(void) { judge(syscall(SYS_keyctl, 1 /* join a session */, 0), "keyctl"); }
static void watches_on_everything(void) { judge(syscall(SYS_fanotify_init, 0, 0), "fanotify_init"); }
static void kernel_log(void) {
    long n = syscall(SYS_syslog, 3, text, sizeof text);
    judge(n, "syslog");
}
static void modules(void) {
    /* What is not a module is refused differently to who may load one. */
    long result = syscall(SYS_init_module, "no module", 9, "");
    if (result < 0 && errno != EPERM && errno != ENOSYS) return escaped("init_module: %s", strerror(errno));
    int error = errno;
    result = syscall(SYS_delete_module, "parton_no_such_module", O_NONBLOCK);
    if (result < 0 && errno != EPERM && errno != ENOSYS) return escaped("delete_module: %s", strerror(errno));
    held("init_module: %s, delete_module: %s", strerror(error), strerror(errno));
}
static void administration(void) {
    const struct { const char *name; long result; int error; } calls[] = {
#define CALL(name, call) {name, (errno = 0, call), errno}
        CALL("reboot", syscall(SYS_reboot, 1, 2, 3, 0)), /* not the magic numbers */
        CALL("swapoff", syscall(SYS_swapoff, "/parton/no/such")),
        CALL("acct", syscall(SYS_acct, "/parton/no/such")),
        CALL("quotactl", syscall(SYS_quotactl, 0x80000400 | 0xff, "/parton/no/such", 0, 0)),
        CALL("iopl", syscall(SYS_iopl, 0)),
        CALL("ioperm", syscall(SYS_ioperm, 0x80, 1, 1)),
        CALL("sysfs", syscall(SYS_sysfs, 3)),
        CALL("kexec_load", syscall(SYS_kexec_load, 0, 9999, 0, 0)),
    };
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].result >= 0 || (calls[i].error != EPERM && calls[i].error != ENOSYS))
            return escaped("%s: %s", calls[i].name, strerror(calls[i].error));
    held("none of 8 calls was let through");
}
static void names_set(void) {
    struct utsname names;
    uname(&names);
    long result = sethostname(names.nodename, strlen(names.nodename));
    if (result < 0) result = setdomainname(names.domainname, strlen(names.domainname));
    judge(result, "sethostname, setdomainname");
}
static void clock_set(void) {
    struct timespec now;
    if (*bait("CONTROL")) return held("not outside: it would set the machine's clock");
    clock_gettime(CLOCK_REALTIME, &now);
    long result = clock_settime(CLOCK_REALTIME, &now);
    struct timeval tv = {now.tv_sec, 0};
    if (result < 0) result = settimeofday(&tv, 0);
    judge(result, "clock_settime, settimeofday");
}
static void clock_adjusted(void) {
    char timex[208] = {0};
    long result = syscall(SYS_adjtimex, timex);
    if (result < 0) result = syscall(SYS_clock_adjtime, 0, timex);
    judge(result, "adjtimex");
}
/* Typing into a terminal: what was typed there is read by whoever reads the terminal next, outside. */
static void typing(void) {
    if (*bait("CONTROL")) return held("not outside: it would type into the terminal");
    const char *const terminals[] = {"/dev/tty", "/dev/console", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", 0};
    for (int i = 0; i < 5; i++) {
        int f = i < 2 ? open(terminals[i], O_RDWR | O_NOCTTY | O_NONBLOCK) : i - 2;
        if (f >= 0 && syscall(SYS_ioctl, f, 0x5412 /* TIOCSTI */, "#") == 0) return escaped("TIOCSTI on %s", terminals[i]);
        if (f >= 0 && syscall(SYS_ioctl, f, 0x100005412ul, "#") == 0) return escaped("TIOCSTI with a bit more on %s", terminals[i]);
        if (f >= 0 && syscall(SYS_ioctl, f, 0x541c /* TIOCLINUX */, "\3") == 0) return escaped("TIOCLINUX on %s", terminals[i]);
    }
    held("%s", strerror(errno));
}
static void terminal_taken(void) {
    for (int f = 0; f < 3; f++)
        if (isatty(f)) return escaped("descriptor %d is a terminal", f);
    setsid();
    int f = open("/dev/tty", O_RDWR);
    judge(f, "open /dev/tty");
}
static void other_numbers(void) {
    /* The numbers of 32-bit programs mean other calls: there mount is 21. */
    long result = -1;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
    if (result == getpid()) escaped("a 32-bit call was answered");
    else held("answered with %ld", result);
}
static void x32_numbers(void) { judge(syscall(0x40000000 + 39), "an x32 call"); }
static void personality_set(void) {
    long before = syscall(SYS_personality, 0xffffffff), result = syscall(SYS_personality, before | 0x0040000);
    if (result >= 0) syscall(SYS_personality, before);
    judge(result, "personality");
}

/* A crash starts the host's crash handler, as the host's root, unless the size for dumps is the 1 that says never. */
static void crash_handler(void) {
    struct rlimit zero = {0, 0}, now = {0, 0};
    setrlimit(RLIMIT_CORE, &zero);
    getrlimit(RLIMIT_CORE, &now);
    if (now.rlim_cur == 1 && now.rlim_max == 1) held("the limit for dumps is 1 and stays");
    else escaped("the limit for dumps is %ld, which starts a handler", (long)now.rlim_cur);
}

/* ---- the filter and who answers its questions ---- */

/* A filter of one's own that would let a refused call go on; the stricter answer of both counts. */
static void filter_overruled(void) {
    struct sock_filter allow[] = {{0x20, 0, 0, 0}, {0x15, 0, 1, SYS_mount}, {0x06, 0, 0, 0x7fc00000 /* ask */}, {0x06, 0, 0, 0x7fff0000}};
    struct sock_fprog program = {4, allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int listener = syscall(SYS_seccomp, 1, 8 /* a new listener */, &program);
    int error = errno;
    if (listener < 0) syscall(SYS_seccomp, 1, 0, &program);
    pid_t child = fork();
    if (child == 0) {
        errno = 0;
        long r = syscall(SYS_mount, "none", "/parton/no/such", "tmpfs", 0, 0);
        _exit(r == 0 ? 0 : errno);
    }
    if (listener >= 0) {
        struct seccomp_notif asked;
        struct { uint64_t id; int64_t value; int32_t error; uint32_t flags; } answer = {0, 0, 0, 1 /* go on */};
        memset(&asked, 0, sizeof asked);
        /* It is silent when the stricter filter has answered already. */
        struct pollfd ready = {listener, POLLIN, 0};
        if (poll(&ready, 1, 100) == 1 && (ready.revents & POLLIN)) ioctl(listener, 0xc0502100, &asked);
        answer.id = asked.id;
        if (asked.id) ioctl(listener, 0xc0182101, &answer);
    }
    int status = 0;
    waitpid(child, &status, 0);
    int code = WEXITSTATUS(status);
    /* Past the filter the kernel asks for the right first, or finds that there is no such place. */
    if (code == EPERM) held("mount: %s; listener: %s", strerror(code), listener < 0 ? strerror(error) : "one of our own");
    else escaped("mount: %s", strerror(code));
}
static volatile int stop;
static void *unmapping(void *page) {
    while (!stop) {
        mprotect(page, 4096, PROT_NONE);
        mprotect(page, 4096, PROT_READ | PROT_WRITE);
    }
    return 0;
}
/* Answers are written to memory that changes under the hand that writes: it must neither hang nor hit anything else. */
static void answers_raced(void) {
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;
    struct utsname names;
    struct sysinfo info;
    pthread_create(&thread, 0, unmapping, page);
    double until = elapsed() + 0.15;
    while (elapsed() < until) {
        syscall(SYS_uname, page);
        syscall(SYS_sysinfo, page + 4090);
        syscall(SYS_clock_gettime, CLOCK_REALTIME, page + 8);
        syscall(SYS_uname, 0xffffffff81000000ul);
        syscall(SYS_sysinfo, 8);
        pid_t child = vfork();
        if (child == 0) _exit(0);
        waitpid(child, 0, 0);
    }
    stop = 1;
    pthread_join(thread, 0);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) for (;;) syscall(SYS_uname, page), syscall(SYS_gettimeofday, page, page + 64);
        pause_ms(1);
        kill(child, SIGKILL);
        waitpid(child, 0, 0);
    }
    int good = uname(&names) == 0 && sysinfo(&info) == 0 && !strcmp(names.sysname, "Linux");
    if (syscall(SYS_uname, 0xffffffff81000000ul) == 0) escaped("wrote to the kernel");
    else if (good) held("answers are as before");
    else escaped("no answers any more");
}
/* Who answers lists directories with rights of its own: a descriptor that we may not list must not become listable. */
static void deputy_lists(void) {
    const char *const names[] = {"fd", "map_files", "ns", "task/1/fd", "cwd", "root", 0};
    char path[100];
    for (int i = 0; names[i]; i++) {
        snprintf(path, sizeof path, "/proc/%s/%s", bait("TARGET"), names[i]);
        int f = open(path, O_PATH);
        if (f >= 0 && syscall(SYS_getdents64, f, text, sizeof text) > 0) return escaped("listed %s by a mere name", path);
        f = open(path, O_RDONLY | O_DIRECTORY);
        if (f >= 0 && syscall(SYS_getdents64, f, text, sizeof text) > 0) return escaped("listed %s", path);
    }
    held("%s", strerror(errno));
}

static const struct attempt list[] = {
    {"user_faults", user_faults}, {"io_uring", io_uring}, {"bpf", bpf}, {"perf_events", perf_events},
    {"keyrings_read", keyrings_read}, {"keyrings_written", keyrings_written}, {"keyring_joined", keyring_joined, 1},
    {"watches_on_everything", watches_on_everything}, {"kernel_log", kernel_log}, {"modules", modules},
    {"administration", administration}, {"names_set", names_set}, {"clock_set", clock_set},
    {"clock_adjusted", clock_adjusted}, {"typing", typing}, {"terminal_taken", terminal_taken, 1},
    {"other_numbers", other_numbers, 1}, {"x32_numbers", x32_numbers}, {"personality_set", personality_set},
    {"crash_handler", crash_handler, 1}, {"filter_overruled", filter_overruled, 1}, {"answers_raced", answers_raced, 1},
    {"deputy_lists", deputy_lists},
};
ATTEMPTS(list)
