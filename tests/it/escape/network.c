/* The network, and whatever else carries bytes between processes. */
#include "attempt.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

static char text[4096];

/* Whether the other end answers with the secret within a moment. */
static void answered(int s, const char *what) {
    struct timeval patience = {0, 300000};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssize_t n = send(s, "?", 1, MSG_NOSIGNAL);
    if (n >= 0) n = recv(s, text, sizeof text - 1, 0);
    if (n < 0) return held("%s: %s", what, strerror(errno));
    text[n] = 0;
    if (strstr(text, bait("SECRET"))) escaped("the secret through %s", what);
    else held("%s: something else answers", what);
}
static void to_loopback(int family, int type, const char *port) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(atoi(bait(port))), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = in.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int s = socket(family, type, 0);
    int failed = family == AF_INET ? connect(s, (void *)&in, sizeof in) : connect(s, (void *)&in6, sizeof in6);
    if (failed) return held("connect: %s", strerror(errno));
    answered(s, "the loopback");
}
static void tcp4(void) { to_loopback(AF_INET, SOCK_STREAM, "BAIT_TCP4"); }
static void tcp6(void) { to_loopback(AF_INET6, SOCK_STREAM, "BAIT_TCP6"); }
static void udp4(void) { to_loopback(AF_INET, SOCK_DGRAM, "BAIT_UDP4"); }
static void tcp_fast_open(void) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(atoi(bait("BAIT_TCP4"))), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (sendto(s, "?", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&in, sizeof in) < 0) return held("sendto: %s", strerror(errno));
    answered(s, "a fast open");
}
static void the_machines_address(void) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(atoi(bait("BAIT_TCP4_ANY")))};
    if (inet_pton(AF_INET, bait("BAIT_ADDRESS"), &in.sin_addr) != 1) return held("the machine has no other address");
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (void *)&in, sizeof in)) return held("connect: %s", strerror(errno));
    answered(s, "the machine's address");
}
static void far_away(void) {
    /* An address for documentation. Connecting a datagram socket sends nothing, but needs a route. */
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xc0000201)};
    judge(connect(socket(AF_INET, SOCK_DGRAM, 0), (void *)&in, sizeof in), "connect");
}
static void broadcast(void) {
    if (*bait("CONTROL")) return held("not outside: it would reach other machines");
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_BROADCAST)};
    int s = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    setsockopt(s, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    judge(sendto(s, "", 0, 0, (void *)&in, sizeof in), "broadcast");
}
static void devices(void) {
    struct ifaddrs *all = 0, *one;
    if (getifaddrs(&all)) return held("getifaddrs: %s", strerror(errno));
    for (one = all; one; one = one->ifa_next)
        if (strcmp(one->ifa_name, "lo") && (one->ifa_flags & IFF_UP)) return escaped("%s is up", one->ifa_name);
    held("only the loopback is up");
}

/* ---- unix sockets ---- */

static int to_unix(int type, const char *name, int abstract) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    if (length > 106) return errno = ENAMETOOLONG, -1;
    memcpy(un.sun_path + abstract, name, length);
    int s = socket(AF_UNIX, type, 0);
    return connect(s, (void *)&un, offsetof(struct sockaddr_un, sun_path) + length + 1) ? -1 : s;
}
static void abstract_stream(void) {
    int s = to_unix(SOCK_STREAM, bait("BAIT_ABSTRACT"), 1);
    if (s < 0) held("connect: %s", strerror(errno));
    else answered(s, "an abstract socket");
}
static void abstract_datagram(void) {
    char name[200];
    snprintf(name, sizeof name, "%s-datagram", bait("BAIT_ABSTRACT"));
    int s = to_unix(SOCK_DGRAM, name, 1);
    if (s < 0) return held("connect: %s", strerror(errno));
    judge(send(s, "?", 1, MSG_NOSIGNAL), "send");
}
static void path_socket(void) {
    int s = to_unix(SOCK_STREAM, bait("BAIT_SOCKET"), 0);
    if (s < 0) held("connect: %s", strerror(errno));
    else answered(s, "a socket in the file system");
}
static void path_socket_above_the_root(void) {
    char path[200];
    snprintf(path, sizeof path, "/..%s", bait("BAIT_SOCKET"));
    int s = to_unix(SOCK_STREAM, path, 0);
    if (s < 0) held("connect: %s", strerror(errno));
    else answered(s, "a socket above the root");
}
/* Another build runs meanwhile and has left all of these behind. */
static void abstract_of_another_build(void) {
    int s = to_unix(SOCK_STREAM, bait("LEFT_ABSTRACT"), 1);
    if (s < 0) held("connect: %s", strerror(errno));
    else answered(s, "another build's socket");
}
static void abstract_list(void) {
    static char all[1 << 18];
    if (slurp("/proc/net/unix", all, sizeof all) < 0) return held("open: %s", strerror(errno));
    if (strstr(all, bait("BAIT_ABSTRACT")) || strstr(all, bait("LEFT_ABSTRACT"))) escaped("names of sockets outside");
    else held("no name of the outside");
}

/* ---- families and protocols ---- */

