#include "net/quic_endpoint.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "crypto/hash.h"
#include "net/quic_internal.h"

#define RECEIVE_MESSAGES 16u /* of one recvmmsg: the slab is this many times 64 KiB */
#define RECEIVE_FIRST 4u     /* the same of the first in a turn: nobody knows yet how long they are */
#define RECEIVE_ROUNDS 5u    /* receives in a turn before others have theirs */
#define RECEIVE_BYTES (256u * 1024) /* the same, about */
#define WRITE_BATCHES 8u     /* batches of one connection in a turn */

void gh_quic_endpoint_drop(struct gh_quic_endpoint *e, enum gh_drop why, uint64_t count)
{
    e->cfg.events->on_drop(e->cfg.arg, why, count);
}

/* What connections ask of their host. */

static int make_cid(void *arg, struct gh_quic_cid *ret, uint8_t ret_token[GH_QUIC_RESET_TOKEN])
{
    struct gh_quic_link *l = arg;
    struct gh_quic_endpoint *e = l->e;
    struct gh_quic_cid cid;
    int rc = gh_quic_answer_cid(e, &cid);

    if (rc < 0)
        return rc;
    rc = gh_quic_answer_reset_token(e, &cid, ret_token);
    if (rc == 0)
        rc = gh_quic_cids_add(l, &cid, NULL);
    if (rc == 0)
        *ret = cid;
    return rc;
}

static void retire_cid(void *arg, const struct gh_quic_cid *cid)
{
    gh_quic_cids_remove(arg, cid);
}

static void on_closed(void *arg, const struct gh_quic_close *why)
{
    struct gh_quic_link *l = arg;

    l->closed = true;
    l->why = *why;
    gh_quic_link_wake(l);
}

static int make_token(void *arg, uint8_t ret[GH_QUIC_NEW_TOKEN_MAX])
{
    struct gh_quic_link *l = arg;
    struct gh_quic_path path = gh_quic_current_path(l->quic);
    struct gh_quic_tokens t = gh_quic_answer_tokens(l->e);

    return l->e->cfg.retry == GH_QUIC_RETRY_NEVER ? 0 : gh_quic_token_new(&t, &path.remote, gh_worker_wall(l->e->cfg.worker), ret);
}

static void on_token(void *arg, struct gh_span token)
{
    struct gh_quic_link *l = arg;
    struct gh_endpoint remote = gh_quic_link_remote(l);

    gh_quic_memory_keep_token(l->e->memory, &remote, token);
}

static void on_session(void *arg, struct gh_tls_session *s)
{
    struct gh_quic_link *l = arg;
    struct gh_endpoint remote = gh_quic_link_remote(l);

    gh_quic_memory_keep_session(l->e->memory, &remote, l->tls, l->server_name, s);
}

static const struct gh_quic_host host = { make_cid, retire_cid, on_closed, make_token, on_token, on_session };

/* Links. */

static void fire(void *arg, int64_t now)
{
    struct gh_quic_link *l = arg;

    gh_quic_expire(l->quic, now);
    gh_quic_link_wake(l);
}

static struct gh_quic_link *link_create(struct gh_quic_endpoint *e)
{
    struct gh_quic_link *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->e = e;
    gh_list_init(&l->cids);
    gh_list_init(&l->dirty);
    gh_list_append(&e->all, &l->all);
    gh_deadline_init(&l->deadline, fire, l);
    e->links++;
    return l;
}

static void half_open_done(struct gh_quic_link *l, uint64_t *counter)
{
    if (!l->half_open)
        return;
    l->e->half_open--;
    l->half_open = false;
    ++*counter;
}

/* What the connection dropped or lost since the last time. */
static void collect(struct gh_quic_link *l)
{
    const struct gh_quic_counters *c = gh_quic_counters(l->quic);

    if (c->queue_full != l->told_full)
        gh_quic_endpoint_drop(l->e, GH_DROP_QUEUE_FULL, c->queue_full - l->told_full);
    if (c->queue_delay != l->told_delay)
        gh_quic_endpoint_drop(l->e, GH_DROP_QUEUE_DELAY, c->queue_delay - l->told_delay);
    if (c->shrunk != l->told_shrunk)
        gh_quic_endpoint_drop(l->e, GH_DROP_TOO_BIG, c->shrunk - l->told_shrunk);
    l->e->counters.datagrams_lost += c->datagrams_lost - l->told_lost;
    l->e->counters.key_updates += c->key_updates - l->told_updates;
    l->told_updates = c->key_updates;
    l->e->counters.probes += c->probes - l->told_probes;
    l->told_probes = c->probes;
    l->told_full = c->queue_full;
    l->e->counters.black_holes += c->black_holes - l->told_holes;
    l->told_holes = c->black_holes;
    l->told_delay = c->queue_delay;
    l->told_shrunk = c->shrunk;
    l->told_lost = c->datagrams_lost;
}

