#include "cli/conform_road.h"

#include <poll.h>

#include "base/error.h"
#include "os/clock.h"

static void road_close(void *arg)
{
    struct gh_cli_conform_road *r = arg;

    if (r->open)
        gh_udp_fini(&r->udp);
    r->open = false;
}

/* Our own address may change from packet to packet: to the engine it is always "any". */
static struct gh_quic_path path_of(const struct gh_cli_conform_road *r)
{
    return (struct gh_quic_path){ { { .family = r->remote.ip.family }, r->udp.port }, { r->remote.ip, r->remote.port } };
}

static int road_open(void *arg, const struct gh_quic_config *cfg, const struct gh_quic_owner *owner, struct gh_quic **ret)
{
    static const struct gh_udp_features plain = { .gso = false };
    struct gh_cli_conform_road *r = arg;
    struct gh_endpoint any = { .ip = { .family = 0 } };
    struct gh_quic_path path;
    int fd, rc;

    road_close(r);
    fd = gh_udp_open(&any, 0);
    if (fd < 0)
        return fd;
    rc = gh_udp_init(&r->udp, fd, &plain);
    if (rc < 0) {
        gh_sock_close(fd);
        return rc;
    }
    r->open = true;
    path = path_of(r);
    return gh_quic_create_client(cfg, owner, &(struct gh_quic_target){ .tls = r->tls, .server_name = r->server_name }, &path, gh_clock_now(), ret);
}

static int64_t road_now(void *arg)
{
    (void)arg;
    return gh_clock_now();
}

static void flush(struct gh_cli_conform_road *r, struct gh_quic *q)
{
    struct gh_quic_batch b = { .buf = r->out };

    while (gh_quic_write(q, &b, gh_clock_now()) == 1) {
        struct gh_udp_send m = { .payload = { r->out, b.len }, .segment = b.segment, .remote = r->remote, .ecn = b.ecn };

        gh_udp_send(&r->udp, &m); /* what does not go is lost, as it could be on its way */
    }
}

static void receive(struct gh_cli_conform_road *r, struct gh_quic *q)
{
    struct gh_udp_message m[4];
    struct gh_quic_path path = path_of(r);
    int n = gh_udp_receive(&r->udp, r->slab, 4, m);

    for (int i = 0; i < n; i++) {
        path.remote = (struct gh_quic_addr){ m[i].remote.ip, m[i].remote.port };
        for (size_t at = 0; at < m[i].len; at += m[i].segment)
            gh_quic_recv(q, &path, m[i].ecn, gh_span_of(m[i].data + at, m[i].len - at < m[i].segment ? m[i].len - at : m[i].segment), gh_clock_now());
    }
}

static void road_turn(void *arg, struct gh_quic *q, int64_t until)
{
    struct gh_cli_conform_road *r = arg;
    struct pollfd p = { .fd = r->udp.fd, .events = POLLIN };
    int64_t now = gh_clock_now(), next;

    flush(r, q);
    next = gh_quic_deadline(q);
    next = next < until ? next : until;
    next = next > now ? (next - now + 999999) / 1000000 : 0;
    if (poll(&p, 1, (int)(next > 1000 ? 1000 : next)) > 0)
        receive(r, q);
    if (gh_quic_deadline(q) <= gh_clock_now())
        gh_quic_expire(q, gh_clock_now());
    flush(r, q);
}

void gh_cli_conform_road(struct gh_cli_conform_road *r, struct gh_conform_road *ret)
{
    *ret = (struct gh_conform_road){ road_open, road_close, road_now, road_turn, r };
}
