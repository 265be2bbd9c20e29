/* A connection: its first flight is read without answering, it is decided where it goes, and there it is carried.
 *
 *   PEEK ---> DIAL ---> PUMP
 *     |  \      |
 *     |   PARKED|          no place: it waits unanswered
 *     |         v
 *     |        SILENT      nobody answers behind us: neither do we
 *
 * Whoever takes its time finds the camouflage waiting for it since shortly after it connected, and what it says goes there as it comes
 * (dial_early, feed_early): the site's own time-outs and its own judgement of a piece of a hello count. The site is silent as long as
 * the piece may become a hello. When it becomes one that is carried elsewhere, the site's connection is dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "os/clock.h"
#include "services/door/door_internal.h"
#include "wire/proxy_v2.h"

#define EARLY INT64_C(1000000)           /* ns without a hello until the camouflage is connected to */
#define SILENCE (INT64_C(127) * 1000000000) /* ns: what a client's own SYNs would have taken to give up */
#define ADDRESSES_MAX 16u

enum state { PEEK, PARKED, DIAL, SILENT, PUMP };

struct door_flow {
    struct gh_pump pump; /* first; side 0 is the client */
    struct door_worker *dw;
    struct gh_list link, parked;
    struct gh_deadline timer;
    struct gh_endpoint client;
    uint16_t port;       /* that it came to */
    uint8_t state;
    bool early;          /* side 1 is the camouflage, before it was decided */
    bool early_up;       /* and connected */
    bool placed;         /* counts against max_connections */
    bool client_ended;   /* while nobody reads */
    bool refused;        /* a backend said no, rather than nothing */
    struct gh_tls_hello_reader reader;
    uint8_t *in;         /* what came, when it is not decided at once */
    size_t in_len;
    size_t fed;          /* of it, what the camouflage has been sent */
    int urgent;          /* a byte of urgent data that came behind <urgent_at> of them, for the camouflage; -1: none */
    size_t urgent_at;
    int64_t opened;
    struct door_table *table; /* counted */
    struct door_target *target;
    struct door_backend *backend; /* counts this connection */
    uint32_t tried;               /* backends, a bit for each */
    unsigned address;             /* of the backend, to be tried next */
    uint64_t told[2];             /* bytes that were counted */
};

static struct door_flow *of_pump(struct gh_pump *p)
{
    return gh_container_of(p, struct door_flow, pump);
}

static struct door_flow *of_edge(struct gh_edge *e, unsigned side)
{
    return of_pump((struct gh_pump *)((char *)e - offsetof(struct gh_pump, side[0].edge) - side * sizeof(struct gh_pump_side)));
}

/* ---- the end ---- */

static void count_bytes(struct door_flow *f)
{
    for (unsigned i = 0; i < 2; i++) {
        f->dw->bytes[i] += f->pump.side[i].bytes - f->told[i];
        f->told[i] = f->pump.side[i].bytes;
    }
}

static void leave_backend(struct door_flow *f)
{
    if (f->backend)
        atomic_fetch_sub_explicit(&f->backend->connections, 1, memory_order_relaxed);
    f->backend = NULL;
}

/* Both sockets are closed. */
static void destroy(struct door_flow *f)
{
    struct door_worker *dw = f->dw;
    bool placed = f->placed;

    count_bytes(f);
    leave_backend(f);
    gh_worker_deadline_stop(dw->w, &f->timer);
    gh_list_unlink(&f->link);
    gh_list_unlink(&f->parked);
    gh_tls_hello_reader_fini(&f->reader);
    door_table_put(f->table);
    free(f->in);
    free(f);
    atomic_fetch_sub_explicit(&dw->d->connections, 1, memory_order_relaxed);
    if (placed) {
        atomic_fetch_sub_explicit(&dw->d->placed, 1, memory_order_relaxed);
        door_flow_unpark(dw);
    }
}

static void on_pump_end(struct gh_pump *p, bool reset)
{
    struct door_flow *f = of_pump(p);

    if (reset)
        door_count(f->dw, DOOR_METRIC_RESETS, 0);
    destroy(f);
}