/* Nobody used it when the server was never heard. */
static void return_session(struct gh_quic_link *l)
{
    bool unused = l->quic && !gh_quic_is_abandoned(l->quic) && gh_quic_counters(l->quic)->packets_in == 0;

    gh_quic_memory_return_session(l->e->memory, l->session, !unused);
    l->session = NULL;
}

/* Whoever makes us compute for nothing pays for it: a certificate that was refused, a handshake left behind by an address that was proved. */
static void punish(struct gh_quic_link *l)
{
    bool local = l->why.kind == GH_QUIC_CLOSED_LOCAL && !l->why.application && l->why.code >= 0x100 && l->why.code < 0x200;
    bool known; /* the peer's address: its certificate was read, so it has our answer */
    struct gh_endpoint remote;

    if (!l->accepted || !l->quic || gh_quic_is_abandoned(l->quic) || l->e->refuse_new)
        return;
    known = l->proved || gh_quic_handshake_complete(l->quic) || *gh_tls_verify_error(gh_quic_tls(l->quic));
    if (!known || !(local || l->why.kind == GH_QUIC_CLOSED_HANDSHAKE))
        return;
    remote = gh_quic_link_remote(l);
    gh_source_budget_punish(&l->e->sources, &remote.ip, gh_worker_now(l->e->cfg.worker));
}

/* Nobody finds the link any more, then its owner is told, then it is gone. */
static void link_destroy(struct gh_quic_link *l)
{
    struct gh_quic_endpoint *e = l->e;

    l->gone = true;
    gh_quic_cids_clear(l);
    gh_worker_deadline_stop(e->cfg.worker, &l->deadline);
    gh_list_unlink(&l->dirty);
    gh_list_unlink(&l->all);
    punish(l);
    half_open_done(l, &e->counters.handshakes_failed);
    e->links--;
    if (l->quic)
        collect(l);
    if (l->why.kind == GH_QUIC_CLOSED_ASSERTION) {
        e->counters.assertions++;
        gh_quic_endpoint_drop(e, GH_DROP_LIBRARY_ASSERT, 1);
    }
    if (l->attached)
        e->cfg.events->on_closed(l->app_arg, l, &l->why);
    return_session(l);
    gh_quic_destroy(l->quic);
    gh_tls_ctx_put(l->tls);
    free(l->server_name);
    free(l);
}

struct gh_quic *gh_quic_link_quic(struct gh_quic_link *l)
{
    return l->quic;
}

struct gh_quic_endpoint *gh_quic_link_endpoint(struct gh_quic_link *l)
{
    return l->e;
}

struct gh_endpoint gh_quic_link_remote(struct gh_quic_link *l)
{
    struct gh_quic_path p = gh_quic_current_path(l->quic);

    return (struct gh_endpoint){ .ip = p.remote.ip, .port = p.remote.port };
}

void gh_quic_link_wake(struct gh_quic_link *l)
{
    if (gh_list_empty(&l->dirty) && !l->gone)
        gh_list_append(&l->e->dirty, &l->dirty);
}

/* Receiving. */

static struct gh_quic_link *accept_link(struct gh_quic_endpoint *e, struct gh_quic_initial *first, const struct gh_quic_path *path)
{
    struct gh_quic_link *l;
    struct gh_quic_owner owner = { .host = &host };
    struct gh_tls_ctx *tls;

