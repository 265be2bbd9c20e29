#include "wire/h1.h"

#include <stdio.h>

#include "base/error.h"

#include "../test.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static struct gh_h1_reader reader;

/* Feeds <len> bytes in pieces of <step>; what was not taken stays in <*ret_left>. */
static int feed(enum gh_h1_kind kind, const char *text, size_t len, size_t step, struct gh_h1_head *ret, size_t *ret_left)
{
    size_t at = 0;
    int rc = 0;

    gh_h1_reader_reset(&reader, kind);
    while (rc == 0 && at < len) {
        size_t take = len - at < step ? len - at : step;
        struct gh_span in = gh_span_of(text + at, take);

        rc = gh_h1_head_feed(&reader, &in, ret);
        at += take - in.len;
    }
    *ret_left = len - at;
    return rc;
}

static int read_head(enum gh_h1_kind kind, const char *text, struct gh_h1_head *ret)
{
    size_t left, left_slow;
    struct gh_h1_head slow;
    int rc_slow = feed(kind, text, strlen(text), 1, &slow, &left_slow);
    int rc = feed(kind, text, strlen(text), strlen(text), ret, &left);

    assert_int_equal(rc, rc_slow); /* the size of the pieces never matters */
    assert_int_equal(left, left_slow);
    return rc;
}

static void assert_span(struct gh_span s, const char *want)
{
    if (!gh_span_equals(s, gh_span_str(want)))
        fail_msg("\"%.*s\" is not \"%s\"", (int)s.len, (const char *)s.data, want);
}

/* RFC 9112, sections 3.2.1 to 3.2.4 */
static void the_four_forms_of_a_target_are_read(void **state)
{
    static const struct {
        const char *text, *scheme, *authority, *path;
    } cases[] = {
        { "GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n\r\n", "", "www.example.org", "/where?q=now" },
        { "GET http://www.example.org/pub/WWW/TheProject.html HTTP/1.1\r\nHost: other\r\n\r\n", "http", "www.example.org",
          "/pub/WWW/TheProject.html" },
        { "GET http://www.example.org HTTP/1.1\r\nHost: www.example.org\r\n\r\n", "http", "www.example.org", "/" },
        { "CONNECT www.example.com:80 HTTP/1.1\r\nHost: www.example.com\r\n\r\n", "", "www.example.com:80", "" },
        { "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n", "", "[2001:db8::1]:443", "" },
        { "OPTIONS * HTTP/1.1\r\nHost: www.example.org:8001\r\n\r\n", "", "www.example.org:8001", "*" },
        { "GET / HTTP/1.0\r\n\r\n", "", "", "/" },
        { "\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n", "", "", "/" },
    };
    struct gh_h1_head head;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_head(GH_H1_REQUEST, cases[i].text, &head), 1);
        assert_span(head.scheme, cases[i].scheme);
        assert_span(head.authority, cases[i].authority);
        assert_span(head.path, cases[i].path);
    }
}

static void fields_are_lowered_and_trimmed_and_keep_their_order(void **state)
{
    struct gh_h1_head head;

    (void)state;
    assert_int_equal(read_head(GH_H1_REQUEST, GET "X-One: \t a b \t\r\nx-two:\r\nX-ONE:\xe9\r\n\r\n", &head), 1);
    assert_span(head.method, "GET");
    assert_int_equal(head.field_count, 4);
    assert_span(head.fields[0].name, "host");
    assert_span(head.fields[1].name, "x-one");
    assert_span(head.fields[1].value, "a b");
    assert_span(head.fields[2].value, "");
    assert_span(head.fields[3].value, "\xe9");
    assert_span(gh_h1_field_find(&head, "x-one"), "a b");
    assert_int_equal(gh_h1_field_find(&head, "absent").len, 0);
}

