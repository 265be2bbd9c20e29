/* os/udp.h - UDP in batches: recvmmsg with UDP_GRO in, one sendmsg with UDP_SEGMENT out
 *
 * Where an offload is missing or turns out not to work, the same calls do the same thing datagram by datagram.
 * Where GH_ERR_SYSTEM is returned, errno says why.
 */
#ifndef GH_OS_UDP_H
#define GH_OS_UDP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "os/sock.h"

#define GH_UDP_BATCH 64u          /* messages of one receive; segments of one send */
#define GH_UDP_BUFFER 65536u      /* room of one message */
#define GH_UDP_PAYLOAD_MAX 65507u /* of one send: what IPv4 can carry */

enum gh_udp_flag { GH_UDP_REUSEPORT = 1, GH_UDP_V6ONLY = 2 };

/* What works here; a caller may clear what the operator switched off. */
struct gh_udp_features {
    bool gso, gro;
    bool tested; /* packets were sent and compared; otherwise the kernel was only asked */
};

/* Sends distinct datagrams over loopback with and without the offloads and compares what arrives. Blocks for at most a second
 * when packets are lost. Where loopback is down, the kernel's word is taken. Always fills <ret>. */
void gh_udp_selftest(struct gh_udp_features *ret);

/* A bound, non-blocking socket that reports local address and ECN and does not fragment (RFC 9000, section 14).
 * <at>'s family 0 binds all addresses of both families. Descriptor, GH_ERR_EXISTS, GH_ERR_DENIED or GH_ERR_SYSTEM. */
int gh_udp_open(const struct gh_endpoint *at, unsigned flags);
/* A socket from any port of ours to <to> alone: it hears of nobody else, and of what ICMP says. As gh_udp_open. */
int gh_udp_connect(const struct gh_endpoint *to);
/* Socket buffers of <bytes> each: past the system's limit where the process may, else up to it. <ret_got>: the smaller. */
int gh_udp_set_buffers(int fd, int bytes, int *ret_got);
/* Chooses the socket of a reuseport group that gets a datagram: the program's result is the number of the socket in the order
 * of binding; a number that is not there falls back to the kernel's hash. 0 or GH_ERR_SYSTEM. */
int gh_udp_attach_steering(int fd, const struct sock_filter *program, size_t count);

/* A socket in use. The descriptor may come from another process. */
struct gh_udp {
    int fd;
    int family; /* AF_INET or AF_INET6 */
    uint16_t port;
    bool gso; /* falls to false when the way out turns out not to do it */
};

/* Takes over an open <fd>; UDP_GRO is set as <features> says. 0 or GH_ERR_SYSTEM, the descriptor stays the caller's then. */
int gh_udp_init(struct gh_udp *u, int fd, const struct gh_udp_features *features);
void gh_udp_fini(struct gh_udp *u);

/* One message: one datagram, or several of <segment> bytes each of which the last may be shorter. */
struct gh_udp_message {
    uint8_t *data;
    size_t len;
    size_t segment; /* <len> for a single datagram */
    struct gh_endpoint local, remote;
    uint8_t ecn;    /* two bits (RFC 3168) */
    bool truncated;
};

/* Receives up to <count> (at most GH_UDP_BATCH) messages, the i-th into slab + i * GH_UDP_BUFFER.
 * Count of messages, at least 1, GH_ERR_AGAIN or GH_ERR_SYSTEM. */
int gh_udp_receive(struct gh_udp *u, uint8_t *slab, size_t count, struct gh_udp_message *ret);

struct gh_udp_send {
    struct gh_span payload; /* any length: cut into datagrams of <segment> bytes, the last may be shorter */
    size_t segment;
    struct gh_endpoint local; /* source address; family 0: the kernel chooses. The port is the socket's */
    struct gh_endpoint remote;
    uint8_t ecn;
};

/* Sends all, or as many whole datagrams as go without waiting. A datagram that the device's queue refuses is lost, as it could be
 * anywhere on its way. Count of payload bytes taken, at least one datagram; or GH_ERR_AGAIN, GH_ERR_TOO_LONG (a datagram does not
 * fit the device), GH_ERR_RANGE (an address of the other family), GH_ERR_DENIED (firewall) or GH_ERR_SYSTEM. */
ssize_t gh_udp_send(struct gh_udp *u, const struct gh_udp_send *m);

#endif