    if (e->refuse_new) {
        gh_quic_endpoint_drop(e, GH_DROP_DRAINING, 1);
        return NULL;
    }
    if (!gh_quic_answer_admits(e, first, path))
        return NULL;
    if (e->half_open >= e->cfg.max_half_open) {
        gh_quic_endpoint_drop(e, GH_DROP_HANDSHAKE_LIMIT, 1);
        return NULL;
    }
    l = link_create(e);
    if (!l)
        return NULL;
    owner.host_arg = l;
    if (e->cfg.events->on_accept(e->cfg.arg, l, &owner.app, &owner.app_arg, &tls) < 0) {
        link_destroy(l);
        return NULL;
    }
    l->app_arg = owner.app_arg;
    l->attached = true;
    l->half_open = l->accepted = true;
    l->proved = first->proof != GH_QUIC_PROOF_NONE;
    e->half_open++;
    l->came_from = path->remote;
    if (gh_quic_cids_add(l, &first->dcid, e->cfg.admit ? &l->came_from : NULL) < 0 ||
        gh_quic_create_server(&e->cfg.quic, &owner, tls, first, path, gh_worker_now(e->cfg.worker), &l->quic) < 0) {
        link_destroy(l);
        return NULL;
    }
    e->cfg.events->on_attached(l->app_arg, l->quic);
    return l;
}

/* A short header with an id of ours that names no connection. A server says that the connection is gone. To a client it may
 * be just that: a reset of the only connection that it has with this peer. */
static struct gh_quic_link *unclaimed(struct gh_quic_endpoint *e, const struct gh_quic_cid *cid, const struct gh_quic_path *path, size_t len)
{
    if (e->cfg.server) {
        if (!e->cfg.admit)
            gh_quic_answer_reset(e, cid, len, path);
    } else {
        gh_list_each(it, &e->all)
        {
            struct gh_quic_link *l = gh_container_of(it, struct gh_quic_link, all);
            struct gh_endpoint remote = gh_quic_link_remote(l);
            struct gh_quic_path seen = *path;

            if (gh_quic_hop_inward(l, &seen) && !l->gone)
                return l;
            if (!l->gone && remote.port == path->remote.port && gh_ip_equals(&remote.ip, &path->remote.ip))
                return l;
        }
    }
    gh_quic_endpoint_drop(e, GH_DROP_QUIC_INVALID, 1);
    return NULL;
}

/* A client's socket is bound to no address, and the kernel may choose another one for each packet: to the engine its own
 * address is always "any". */
static struct gh_quic_path path_of(const struct gh_quic_endpoint *e, const struct gh_endpoint *local, const struct gh_endpoint *remote)
{
    struct gh_quic_path p = { { local->ip, e->udp.port }, { remote->ip, remote->port } };

    if (!e->cfg.server)
        p.local.ip = (struct gh_ip){ .family = remote->ip.family };
    return p;
}

static void deliver(struct gh_quic_link *l, const struct gh_quic_path *path, uint8_t ecn, struct gh_span payload)
{
    struct gh_quic_path seen;

    if (l->hop.port) {
        seen = *path;
        if (gh_quic_hop_inward(l, &seen))
            path = &seen;
    }
    gh_quic_recv(l->quic, path, ecn, payload, gh_worker_now(l->e->cfg.worker));
    if (l->half_open && gh_quic_handshake_complete(l->quic)) {
        half_open_done(l, &l->e->counters.handshakes_done);
        l->e->counters.resumed += gh_tls_resumed(gh_quic_tls(l->quic));
    }
    if (l->session && gh_quic_handshake_complete(l->quic))
        return_session(l);
    gh_quic_link_wake(l);
}

/* Whoever guards the endpoint decides. */
static bool ask(struct gh_quic_endpoint *e, const struct gh_quic_path *path, uint8_t ecn, struct gh_span payload)
{
    const struct gh_quic_stranger s = { { .ip = path->local.ip, .port = path->local.port }, { .ip = path->remote.ip, .port = path->remote.port }, ecn, payload };

    return e->cfg.admit(e->cfg.admit_arg, &s);
}

/* A datagram that another worker's socket read. */
struct handed_over {
    struct gh_message message;
    struct gh_quic_endpoint *to;
    struct gh_quic_path path;
    uint8_t ecn;
    size_t len;
    uint8_t data[];
};

