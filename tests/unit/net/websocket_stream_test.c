#include "net/websocket_stream.h"

#include "../test.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "fake_stream.h"
#include "wire/websocket.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455, section 1.3 */

static const struct gh_websocket_protocol protocol = { "gatehouse-connect-ip", "connect-ip" };

struct world {
    struct gh_fake_stream below;
    struct gh_http_stream *s;
    char got[256], protocol[32];
    size_t len;
    bool ended, closed, reset_in_body, ends_with_it;
    uint64_t code;
    unsigned status; /* that the handler answers */
};

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct world *w = arg;

    if (data.len)
        memcpy(w->got + w->len, data.data, data.len);
    w->len += data.len;
    w->ended |= end;
    if (end && w->ends_with_it)
        assert_int_equal(gh_http_send(s, gh_span_str(""), true), 0);
    if (w->reset_in_body) {
        gh_http_reset(s, GH_HTTP_MESSAGE_ERROR);
        gh_fake_stream_close(&w->below, 0x10e); /* as a version may, before it returns */
    }
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct world *w = arg;

    (void)s;
    assert_false(w->closed);
    w->closed = true;
    w->code = code;
    w->s = NULL;
}

static const struct gh_http_events events = { NULL, on_body, NULL, NULL, on_closed };

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    static const struct gh_http_field field = { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } };
    struct world *w = arg;

    memcpy(w->protocol, head->protocol.data, head->protocol.len);
    if (w->status != 200) {
        gh_http_respond(s, w->status, NULL, 0, true);
        return;
    }
    s->events = &events;
    s->arg = w;
    w->s = s;
    assert_int_equal(gh_http_respond(s, 200, &field, 1, false), 0);
}

static int ask(struct world *w, const struct gh_http_field *fields, size_t count)
{
    const struct gh_http_head head = { .method = gh_span_str("CONNECT"), .path = gh_span_str("/p"), .protocol = gh_span_str("websocket"),
                                       .fields = fields, .field_count = count };

    gh_fake_stream_init(&w->below);
    w->status = w->status ? w->status : 200;
    assert_true(gh_websocket_is_asked(&head, &protocol));
    return gh_websocket_accept(&w->below.stream, &head, &protocol, (struct gh_http_handler){ on_request, w });
}

static struct gh_http_field field(const char *name, const char *value)
{
    return (struct gh_http_field){ gh_span_str(name), gh_span_str(value) };
}

static void open_h1(struct world *w)
{
    const struct gh_http_field fields[] = { field("upgrade", "websocket"), field("sec-websocket-version", "13"), field("sec-websocket-key", KEY),
                                            field("sec-websocket-protocol", "chat, gatehouse-connect-ip") };

    assert_int_equal(ask(w, fields, 4), 0);
}

/* A masked frame as a client sends it. */
static void frame(struct world *w, enum gh_ws_opcode opcode, bool last, const char *data, size_t len)
{
    static const uint8_t key[GH_WS_MASK] = { 0x37, 0xfa, 0x21, 0x3d };
    uint8_t buf[256];
    struct gh_writer out = gh_writer_of(buf, sizeof buf);
    size_t head;

    gh_ws_emit_head(&out, opcode, last, len, key);
    head = gh_writer_len(&out);
    gh_write_bytes(&out, data, len);
    gh_ws_mask(buf + head, len, key, 0);
    gh_fake_stream_body(&w->below, buf, head + len, false);
}

