/* The queue against a naive twin: flows as arrays of everything that ever came, lists as arrays, CoDel as RFC 8289 writes it. */
#include "proto/quic/queue.h"

#include "../../test.h"
#include "base/error.h"

#define MS INT64_C(1000000)
#define TWIN 40000u
#define FLOWS 8u
#define LONG 9000u

struct item {
    uint32_t number, serial;
    size_t len;
    int64_t since;
    bool gone;
};

struct twin_flow {
    uint32_t items[TWIN], first, end;
    int deficit;
    bool listed, dropping;
    uint32_t count, last_count;
    int64_t first_above, drop_next;
};

struct twin {
    struct gh_quic_queue_limits limits;
    struct item all[TWIN];
    uint32_t total, waiting, cells;
    uint64_t full, delay;
    struct twin_flow flows[FLOWS];
    uint32_t lists[2][2 * FLOWS], lengths[2]; /* new, old */
};

static struct twin t;

static uint32_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return (uint32_t)(*s >> 32);
}

static uint32_t cells_of(size_t len)
{
    return (uint32_t)((len + GH_QUIC_QUEUE_CELL - 1) / GH_QUIC_QUEUE_CELL);
}

static uint32_t flow_cells(const struct twin_flow *f)
{
    uint32_t n = 0;

    for (uint32_t i = f->first; i < f->end; i++)
        n += cells_of(t.all[f->items[i]].len);
    return n;
}

static void twin_pop(struct twin_flow *f)
{
    struct item *it = &t.all[f->items[f->first++]];

    it->gone = true;
    t.waiting--;
    t.cells -= cells_of(it->len);
}

static void list_push(unsigned list, uint32_t flow)
{
    t.lists[list][t.lengths[list]++] = flow;
    t.flows[flow].listed = true;
}

static uint32_t list_shift(unsigned list)
{
    uint32_t flow = t.lists[list][0];

    memmove(t.lists[list], t.lists[list] + 1, --t.lengths[list] * sizeof *t.lists[list]);
    t.flows[flow].listed = false;
    return flow;
}

static void twin_make_room(uint32_t cells)
{
    while (t.waiting >= t.limits.packets || (t.cells + cells) * (size_t)GH_QUIC_QUEUE_CELL > t.limits.bytes) {
        struct twin_flow *fullest = NULL;

        for (unsigned list = 0; list < 2; list++)
            for (uint32_t i = 0; i < t.lengths[list]; i++)
                if (!fullest || flow_cells(&t.flows[t.lists[list][i]]) > flow_cells(fullest))
                    fullest = &t.flows[t.lists[list][i]];
        assert_non_null(fullest);
        twin_pop(fullest);
        t.full++;
    }
}

static void twin_append(uint32_t number, size_t len, int64_t now)
{
    struct twin_flow *f = &t.flows[number];

    twin_make_room(cells_of(len));
    t.all[t.total] = (struct item){ number, t.total, len, now, false };
    f->items[f->end++] = t.total++;
    t.waiting++;
    t.cells += cells_of(len);
    if (!f->listed) {
        f->deficit = GH_QUIC_QUEUE_QUANTUM;
        list_push(0, number);
    }
}

static bool above(struct twin_flow *f, int64_t now)
{
    if (t.limits.target == 0 || now - t.all[f->items[f->first]].since < t.limits.target || f->end - f->first == 1) {
        f->first_above = 0;
        return false;
    }
    if (f->first_above == 0)
        f->first_above = now + t.limits.interval;
    else if (now >= f->first_above)
        return true;
    return false;
}

static int64_t law(uint32_t count)
{
    int64_t root = 1; /* interval / sqrt(count), to a 256th */

    while ((root + 1) * (root + 1) <= (int64_t)count * 65536)
        root++;
    return t.limits.interval * 256 / root;
}

