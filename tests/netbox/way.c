#include "way.h"

#include <stdlib.h>
#include <string.h>

#include "wire/ip.h"

#define MS 1e6 /* nanoseconds */

static double chance(struct way *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (double)(w->random >> 11) / 9007199254740992.0;
}

void way_init(struct way *w, uint64_t seed)
{
    *w = (struct way){ .random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1 };
}

void way_fini(struct way *w)
{
    while (w->count)
        free(w->heap[--w->count]);
    free(w->heap);
}

bool way_is_clear(const struct way *w, int64_t now)
{
    const struct way_settings *s = &w->set;

    return w->count == 0 && now >= w->blackout_until && s->delay == 0 && s->jitter == 0 && s->loss == 0 && s->burst == 0 &&
           s->reorder == 0 && s->duplicate == 0 && s->rate == 0 && s->mtu == 0;
}

/* The heap: the packet that is due first is at 0; of two at the same time, the one that came first. */

static bool before(const struct way_packet *a, const struct way_packet *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct way *w, size_t i, size_t j)
{
    struct way_packet *p = w->heap[i];

    w->heap[i] = w->heap[j];
    w->heap[j] = p;
}

static bool push(struct way *w, struct way_packet *p)
{
    if (w->count == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 1024;
        struct way_packet **heap = w->count < WAY_PACKETS_MAX ? realloc(w->heap, cap * sizeof *heap) : NULL;

        if (!heap)
            return false;
        w->heap = heap;
        w->cap = cap;
    }
    w->heap[w->count] = p;
    for (size_t i = w->count++; i > 0 && before(w->heap[i], w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(w, i, (i - 1) / 2);
    return true;
}

int64_t way_due(const struct way *w)
{
    return w->count ? w->heap[0]->at : WAY_NEVER;
}

struct way_packet *way_take(struct way *w, int64_t now)
{
    struct way_packet *p;
    size_t i = 0, least;

    if (way_due(w) > now)
        return NULL;
    p = w->heap[0];
    w->heap[0] = w->heap[--w->count];
    for (;;) {
        least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < w->count; child++)
            if (before(w->heap[child], w->heap[least]))
                least = child;
        if (least == i)
            break;
        swap(w, i, least);
        i = least;
    }
    return p;
}

/* The fate of a packet. */

static bool is_lost(struct way *w, int64_t now)
{
    const struct way_settings *s = &w->set;

    if (now < w->blackout_until) {
        w->counters.blackout++;
        return true;
    }
    if (w->in_burst && chance(w) < 1 / (s->burst_length < 1 ? 1 : s->burst_length))
        w->in_burst = false;
    else if (!w->in_burst && s->burst > 0 && chance(w) < s->burst)
        w->in_burst = true;
    if (w->in_burst) {
        w->counters.burst_lost++;
        return true;
    }
    if (s->loss > 0 && chance(w) < s->loss) {
        w->counters.lost++;
        return true;
    }
    return false;
}

/* When the last bit has left a link of <rate>; WAY_NEVER when the queue before it is full. */
static int64_t leave_link(struct way *w, size_t len, int64_t now)
{
    const struct way_settings *s = &w->set;

    if (s->rate <= 0)
        return now;
    if (w->link_free < now)
        w->link_free = now;
    if ((double)(w->link_free - now) * s->rate / 8e9 + (double)len > s->queue) {
        w->counters.queue_full++;
        return WAY_NEVER;
    }
    w->link_free += (int64_t)((double)len * 8e9 / s->rate);
    return w->link_free;
}

static void fly(struct way *w, const struct gh_offload *o, struct gh_span packet, int64_t at)
{
    struct way_packet *p = w->count < WAY_PACKETS_MAX ? malloc(sizeof *p + packet.len) : NULL;

    if (p) {
        p->at = at;
        p->order = w->order++;
        p->offload = *o;
        p->len = (uint32_t)packet.len;
        memcpy(p->data, packet.data, packet.len);
        if (push(w, p))
            return;
    }
    free(p);
    w->counters.queue_full++;
}

bool way_put(struct way *w, const struct gh_offload *o, struct gh_span packet, int64_t now)
{
    const struct way_settings *s = &w->set;
    int64_t at;

    w->counters.packets_in++;
    w->counters.bytes_in += packet.len;
    /* a superpacket was read before the offloads went off: its pieces fit the device, and the rest is a matter of luck */
    if (s->mtu > 0 && o->kind == GH_OFFLOAD_NONE && (double)packet.len > s->mtu) {
        w->counters.too_big++;
        return s->icmp == 0;
    }
    if (is_lost(w, now))
        return true;
    at = leave_link(w, packet.len, now);
    if (at == WAY_NEVER)
        return true;
    at += (int64_t)(s->delay * MS);
    if (s->jitter > 0)
        at += (int64_t)(chance(w) * s->jitter * MS);
    if (s->reorder > 0 && chance(w) < s->reorder) {
        at += (int64_t)(s->reorder_delay * MS);
        w->counters.reordered++;
    } else {
        if (at < w->last_due)
            at = w->last_due;
        w->last_due = at;
    }
    fly(w, o, packet, at);
    if (s->duplicate > 0 && chance(w) < s->duplicate) {
        w->counters.duplicated++;
        fly(w, o, packet, at);
    }
    return true;
}

/* Too big. */

static void put16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static size_t too_big4(struct gh_span packet, unsigned mtu, uint8_t buf[1280])
{
    static const uint8_t router[4] = { 192, 0, 0, 8 }; /* RFC 7600: a node without an address answers as this */
    size_t quoted = packet.len < 576 - 28 ? packet.len : 576 - 28, len = 28 + quoted;

    if (packet.len < 20 || !(packet.data[6] & 0x40))
        return 0;
    memset(buf, 0, 28);
    buf[0] = 0x45;
    put16(buf + 2, (unsigned)len);
    buf[8] = 64;
    buf[9] = GH_IP_ICMP;
    memcpy(buf + 12, router, 4);
    memcpy(buf + 16, packet.data + 12, 4);
    put16(buf + 10, gh_ip_checksum(buf, 20));
    buf[20] = 3; /* RFC 1191 */
    buf[21] = 4;
    put16(buf + 26, mtu);
    memcpy(buf + 28, packet.data, quoted);
    put16(buf + 22, gh_ip_checksum(buf + 20, len - 20));
    return len;
}

static size_t too_big6(struct gh_span packet, unsigned mtu, uint8_t buf[1280])
{
    static const uint8_t router[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 0xb0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
    size_t quoted = packet.len < 1280 - 48 ? packet.len : 1280 - 48, len = 48 + quoted;
    struct gh_ip src = gh_ip_v6(router), dst;

    if (packet.len < 40)
        return 0;
    dst = gh_ip_v6(packet.data + 8);
    memset(buf, 0, 48);
    buf[0] = 0x60;
    put16(buf + 4, (unsigned)(len - 40));
    buf[6] = GH_IP_ICMPV6;
    buf[7] = 64;
    memcpy(buf + 8, router, 16);
    memcpy(buf + 24, packet.data + 8, 16);
    buf[40] = 2; /* RFC 4443, section 3.2 */
    put16(buf + 46, mtu);
    memcpy(buf + 48, packet.data, quoted);
    put16(buf + 42, gh_ip_checksum_upper(&src, &dst, GH_IP_ICMPV6, buf + 40, len - 40));
    return len;
}

size_t way_too_big(struct gh_span packet, unsigned mtu, uint8_t buf[1280])
{
    struct gh_ip_packet ip;

    if (gh_ip_packet_parse(packet.data, packet.len, &ip) == 0 && gh_ip_is_icmp_error(&ip))
        return 0;
    return packet.len == 0 ? 0 : packet.data[0] >> 4 == 4 ? too_big4(packet, mtu, buf) : packet.data[0] >> 4 == 6 ? too_big6(packet, mtu, buf) : 0;
}
