/* Version negotiation (RFC 8999, section 6; RFC 9000, sections 6.1 and 15). */
#include "../../test.h"
#include "proto/quic/quic.h"

static void a_reserved_version_comes_with_the_real_one_and_is_never_the_one_asked_for(void **state)
{
    struct gh_quic_initial in = { .dcid = { 8, "12345678" }, .scid = { 5, "abcde" } };
    uint8_t buf[128];
    uint32_t versions[2];

    (void)state;
    for (unsigned noise = 0; noise < 256; noise++) {
        for (unsigned asked = 0; asked < 2; asked++) {
            struct gh_reader r;
            int len;

            in.version = asked ? versions[0] : 0x709a50c4; /* what the last answer had, as an unlucky client would */
            len = gh_quic_version_negotiation(&in, (uint8_t)noise, buf, sizeof buf);
            assert_in_range(len, 1 + 4 + 6 + 9 + 8, 1 + 4 + 6 + 9 + 8);
            r = gh_reader_of(gh_span_of(buf + 1 + 4 + 6 + 9, 8));
            assert_true(buf[0] & 0x80);
            assert_memory_equal(buf + 1, "\0\0\0\0\5abcde\010""12345678", 4 + 6 + 9);
            versions[0] = gh_read_u32(&r);
            versions[1] = gh_read_u32(&r);
            assert_int_equal(versions[0] & 0x0f0f0f0f, 0x0a0a0a0a);
            assert_int_not_equal(versions[0], in.version);
            assert_int_equal(versions[1], 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reserved_version_comes_with_the_real_one_and_is_never_the_one_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
