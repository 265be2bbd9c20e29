#include "loop/pool.h"

#include "../test.h"

#include <pthread.h>

#include "base/error.h"
#include "loop/counters.h"

static struct gh_workers *two(void)
{
    const struct gh_workers_config cfg = { .count = 2 };
    struct gh_workers *ws = NULL;

    assert_int_equal(gh_workers_create(&cfg, &ws), 0);
    return ws;
}

static struct gh_packet_pool *pool(struct gh_worker *owner, size_t max)
{
    const struct gh_packet_pool_config cfg = { .owner = owner, .size = 2048, .headroom = 100, .max = max };
    struct gh_packet_pool *p = NULL;

    assert_int_equal(gh_packet_pool_create(&cfg, &p), 0);
    return p;
}

static void a_buffer_has_its_size_behind_its_headroom(void **state)
{
    struct gh_workers *ws = two();
    struct gh_worker *w = gh_workers_at(ws, 0);
    struct gh_packet_pool *p = pool(w, 2);
    struct gh_packet *a = gh_packet_get(p), *b = gh_packet_get(p);

    (void)state;
    assert_int_equal(gh_packet_headroom(a), 100);
    assert_true(gh_packet_tailroom(a) >= 2048);
    memset(a->start, 0xaa, (size_t)(a->end - a->start));
    memset(b->start, 0xbb, (size_t)(b->end - b->start));
    assert_int_equal(a->start[0], 0xaa);
    assert_int_equal(a->end[-1], 0xaa);
    assert_ptr_equal(a->pool, p);
    gh_packet_put(a, w);
    gh_packet_put(b, w);
    gh_packet_put(NULL, w);
    gh_packet_pool_destroy(p);
    gh_workers_destroy(ws);
}

static void a_pool_ends_at_its_maximum_and_counts_it(void **state)
{
    struct gh_workers *ws = two();
    struct gh_worker *w = gh_workers_at(ws, 0);
    struct gh_packet_pool *p = pool(w, 3);
    struct gh_packet *k[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        k[i] = gh_packet_get(p);
        assert_non_null(k[i]);
    }
    assert_null(gh_packet_get(p));
    assert_null(gh_packet_get(p));
    assert_int_equal(gh_packet_pool_empty(p), 2);
    assert_int_equal(gh_packet_pool_out(p), 3);
    gh_packet_put(k[1], gh_workers_at(ws, 1)); /* another worker */
    gh_packet_put(k[2], NULL);                 /* a thread that is none */
    assert_int_equal(gh_packet_pool_out(p), 1);
    assert_non_null(gh_packet_get(p));
    assert_non_null(gh_packet_get(p));
    assert_null(gh_packet_get(p));
    gh_packet_pool_destroy(p);
    gh_workers_destroy(ws);
}

#define ROUNDS 200000
#define BUFFERS 64

struct exchange {
    _Atomic(struct gh_packet *) slots[16];
    _Atomic bool over;
};

static void *give_back(void *arg)
{
    struct exchange *x = arg;
    bool over;

    do {
        over = x->over; /* one more round after it */
        for (size_t i = 0; i < 16; i++) {
            struct gh_packet *k = __atomic_exchange_n((struct gh_packet **)&x->slots[i], NULL, __ATOMIC_ACQ_REL);

            if (k && k->data[0] != (uint8_t)k->tag)
                abort();
            gh_packet_put(k, NULL);
        }
    } while (!over);
    return NULL;
}

static void buffers_come_back_from_other_threads_once(void **state)
{
    struct gh_workers *ws = two();
    struct gh_packet_pool *p = pool(gh_workers_at(ws, 0), BUFFERS);
    static struct exchange x;
    pthread_t threads[2];

    (void)state;
    memset(&x, 0, sizeof x);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, give_back, &x), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct gh_packet *k = gh_packet_get(p), *old;

        if (!k)
            continue;
        k->tag = i & 0xff;
        k->data[0] = (uint8_t)i;
        old = __atomic_exchange_n((struct gh_packet **)&x.slots[i % 16], k, __ATOMIC_ACQ_REL);
        gh_packet_put(old, gh_workers_at(ws, 0));
    }
    x.over = true;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(gh_packet_pool_out(p), 0);
    gh_packet_pool_destroy(p);
    gh_workers_destroy(ws);
}

static void counters_are_summed_over_workers(void **state)
{
    struct gh_counters *c = NULL;

    (void)state;
    assert_int_equal(gh_counters_create(0, 5, &c), GH_ERR_RANGE);
    assert_int_equal(gh_counters_create(3, 9, &c), 0);
    for (unsigned w = 0; w < 3; w++)
        for (unsigned id = 0; id < 9; id++)
            gh_counters_add(c, w, id, (w + 1) * 100 + id);
    gh_counters_add(c, 1, 8, 1);
    assert_int_equal(gh_counters_sum(c, 0), 600);
    assert_int_equal(gh_counters_sum(c, 8), 625);
    assert_int_equal(gh_counters_sum(c, 9), 0);
    gh_counters_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_has_its_size_behind_its_headroom),
        cmocka_unit_test(a_pool_ends_at_its_maximum_and_counts_it),
        cmocka_unit_test(buffers_come_back_from_other_threads_once),
        cmocka_unit_test(counters_are_summed_over_workers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
