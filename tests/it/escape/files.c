/* Files: of the host, of the inputs, of the machine. */
#include "attempt.h"
#include <dirent.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static char text[1 << 20];

/* ---- reading ---- */

static void read_secret(const char *prefix, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s", prefix, bait(name));
    if (slurp(path, text, sizeof text) < 0) held("open: %s", strerror(errno));
    else if (strstr(text, bait("SECRET"))) escaped("the secret in %s", path);
    else held("another file is there");
}
static void read_home(void) { read_secret("", "BAIT_HOME"); }
static void read_workspace(void) { read_secret("", "BAIT_WORKSPACE"); }
static void read_store(void) { read_secret("", "BAIT_STORE"); }
static void read_tmp(void) { read_secret("", "BAIT_TMP"); }

/* pivot_root(".", ".") stacks the old root over the new one; what is left there is reached by a step up from the root. */
static void above_the_root_read(void) { read_secret("/..", "BAIT_HOME"); }
static void above_the_root_look(void) {
    char path[4096];
    struct stat found;
    snprintf(path, sizeof path, "/../..%s", bait("BAIT_HOME"));
    judge(stat(path, &found), "stat");
}
static void above_the_root_change(void) {
    char path[4096];
    struct stat found = {0};
    snprintf(path, sizeof path, "/../..%s", bait("BAIT_HOME"));
    stat(path, &found);
    judge(chmod(path, found.st_mode ? found.st_mode & 07777 : 0644), "chmod");
}

/* From a bound directory up, by descriptors, past where the bind begins. */
static void dotdot_out_of_a_bind(void) {
    int dir = open(bait("OUT"), O_PATH | O_DIRECTORY);
    for (int i = 0; i < 64; i++) {
        int up = openat(dir, "..", O_PATH | O_DIRECTORY);
        if (up < 0) break;
        close(dir);
        dir = up;
    }
    int f = openat(dir, bait("BAIT_HOME") + 1, O_RDONLY);
    ssize_t n = f < 0 ? -1 : read(f, text, sizeof text - 1);
    if (n < 0) return held("at the top: %s", strerror(errno));
    text[n] = 0;
    if (strstr(text, bait("SECRET"))) escaped("the secret");
    else held("another file is there");
}

/* A directory that is moved out of a bind while somebody is in it has no way back to the bind's root. */
static void rename_out_of_a_bind(void) {
    char to[4096];
    snprintf(to, sizeof to, "%s/moved-away", bait("OUT"));
    mkdir("moved", 0755);
    long result = rename("moved", to);
    int error = errno;
    rmdir(result ? "moved" : to);
    errno = error;
    judge(result, "rename");
}
/* Proc's magic links to directories of pid 1, or of the victim, lead to its root and working directory. */
static void root_of_another(void) {
    char path[4096];
    snprintf(path, sizeof path, "/proc/%s/root%s", bait("TARGET"), bait("BAIT_HOME"));
    struct stat found;
    if (stat(path, &found) == 0) return escaped("stat through %s", path);
    int error = errno;
    snprintf(path, sizeof path, "/proc/%s/cwd", bait("TARGET"));
    if (readlink(path, text, 100) >= 0) return escaped("read the link %s", path);
    held("%s, %s", strerror(error), strerror(errno));
}
static void open_by_handle(void) {
    struct { unsigned bytes; int type; unsigned char handle[128]; } h = {.bytes = 128};
    int mount;
    const char *path = *bait("CONTROL") ? bait("BAIT_HOME") : bait("INPUT");
    if (syscall(SYS_name_to_handle_at, AT_FDCWD, path, &h, &mount, 0) < 0) return held("name_to_handle_at: %s", strerror(errno));
    int dir = open(*bait("CONTROL") ? "/" : ".", O_RDONLY | O_DIRECTORY);
    judge(syscall(SYS_open_by_handle_at, dir, &h, O_RDONLY), "open_by_handle_at");
}

/* ---- the machine's own files ---- */

