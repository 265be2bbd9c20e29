#include "proto/connect_ip/connect_ip.h"

#include <stdlib.h>

#include "proto/connect_ip/routes.h"

#define DNS_VALUE_MAX 8192u /* of what we send */

/* The last three only where somebody listens: the last to all of them. */
static const uint64_t kept[] = { GH_CAPSULE_DATAGRAM, GH_CAPSULE_ADDRESS_ASSIGN, GH_CAPSULE_ADDRESS_REQUEST,
                                 GH_CAPSULE_ROUTE_ADVERTISEMENT, GH_CAPSULE_FAREWELL, GH_CAPSULE_NOTICE, GH_CAPSULE_WITHHELD, GH_CAPSULE_DNS_ASSIGN,
                                 GH_CAPSULE_PREF64, GH_CAPSULE_ECH };

void gh_connect_ip_init(struct gh_connect_ip *c, const struct gh_connect_ip_events *events, void *arg)
{
    bool dns = events->on_dns && events->on_pref64;
    size_t unheard = !dns ? 3 : !events->on_ech;

    *c = (struct gh_connect_ip){ .events = events, .arg = arg, .next_id = 1 };
    gh_capsule_reader_init(&c->reader, kept, sizeof kept / sizeof *kept - unheard, GH_CAPSULE_MAX);
}

void gh_connect_ip_limit(struct gh_connect_ip *c, size_t max)
{
    c->reader.max = max;
}

void gh_connect_ip_fini(struct gh_connect_ip *c)
{
    if (c)
        gh_capsule_reader_fini(&c->reader);
}

bool gh_connect_ip_is_refusal(const struct gh_connect_ip_address *a)
{
    return gh_ip_is_zero(&a->prefix.addr) && a->prefix.len == gh_ip_bits(&a->prefix.addr);
}

static struct gh_ip read_address(struct gh_reader *r, uint8_t version)
{
    uint8_t bytes[16];

    gh_read_bytes(r, bytes, version == 4 ? 4 : 16);
    return version == 4 ? gh_ip_v4(bytes) : gh_ip_v6(bytes);
}

/* The records that ADDRESS_ASSIGN and ADDRESS_REQUEST share. */
static int read_addresses(struct gh_connect_ip *c, struct gh_span value, struct gh_connect_ip_address *list, size_t *ret)
{
    struct gh_reader r = gh_reader_of(value);
    size_t n = 0;

    while (gh_reader_left(&r) > 0) {
        struct gh_connect_ip_address a;
        uint8_t version;

        a.request_id = gh_read_varint(&r);
        version = gh_read_u8(&r);
        if (r.failed || (version != 4 && version != 6))
            return GH_ERR_MALFORMED;
        a.prefix.addr = read_address(&r, version);
        a.prefix.len = gh_read_u8(&r);
        if (r.failed || !gh_prefix_valid(&a.prefix))
            return GH_ERR_MALFORMED; /* RFC 9484, section 4.7.1: no bits below the prefix */
        if (n == GH_CONNECT_IP_ADDRESSES) {
            c->counters.capsule_drops++;
            return GH_ERR_TOO_LONG;
        }
        list[n++] = a;
    }
    *ret = n;
    return gh_reader_done(&r) ? 0 : GH_ERR_MALFORMED;
}

/* Notes that the peer used <id>. Neighbouring ids grow a range, so ids in order never run out of room. */
static int use_id(struct gh_connect_ip *c, uint64_t id)
{
    size_t grown = c->used_count;

    if (id == 0)
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < c->used_count; i++)
        if (id >= c->used[i].first && id <= c->used[i].last)
            return GH_ERR_MALFORMED; /* RFC 9484, section 4.7.2: ids are not reused */
    for (size_t i = 0; i < c->used_count; i++) {
        if (id != c->used[i].last + 1 && id + 1 != c->used[i].first)
            continue;
        if (grown == c->used_count) {
            *(id + 1 == c->used[i].first ? &c->used[i].first : &c->used[i].last) = id;
            grown = i;
            continue;
        }
        if (c->used[i].last > c->used[grown].last) /* the id closed the gap between two ranges */
            c->used[grown].last = c->used[i].last;
        else
            c->used[grown].first = c->used[i].first;
        c->used[i] = c->used[--c->used_count];
        return 0;
    }
    if (grown < c->used_count)
        return 0;
    if (c->used_count == GH_CONNECT_IP_ID_RANGES) {
        c->counters.capsule_drops++;
        return GH_ERR_TOO_LONG;
    }
    c->used[c->used_count].first = c->used[c->used_count].last = id;
    c->used_count++;
    return 0;
}