static bool twin_judge(struct twin_flow *f, int64_t now)
{
    while (f->first < f->end) {
        if (t.limits.time && now - t.all[f->items[f->first]].since > t.limits.time) {
            twin_pop(f);
            t.delay++;
            continue;
        }
        if (!above(f, now)) {
            f->dropping = false;
            return true;
        }
        if (f->dropping && now < f->drop_next)
            return true;
        twin_pop(f);
        t.delay++;
        if (f->dropping) {
            f->drop_next += law(++f->count);
        } else {
            uint32_t more = f->count - f->last_count;

            f->count = more > 1 && now - f->drop_next < 16 * t.limits.interval ? more : 1;
            f->last_count = f->count;
            f->drop_next = now + law(f->count);
            f->dropping = true;
        }
    }
    return false;
}

/* The flow that is next; FLOWS for none. RFC 8290, section 4.2. */
static uint32_t twin_choose(int64_t now)
{
    while (t.waiting && (t.lengths[0] || t.lengths[1])) {
        unsigned list = t.lengths[0] ? 0 : 1;
        uint32_t flow = t.lists[list][0];
        struct twin_flow *f = &t.flows[flow];

        if (f->deficit <= 0) {
            f->deficit += GH_QUIC_QUEUE_QUANTUM;
            list_shift(list);
            list_push(1, flow);
        } else if (twin_judge(f, now)) {
            return flow;
        } else {
            list_shift(list);
            if (list == 0)
                list_push(1, flow);
        }
    }
    while (t.lengths[0])
        list_shift(0);
    while (t.lengths[1])
        list_shift(1);
    return FLOWS;
}

static void twin_consume(uint32_t flow)
{
    struct twin_flow *f = &t.flows[flow];

    f->deficit -= (int)t.all[f->items[f->first]].len;
    twin_pop(f);
    if (t.waiting == 0)
        twin_choose(0);
}

static void fill(uint8_t *p, uint32_t serial, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(serial * 31 + i * 7);
}

static void check_peek(struct gh_quic_queue *q, uint32_t flow, int64_t now)
{
    struct gh_span pieces[GH_QUIC_QUEUE_PIECES];
    size_t n = gh_quic_queue_peek(q, now, pieces), at = 0;
    uint8_t expected[LONG + 1];
    const struct item *it;

    assert_int_equal(q->count, t.waiting);
    assert_int_equal(q->cells, t.cells);
    assert_int_equal(q->dropped_full, t.full);
    assert_int_equal(q->dropped_delay, t.delay);
    if (flow == FLOWS) {
        assert_int_equal(n, 0);
        return;
    }
    it = &t.all[t.flows[flow].items[t.flows[flow].first]];
    fill(expected, it->serial, it->len);
    for (size_t i = 0; i < n; at += pieces[i++].len)
        assert_memory_equal(pieces[i].data, expected + at, pieces[i].len);
    assert_int_equal(at, it->len);
}

static void append_both(struct gh_quic_queue *q, uint64_t *rnd, int64_t now)
{
    uint32_t r = next_random(rnd), number = r % 4 ? r / 4 % 2 : r / 4 % FLOWS; /* two are busy */
    size_t len = 1 + next_random(rnd) % (next_random(rnd) % 8 ? 1400 : LONG), cut = next_random(rnd) % (len + 1);
    uint8_t data[LONG + 1];

    fill(data, t.total, len);
    assert_int_equal(gh_quic_queue_append(q, gh_span_of(data, cut), gh_span_of(data + cut, len - cut), number * 77777, now), 0);
    twin_append(number, len, now);
}

