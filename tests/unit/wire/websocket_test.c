#include "wire/websocket.h"

#include <stdio.h>

#include "crypto/hash.h"

#include "../test.h"

#define BYTES(s) gh_span_of(s, sizeof(s) - 1)

/* What a stream of frames came to: messages joined, controls in between, in one line. */
struct got {
    char text[4096];
    size_t len;
    bool open; /* in a message */
};

static void note(struct got *g, const char *head, struct gh_span data)
{
    size_t n = strlen(head);

    assert_true(g->len + n + data.len + 2 < sizeof g->text);
    memcpy(g->text + g->len, head, n);
    if (data.len)
        memcpy(g->text + g->len + n, data.data, data.len);
    g->len += n + data.len;
    g->text[g->len] = 0;
}

static void note_event(struct got *g, const struct gh_ws_event *e)
{
    char head[32] = "";

    switch (e->opcode) {
    case GH_WS_PING:
        note(g, "(ping ", e->data);
        note(g, ")", BYTES(""));
        return;
    case GH_WS_PONG:
        note(g, "(pong ", e->data);
        note(g, ")", BYTES(""));
        return;
    case GH_WS_CLOSE:
        snprintf(head, sizeof head, "(close %u ", e->code);
        note(g, head, e->data);
        note(g, ")", BYTES(""));
        return;
    default:
        assert_int_equal(e->first, !g->open);
        note(g, e->first ? (e->opcode == GH_WS_TEXT ? "[t:" : "[b:") : "", e->data);
        note(g, e->last ? "]" : "", BYTES(""));
        g->open = !e->last;
        return;
    }
}

/* Feeds in pieces of <piece> bytes, each in a block of its own size. */
static int feed(struct gh_ws_reader *r, struct gh_span stream, size_t piece, struct got *g)
{
    int rc = 0;

    for (size_t at = 0; at < stream.len && rc == 0; at += piece) {
        size_t n = stream.len - at < piece ? stream.len - at : piece;
        uint8_t *block = malloc(n);
        struct gh_ws_bytes in = { block, n };
        struct gh_ws_event e;

        assert_non_null(block);
        memcpy(block, stream.data + at, n);
        while ((rc = gh_ws_next(r, &in, &e)) == 1)
            note_event(g, &e);
        assert_true(rc < 0 || in.len == 0);
        free(block);
    }
    return rc;
}

/* The outcome, the same whatever the pieces. */
static int read_all(bool server, uint64_t max, struct gh_span stream, struct got *ret)
{
    int rc = 0;

    for (size_t piece = stream.len ? stream.len : 1; piece > 0; piece--) {
        struct gh_ws_reader r;
        struct got g = { .len = 0 };
        int got_rc;

        gh_ws_reader_init(&r, server, max);
        got_rc = feed(&r, stream, piece, &g);
        if (piece == stream.len || stream.len == 0) {
            *ret = g;
            rc = got_rc;
        }
        assert_int_equal(got_rc, rc);
        if (rc == 0)
            assert_string_equal(g.text, ret->text);
    }
    return rc;
}

