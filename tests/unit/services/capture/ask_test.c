#include "services/capture/capture_ask.h"

#include <stdio.h>

#include "../../test.h"
#include "base/error.h"

static const struct gh_capture_login nobody;

struct talk {
    int rc;
    struct gh_capture_request request;
    uint8_t said[4096];
    size_t said_len, left;
};

/* Feeds <bytes> in pieces of <piece>. */
static struct talk talk_to(const struct gh_capture_login *login, const void *bytes, size_t len, size_t piece, struct gh_capture_ask *ret_ask)
{
    struct talk t = { .rc = 0 };
    size_t at = 0;

    gh_capture_ask_init(ret_ask, login);
    while (t.rc == 0 && at < len) {
        size_t n = len - at < piece ? len - at : piece;
        struct gh_writer out = gh_writer_of(t.said + t.said_len, GH_CAPTURE_SAID);
        uint8_t *exact = malloc(n); /* a sanitizer sees who reads on */
        struct gh_span in = gh_span_of(exact, n);

        assert_non_null(exact);
        memcpy(exact, (const uint8_t *)bytes + at, n);
        t.rc = gh_capture_ask_feed(ret_ask, &in, &out, &t.request);
        assert_false(out.failed);
        t.said_len += gh_writer_len(&out);
        assert_true(t.said_len + GH_CAPTURE_SAID < sizeof t.said);
        at += n - in.len;
        free(exact);
        if (t.rc != 0)
            break;
        assert_int_equal(in.len, 0);
    }
    t.left = len - at;
    return t;
}

static struct talk talk(const struct gh_capture_login *login, const void *bytes, size_t len, size_t piece)
{
    struct gh_capture_ask ask;
    struct talk t = talk_to(login, bytes, len, piece, &ask);

    gh_capture_ask_fini(&ask);
    return t;
}

/* RFC 1928, sections 3 to 5 */
static void socks_asks_for_an_address_or_a_name(void **state)
{
    static const char v4[] = "\x05\x02\x00\x02\x05\x01\x00\x01\xc0\x00\x02\x06\x01\xbb" "early";
    static const char v6[] = "\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x42\x00\x50";
    static const char name[] = "\x05\x01\x00\x05\x01\x00\x03\x0bWeb.Example\x1f\x90";
    static const char udp[] = "\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0";
    struct talk t;

    (void)state;
    for (size_t piece = 1; piece < 40; piece++) {
        t = talk(&nobody, v4, sizeof v4 - 1, piece);
        assert_int_equal(t.rc, 1);
        assert_memory_equal(t.request.to.ip.bytes, "\xc0\0\2\6", 4);
        assert_int_equal(t.request.to.port, 443);
        assert_string_equal(t.request.to.name, "");
        assert_true(t.left >= 5 || piece < sizeof v4 - 1);
        assert_int_equal(t.said_len, 2);
        assert_memory_equal(t.said, "\x05\x00", 2);
        t = talk(&nobody, v6, sizeof v6 - 1, piece);
        assert_int_equal(t.rc, 1);
        assert_int_equal(t.request.to.ip.family, 6);
        assert_int_equal(t.request.to.port, 80);
        t = talk(&nobody, name, sizeof name - 1, piece);
        assert_int_equal(t.rc, 1);
        assert_string_equal(t.request.to.name, "web.example");
        assert_int_equal(t.request.to.ip.family, 0);
        assert_int_equal(t.request.to.port, 8080);
        assert_false(t.request.associate);
        t = talk(&nobody, udp, sizeof udp - 1, piece);
        assert_int_equal(t.rc, 1);
        assert_true(t.request.associate);
    }
}

static void what_is_behind_a_request_stays(void **state)
{
    static const char bytes[] = "\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x06\x01\xbb" "early";
    static const char head[] = "CONNECT a.example:22 HTTP/1.1\r\nHost: a.example:22\r\n\r\nSSH-2.0-x\r\n";

    (void)state;
    assert_int_equal(talk(&nobody, bytes, sizeof bytes - 1, 4096).left, 5);
    assert_int_equal(talk(&nobody, bytes, sizeof bytes - 1, 10).left, 5);
    assert_int_equal(talk(&nobody, head, sizeof head - 1, 4096).left, 11);
}