static int on_assign(struct gh_connect_ip *c, struct gh_span value)
{
    struct gh_connect_ip_address list[GH_CONNECT_IP_ADDRESSES];
    size_t n;
    int rc = read_addresses(c, value, list, &n);

    if (rc == 0 && c->events->on_assign)
        c->events->on_assign(c->arg, list, n);
    return rc;
}

static int on_request(struct gh_connect_ip *c, struct gh_span value)
{
    struct gh_connect_ip_address list[GH_CONNECT_IP_ADDRESSES];
    size_t n;
    int rc = read_addresses(c, value, list, &n);

    if (rc < 0)
        return rc;
    if (n == 0)
        return GH_ERR_MALFORMED; /* RFC 9484, section 4.7.2: at least one */
    for (size_t i = 0; i < n; i++) {
        rc = use_id(c, list[i].request_id);
        if (rc < 0)
            return rc;
    }
    if (n > GH_CONNECT_IP_ADDRESSES - c->pending_count) {
        c->counters.capsule_drops++;
        return GH_ERR_TOO_LONG;
    }
    for (size_t i = 0; i < n; i++) {
        c->pending[c->pending_count].id = list[i].request_id;
        c->pending[c->pending_count++].family = list[i].prefix.addr.family;
    }
    if (c->events->on_request)
        c->events->on_request(c->arg, list, n);
    else
        rc = gh_connect_ip_assign(c, NULL, 0, true);
    return rc;
}

static int read_routes(struct gh_connect_ip *c, struct gh_span value, struct gh_ip_route *list, size_t *ret)
{
    struct gh_reader r = gh_reader_of(value);
    size_t n = 0;

    while (gh_reader_left(&r) > 0) {
        struct gh_ip_route route;
        uint8_t version = gh_read_u8(&r);

        if (version != 4 && version != 6)
            return GH_ERR_MALFORMED;
        route.start = read_address(&r, version);
        route.end = read_address(&r, version);
        route.protocol = gh_read_u8(&r);
        if (r.failed)
            return GH_ERR_MALFORMED;
        if (n == GH_CONNECT_IP_ROUTES) {
            c->counters.capsule_drops++;
            return GH_ERR_TOO_LONG;
        }
        list[n++] = route;
    }
    *ret = n;
    return gh_connect_ip_routes_ordered(list, n) ? 0 : GH_ERR_MALFORMED;
}

/* value = reason varint, then UTF-8 text to the end */
static int on_words(struct gh_connect_ip *c, struct gh_span value, void (*event)(void *arg, uint64_t why, struct gh_span text))
{
    struct gh_reader r = gh_reader_of(value);
    uint64_t why = gh_read_varint(&r);
    struct gh_span text;

    if (r.failed)
        return GH_ERR_MALFORMED;
    text = gh_span_of(value.data + value.len - gh_reader_left(&r), gh_reader_left(&r));
    if (text.len > GH_FAREWELL_TEXT)
        text.len = GH_FAREWELL_TEXT;
    if (event)
        event(c->arg, why, text);
    return 0;
}

/* More than we keep is no reason to end a tunnel that works without. */
static int on_dns(struct gh_connect_ip *c, struct gh_span value)
{
    struct gh_dns_config *list = malloc(GH_DNS_CONFIGS * sizeof *list);
    size_t n;
    int rc;

    if (!list)
        return GH_ERR_MEMORY;
    rc = gh_dns_read(value, list, &n);
    free(list);
    if (rc == 0)
        c->events->on_dns(c->arg, value);
    c->counters.capsule_drops += rc == GH_ERR_TOO_LONG;
    return rc == GH_ERR_TOO_LONG ? 0 : rc;
}