static void the_handshake_of_http_1_is_that_of_the_rfc(void **state)
{
    struct world w = { .status = 0 };

    (void)state;
    open_h1(&w);
    assert_string_equal(w.protocol, "connect-ip");
    assert_int_equal(w.below.status, 200); /* which HTTP/1 writes as 101 */
    assert_string_equal(gh_fake_stream_field(&w.below, "sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_string_equal(gh_fake_stream_field(&w.below, "sec-websocket-protocol"), "gatehouse-connect-ip");
    assert_null(gh_fake_stream_field(&w.below, "capsule-protocol"));
    gh_fake_stream_fini(&w.below);
    assert_true(w.closed);
}

static void the_handshake_of_http_2_has_no_key(void **state)
{
    const struct gh_http_field fields[] = { field("sec-websocket-version", "13"), field("sec-websocket-protocol", "gatehouse-connect-ip") };
    struct world w = { .status = 0 };

    (void)state;
    assert_int_equal(ask(&w, fields, 2), 0);
    assert_int_equal(w.below.status, 200);
    assert_null(gh_fake_stream_field(&w.below, "sec-websocket-accept"));
    gh_fake_stream_fini(&w.below);
}

static void a_handshake_that_is_not_right_is_refused(void **state)
{
    const struct gh_http_field old[] = { field("sec-websocket-version", "8"), field("sec-websocket-protocol", "gatehouse-connect-ip") };
    const struct gh_http_field bad[] = { field("upgrade", "websocket"), field("sec-websocket-version", "13"), field("sec-websocket-key", "abc"),
                                         field("sec-websocket-protocol", "gatehouse-connect-ip") };
    struct world w = { .status = 0 };

    (void)state;
    assert_true(ask(&w, old, 2) < 0);
    assert_int_equal(w.below.status, 426);
    assert_string_equal(gh_fake_stream_field(&w.below, "sec-websocket-version"), "13");
    gh_fake_stream_fini(&w.below);
    assert_true(ask(&w, bad, 4) < 0);
    assert_int_equal(w.below.status, 400);
    gh_fake_stream_fini(&w.below);
    assert_false(w.closed);
}

static void without_our_sub_protocol_it_is_somebody_elses(void **state)
{
    const struct gh_http_field fields[] = { field("sec-websocket-version", "13"), field("sec-websocket-protocol", "chat") };
    struct gh_http_head head = { .method = gh_span_str("CONNECT"), .protocol = gh_span_str("websocket"), .fields = fields, .field_count = 2 };

    (void)state;
    assert_false(gh_websocket_is_asked(&head, &protocol));
    head.field_count = 1;
    assert_false(gh_websocket_is_asked(&head, &protocol));
    head.protocol = gh_span_str("connect-ip");
    assert_false(gh_websocket_is_asked(&head, &protocol));
}

static void a_refusal_of_the_handler_is_one_of_the_stream(void **state)
{
    struct world w = { .status = 403 };

    (void)state;
    open_h1(&w);
    assert_int_equal(w.below.status, 403);
    assert_true(w.below.ended);
    assert_null(gh_fake_stream_field(&w.below, "sec-websocket-accept"));
    gh_fake_stream_fini(&w.below);
}

static void binary_messages_are_one_stream_of_bytes(void **state)
{
    struct world w = { .status = 0 };

    (void)state;
    open_h1(&w);
    frame(&w, GH_WS_BINARY, false, "ab", 2);
    frame(&w, GH_WS_CONTINUATION, true, "cd", 2);
    frame(&w, GH_WS_BINARY, true, "e", 1);
    assert_int_equal(w.len, 5);
    assert_memory_equal(w.got, "abcde", 5);
    assert_int_equal(gh_http_send(w.s, gh_span_str("xyz"), false), 0);
    assert_memory_equal(w.below.body, "\x82\x03xyz", 5); /* unmasked: RFC 6455, section 5.1 */
    gh_fake_stream_fini(&w.below);
}

static void datagrams_are_capsules_in_messages(void **state)
{
    struct world w = { .status = 0 };

    (void)state;
    open_h1(&w);
    assert_int_equal(gh_http_datagram_max(w.s), 1501);
    assert_int_equal(gh_http_send_datagram(w.s, gh_span_of("\0p", 2), 0), 0);
    assert_memory_equal(w.below.body, "\x82\x04\x00\x02\x00p", 6);
    gh_fake_stream_fini(&w.below);
}

static void a_ping_is_answered_between_the_frames_of_a_message(void **state)
{
    struct world w = { .status = 0 };

    (void)state;
    open_h1(&w);
    frame(&w, GH_WS_BINARY, false, "a", 1);
    frame(&w, GH_WS_PING, true, "?", 1);
    frame(&w, GH_WS_CONTINUATION, true, "b", 1);
    assert_memory_equal(w.below.body, "\x8a\x01?", 3);
    assert_int_equal(w.len, 2);
    gh_fake_stream_fini(&w.below);
}

static void a_close_is_the_end_and_is_answered(void **state)
{
    struct world w = { .status = 0 };

    (void)state;
    open_h1(&w);
    frame(&w, GH_WS_CLOSE, true, "\x03\xe8", 2);
    assert_true(w.ended && !w.closed);
    assert_memory_equal(w.below.body, "\x88\x02\x03\xe8", 4);
    assert_true(w.below.ended);
    gh_fake_stream_close(&w.below, 0);
    assert_true(w.closed);
    assert_int_equal(w.code, 0);
    gh_fake_stream_fini(&w.below);
}

/* RFC 6455, section 5.5.1 */
static void who_ends_with_the_peer_repeats_its_code(void **state)
{
    static const struct {
        const char *heard, *said;
        size_t heard_len, said_len;
    } all[] = { { "\x0f\xa1", "\x88\x02\x0f\xa1", 2, 4 }, { "\x03\xe9why", "\x88\x02\x03\xe9", 5, 4 }, { "", "\x88\x00", 0, 2 } };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct world w = { .ends_with_it = true };

        open_h1(&w);
        frame(&w, GH_WS_CLOSE, true, all[i].heard, all[i].heard_len);
        assert_int_equal(w.below.body_len, all[i].said_len);
        assert_memory_equal(w.below.body, all[i].said, all[i].said_len);
        assert_true(w.below.ended);
        gh_fake_stream_fini(&w.below);
    }
}

static void our_end_is_a_close_and_waits_for_theirs(void **state)
{
    struct world w = { .status = 0 };

    (void)state;
    open_h1(&w);
    assert_int_equal(gh_http_send(w.s, gh_span_str("z"), true), 0);
    assert_memory_equal(w.below.body, "\x82\x01z\x88\x02\x03\xe8", 7);
    assert_false(w.below.ended);
    assert_int_equal(gh_http_send(w.s, gh_span_str("z"), false), GH_ERR_STATE);
    frame(&w, GH_WS_CLOSE, true, "\x03\xe8", 2);
    assert_int_equal(w.below.body_len, 7); /* said once */
    assert_true(w.below.ended);
    gh_fake_stream_fini(&w.below);
}

static void a_broken_rule_is_told_and_ends_the_tunnel(void **state)
{
    static const struct {
        const char *bytes, *answer;
        size_t len;
    } rows[] = {
        { "\x82\x01""a", "\x88\x02\x03\xea", 3 },               /* not masked: 1002 */
        { "\xc2\x80\0\0\0\0", "\x88\x02\x03\xea", 6 },           /* a reserved bit */
        { "\x81\x81\0\0\0\0a", "\x88\x02\x03\xeb", 7 },          /* text: 1003 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = { .status = 0 };

        open_h1(&w);
        gh_fake_stream_body(&w.below, memcpy((char[8]){ 0 }, rows[i].bytes, rows[i].len), rows[i].len, false);
        assert_true(w.closed);
        assert_int_equal(w.code, gh_http_code(GH_HTTP_MESSAGE_ERROR));
        assert_int_equal(w.below.body_len, 4);
        assert_memory_equal(w.below.body, rows[i].answer, 4);
        assert_int_equal(w.len, 0);
        gh_fake_stream_body(&w.below, "more", 4, false); /* nobody reads it */
        gh_fake_stream_fini(&w.below);
    }
}

static void an_end_without_a_close_is_an_abort(void **state)
{
    struct world w = { .status = 0 };

    (void)state;
    open_h1(&w);
    gh_fake_stream_body(&w.below, NULL, 0, true);
    assert_true(w.closed && w.code != 0);
    assert_true(w.below.reset);
    gh_fake_stream_fini(&w.below);
}

static void a_handler_may_reset_inside_an_event(void **state)
{
    struct world w = { .reset_in_body = true };

    (void)state;
    open_h1(&w);
    frame(&w, GH_WS_BINARY, true, "a", 1);
    assert_true(w.below.reset && w.closed);
    gh_fake_stream_fini(&w.below);
}

static void what_is_held_is_given_back_with_the_heads(void **state)
{
    struct world w = { .status = 0 };

    (void)state;
    open_h1(&w);
    gh_http_hold(w.s);
    frame(&w, GH_WS_BINARY, true, "abc", 3);
    assert_int_equal(w.below.consumed, 6); /* two bytes of head, four of mask */
    gh_http_consume(w.s, 3);
    assert_int_equal(w.below.consumed, 9);
    gh_fake_stream_fini(&w.below);
}

/* ---- a client's ---- */

struct asking {
    struct gh_fake_stream below;
    struct gh_http_stream *s;
    struct gh_http_head head;
    unsigned status;
    char got[64];
    size_t len;
    bool ended, closed;
    uint64_t code;
};

static void c_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    (void)s;
    ((struct asking *)arg)->status = head->status;
}

