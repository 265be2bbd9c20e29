#include "proto/quic/params.h"

#include <string.h>

#include "../../test.h"

/* Five parameters: ids of one and of two bytes, values of none to three. */
static const uint8_t list[] = { 0x01, 0x02, 0x40, 0x64, 0x0f, 0x00, 0x71, 0x28, 0x03, 'a', 'b', 'c', 0x20, 0x01, 0x05, 0x04, 0x02, 0x7f, 0xff };

static int orders(uint64_t noise, char ret[6])
{
    static const char ids[] = { 0x01, 0x0f, 0x71, 0x20, 0x04 };
    uint8_t mixed[sizeof list];
    size_t at = 0, n = 0;

    memcpy(mixed, list, sizeof list);
    gh_quic_params_shuffle(mixed, sizeof mixed, noise);
    while (at < sizeof mixed) {
        const uint8_t *whole = memchr(ids, mixed[at], sizeof ids);
        size_t head = mixed[at] == 0x71 ? 3 : 2, len = head + mixed[at + head - 1];

        assert_non_null(whole);
        assert_non_null(memmem(list, sizeof list, mixed + at, len)); /* as it was */
        ret[n++] = (char)('a' + (whole - (const uint8_t *)ids));
        at += len;
    }
    ret[n] = 0;
    return (int)n;
}

static void every_order_comes_and_nothing_is_lost(void **state)
{
    char seen[120][6];
    size_t count = 0;

    (void)state;
    for (uint64_t noise = 0; noise < 120; noise++) {
        assert_int_equal(orders(noise, seen[count]), 5);
        for (const char *id = "abcde"; *id; id++)
            assert_non_null(strchr(seen[count], *id));
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(seen[i], seen[count]);
        count++;
    }
}

static void what_is_no_list_stays_as_it_is(void **state)
{
    uint8_t mixed[sizeof list];

    (void)state;
    for (size_t len = 0; len < sizeof list; len++) {
        bool whole = len == 0 || len == 4 || len == 6 || len == 12 || len == 15;

        memcpy(mixed, list, sizeof list);
        gh_quic_params_shuffle(mixed, len, 0);
        if (!whole)
            assert_memory_equal(mixed, list, sizeof list);
        assert_memory_equal(mixed + len, list + len, sizeof list - len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_comes_and_nothing_is_lost),
        cmocka_unit_test(what_is_no_list_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