static int on_pref64(struct gh_connect_ip *c, struct gh_span value)
{
    struct gh_prefix list[GH_PREF64_PREFIXES];
    size_t n;
    int rc = gh_pref64_read(value, list, &n);

    if (rc == 0)
        c->events->on_pref64(c->arg, list, n);
    c->counters.capsule_drops += rc == GH_ERR_TOO_LONG;
    return rc == GH_ERR_TOO_LONG ? 0 : rc;
}

static int on_routes(struct gh_connect_ip *c, struct gh_span value, void (*event)(void *arg, const struct gh_ip_route *list, size_t count))
{
    /* The shortest entry takes ten bytes. */
    size_t most = value.len / 10 < GH_CONNECT_IP_ROUTES ? value.len / 10 : GH_CONNECT_IP_ROUTES, n;
    struct gh_ip_route *list = malloc((most + 1) * sizeof *list);
    int rc;

    if (!list)
        return GH_ERR_MEMORY;
    rc = read_routes(c, value, list, &n);
    if (rc == 0 && event)
        event(c->arg, list, n);
    free(list);
    return rc;
}

/* RFC 9849, section 4: at least one byte of configs. What is in them is for who uses them to say. A list that nobody could use is no reason to end
 * a tunnel that works without. */
static int on_ech(struct gh_connect_ip *c, struct gh_span value)
{
    struct gh_reader r = gh_reader_of(value);
    size_t len = gh_read_u16(&r);

    if (r.failed || len < 4 || len != gh_reader_left(&r))
        return GH_ERR_MALFORMED;
    if (value.len > GH_ECH_LIST_MAX)
        c->counters.capsule_drops++;
    else
        c->events->on_ech(c->arg, value);
    return 0;
}

static int on_capsule(struct gh_connect_ip *c, const struct gh_capsule *capsule)
{
    c->counters.capsules += capsule->type != GH_CAPSULE_DATAGRAM;
    switch (capsule->type) {
    case GH_CAPSULE_DATAGRAM:
        gh_connect_ip_feed_datagram(c, capsule->value);
        return 0;
    case GH_CAPSULE_ADDRESS_ASSIGN:
        return on_assign(c, capsule->value);
    case GH_CAPSULE_ADDRESS_REQUEST:
        return on_request(c, capsule->value);
    case GH_CAPSULE_FAREWELL:
        return on_words(c, capsule->value, c->events->on_farewell);
    case GH_CAPSULE_NOTICE:
        return on_words(c, capsule->value, c->events->on_notice);
    case GH_CAPSULE_DNS_ASSIGN:
        return on_dns(c, capsule->value);
    case GH_CAPSULE_PREF64:
        return on_pref64(c, capsule->value);
    case GH_CAPSULE_ECH:
        return on_ech(c, capsule->value);
    case GH_CAPSULE_WITHHELD:
        return on_routes(c, capsule->value, c->events->on_withheld);
    default:
        return on_routes(c, capsule->value, c->events->on_routes);
    }
}

static int feed(struct gh_connect_ip *c, struct gh_span data, bool end)
{
    struct gh_capsule capsule;
    uint64_t oversize = c->reader.oversize;
    int rc;

    for (;;) {
        rc = gh_capsule_next(&c->reader, &data, &capsule);
        if (rc == 1)
            rc = on_capsule(c, &capsule);
        else if (rc == 0)
            break;
        else if (rc == GH_ERR_TOO_LONG)
            c->counters.capsule_drops++;
        if (rc < 0)
            return rc;
    }
    c->counters.capsule_drops += c->reader.oversize - oversize;
    if (!end)
        return 0;
    c->ended = true;
    return gh_capsule_end(&c->reader);
}

int gh_connect_ip_feed(struct gh_connect_ip *c, struct gh_span data, bool end)
{
    if (c->failed)
        return c->failed;
    if (c->ended)
        return GH_ERR_STATE;
    c->failed = feed(c, data, end);
    if (c->failed == GH_ERR_MALFORMED)
        c->counters.malformed++;
    return c->failed;
}