static void socks_that_cannot_be_served_is_told_why(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        int rc;
        const char *said;
        size_t said_len;
    } rows[] = {
        { "\x05\x01\x02", 3, GH_ERR_DENIED, "\x05\xff", 2 }, /* no method that is right */
        { "\x05\x00", 2, GH_ERR_DENIED, "\x05\xff", 2 },
        { "\x05\x01\x00\x05\x02\x00\x01\1\2\3\4\0\1", 13, GH_ERR_UNSUPPORTED, "\x05\x00\x05\x07\x00\x01\0\0\0\0\0\0", 12 }, /* BIND */
        { "\x05\x01\x00\x05\x01\x00\x02\1\2\3\4\0\1", 13, GH_ERR_UNSUPPORTED, "\x05\x00\x05\x08\x00\x01\0\0\0\0\0\0", 12 },
        { "\x05\x01\x00\x05\x01\x00\x03\x03" "a b\0\1", 13, GH_ERR_RANGE, "\x05\x00\x05\x04\x00\x01\0\0\0\0\0\0", 12 },
        { "\x05\x01\x00\x05\x01\x00\x01\1\2\3\4\0\0", 13, GH_ERR_RANGE, "\x05\x00\x05\x01\x00\x01\0\0\0\0\0\0", 12 }, /* port 0 */
        { "\x05\x01\x00\x06\x01", 5, GH_ERR_MALFORMED, "\x05\x00\x05\x01\x00\x01\0\0\0\0\0\0", 12 },
        { "\x04\x01\x00\x50\1\2\3\4\0", 9, GH_ERR_UNSUPPORTED, "", 0 }, /* SOCKS 4 */
        { "\x16\x03\x01", 3, GH_ERR_UNSUPPORTED, "", 0 },
        { "\x00", 1, GH_ERR_UNSUPPORTED, "", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece < 14; piece++) {
            struct talk t = talk(&nobody, rows[i].bytes, rows[i].len, piece);

            assert_int_equal(t.rc, rows[i].rc);
            assert_int_equal(t.said_len, rows[i].said_len);
            assert_memory_equal(t.said, rows[i].said, rows[i].said_len);
        }
}

/* RFC 1929 */
static void a_password_is_asked_for_where_there_is_one(void **state)
{
    static const struct gh_capture_login login = { { (const uint8_t *)"ann", 3 }, { (const uint8_t *)"secret", 6 } };
    static const char right[] = "\x05\x02\x00\x02\x01\x03" "ann\x06secret\x05\x01\x00\x01\1\2\3\4\0\1";
    static const char *const wrong[] = { "\x05\x01\x02\x01\x03" "ann\x06secreT", "\x05\x01\x02\x01\x03" "bob\x06secret", "\x05\x01\x02\x01\x02" "an\x06secret",
                                         "\x05\x01\x02\x01\x03" "ann\x05secre", "\x05\x01\x02\x01\x03" "ann\x07secrets" };
    struct talk t = talk(&login, right, sizeof right - 1, 3);

    (void)state;
    assert_int_equal(t.rc, 1);
    assert_int_equal(t.said_len, 4);
    assert_memory_equal(t.said, "\x05\x02\x01\x00", 4);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        t = talk(&login, wrong[i], strlen(wrong[i]), 100);
        assert_int_equal(t.rc, GH_ERR_DENIED);
        assert_memory_equal(t.said, "\x05\x02\x01\x01", 4);
    }
    t = talk(&login, "\x05\x01\x02\x01\x00\x00", 6, 100); /* empty ones are none of a person's */
    assert_int_equal(t.rc, GH_ERR_DENIED);
    t = talk(&login, "\x05\x01\x00", 3, 100);
    assert_int_equal(t.rc, GH_ERR_DENIED);
    assert_memory_equal(t.said, "\x05\xff", 2);
}