static void the_examples_of_the_RFC_are_read(void **state) /* RFC 6455, section 5.7 */
{
    struct got g;
    uint8_t big[65536 + 10] = { 0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0 };
    struct gh_ws_bytes in = { big, sizeof big };
    struct gh_ws_reader r;
    struct gh_ws_event e;

    (void)state;
    assert_int_equal(read_all(false, 0, BYTES("\x81\x05\x48\x65\x6c\x6c\x6f"), &g), 0);
    assert_string_equal(g.text, "[t:Hello]");
    assert_int_equal(read_all(true, 0, BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), &g), 0);
    assert_string_equal(g.text, "[t:Hello]");
    assert_int_equal(read_all(false, 0, BYTES("\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f"), &g), 0);
    assert_string_equal(g.text, "[t:Hello]");
    assert_int_equal(read_all(false, 0, BYTES("\x89\x05\x48\x65\x6c\x6c\x6f"), &g), 0);
    assert_string_equal(g.text, "(ping Hello)");
    assert_int_equal(read_all(true, 0, BYTES("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), &g), 0);
    assert_string_equal(g.text, "(pong Hello)");
    gh_ws_reader_init(&r, false, 0);
    assert_int_equal(gh_ws_next(&r, &in, &e), 1);
    assert_true(e.opcode == GH_WS_BINARY && e.first && e.last && e.data.len == 65536 && in.len == 0);
    assert_ptr_equal(e.data.data, big + 10);
}

static void frames_are_written_as_in_the_RFC(void **state)
{
    static const uint8_t key[] = { 0x37, 0xfa, 0x21, 0x3d };
    uint8_t buf[128];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    (void)state;
    gh_ws_emit_control(&w, GH_WS_PONG, gh_span_str("Hello"), key);
    assert_int_equal(gh_writer_len(&w), 11);
    assert_memory_equal(buf, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    w = gh_writer_of(buf, sizeof buf);
    gh_ws_emit_head(&w, GH_WS_BINARY, true, 256, NULL);
    assert_memory_equal(buf, "\x82\x7e\x01\x00", 4);
    gh_ws_emit_head(&w, GH_WS_BINARY, true, 65536, NULL);
    assert_memory_equal(buf + 4, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
    gh_ws_emit_head(&w, GH_WS_TEXT, false, 125, key);
    assert_memory_equal(buf + 14, "\x01\xfd\x37\xfa\x21\x3d", 6);
    assert_int_equal(gh_writer_len(&w), 20);
    w = gh_writer_of(buf, sizeof buf);
    gh_ws_emit_close(&w, GH_WS_GOING_AWAY, gh_span_str("bye"), NULL);
    assert_memory_equal(buf, "\x88\x05\x03\xe9" "bye", 7);
    w = gh_writer_of(buf, sizeof buf);
    gh_ws_emit_close(&w, GH_WS_NO_CODE, BYTES(""), NULL);
    assert_int_equal(gh_writer_len(&w), 2);
}

static void a_control_frame_has_125_bytes_at_most(void **state)
{
    uint8_t buf[200], data[126] = { 0 };
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    (void)state;
    gh_ws_emit_control(&w, GH_WS_PING, gh_span_of(data, 125), NULL);
    assert_false(w.failed);
    gh_ws_emit_control(&w, GH_WS_PING, gh_span_of(data, 126), NULL);
    assert_true(w.failed);
    w = gh_writer_of(buf, sizeof buf);
    gh_ws_emit_close(&w, GH_WS_NORMAL, gh_span_of(data, 123), NULL);
    assert_false(w.failed);
    gh_ws_emit_close(&w, GH_WS_NORMAL, gh_span_of(data, 124), NULL);
    assert_true(w.failed);
}

/* The cases of the sections of RFC 6455, as a client reads them, so that the bytes can be read here. */
static void frames_are_judged_by_the_rules(void **state)
{
    static const struct {
        struct gh_span stream;
        const char *text; /* NULL: refused */
        int rc;
    } rows[] = {
        { { (const uint8_t *)"\x81\x00", 2 }, "[t:]", 0 },
        { { (const uint8_t *)"\x01\x00\x00\x00\x80\x00", 6 }, "[t:]", 0 },
        { { (const uint8_t *)"\x02\x01" "a" "\x00\x00" "\x00\x01" "b" "\x80\x01" "c", 11 }, "[b:abc]", 0 },
        { { (const uint8_t *)"\x01\x01" "a" "\x89\x01" "p" "\x80\x01" "b", 9 }, "[t:a(ping p)b]", 0 },
        { { (const uint8_t *)"\x01\x01" "a" "\x81\x01" "b", 6 }, NULL, GH_ERR_PROTOCOL },  /* a message in a message */
        { { (const uint8_t *)"\x80\x01" "a", 3 }, NULL, GH_ERR_PROTOCOL },                  /* a continuation of nothing */
        { { (const uint8_t *)"\x81\x01" "a" "\x80\x01" "b", 6 }, NULL, GH_ERR_PROTOCOL },
        { { (const uint8_t *)"\x09\x00", 2 }, NULL, GH_ERR_PROTOCOL },                      /* half a ping */
        { { (const uint8_t *)"\x89\x7e", 2 }, NULL, GH_ERR_PROTOCOL },                      /* a long one */
        { { (const uint8_t *)"\xc1", 1 }, NULL, GH_ERR_PROTOCOL },                          /* reserved bits */
        { { (const uint8_t *)"\xa1", 1 }, NULL, GH_ERR_PROTOCOL },
        { { (const uint8_t *)"\x91", 1 }, NULL, GH_ERR_PROTOCOL },
        { { (const uint8_t *)"\x83", 1 }, NULL, GH_ERR_PROTOCOL },                          /* reserved opcodes */
        { { (const uint8_t *)"\x87", 1 }, NULL, GH_ERR_PROTOCOL },
        { { (const uint8_t *)"\x8b", 1 }, NULL, GH_ERR_PROTOCOL },
        { { (const uint8_t *)"\x8f", 1 }, NULL, GH_ERR_PROTOCOL },
        { { (const uint8_t *)"\x81\x80", 2 }, NULL, GH_ERR_PROTOCOL },                      /* a server that masks */
        { { (const uint8_t *)"\x82\x7e\x00\x7d", 4 }, NULL, GH_ERR_PROTOCOL },              /* a longer form than is needed */
        { { (const uint8_t *)"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 10 }, NULL, GH_ERR_PROTOCOL },
        { { (const uint8_t *)"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 10 }, NULL, GH_ERR_PROTOCOL },
        { { (const uint8_t *)"\x81\x02\xc3\xa4", 4 }, "[t:\xc3\xa4]", 0 },
        { { (const uint8_t *)"\x01\x01\xc3\x80\x01\xa4", 6 }, "[t:\xc3\xa4]", 0 },          /* a letter over two frames */
        { { (const uint8_t *)"\x81\x01\xc3", 3 }, NULL, GH_ERR_MALFORMED },                 /* half a letter */
        { { (const uint8_t *)"\x01\x01\xc3\x80\x00", 5 }, NULL, GH_ERR_MALFORMED },
        { { (const uint8_t *)"\x01\x7d\xed\xa0", 4 }, NULL, GH_ERR_MALFORMED },             /* seen before its frame ends */
        { { (const uint8_t *)"\x82\x01\xc3", 3 }, "[b:\xc3]", 0 },
        { { (const uint8_t *)"\x88\x00", 2 }, "(close 1005 )", 0 },
        { { (const uint8_t *)"\x88\x02\x03\xe8\xff\xff", 6 }, "(close 1000 )", 0 },         /* what follows is nothing */
        { { (const uint8_t *)"\x88\x05\x0f\xa0" "bye", 7 }, "(close 4000 bye)", 0 },
        { { (const uint8_t *)"\x88\x01\x03", 3 }, NULL, GH_ERR_PROTOCOL },                  /* half a code */
        { { (const uint8_t *)"\x88\x02\x03\xed", 4 }, NULL, GH_ERR_PROTOCOL },              /* 1005 */
        { { (const uint8_t *)"\x88\x03\x03\xe8\xff", 5 }, NULL, GH_ERR_MALFORMED },
        { { (const uint8_t *)"\x88\x7e", 2 }, NULL, GH_ERR_PROTOCOL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct got g;
        int rc = read_all(false, 0, rows[i].stream, &g);

        if (rc != rows[i].rc)
            fail_msg("row %zu: %d", i, rc);
        if (rows[i].text)
            assert_string_equal(g.text, rows[i].text);
    }
}

static void a_client_must_mask(void **state)
{
    struct got g;

    (void)state;
    assert_int_equal(read_all(true, 0, BYTES("\x81\x05"), &g), GH_ERR_PROTOCOL);
    assert_int_equal(read_all(true, 0, BYTES("\x88\x00"), &g), GH_ERR_PROTOCOL);
    assert_int_equal(read_all(true, 0, BYTES("\x81\x80" "abcd"), &g), 0);
    assert_string_equal(g.text, "[t:]");
}

static void codes_are_those_that_may_be_sent(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= UINT16_MAX; code++) {
        bool registered = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014); /* IANA's list */

        assert_int_equal(gh_ws_code_valid((uint16_t)code), registered || (code >= 3000 && code < 5000));
    }
    assert_int_equal(gh_ws_code_of(GH_ERR_PROTOCOL), 1002);
    assert_int_equal(gh_ws_code_of(GH_ERR_MALFORMED), 1007);
    assert_int_equal(gh_ws_code_of(GH_ERR_TOO_LONG), 1009);
    assert_int_equal(gh_ws_code_of(GH_ERR_MEMORY), 1011);
    assert_int_equal(gh_ws_code_of(0), 1000);
}

static void a_message_above_the_limit_is_refused_by_its_head(void **state)
{
    struct got g;

    (void)state;
    assert_int_equal(read_all(false, 5, BYTES("\x82\x05" "12345" "\x82\x05" "12345"), &g), 0);
    assert_int_equal(read_all(false, 5, BYTES("\x82\x06"), &g), GH_ERR_TOO_LONG);
    assert_int_equal(read_all(false, 5, BYTES("\x02\x03" "123" "\x00\x02" "45" "\x80\x00"), &g), 0);
    assert_int_equal(read_all(false, 5, BYTES("\x02\x03" "123" "\x80\x03"), &g), GH_ERR_TOO_LONG);
    assert_int_equal(read_all(false, 5, BYTES("\x02\x03" "123" "\x89\x08" "12345678" "\x80\x02" "45"), &g), 0); /* a ping is none */
}

static void an_error_stays(void **state)
{
    struct gh_ws_reader r;
    struct got g = { .len = 0 };

    (void)state;
    gh_ws_reader_init(&r, false, 0);
    assert_int_equal(feed(&r, BYTES("\x83"), 1, &g), GH_ERR_PROTOCOL);
    assert_int_equal(feed(&r, BYTES("\x81\x01" "a"), 3, &g), GH_ERR_PROTOCOL);
    assert_int_equal(g.len, 0);
}

static void masking_is_the_same_at_any_place_and_length(void **state)
{
    static const uint8_t key[] = { 0x12, 0x34, 0x56, 0x78 };
    uint8_t got[160], want[160];

    (void)state;
    for (size_t from = 0; from < 9; from++) {
        for (size_t len = 0; len < 150; len++) {
            for (uint64_t at = 0; at < 5; at++) {
                for (size_t i = 0; i < sizeof got; i++)
                    got[i] = want[i] = (uint8_t)(i * 37);
                for (size_t i = 0; i < len; i++)
                    want[from + i] ^= key[(at + i) % 4];
                gh_ws_mask(got + from, len, key, at + 4 * 1000003u);
                assert_memory_equal(got, want, sizeof got);
            }
        }
    }
}

static void the_answer_to_a_key_is_that_of_the_RFC(void **state) /* RFC 6455, section 1.3 */
{
    char text[GH_WS_ACCEPT_TEXT], key[GH_WS_KEY_TEXT];

    (void)state;
    gh_ws_key_emit((const uint8_t *)"the sample nonce", key);
    assert_string_equal(key, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_true(gh_ws_key_valid(gh_span_str(key)));
    assert_int_equal(gh_ws_accept(gh_span_str(key), gh_sha1, text), 0);
    assert_string_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void a_key_is_sixteen_bytes(void **state)
{
    (void)state;
    assert_false(gh_ws_key_valid(gh_span_str("")));
    assert_false(gh_ws_key_valid(gh_span_str("dGhlIHNhbXBsZSBub25jZQ")));
    assert_false(gh_ws_key_valid(gh_span_str("dGhlIHNhbXBsZSBub25jZSE=")));  /* seventeen */
    assert_false(gh_ws_key_valid(gh_span_str("dGhlIHNhbXBsZSBub25jZR==")));  /* bits left over */
    assert_false(gh_ws_key_valid(gh_span_str("dGhlIHNhbXBsZSBub25j ZQ=")));
    assert_false(gh_ws_key_valid(gh_span_str("dGhlIHNhbXBsZSBub25jZQ==dGhl")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_RFC_are_read),
        cmocka_unit_test(frames_are_written_as_in_the_RFC),
        cmocka_unit_test(a_control_frame_has_125_bytes_at_most),
        cmocka_unit_test(frames_are_judged_by_the_rules),
        cmocka_unit_test(a_client_must_mask),
        cmocka_unit_test(codes_are_those_that_may_be_sent),
        cmocka_unit_test(a_message_above_the_limit_is_refused_by_its_head),
        cmocka_unit_test(an_error_stays),
        cmocka_unit_test(masking_is_the_same_at_any_place_and_length),
        cmocka_unit_test(the_answer_to_a_key_is_that_of_the_RFC),
        cmocka_unit_test(a_key_is_sixteen_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
