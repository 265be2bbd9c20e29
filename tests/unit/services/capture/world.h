/* tests/unit/services/capture/world.h - the production service with an opener that gives fake tunnels, and programs on the loopback device */
#ifndef GH_TEST_CAPTURE_WORLD_H
#define GH_TEST_CAPTURE_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../test.h"
#include "base/error.h"
#include "core/node_conf.h"
#include "fake_stream.h"
#include "os/dgram.h"
#include "os/sock.h"
#include "services/capture/capture.h"
#include "services/capture/capture_internal.h"

#define TURNS 3000u
#define TUNNELS 8u

struct world {
    struct gh_run run;
    struct gh_privileged privileged;
    struct gh_workers *workers;
    struct gh_worker *worker;
    struct gh_node *node;
    struct gh_log log;
    struct gh_port_opener opener;
    struct capture *c;
    struct gh_endpoint at; /* where it listens */
    int refuse;            /* what open answers; 0: it gives a tunnel */
    struct gh_fake_stream tunnels[TUNNELS];
    struct gh_host_target to[TUNNELS];
    bool udp[TUNNELS], forgotten[TUNNELS];
    unsigned opened;
    void (*ready)(void *arg);
    void *ready_arg;
};

int world_setup(void **state);
int world_teardown(void **state);
/* A program that has connected, non-blocking. */
int world_connect(struct world *w);
/* As many bytes, or what came until the end; -1 after a reset. */
ssize_t world_read(struct world *w, int fd, void *buf, size_t len);
void world_write(struct world *w, int fd, const void *data, size_t len);
/* The relay's answer. */
void world_answer(struct world *w, unsigned tunnel, unsigned status, const char *proxy_status);
uint64_t world_count(struct world *w, unsigned row, unsigned label);
uint64_t world_drops(struct world *w, enum gh_drop why);
/* A program that asked for 192.0.2.1:80 and was answered with a tunnel. */
int world_tunnel(struct world *w);

#define TURN_UNTIL(w, what)                                  \
    do {                                                     \
        for (unsigned turn_ = 0; !(what); turn_++) {         \
            assert_true(turn_ < TURNS);                      \
            gh_worker_turn((w)->worker, true);               \
        }                                                    \
    } while (0)

#endif