static void end(struct door_flow *f, bool reset)
{
    gh_pump_close(&f->pump, reset);
    on_pump_end(&f->pump, reset);
}

void door_flow_close_all(struct door_worker *dw)
{
    gh_list_each(it, &dw->flows)
        end(gh_container_of(it, struct door_flow, link), false);
}

/* ---- dialling ---- */

static void dial(struct door_flow *f);

static void start_pump(struct door_flow *f)
{
    gh_worker_deadline_stop(f->dw->w, &f->timer);
    f->state = PUMP;
    gh_pump_start(&f->pump);
}

/* Whoever asks a host that is not there hears nothing for as long as its own patience lasts. */
static void fall_silent(struct door_flow *f)
{
    if (f->refused) {
        end(f, true);
        return;
    }
    f->state = SILENT;
    gh_worker_deadline_start(f->dw->w, &f->timer, gh_worker_now(f->dw->w) + SILENCE);
}

static void drop_backend_socket(struct door_flow *f)
{
    gh_pump_close_side(&f->pump, 1, true);
}

static void dial_failed(struct door_flow *f, bool timed_out, int error)
{
    door_count(f->dw, DOOR_METRIC_DIALS, timed_out ? DOOR_DIAL_TIMED_OUT : DOOR_DIAL_REFUSED);
    f->refused |= error == ECONNREFUSED || error == ECONNRESET;
    if (f->target->count > 1 && f->target->health_check)
        atomic_store_explicit(&f->backend->down, true, memory_order_relaxed);
    drop_backend_socket(f);
    dial(f);
}

static void dial_done(struct door_flow *f)
{
    door_count(f->dw, DOOR_METRIC_DIALS, DOOR_DIAL_DONE);
    start_pump(f);
}

static void on_dial_edge(struct gh_edge *e, unsigned events)
{
    struct door_flow *f = of_edge(e, 1);

    f->pump.side[1].readable |= (events & GH_EDGE_READ) != 0;
    f->pump.side[1].ending |= (events & GH_EDGE_END) != 0;
    if (events & GH_EDGE_FAILED && gh_sock_connected(f->pump.side[1].fd) < 0)
        dial_failed(f, false, errno);
    else if (events & GH_EDGE_WRITE)
        dial_done(f);
}

/* Nobody reads from the client while a backend is dialled, but a reset ends it. */
static void on_client_edge(struct gh_edge *e, unsigned events)
{
    struct door_flow *f = of_edge(e, 0);

    if (events & GH_EDGE_FAILED || (f->state == SILENT && (events & GH_EDGE_END))) {
        end(f, (events & GH_EDGE_FAILED) != 0);
        return;
    }
    f->pump.side[0].readable |= (events & GH_EDGE_READ) != 0;
    f->pump.side[0].ending |= (events & GH_EDGE_END) != 0;
    f->pump.side[0].urgent |= (events & GH_EDGE_URGENT) != 0;
}

/* The next address that was not tried yet. */
static bool next_address(struct door_flow *f, struct gh_endpoint *ret)
{
    for (;;) {
        int next;

        if (f->backend && door_backend_addr(f->backend, f->address, ret)) {
            f->address++;
            return true;
        }
        if (f->backend && f->address == 0)
            door_count(f->dw, DOOR_METRIC_DIALS, DOOR_DIAL_NO_ADDRESS);
        leave_backend(f);
        next = door_target_choose(f->target, f->tried);
        if (next < 0)
            return false;
        f->tried |= UINT32_C(1) << next;
        f->address = 0;
        f->backend = &f->target->backends[next];
        atomic_fetch_add_explicit(&f->backend->connections, 1, memory_order_relaxed);
    }
}

/* A socket on its way to the target, in side 1. */
static int connect_next(struct door_flow *f)
{
    struct gh_endpoint to;

    while (next_address(f, &to)) {
        int fd = gh_sock_connect_tcp(&to);

        if (fd >= 0) {
            gh_pump_set_fd(&f->pump, 1, fd);
            f->pump.side[1].delays = true;
            return 0;
        }
        f->refused |= errno == ECONNREFUSED;
        door_count(f->dw, DOOR_METRIC_DIALS, DOOR_DIAL_REFUSED);
    }
    return GH_ERR_NOT_FOUND;
}

