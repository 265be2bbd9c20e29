/* tests/fuzz/capsule/capsule_fuzz.c - a capsule stream, whole and in pieces, must be read alike; and no stream may hurt a tunnel
 *
 * The first byte is the length of the pieces, the rest the stream.
 */
#include <stdint.h>
#include <stdlib.h>

#include "proto/connect_ip/connect_ip.h"
#include "proto/connect_ip/routes.h"

static void require(bool right)
{
    if (!right)
        abort();
}

struct sum {
    uint64_t value;
    unsigned count;
};

static void add(struct sum *s, const void *data, size_t len)
{
    const uint8_t *d = data;

    for (size_t i = 0; i < len; i++)
        s->value = (s->value ^ d[i]) * UINT64_C(0x100000001b3);
    s->count++;
}

/* What a reader makes of the stream, and its last word. */
static struct sum read_capsules(struct gh_span stream, size_t piece, int *ret)
{
    static const uint64_t kept[] = { 0, 1, 2, 3 };
    struct sum s = { 0, 0 };
    struct gh_capsule_reader r;
    int rc = 0;

    gh_capsule_reader_init(&r, kept, 4, 64);
    for (size_t at = 0; at < stream.len && rc >= 0; at += piece) {
        struct gh_span in = gh_span_of(stream.data + at, stream.len - at < piece ? stream.len - at : piece);
        struct gh_capsule c;

        do {
            rc = gh_capsule_next(&r, &in, &c);
            if (rc == 1) {
                require(c.value.len <= 64);
                add(&s, &c.type, sizeof c.type);
                add(&s, c.value.data, c.value.len);
            }
        } while (rc == 1);
    }
    *ret = gh_capsule_end(&r);
    gh_capsule_reader_fini(&r);
    return s;
}

struct tunnel {
    struct gh_connect_ip engine;
    struct sum events;
};

static int on_send(void *arg, struct gh_span s)
{
    add(&((struct tunnel *)arg)->events, s.data, s.len);
    return 0;
}

static void on_assign(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    require(count <= GH_CONNECT_IP_ADDRESSES);
    for (size_t i = 0; i < count; i++) {
        require(gh_prefix_valid(&list[i].prefix));
        add(&((struct tunnel *)arg)->events, list[i].prefix.addr.bytes, 16);
    }
}

static void on_request(void *arg, const struct gh_connect_ip_address *list, size_t count)
{
    struct tunnel *t = arg;

    on_assign(arg, list, count);
    require(count > 0 && gh_connect_ip_assign(&t->engine, list, count, true) == 0);
    require(t->engine.pending_count == 0);
}

static void on_routes(void *arg, const struct gh_ip_route *list, size_t count)
{
    require(count <= GH_CONNECT_IP_ROUTES && gh_connect_ip_routes_ordered(list, count));
    for (size_t i = 0; i < count; i++)
        require(gh_connect_ip_routes_contain(list, count, &list[i].end, list[i].protocol));
    add(&((struct tunnel *)arg)->events, NULL, 0);
}

static void on_packet(void *arg, struct gh_span p)
{
    add(&((struct tunnel *)arg)->events, p.data, p.len);
}

static void on_dns(void *arg, struct gh_span value)
{
    struct gh_dns_config list[GH_DNS_CONFIGS];
    uint8_t again[65536 * 2];
    struct gh_writer w = gh_writer_of(again, sizeof again);
    size_t count, n;

    require(gh_dns_read(value, list, &count) == 0 && count <= GH_DNS_CONFIGS);
    gh_dns_write(&w, list, count); /* the same, with the shortest numbers */
    require(!w.failed && gh_writer_len(&w) <= value.len);
    require(gh_dns_read(gh_span_of(again, gh_writer_len(&w)), list, &n) == 0 && n == count);
    add(&((struct tunnel *)arg)->events, again, gh_writer_len(&w));
}

static void on_pref64(void *arg, const struct gh_prefix *list, size_t count)
{
    require(count <= GH_PREF64_PREFIXES);
    for (size_t i = 0; i < count; i++)
        require(gh_pref64_valid(&list[i]));
    add(&((struct tunnel *)arg)->events, list, count);
}

static void on_ech(void *arg, struct gh_span list)
{
    require(list.len >= 6 && list.len <= GH_ECH_LIST_MAX && (size_t)(list.data[0] << 8 | list.data[1]) == list.len - 2);
    add(&((struct tunnel *)arg)->events, list.data, list.len);
}

static struct sum run_tunnel(struct gh_span stream, size_t piece, int *ret)
{
    static const struct gh_connect_ip_events events = { on_send, on_assign, on_request, on_routes, on_packet, NULL, on_dns, on_pref64, NULL, NULL, on_ech };
    struct tunnel t = { .events = { 0, 0 } };
    int rc = 0;

    gh_connect_ip_init(&t.engine, &events, &t);
    for (size_t at = 0; at < stream.len && rc == 0; at += piece)
        rc = gh_connect_ip_feed(&t.engine, gh_span_of(stream.data + at, stream.len - at < piece ? stream.len - at : piece), false);
    *ret = rc ? rc : gh_connect_ip_feed(&t.engine, gh_span_of(NULL, 0), true);
    gh_connect_ip_fini(&t.engine);
    return t.events;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_span stream;
    struct sum whole, pieces;
    int whole_rc, pieces_rc;
    size_t piece;

    if (size < 2)
        return 0;
    piece = data[0] ? data[0] : 1;
    stream = gh_span_of(data + 1, size - 1);
    whole = read_capsules(stream, stream.len, &whole_rc);
    pieces = read_capsules(stream, piece, &pieces_rc);
    require(whole_rc == pieces_rc && whole.value == pieces.value && whole.count == pieces.count);
    whole = run_tunnel(stream, stream.len, &whole_rc);
    pieces = run_tunnel(stream, piece, &pieces_rc);
    require(whole_rc == pieces_rc && whole.value == pieces.value && whole.count == pieces.count);
    return 0;
}
