/* What a client remembers of servers. */
#include "net/quic_memory.h"

#include <openssl/ssl.h>

#include "../test.h"

static struct gh_endpoint at(uint8_t last, uint16_t port)
{
    uint8_t addr[4] = { 192, 0, 2, last };

    return (struct gh_endpoint){ .ip = gh_ip_v4(addr), .port = port };
}

static void a_token_is_for_one_server_and_used_once(void **state)
{
    struct gh_quic_memory m;
    struct gh_endpoint a = at(1, 443), b = at(1, 444), c = at(2, 443);
    uint8_t buf[GH_QUIC_MEMORY_TOKEN];

    (void)state;
    gh_quic_memory_init(&m);
    gh_quic_memory_keep_token(&m, &a, gh_span_str("old"));
    gh_quic_memory_keep_token(&m, &a, gh_span_str("newer"));
    assert_int_equal(gh_quic_memory_take_token(&m, &b, buf), 0);
    assert_int_equal(gh_quic_memory_take_token(&m, &c, buf), 0);
    assert_int_equal(gh_quic_memory_take_token(&m, &a, buf), 5);
    assert_memory_equal(buf, "newer", 5);
    assert_int_equal(gh_quic_memory_take_token(&m, &a, buf), 0);
    gh_quic_memory_fini(&m);
}

static void the_server_used_longest_ago_makes_room(void **state)
{
    struct gh_quic_memory m;
    uint8_t buf[GH_QUIC_MEMORY_TOKEN], text[1];
    struct gh_endpoint e;

    (void)state;
    gh_quic_memory_init(&m);
    for (uint8_t i = 0; i < GH_QUIC_MEMORY_SERVERS; i++) {
        e = at(i, 443);
        gh_quic_memory_keep_token(&m, &e, gh_span_of(&i, 1));
    }
    e = at(0, 443);
    text[0] = 77;
    gh_quic_memory_keep_token(&m, &e, gh_span_of(text, 1));
    e = at(100, 443);
    gh_quic_memory_keep_token(&m, &e, gh_span_of(text, 1));
    e = at(1, 443);
    assert_int_equal(gh_quic_memory_take_token(&m, &e, buf), 0);
    e = at(0, 443);
    assert_int_equal(gh_quic_memory_take_token(&m, &e, buf), 1);
    assert_int_equal(buf[0], 77);
    gh_quic_memory_fini(&m);
}

static void a_token_that_is_too_long_is_not_kept(void **state)
{
    static const uint8_t longer[GH_QUIC_MEMORY_TOKEN + 1];
    struct gh_quic_memory m;
    struct gh_endpoint e = at(1, 443);
    uint8_t buf[GH_QUIC_MEMORY_TOKEN];

    (void)state;
    gh_quic_memory_init(&m);
    gh_quic_memory_keep_token(&m, &e, gh_span_of(longer, sizeof longer));
    assert_int_equal(gh_quic_memory_take_token(&m, &e, buf), 0);
    gh_quic_memory_keep_token(&m, &e, gh_span_of(longer, sizeof longer - 1));
    assert_int_equal(gh_quic_memory_take_token(&m, &e, buf), GH_QUIC_MEMORY_TOKEN);
    gh_quic_memory_fini(&m);
}

static struct gh_tls_session *a_session(void)
{
    struct gh_tls_session *s = (struct gh_tls_session *)SSL_SESSION_new();

    assert_non_null(s);
    return s;
}

/* Two addresses of one server are tried at a time: one of the two is answered, whichever, and resumes. */
static void a_session_is_lent_until_an_attempt_is_answered(void **state)
{
    struct gh_quic_memory m;
    struct gh_endpoint six = at(1, 443), four = at(2, 443);
    const struct gh_tls_config none = { .alpn = "h3" };
    struct gh_tls_session *kept = a_session(), *a, *b;
    struct gh_tls_ctx *tls;
    char why[256];

    (void)state;
    assert_int_equal(gh_tls_ctx_create(&none, &tls, why, sizeof why), 0);
    gh_quic_memory_init(&m);
    gh_quic_memory_keep_session(&m, &six, tls, "relay", kept);
    a = gh_quic_memory_take_session(&m, &six, tls, "relay");
    b = gh_quic_memory_take_session(&m, &four, tls, "relay");
    assert_ptr_equal(a, kept);
    assert_ptr_equal(b, kept);
    gh_quic_memory_return_session(&m, a, false); /* never heard: it is there for the next */
    a = gh_quic_memory_take_session(&m, &six, tls, "relay");
    assert_ptr_equal(a, kept);
    gh_quic_memory_return_session(&m, b, true);
    assert_null(gh_quic_memory_take_session(&m, &six, tls, "relay")); /* RFC 8446, appendix C.4 */
    gh_quic_memory_return_session(&m, a, false);
    assert_null(gh_quic_memory_take_session(&m, &six, tls, "relay"));
    gh_quic_memory_return_session(&m, NULL, true);
    gh_quic_memory_fini(&m);
    gh_tls_ctx_put(tls);
}

static void of_several_sessions_each_attempt_has_its_own(void **state)
{
    struct gh_quic_memory m;
    struct gh_endpoint e = at(1, 443);
    const struct gh_tls_config none = { .alpn = "h3" };
    struct gh_tls_session *a, *b;
    struct gh_tls_ctx *tls;
    char why[256];

    (void)state;
    assert_int_equal(gh_tls_ctx_create(&none, &tls, why, sizeof why), 0);
    gh_quic_memory_init(&m);
    gh_quic_memory_keep_session(&m, &e, tls, "relay", a_session());
    gh_quic_memory_keep_session(&m, &e, tls, "relay", a_session());
    a = gh_quic_memory_take_session(&m, &e, tls, "relay");
    b = gh_quic_memory_take_session(&m, &e, tls, "relay");
    assert_ptr_not_equal(a, b);
    assert_null(gh_quic_memory_take_session(&m, &e, tls, "other"));
    gh_quic_memory_return_session(&m, a, true);
    gh_quic_memory_return_session(&m, b, true);
    gh_quic_memory_fini(&m);
    gh_tls_ctx_put(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_for_one_server_and_used_once),
        cmocka_unit_test(the_server_used_longest_ago_makes_room),
        cmocka_unit_test(a_token_that_is_too_long_is_not_kept),
        cmocka_unit_test(a_session_is_lent_until_an_attempt_is_answered),
        cmocka_unit_test(of_several_sessions_each_attempt_has_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