/* What goes to the backend waits in side 0 of the pump. A connection over the loopback is there already: trying costs less than asking. */
static void dial(struct door_flow *f)
{
    int rc;

    f->state = DIAL;
    f->pump.side[0].edge.fn = on_client_edge;
    f->pump.side[1].edge.fn = on_dial_edge;
    if (gh_pump_watch(&f->pump, 0) < 0) {
        end(f, true);
        return;
    }
    if (connect_next(f) < 0) {
        fall_silent(f);
        return;
    }
    if (gh_pump_watch(&f->pump, 1) < 0) {
        end(f, true);
        return;
    }
    rc = gh_pump_try(&f->pump, 0);
    if (rc > 0)
        dial_done(f);
    else if (rc < 0)
        dial_failed(f, false, errno);
    else
        gh_worker_deadline_start(f->dw->w, &f->timer, gh_worker_now(f->dw->w) + f->table->connect_timeout);
}

/* ---- the decision ---- */

/* Who the client is, for a backend that expects to be told. It is no byte of the client's. */
static int push_proxy_header(struct door_flow *f)
{
    uint8_t buf[GH_PROXY_V2_EMIT_MAX];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);
    struct gh_endpoint local = { .port = f->port };
    struct gh_proxy_v2 p = { .source = f->client.ip, .source_port = f->client.port };
    int rc;

    (void)gh_sock_local(f->pump.side[0].fd, &local);
    p.destination = local.ip;
    p.destination_port = local.port;
    rc = gh_proxy_v2_emit(&w, &p);
    return rc < 0 ? rc : gh_pump_push(&f->pump, 0, gh_span_of(buf, gh_writer_len(&w)));
}

static int push_first(struct door_flow *f, struct gh_span bytes)
{
    if (f->target->proxy_protocol && push_proxy_header(f) < 0)
        return GH_ERR_MEMORY;
    f->pump.side[0].bytes += bytes.len;
    return gh_pump_push(&f->pump, 0, bytes);
}

static void go(struct door_flow *f, struct gh_span bytes)
{
    bool early = f->early;

    if (f->fed) { /* it waits there already */
        f->pump.side[0].bytes += f->fed;
        bytes = gh_span_of(bytes.data + f->fed, bytes.len - f->fed);
    }
    if (push_first(f, bytes) < 0) {
        end(f, true);
        return;
    }
    free(f->in);
    f->in = NULL;
    gh_tls_hello_reader_fini(&f->reader);
    if (early && f->early_up) {
        start_pump(f);
    } else if (early) { /* still connecting */
        f->state = DIAL;
        f->pump.side[0].edge.fn = on_client_edge;
        f->pump.side[1].edge.fn = on_dial_edge;
        gh_worker_deadline_start(f->dw->w, &f->timer, gh_worker_now(f->dw->w) + f->table->connect_timeout);
    } else {
        dial(f);
    }
}

static bool take_place(struct door_flow *f)
{
    struct door *d = f->dw->d;
    unsigned limit = f->table->max_connections ? f->table->max_connections : d->connections_limit;

    if (atomic_fetch_add_explicit(&d->placed, 1, memory_order_relaxed) < limit)
        return f->placed = true;
    atomic_fetch_sub_explicit(&d->placed, 1, memory_order_relaxed);
    return false;
}

static void drop_early(struct door_flow *f)
{
    drop_backend_socket(f);
    leave_backend(f);
    f->early = f->early_up = false;
    f->tried = 0;
    f->fed = 0;
}

