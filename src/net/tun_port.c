#include "net/tun_port.h"

#include <stdlib.h>

#include "base/error.h"
#include "os/sock.h"
#include "os/tun.h"
#include "proto/forward/coalesce.h"
#include "proto/forward/segment.h"

/* What is read in a turn waits in session queues until its end: it has to fit them, and better stays in the cache. */
#define READS_PER_TURN 32u
#define BYTES_PER_TURN (256u * 1024)
#define GATHER_BYTES (512u * 1024)

struct gh_tun_port {
    struct gh_tun_port_config cfg;
    struct gh_poll *poll;
    struct gh_turn_hook hook;
    struct gh_tun_port_counters counters;
    unsigned offloads;
    struct gh_coalescer coalescer;
    size_t gathered; /* bytes of <gather> in use */
    unsigned count;
    uint8_t *gather, *in;
};

static void write_super(struct gh_tun_port *p, const struct gh_super *s)
{
    int rc = gh_tun_write(p->cfg.fd, &s->offload, s->pieces, s->piece_count);

    p->counters.writes++;
    if (rc < 0) {
        p->cfg.events->on_drop(p->cfg.arg, GH_DROP_TUN_WRITE, s->packet_count);
        return;
    }
    p->counters.packets_out += s->packet_count;
    p->counters.bytes_out += s->len;
}

void gh_tun_port_flush(struct gh_tun_port *p)
{
    struct gh_super s;

    if (p->count == 0)
        return;
    while (gh_coalesce_next(&p->coalescer, &s) == 1)
        write_super(p, &s);
    p->gathered = 0;
    p->count = 0;
}

static void hook(void *arg, int64_t now)
{
    (void)now;
    gh_tun_port_flush(arg);
}

void gh_tun_port_send(struct gh_tun_port *p, struct gh_span packet)
{
    uint8_t *at;

    if (packet.len > GATHER_BYTES) {
        p->cfg.events->on_drop(p->cfg.arg, GH_DROP_TOO_BIG, 1);
        return;
    }
    if (p->gathered + packet.len > GATHER_BYTES || p->count == GH_COALESCE_BATCH)
        gh_tun_port_flush(p);
    at = p->gather + p->gathered;
    memcpy(at, packet.data, packet.len);
    if (gh_coalesce_add(&p->coalescer, at, packet.len) < 0) {
        p->cfg.events->on_drop(p->cfg.arg, GH_DROP_TUN_WRITE, 1);
        return;
    }
    p->gathered += packet.len;
    p->count++;
}

static void cut(struct gh_tun_port *p, uint8_t *packet, size_t len, const struct gh_offload *o)
{
    struct gh_segment it;
    struct gh_span s;

    if (gh_segment_init(&it, packet, len, o) < 0) {
        p->cfg.events->on_drop(p->cfg.arg, GH_DROP_MALFORMED, 1);
        return;
    }
    for (bool first = true; gh_segment_next(&it, &s) == 1; first = false) {
        p->counters.packets_in++;
        p->cfg.events->on_packet(p->cfg.arg, (uint8_t *)(uintptr_t)s.data, s.len, !first && !it.done); /* the last may have FIN */
    }
}

static void ready(void *arg, int events)
{
    struct gh_tun_port *p = arg;
    uint8_t *packet = p->in + GH_TUN_PORT_HEADROOM;
    struct gh_offload o;
    size_t total = 0;
    ssize_t n;

    (void)events;
    for (unsigned i = 0; i < READS_PER_TURN && total < BYTES_PER_TURN; i++) {
        n = gh_tun_read(p->cfg.fd, packet, GH_TUN_PACKET_MAX, &o);
        if (n == GH_ERR_TOO_LONG || n == GH_ERR_UNSUPPORTED) {
            p->cfg.events->on_drop(p->cfg.arg, GH_DROP_MALFORMED, 1);
            continue;
        }
        if (n <= 0)
            return;
        total += (size_t)n;
        p->counters.reads++;
        p->counters.bytes_in += (uint64_t)n;
        if (o.kind == GH_OFFLOAD_NONE && !o.needs_csum) {
            p->counters.packets_in++;
            p->cfg.events->on_packet(p->cfg.arg, packet, (size_t)n, false);
        } else {
            cut(p, packet, (size_t)n, &o);
        }
    }
}

static unsigned kinds_of(unsigned offloads)
{
    unsigned kinds = 0;

    if (offloads & GH_TUN_TSO4)
        kinds |= GH_COALESCE_TCP4;
    if (offloads & GH_TUN_TSO6)
        kinds |= GH_COALESCE_TCP6;
    if (offloads & GH_TUN_USO)
        kinds |= GH_COALESCE_UDP4 | GH_COALESCE_UDP6;
    return kinds;
}

int gh_tun_port_create(const struct gh_tun_port_config *cfg, struct gh_tun_port **ret)
{
    struct gh_tun_port *p = calloc(1, sizeof *p);
    int rc = GH_ERR_MEMORY;

    if (!p)
        return rc;
    p->cfg = *cfg;
    p->gather = malloc(GATHER_BYTES);
    p->in = malloc(GH_TUN_PORT_HEADROOM + GH_TUN_PACKET_MAX);
    if (p->gather && p->in)
        rc = gh_tun_set_offload(cfg->fd, cfg->offload ? GH_TUN_ALL : 0, &p->offloads);
    if (rc == 0)
        rc = gh_poll_open(cfg->worker, cfg->fd, GH_POLL_READ, ready, p, &p->poll);
    if (rc < 0) {
        free(p->gather);
        free(p->in);
        free(p);
        return rc;
    }
    gh_coalesce_init(&p->coalescer, kinds_of(p->offloads));
    p->hook.fn = hook;
    p->hook.arg = p;
    gh_worker_hook_add(cfg->worker, &p->hook);
    *ret = p;
    return 0;
}

void gh_tun_port_destroy(struct gh_tun_port *p)
{
    if (!p)
        return;
    gh_tun_port_flush(p);
    gh_worker_hook_remove(&p->hook);
    gh_poll_close(p->poll);
    gh_sock_close(p->cfg.fd);
    free(p->gather);
    free(p->in);
    free(p);
}

const struct gh_tun_port_counters *gh_tun_port_counters(const struct gh_tun_port *p)
{
    return &p->counters;
}

unsigned gh_tun_port_offloads(const struct gh_tun_port *p)
{
    return p->offloads;
}