static void run(uint64_t seed, const struct gh_quic_queue_limits *limits)
{
    uint64_t rnd = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    struct gh_quic_queue q;
    int64_t now = 1000 * MS;
    unsigned in = 50;
    uint32_t flow;

    memset(&t, 0, sizeof t);
    t.limits = *limits;
    gh_quic_queue_init(&q, limits);
    for (unsigned step = 0; t.total < 6000; step++) {
        if (step % 499 == 0)
            in = 25 + next_random(&rnd) % 56; /* it fills for a while, then runs empty for a while */
        now += next_random(&rnd) % 500000;
        if (next_random(&rnd) % 100 < in)
            append_both(&q, &rnd, now);
        if (next_random(&rnd) % 4) { /* or the window is closed */
            flow = twin_choose(now);
            check_peek(&q, flow, now);
            if (flow != FLOWS && next_random(&rnd) % 3) {
                gh_quic_queue_consume(&q);
                twin_consume(flow);
            }
        }
        gh_quic_queue_trim(&q, now);
    }
    gh_quic_queue_fini(&q);
}

static void the_queue_is_as_its_twin(void **state)
{
    const struct gh_quic_queue_limits limits[] = {
        { 1024, 2u << 20, 0, 0, 100 * MS },         { 1024, 2u << 20, 50 * MS, 5 * MS, 100 * MS }, { 1024, 2u << 20, 0, MS, 10 * MS },
        { 20, 2u << 20, 0, 0, 100 * MS },           { 1024, 64u * 1024, 0, 0, 100 * MS },          { 1024, 64u * 1024, 30 * MS, 5 * MS, 20 * MS },
    };
    uint64_t full = 0, delay = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++)
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            run(seed * 100 + i, &limits[i]);
            full += t.full;
            delay += t.delay;
        }
    assert_true(full > 1000 && delay > 1000);
}

/* Small helpers for the rest. */

static void add(struct gh_quic_queue *q, uint32_t flow, size_t len, int64_t now)
{
    static const uint8_t bytes[2000];
    uint8_t name = (uint8_t)flow;

    assert_int_equal(gh_quic_queue_append(q, gh_span_of(&name, 1), gh_span_of(bytes, len - 1), flow, now), 0);
}

/* The flow of what leaves; -1 for nothing. */
static int take(struct gh_quic_queue *q, int64_t now)
{
    struct gh_span pieces[GH_QUIC_QUEUE_PIECES];
    int flow;

    if (gh_quic_queue_peek(q, now, pieces) == 0)
        return -1;
    flow = pieces[0].data[0];
    gh_quic_queue_consume(q);
    return flow;
}

static const struct gh_quic_queue_limits usual = { 1024, 2u << 20, 50 * MS, 5 * MS, 100 * MS };

static void a_flow_that_was_silent_comes_first(void **state)
{
    struct gh_quic_queue q;

    (void)state;
    gh_quic_queue_init(&q, &usual);
    for (int i = 0; i < 100; i++)
        add(&q, 1, 1200, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(&q, 1), 1);
    add(&q, 2, 100, 2);
    assert_int_equal(take(&q, 2), 2);
    assert_int_equal(take(&q, 2), 1);
    gh_quic_queue_fini(&q);
}

static void flows_share_by_bytes(void **state)
{
    struct gh_quic_queue q;
    unsigned bytes[2] = { 0 };

    (void)state;
    gh_quic_queue_init(&q, &usual);
    for (int i = 0; i < 300; i++) {
        add(&q, 1, 1400, 1);
        add(&q, 2, 200, 1);
    }
    for (int i = 0; i < 200; i++) {
        int flow = take(&q, 1);

        assert_in_range(flow, 1, 2);
        bytes[flow == 2] += flow == 1 ? 1400u : 200u;
    }
    assert_in_range(bytes[0], bytes[1] - 3000, bytes[1] + 3000);
    gh_quic_queue_fini(&q);
}

/* How many of flow 1 leave at a time while flow 2 has as many that wait. */
static int turn_at(uint64_t bytes_per_second)
{
    struct gh_quic_queue q;
    int longest = 0, here = 0;

    gh_quic_queue_init(&q, &usual);
    gh_quic_queue_set_rate(&q, bytes_per_second);
    for (int i = 0; i < 200; i++) {
        add(&q, 1, 1400, 1);
        add(&q, 2, 1400, 1);
    }
    for (int i = 0; i < 200; i++) {
        here = take(&q, 1) == 1 ? here + 1 : 0;
        longest = here > longest ? here : longest;
    }
    gh_quic_queue_fini(&q);
    return longest;
}