/* <bytes> are all that came: in f->in, or in the pool's buffer. */
static void carry(struct door_flow *f, struct door_target *target, struct gh_span bytes)
{
    f->target = target;
    if (f->early && target != &f->table->relay)
        drop_early(f);
    if (take_place(f)) {
        go(f, bytes);
        return;
    }
    if (!f->in && bytes.len) {
        f->in = malloc(bytes.len);
        if (!f->in) {
            end(f, true);
            return;
        }
        memcpy(f->in, bytes.data, bytes.len);
        f->in_len = bytes.len;
    }
    f->state = PARKED;
    door_count(f->dw, DOOR_METRIC_PARKED, 0);
    gh_list_append(&f->dw->parked, &f->parked);
    f->pump.side[0].edge.fn = on_client_edge;
    if (gh_pump_watch(&f->pump, 0) < 0)
        end(f, true);
    else
        gh_worker_deadline_start(f->dw->w, &f->timer, gh_worker_now(f->dw->w) + f->table->peek_timeout);
}

void door_flow_unpark(struct door_worker *dw)
{
    while (!gh_list_empty(&dw->parked)) {
        struct door_flow *f = gh_container_of(dw->parked.next, struct door_flow, parked);

        if (!take_place(f))
            return;
        gh_list_unlink(&f->parked);
        gh_worker_deadline_stop(dw->w, &f->timer);
        go(f, gh_span_of(f->in, f->in_len));
    }
}

/* Its TLS ends here: the flow is over, the socket lives on. */
static void hand_over(struct door_flow *f, struct gh_tls_ctx *ctx, enum door_way way, struct gh_span bytes)
{
    int fd = gh_pump_release(&f->pump, 0);

    door_count(f->dw, DOOR_METRIC_CONNECTIONS, way);
    door_tls_take(f->dw, fd, &f->client, ctx, way == DOOR_TUNNEL, bytes);
    gh_pump_close(&f->pump, true); /* an early camouflage */
    destroy(f);
}

/* What is no TLS ends in TLS, too: its words are those of any server. */
static void decide_stranger(struct door_flow *f, struct gh_span bytes)
{
    if (f->table->relay.count) {
        door_count(f->dw, DOOR_METRIC_CONNECTIONS, DOOR_STRANGER);
        carry(f, &f->table->relay, bytes);
    } else {
        hand_over(f, f->table->site, DOOR_STRANGER, bytes);
    }
}

/* The whole hello is sealed by its ECH: whoever changes a byte of it has one that does not open. */
static bool is_replay(struct door_flow *f, const struct gh_tls_hello *hello)
{
    struct door_replay *replay = f->dw->d->replay;

    return replay && door_replay_seen(replay, hello->body, gh_worker_wall(f->dw->w), f->table->replay_window / GH_NANOSECONDS);
}

static void decide(struct door_flow *f, const struct gh_tls_hello *hello, struct gh_span bytes)
{
    bool opened, ours = door_keys_open(f->table, hello, gh_worker_wall(f->dw->w), &opened);
    int target = opened ? -1 : door_routes_find(f->table->routes, hello->sni, f->port, hello->alpn);

    if (opened)
        door_count(f->dw, DOOR_METRIC_HELLOS, DOOR_HELLO_ECH);
    if (ours && is_replay(f, hello)) {
        door_count(f->dw, DOOR_METRIC_REPLAYS, 0);
        ours = false;
    }
    if (ours) {
        hand_over(f, f->table->tunnel, DOOR_TUNNEL, bytes);
        return;
    }
    door_count(f->dw, DOOR_METRIC_HELLOS, *hello->sni ? DOOR_HELLO_NAMED : DOOR_HELLO_NAMELESS);
    if (target >= 0 && f->table->targets[target].tunnel) {
        if (f->table->tunnel)
            hand_over(f, f->table->tunnel, DOOR_TUNNEL, bytes);
        else
            decide_stranger(f, bytes);
        return;
    }
    if (target < 0) {
        decide_stranger(f, bytes);
        return;
    }
    door_count(f->dw, DOOR_METRIC_CONNECTIONS, DOOR_ROUTED);
    carry(f, &f->table->targets[target], bytes);
}

/* ---- the first flight ---- */

/* The site has reset the connection that waited for a hello; what it said before is the client's. */
static void end_by_site(struct door_flow *f)
{
    if (f->state == PEEK)
        door_count(f->dw, DOOR_METRIC_CONNECTIONS, DOOR_STRANGER);
    gh_pump_fail(&f->pump, 1);
}