static void deliver_handed_over(struct gh_worker *w, struct gh_message *m)
{
    struct handed_over *h = gh_container_of(m, struct handed_over, message);
    struct gh_quic_link *l = NULL;
    struct gh_quic_cid cid;
    bool is_long = true;

    (void)w;
    if (gh_quic_peek_dcid(gh_span_of(h->data, h->len), &cid, &is_long) == 0)
        l = gh_quic_cids_find(h->to, &cid, &h->path.remote);
    if (l)
        deliver(l, &h->path, h->ecn, gh_span_of(h->data, h->len));
    else if (h->to->cfg.admit)
        ask(h->to, &h->path, h->ecn, gh_span_of(h->data, h->len));
    else if (is_long)
        gh_quic_endpoint_drop(h->to, GH_DROP_QUIC_INVALID, 1);
    else
        unclaimed(h->to, &cid, &h->path, h->len);
    free(h);
}

static void hand_over(struct gh_quic_endpoint *e, unsigned worker, const struct gh_udp_message *m, struct gh_span payload)
{
    struct gh_quic_endpoint *to = e->cfg.group->endpoints[worker];
    struct handed_over *h = to ? malloc(sizeof *h + payload.len) : NULL;

    if (!h) {
        gh_quic_endpoint_drop(e, to ? GH_DROP_POOL_EMPTY : GH_DROP_QUIC_INVALID, 1);
        return;
    }
    *h = (struct handed_over){ { deliver_handed_over }, to, path_of(e, &m->local, &m->remote), m->ecn, payload.len };
    memcpy(h->data, payload.data, payload.len);
    if (gh_mailbox_post(to->cfg.worker, &h->message) < 0) {
        free(h);
        gh_quic_endpoint_drop(e, GH_DROP_MAILBOX_FULL, 1);
        return;
    }
    e->counters.handed_over++;
}

/* The first packet is read here: what it lacks may have to be asked for by a Retry (the parts of a long ClientHello came in another
 * order, and an address that nobody proved may not make us keep them). */
static struct gh_quic_link *accept_stranger(struct gh_quic_endpoint *e, struct gh_quic_initial *first, const struct gh_quic_path *path,
                                            uint8_t ecn, struct gh_span payload)
{
    struct gh_quic_link *l = accept_link(e, first, path);

    if (!l)
        return NULL;
    deliver(l, path, ecn, payload);
    if (l->closed && l->why.retry && e->cfg.retry != GH_QUIC_RETRY_NEVER)
        gh_quic_answer_retry(e, first, path);
    return NULL; /* its datagram is delivered */
}

/* A datagram for nobody that we know. */
static struct gh_quic_link *stranger(struct gh_quic_endpoint *e, const struct gh_quic_cid *cid, bool is_long, const struct gh_udp_message *m,
                                     struct gh_span payload)
{
    struct gh_quic_path path = path_of(e, &m->local, &m->remote);
    struct gh_quic_initial first;
    struct gh_quic_link *l = NULL;
    unsigned worker;
    int rc = 0;

    worker = cid->len == GH_QUIC_CID_LEN ? gh_quic_group_worker_of(e->cfg.group, cid->data) : e->cfg.index;
    if (e->cfg.admit && (is_long || worker == e->cfg.index || worker >= e->cfg.group->count) && !ask(e, &path, m->ecn, payload))
        return NULL;
    if (is_long && e->cfg.admit)
        l = gh_quic_cids_find(e, cid, &path.remote); /* begun by those that were kept */
    if (l)
        return l;
    if (is_long && e->cfg.server)
        rc = gh_quic_accept(payload, &first);
    if (rc == 1)
        return accept_stranger(e, &first, &path, m->ecn, payload);
    if (rc == GH_ERR_UNSUPPORTED) {
        if (!e->cfg.admit)
            gh_quic_answer_version(e, &first, &path);
        return NULL;
    }
    if (worker != e->cfg.index && worker < e->cfg.group->count)
        hand_over(e, worker, m, payload);
    else if (!is_long)
        return unclaimed(e, cid, &path, payload.len);
    else
        gh_quic_endpoint_drop(e, GH_DROP_QUIC_INVALID, 1);
    return NULL;
}

