/* UDP ASSOCIATE (RFC 1928, section 7): datagrams of one program, each destination a CONNECT-UDP tunnel (RFC 9298) of its own.
 *
 *   program <--datagrams with a header--> socket of the association <--> tunnel of the destination that the header names
 *
 * The first datagram from the host that has the control connection says which port counts; nobody else is heard after it. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "os/dgram.h"
#include "services/capture/capture_internal.h"
#include "wire/capsule.h"

#define SECOND INT64_C(1000000000)
#define CONTEXT_UDP 0u               /* RFC 9298, section 4 */
#define BATCH 64u                    /* datagrams of one turn */
#define QUEUE 8u                     /* that wait for the relay's answer, of one destination */
#define REFUSED_FOR (5 * SECOND)     /* a destination that the relay refused is not asked for again */
#define SWEEP (5 * SECOND)

enum destination_state { DESTINATION_ASKED, DESTINATION_OPEN, DESTINATION_REFUSED };

struct destination {
    struct gh_list link; /* in u->destinations, the one that was silent longest first */
    struct capture_udp *u;
    enum destination_state state;
    struct gh_socks5_addr to;   /* as the program says it */
    struct gh_socks5_addr from; /* whom answers come from: an address, where the relay tells it */
    uint32_t flow; /* of its datagrams, among others of the connection */
    struct gh_http_stream *stream;
    struct gh_capsule_reader capsules;
    struct gh_span waiting[QUEUE]; /* malloc'd; with a byte for the context id */
    size_t waiting_count;
    enum gh_drop why; /* REFUSED */
    int64_t active_at;
};

struct capture_udp {
    struct gh_list link; /* in c->associations */
    struct capture *c;
    int fd;
    struct gh_poll *poll;
    struct gh_ip peer;       /* who has the control connection */
    uint16_t port;           /* that it said it would send from, 0: any */
    struct gh_endpoint from; /* who has sent; family 0: nobody yet */
    struct gh_list destinations;
    unsigned count;
};

/* ---- destinations ---- */

static void forget_waiting(struct destination *d)
{
    while (d->waiting_count)
        free((void *)(uintptr_t)d->waiting[--d->waiting_count].data);
}

static void forget_tunnel(struct destination *d)
{
    struct capture *c = d->u->c;
    struct gh_http_stream *stream = d->stream;

    d->stream = NULL;
    if (d->state == DESTINATION_OPEN)
        capture_count(c, CAPTURE_METRIC_TUNNELS, CAPTURE_UDP, -1);
    if (!stream)
        return;
    c->opener->forget(c->opener->self, stream);
    /* nothing is unfinished in a tunnel of datagrams */
    if (d->state != DESTINATION_OPEN || gh_http_send(stream, gh_span_of(NULL, 0), true) < 0)
        gh_http_reset(stream, GH_HTTP_REQUEST_CANCELLED);
}

static void give_up(struct destination *d)
{
    forget_tunnel(d);
    forget_waiting(d);
    gh_capsule_reader_fini(&d->capsules);
    gh_list_unlink(&d->link);
    d->u->count--;
    free(d);
}

static bool is_same(const struct gh_socks5_addr *a, const struct gh_socks5_addr *b)
{
    return a->port == b->port && gh_ip_equals(&a->ip, &b->ip) && strcmp(a->name, b->name) == 0;
}

static struct destination *find(struct capture_udp *u, const struct gh_socks5_addr *to)
{
    gh_list_each(it, &u->destinations)
    {
        struct destination *d = gh_container_of(it, struct destination, link);

        if (is_same(&d->to, to))
            return d;
    }
    return NULL;
}

/* It is not asked for again for a while. */
static void set_refused(struct destination *d, enum gh_drop why)
{
    capture_count(d->u->c, CAPTURE_METRIC_REQUESTS, why == GH_DROP_POLICY ? CAPTURE_DENIED : CAPTURE_FAILED, 1);
    forget_tunnel(d);
    for (size_t i = 0; i < d->waiting_count; i++)
        capture_drop(d->u->c, why);
    forget_waiting(d);
    d->state = DESTINATION_REFUSED;
    d->why = why;
    d->active_at = gh_worker_now(d->u->c->w);
}

/* ---- from the program to the tunnel ---- */

/* <payload> has a writable byte before it. */
static void send_out(struct destination *d, const uint8_t *payload, size_t len)
{
    struct capture *c = d->u->c;
    uint8_t *at = (uint8_t *)(uintptr_t)payload - 1;
    int rc;

    *at = CONTEXT_UDP;
    rc = gh_http_send_datagram(d->stream, gh_span_of(at, len + 1), d->flow);
    if (rc == 0)
        capture_count(c, CAPTURE_METRIC_BYTES, CAPTURE_OUT, (int64_t)len);
    else
        capture_drop(c, rc == GH_ERR_AGAIN ? GH_DROP_QUEUE_FULL : rc == GH_ERR_TOO_LONG ? GH_DROP_TOO_BIG : GH_DROP_NO_DATAGRAM);
}