static void http_asks_by_connect(void **state)
{
    static const struct {
        const char *text, *name;
        uint16_t port;
        uint8_t family;
        const char *said; /* NULL: it is right */
    } rows[] = {
        { "CONNECT web.example:443 HTTP/1.1\r\nHost: web.example:443\r\n\r\n", "web.example", 443, 0, NULL },
        { "CONNECT web.example:443 HTTP/1.0\r\n\r\n", "web.example", 443, 0, NULL },
        { "CONNECT 192.0.2.1:22 HTTP/1.1\r\nHost: x\r\n\r\n", "", 22, 4, NULL },
        { "CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n\r\n", "", 22, 6, NULL },
        { "CONNECT web.example HTTP/1.1\r\nHost: x\r\n\r\n", "", 0, 0, "HTTP/1.1 400 " },
        { "CONNECT web.example:0 HTTP/1.1\r\nHost: x\r\n\r\n", "", 0, 0, "HTTP/1.1 400 " },
        { "CONNECT web.example:1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", "", 0, 0, "HTTP/1.1 400 " },
        { "CONNECT web.example:1 HTTP/1.1\r\nHost: x\nbare: y\r\n\r\n", "", 0, 0, "HTTP/1.1 400 " },
        { "GET http://web.example/ HTTP/1.1\r\nHost: web.example\r\n\r\n", "", 0, 0, "HTTP/1.1 405 " },
        { "POST / HTTP/1.1\r\nHost: 127.0.0.1:1080\r\n\r\n", "", 0, 0, "HTTP/1.1 405 " },
        { "CONNECT a:1 HTTP/2.0\r\n\r\n", "", 0, 0, "HTTP/1.1 505 " },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece < 100; piece += 9) {
            struct talk t = talk(&nobody, rows[i].text, strlen(rows[i].text), piece);

            if (rows[i].said) {
                assert_true(t.rc < 0);
                assert_memory_equal(t.said, rows[i].said, strlen(rows[i].said));
                continue;
            }
            assert_int_equal(t.rc, 1);
            assert_int_equal(t.said_len, 0);
            assert_string_equal(t.request.to.name, rows[i].name);
            assert_int_equal(t.request.to.port, rows[i].port);
            assert_int_equal(t.request.to.ip.family, rows[i].family);
        }
}

static void a_head_without_end_is_too_long(void **state)
{
    char *text = malloc(40000);
    struct talk t;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', 40000);
    memcpy(text, "CONNECT a:1 HTTP/1.1\r\nHost: ", 28);
    t = talk(&nobody, text, 40000, 1000);
    assert_true(t.rc < 0);
    assert_memory_equal(t.said, "HTTP/1.1 431 ", 13);
    free(text);
}