static enum door_hello name_failure(int rc)
{
    return rc == GH_ERR_UNSUPPORTED ? DOOR_HELLO_NOT_TLS : rc == GH_ERR_TOO_LONG ? DOOR_HELLO_TOO_LONG : DOOR_HELLO_MALFORMED;
}

/* True when it was decided, and the flow may be gone. */
static bool look(struct door_flow *f, struct gh_span bytes)
{
    struct gh_tls_hello hello;
    int rc = gh_tls_hello_read(&f->reader, bytes, &hello);

    if (rc == 0)
        return false;
    if (rc > 0) {
        decide(f, &hello, bytes);
    } else {
        door_count(f->dw, DOOR_METRIC_HELLOS, name_failure(rc));
        decide_stranger(f, bytes);
    }
    return true;
}

/* True when it was decided. */
static bool keep_and_look(struct door_flow *f, struct gh_span bytes)
{
    uint8_t *all;

    if (f->in_len == 0 && look(f, bytes))
        return true;
    all = realloc(f->in, f->in_len + bytes.len);
    if (!all) {
        end(f, true);
        return true;
    }
    memcpy(all + f->in_len, bytes.data, bytes.len);
    f->in = all;
    f->in_len += bytes.len;
    return f->in_len > bytes.len && look(f, gh_span_of(f->in, f->in_len));
}

static bool urgent_is_due(const struct door_flow *f)
{
    return f->urgent >= 0 && f->urgent_at == f->fed;
}

/* Gives the camouflage what came since. False when it is broken, and then the flow is gone: the site has reset it. */
static bool feed_early(struct door_flow *f)
{
    int site = f->pump.side[1].fd;
    ssize_t n = 0;

    while (f->early_up && n >= 0 && (f->fed < f->in_len || urgent_is_due(f))) {
        size_t until = f->urgent >= 0 && f->urgent_at > f->fed ? f->urgent_at : f->in_len;

        if (urgent_is_due(f)) {
            n = gh_sock_send_urgent(site, (uint8_t)f->urgent);
            f->urgent = -1;
        } else {
            n = gh_sock_send(site, gh_span_of(f->in + f->fed, until - f->fed));
            f->fed += n > 0 ? (size_t)n : 0;
        }
    }
    if (n < 0 && n != GH_ERR_AGAIN) { /* else an edge follows */
        end_by_site(f);
        return false;
    }
    return true;
}

/* Reading goes past it: whose hello is not whole yet may be a client with a peculiar way to cut it. */
static void keep_urgent(struct door_flow *f)
{
    if (!f->pump.side[0].urgent || !gh_sock_at_urgent(f->pump.side[0].fd))
        return;
    f->pump.side[0].urgent = false;
    f->urgent = gh_sock_receive_urgent(f->pump.side[0].fd);
    f->urgent_at = f->in_len;
}

/* What came from the client. True when it was decided. */
static bool read_client(struct door_flow *f)
{
    uint8_t *buffer = gh_pump_pool_buffer(f->dw->pool);

    for (;;) {
        ssize_t n;

        keep_urgent(f);
        n = gh_sock_receive(f->pump.side[0].fd, buffer, GH_PUMP_COPY);
        if (n == GH_ERR_AGAIN)
            return !feed_early(f);
        if (n == GH_ERR_CLOSED) { /* it has said all that it has to say: let the site see that, too */
            f->pump.side[0].readable = true;
            decide_stranger(f, gh_span_of(f->in, f->in_len));
            return true;
        }
        if (n < 0) {
            end(f, true);
            return true;
        }
        f->pump.side[0].readable = (size_t)n == GH_PUMP_COPY || f->pump.side[0].ending || f->pump.side[0].urgent;
        if (keep_and_look(f, gh_span_of(buffer, (size_t)n)))
            return true;
        if (!f->pump.side[0].readable)
            return !feed_early(f);
    }
}

static void on_peek_edge(struct gh_edge *e, unsigned events)
{
    struct door_flow *f = of_edge(e, 0);

    f->pump.side[0].ending |= (events & GH_EDGE_END) != 0;
    f->pump.side[0].urgent |= (events & GH_EDGE_URGENT) != 0;
    if (events & GH_EDGE_FAILED)
        end(f, true);
    else if (events & (GH_EDGE_READ | GH_EDGE_URGENT))
        read_client(f);
}