void gh_connect_ip_feed_datagram(struct gh_connect_ip *c, struct gh_span payload)
{
    struct gh_reader r = gh_reader_of(payload);
    uint64_t context = gh_read_varint(&r);

    if (r.failed || context != GH_CONNECT_IP_CONTEXT) {
        c->counters.context_drops++; /* RFC 9484, section 5: no extension registers others */
        return;
    }
    c->counters.packets++;
    if (c->events->on_packet)
        c->events->on_packet(c->arg, gh_span_of(r.at, gh_reader_left(&r)));
}

static void write_record(struct gh_writer *w, uint64_t id, const struct gh_prefix *p)
{
    gh_write_varint(w, id);
    gh_write_u8(w, p->addr.family);
    gh_write_bytes(w, p->addr.bytes, gh_ip_len(&p->addr));
    gh_write_u8(w, p->len);
}

/* Puts a head before the value that <w> holds GH_CAPSULE_HEAD_MAX bytes into its buffer, and sends both. */
static int send_value(struct gh_connect_ip *c, uint64_t type, struct gh_writer *w)
{
    size_t value = gh_writer_len(w) - GH_CAPSULE_HEAD_MAX, head = gh_capsule_head_len(type, value);
    uint8_t *start = w->start + GH_CAPSULE_HEAD_MAX - head;
    struct gh_writer h = gh_writer_of(start, head);

    if (w->failed)
        return GH_ERR_RANGE;
    gh_capsule_emit_head(&h, type, value);
    return c->events->send(c->arg, gh_span_of(start, head + value));
}

static bool answers(const struct gh_connect_ip_address *list, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].request_id == id)
            return true;
    return false;
}

int gh_connect_ip_assign(struct gh_connect_ip *c, const struct gh_connect_ip_address *list, size_t count, bool answer)
{
    uint8_t buf[GH_CAPSULE_HEAD_MAX + 2 * GH_CONNECT_IP_ADDRESSES * 26];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);
    size_t entries = count, left = 0;

    w.at += GH_CAPSULE_HEAD_MAX;
    if (c->failed || c->ended)
        return GH_ERR_STATE;
    for (size_t i = 0; i < count; i++) {
        if (!gh_prefix_valid(&list[i].prefix) || i == GH_CONNECT_IP_ADDRESSES)
            return GH_ERR_RANGE;
        write_record(&w, list[i].request_id, &list[i].prefix);
    }
    for (size_t i = 0; answer && i < c->pending_count; i++) {
        struct gh_prefix refusal = { .addr = { .family = c->pending[i].family } };

        refusal.len = (uint8_t)gh_ip_bits(&refusal.addr);
        if (answers(list, count, c->pending[i].id))
            continue;
        if (entries++ == GH_CONNECT_IP_ADDRESSES) /* a peer like ourselves would not take a longer list */
            return GH_ERR_RANGE;
        write_record(&w, c->pending[i].id, &refusal);
    }
    for (size_t i = 0; !answer && i < c->pending_count; i++)
        if (!answers(list, count, c->pending[i].id))
            c->pending[left++] = c->pending[i];
    c->pending_count = left;
    return send_value(c, GH_CAPSULE_ADDRESS_ASSIGN, &w);
}

int gh_connect_ip_request(struct gh_connect_ip *c, const struct gh_prefix *wishes, size_t count, uint64_t *ret_first_id)
{
    uint8_t buf[GH_CAPSULE_HEAD_MAX + GH_CONNECT_IP_ADDRESSES * 26];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);
    uint64_t first = c->next_id;

    w.at += GH_CAPSULE_HEAD_MAX;
    if (c->failed || c->ended)
        return GH_ERR_STATE;
    if (count == 0 || count > GH_CONNECT_IP_ADDRESSES)
        return GH_ERR_RANGE;
    for (size_t i = 0; i < count; i++) {
        if (!gh_prefix_valid(&wishes[i]))
            return GH_ERR_RANGE;
        write_record(&w, first + i, &wishes[i]);
    }
    c->next_id += count; /* used even when sending fails: never again */
    *ret_first_id = first;
    return send_value(c, GH_CAPSULE_ADDRESS_REQUEST, &w);
}

