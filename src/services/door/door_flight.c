#include "services/door/door_flight.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static bool same_address(const struct gh_endpoint *a, const struct gh_endpoint *b)
{
    return a->port == b->port && gh_ip_equals(&a->ip, &b->ip);
}

static bool equals(const struct gh_map_node *node, const void *key)
{
    const struct door_flight_key *a = &gh_container_of(node, const struct door_flight, node)->key, *b = key;

    return a->dcid.len == b->dcid.len && memcmp(a->dcid.data, b->dcid.data, a->dcid.len) == 0 && same_address(&a->remote, &b->remote) &&
           same_address(&a->local, &b->local);
}

static uint64_t hash_of(const struct door_flights *t, const struct door_flight_key *key)
{
    uint8_t text[sizeof key->remote.ip.bytes + 2 + GH_QUIC_CID_MAX];
    size_t len = sizeof key->remote.ip.bytes;

    memcpy(text, key->remote.ip.bytes, len);
    memcpy(text + len, &key->remote.port, 2);
    memcpy(text + len + 2, key->dcid.data, key->dcid.len);
    return gh_hash_bytes(&t->seed, text, len + 2 + key->dcid.len);
}

int door_flights_init(struct door_flights *t, const struct gh_hash_seed *seed)
{
    *t = (struct door_flights){ .seed = *seed };
    gh_list_init(&t->age);
    return gh_map_init(&t->map, 64, equals);
}

void door_flights_fini(struct door_flights *t)
{
    if (!t->age.next)
        return;
    while (!gh_list_empty(&t->age))
        door_flight_end(t, door_flights_oldest(t));
    gh_map_fini(&t->map);
}

struct door_flight *door_flights_find(const struct door_flights *t, const struct door_flight_key *key)
{
    struct gh_map_node *n = gh_map_find(&t->map, hash_of(t, key), key);

    return n ? gh_container_of(n, struct door_flight, node) : NULL;
}

struct door_flight *door_flights_oldest(const struct door_flights *t)
{
    return gh_list_empty(&t->age) ? NULL : gh_container_of(t->age.next, struct door_flight, age);
}

static bool same_source(const struct gh_ip *a, const struct gh_ip *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, a->family == 4 ? 4 : 8) == 0;
}

unsigned door_flights_of(const struct door_flights *t, const struct gh_ip *source, struct door_flight **ret_oldest)
{
    unsigned count = 0;

    gh_list_each(it, &t->age) {
        struct door_flight *f = gh_container_of(it, struct door_flight, age);

        if (same_source(&f->key.remote.ip, source) && count++ == 0)
            *ret_oldest = f;
    }
    return count;
}

int door_flight_begin(struct door_flights *t, const struct door_flight_key *key, struct gh_span first, int64_t now, struct door_flight **ret)
{
    struct door_flight *f = calloc(1, sizeof *f);
    int rc;

    if (!f)
        return GH_ERR_MEMORY;
    gh_list_init(&f->kept);
    rc = gh_quic_peek_init(&f->peek, first);
    if (rc < 0) {
        gh_quic_peek_fini(&f->peek);
        free(f);
        return rc;
    }
    f->key = *key;
    f->began = now;
    gh_map_insert(&t->map, &f->node, hash_of(t, key));
    gh_list_append(&t->age, &f->age);
    t->count++;
    *ret = f;
    return 0;
}

int door_flight_feed(struct door_flight *f, struct gh_span datagram, uint8_t ecn, struct gh_tls_hello *ret)
{
    struct door_datagram *d;
    int rc = gh_quic_peek_feed(&f->peek, datagram, ret);

    if (rc != 0)
        return rc;
    if (f->peek.opened == 0) /* whoever can build an Initial packet builds the first one well: RFC 9001, section 5.2 */
        return GH_ERR_UNSUPPORTED;
    if (f->datagrams == DOOR_FLIGHT_DATAGRAMS || datagram.len > DOOR_FLIGHT_BYTES - f->bytes)
        return GH_ERR_TOO_LONG;
    d = malloc(sizeof *d + datagram.len);
    if (!d)
        return GH_ERR_MEMORY;
    d->ecn = ecn;
    d->len = datagram.len;
    memcpy(d->data, datagram.data, datagram.len);
    gh_list_append(&f->kept, &d->link);
    f->datagrams++;
    f->bytes += datagram.len;
    return 0;
}

void door_flight_end(struct door_flights *t, struct door_flight *f)
{
    gh_list_each(it, &f->kept)
        free(gh_container_of(it, struct door_datagram, link));
    gh_map_remove(&t->map, &f->node);
    gh_list_unlink(&f->age);
    gh_quic_peek_fini(&f->peek);
    t->count--;
    free(f);
}
