/* Facts of the outside: what the machine and its user are called, what they do, and, in the varied round, the true clock,
 * processors, memory and kernel. */
#include "attempt.h"
#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>

static char text[1 << 16];

/* Every further round tells of another kernel. */
static int varied(void) {
    struct utsname u;
    return *bait("CONTROL") || !uname(&u) && strstr(u.release, "-varied");
}
static void same(const char *seen, const char *name, const char *where) {
    size_t length = strlen(bait(name));
    if (length && !strncmp(seen, bait(name), length)) escaped("%s says %s", where, bait(name));
    else held("%s says %.60s", where, seen);
}
static void contains(const char *const *paths, const char *needle) {
    for (; *paths; paths++)
        if (slurp(*paths, text, sizeof text) > 0 && *needle && strstr(text, needle)) return escaped("%s has it", *paths);
    held("nowhere");
}

static void host_name(void) {
    struct utsname u;
    uname(&u);
    const char *const paths[] = {"/proc/sys/kernel/hostname", "/etc/hostname", "/etc/hosts", 0};
    if (!strcmp(u.nodename, bait("FACT_HOST"))) escaped("uname says %s", u.nodename);
    else contains(paths, bait("FACT_HOST"));
}
static void machine_id(void) {
    const char *const paths[] = {"/etc/machine-id", "/var/lib/dbus/machine-id", "/sys/class/dmi/id/product_uuid", 0};
    contains(paths, bait("FACT_MACHINE_ID"));
}
static void boot_id(void) {
    if (slurp("/proc/sys/kernel/random/boot_id", text, sizeof text) < 0) return held("open: %s", strerror(errno));
    same(text, "FACT_BOOT_ID", "boot_id");
}
static void command_line(void) {
    if (slurp("/proc/cmdline", text, sizeof text) < 0) return held("open: %s", strerror(errno));
    same(text, "FACT_CMDLINE", "cmdline");
}
static void environment(void) {
    for (char **e = environ; *e; e++)
        if (!strncmp(*e, "CREDENTIAL", 10)) return escaped("%s", *e);
    const char *const paths[] = {"/proc/self/environ", "/proc/1/environ", "/proc/1/cmdline", 0};
    char needle[40];
    snprintf(needle, sizeof needle, "CREDEN%s", "TIAL");
    contains(paths, needle);
}
static void user_name(void) {
    const char *const paths[] = {"/etc/passwd", "/etc/group", "/proc/self/loginuid", 0};
    contains(paths, bait("FACT_USER"));
}
/* Where parton, its store and the workspace are. */
static void places(void) {
    const char *const paths[] = {"/proc/self/mountinfo", "/proc/self/maps", "/proc/self/cgroup", "/proc/1/cmdline",
        "/proc/1/status", "/proc/1/comm", "/proc/1/cgroup", "/proc/net/unix", 0};
    contains(paths, bait("FACT_PLACE"));
}
static void ids_outside(void) {
    /* The mark of a process of parton's: its id, seen by whoever stands above. */
    slurp("/proc/self/status", text, sizeof text);
    char *ids = strstr(text, "NSpid:"), *end = ids ? strchr(ids, '\n') : 0;
    if (end) *end = 0;
    int columns = 0;
    for (char *c = ids; c && *c; c++) columns += *c == '\t';
    slurp("/proc/self/stat", text, sizeof text);
    char *rest = strrchr(text, ')');
    int parent = 0, group = 0, session = 0, terminal = 0;
    if (rest) sscanf(rest + 3, "%d %d %d %d", &parent, &group, &session, &terminal);
    if (columns > 1) escaped("ids of %d namespaces", columns);
    else if (terminal) escaped("the terminal %d", terminal);
    else held("one id, no terminal");
}
static void control_group(void) {
    if (slurp("/proc/self/cgroup", text, sizeof text) < 0) return held("open: %s", strerror(errno));
    for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
        char *path = strrchr(line, ':');
        if (path && strcmp(path, ":/")) return escaped("it is %s", line);
    }
    held("it is / everywhere");
}
static void activity(void) {
    /* Load and idle time are the doing of others. */
    double up = 0, idle = 0;
    if (slurp("/proc/loadavg", text, sizeof text) > 0 && strcmp(text, "0.00 0.00 0.00 1/1 1\n")) return escaped("load %.40s", text);
    if (slurp("/proc/uptime", text, sizeof text) > 0 && sscanf(text, "%lf %lf", &up, &idle) == 2 && idle > 0) return escaped("idle for %.0f s", idle);
    if (slurp("/proc/stat", text, sizeof text) > 0 && strstr(text, "btime 0\n") == 0) return escaped("stat");
    held("no load, no idle time");
}
static void habits(void) {
    /* What the caller ignores and masks would change how programs behave. */
    for (int s = 1; s < 65; s++) {
        struct sigaction action;
        if (s == SIGKILL || s == SIGSTOP || s == 32 || s == 33 || s == 34) continue;
        if (sigaction(s, 0, &action) == 0 && action.sa_handler == SIG_IGN) return escaped("signal %d is ignored", s);
    }
    slurp("/proc/self/status", text, sizeof text);
    char *ignored = strstr(text, "SigIgn:\t"), *blocked = strstr(text, "SigBlk:\t");
    if (ignored && strncmp(ignored + 8, "0000000000000000", 16)) return escaped("ignored: %.16s", ignored + 8);
    if (blocked && strncmp(blocked + 8, "0000000000000000", 16)) return escaped("blocked: %.16s", blocked + 8);
    mode_t mask = umask(022);
    if (mask != 022) escaped("the mask of modes is %03o", mask);
    else held("no signal is ignored, the mask is 022");
}
static void modes(void) {
    struct stat found;
    const char *dirs[] = {bait("OUT"), ".", 0};
    for (int i = 0; dirs[i]; i++)
        if (stat(dirs[i], &found) || (found.st_mode & 07777) != 0755) return escaped("%s has mode %04o", dirs[i], found.st_mode & 07777);
    held("0755");
}