static void first_of(const char *const *paths, int flags) {
    int tried = 0, error = ENOENT;
    for (; *paths; paths++, tried++) {
        if (open(*paths, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) >= 0) return escaped("opened %s", *paths);
        if (errno != ENOENT) error = errno;
    }
    held("none of %d, %s", tried, strerror(error));
}
static void device_nodes(void) {
    const char *const paths[] = {"/dev/mem", "/dev/kmsg", "/dev/port", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/dm-0",
        "/dev/loop-control", "/dev/loop0", "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/vhost-net", "/dev/uinput",
        "/dev/hwrng", "/dev/rtc0", "/dev/userfaultfd", "/dev/mapper/control", "/dev/cpu/0/msr", 0};
    first_of(paths, O_RDONLY);
}
static void terminals(void) {
    const char *const paths[] = {"/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1", "/dev/ttyS0", "/dev/ptmx",
        "/dev/pts/0", "/dev/pts/ptmx", "/dev/vcs", 0};
    first_of(paths, O_RDWR);
}
static void sysfs(void) {
    const char *const paths[] = {"/sys", "/sys/kernel", "/sys/fs/cgroup", "/sys/devices/system/cpu/online",
        "/sys/class/dmi/id/product_name", "/sys/firmware/acpi/tables", "/sys/kernel/security", 0};
    first_of(paths, O_RDONLY);
}
static void settings_written(void) {
    const char *const paths[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches",
        "/proc/sysrq-trigger", "/proc/sys/kernel/ns_last_pid", "/proc/sys/fs/binfmt_misc/register", "/proc/self/autogroup",
        "/proc/irq/default_smp_affinity", "/proc/mtrr", "/proc/self/uid_map", 0};
    first_of(paths, O_WRONLY);
}
static void proc_of_the_machine(void) {
    const char *const names[] = {"kallsyms", "kcore", "kmsg", "modules", "config.gz", "timer_list", "sched_debug", "iomem",
        "ioports", "keys", "key-users", "diskstats", "partitions", "vmstat", "zoneinfo", "interrupts", "softirqs",
        "slabinfo", "vmallocinfo", "buddyinfo", "locks", "devices", "misc", "crypto", "cgroups", "consoles", "schedstat",
        "pressure/cpu", "sysvipc/shm", "bus/pci/devices", "driver/rtc", "asound/cards", "tty/drivers", "scsi/scsi",
        "irq/0/smp_affinity", "fs/ext4", "acpi/wakeup", "dynamic_debug/control", "mtrr", "latency_stats", 0};
    char path[256];
    for (int i = 0; names[i]; i++) {
        snprintf(path, sizeof path, "/proc/%s", names[i]);
        if (slurp(path, text, 4096) > 0) return escaped("%s says %.60s", path, text);
    }
    held("all empty or absent");
}
static void mount_table(void) {
    const char *const names[] = {"self/mountinfo", "self/mounts", "self/mountstats", "1/mountinfo", "1/mounts",
        "thread-self/mountinfo", "mounts", 0};
    char path[256];
    for (int i = 0; names[i]; i++) {
        snprintf(path, sizeof path, "/proc/%s", names[i]);
        if (slurp(path, text, sizeof text) > 0) return escaped("%s begins %.80s", path, text);
    }
    held("nothing in it");
}
static void mount_calls_that_tell(void) {
    struct { unsigned size, spare; uint64_t mnt_id, param, ns; } request = {24, 0, ~0ull, 0, 0};
    uint64_t ids[64];
    judge(syscall(458, &request, ids, 64, 0), "listmount");
}

/* ---- the inputs, which others use too ---- */

