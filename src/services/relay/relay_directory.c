/* The relay's sessions as an operator sees them: a list, and a way to end one. */
#include <stdlib.h>

#include "base/error.h"
#include "base/hex.h"
#include "base/tally.h"
#include "os/sock.h"
#include "os/tun.h"
#include "services/relay/relay_internal.h"

/* A card is in the list from the session's start to its end, under the node's lock, so whoever holds the lock may read the session's
 * counters: numbers that one worker writes and that are read as they are at some moment. */
void relay_card_add(struct session *s)
{
    struct relay *r = s->rw->r;
    struct relay_card *c = &s->card;

    snprintf(c->id, sizeof c->id, "%s", s->id);
    snprintf(c->name, sizeof c->name, "%s", s->name);
    c->peer = s->peer;
    c->peer_port = s->peer_port;
    c->worker = s->rw->index;
    c->handle = (struct gh_session_handle){ s->slot, s->rw->slots[s->slot].generation };
    c->since = s->opened;
    for (c->address_count = 0; c->address_count < s->addr_count; c->address_count++)
        c->addresses[c->address_count] = (struct gh_prefix){ s->addrs[c->address_count], (uint8_t)gh_ip_bits(&s->addrs[c->address_count]) };
    pthread_mutex_lock(&r->cards_lock);
    gh_list_append(&r->cards, &c->link);
    pthread_mutex_unlock(&r->cards_lock);
}

void relay_card_refresh(struct session *s)
{
    struct relay *r = s->rw->r;

    pthread_mutex_lock(&r->cards_lock);
    s->card.peer = s->peer;
    s->card.peer_port = s->peer_port;
    pthread_mutex_unlock(&r->cards_lock);
}

void relay_card_measure(struct session *s)
{
    struct relay_path *p = &s->card.path;
    size_t datagram = gh_http_datagram_max(s->carrier->stream);
    struct gh_http_path path;

    gh_http_path(s->carrier->stream, &path);
    atomic_store_explicit(&p->rtt_us, (uint32_t)(path.rtt / 1000), memory_order_relaxed);
    atomic_store_explicit(&p->mtu, (uint32_t)(datagram ? datagram - 1 : 0), memory_order_relaxed); /* a context id goes before a packet */
    atomic_store_explicit(&p->udp_payload, (uint32_t)path.plpmtu, memory_order_relaxed);
    atomic_store_explicit(&p->sent, path.datagrams_out, memory_order_relaxed);
    atomic_store_explicit(&p->lost, path.datagrams_lost, memory_order_relaxed);
}

void relay_card_remove(struct session *s)
{
    struct relay *r = s->rw->r;

    pthread_mutex_lock(&r->cards_lock);
    gh_list_unlink(&s->card.link);
    pthread_mutex_unlock(&r->cards_lock);
}

static void list(void *self, gh_session_fn fn, void *arg)
{
    struct relay *r = self;

    pthread_mutex_lock(&r->cards_lock);
    gh_list_each(it, &r->cards)
    {
        const struct relay_card *c = gh_container_of(it, struct relay_card, link);
        const struct gh_forward_session *f = &gh_container_of(c, const struct session, card)->forward;
        const struct gh_session_row row = {
            .id = c->id,
            .client_id = c->name,
            .peer = &c->peer,
            .peer_port = c->peer_port,
            .addresses = c->addresses,
            .address_count = c->address_count,
            .since = c->since,
            .rx_packets = gh_tally_read(&f->packets[GH_DIRECTION_OUT]),
            .rx_bytes = gh_tally_read(&f->bytes[GH_DIRECTION_OUT]),
            .tx_packets = gh_tally_read(&f->packets[GH_DIRECTION_IN]),
            .tx_bytes = gh_tally_read(&f->bytes[GH_DIRECTION_IN]),
            .flows = gh_tally_read32(&f->flows.count),
            .connections = 1,
            .worker = c->worker,
            .rtt_us = atomic_load_explicit(&c->path.rtt_us, memory_order_relaxed),
            .mtu = atomic_load_explicit(&c->path.mtu, memory_order_relaxed),
            .udp_payload = atomic_load_explicit(&c->path.udp_payload, memory_order_relaxed),
            .datagrams_sent = atomic_load_explicit(&c->path.sent, memory_order_relaxed),
            .datagrams_lost = atomic_load_explicit(&c->path.lost, memory_order_relaxed),
        };

        fn(arg, &row);
    }
    pthread_mutex_unlock(&r->cards_lock);
}

struct kick {
    struct relay *r;
    struct gh_session_handle session;
};

static void end_here(struct gh_worker *w, void *arg)
{
    struct kick *k = arg;
    struct relay_worker *rw = k->r->at[gh_worker_index(w)];
    struct session *s = rw ? relay_session_find(rw, k->session) : NULL;

    if (s)
        relay_session_end(s, SESSION_KICKED);
    free(k);
}