/* ---- the varied round ---- */

static void is_true_time(int64_t seconds, const char *how, int *found) {
    int64_t now = strtoll(bait("FACT_NOW"), 0, 10), away = seconds - now;
    if (!*found && away > -86400 && away < 86400) escaped("the true time, %s", how), *found = 1;
}
#define ONLY_VARIED if (!varied()) return held("this round has the machine's own");
static void clock_calls(void) {
    ONLY_VARIED
    int found = 0;
    char how[40];
    for (int id = -16; id < 32; id++) {
        struct timespec t = {0};
        snprintf(how, sizeof how, "by clock %d", id);
        if (syscall(SYS_clock_gettime, id, &t) == 0) is_true_time(t.tv_sec, how, &found);
    }
    struct timeval v = {0};
    syscall(SYS_gettimeofday, &v, 0);
    is_true_time(v.tv_sec, "by gettimeofday", &found);
    is_true_time(syscall(SYS_time, 0), "by time", &found);
    char timex[208] = {0};
    if (syscall(SYS_adjtimex, timex) >= 0) is_true_time(*(int64_t *)(timex + 72), "by adjtimex", &found);
    if (!found) held("by no clock");
}
static void clock_of_the_library(void) {
    ONLY_VARIED
    struct timespec t;
    int found = 0;
    clock_gettime(CLOCK_REALTIME, &t);
    is_true_time(t.tv_sec, "by clock_gettime", &found);
    is_true_time(time(0), "by time", &found);
    if (!found && getauxval(AT_SYSINFO_EHDR)) escaped("the vDSO is at %lx", getauxval(AT_SYSINFO_EHDR)), found = 1;
    if (!found) held("there is no vDSO");
}
/* A page at a fixed address that old programs ask for the time. */
static void clock_of_the_fixed_page(void) {
    ONLY_VARIED
    int found = 0;
    struct timeval v = {0};
    ((int (*)(struct timeval *, void *))0xffffffffff600000)(&v, 0);
    is_true_time(v.tv_sec, "by vsyscall", &found);
    is_true_time(((time_t (*)(time_t *))0xffffffffff600400)(0), "by vsyscall", &found);
    if (!found) held("it tells another");
}
static const char *self;
static void *execute(void *unused) {
    execl("/proc/self/exe", self, "clock_of_the_library", (char *)0);
    return unused;
}
/* Programs whose start is watched less usually: by a second thread, from a vfork, after failures, in the middle of signals. */
static void clock_after_odd_starts(void) {
    ONLY_VARIED
    int pipes[2], found = 0;
    for (int way = 0; way < 4; way++) {
        if (pipe(pipes)) return held("pipe: %s", strerror(errno));
        pid_t child = way == 1 ? vfork() : fork();
        if (child == 0) {
            dup2(pipes[1], 1);
            if (way == 0) {
                pthread_t thread;
                pthread_create(&thread, 0, execute, 0);
                pthread_join(thread, 0);
            }
            if (way >= 2) {
                signal(SIGALRM, SIG_IGN);
                ualarm(200, 200);
                for (int i = 0; i < 50; i++) execl("/no/such/program", "x", (char *)0);
            }
            if (way == 3) kill(getpid(), SIGCONT);
            execl("/proc/self/exe", self, "clock_of_the_library", (char *)0);
            _exit(1);
        }
        close(pipes[1]);
        ssize_t n = read(pipes[0], text, 500);
        text[n < 0 ? 0 : n] = 0;
        close(pipes[0]);
        waitpid(child, 0, 0);
        if (!strstr(text, "held")) found++;
    }
    if (found) escaped("%d of 4 saw it: %.80s", found, text);
    else held("in none of 4 ways");
}
static void processors(void) {
    ONLY_VARIED
    int machine = atoi(bait("FACT_CPUS")), in_text = 0, in_stat = 0;
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    if (slurp("/proc/cpuinfo", text, sizeof text) > 0)
        for (char *c = text; (c = strstr(c, "processor\t")); c++) in_text++;
    if (slurp("/proc/stat", text, sizeof text) > 0)
        for (char *c = text; (c = strstr(c, "\ncpu")); c++) in_stat++;
    if (CPU_COUNT(&set) == machine) escaped("%d by sched_getaffinity", machine);
    else if (in_text == machine) escaped("%d in cpuinfo", machine);
    else if (in_stat == machine) escaped("%d in stat", machine);
    else held("%d, %d, %d", CPU_COUNT(&set), in_text, in_stat);
}
static void processor_model(void) {
    ONLY_VARIED
    const char *const paths[] = {"/proc/cpuinfo", 0};
    contains(paths, bait("FACT_MODEL"));
}
static void memory(void) {
    ONLY_VARIED
    struct sysinfo info;
    unsigned long kib = 0;
    sysinfo(&info);
    if (slurp("/proc/meminfo", text, sizeof text) > 0) sscanf(text, "MemTotal: %lu", &kib);
    unsigned long machine = strtoul(bait("FACT_MEMORY"), 0, 10), told = info.totalram * info.mem_unit / 1024;
    if (told == machine || kib == machine) escaped("%lu KiB", machine);
    else held("%lu and %lu KiB", told, kib);
}
static void kernel_release(void) {
    ONLY_VARIED
    struct utsname u;
    uname(&u);
    const char *const paths[] = {"/proc/version", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/version", "/proc/version_signature", 0};
    if (!strcmp(u.release, bait("FACT_RELEASE"))) escaped("uname says %s", u.release);
    else contains(paths, bait("FACT_RELEASE"));
}

static const struct attempt list[] = {
    {"host_name", host_name}, {"machine_id", machine_id}, {"boot_id", boot_id}, {"command_line", command_line},
    {"environment", environment}, {"user_name", user_name}, {"places", places}, {"ids_outside", ids_outside},
    {"control_group", control_group}, {"activity", activity}, {"habits", habits}, {"modes", modes},
    {"clock_calls", clock_calls}, {"clock_of_the_library", clock_of_the_library},
    {"clock_of_the_fixed_page", clock_of_the_fixed_page, 1}, {"clock_after_odd_starts", clock_after_odd_starts},
    {"processors", processors}, {"processor_model", processor_model}, {"memory", memory},
    {"kernel_release", kernel_release},
};
int main(int argc, char **argv) {
    self = argv[0];
    return attempts(list, sizeof list / sizeof *list, argc, argv);
}