static void c_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct asking *a = arg;

    (void)s;
    if (data.len)
        memcpy(a->got + a->len, data.data, data.len);
    a->len += data.len;
    a->ended |= end;
}

static void c_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct asking *a = arg;

    (void)s;
    a->closed = true;
    a->code = code;
}

static const struct gh_http_events c_events = { c_answer, c_body, NULL, NULL, c_closed };

static void begin(struct asking *a, bool h1)
{
    static const struct gh_http_field fields[] = { { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } },
                                                   { { (const uint8_t *)"authorization", 13 }, { (const uint8_t *)"x", 1 } } };
    const struct gh_http_head head = { .method = gh_span_str("CONNECT"), .path = gh_span_str("/p"), .protocol = gh_span_str("connect-ip"), .fields = fields, .field_count = 2 };

    *a = (struct asking){ .status = 0 };
    gh_fake_stream_init(&a->below);
    assert_int_equal(gh_websocket_create(&head, &protocol, h1, &a->s, &a->head), 0);
    a->below.stream.events = &gh_websocket_client_events;
    a->below.stream.arg = a->s;
    a->below.status = 200; /* it plays a server elsewhere, which must have answered */
    gh_websocket_attach(a->s, &a->below.stream);
    a->s->events = &c_events;
    a->s->arg = a;
}