static void input_written(void) { judge(open(bait("INPUT"), O_WRONLY), "open for writing"); }
static void input_by_descriptor(void) {
    char path[64];
    int f = open(bait("INPUT"), O_RDONLY);
    snprintf(path, sizeof path, "/proc/self/fd/%d", f);
    judge(open(path, O_RDWR), "open through /proc/self/fd");
}
static void input_mode(void) {
    struct stat found;
    stat(bait("INPUT"), &found);
    if (chmod(bait("INPUT"), found.st_mode & 07777) == 0) return escaped("chmod");
    int error = errno, f = open(bait("INPUT"), O_RDONLY);
    if (fchmod(f, found.st_mode & 07777) == 0) return escaped("fchmod");
    snprintf(text, 100, "/proc/self/fd/%d", open(bait("INPUT"), O_PATH));
    if (chmod(text, found.st_mode & 07777) == 0) return escaped("chmod through /proc/self/fd");
    held("chmod: %s, fchmod: %s", strerror(error), strerror(errno));
}
static void input_time(void) {
    struct stat found;
    stat(bait("INPUT"), &found);
    struct timespec times[2] = {found.st_atim, found.st_mtim};
    judge(utimensat(AT_FDCWD, bait("INPUT"), times, 0), "utimensat");
}
static void input_renamed(void) {
    char to[4096];
    snprintf(to, sizeof to, "%s.moved", bait("INPUT"));
    long result = rename(bait("INPUT"), to);
    if (result == 0) rename(to, bait("INPUT"));
    judge(result, "rename");
}
static void input_linked_to_output(void) {
    char to[4096];
    snprintf(to, sizeof to, "%s/linked", bait("OUT"));
    long result = link(bait("INPUT"), to);
    if (result == 0) unlink(to);
    judge(result, "link");
}
static void input_linked_by_descriptor(void) {
    char from[64], to[4096];
    snprintf(from, sizeof from, "/proc/self/fd/%d", open(bait("INPUT"), O_RDONLY));
    snprintf(to, sizeof to, "%s/linked-too", bait("OUT"));
    long result = linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
    if (result == 0) unlink(to);
    judge(result, "linkat");
}
static void unnamed_file_among_inputs(void) {
    char dir[4096];
    snprintf(dir, sizeof dir, "%s", bait("INPUT"));
    *strrchr(dir, '/') = 0;
    judge(open(dir, O_TMPFILE | O_RDWR, 0600), "open with O_TMPFILE");
}
static void created_outside(void) {
    const char *const dirs[] = {"/", "/etc", "/usr", "/usr/lib", "/usr/bin", "/sysroot", "/dev", "/proc", "/proc/sys", "/home", "/var", 0};
    char path[256];
    for (int i = 0; dirs[i]; i++) {
        snprintf(path, sizeof path, "%s/parton-escape", dirs[i]);
        int f = open(path, O_WRONLY | O_CREAT, 0600);
        if (f >= 0) return unlink(path), escaped("made %s", path);
        if (mkdir(path, 0700) == 0) return rmdir(path), escaped("made the directory %s", path);
        if (symlink("x", path) == 0) return unlink(path), escaped("made the link %s", path);
    }
    held("last: %s", strerror(errno));
}
/* Locks and watches work on inodes: whoever else has the same input meets them there. */
static void lock_on_an_input(void) {
    int f = open(bait("SHARED"), O_RDONLY);
    if (f < 0) return held("open: %s", strerror(errno));
    if (flock(f, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) escaped("the other's lock is in the way");
    else held("nobody else's lock is seen");
}

/* ---- what the host lends: its device nodes and the standard input ---- */

static void device_mode(void) {
    const char *const nodes[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", 0};
    for (int i = 0; nodes[i]; i++) {
        struct stat found;
        if (stat(nodes[i], &found) == 0 && chmod(nodes[i], found.st_mode & 07777) == 0) return escaped("chmod of %s", nodes[i]);
    }
    held("chmod: %s", strerror(errno));
}
static void device_time(void) { judge(utimensat(AT_FDCWD, "/dev/null", 0, 0), "utimensat of /dev/null"); }
static void descriptors_mode(void) {
    struct stat found;
    for (int f = 0; f < 3; f++) {
        if (fstat(f, &found) || S_ISFIFO(found.st_mode) || S_ISREG(found.st_mode)) continue;
        if (fchmod(f, found.st_mode & 07777) == 0) return escaped("fchmod of descriptor %d", f);
    }
    held("fchmod: %s", strerror(errno));
}
static void descriptors_time(void) {
    struct stat found;
    fstat(0, &found);
    judge(S_ISFIFO(found.st_mode) ? (errno = EPIPE, -1) : futimens(0, 0), "futimens of the standard input");
}
static void descriptors_left_open(void) {
    char link[64];
    for (int f = 3; f < 4096; f++)
        if (fcntl(f, F_GETFD) >= 0) {
            snprintf(link, sizeof link, "/proc/self/fd/%d", f);
            ssize_t n = readlink(link, text, 200);
            text[n < 0 ? 0 : n] = 0;
            return escaped("descriptor %d is %s", f, text);
        }
    held("none above 2");
}

/* ---- rights that files can carry ---- */

static void device_made(void) {
    long result = mknod("node", S_IFCHR | 0600, makedev(1, 1));
    if (result < 0) result = mknod("node", S_IFBLK | 0600, makedev(254, 0));
    if (result == 0) unlink("node");
    judge(result, "mknod");
}
static int has_set_id(const char *path) {
    struct stat found;
    return lstat(path, &found) == 0 && (found.st_mode & 06000);
}
static void set_id_bits(void) {
    const char *way = 0;
    int f, dir = open(".", O_RDONLY | O_DIRECTORY);
    close(open("suid", O_WRONLY | O_CREAT, 0755));
#define WAY(name, call) (void)(call); if (!way && (has_set_id("suid") || has_set_id("suid2"))) way = name; \
    chmod("suid", 0755); unlink("suid2"); rmdir("suid2");
    WAY("chmod", chmod("suid", 04755))
    WAY("fchmod", fchmod(f = open("suid", O_RDONLY), 02755)) close(f);
    WAY("fchmodat", syscall(SYS_fchmodat, dir, "suid", 06755))
    WAY("fchmodat2", syscall(452, dir, "suid", 04755, 0))
    WAY("creat", close(creat("suid2", 04755)))
    WAY("open", close(open("suid2", O_WRONLY | O_CREAT, 04755)))
    WAY("openat", close(openat(dir, "suid2", O_WRONLY | O_CREAT, 02755)))
    WAY("mknod", mknod("suid2", S_IFREG | 04755, 0))
    WAY("mkdir", mkdir("suid2", 02755))
    WAY("fifo", mknod("suid2", S_IFIFO | 04755, 0))
    f = open(".", O_TMPFILE | O_RDWR, 04755);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", f);
    WAY("an unnamed file", linkat(AT_FDCWD, link, AT_FDCWD, "suid2", AT_SYMLINK_FOLLOW))
    struct { uint64_t flags, mode, resolve; } how = {O_WRONLY | O_CREAT, 04755, 0};
    WAY("openat2", syscall(437, dir, "suid2", &how, sizeof how))
    unlink("suid");
    if (way) escaped("by %s", way);
    else held("by none of 12 ways");
}
static void attributes(void) {
    close(open("attributed", O_WRONLY | O_CREAT, 0644));
    int f = open("attributed", O_RDWR);
    char acl[] = {2, 0, 0, 0};
    long result = setxattr("attributed", "user.a", "b", 1, 0);
    if (result < 0) result = lsetxattr("attributed", "user.a", "b", 1, 0);
    if (result < 0) result = fsetxattr(f, "user.a", "b", 1, 0);
    if (result < 0) result = setxattr("attributed", "security.capability", "\1\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0);
    if (result < 0) result = setxattr(".", "system.posix_acl_default", acl, sizeof acl, 0);
    struct { uint64_t value; uint32_t size, flags; } args = {(uintptr_t)"b", 1, 0};
    if (result < 0) result = syscall(463, AT_FDCWD, "attributed", 0, "user.a", &args, sizeof args);
    int error = errno;
    unlink("attributed");
    errno = error;
    judge(result, "setting an extended attribute");
}

/* ---- mounts ---- */

/* Where it succeeds it must not change the host: then it does so in a mount namespace of its own, if it may make one. */
static void quietly(void) {
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", 0, MS_REC | MS_PRIVATE, 0) != 0) {
        held("nothing of it can be kept from the host");
        _exit(0);
    }
}
static void mount_something(void) {
    quietly();
    long result = mount("none", "/tmp", "tmpfs", 0, 0);
    if (result < 0) result = mount("/", "/tmp", 0, MS_BIND | MS_REC, 0);
    if (result < 0) result = mount("none", "/tmp", "sysfs", 0, 0);
    if (result < 0) result = mount("none", "/tmp", "proc", 0, 0);
    judge(result, "mount");
}
static void mount_by_descriptors(void) {
    quietly();
    long result = syscall(SYS_fsopen, "tmpfs", 0);
    if (result < 0) result = syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */);
    if (result < 0) result = syscall(467, AT_FDCWD, "/", 1, 0, 0);
    if (result < 0) result = syscall(SYS_fspick, AT_FDCWD, "/tmp", 0);
    judge(result, "fsopen, open_tree, fspick");
}
static void cover_removed(void) {
    quietly();
    long result = umount2("/proc/sys", MNT_DETACH);
    if (result < 0) result = umount2("/proc/cmdline", MNT_DETACH);
    if (result < 0) result = umount2("/proc", MNT_DETACH);
    judge(result, "umount");
}
static void root_made_writable(void) {
    quietly();
    struct { uint64_t set, clear, propagation, fd; } change = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
    long result = mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0);
    if (result < 0) result = syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &change, sizeof change);
    judge(result, "remount");
}
static void chroot_and_pivot(void) {
    quietly();
    long result = syscall(SYS_pivot_root, ".", ".");
    if (result < 0) result = chroot(".");
    judge(result, "chroot");
}