/* RFC 7617, section 2: Aladdin and "open sesame" */
static void http_shows_its_login_as_basic(void **state)
{
    static const struct gh_capture_login login = { { (const uint8_t *)"Aladdin", 7 }, { (const uint8_t *)"open sesame", 11 } };
    static const struct {
        const char *value;
        bool right;
    } rows[] = {
        { "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n", true },
        { "Proxy-Authorization: basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n", true },
        { "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==\r\n", false },
        { "Proxy-Authorization: Basic QWxhZGRpbg==\r\n", false },
        { "Proxy-Authorization: Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n", false },
        { "Proxy-Authorization: Basic\r\n", false },
        { "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        struct talk t;

        snprintf(text, sizeof text, "CONNECT a.example:1 HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].value);
        t = talk(&login, text, strlen(text), 1000);
        assert_int_equal(t.rc, rows[i].right ? 1 : GH_ERR_DENIED);
        t.said[t.said_len] = 0;
        if (!rows[i].right)
            assert_non_null(strstr((char *)t.said, "proxy-authenticate: Basic realm="));
    }
}

/* RFC 9209, section 2.3, and RFC 1928, section 6 */
static void an_answer_of_the_relay_is_a_reply(void **state)
{
    static const struct {
        unsigned status;
        const char *field; /* NULL: none */
        enum gh_socks5_reply reply;
        const char *http;
    } rows[] = {
        { 403, "gatehouse; error=http_request_denied", GH_SOCKS5_NOT_ALLOWED, "HTTP/1.1 403 " },
        { 403, "gatehouse; error=destination_ip_prohibited", GH_SOCKS5_NOT_ALLOWED, "HTTP/1.1 403 " },
        { 403, NULL, GH_SOCKS5_NOT_ALLOWED, "HTTP/1.1 403 " },
        { 502, "gatehouse; error=connection_refused", GH_SOCKS5_REFUSED, "HTTP/1.1 502 " },
        { 502, "gatehouse; error=dns_error", GH_SOCKS5_HOST_UNREACHABLE, "HTTP/1.1 502 " },
        { 502, "gatehouse; error=destination_ip_unroutable", GH_SOCKS5_NETWORK_UNREACHABLE, "HTTP/1.1 502 " },
        { 502, "gatehouse; error=destination_unavailable", GH_SOCKS5_HOST_UNREACHABLE, "HTTP/1.1 502 " },
        { 502, "gatehouse; error=\"never heard of\"", GH_SOCKS5_HOST_UNREACHABLE, "HTTP/1.1 502 " },
        { 504, "gatehouse; error=connection_timeout", GH_SOCKS5_TTL_EXPIRED, "HTTP/1.1 504 " },
        { 503, "gatehouse; error=connection_limit_reached", GH_SOCKS5_FAILURE, "HTTP/1.1 503 " },
        { 400, NULL, GH_SOCKS5_COMMAND_UNSUPPORTED, "HTTP/1.1 400 " }, /* it has no relay.proxy */
        { 405, NULL, GH_SOCKS5_COMMAND_UNSUPPORTED, "HTTP/1.1 405 " },
        { 302, NULL, GH_SOCKS5_FAILURE, "HTTP/1.1 502 " },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct gh_http_field field = { gh_span_str("proxy-status"), gh_span_str(rows[i].field ? rows[i].field : "") };
        const struct gh_http_head head = { .status = rows[i].status, .fields = &field, .field_count = rows[i].field ? 1 : 0 };
        struct gh_capture_failure f = gh_capture_failure_of(&head);
        struct gh_capture_ask ask;
        uint8_t buf[GH_CAPTURE_SAID + 1];
        struct gh_writer w = gh_writer_of(buf, GH_CAPTURE_SAID);

        gh_capture_ask_init(&ask, &nobody);
        gh_capture_ask_emit_failure(&ask, &w, &f);
        assert_int_equal(gh_writer_len(&w), 10);
        assert_int_equal(buf[1], rows[i].reply);
        ask.http = true;
        w = gh_writer_of(buf, GH_CAPTURE_SAID);
        gh_capture_ask_emit_failure(&ask, &w, &f);
        assert_false(w.failed);
        buf[gh_writer_len(&w)] = 0;
        assert_memory_equal(buf, rows[i].http, strlen(rows[i].http));
        if (rows[i].field && !strchr(rows[i].field, '"')) {
            char wanted[128];

            snprintf(wanted, sizeof wanted, "proxy-status: gatehouse-agent%s\r\n", strchr(rows[i].field, ';'));
            assert_non_null(strstr((char *)buf, wanted));
        } else {
            assert_null(strstr((char *)buf, "proxy-status"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socks_asks_for_an_address_or_a_name),
        cmocka_unit_test(what_is_behind_a_request_stays),
        cmocka_unit_test(socks_that_cannot_be_served_is_told_why),
        cmocka_unit_test(a_password_is_asked_for_where_there_is_one),
        cmocka_unit_test(http_asks_by_connect),
        cmocka_unit_test(a_head_without_end_is_too_long),
        cmocka_unit_test(http_shows_its_login_as_basic),
        cmocka_unit_test(an_answer_of_the_relay_is_a_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