static void whatever_two_readers_could_read_differently_is_refused(void **state)
{
    static const struct {
        const char *why, *text;
        int rc;
    } cases[] = {
        { "length and coding", POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", GH_ERR_MALFORMED },
        { "coding and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", GH_ERR_MALFORMED },
        { "two lengths", POST "Content-Length: 4\r\nContent-Length: 5\r\n\r\n", GH_ERR_MALFORMED },
        { "two equal lengths", POST "Content-Length: 4\r\ncontent-length: 4\r\n\r\n", GH_ERR_MALFORMED },
        { "list of lengths", POST "Content-Length: 4, 4\r\n\r\n", GH_ERR_MALFORMED },
        { "signed length", POST "Content-Length: +4\r\n\r\n", GH_ERR_MALFORMED },
        { "negative length", POST "Content-Length: -4\r\n\r\n", GH_ERR_MALFORMED },
        { "hexadecimal length", POST "Content-Length: 0x4\r\n\r\n", GH_ERR_MALFORMED },
        { "empty length", POST "Content-Length: \r\n\r\n", GH_ERR_MALFORMED },
        { "blank in length", POST "Content-Length: 4 4\r\n\r\n", GH_ERR_MALFORMED },
        { "length above 64 bits", POST "Content-Length: 18446744073709551616\r\n\r\n", GH_ERR_MALFORMED },
        { "two codings", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", GH_ERR_MALFORMED },
        { "coding list", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", GH_ERR_UNSUPPORTED },
        { "chunked not last", POST "Transfer-Encoding: chunked, identity\r\n\r\n", GH_ERR_UNSUPPORTED },
        { "identity", POST "Transfer-Encoding: identity\r\n\r\n", GH_ERR_UNSUPPORTED },
        { "almost chunked", POST "Transfer-Encoding: xchunked\r\n\r\n", GH_ERR_UNSUPPORTED },
        { "vertical tab before chunked", POST "Transfer-Encoding: \x0b"
                                              "chunked\r\n\r\n",
          GH_ERR_MALFORMED },
        { "coding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", GH_ERR_MALFORMED },
        { "space before colon", POST "Transfer-Encoding : chunked\r\n\r\n", GH_ERR_MALFORMED },
        { "tab before colon", POST "Content-Length\t: 4\r\n\r\n", GH_ERR_MALFORMED },
        { "folded line", GET "X: a\r\n b\r\n\r\n", GH_ERR_MALFORMED },
        { "folded with tab", GET "X: a\r\n\tb\r\n\r\n", GH_ERR_MALFORMED },
        { "blank before first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", GH_ERR_MALFORMED },
        { "bare LF after start line", "GET / HTTP/1.1\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "bare LF at the end", GET "\n", GH_ERR_MALFORMED },
        { "bare LF in a value", GET "X: a\nY: b\r\n\r\n", GH_ERR_MALFORMED },
        { "bare CR in a value", GET "X: a\rb\r\n\r\n", GH_ERR_MALFORMED },
        { "CR CR LF", GET "X: a\r\r\n\r\n", GH_ERR_MALFORMED },
        { "no colon", GET "nonsense\r\n\r\n", GH_ERR_MALFORMED },
        { "empty name", GET ": a\r\n\r\n", GH_ERR_MALFORMED },
        { "name with a slash", GET "a/b: c\r\n\r\n", GH_ERR_MALFORMED },
        { "name outside ASCII", GET "\xe9: c\r\n\r\n", GH_ERR_MALFORMED },
        { "control in a value", GET "X: a\x01\r\n\r\n", GH_ERR_MALFORMED },
        { "DEL in a value", GET "X: a\x7f\r\n\r\n", GH_ERR_MALFORMED },
        { "no host", "GET / HTTP/1.1\r\n\r\n", GH_ERR_MALFORMED },
        { "two hosts", GET "Host: a\r\n\r\n", GH_ERR_MALFORMED },
        { "two hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", GH_ERR_MALFORMED },
        { "host with user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", GH_ERR_MALFORMED },
        { "host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", GH_ERR_MALFORMED },
        { "user in the target", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "no host in the target", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "unknown scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "relative target", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "asterisk without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "fragment in the target", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "CONNECT without port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "CONNECT with path", "CONNECT a/b:80 HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "tab for space", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "no version", "GET /\r\n\r\n", GH_ERR_MALFORMED },
        { "lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "version of three parts", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "method with a colon", "G:T / HTTP/1.1\r\nHost: a\r\n\r\n", GH_ERR_MALFORMED },
        { "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", GH_ERR_MALFORMED },
        { "another major version", "GET / HTTP/2.0\r\n\r\n", GH_ERR_RANGE },
        { "two empty lines first", "\r\n\r\n" GET "\r\n", GH_ERR_MALFORMED },
        { "a TLS ClientHello", "\x16\x03\x01\x02", GH_ERR_MALFORMED },
    };
    struct gh_h1_head head;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = read_head(GH_H1_REQUEST, cases[i].text, &head);

        /* the version is read before the target, so the preface is refused for its version */
        if (strncmp(cases[i].text, "PRI", 3) == 0)
            assert_int_equal(rc, GH_ERR_RANGE);
        else if (rc != cases[i].rc)
            fail_msg("%s: %d, not %d", cases[i].why, rc, cases[i].rc);
    }
}

static void nul_is_refused_everywhere(void **state)
{
    static const char good[] = "GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n";
    struct gh_h1_head head;
    size_t left;

    (void)state;
    for (size_t i = 0; i + 1 < sizeof good; i++) {
        char bad[sizeof good];

        memcpy(bad, good, sizeof good);
        bad[i] = 0;
        assert_int_equal(feed(GH_H1_REQUEST, bad, sizeof good - 1, 7, &head, &left), GH_ERR_MALFORMED);
    }
}

static void an_error_is_final(void **state)
{
    struct gh_span in = gh_span_str("\n");
    struct gh_h1_head head;

    (void)state;
    gh_h1_reader_reset(&reader, GH_H1_REQUEST);
    assert_int_equal(gh_h1_head_feed(&reader, &in, &head), GH_ERR_MALFORMED);
    in = gh_span_str(GET "\r\n");
    assert_int_equal(gh_h1_head_feed(&reader, &in, &head), GH_ERR_MALFORMED);
}

static void a_head_has_room_for_its_limit_and_not_a_byte_more(void **state)
{
    static char text[GH_H1_HEAD_MAX + 8];
    size_t fixed = (size_t)snprintf(text, sizeof text, GET "X: ");
    struct gh_h1_head head;
    size_t left;

    (void)state;
    memset(text + fixed, 'a', sizeof text - fixed);
    memcpy(text + GH_H1_HEAD_MAX - 2, "\r\n\r\n", 4);
    assert_int_equal(feed(GH_H1_REQUEST, text, GH_H1_HEAD_MAX + 2, 1000, &head, &left), 1);
    memcpy(text + GH_H1_HEAD_MAX - 2, "a\r\n\r\n", 5);
    assert_int_equal(feed(GH_H1_REQUEST, text, GH_H1_HEAD_MAX + 3, 1000, &head, &left), GH_ERR_TOO_LONG);
}

static void the_field_after_the_last_allowed_is_refused(void **state)
{
    struct gh_h1_head head;

    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        char text[2048] = GET;

        for (size_t i = 1; i < GH_H1_FIELDS_MAX + extra; i++)
            strcat(text, "X: a\r\n");
        strcat(text, "\r\n");
        assert_int_equal(read_head(GH_H1_REQUEST, text, &head), extra ? GH_ERR_TOO_LONG : 1);
    }
    assert_int_equal(gh_h1_refusal(GH_ERR_TOO_LONG), 431);
    assert_int_equal(gh_h1_refusal(GH_ERR_UNSUPPORTED), 501);
    assert_int_equal(gh_h1_refusal(GH_ERR_RANGE), 505);
    assert_int_equal(gh_h1_refusal(GH_ERR_MALFORMED), 400);
}

/* RFC 9112, section 9.3 */
static void keep_alive_follows_version_and_connection(void **state)
{
    static const struct {
        const char *text;
        bool keep;
    } cases[] = {
        { GET "\r\n", true },
        { GET "Connection: close\r\n\r\n", false },
        { GET "Connection: keep-alive\r\n\r\n", true },
        { GET "Connection: foo ,\tClose, bar\r\n\r\n", false },
        { GET "Connection: closed\r\n\r\n", true },
        { GET "Connection: keep-alive\r\nConnection: close\r\n\r\n", false },
        { "GET / HTTP/1.0\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
        { "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false },
        { "GET / HTTP/1.7\r\nHost: a\r\n\r\n", true },
    };
    struct gh_h1_head head;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_head(GH_H1_REQUEST, cases[i].text, &head), 1);
        assert_int_equal(head.keep_alive, cases[i].keep);
    }
}

static void framing_of_requests(void **state)
{
    struct gh_h1_head head;

    (void)state;
    assert_int_equal(read_head(GH_H1_REQUEST, GET "\r\n", &head), 1);
    assert_int_equal(head.framing, GH_H1_BODY_NONE);
    assert_int_equal(read_head(GH_H1_REQUEST, POST "Content-Length: 18446744073709551615\r\n\r\n", &head), 1);
    assert_int_equal(head.framing, GH_H1_BODY_LENGTH);
    assert_true(head.content_length == UINT64_MAX);
    assert_int_equal(read_head(GH_H1_REQUEST, POST "Content-Length: 000\r\n\r\n", &head), 1);
    assert_int_equal(head.framing, GH_H1_BODY_NONE);
    assert_int_equal(read_head(GH_H1_REQUEST, POST "Transfer-Encoding: Chunked\r\n\r\n", &head), 1);
    assert_int_equal(head.framing, GH_H1_BODY_CHUNKED);
}

static void expectation_and_upgrade_are_told(void **state)
{
    struct gh_h1_head head;

    (void)state;
    assert_int_equal(read_head(GH_H1_REQUEST, POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", &head), 1);
    assert_int_equal(head.expect, GH_H1_EXPECT_CONTINUE);
    assert_int_equal(read_head(GH_H1_REQUEST, POST "Expect: tea\r\n\r\n", &head), 1);
    assert_int_equal(head.expect, GH_H1_EXPECT_UNKNOWN);
    assert_int_equal(read_head(GH_H1_REQUEST, "POST / HTTP/1.0\r\nExpect: tea\r\n\r\n", &head), 1);
    assert_int_equal(head.expect, GH_H1_EXPECT_NONE);
    assert_int_equal(read_head(GH_H1_REQUEST, GET "Connection: Upgrade\r\nUpgrade: connect-ip\r\n\r\n", &head), 1);
    assert_span(head.upgrade, "connect-ip");
    assert_int_equal(read_head(GH_H1_REQUEST, GET "Upgrade: connect-ip\r\n\r\n", &head), 1);
    assert_int_equal(head.upgrade.len, 0);
}

static void bytes_after_the_head_are_left(void **state)
{
    static const char text[] = GET "\r\nGET /next";
    struct gh_h1_head head;
    size_t left;

    (void)state;
    assert_int_equal(feed(GH_H1_REQUEST, text, sizeof text - 1, sizeof text, &head, &left), 1);
    assert_int_equal(left, strlen("GET /next"));
}

/* RFC 9112, section 6.3 */
static void framing_of_answers(void **state)
{
    static const struct {
        enum gh_h1_kind kind;
        const char *text;
        enum gh_h1_framing framing;
    } cases[] = {
        { GH_H1_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", GH_H1_BODY_LENGTH },
        { GH_H1_ANSWER, "HTTP/1.1 200 \r\n\r\n", GH_H1_BODY_UNTIL_CLOSE },
        { GH_H1_ANSWER, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", GH_H1_BODY_CHUNKED },
        { GH_H1_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n", GH_H1_BODY_NONE },
        { GH_H1_ANSWER, "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", GH_H1_BODY_NONE },
        { GH_H1_ANSWER, "HTTP/1.1 100 Continue\r\n\r\n", GH_H1_BODY_NONE },
        { GH_H1_ANSWER_TO_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", GH_H1_BODY_NONE },
        { GH_H1_ANSWER_TO_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", GH_H1_BODY_NONE },
    };
    static const char *const bad[] = {
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 20x OK\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 600 High\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    };
    struct gh_h1_head head;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_head(cases[i].kind, cases[i].text, &head), 1);
        assert_int_equal(head.framing, cases[i].framing);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(read_head(GH_H1_ANSWER, bad[i], &head), GH_ERR_MALFORMED);
}

/* Decodes <len> bytes in pieces of <step> into <body>. Progress, as the decoder. */
static int dechunk(const char *text, size_t len, size_t step, char *body, size_t cap, size_t *ret_left)
{
    struct gh_h1_chunked c = { 0 };
    size_t at = 0, used = 0;
    int rc = 0;

    while (at < len) {
        struct gh_span in = gh_span_of(text + at, len - at < step ? len - at : step), piece;

        do {
            const uint8_t *before = in.data;

            rc = gh_h1_chunked_next(&c, &in, &piece);
            at += (size_t)(in.data - before);
            if (rc < 0)
                return rc;
            if (rc == 1 && piece.len == 0) {
                *ret_left = len - at;
                body[used] = 0;
                return 1;
            }
            if (rc == 1) {
                assert_true(used + piece.len < cap);
                memcpy(body + used, piece.data, piece.len);
                used += piece.len;
            }
        } while (rc == 1);
    }
    return 0;
}

/* RFC 9112, section 7.1 */
static void chunks_extensions_and_trailers_are_decoded_in_pieces_of_any_size(void **state)
{
    static const char text[] = "4\r\nWiki\r\n5;a=b;c=\"d e\"\r\npedia\r\n00E \t;x\r\n in\r\n\r\nchunks.\r\n"
                               "0;last\r\nExpires: never\r\nX:\r\n\r\nNEXT";
    char body[64];
    size_t left;

    (void)state;
    for (size_t step = 1; step < sizeof text; step++) {
        assert_int_equal(dechunk(text, sizeof text - 1, step, body, sizeof body, &left), 1);
        assert_string_equal(body, "Wikipedia in\r\n\r\nchunks.");
        assert_int_equal(left, 4);
    }
}

static void chunks_that_could_be_read_differently_are_refused(void **state)
{
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        { "\r\n", GH_ERR_MALFORMED },
        { ";a\r\n", GH_ERR_MALFORMED },
        { " 1\r\na\r\n", GH_ERR_MALFORMED },
        { "-1\r\na\r\n", GH_ERR_MALFORMED },
        { "+1\r\na\r\n", GH_ERR_MALFORMED },
        { "0x1\r\na\r\n", GH_ERR_MALFORMED },
        { "1 \r\na\r\n", GH_ERR_MALFORMED },
        { "1 1\r\na\r\n", GH_ERR_MALFORMED },
        { "1\na\r\n", GH_ERR_MALFORMED },
        { "1\ra\r\n", GH_ERR_MALFORMED },
        { "1;a\nb\r\na\r\n", GH_ERR_MALFORMED },
        { "1\r\nab\r\n", GH_ERR_MALFORMED },
        { "1\r\na\n", GH_ERR_MALFORMED },
        { "1\r\na\r\r", GH_ERR_MALFORMED },
        { "0\r\n folded\r\n\r\n", GH_ERR_MALFORMED },
        { "0\r\nbad name: x\r\n\r\n", GH_ERR_MALFORMED },
        { "0\r\nnocolon\r\n\r\n", GH_ERR_MALFORMED },
        { "0\r\n: x\r\n\r\n", GH_ERR_MALFORMED },
        { "0\r\na: x\n\r\n", GH_ERR_MALFORMED },
        { "0\r\na: \x01\r\n\r\n", GH_ERR_MALFORMED },
        { "10000000000000000\r\n", GH_ERR_TOO_LONG },
        { "fffffffffffffffff\r\n", GH_ERR_TOO_LONG },
    };
    char body[64];
    size_t left;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step <= 32; step += 31) {
            int rc = dechunk(cases[i].text, strlen(cases[i].text), step, body, sizeof body, &left);

            if (rc != cases[i].rc)
                fail_msg("\"%s\": %d, not %d", cases[i].text, rc, cases[i].rc);
        }
}

static void size_lines_and_trailers_have_limits(void **state)
{
    static char text[GH_H1_TRAILER_MAX + 64];
    char body[8];
    size_t left;

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, "1;", 2);
    assert_int_equal(dechunk(text, GH_H1_CHUNK_LINE_MAX, 64, body, sizeof body, &left), 0);
    assert_int_equal(dechunk(text, GH_H1_CHUNK_LINE_MAX + 1, 64, body, sizeof body, &left), GH_ERR_TOO_LONG);
    memcpy(text, "0\r\nx:", 5);
    assert_int_equal(dechunk(text, 3 + GH_H1_TRAILER_MAX, 64, body, sizeof body, &left), 0);
    assert_int_equal(dechunk(text, 4 + GH_H1_TRAILER_MAX, 64, body, sizeof body, &left), GH_ERR_TOO_LONG);
}

static void what_is_emitted_reads_back(void **state)
{
    char text[256];
    struct gh_writer w = gh_writer_of(text, sizeof text - 1);
    struct gh_h1_head head;

    (void)state;
    gh_h1_emit_status_line(&w, 404);
    gh_h1_emit_field(&w, gh_span_str("content-type"), gh_span_str("text/plain"));
    gh_h1_emit_field(&w, gh_span_str("transfer-encoding"), gh_span_str("chunked"));
    gh_h1_emit_end(&w);
    assert_false(w.failed);
    *w.at = 0;
    assert_string_equal(text, "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_int_equal(read_head(GH_H1_ANSWER, text, &head), 1);
    assert_int_equal(head.status, 404);
    assert_span(head.reason, "Not Found");

    w = gh_writer_of(text, sizeof text - 1);
    gh_h1_emit_chunk_size(&w, 26);
    *w.at = 0;
    assert_string_equal(text, "1a\r\n");
}

static void an_emitted_field_cannot_smuggle_another(void **state)
{
    static const struct {
        const char *name, *value;
    } cases[] = { { "x", "a\r\nset-cookie: b" }, { "x", "a\nb" }, { "x", "a\rb" }, { "x\r\n", "a" }, { "x: y", "a" },
                  { "", "a" } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        struct gh_writer w = gh_writer_of(text, sizeof text);

        gh_h1_emit_field(&w, gh_span_str(cases[i].name), gh_span_str(cases[i].value));
        assert_true(w.failed);
        assert_int_equal(gh_writer_len(&w), 0);
        w = gh_writer_of(text, sizeof text);
        gh_h1_emit_request_line(&w, "GET", gh_span_str(cases[i].value));
        assert_int_equal(w.failed, strpbrk(cases[i].value, "\r\n ") != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_four_forms_of_a_target_are_read),
        cmocka_unit_test(fields_are_lowered_and_trimmed_and_keep_their_order),
        cmocka_unit_test(whatever_two_readers_could_read_differently_is_refused),
        cmocka_unit_test(nul_is_refused_everywhere),
        cmocka_unit_test(an_error_is_final),
        cmocka_unit_test(a_head_has_room_for_its_limit_and_not_a_byte_more),
        cmocka_unit_test(the_field_after_the_last_allowed_is_refused),
        cmocka_unit_test(keep_alive_follows_version_and_connection),
        cmocka_unit_test(framing_of_requests),
        cmocka_unit_test(expectation_and_upgrade_are_told),
        cmocka_unit_test(bytes_after_the_head_are_left),
        cmocka_unit_test(framing_of_answers),
        cmocka_unit_test(chunks_extensions_and_trailers_are_decoded_in_pieces_of_any_size),
        cmocka_unit_test(chunks_that_could_be_read_differently_are_refused),
        cmocka_unit_test(size_lines_and_trailers_have_limits),
        cmocka_unit_test(what_is_emitted_reads_back),
        cmocka_unit_test(an_emitted_field_cannot_smuggle_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