void gh_quic_endpoint_replay(struct gh_quic_endpoint *e, const struct gh_quic_stranger *d)
{
    struct gh_quic_path path = path_of(e, &d->local, &d->remote);
    struct gh_quic_initial first;
    struct gh_quic_link *l = NULL;
    struct gh_quic_cid cid;
    bool is_long;

    if (gh_quic_peek_dcid(d->payload, &cid, &is_long) == 0)
        l = gh_quic_cids_find(e, &cid, &path.remote);
    if (l)
        deliver(l, &path, d->ecn, d->payload);
    else if (gh_quic_accept(d->payload, &first) == 1)
        accept_stranger(e, &first, &path, d->ecn, d->payload);
    else
        gh_quic_endpoint_drop(e, GH_DROP_QUIC_INVALID, 1);
}

ssize_t gh_quic_endpoint_send(struct gh_quic_endpoint *e, const struct gh_udp_send *m)
{
    ssize_t n = gh_udp_send(&e->udp, m);

    e->counters.sends++;
    if (n > 0) {
        e->counters.datagrams_out++;
        e->counters.bytes_out += (uint64_t)n;
    }
    return n;
}

static void receive_message(struct gh_quic_endpoint *e, const struct gh_udp_message *m)
{
    struct gh_quic_path path = path_of(e, &m->local, &m->remote);
    struct gh_quic_link *l = NULL;
    struct gh_quic_cid cid, last = { 0 };
    bool is_long;
    size_t len;

    if (m->truncated) {
        gh_quic_endpoint_drop(e, GH_DROP_UDP_TRUNCATED, 1);
        return;
    }
    for (size_t at = 0; at < m->len; at += m->segment) {
        struct gh_span payload;

        len = m->len - at < m->segment ? m->len - at : m->segment;
        payload = gh_span_of(m->data + at, len);
        e->counters.datagrams_in++;
        if (gh_quic_peek_dcid(payload, &cid, &is_long) < 0) { /* to us; whoever is behind the guard may see it another way */
            if (!e->cfg.admit || ask(e, &path, m->ecn, payload))
                gh_quic_endpoint_drop(e, GH_DROP_QUIC_INVALID, 1);
            continue;
        }
        if (!l || cid.len != last.len || memcmp(cid.data, last.data, cid.len) != 0)
            l = gh_quic_cids_find(e, &cid, &path.remote);
        if (!l)
            l = stranger(e, &cid, is_long, m, payload);
        last = cid;
        if (l)
            deliver(l, &path, m->ecn, payload);
    }
    e->counters.bytes_in += m->len;
}

/* What comes for another agent waits in its queue until the end of the turn, and has to find room there. What is too much for a turn stays in
 * the socket; who sends more than that holds hears of it by the loss of its own packets. */
static void receive(struct gh_quic_endpoint *e)
{
    struct gh_udp_message messages[RECEIVE_MESSAGES];
    size_t asked = RECEIVE_FIRST, total = 0, count = 0;

    for (unsigned round = 0; round < RECEIVE_ROUNDS && total < RECEIVE_BYTES; round++) {
        int n = gh_udp_receive(&e->udp, e->slab, asked, messages);

        e->counters.receives++;
        for (int i = 0; i < n; i++) {
            total += messages[i].len;
            receive_message(e, &messages[i]);
        }
        if (n < (int)asked)
            return;
        count += (size_t)n;
        asked = total < RECEIVE_BYTES ? (RECEIVE_BYTES - total) * count / (total ? total : 1) + 1 : 0; /* if the next are as long as these */
        asked = asked < RECEIVE_MESSAGES ? asked : RECEIVE_MESSAGES;
    }
}

/* Sending. */

/* True when the whole batch is out (or lost); false when the socket takes no more. */
static bool send_batch(struct gh_quic_endpoint *e)
{
    struct gh_udp_send out = { .segment = e->batch.segment, .ecn = e->batch.ecn };
    ssize_t n;

    if (!gh_ip_is_zero(&e->batch.path.local.ip))
        out.local.ip = e->batch.path.local.ip;
    out.remote = (struct gh_endpoint){ .ip = e->batch.path.remote.ip, .port = e->batch_port ? e->batch_port : e->batch.path.remote.port };
    while (e->batch_sent < e->batch.len) {
        out.payload = gh_span_of(e->batch.buf + e->batch_sent, e->batch.len - e->batch_sent);
        n = gh_udp_send(&e->udp, &out);
        e->counters.sends++;
        if (n == GH_ERR_AGAIN)
            return false;
        if (n <= 0) {
            gh_quic_endpoint_drop(e, GH_DROP_UDP_WRITE, (out.payload.len + out.segment - 1) / out.segment);
            break;
        }
        e->counters.bytes_out += (uint64_t)n;
        e->counters.datagrams_out += ((uint64_t)n + out.segment - 1) / out.segment;
        e->batch_sent += (size_t)n;
    }
    e->batch.len = e->batch_sent = 0;
    return true;
}

