#include "proto/forward/checksum.h"

#include "../../test.h"
#include "base/error.h"
#include "naive_build.h"

/* RFC 1071, section 3: the bytes 00 01 f2 03 f4 f5 f6 f7 sum up to ddf2. */
static void sum_of_the_example_of_the_rfc(void **state)
{
    static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
    static const uint8_t expected[] = { 0xdd, 0xf2 };
    uint16_t sum = gh_checksum_fold(gh_checksum_add(0, bytes, sizeof bytes));

    (void)state;
    assert_memory_equal(&sum, expected, 2);
}

static void every_length_and_alignment_equals_the_naive_sum(void **state)
{
    uint8_t bytes[1700];
    uint64_t seed = 0x5eed;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i % 97 < 40 ? 0xff : (uint8_t)naive_random(&seed, 256); /* runs of ones make carries */
    for (size_t len = 0; len < 1600; len++) {
        for (size_t shift = 0; shift < 9; shift += len < 200 ? 1 : 4) {
            uint16_t fast = gh_checksum_fold(gh_checksum_add(0, bytes + shift, len));
            uint16_t scalar = gh_checksum_fold(gh_checksum_add_scalar(0, bytes + shift, len));

            assert_int_equal(naive_get16((uint8_t *)&fast), naive_sum(0, bytes + shift, len));
            assert_int_equal(fast, scalar);
        }
    }
}

static void all_ones_and_all_zeroes_keep_their_sums(void **state)
{
    static uint8_t bytes[65536];

    (void)state;
    assert_int_equal(gh_checksum_fold(gh_checksum_add(0, bytes, sizeof bytes)), 0);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(gh_checksum_fold(gh_checksum_add(0, bytes, sizeof bytes)), 0xffff);
    assert_int_equal(gh_checksum_fold(gh_checksum_add(UINT64_MAX, bytes, sizeof bytes)), 0xffff);
}

static void sums_of_pieces_add_up(void **state)
{
    uint8_t bytes[600];
    uint64_t seed = 7, sum = 0;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)naive_random(&seed, 256);
    for (size_t at = 0; at < sizeof bytes; at += 200)
        sum = gh_checksum_add(sum, bytes + at, 200);
    assert_int_equal(gh_checksum_fold(sum), gh_checksum_fold(gh_checksum_add(0, bytes, sizeof bytes)));
}

/* Small enough to sum up by hand:
 * 0a00+0001+0a00+0002 + 0011 + 0009 + 1234+0035+0009+0000 + 4100 = 678f, inverted 9870. */
static void udp_checksum_of_an_odd_payload(void **state)
{
    static const uint8_t addresses[] = { 10, 0, 0, 1, 10, 0, 0, 2 };
    uint8_t udp[] = { 0x12, 0x34, 0x00, 0x35, 0x00, 0x09, 0x00, 0x00, 0x41 };
    uint64_t pseudo = gh_checksum_pseudo(addresses, 4, 17, sizeof udp);
    uint16_t partial = gh_checksum_fold(pseudo);

    (void)state;
    gh_checksum_store(udp + 6, gh_checksum_add(pseudo, udp, sizeof udp), true);
    assert_int_equal(naive_get16(udp + 6), 0x9870);
    assert_true(gh_checksum_good(gh_checksum_add(pseudo, udp, sizeof udp)));
    udp[8] ^= 1;
    assert_false(gh_checksum_good(gh_checksum_add(pseudo, udp, sizeof udp)));
    udp[8] ^= 1;
    memcpy(udp + 6, &partial, 2);
    assert_int_equal(gh_checksum_complete(udp, sizeof udp, 6), 0);
    assert_int_equal(naive_get16(udp + 6), 0x9870);
}

/* RFC 768: a zero in the field says that there is no checksum. */
static void zero_is_stored_as_ones_for_udp_only(void **state)
{
    uint8_t field[2];

    (void)state;
    gh_checksum_store(field, 0xffff, true);
    assert_int_equal(naive_get16(field), 0xffff);
    gh_checksum_store(field, 0xffff, false);
    assert_int_equal(naive_get16(field), 0);
}

static void field_outside_the_text_is_malformed(void **state)
{
    uint8_t text[8] = { 0 };

    (void)state;
    assert_int_equal(gh_checksum_complete(text, 8, 6), 0);
    assert_int_equal(gh_checksum_complete(text, 7, 6), GH_ERR_MALFORMED);
    assert_int_equal(gh_checksum_complete(text, 8, 7), GH_ERR_MALFORMED);
    assert_int_equal(gh_checksum_complete(text, 8, 65534), GH_ERR_MALFORMED);
    assert_int_equal(gh_checksum_complete(text, 1, 0), GH_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_of_the_example_of_the_rfc),
        cmocka_unit_test(every_length_and_alignment_equals_the_naive_sum),
        cmocka_unit_test(all_ones_and_all_zeroes_keep_their_sums),
        cmocka_unit_test(sums_of_pieces_add_up),
        cmocka_unit_test(udp_checksum_of_an_odd_payload),
        cmocka_unit_test(zero_is_stored_as_ones_for_udp_only),
        cmocka_unit_test(field_outside_the_text_is_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