static void keep(struct destination *d, struct gh_span payload)
{
    uint8_t *copy = d->waiting_count < QUEUE ? malloc(payload.len + 1) : NULL;

    if (!copy) {
        capture_drop(d->u->c, GH_DROP_QUEUE_FULL);
        return;
    }
    if (payload.len)
        memcpy(copy + 1, payload.data, payload.len);
    d->waiting[d->waiting_count++] = gh_span_of(copy, payload.len + 1);
}

/* ---- from the tunnel to the program ---- */

/* An HTTP datagram: a context id and what came from the host. */
static void take(struct destination *d, struct gh_span payload)
{
    struct capture_udp *u = d->u;
    struct capture *c = u->c;
    struct gh_reader r = gh_reader_of(payload);
    uint64_t context = gh_read_varint(&r);
    struct gh_span udp = gh_read_span(&r, gh_reader_left(&r));
    struct gh_writer w = gh_writer_of(c->out, GH_DGRAM_MAX);

    d->active_at = gh_worker_now(c->w);
    if (!gh_reader_done(&r) || context != CONTEXT_UDP) {
        capture_drop(c, GH_DROP_CONTEXT);
        return;
    }
    gh_socks5_emit_udp_head(&w, &d->from);
    gh_write_span(&w, udp);
    if (w.failed)
        capture_drop(c, GH_DROP_TOO_BIG);
    else if (gh_dgram_send(u->fd, gh_span_of(c->out, gh_writer_len(&w))) < 0)
        capture_drop(c, GH_DROP_UDP_WRITE);
    else
        capture_count(c, CAPTURE_METRIC_BYTES, CAPTURE_IN, (int64_t)udp.len);
}

static void on_datagram(void *arg, struct gh_http_stream *s, struct gh_span payload)
{
    struct destination *d = arg;

    (void)s;
    if (d->state == DESTINATION_OPEN)
        take(d, payload);
}

/* Where the version of HTTP has no datagrams they are capsules. */
static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct destination *d = arg;
    struct gh_capsule capsule;
    int rc = 1;

    (void)s;
    while (d->state == DESTINATION_OPEN && rc > 0) {
        rc = gh_capsule_next(&d->capsules, &data, &capsule);
        if (rc > 0)
            take(d, capsule.value);
    }
    if (d->state == DESTINATION_OPEN && (rc < 0 || end))
        give_up(d);
}

/* RFC 9209, section 2.1.2: with whom the relay talks. */
static void learn_from(struct destination *d, const struct gh_http_head *head)
{
    char text[GH_PROXY_STATUS_VALUE];
    struct gh_host_target t;

    if (!gh_proxy_status_find(gh_http_field_find(head, "proxy-status"), "next-hop", text) || gh_host_target_of_authority(gh_span_str(text), &t) < 0 || !t.ip.family)
        return;
    d->from = (struct gh_socks5_addr){ .ip = t.ip, .port = t.port };
}

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct destination *d = arg;

    (void)s;
    if (d->state != DESTINATION_ASKED || head->status < 200)
        return;
    if (head->status > 299) {
        set_refused(d, gh_capture_failure_of(head).reply == GH_SOCKS5_NOT_ALLOWED ? GH_DROP_POLICY : GH_DROP_NO_DATAGRAM);
        return;
    }
    d->state = DESTINATION_OPEN;
    capture_count(d->u->c, CAPTURE_METRIC_REQUESTS, CAPTURE_OPENED, 1);
    capture_count(d->u->c, CAPTURE_METRIC_TUNNELS, CAPTURE_UDP, 1);
    if (!d->to.ip.family)
        learn_from(d, head);
    for (size_t i = 0; i < d->waiting_count; i++)
        send_out(d, d->waiting[i].data + 1, d->waiting[i].len - 1);
    forget_waiting(d);
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct destination *d = arg;

    (void)s;
    (void)code;
    d->stream = NULL;
    if (d->state == DESTINATION_ASKED)
        set_refused(d, GH_DROP_NO_DATAGRAM);
    else
        give_up(d); /* the next datagram asks again */
}

static const struct gh_http_events tunnel_events = { on_answer, on_body, on_datagram, NULL, on_closed };

/* ---- the association ---- */

static struct destination *ask(struct capture_udp *u, const struct gh_socks5_addr *to)
{
    static const uint64_t kept[] = { GH_CAPSULE_DATAGRAM };
    struct capture *c = u->c;
    struct gh_host_target t = { .ip = to->ip, .port = to->port };
    struct destination *d;
    size_t len = strnlen(to->name, sizeof to->name);
    int rc;

