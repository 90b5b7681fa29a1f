/* Processes that try to go on when their step has ended. `outlive start DIR` leaves them behind and ends; each marks a file
 * in DIR as long as it lives. `outlive check DIR`, a step (or, outside, a moment) later, says for each whether it went on. */
#include "attempt.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>

static const char *dir;

/* Whether to go on: until the directory is gone, and outside not for longer than a test takes. */
static int wanted(void) {
    static double begun;
    if (!begun) begun = elapsed();
    return access(dir, F_OK) == 0 && elapsed() - begun < (*bait("CONTROL") ? 5 : 30);
}
static int mark(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}
/* Marks this process's file again and again. */
static void live(const char *name) {
    int f = mark(name);
    while (wanted() && write(f, "x", 1) == 1) pause_ms(5);
    _exit(0);
}
static void linger(void) {
    while (wanted()) pause_ms(20);
    _exit(0);
}
static void forked(const char *name) { if (fork() == 0) live(name); }
static void double_fork(const char *name) {
    if (fork() == 0) {
        if (fork() == 0) live(name);
        _exit(0);
    }
}
static void new_session(const char *name) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            setpgid(0, 0);
            live(name);
        }
        _exit(0);
    }
}
static void deaf(const char *name) {
    if (fork() == 0) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, 0);
        for (int s = 1; s < 65; s++) signal(s, SIG_IGN);
        live(name);
    }
}
/* Stopped, and woken by another one later. */
static void stopped(const char *name) {
    pid_t sleeper = fork();
    if (sleeper == 0) live(name);
    pause_ms(15);
    kill(sleeper, SIGSTOP);
    if (fork() == 0) {
        pause_ms(300);
        kill(sleeper, SIGCONT);
        _exit(0);
    }
}
static void subreaper(const char *name) {
    if (fork() == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        if (fork() == 0) {
            if (fork() == 0) live(name);
            _exit(0);
        }
        linger();
    }
}
static void in_vfork(const char *name) { if (fork() == 0 && vfork() == 0) live(name); }
static void *in_thread(void *name) {
    live(name);
    return 0;
}
static void leader_gone(const char *name) {
    if (fork() == 0) {
        pthread_t thread;
        pthread_create(&thread, 0, in_thread, (void *)name);
        syscall(SYS_exit, 0); /* only this thread: the process has no leader any more */
    }
}
static void without_signal(const char *name) {
    /* A child whose end tells its parent nothing, made as a sibling. */
    if (syscall(SYS_clone, 0x00008000 /* CLONE_PARENT */ | 0x00800000 /* CLONE_UNTRACED */, 0, 0, 0, 0) == 0) live(name);
}
static void traced(const char *name) {
    if (fork() == 0) {
        pid_t child = fork();
        if (child == 0) live(name);
        syscall(SYS_ptrace, 0x4206 /* SEIZE */, child, 0, 0x00100000 /* EXITKILL */);
        linger();
    }
}
/* Born faster than they are killed: each process makes the next one and ends. */
static void generations(const char *name) {
    if (*bait("CONTROL")) return; /* outside nobody would stop it, and it would take every process id there is */
    if (fork() == 0) {
        int f = mark(name);
        while (wanted() && write(f, "x", 1) == 1) {
            pid_t next = fork();
            if (next > 0) _exit(0);
            setsid();
        }
        _exit(0);
    }
}
/* Asleep in a call that the varied world answers. */
static void waiting_for_an_answer(const char *name) {
    if (fork() == 0) {
        int f = mark(name);
        struct timespec until;
        while (wanted() && write(f, "x", 1) == 1) {
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += 10000000;
            if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
            clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, 0);
        }
        _exit(0);
    }
}
/* Keeps the step's output open, so that whoever waits for its end waits for this one. */
static void holding_the_pipe(const char *name) {
    if (fork() == 0) {
        dup2(1, 100);
        dup2(2, 101);
        live(name);
    }
}

static const struct { const char *name; void (*run)(const char *); } ways[] = {
    {"outlive_forked", forked}, {"outlive_double_fork", double_fork}, {"outlive_new_session", new_session},
    {"outlive_deaf", deaf}, {"outlive_stopped", stopped}, {"outlive_subreaper", subreaper}, {"outlive_in_vfork", in_vfork},
    {"outlive_leader_gone", leader_gone}, {"outlive_without_signal", without_signal}, {"outlive_traced", traced},
    {"outlive_generations", generations}, {"outlive_waiting_for_an_answer", waiting_for_an_answer},
    {"outlive_holding_the_pipe", holding_the_pipe},
};

int main(int argc, char **argv) {
    if (argc < 3) return 64;
    dir = argv[2];
    int check = !strcmp(argv[1], "check");
    long before[32] = {0}, after[32] = {0};
    for (int turn = 0; turn < 2; turn++) {
        if (check && turn) pause_ms(400);
        for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
            char path[4096];
            struct stat found = {0};
            current = ways[i].name;
            snprintf(path, sizeof path, "%s/%s", dir, ways[i].name);
            if (!check) {
                if (turn) continue;
                ways[i].run(ways[i].name);
                continue;
            }
            stat(path, &found);
            (turn ? after : before)[i] = found.st_size;
            if (!turn) continue;
            if (before[i] == 0) held("it never lived");
            else if (after[i] > before[i]) escaped("it goes on");
            else held("it lived for %ld beats and is gone", after[i]);
        }
    }
    /* Ends only when each has begun, or what would end with us proves nothing. */
    for (double begun = elapsed(); !check && elapsed() - begun < 20; pause_ms(5)) {
        int waiting = 0;
        for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
            char path[4096];
            struct stat found = {0};
            snprintf(path, sizeof path, "%s/%s", dir, ways[i].name);
            stat(path, &found);
            waiting += found.st_size == 0 && !(*bait("CONTROL") && ways[i].run == generations);
        }
        if (!waiting) break;
    }
    return 0;
}