static void block(struct gh_quic_endpoint *e)
{
    e->blocked = true;
    gh_poll_change(e->poll, GH_POLL_READ | GH_POLL_WRITE);
}

/* Writes what one connection has. False when the socket is full. */
static bool write_link(struct gh_quic_endpoint *e, struct gh_quic_link *l, int64_t now)
{
    unsigned batches = 0;

    e->batch_port = l->hop.port;
    while (batches++ < WRITE_BATCHES && gh_quic_write(l->quic, &e->batch, now) == 1) {
        if (!send_batch(e)) {
            block(e);
            return false;
        }
    }
    return true;
}

static void flush(void *arg, int64_t now)
{
    struct gh_quic_endpoint *e = arg;
    struct gh_list work;
    struct gh_quic_link *interrupted = NULL;
    int64_t deadline;

    if (e->blocked || gh_list_empty(&e->dirty))
        return;
    /* what becomes dirty meanwhile waits for the next turn */
    work = (struct gh_list){ e->dirty.next, e->dirty.prev };
    work.next->prev = work.prev->next = &work;
    gh_list_init(&e->dirty);
    while (!gh_list_empty(&work)) {
        struct gh_quic_link *l = gh_container_of(work.next, struct gh_quic_link, dirty);

        gh_list_unlink(&l->dirty);
        if (!l->closed && !e->blocked && !write_link(e, l, now))
            interrupted = l;
        else if (e->blocked && !l->closed)
            gh_quic_link_wake(l);
        collect(l);
        if (l->closed) {
            interrupted = interrupted == l ? NULL : interrupted;
            link_destroy(l);
            continue;
        }
        deadline = gh_deadline_lenient(now, gh_quic_deadline(l->quic));
        gh_worker_deadline_start(e->cfg.worker, &l->deadline, e->blocked && deadline < now ? now + 1000000 : deadline);
    }
    if (interrupted) /* those that waited behind it come first the next time */
        gh_quic_link_wake(interrupted);
}

void gh_quic_endpoint_flush(struct gh_quic_endpoint *e)
{
    flush(e, gh_worker_now(e->cfg.worker));
}

static void ready(void *arg, int events)
{
    struct gh_quic_endpoint *e = arg;

    if (events & GH_POLL_WRITE && e->blocked && send_batch(e)) {
        e->blocked = false;
        gh_poll_change(e->poll, GH_POLL_READ);
    }
    if (events & (GH_POLL_READ | GH_POLL_ERROR))
        receive(e);
}

/* Life of the endpoint. */

int gh_quic_endpoint_create(const struct gh_quic_endpoint_config *cfg, struct gh_quic_endpoint **ret)
{
    struct gh_quic_endpoint *e = calloc(1, sizeof *e);
    int rc = GH_ERR_MEMORY;

    if (!e)
        return rc;
    e->cfg = *cfg;
    if (cfg->quic.random.fill == gh_random_system.fill)
        e->cfg.quic.random = gh_random_pool_source(&e->random);
    e->udp.fd = -1;
    gh_quic_memory_init(&e->own_memory);
    e->memory = cfg->memory ? cfg->memory : &e->own_memory;
    gh_list_init(&e->dirty);
    gh_list_init(&e->all);
    e->slab = malloc((size_t)RECEIVE_MESSAGES * GH_UDP_BUFFER);
    e->out = malloc(GH_QUIC_BATCH_MAX);
    e->batch.buf = e->out;
    if (!e->slab || !e->out)
        goto out;
    rc = gh_random_bytes(&e->seed, sizeof e->seed);
    gh_source_budget_init(&e->sources, &e->seed, cfg->handshakes_per_source);
    if (rc == 0)
        rc = gh_map_init(&e->cids, 64, gh_quic_cids_equal);
    if (rc == 0)
        rc = gh_udp_init(&e->udp, cfg->fd, &cfg->features);
    if (rc < 0)
        goto out;
    rc = gh_poll_open(cfg->worker, cfg->fd, GH_POLL_READ, ready, e, &e->poll);
    if (rc < 0)
        goto out;
    e->hook.fn = flush;
    e->hook.arg = e;
    gh_worker_hook_add(cfg->worker, &e->hook);
    cfg->group->endpoints[cfg->index] = e;
    *ret = e;
    e = NULL;
out:
    if (e) {
        free(e->slab);
        free(e->out);
        gh_map_fini(&e->cids);
        free(e);
    }
    return rc;
}

