/* Tokens that prove an address: to whom, for how long, under which key. */
#include "proto/quic/token.h"

#include "../../test.h"
#include "base/error.h"

#define WALL INT64_C(1700000000)

static int count_up(void *arg, void *buf, size_t len)
{
    uint8_t *p = buf;

    for (size_t i = 0; i < len; i++)
        p[i] = ++*(uint8_t *)arg;
    return 0;
}

static uint8_t counter;
static struct gh_quic_tokens keys = { .key = "the key of a node, 32 bytes long", .random = { count_up, &counter } };
static const struct gh_quic_initial first = { .version = 1, .dcid = { 18, "what the client is" }, .scid = { 8, "client s" } };
static const struct gh_quic_cid scid = { 8, "server s" };

static struct gh_quic_addr addr(const char *text, uint16_t port)
{
    struct gh_quic_addr a = { .port = port };

    assert_int_equal(gh_ip_parse(text, strlen(text), &a.ip), 0);
    return a;
}

/* The first packet after a Retry: to the id that it gave, with its token. */
static struct gh_quic_initial second(const uint8_t *token, int len)
{
    struct gh_quic_initial in = { .version = 1, .dcid = scid, .scid = first.scid, .token = { token, (size_t)len } };

    assert_in_range(len, 30, GH_QUIC_TOKEN_MAX);
    return in;
}

static void a_retry_token_proves_address_port_and_id_for_ten_seconds(void **state)
{
    static const struct {
        const char *from;
        uint16_t port;
        int64_t after;
        char id;
        int rc;
    } cases[] = {
        { "192.0.2.1", 4000, 0, 's', 0 },
        { "192.0.2.1", 4000, 10, 's', 0 },
        { "192.0.2.1", 4000, 11, 's', GH_ERR_DENIED },
        { "192.0.2.1", 4000, -1, 's', GH_ERR_DENIED },
        { "192.0.2.2", 4000, 0, 's', GH_ERR_DENIED },
        { "::192.0.2.1", 4000, 0, 's', GH_ERR_DENIED },
        { "192.0.2.1", 4001, 0, 's', GH_ERR_DENIED },
        { "192.0.2.1", 4000, 0, 'x', GH_ERR_DENIED },
    };
    struct gh_quic_addr home = addr("192.0.2.1", 4000);
    uint8_t token[GH_QUIC_TOKEN_MAX];
    int len = gh_quic_token_retry(&keys, &first, &scid, &home, WALL, token);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_quic_initial in = second(token, len);
        struct gh_quic_addr from = addr(cases[i].from, cases[i].port);

        in.dcid.data[0] = (uint8_t)cases[i].id;
        assert_int_equal(gh_quic_token_check(&keys, &in, &from, WALL + cases[i].after), cases[i].rc);
        assert_int_equal(in.proof, cases[i].rc ? GH_QUIC_PROOF_NONE : GH_QUIC_PROOF_RETRY);
        if (cases[i].rc == 0) {
            assert_int_equal(in.original.len, first.dcid.len);
            assert_memory_equal(in.original.data, first.dcid.data, first.dcid.len);
        }
    }
}

static void a_new_token_proves_the_address_alone_for_a_day(void **state)
{
    struct gh_quic_addr home = addr("2001:db8::1", 4000), other_port = addr("2001:db8::1", 5000), elsewhere = addr("2001:db8::2", 4000);
    uint8_t token[GH_QUIC_TOKEN_MAX];
    int len = gh_quic_token_new(&keys, &home, WALL, token);
    struct gh_quic_initial in = second(token, len);

    (void)state;
    assert_int_equal(gh_quic_token_check(&keys, &in, &other_port, WALL + 86400), 0);
    assert_int_equal(in.proof, GH_QUIC_PROOF_TOKEN);
    assert_int_equal(gh_quic_token_check(&keys, &in, &home, WALL + 86401), 0);
    assert_int_equal(in.proof, GH_QUIC_PROOF_NONE);
    assert_int_equal(gh_quic_token_check(&keys, &in, &elsewhere, WALL), 0);
    assert_int_equal(in.proof, GH_QUIC_PROOF_NONE);
}

/* What is not ours, or not whole, is as good as no token: another server may have given it. */
static void a_token_that_is_not_ours_proves_nothing(void **state)
{
    struct gh_quic_addr home = addr("192.0.2.1", 4000);
    uint8_t token[GH_QUIC_TOKEN_MAX], other[300];
    struct gh_quic_tokens another = keys;
    int len = gh_quic_token_new(&keys, &home, WALL, token);
    struct gh_quic_initial in;

    (void)state;
    another.key[0] ^= 1;
    in = second(token, len);
    assert_int_equal(gh_quic_token_check(&another, &in, &home, WALL), 0);
    assert_int_equal(in.proof, GH_QUIC_PROOF_NONE);
    for (int i = 0; i < len; i++) {
        in = second(token, len);
        token[i] ^= 0x40;
        assert_int_equal(gh_quic_token_check(&keys, &in, &home, WALL), i == 0 && token[0] == 0xb6 ? GH_ERR_DENIED : 0);
        assert_int_equal(in.proof, GH_QUIC_PROOF_NONE);
        token[i] ^= 0x40;
        in.token.len = (size_t)i;
        assert_int_equal(gh_quic_token_check(&keys, &in, &home, WALL), 0);
        assert_int_equal(in.proof, GH_QUIC_PROOF_NONE);
    }
    memset(other, 0x36, sizeof other);
    in.token = gh_span_of(other, sizeof other);
    assert_int_equal(gh_quic_token_check(&keys, &in, &home, WALL), 0);
    assert_int_equal(in.proof, GH_QUIC_PROOF_NONE);
}

/* The key changes with the day; the one before is still good. */
static void keys_follow_the_day(void **state)
{
    struct gh_quic_addr home = addr("192.0.2.1", 4000);
    int64_t midnight = WALL - WALL % 86400;
    uint8_t token[GH_QUIC_TOKEN_MAX];
    int len = gh_quic_token_retry(&keys, &first, &scid, &home, midnight - 3, token);
    struct gh_quic_initial in = second(token, len);

    (void)state;
    assert_int_equal(gh_quic_token_check(&keys, &in, &home, midnight + 3), 0);
    assert_int_equal(in.proof, GH_QUIC_PROOF_RETRY);
    token[1]++; /* as if it were of the new day: that day's key does not open it */
    assert_int_equal(gh_quic_token_check(&keys, &in, &home, midnight + 3), GH_ERR_DENIED);
}

static void no_two_tokens_are_equal(void **state)
{
    struct gh_quic_addr home = addr("192.0.2.1", 4000);
    uint8_t a[GH_QUIC_TOKEN_MAX], b[GH_QUIC_TOKEN_MAX];
    int len = gh_quic_token_new(&keys, &home, WALL, a);

    (void)state;
    assert_int_equal(gh_quic_token_new(&keys, &home, WALL, b), len);
    assert_memory_not_equal(a + 2, b + 2, 16);
    assert_memory_not_equal(a + 18, b + 18, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_retry_token_proves_address_port_and_id_for_ten_seconds),
        cmocka_unit_test(a_new_token_proves_the_address_alone_for_a_day),
        cmocka_unit_test(a_token_that_is_not_ours_proves_nothing),
        cmocka_unit_test(keys_follow_the_day),
        cmocka_unit_test(no_two_tokens_are_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