static void answer(struct asking *a, unsigned status, const struct gh_http_field *fields, size_t count)
{
    const struct gh_http_head head = { .status = status, .fields = fields, .field_count = count };

    a->below.stream.events->on_answer(a->below.stream.arg, &a->below.stream, &head);
}

/* What a server makes of the request's key is what the client takes. */
static void grant(struct asking *a, bool h1)
{
    char accept[GH_WS_ACCEPT_TEXT] = "";
    struct gh_http_field fields[] = { field("sec-websocket-protocol", "gatehouse-connect-ip"), field("sec-websocket-accept", accept) };

    if (h1)
        assert_int_equal(gh_ws_accept(gh_http_field_find(&a->head, "sec-websocket-key"), gh_sha1, accept), 0);
    fields[1].value = gh_span_str(accept);
    answer(a, 200, fields, h1 ? 2 : 1);
}

static void a_client_asks_as_the_rfc_says(void **state)
{
    struct asking a;

    (void)state;
    for (int h1 = 0; h1 < 2; h1++) {
        begin(&a, h1);
        assert_true(gh_span_equals(a.head.protocol, gh_span_str("websocket")));
        assert_true(gh_websocket_is_asked(&a.head, &protocol));
        assert_true(gh_span_equals(gh_http_field_find(&a.head, "sec-websocket-version"), gh_span_str("13")));
        assert_int_equal(gh_ws_key_valid(gh_http_field_find(&a.head, "sec-websocket-key")), h1);
        assert_true(gh_span_equals(gh_http_field_find(&a.head, "authorization"), gh_span_str("x")));
        assert_int_equal(gh_http_field_find(&a.head, "capsule-protocol").len, 0);
        assert_int_equal(gh_http_send(a.s, gh_span_str("early"), false), GH_ERR_STATE);
        grant(&a, h1);
        assert_int_equal(a.status, 200);
        assert_true(gh_http_datagram_max(a.s) > 1000);
        gh_fake_stream_fini(&a.below);
        assert_true(a.closed);
    }
}

static void what_a_client_sends_is_masked_with_a_key_for_each_frame(void **state)
{
    struct gh_ws_reader r;
    struct gh_ws_event e;
    struct gh_ws_bytes in;
    struct asking a;
    uint8_t keys[2][4];

    (void)state;
    begin(&a, true);
    grant(&a, true);
    for (int i = 0; i < 2; i++) {
        size_t at = a.below.body_len;

        assert_int_equal(gh_http_send(a.s, gh_span_str("hello"), false), 0);
        assert_int_equal(a.below.body_len - at, 2 + 4 + 5);
        memcpy(keys[i], a.below.body + at + 2, 4);
    }
    assert_memory_not_equal(keys[0], keys[1], 4);
    gh_websocket_ping(a.s);
    assert_int_equal(gh_http_send(a.s, gh_span_str(""), true), 0);
    gh_ws_reader_init(&r, true, 0); /* which refuses frames without a mask */
    in = (struct gh_ws_bytes){ (uint8_t *)a.below.body, a.below.body_len };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gh_ws_next(&r, &in, &e), 1);
        assert_true(gh_span_equals(e.data, gh_span_str("hello")));
    }
    assert_int_equal(gh_ws_next(&r, &in, &e), 1);
    assert_int_equal(e.opcode, GH_WS_PING);
    assert_int_equal(gh_ws_next(&r, &in, &e), 1);
    assert_int_equal(e.opcode, GH_WS_CLOSE);
    assert_int_equal(in.len, 0);
    gh_fake_stream_fini(&a.below);
}

