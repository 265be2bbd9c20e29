#include "wire/socks5.h"

#include "../test.h"

#define BYTES(s) gh_span_of(s, sizeof(s) - 1)

static struct gh_ip ip(const char *text)
{
    struct gh_ip a;

    assert_int_equal(gh_ip_parse(text, strlen(text), &a), 0);
    return a;
}

/* Parses a block of exactly its size; every part of a request that is right must need more. */
static int parse_request(struct gh_span in, struct gh_socks5_request *ret, size_t *ret_len)
{
    int rc = 0;

    for (size_t n = 0; n <= in.len; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        int before = rc;

        assert_non_null(exact);
        memcpy(exact, in.data, n);
        rc = gh_socks5_parse_request(gh_span_of(exact, n), ret, ret_len);
        free(exact);
        if (before < 0) /* a refusal stays */
            assert_int_equal(rc, before);
        if (before == 1)
            assert_int_equal(rc, 1);
    }
    return rc;
}

static void the_methods_of_a_client_are_read(void **state)
{
    struct gh_socks5_greeting g;
    uint8_t all[258] = { 5, 255 };
    size_t len;

    (void)state;
    assert_int_equal(gh_socks5_parse_greeting(BYTES("\x05\x01\x00"), &g, &len), 1);
    assert_true(g.no_authentication && !g.password);
    assert_int_equal(len, 3);
    assert_int_equal(gh_socks5_parse_greeting(BYTES("\x05\x03\x00\x01\x02\x05"), &g, &len), 1); /* curl, and its next message */
    assert_true(g.no_authentication && g.password);
    assert_int_equal(len, 5);
    assert_int_equal(gh_socks5_parse_greeting(BYTES("\x05\x01\x01"), &g, &len), 1);
    assert_false(g.no_authentication || g.password);
    assert_int_equal(gh_socks5_parse_greeting(BYTES("\x05\x00"), &g, &len), 1);
    assert_false(g.no_authentication || g.password);
    all[256] = 2;
    assert_int_equal(gh_socks5_parse_greeting(gh_span_of(all, 256), &g, &len), 0);
    assert_int_equal(gh_socks5_parse_greeting(gh_span_of(all, 257), &g, &len), 1);
    assert_true(g.password);
    assert_int_equal(gh_socks5_parse_greeting(BYTES(""), &g, &len), 0);
    assert_int_equal(gh_socks5_parse_greeting(BYTES("\x05"), &g, &len), 0);
    assert_int_equal(gh_socks5_parse_greeting(BYTES("\x05\x02\x00"), &g, &len), 0);
    assert_int_equal(gh_socks5_parse_greeting(BYTES("\x04\x01"), &g, &len), GH_ERR_UNSUPPORTED);
    assert_int_equal(gh_socks5_parse_greeting(BYTES("C"), &g, &len), GH_ERR_UNSUPPORTED);
}

static void a_name_and_a_password_are_read(void **state)
{
    struct gh_span user, password;
    size_t len;

    (void)state;
    assert_int_equal(gh_socks5_parse_password(BYTES("\x01\x03" "eve" "\x02" "pw" "more"), &user, &password, &len), 1);
    assert_true(gh_span_equals(user, BYTES("eve")) && gh_span_equals(password, BYTES("pw")));
    assert_int_equal(len, 8);
    assert_int_equal(gh_socks5_parse_password(BYTES("\x01\x01" "x" "\x00"), &user, &password, &len), 1);
    assert_int_equal(password.len, 0);
    for (size_t n = 0; n < 8; n++)
        assert_int_equal(gh_socks5_parse_password(gh_span_of("\x01\x03" "eve" "\x02" "pw", n), &user, &password, &len), 0);
    assert_int_equal(gh_socks5_parse_password(BYTES("\x05"), &user, &password, &len), GH_ERR_MALFORMED);
}

static void requests_are_read(void **state)
{
    struct gh_socks5_request q;
    struct gh_ip four = ip("192.0.2.1"), six = ip("2001:db8::1");
    size_t len;

    (void)state;
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb"), &q, &len), 1);
    assert_int_equal(q.command, GH_SOCKS5_CONNECT);
    assert_true(gh_ip_equals(&q.to.ip, &four));
    assert_int_equal(q.to.port, 443);
    assert_int_equal(len, 10);
    assert_int_equal(parse_request(BYTES("\x05\x03\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0"), &q, &len), 1);
    assert_int_equal(q.command, GH_SOCKS5_UDP_ASSOCIATE);
    assert_true(gh_ip_equals(&q.to.ip, &six));
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x03\x0b" "Own.Example" "\x00\x50" "data"), &q, &len), 1);
    assert_string_equal(q.to.name, "own.example");
    assert_int_equal(q.to.ip.family, 0);
    assert_int_equal(q.to.port, 80);
    assert_int_equal(len, 18);
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x03\x09" "192.0.2.1" "\x00\x50"), &q, &len), 1); /* an address in words */
    assert_true(gh_ip_equals(&q.to.ip, &four));
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x03\x0b" "2001:db8::1" "\x00\x50"), &q, &len), 1);
    assert_true(gh_ip_equals(&q.to.ip, &six));
    assert_int_equal(parse_request(BYTES("\x05\xf0\x00\x01\0\0\0\0\0\0"), &q, &len), 1); /* the caller knows what it does not know */
    assert_int_equal(q.command, 0xf0);
}

