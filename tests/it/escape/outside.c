/* The outside: plants baits and watches them, until its standard input ends. First it prints what it planted as lines
 * `NAME=value`, then `ready`; at the end a line `touched NAME` for each bait that somebody touched, and `end`. Run with the
 * argument `left` inside of a jail it is a build that leaves things behind for another. */
#include "attempt.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct pollfd watched[16];
static const char *names[16];
static int count;
static const char *secret;
static volatile sig_atomic_t signalled;

static void fail(const char *what) {
    perror(what);
    exit(1);
}
static void watch(const char *name, int s) {
    names[count] = name;
    watched[count++] = (struct pollfd){s, POLLIN, 0};
}
static void internet(const char *name, int family, int type, int any) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int s = socket(family, type | SOCK_CLOEXEC, 0);
    int failed = family == AF_INET ? bind(s, (void *)&in, sizeof in) : bind(s, (void *)&in6, sizeof in6);
    if (failed) {
        if (family == AF_INET6) return (void)printf("%s=0\n", name); /* a machine without IPv6 */
        fail(name);
    }
    if (type == SOCK_STREAM) listen(s, 8);
    struct sockaddr_storage got;
    socklen_t length = sizeof got;
    getsockname(s, (void *)&got, &length);
    printf("%s=%d\n", name, ntohs(((struct sockaddr_in *)&got)->sin_port));
    watch(name, s);
}
static void local(const char *name, int type, const char *at, int abstract) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path + abstract, at, strlen(at));
    int s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (bind(s, (void *)&un, offsetof(struct sockaddr_un, sun_path) + strlen(at) + 1)) fail(name);
    if (type == SOCK_STREAM) listen(s, 8);
    if (!abstract) chmod(at, 0777);
    watch(name, s);
}
static void noted(int s) { signalled = s; }

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : ".", *id = argc > 2 ? argv[2] : "0";
    char text[300];
    int inside = !strcmp(dir, "left");
    secret = bait("SECRET");
    prctl(PR_SET_NAME, "parton-bait");
    struct sigaction action = {.sa_handler = noted, .sa_flags = SA_RESTART};
    for (int s = 1; s < 32; s++)
        if (s != SIGKILL && s != SIGSTOP && s != SIGCHLD && s != SIGSEGV && s != SIGPIPE) sigaction(s, &action, 0);
    key_t key = 0x70000000 | strtol(id, 0, 10);
    int memory = shmget(key, 4096, IPC_CREAT | 0666), queue = -1;
    if (memory < 0) fail("shmget");
    if (inside) {
        snprintf(text, sizeof text, "%s", bait("LEFT_ABSTRACT"));
        local("LEFT_ABSTRACT", SOCK_STREAM, text, 1);
        snprintf(text, sizeof text, "/tmp/%s", bait("LEFT_NAME"));
        close(open(text, O_WRONLY | O_CREAT, 0666));
        snprintf(text, sizeof text, "/dev/shm/%s", bait("LEFT_NAME"));
        close(open(text, O_WRONLY | O_CREAT, 0666));
        int shared = open(bait("SHARED"), O_RDONLY);
        if (flock(shared, LOCK_EX | LOCK_NB)) fail("flock");
    } else {
        internet("BAIT_TCP4", AF_INET, SOCK_STREAM, 0);
        internet("BAIT_TCP4_ANY", AF_INET, SOCK_STREAM, 1);
        internet("BAIT_TCP6", AF_INET6, SOCK_STREAM, 0);
        internet("BAIT_UDP4", AF_INET, SOCK_DGRAM, 0);
        struct ifaddrs *all = 0, *one;
        getifaddrs(&all);
        for (one = all; one; one = one->ifa_next)
            if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET && !(one->ifa_flags & IFF_LOOPBACK)) {
                printf("BAIT_ADDRESS=%s\n", inet_ntoa(((struct sockaddr_in *)one->ifa_addr)->sin_addr));
                break;
            }
        snprintf(text, sizeof text, "parton-bait-%s", id);
        printf("BAIT_ABSTRACT=%s\n", text);
        local("BAIT_ABSTRACT", SOCK_STREAM, text, 1);
        strcat(text, "-datagram");
        local("BAIT_ABSTRACT_DATAGRAM", SOCK_DGRAM, text, 1);
        snprintf(text, sizeof text, "%s/s", dir);
        printf("BAIT_SOCKET=%s\n", text);
        local("BAIT_SOCKET", SOCK_STREAM, text, 0);
        printf("BAIT_KEY=%d\nBAIT_VICTIM=%d\n", key, getpid());
        if ((queue = msgget(key, IPC_CREAT | 0666)) < 0) fail("msgget");
        snprintf(text, sizeof text, "/parton-bait-%s", id);
        printf("BAIT_QUEUE=%s\n", text);
        struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 16};
        umask(0);
        /* Not every container has queues or a /dev/shm to write to: then these baits are not there. */
        if (mq_open(text, O_RDWR | O_CREAT, 0666, &attributes) < 0) printf("NO_QUEUE=1\n");
        char path[400];
        snprintf(path, sizeof path, "/dev/shm%s", text);
        close(open(path, O_RDWR | O_CREAT, 0666));
        /* Keys belong to a user; the session's would go with the session. */
        if (syscall(SYS_add_key, "user", text, secret, strlen(secret), -4 /* the user's keyring */) < 0) printf("NO_KEY=1\n");
    }
    puts("ready");
    fflush(stdout);
    watch("end", 0);
    int touched[16] = {0};
    for (;;) {
        if (poll(watched, count, -1) < 0) continue;
        for (int i = 0; i < count - 1; i++)
            if (watched[i].revents & POLLIN) {
                touched[i] = 1;
                struct sockaddr_storage from;
                socklen_t length = sizeof from;
                char byte;
                int kind = 0;
                socklen_t size = sizeof kind;
                getsockopt(watched[i].fd, SOL_SOCKET, SO_TYPE, &kind, &size);
                if (kind == SOCK_DGRAM) {
                    recvfrom(watched[i].fd, &byte, 1, MSG_DONTWAIT, (void *)&from, &length);
                    sendto(watched[i].fd, secret, strlen(secret), MSG_NOSIGNAL | MSG_DONTWAIT, (void *)&from, length);
                } else {
                    int s = accept4(watched[i].fd, 0, 0, SOCK_CLOEXEC);
                    send(s, secret, strlen(secret), MSG_NOSIGNAL);
                    shutdown(s, SHUT_WR);
                    recv(s, &byte, 1, 0);
                    close(s);
                }
            }
        if (watched[count - 1].revents && read(0, text, sizeof text) <= 0) break;
    }
    for (int i = 0; i < count - 1; i++)
        if (touched[i]) printf("touched %s\n", names[i]);
    if (signalled) printf("touched the victim: signal %d\n", signalled);
    struct shmid_ds state;
    if (shmctl(memory, IPC_STAT, &state) || state.shm_atime) printf("touched BAIT_KEY\n");
    shmctl(memory, IPC_RMID, 0);
    if (!inside) {
        msgctl(queue, IPC_RMID, 0);
        char path[400];
        snprintf(text, sizeof text, "/parton-bait-%s", id);
        mq_unlink(text);
        snprintf(path, sizeof path, "/dev/shm%s", text);
        unlink(path);
        long key = syscall(SYS_keyctl, 10 /* search */, -4, "user", text, 0);
        if (key > 0) syscall(SYS_keyctl, 9 /* unlink */, key, -4);
    }
    puts("end");
    return 0;
}