static int send_routes(struct gh_connect_ip *c, uint64_t type, const struct gh_ip_route *list, size_t count)
{
    size_t cap = GH_CAPSULE_HEAD_MAX + count * 34;
    struct gh_writer w;
    uint8_t *buf;
    int rc;

    if (c->failed || c->ended)
        return GH_ERR_STATE;
    if (count > GH_CONNECT_IP_ROUTES || !gh_connect_ip_routes_ordered(list, count) || gh_connect_ip_routes_overlap(list, count))
        return GH_ERR_RANGE;
    buf = malloc(cap);
    if (!buf)
        return GH_ERR_MEMORY;
    w = gh_writer_of(buf, cap);
    w.at += GH_CAPSULE_HEAD_MAX;
    for (size_t i = 0; i < count; i++) {
        gh_write_u8(&w, list[i].start.family);
        gh_write_bytes(&w, list[i].start.bytes, gh_ip_len(&list[i].start));
        gh_write_bytes(&w, list[i].end.bytes, gh_ip_len(&list[i].end));
        gh_write_u8(&w, list[i].protocol);
    }
    rc = send_value(c, type, &w);
    free(buf);
    return rc;
}

int gh_connect_ip_advertise(struct gh_connect_ip *c, const struct gh_ip_route *list, size_t count)
{
    return send_routes(c, GH_CAPSULE_ROUTE_ADVERTISEMENT, list, count);
}

int gh_connect_ip_withhold(struct gh_connect_ip *c, const struct gh_ip_route *list, size_t count)
{
    return send_routes(c, GH_CAPSULE_WITHHELD, list, count);
}

int gh_connect_ip_assign_dns(struct gh_connect_ip *c, const struct gh_dns_config *list, size_t count)
{
    uint8_t buf[GH_CAPSULE_HEAD_MAX + DNS_VALUE_MAX];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    w.at += GH_CAPSULE_HEAD_MAX;
    if (c->failed || c->ended)
        return GH_ERR_STATE;
    gh_dns_write(&w, list, count);
    return send_value(c, GH_CAPSULE_DNS_ASSIGN, &w);
}

int gh_connect_ip_assign_pref64(struct gh_connect_ip *c, const struct gh_prefix *list, size_t count)
{
    uint8_t buf[GH_CAPSULE_HEAD_MAX + GH_PREF64_PREFIXES * 13];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    w.at += GH_CAPSULE_HEAD_MAX;
    if (c->failed || c->ended)
        return GH_ERR_STATE;
    gh_pref64_write(&w, list, count);
    return send_value(c, GH_CAPSULE_PREF64, &w);
}

int gh_connect_ip_tell_ech(struct gh_connect_ip *c, struct gh_span list)
{
    uint8_t buf[GH_CAPSULE_HEAD_MAX + GH_ECH_LIST_MAX];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    w.at += GH_CAPSULE_HEAD_MAX;
    if (c->failed || c->ended)
        return GH_ERR_STATE;
    if (list.len > GH_ECH_LIST_MAX)
        return GH_ERR_RANGE;
    gh_write_bytes(&w, list.data, list.len);
    return send_value(c, GH_CAPSULE_ECH, &w);
}

static int send_words(struct gh_connect_ip *c, uint64_t type, uint64_t why, const char *text)
{
    uint8_t buf[GH_CAPSULE_HEAD_MAX + 8 + GH_FAREWELL_TEXT];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    w.at += GH_CAPSULE_HEAD_MAX;
    if (c->failed || c->ended)
        return GH_ERR_STATE;
    gh_write_varint(&w, why);
    gh_write_bytes(&w, text, strnlen(text, GH_FAREWELL_TEXT));
    return send_value(c, type, &w);
}

int gh_connect_ip_farewell(struct gh_connect_ip *c, enum gh_farewell why, const char *text)
{
    return send_words(c, GH_CAPSULE_FAREWELL, why, text);
}

int gh_connect_ip_notice(struct gh_connect_ip *c, enum gh_notice what, const char *text)
{
    return send_words(c, GH_CAPSULE_NOTICE, what, text);
}
