#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/udp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define SEGMENT 1200u
#define TAIL 333u
#define DATAGRAMS 7u
#define PAYLOAD ((DATAGRAMS - 1) * SEGMENT + TAIL)
#define PATIENCE (GH_NANOSECONDS / 5)

/* No two datagrams are alike, nor two places in one. */
static void fill(uint8_t *payload)
{
    uint32_t v = 0x2545f491;

    for (size_t i = 0; i < PAYLOAD; i++) {
        v = v * 1664525u + 1013904223u;
        payload[i] = (uint8_t)(v >> 24);
    }
}

/* Takes datagrams until <payload> is complete: every one whole, in order, of the size it was sent with. */
static bool arrives(struct gh_udp *u, const uint8_t *payload, uint8_t *slab, bool *ret_merged)
{
    struct gh_udp_message messages[DATAGRAMS];
    int64_t until = gh_clock_now() + PATIENCE;
    size_t at = 0;

    while (at < PAYLOAD) {
        struct pollfd p = { u->fd, POLLIN, 0 };
        int64_t left = until - gh_clock_now();
        int n;

        if (left <= 0 || poll(&p, 1, (int)(left / 1000000) + 1) <= 0)
            return false;
        n = gh_udp_receive(u, slab, DATAGRAMS, messages);
        for (int i = 0; i < n; i++) {
            struct gh_udp_message *m = &messages[i];
            size_t last = at + m->len;

            if (m->truncated || last > PAYLOAD || (m->segment != SEGMENT && !(m->segment == TAIL && last == PAYLOAD)) ||
                (m->len % SEGMENT != 0 && last != PAYLOAD) || memcmp(m->data, payload + at, m->len) != 0)
                return false;
            *ret_merged |= m->len > m->segment;
            at = last;
        }
    }
    return true;
}

static bool works(bool gso, bool gro, const uint8_t *payload, uint8_t *slab)
{
    static const uint8_t loopback[4] = { 127, 0, 0, 1 };
    struct gh_endpoint at = { gh_ip_v4(loopback), 0, 0 };
    struct gh_udp_features sender = { .gso = gso }, receiver = { .gro = gro };
    struct gh_udp from = { .fd = -1 }, to = { .fd = -1 };
    struct gh_udp_send m = { gh_span_of(payload, PAYLOAD), SEGMENT, { { 0 } }, at, 0 };
    int from_fd = gh_udp_open(&at, 0), to_fd = gh_udp_open(&at, 0);
    bool ok = false, merged = false;

    if (from_fd < 0 || to_fd < 0 || gh_udp_init(&from, from_fd, &sender) < 0)
        goto out;
    from_fd = -1; /* <from> owns it now */
    if (gh_udp_init(&to, to_fd, &receiver) < 0)
        goto out;
    to_fd = -1;
    m.remote.port = to.port;
    ok = gh_udp_send(&from, &m) == (ssize_t)PAYLOAD && from.gso == gso && arrives(&to, payload, slab, &merged) &&
         merged == gro;
out:
    gh_sock_close(from_fd);
    gh_sock_close(to_fd);
    gh_udp_fini(&from);
    gh_udp_fini(&to);
    return ok;
}

static bool kernel_knows(int option, int value)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool knows = fd >= 0 && setsockopt(fd, IPPROTO_UDP, option, &value, sizeof value) == 0;

    gh_sock_close(fd);
    return knows;
}

void gh_udp_selftest(struct gh_udp_features *ret)
{
    struct gh_udp_features f = { .gso = kernel_knows(UDP_SEGMENT, 0), .gro = kernel_knows(UDP_GRO, 1) };
    uint8_t *slab = malloc(DATAGRAMS * GH_UDP_BUFFER + PAYLOAD), *payload;

    *ret = f;
    if (!slab)
        return;
    payload = slab + DATAGRAMS * GH_UDP_BUFFER;
    fill(payload);
    if (works(false, false, payload, slab)) { /* else nothing could be learnt about the offloads */
        f.gso = f.gso && works(true, false, payload, slab);
        /* on loopback only what is sent in one piece arrives in one */
        f.gro = f.gro && (!f.gso || works(true, true, payload, slab));
        f.tested = true;
        *ret = f;
    }
    free(slab);
}