void gh_quic_endpoint_destroy(struct gh_quic_endpoint *e)
{
    if (!e)
        return;
    gh_list_each(it, &e->all)
        link_destroy(gh_container_of(it, struct gh_quic_link, all));
    gh_worker_hook_remove(&e->hook);
    gh_poll_close(e->poll);
    gh_udp_fini(&e->udp);
    e->cfg.group->endpoints[e->cfg.index] = NULL;
    gh_quic_memory_fini(&e->own_memory);
    gh_source_budget_fini(&e->sources);
    gh_wipe(&e->random, sizeof e->random);
    gh_map_fini(&e->cids);
    free(e->slab);
    free(e->out);
    free(e);
}

void gh_quic_endpoint_set_max_half_open(struct gh_quic_endpoint *e, unsigned max)
{
    e->cfg.max_half_open = max;
}

void gh_quic_endpoint_set_max_streams(struct gh_quic_endpoint *e, uint64_t bidi)
{
    e->cfg.quic.max_streams_bidi = bidi;
}

void gh_quic_endpoint_set_handshakes_per_source(struct gh_quic_endpoint *e, unsigned per_second)
{
    gh_source_budget_set(&e->sources, per_second);
}

void gh_quic_endpoint_set_retry(struct gh_quic_endpoint *e, enum gh_quic_retry_mode mode)
{
    e->cfg.retry = mode;
}

void gh_quic_endpoint_refuse_new(struct gh_quic_endpoint *e)
{
    e->refuse_new = true;
}

const struct gh_quic_endpoint_counters *gh_quic_endpoint_counters(const struct gh_quic_endpoint *e)
{
    return &e->counters;
}

struct gh_worker *gh_quic_endpoint_worker(const struct gh_quic_endpoint *e)
{
    return e->cfg.worker;
}

unsigned gh_quic_endpoint_links(const struct gh_quic_endpoint *e)
{
    return e->links;
}

int gh_quic_endpoint_connect(struct gh_quic_endpoint *e, const struct gh_endpoint *remote, struct gh_tls_ctx *tls, const struct gh_tls_name *name,
                             const struct gh_quic_app *app, void *app_arg, struct gh_quic_link **ret)
{
    struct gh_quic_link *l = link_create(e);
    struct gh_quic_owner owner = { &host, l, app, app_arg };
    struct gh_endpoint local = { .ip.family = remote->ip.family, .port = e->udp.port };
    struct gh_quic_path path = path_of(e, &local, remote);
    struct gh_quic_target to = { .tls = tls, .server_name = name->server_name, .certificate_name = name->certificate_name, .ech = name->ech, .ech_list = name->ech_list };
    uint8_t token[GH_QUIC_MEMORY_TOKEN];
    int rc;

    if (!l)
        return GH_ERR_MEMORY;
    l->tls = gh_tls_ctx_get(tls);
    l->server_name = strdup(name->server_name ? name->server_name : "");
    if (!l->server_name) {
        link_destroy(l);
        return GH_ERR_MEMORY;
    }
    l->server = *remote;
    to.session = l->session = gh_quic_memory_take_session(e->memory, remote, tls, l->server_name);
    to.token = gh_span_of(token, gh_quic_memory_take_token(e->memory, remote, token));
    rc = gh_quic_create_client(&e->cfg.quic, &owner, &to, &path, gh_worker_now(e->cfg.worker), &l->quic);
    if (rc < 0) {
        link_destroy(l);
        return rc;
    }
    l->app_arg = app_arg;
    l->attached = true;
    e->cfg.events->on_attached(app_arg, l->quic);
    gh_quic_link_wake(l);
    *ret = l;
    return 0;
}
