/* What every program of the escape suite has in common.
 *
 * An attempt is a function. It says exactly once how it went: `held` with the reason, or `escaped` with what was got. What
 * it needs to know of the outside (the baits) it finds in the environment: inside a jail the same names are given to it, so
 * that nothing here depends on where it runs. Run outside of any jail, the same program must escape; nothing it does there
 * may do harm, so it changes things to what they already are, or undoes what it did. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *current;
static int said;

static inline void say(const char *what, const char *format, va_list arguments) {
    char text[400], line[600];
    vsnprintf(text, sizeof text, format, arguments);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32) *c = '?';
    int length = snprintf(line, sizeof line, "attempt %s: %s (%s)\n", current, what, text);
    said++;
    if (write(1, line, length) != length) _exit(70);
}

/* The wall stood. */
__attribute__((format(printf, 1, 2))) static inline void held(const char *format, ...) {
    va_list a;
    va_start(a, format);
    say("held", format, a);
    va_end(a);
}

/* It did not. */
__attribute__((format(printf, 1, 2))) static inline void escaped(const char *format, ...) {
    va_list a;
    va_start(a, format);
    say("ESCAPED", format, a);
    va_end(a);
}

/* The usual ending: an attempt whose call gave this result escaped if that is not negative. */
static inline void judge(long result, const char *what) {
    if (result < 0) held("%s: %s", what, strerror(errno));
    else escaped("%s succeeded", what);
}

/* A bait by its name; empty if the outside has none. */
static inline const char *bait(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

/* Reads a file; the number of bytes, or -1. The text ends with a zero. */
static inline ssize_t slurp(const char *path, char *into, size_t size) {
    int f = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (f < 0) return -1;
    size_t total = 0;
    ssize_t n;
    while (total < size - 1 && (n = read(f, into + total, size - 1 - total)) > 0) total += n;
    int error = errno;
    close(f);
    errno = error;
    if (total == 0 && n < 0) return -1;
    into[total] = 0;
    return total;
}

static inline void pause_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, 0);
}

static inline double elapsed(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Runs in a process of its own, for what changes the process or may end it; the wait status. */
static inline int apart(void (*what)(void)) {
    pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        what();
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

struct attempt {
    const char *name;
    void (*run)(void);
    int apart;
};

/* Runs all attempts, or those named by the arguments. */
static inline int attempts(const struct attempt *list, size_t count, int argc, char **argv) {
    for (size_t i = 0; i < count; i++) {
        int wanted = argc < 2;
        for (int a = 1; a < argc; a++) wanted |= !strcmp(argv[a], list[i].name);
        if (!wanted) continue;
        current = list[i].name;
        said = 0;
        errno = 0;
        if (list[i].apart) {
            int status = apart(list[i].run);
            if (WIFSIGNALED(status)) held("killed by signal %d", WTERMSIG(status));
        } else {
            list[i].run();
            if (said != 1) return fprintf(stderr, "%s said %d things\n", current, said), 71;
        }
    }
    return 0;
}
#define ATTEMPTS(list) \
    int main(int argc, char **argv) { return attempts(list, sizeof list / sizeof *list, argc, argv); }
