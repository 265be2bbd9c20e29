/* The ring of datagrams against a naive twin. */
#include "proto/quic/queue.h"

#include "../../test.h"
#include "base/error.h"

#define TWIN 4096
#define SIZE_MAX_SEEN 3000

/* The twin: one allocation a datagram, in an array that never wraps within a run. */
struct twin {
    struct {
        uint8_t *data;
        size_t len;
        int64_t since;
    } all[TWIN];
    size_t first, end, bytes;
};

static uint32_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return (uint32_t)(*s >> 32);
}

static struct gh_span twin_add(struct twin *t, size_t len, int64_t now, uint64_t *rnd)
{
    uint8_t *p = malloc(len + 1), first = (uint8_t)next_random(rnd);

    assert_non_null(p);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(first + i * 7);
    t->all[t->end].data = p;
    t->all[t->end].len = len;
    t->all[t->end++].since = now;
    t->bytes += len;
    return gh_span_of(p, len);
}

static void twin_drop(struct twin *t, size_t i)
{
    t->bytes -= t->all[i].len;
    free(t->all[i].data);
}

static void check_head(const struct twin *t, const struct gh_quic_queue *q)
{
    int64_t since = -1;
    struct gh_span d = gh_quic_queue_peek(q, &since);

    assert_int_equal(q->count, t->end - t->first);
    assert_int_equal(q->bytes, t->bytes);
    if (t->first == t->end) {
        assert_null(d.data);
        return;
    }
    assert_int_equal(d.len, t->all[t->first].len);
    assert_memory_equal(d.data, t->all[t->first].data, d.len);
    assert_int_equal(since, t->all[t->first].since);
}

static void append_both(struct twin *t, struct gh_quic_queue *q, uint64_t *rnd, int64_t now, size_t len)
{
    struct gh_span all = twin_add(t, len, now, rnd);
    size_t cut = len ? next_random(rnd) % (len + 1) : 0;
    bool full = t->end - t->first > q->max_count || t->bytes > q->max_bytes;
    int rc = gh_quic_queue_append(q, gh_span_of(all.data, cut), gh_span_of(all.data + cut, len - cut), now);

    assert_int_equal(rc, full ? GH_ERR_FULL : 0);
    if (full)
        twin_drop(t, --t->end);
}

static void run(uint64_t seed, size_t max_count, size_t max_bytes)
{
    static struct twin t;
    struct gh_quic_queue q;
    uint64_t rnd = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    unsigned in = 50;

    memset(&t, 0, sizeof t);
    gh_quic_queue_init(&q, max_count, max_bytes);
    for (int64_t now = 1; t.end < TWIN && now < 20000; now++) {
        if (now % 97 == 0)
            in = 20 + next_random(&rnd) % 61; /* it fills for a while, then runs empty for a while */
        if (next_random(&rnd) % 100 < in) {
            append_both(&t, &q, &rnd, now, 1 + next_random(&rnd) % (next_random(&rnd) % 4 ? 1400 : SIZE_MAX_SEEN));
        } else if (t.first < t.end) {
            gh_quic_queue_consume(&q);
            twin_drop(&t, t.first++);
        }
        check_head(&t, &q);
    }
    for (; t.first < t.end; check_head(&t, &q)) {
        gh_quic_queue_consume(&q);
        twin_drop(&t, t.first++);
    }
    gh_quic_queue_fini(&q);
}

static void the_ring_is_as_its_twin(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        run(seed, 1024, 2 * 1024 * 1024);
}

static void limits_are_as_its_twin_s(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 112; seed++) {
        run(seed, 1 + seed % 50, 1024 * 1024);
        run(seed, 1024, 3000 + seed * 100);
    }
}

static void an_empty_queue_gives_large_memory_back(void **state)
{
    static const uint8_t data[60000];
    struct gh_quic_queue q;

    (void)state;
    gh_quic_queue_init(&q, 100, 10 * 1000 * 1000);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(gh_quic_queue_append(&q, gh_span_of(data, sizeof data), gh_span_of(NULL, 0), 1), 0);
    assert_true(q.cap > 600000);
    for (unsigned i = 0; i < 10; i++)
        gh_quic_queue_consume(&q);
    assert_int_equal(q.cap, 0);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of(data, 3), gh_span_of(data, 4), 2), 0);
    assert_int_equal(q.bytes, 7);
    gh_quic_queue_fini(&q);
}

static void nothing_is_queued_beyond_the_limits(void **state)
{
    struct gh_quic_queue q;
    int64_t since = 0;

    (void)state;
    gh_quic_queue_init(&q, 2, 10);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of("12345", 5), gh_span_of("678901", 6), 1), GH_ERR_FULL);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of("12345", 5), gh_span_of("67890", 5), 2), 0);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of("x", 1), gh_span_of(NULL, 0), 3), GH_ERR_FULL);
    gh_quic_queue_consume(&q);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of("x", 1), gh_span_of(NULL, 0), 4), 0);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of(NULL, 0), gh_span_of("y", 1), 5), 0);
    assert_int_equal(gh_quic_queue_append(&q, gh_span_of("z", 1), gh_span_of(NULL, 0), 6), GH_ERR_FULL);
    assert_true(gh_span_equals(gh_quic_queue_peek(&q, &since), gh_span_str("x")));
    assert_int_equal(since, 4);
    gh_quic_queue_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ring_is_as_its_twin),
        cmocka_unit_test(limits_are_as_its_twin_s),
        cmocka_unit_test(an_empty_queue_gives_large_memory_back),
        cmocka_unit_test(nothing_is_queued_beyond_the_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
