/* os/netlink_read.h - what the kernel says of links, addresses, routes and rules, read: bytes in, no socket
 *
 * A message that is too short for its kind, of a family that is neither IPv4 nor IPv6, or with an address or a prefix that does not
 * fit its family, is passed over. Bytes are aligned as a socket's buffer is.
 */
#ifndef GH_OS_NETLINK_READ_H
#define GH_OS_NETLINK_READ_H

#include "base/span.h"
#include "os/netlink.h"

struct nlmsghdr;

/* A message of an answer; > 0 to go on, as the library has it. */
typedef int (*gh_nl_message_fn)(const struct nlmsghdr *h, void *arg);

/* What an answer is read for. */
struct gh_nl_walk {
    bool (*on_route)(void *arg, const struct gh_nl_route *r);
    bool (*on_rule)(void *arg, const struct gh_nl_rule *r);
    bool (*on_addr)(void *arg, const struct gh_prefix *a);
    void *arg;
    uint32_t table;   /* routes: of this one */
    unsigned ifindex; /* addresses: of this device */
    bool ended;       /* a function returned false: the rest of the dump is read and left */
};

/* For gh_nl_answer, with a struct gh_nl_walk. */
int gh_nl_walk_route(const struct nlmsghdr *h, void *walk);
int gh_nl_walk_rule(const struct nlmsghdr *h, void *walk);
int gh_nl_walk_addr(const struct nlmsghdr *h, void *walk);

struct gh_nl_found {
    struct gh_nl_route route;
    uint8_t kernel_type; /* RTN_…; 0: nothing was found */
};

/* The same with a struct gh_nl_found: where a packet goes. */
int gh_nl_find_route(const struct nlmsghdr *h, void *found);

/* One datagram of the answer to request <seq> of socket <port>. Progress: 1 the answer is over, 0 more comes, or -1 with errno: the
 * kernel's refusal, EPROTO when it answers another request, or what is wrong with the bytes. */
int gh_nl_answer(struct gh_span datagram, uint32_t seq, uint32_t port, gh_nl_message_fn fn, void *arg);

/* One datagram of a monitor: does it tell of a change that is not about <ifindex> and not in a table of our own? */
bool gh_nl_is_change(struct gh_span datagram, int ifindex);

#endif
