/* tests/unit/services/relay/proxy_world.h - the production relay with CONNECT and CONNECT-UDP, a fake stream, and a host on the loopback */
#ifndef GH_TEST_PROXY_WORLD_H
#define GH_TEST_PROXY_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../test.h"
#include "base/error.h"
#include "core/node_conf.h"
#include "fake_stream.h"
#include "os/fdpass.h"
#include "services/relay/relay.h"
#include "services/relay/relay_internal.h"
#include "services/relay/relay_parcel.h"
#include "services/relay/relay_proxy.h"
#include "services/relay/relay_trust.h"
#include "services/relay/relay_worker.h"


#define TURNS 2000u

#define HEAD "version: \"1.0\"\ndefault_action: deny\nlog: all\nclients:\n"
#define LOCAL                                                                                                                             \
    HEAD "  c: { rules: [ { id: local, type: ip_cidr, action: allow, destinations: [127.0.0.1/32] } ] }\n"                              \
         "  wide: { rules: [ { id: all, type: default, action: allow } ] }\n"                                                             \
         "  net: { rules: [ { id: net, type: ip_cidr, action: allow, destinations: [127.0.0.0/8] } ] }\n"
#define NOBODY HEAD "  c: { rules: [ { id: none, type: default, action: deny } ] }\n"

struct world {
    struct relay r;
    struct gh_run run;
    struct gh_privileged privileged;
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct relay_worker *rw;
    struct gh_log log;
    struct gh_fake_stream s;
    int policy_fd, audit_fd;
    char policy_path[64];
    struct gh_resolved names; /* that a look-up gives */
    int listener, host;       /* the other end */
    uint16_t port;
    char audit[16384];
};

int proxy_world_setup(void **state);
int proxy_world_teardown(void **state);
/* The audit is complete after this, in <audit>. */
void proxy_world_stop(struct world *w);
void proxy_world_policy(struct world *w, const char *text);
int proxy_world_socket(int type, uint16_t *ret_port);
uint64_t proxy_world_drops(struct world *w, enum gh_drop why);
void proxy_world_ask_tcp(struct world *w, struct gh_fake_stream *s, const char *client, const char *authority);
void proxy_world_ask_udp(struct world *w, struct gh_fake_stream *s, const char *client, const char *path);
/* A CONNECT to the listener, which accepts it as <host>. */
void proxy_world_open_tcp(struct world *w);
/* What the host reads: bytes, 0 the end, -1 a reset. */
ssize_t proxy_world_read(struct world *w, void *buf, size_t cap);

#define TURN_UNTIL(w, what)                                  \
    do {                                                     \
        for (unsigned turn_ = 0; !(what); turn_++) {         \
            assert_true(turn_ < TURNS);                      \
            gh_worker_turn((w)->worker, true);               \
        }                                                    \
    } while (0)

#endif