static const struct attempt list[] = {
    /* First, before another one has left something open. */
    {"descriptors_left_open", descriptors_left_open},
    {"read_home", read_home}, {"read_workspace", read_workspace}, {"read_store", read_store}, {"read_tmp", read_tmp},
    {"above_the_root_read", above_the_root_read}, {"above_the_root_look", above_the_root_look},
    {"above_the_root_change", above_the_root_change}, {"dotdot_out_of_a_bind", dotdot_out_of_a_bind},
    {"rename_out_of_a_bind", rename_out_of_a_bind}, {"root_of_another", root_of_another},
    {"open_by_handle", open_by_handle}, {"device_nodes", device_nodes}, {"terminals", terminals}, {"sysfs", sysfs},
    {"settings_written", settings_written}, {"proc_of_the_machine", proc_of_the_machine}, {"mount_table", mount_table},
    {"mount_calls_that_tell", mount_calls_that_tell}, {"input_written", input_written},
    {"input_by_descriptor", input_by_descriptor}, {"input_mode", input_mode}, {"input_time", input_time},
    {"input_renamed", input_renamed}, {"input_linked_to_output", input_linked_to_output},
    {"input_linked_by_descriptor", input_linked_by_descriptor}, {"unnamed_file_among_inputs", unnamed_file_among_inputs},
    {"created_outside", created_outside}, {"lock_on_an_input", lock_on_an_input}, {"device_mode", device_mode},
    {"device_time", device_time}, {"descriptors_mode", descriptors_mode}, {"descriptors_time", descriptors_time},
    {"device_made", device_made}, {"set_id_bits", set_id_bits},
    {"attributes", attributes}, {"mount_something", mount_something, 1}, {"mount_by_descriptors", mount_by_descriptors, 1},
    {"cover_removed", cover_removed, 1}, {"root_made_writable", root_made_writable, 1},
    {"chroot_and_pivot", chroot_and_pivot, 1},
};
ATTEMPTS(list)