/* 1.25 MB/s is 10 Mbit/s; 2 Gbit/s let 50 kB out in 0.2 ms. */
static void a_turn_is_as_long_as_the_rate_allows(void **state)
{
    (void)state;
    assert_in_range(turn_at(0), 1, 2);
    assert_in_range(turn_at(1250000), 1, 2);
    assert_in_range(turn_at(25000000), 3, 5); /* 5,000 bytes */
    assert_in_range(turn_at(250000000), GH_QUIC_QUEUE_QUANTUM_MAX / 1400, GH_QUIC_QUEUE_QUANTUM_MAX / 1400 + 1);
}

static void the_fullest_flow_makes_room(void **state)
{
    const struct gh_quic_queue_limits limits = { 64, 2u << 20, 0, 0, 0 };
    struct gh_quic_queue q;
    unsigned seen[3] = { 0 };

    (void)state;
    gh_quic_queue_init(&q, &limits);
    add(&q, 2, 100, 1);
    for (int i = 0; i < 1000; i++)
        add(&q, 1, 1200, 1);
    add(&q, 2, 100, 1);
    assert_int_equal(q.count, 64);
    assert_int_equal(q.dropped_full, 1002 - 64);
    for (int flow = take(&q, 1); flow > 0; flow = take(&q, 1))
        seen[flow]++;
    assert_int_equal(seen[2], 2);
    gh_quic_queue_fini(&q);
}

/* One hundred packets a second come, eighty leave. */
static void a_standing_wait_is_answered_by_drops(void **state)
{
    const struct gh_quic_queue_limits limits = { 1024, 2u << 20, 0, 5 * MS, 100 * MS };
    struct gh_quic_queue q;
    uint64_t early;

    (void)state;
    gh_quic_queue_init(&q, &limits);
    for (int64_t ms = 0; ms < 99; ms++) { /* for less than an interval everything is borne */
        if (ms % 10 == 0)
            add(&q, 1, 1000, ms * MS);
        if (ms % 40 == 0)
            take(&q, ms * MS);
    }
    assert_int_equal(q.dropped_delay, 0);
    for (int64_t ms = 100; ms < 20000; ms++) {
        if (ms % 10 == 0)
            add(&q, 1, 1000, ms * MS);
        if (ms % 25 % 12 == 0 && ms % 25 < 24)
            take(&q, ms * MS);
        if (ms == 10000)
            early = q.dropped_delay;
    }
    assert_in_range(early, 50, 1000);
    assert_int_equal(q.dropped_full, 0);
    assert_true(q.count < 100);
    gh_quic_queue_fini(&q);
}

/* RFC 8289, sections 4.2 and 4.3: nobody answers a drop sooner than a round trip. */
static void on_a_long_path_codel_waits_for_two_round_trips(void **state)
{
    static const struct gh_quic_queue_limits limits = { 1000, 1 << 20, 0, 5 * MS, 100 * MS };
    struct gh_span pieces[GH_QUIC_QUEUE_PIECES];

    (void)state;
    for (int64_t rtt = 20; rtt <= 300; rtt += 280) {
        const int64_t wait = rtt == 20 ? 10 : 40, patience = rtt == 20 ? 100 : 600, target = patience / 20;
        struct gh_quic_queue q;
        int64_t first = 0;

        gh_quic_queue_init(&q, &limits);
        gh_quic_queue_set_rtt(&q, rtt * MS);
        for (int64_t ms = 0; ms < wait; ms++)
            add(&q, 1, 100, ms * MS);
        for (int64_t ms = wait; !first && ms < 2000; ms++) { /* what waits longest has waited as long as <wait> */
            add(&q, 1, 100, ms * MS);
            assert_true(gh_quic_queue_peek(&q, ms * MS, pieces) > 0);
            gh_quic_queue_consume(&q);
            first = q.dropped_delay ? ms - wait : 0;
        }
        assert_true(wait > target);
        assert_in_range(first, patience, patience + 2);
        gh_quic_queue_fini(&q);
    }
}