/* The camouflage speaks, or ends, before the client has said enough: it is the camouflage's. What a site that has gone would not have read
 * is not sent to it. */
static void on_early_edge(struct gh_edge *e, unsigned events)
{
    struct door_flow *f = of_edge(e, 1);

    f->pump.side[1].readable |= (events & GH_EDGE_READ) != 0;
    f->pump.side[1].ending |= (events & GH_EDGE_END) != 0;
    if (events & GH_EDGE_FAILED && f->early_up) {
        end_by_site(f);
    } else if (events & GH_EDGE_FAILED) {
        drop_early(f); /* once is enough: the decision dials anew */
    } else if (f->state == PARKED) {
        f->early_up = true;
        if (events & GH_EDGE_END) /* it has waited long enough */
            end(f, false);
    } else {
        f->early_up = true;
        if (events & GH_EDGE_END)
            f->fed = f->in_len;
        if (events & (GH_EDGE_READ | GH_EDGE_END)) {
            door_count(f->dw, DOOR_METRIC_HELLOS, DOOR_HELLO_LATE);
            decide_stranger(f, gh_span_of(f->in, f->in_len));
        } else {
            feed_early(f);
        }
    }
}

static void dial_early(struct door_flow *f)
{
    f->target = &f->table->relay;
    f->pump.side[1].edge.fn = on_early_edge;
    if (f->target->count == 0 || connect_next(f) < 0)
        return;
    gh_sock_set_nodelay(f->pump.side[1].fd); /* what it is fed is pieces */
    f->pump.side[1].delays = false;
    f->early = true;
    if (gh_pump_watch(&f->pump, 1) < 0)
        end(f, true);
}

static void on_timer(void *arg, int64_t now)
{
    struct door_flow *f = arg;

    switch ((enum state)f->state) {
    case PEEK:
        if (now < f->opened + f->table->peek_timeout) {
            gh_worker_deadline_start(f->dw->w, &f->timer, f->opened + f->table->peek_timeout);
            dial_early(f);
            return;
        }
        door_count(f->dw, DOOR_METRIC_HELLOS, DOOR_HELLO_LATE);
        decide_stranger(f, gh_span_of(f->in, f->in_len));
        return;
    case DIAL:
        dial_failed(f, true, 0);
        return;
    case PARKED:
        end(f, false);
        return;
    case SILENT:
        end(f, true);
        return;
    case PUMP:
        return;
    }
}

void door_flow_open(struct door_worker *dw, int fd, const struct gh_endpoint *client, uint16_t port)
{
    struct door_flow *f = calloc(1, sizeof *f);

    if (!f) {
        gh_sock_close(fd);
        door_count(dw, DOOR_METRIC_ACCEPT_FAILED, 0);
        return;
    }
    f->dw = dw;
    f->client = *client;
    f->port = port;
    f->urgent = -1;
    f->opened = gh_worker_now(dw->w);
    f->table = door_table_get(gh_snapshot_refresh(&dw->d->table, &dw->table));
    gh_list_init(&f->parked);
    gh_list_append(&dw->flows, &f->link);
    gh_deadline_init(&f->timer, on_timer, f);
    gh_pump_init(&f->pump, dw->pool, on_pump_end);
    gh_pump_set_fd(&f->pump, 0, fd);
    gh_tls_hello_reader_init(&f->reader, f->table->max_hello);
    f->pump.side[0].edge.fn = on_peek_edge;
    atomic_fetch_add_explicit(&dw->d->connections, 1, memory_order_relaxed);
    f->pump.side[0].urgent = gh_sock_at_urgent(fd);
    if (read_client(f)) /* mostly it is there */
        return;
    if (gh_pump_watch(&f->pump, 0) < 0) {
        end(f, true);
        return;
    }
    gh_worker_deadline_start(dw->w, &f->timer, f->opened + (f->table->relay.count ? EARLY : f->table->peek_timeout));
}