static void a_client_takes_plain_frames_and_refuses_masked_ones(void **state)
{
    struct asking a;

    (void)state;
    begin(&a, false);
    grant(&a, false);
    gh_fake_stream_body(&a.below, "\x82\x02" "ab\x82\x01" "c", 7, false);
    assert_int_equal(a.len, 3);
    assert_memory_equal(a.got, "abc", 3);
    gh_fake_stream_body(&a.below, "\x82\x82\0\0\0\0ab", 8, false);
    assert_true(a.closed);
    assert_int_equal(a.code, gh_http_code(GH_HTTP_MESSAGE_ERROR));
    gh_fake_stream_fini(&a.below);
}

static void an_answer_that_grants_something_else_ends_it(void **state)
{
    const struct gh_http_field wrong[][2] = {
        { field("sec-websocket-protocol", "gatehouse-connect-ip"), field("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") }, /* to another key */
        { field("sec-websocket-protocol", "gatehouse-connect-ip"), field("x", "y") },
    };
    struct asking a;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin(&a, true);
        answer(&a, 200, wrong[i], 2);
        assert_int_equal(a.status, 0);
        assert_true(a.below.reset);
        gh_fake_stream_fini(&a.below);
    }
    begin(&a, false);
    answer(&a, 200, NULL, 0); /* no sub-protocol */
    assert_true(a.below.reset);
    gh_fake_stream_fini(&a.below);
}

static void what_both_have_closed_ended_well_however_the_connection_ends(void **state)
{
    struct asking a;

    (void)state;
    for (int both = 0; both < 2; both++) {
        begin(&a, false);
        grant(&a, false);
        assert_int_equal(gh_http_send(a.s, gh_span_of(NULL, 0), true), 0);
        if (both)
            gh_fake_stream_body(&a.below, "\x88\x02\x03\xe8", 4, false);
        gh_fake_stream_close(&a.below, gh_http_code(GH_HTTP_REQUEST_CANCELLED));
        assert_true(a.closed);
        assert_int_equal(a.code, both ? 0 : gh_http_code(GH_HTTP_REQUEST_CANCELLED));
        gh_fake_stream_fini(&a.below);
    }
}

static void a_refusal_is_told_with_its_body(void **state)
{
    struct asking a;

    (void)state;
    begin(&a, true);
    answer(&a, 403, NULL, 0);
    gh_fake_stream_body(&a.below, "no", 2, true);
    assert_int_equal(a.status, 403);
    assert_memory_equal(a.got, "no", 2);
    assert_true(a.ended);
    gh_fake_stream_fini(&a.below);
    assert_true(a.closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_handshake_of_http_1_is_that_of_the_rfc),
        cmocka_unit_test(the_handshake_of_http_2_has_no_key),
        cmocka_unit_test(a_handshake_that_is_not_right_is_refused),
        cmocka_unit_test(without_our_sub_protocol_it_is_somebody_elses),
        cmocka_unit_test(a_refusal_of_the_handler_is_one_of_the_stream),
        cmocka_unit_test(binary_messages_are_one_stream_of_bytes),
        cmocka_unit_test(datagrams_are_capsules_in_messages),
        cmocka_unit_test(a_ping_is_answered_between_the_frames_of_a_message),
        cmocka_unit_test(a_close_is_the_end_and_is_answered),
        cmocka_unit_test(who_ends_with_the_peer_repeats_its_code),
        cmocka_unit_test(our_end_is_a_close_and_waits_for_theirs),
        cmocka_unit_test(a_broken_rule_is_told_and_ends_the_tunnel),
        cmocka_unit_test(an_end_without_a_close_is_an_abort),
        cmocka_unit_test(a_handler_may_reset_inside_an_event),
        cmocka_unit_test(what_is_held_is_given_back_with_the_heads),
        cmocka_unit_test(a_client_asks_as_the_rfc_says),
        cmocka_unit_test(what_a_client_sends_is_masked_with_a_key_for_each_frame),
        cmocka_unit_test(a_client_takes_plain_frames_and_refuses_masked_ones),
        cmocka_unit_test(an_answer_that_grants_something_else_ends_it),
        cmocka_unit_test(a_refusal_is_told_with_its_body),
        cmocka_unit_test(what_both_have_closed_ended_well_however_the_connection_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