    if (u->count >= c->max_destinations)
        give_up(gh_container_of(u->destinations.next, struct destination, link));
    d = len < sizeof t.name ? calloc(1, sizeof *d) : NULL;
    if (!d)
        return NULL;
    memcpy(t.name, to->name, len);
    gh_host_target_unmap(&t.ip);
    d->u = u;
    d->flow = ++c->flows;
    d->to = d->from = *to;
    gh_capsule_reader_init(&d->capsules, kept, 1, 0);
    rc = c->opener->open(c->opener->self, &t, true, &tunnel_events, d, &d->stream);
    if (rc < 0) {
        gh_capsule_reader_fini(&d->capsules);
        free(d);
        return NULL;
    }
    gh_list_append(&u->destinations, &d->link);
    u->count++;
    return d;
}

static void on_program(struct capture_udp *u, struct gh_span datagram)
{
    struct capture *c = u->c;
    struct gh_socks5_addr to;
    struct gh_span payload;
    struct destination *d;

    if (gh_socks5_parse_udp(datagram, &to, &payload) < 0 || to.port == 0) {
        capture_drop(c, GH_DROP_MALFORMED);
        return;
    }
    d = find(u, &to);
    if (!d)
        d = ask(u, &to);
    if (!d) {
        capture_drop(c, GH_DROP_NO_DATAGRAM);
        return;
    }
    if (d->state == DESTINATION_REFUSED) {
        capture_drop(c, d->why);
        return;
    }
    d->active_at = gh_worker_now(c->w);
    gh_list_unlink(&d->link);
    gh_list_append(&u->destinations, &d->link);
    if (d->state == DESTINATION_OPEN)
        send_out(d, payload.data, payload.len); /* the header is before it */
    else
        keep(d, payload);
}

/* Who is it? */
static bool is_ours(struct capture_udp *u, const struct gh_endpoint *from)
{
    if (u->from.ip.family)
        return gh_endpoint_equals(&u->from, from);
    if (!gh_ip_equals(&u->peer, &from->ip) || (u->port && u->port != from->port) || gh_dgram_join(u->fd, from) < 0)
        return false;
    u->from = *from;
    return true;
}

static void on_poll(void *arg, int events)
{
    struct capture_udp *u = arg;
    struct capture *c = u->c;

    (void)events;
    for (unsigned i = 0; i < BATCH; i++) {
        struct gh_endpoint from;
        ssize_t n = gh_dgram_receive_from(u->fd, c->in, GH_DGRAM_MAX, &from);

        if (n == GH_ERR_AGAIN)
            return;
        if (n < 0) /* the program does not listen any more: its control connection will tell */
            continue;
        if (is_ours(u, &from))
            on_program(u, gh_span_of(c->in, (size_t)n));
        else
            capture_drop(c, GH_DROP_SOURCE);
    }
}

int capture_udp_open(struct capture *c, struct gh_byte_stream *control, uint16_t port, struct capture_udp **ret, struct gh_endpoint *ret_at)
{
    struct capture_udp *u = calloc(1, sizeof *u);
    struct gh_endpoint local, remote;
    int rc = GH_ERR_MEMORY;

    if (!u)
        return rc;
    gh_byte_stream_addresses(control, &local, &remote);
    u->c = c;
    u->peer = remote.ip;
    u->port = port;
    gh_list_init(&u->destinations);
    gh_list_init(&u->link);
    local.port = 0;
    u->fd = gh_dgram_bind(&local);
    rc = u->fd < 0 ? u->fd : gh_sock_local(u->fd, ret_at);
    if (rc == 0)
        rc = gh_poll_open(c->w, u->fd, GH_POLL_READ, on_poll, u, &u->poll);
    if (rc < 0) {
        capture_udp_close(u);
        return rc;
    }
    gh_list_append(&c->associations, &u->link);
    if (!c->sweep.started)
        gh_worker_deadline_start(c->w, &c->sweep, gh_worker_now(c->w) + SWEEP);
    *ret = u;
    return 0;
}

void capture_udp_close(struct capture_udp *u)
{
    if (!u)
        return;
    gh_list_each(it, &u->destinations)
        give_up(gh_container_of(it, struct destination, link));
    gh_poll_close(u->poll);
    gh_sock_close(u->fd);
    gh_list_unlink(&u->link);
    free(u);
}

static void sweep_one(struct capture_udp *u, int64_t now)
{
    gh_list_each(it, &u->destinations)
    {
        struct destination *d = gh_container_of(it, struct destination, link);

        if (now - d->active_at >= (d->state == DESTINATION_REFUSED ? REFUSED_FOR : u->c->udp_timeout))
            give_up(d);
    }
}

void capture_udp_sweep(struct capture *c, int64_t now)
{
    gh_list_each(it, &c->associations)
        sweep_one(gh_container_of(it, struct capture_udp, link), now);
    if (!gh_list_empty(&c->associations))
        gh_worker_deadline_start(c->w, &c->sweep, now + SWEEP);
}