static void netlink_families(void) {
    for (int protocol = 1; protocol < 32; protocol++)
        if (socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol) >= 0) return escaped("netlink %d", protocol);
    held("none but that of routes: %s", strerror(errno));
}
static void netlink_uevents(void) {
    struct { unsigned short family, pad; unsigned pid, groups; } to = {AF_NETLINK, 0, 0, ~0u};
    int s = socket(AF_NETLINK, SOCK_DGRAM, 15);
    if (s < 0) return held("socket: %s", strerror(errno));
    judge(bind(s, (void *)&to, sizeof to), "listening to the kernel's events");
}
static void raw_packets(void) {
    long result = socket(AF_PACKET, SOCK_RAW, htons(3));
    if (result < 0) result = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (result < 0) result = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    judge(result, "a raw socket");
}
/* Asking for a socket is enough to make the kernel load a module. */
static void families(void) {
    for (int family = 3; family < 46; family++) {
        if (family == AF_INET6 || family == AF_NETLINK) continue;
        int s = socket(family, SOCK_DGRAM, 0);
        if (s < 0) s = socket(family, SOCK_STREAM, 0);
        if (s < 0) s = socket(family, SOCK_RAW, 0);
        if (s >= 0) return escaped("family %d", family);
    }
    held("none of the others: %s", strerror(errno));
}
/* The same by another door: that a family can't make pairs is only found out when its socket is there. */
static void families_in_pairs(void) {
    for (int family = 2; family < 46; family++) {
        int pair[2];
        if (socketpair(family, SOCK_DGRAM, 0, pair) >= 0) return escaped("family %d", family);
        if (errno == EOPNOTSUPP || errno == ESOCKTNOSUPPORT) return escaped("family %d was asked: %s", family, strerror(errno));
    }
    held("none of the others: %s", strerror(errno));
}
static void protocols(void) {
    const int numbers[] = {132, 33, 136, 262, 115, 256, 108, 47, 50, 0};
    for (int i = 0; numbers[i]; i++)
        for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
            if (type == SOCK_RAW) continue;
            if (socket(AF_INET, type, numbers[i]) >= 0) return escaped("protocol %d", numbers[i]);
            if (socket(AF_INET6, type, numbers[i]) >= 0) return escaped("protocol %d over IPv6", numbers[i]);
        }
    held("only those of the internet: %s", strerror(errno));
}

/* ---- shared memory, queues, semaphores ---- */

static void sysv_memory(void) {
    long id = shmget(strtol(bait("BAIT_KEY"), 0, 0), 0, 0);
    if (id < 0) id = shmget(strtol(bait("LEFT_KEY"), 0, 0), 0, 0);
    judge(id, "shmget");
}
static void sysv_queue(void) {
    long id = msgget(strtol(bait("BAIT_KEY"), 0, 0), 0);
    struct msginfo info;
    if (id < 0 && msgctl(0, 13 /* MSG_INFO */, (void *)&info) >= 0 && info.msgpool > 0) return escaped("%d queues are seen", info.msgpool);
    judge(id, "msgget");
}
static void posix_queue(void) { judge(mq_open(bait("BAIT_QUEUE"), O_RDWR), "mq_open"); }
static void posix_memory(void) {
    char path[200];
    snprintf(path, sizeof path, "/dev/shm%s", bait("BAIT_QUEUE"));
    judge(open(path, O_RDWR), "open in /dev/shm");
}
static void left_in_shared_places(void) {
    struct stat found;
    const char *const dirs[] = {"/tmp", "/dev/shm", 0};
    char path[200];
    for (int i = 0; dirs[i]; i++) {
        snprintf(path, sizeof path, "%s/%s", dirs[i], bait("LEFT_NAME"));
        if (stat(path, &found) == 0) return escaped("its %s", dirs[i]);
    }
    held("another build's /tmp and /dev/shm: %s", strerror(errno));
}

/* ---- other namespaces ---- */

static void namespace_of_another(void) {
    char path[100];
    snprintf(path, sizeof path, "/proc/%s/ns/net", bait("TARGET"));
    int f = open(path, O_RDONLY);
    if (f < 0) return held("open: %s", strerror(errno));
    judge(setns(f, 0), "setns");
}
static void namespace_above(void) {
    int f = open("/proc/self/ns/user", O_RDONLY);
    int up = ioctl(f, 0xb702 /* NS_GET_PARENT */);
    if (up < 0) up = ioctl(open("/proc/self/ns/pid", O_RDONLY), 0xb702);
    if (up < 0) up = ioctl(open("/proc/self/ns/net", O_RDONLY), 0xb701) < 0 ? -1 : (errno = EPERM, -1);
    judge(up, "the namespace above");
}

static const struct attempt list[] = {
    {"tcp4", tcp4}, {"tcp6", tcp6}, {"udp4", udp4}, {"tcp_fast_open", tcp_fast_open},
    {"the_machines_address", the_machines_address}, {"far_away", far_away},
    {"broadcast", broadcast}, {"devices", devices}, {"abstract_stream", abstract_stream},
    {"abstract_datagram", abstract_datagram}, {"path_socket", path_socket},
    {"path_socket_above_the_root", path_socket_above_the_root},
    {"abstract_of_another_build", abstract_of_another_build}, {"abstract_list", abstract_list},
    {"netlink_families", netlink_families}, {"netlink_uevents", netlink_uevents}, {"raw_packets", raw_packets},
    {"families", families}, {"families_in_pairs", families_in_pairs}, {"protocols", protocols},
    {"sysv_memory", sysv_memory}, {"sysv_queue", sysv_queue}, {"posix_queue", posix_queue},
    {"posix_memory", posix_memory}, {"left_in_shared_places", left_in_shared_places},
    {"namespace_of_another", namespace_of_another}, {"namespace_above", namespace_above},
};
ATTEMPTS(list)