static int kick(void *self, const char *id)
{
    struct relay *r = self;
    struct kick *k = malloc(sizeof *k);
    unsigned worker = 0;
    int rc = GH_ERR_NOT_FOUND;

    if (!k)
        return GH_ERR_MEMORY;
    pthread_mutex_lock(&r->cards_lock);
    gh_list_each(it, &r->cards)
    {
        const struct relay_card *c = gh_container_of(it, struct relay_card, link);

        if (strcmp(c->id, id) == 0) {
            *k = (struct kick){ r, c->handle };
            worker = c->worker;
            rc = 0;
        }
    }
    pthread_mutex_unlock(&r->cards_lock);
    if (rc == 0)
        rc = gh_worker_run(gh_workers_at(r->run->workers, worker), end_here, k);
    if (rc < 0)
        free(k);
    return rc;
}

static uint64_t of_worker(const struct relay *r, unsigned worker, unsigned row, unsigned label)
{
    const _Atomic uint64_t *slot = gh_metric_slot(r->metrics, worker, row, label);

    return slot ? atomic_load_explicit(slot, memory_order_relaxed) : 0;
}

static void describe_features(const struct relay *r, struct gh_description *d)
{
    const char *const udp = r->conf.offload_udp ? "the kernel lacks it or failed the self-test" : "relay.offload_udp is off";
    const char *const aes = r->conf.wide_aes ? "the processor lacks it or failed the self-test" : "relay.wide_aes is off";
    const char *const tun = r->conf.offload_tun ? "the kernel lacks it" : "relay.offload_tun is off";
    unsigned offloads = r->at[0] && r->at[0]->tun ? gh_tun_port_offloads(r->at[0]->tun) : 0;

    gh_describe_feature(d, "udp_gso", r->features.gso, r->features.tested, udp);
    gh_describe_feature(d, "udp_gro", r->features.gro, r->features.tested, udp);
    gh_describe_feature(d, "wide_aes", gh_aead_choose(r->conf.wide_aes) == GH_AEAD_WIDE, r->conf.wide_aes, aes);
    gh_describe_feature(d, "tun_tso", offloads & GH_TUN_TSO4 && offloads & GH_TUN_TSO6, r->conf.offload_tun, tun);
    gh_describe_feature(d, "tun_uso", offloads & GH_TUN_USO, r->conf.offload_tun, tun);
}

void relay_describe(void *state, struct gh_description *d)
{
    struct relay *r = state;
    char text[GH_ENDPOINT_TEXT];

    for (size_t i = 0; i < r->listen_count; i++)
        gh_describe_listener(d, "relay", "udp", gh_endpoint_emit(&r->listens[i], text));
    describe_features(r, d);
    for (unsigned i = 0; i < d->worker_count; i++) {
        d->workers[i].sessions += (uint32_t)of_worker(r, i, RELAY_METRIC_SESSIONS, 0);
        d->workers[i].rx_packets += of_worker(r, i, RELAY_METRIC_PACKETS, GH_DIRECTION_OUT);
        d->workers[i].tx_packets += of_worker(r, i, RELAY_METRIC_PACKETS, GH_DIRECTION_IN);
        d->workers[i].handed_over += of_worker(r, i, RELAY_METRIC_HANDED_OVER, 0);
    }
    d->sessions += atomic_load(&r->sessions);
    pthread_mutex_lock(&r->cards_lock);
    snprintf(d->identity, sizeof d->identity, "%s", r->self.name);
    d->not_after = r->self.not_after;
    if (r->self.has_pin) {
        memcpy(d->cert_pin, "sha256:", 7);
        gh_hex_encode(r->self.pin, sizeof r->self.pin, d->cert_pin + 7);
    }
    gh_list_each(it, &r->cards)
    {
        const struct relay_card *c = gh_container_of(it, struct relay_card, link);

        d->flows += gh_tally_read32(&gh_container_of(c, const struct session, card)->forward.flows.count);
    }
    pthread_mutex_unlock(&r->cards_lock);
}

static const char *policy_version(void *arg, char *buf, size_t cap)
{
    struct relay *r = arg;
    struct gh_snapshot_reader reader = { 0 };
    const struct relay_policy *p = gh_snapshot_refresh(&r->policy, &reader);

    snprintf(buf, cap, "%s", p ? gh_policy_version(p->policy) : "");
    gh_snapshot_release(&reader);
    return buf;
}

void relay_directory_publish(struct relay *r)
{
    r->port = (struct gh_port_sessions){ list, kick, r };
    r->run->sessions = &r->port;
    r->run->trace = &r->trace.port;
    r->run->policy_version = policy_version;
    r->run->policy_arg = r;
}
