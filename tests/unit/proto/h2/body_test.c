#include "proto/h2/body.h"

#include "../../test.h"

/* Against a plain array that only grows. */
static void bytes_come_out_in_order_whatever_the_pieces(void **state)
{
    static uint8_t all[1 << 20], got[4096];
    struct gh_h2_body b = { 0 };
    size_t in = 0, out = 0;
    uint32_t random = 1;

    (void)state;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)(i * 31 + i / 257);
    while (out < sizeof all) {
        size_t n, want;

        random = random * 1664525u + 1013904223u;
        n = (random >> 16) % 3000;
        n = n < sizeof all - in ? n : sizeof all - in;
        assert_int_equal(gh_h2_body_append(&b, gh_span_of(all + in, n)), 0);
        in += n;
        assert_int_equal(b.len, in - out);
        want = (random >> 8) % sizeof got;
        n = gh_h2_body_take(&b, got, want);
        assert_int_equal(n, want < in - out ? want : in - out);
        assert_memory_equal(got, all + out, n);
        out += n;
    }
    assert_int_equal(b.len, 0);
    gh_h2_body_fini(&b);
}

static void an_empty_body_holds_no_large_buffer(void **state)
{
    static uint8_t large[100000];
    struct gh_h2_body b = { 0 };

    (void)state;
    assert_int_equal(gh_h2_body_append(&b, gh_span_of(large, sizeof large)), 0);
    assert_int_equal(gh_h2_body_take(&b, large, sizeof large), sizeof large);
    assert_int_equal(b.cap, 0);
    assert_null(b.buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_order_whatever_the_pieces),
        cmocka_unit_test(an_empty_body_holds_no_large_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