static void what_is_no_request_is_told_apart(void **state)
{
    struct gh_socks5_request q;
    size_t len;

    (void)state;
    assert_int_equal(parse_request(BYTES("\x04\x01\x00\x01\0\0\0\0\0\0"), &q, &len), GH_ERR_MALFORMED);
    assert_int_equal(parse_request(BYTES("\x05\x01\x01\x01\0\0\0\0\0\0"), &q, &len), GH_ERR_MALFORMED);
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x02\0\0\0\0\0\0"), &q, &len), GH_ERR_UNSUPPORTED);
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x00"), &q, &len), GH_ERR_UNSUPPORTED);
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x03\x00\x00\x50"), &q, &len), GH_ERR_RANGE);
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x03\x03" "a b" "\x00\x50"), &q, &len), GH_ERR_RANGE);
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x03\x03" "a\0b" "\x00\x50"), &q, &len), GH_ERR_RANGE);
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x03\x09" "192.0.2.x" "\x00\x50"), &q, &len), 1);
    assert_int_equal(parse_request(BYTES("\x05\x01\x00\x03\x0b" "192.0.2.256" "\x00\x50"), &q, &len), GH_ERR_RANGE); /* neither */
}

static void assert_written(const struct gh_writer *w, struct gh_span want)
{
    assert_false(w->failed);
    assert_true(gh_span_equals(gh_span_of(w->start, gh_writer_len(w)), want));
}

static void answers_are_written(void **state)
{
    uint8_t buf[GH_SOCKS5_REPLY_MAX];
    struct gh_socks5_addr a = { .port = 1080 };
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    (void)state;
    gh_socks5_emit_method(&w, GH_SOCKS5_NO_METHOD);
    assert_written(&w, BYTES("\x05\xff"));
    w = gh_writer_of(buf, sizeof buf);
    gh_socks5_emit_password_status(&w, true);
    gh_socks5_emit_password_status(&w, false);
    assert_written(&w, BYTES("\x01\x00\x01\x01"));
    w = gh_writer_of(buf, sizeof buf);
    gh_socks5_emit_reply(&w, GH_SOCKS5_REFUSED, NULL);
    assert_written(&w, BYTES("\x05\x05\x00\x01\0\0\0\0\0\0"));
    w = gh_writer_of(buf, sizeof buf);
    a.ip = ip("2001:db8::1");
    gh_socks5_emit_reply(&w, GH_SOCKS5_SUCCEEDED, &a);
    assert_written(&w, BYTES("\x05\x00\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x04\x38"));
    a.ip.family = 0;
    memset(a.name, 'x', 255);
    w = gh_writer_of(buf, sizeof buf);
    gh_socks5_emit_reply(&w, GH_SOCKS5_SUCCEEDED, &a);
    assert_false(w.failed);
    assert_int_equal(gh_writer_len(&w), GH_SOCKS5_REPLY_MAX);
}

static void datagrams_carry_their_address(void **state)
{
    uint8_t buf[GH_SOCKS5_UDP_HEAD_MAX + 8];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);
    struct gh_socks5_addr a, from = { .name = "own.example", .port = 53 };
    struct gh_ip four = ip("192.0.2.1");
    struct gh_span payload;

    (void)state;
    assert_int_equal(gh_socks5_parse_udp(BYTES("\0\0\0\x01\xc0\0\x02\x01\0\x35" "query"), &a, &payload), 0);
    assert_true(gh_ip_equals(&a.ip, &four) && a.port == 53 && gh_span_equals(payload, BYTES("query")));
    assert_int_equal(gh_socks5_parse_udp(BYTES("\0\0\0\x01\xc0\0\x02\x01\0\x35"), &a, &payload), 0); /* an empty one */
    assert_int_equal(payload.len, 0);
    gh_socks5_emit_udp_head(&w, &from);
    gh_write_bytes(&w, "answer", 6);
    assert_int_equal(gh_socks5_parse_udp(gh_span_of(buf, gh_writer_len(&w)), &a, &payload), 0);
    assert_string_equal(a.name, "own.example");
    assert_true(gh_span_equals(payload, BYTES("answer")));
    for (size_t n = 0; n < 18; n++)
        assert_int_equal(gh_socks5_parse_udp(gh_span_of(buf, n), &a, &payload), GH_ERR_MALFORMED);
    assert_int_equal(gh_socks5_parse_udp(BYTES("\0\0\x01\x01\xc0\0\x02\x01\0\x35"), &a, &payload), GH_ERR_UNSUPPORTED); /* a fragment */
    assert_int_equal(gh_socks5_parse_udp(BYTES("\0\x01\0\x01\xc0\0\x02\x01\0\x35"), &a, &payload), GH_ERR_MALFORMED);
    assert_int_equal(gh_socks5_parse_udp(BYTES("\0\0\0\x07\xc0\0\x02\x01\0\x35"), &a, &payload), GH_ERR_UNSUPPORTED);
    assert_int_equal(gh_socks5_parse_udp(BYTES("\0\0\0\x03\x01" "!" "\0\x35"), &a, &payload), GH_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_methods_of_a_client_are_read),
        cmocka_unit_test(a_name_and_a_password_are_read),
        cmocka_unit_test(requests_are_read),
        cmocka_unit_test(what_is_no_request_is_told_apart),
        cmocka_unit_test(answers_are_written),
        cmocka_unit_test(datagrams_carry_their_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