static void what_is_too_old_is_dropped(void **state)
{
    struct gh_quic_queue q;

    (void)state;
    gh_quic_queue_init(&q, &usual);
    add(&q, 1, 10, 0);
    add(&q, 2, 10, 30 * MS);
    assert_int_equal(take(&q, 51 * MS), 2);
    assert_int_equal(take(&q, 51 * MS), -1);
    assert_int_equal(q.dropped_delay, 1);
    gh_quic_queue_fini(&q);
}

static void more_flows_than_places_lose_nothing(void **state)
{
    struct gh_quic_queue q;
    unsigned seen = 0;

    (void)state;
    gh_quic_queue_init(&q, &usual);
    for (uint32_t i = 0; i < 1000; i++)
        add(&q, i * 2654435761u + 1, 100, 1);
    while (take(&q, 2) >= 0)
        seen++;
    assert_int_equal(seen, 1000);
    assert_int_equal(q.cells, 0);
    gh_quic_queue_fini(&q);
}

static void a_quiet_queue_gives_its_memory_back(void **state)
{
    struct gh_quic_queue q;

    (void)state;
    gh_quic_queue_init(&q, &usual);
    for (int i = 0; i < 1000; i++)
        add(&q, (uint32_t)i % 3, 1200, 1);
    assert_true(q.slab_count > 30);
    while (take(&q, 2) >= 0)
        ;
    gh_quic_queue_trim(&q, 10 * MS); /* the next burst may be near */
    assert_true(q.slab_count > 30);
    gh_quic_queue_trim(&q, 2000 * MS);
    assert_int_equal(q.slab_count, 1);
    for (int i = 0; i < 100; i++)
        add(&q, 5, 1200, 2001 * MS);
    for (int i = 0; i < 100; i++)
        assert_int_equal(take(&q, 2001 * MS), 5);
    gh_quic_queue_trim(&q, 5500 * MS); /* a session that is idle has none at all */
    assert_int_equal(q.slab_count, 0);
    assert_null(q.flows);
    add(&q, 6, 1200, 5501 * MS);
    assert_int_equal(take(&q, 5501 * MS), 6);
    gh_quic_queue_fini(&q);
}

static void what_can_never_fit_is_refused(void **state)
{
    static const uint8_t bytes[70000];
    const struct gh_quic_queue_limits limits = { 16, 5000, 0, 0, 0 };
    struct gh_quic_queue q;

    (void)state;
    gh_quic_queue_init(&q, &limits);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of(bytes, 5000), gh_span_of(NULL, 0), 1, 1), GH_ERR_FULL);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of(bytes, 2), gh_span_of(bytes, 4000), 1, 1), 0);
    assert_int_equal(q.bytes, 4002);
    gh_quic_queue_fini(&q);
    gh_quic_queue_init(&q, &usual);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of(bytes, 65535), gh_span_of(NULL, 0), 1, 1), 0);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of(bytes, 65535), gh_span_of(bytes, 1), 1, 1), GH_ERR_FULL);
    gh_quic_queue_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_queue_is_as_its_twin),
        cmocka_unit_test(a_flow_that_was_silent_comes_first),
        cmocka_unit_test(flows_share_by_bytes),
        cmocka_unit_test(a_turn_is_as_long_as_the_rate_allows),
        cmocka_unit_test(the_fullest_flow_makes_room),
        cmocka_unit_test(a_standing_wait_is_answered_by_drops),
        cmocka_unit_test(on_a_long_path_codel_waits_for_two_round_trips),
        cmocka_unit_test(what_is_too_old_is_dropped),
        cmocka_unit_test(more_flows_than_places_lose_nothing),
        cmocka_unit_test(a_quiet_queue_gives_its_memory_back),
        cmocka_unit_test(what_can_never_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
