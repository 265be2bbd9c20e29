/* HTTP/2 of either role, fed with the peer's bytes.
 *
 * The first byte: bit 0 the role (1: server), bit 1 the greeting (preface and SETTINGS come by themselves), bit 2 the mode, the rest the
 * length of pieces. Mode 0: nothing is answered, and an engine that gets the bytes whole must tell its application the same as one that
 * gets them in pieces, byte by byte where the length is 0. Mode 1: the application answers, sends back, holds and resets as the bytes of
 * bodies say, and all that the engine writes must be frames that its SETTINGS and the peer's limits allow.
 */
#include "proto/h2/h2.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

#define STREAMS 256u
#define FRAME_MAX 16384u

#define REQUIRE(right)                                                  \
    do {                                                                \
        if (!(right)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #right); \
            abort();                                                    \
        }                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What the application was told; <text> sums up heads and bodies, wherever the pieces of a body were cut. */
struct told {
    uint64_t text;
    unsigned requests, answers, ends, closed, goaways, settings;
};

struct app {
    struct gh_h2 *h;
    struct told told;
    unsigned open;      /* streams told of and not closed */
    bool answers;       /* mode 1 */
    uint64_t untaken;   /* body bytes that are held */
    uint8_t head[9];    /* of the frame under way in what was written */
    size_t head_len, left;
};

/* Of one stream, behind its user pointer: 1 it is open, 2 its body has ended. */
static uint8_t *mark_of(struct gh_h2_stream *s)
{
    uint8_t *m = gh_h2_stream_user(s);

    REQUIRE(m && *m);
    return m;
}

static void mark(struct app *a, struct gh_h2_stream *s)
{
    uint8_t *m = malloc(1);

    REQUIRE(m);
    *m = 1;
    gh_h2_stream_set_user(s, m);
    a->open++;
    REQUIRE(a->open <= STREAMS);
}

static void sum(struct app *a, struct gh_span s)
{
    for (size_t i = 0; i < s.len; i++)
        a->told.text = (a->told.text ^ s.data[i]) * UINT64_C(1099511628211);
}

static void sum_head(struct app *a, const struct gh_http_head *head)
{
    struct gh_span all[] = { head->method, head->scheme, head->authority, head->path, head->protocol };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sum(a, all[i]);
    REQUIRE(head->field_count <= GH_HTTP_FIELDS_MAX);
    for (size_t i = 0; i < head->field_count; i++) {
        REQUIRE(gh_http_field_is_good(head->fields[i].name, head->fields[i].value));
        sum(a, head->fields[i].name);
        sum(a, head->fields[i].value);
    }
}

static void on_settings(void *arg)
{
    ((struct app *)arg)->told.settings++;
}

static void on_request(void *arg, struct gh_h2_stream *s, const struct gh_http_head *head)
{
    struct app *a = arg;

    a->told.requests++;
    mark(a, s);
    sum_head(a, head);
    REQUIRE(head->method.len > 0 && head->status == 0);
    if (a->answers && head->path.len != 2) /* "/x" is never answered */
        REQUIRE(gh_h2_respond(s, 200, NULL, 0, false) == 0);
    if (a->answers && head->path.len == 3) /* "/xy" is held */
        gh_h2_hold(s);
}

static void on_answer(void *arg, struct gh_h2_stream *s, const struct gh_http_head *head)
{
    struct app *a = arg;

    REQUIRE(*mark_of(s) == 1);
    REQUIRE(head->status >= 200 && head->status <= 999);
    a->told.answers++;
    sum_head(a, head);
}

static void on_body(void *arg, struct gh_h2_stream *s, struct gh_span data, bool end)
{
    struct app *a = arg;

    REQUIRE(*mark_of(s) == 1);
    REQUIRE(!end || data.len == 0);
    *mark_of(s) = end ? 2 : 1;
    a->told.ends += end;
    sum(a, data);
    if (!a->answers)
        return;
    if (data.len > 0 && data.data[0] == 'R')
        gh_h2_reset(s, GH_H2_CANCEL);
    else
        (void)gh_h2_send(s, data, end);
}

static void on_writable(void *arg, struct gh_h2_stream *s)
{
    (void)arg;
    mark_of(s);
}

static void on_closed(void *arg, struct gh_h2_stream *s, uint32_t code)
{
    struct app *a = arg;

    (void)code;
    free(mark_of(s));
    gh_h2_stream_set_user(s, NULL);
    REQUIRE(a->open > 0);
    a->open--;
    a->told.closed++;
}

static void on_goaway(void *arg)
{
    ((struct app *)arg)->told.goaways++;
}

static const struct gh_h2_events events = { on_settings, on_request, on_answer, on_body, on_writable, on_closed, on_goaway };

static void ask(struct app *a)
{
    struct gh_http_head head = { .method = gh_span_str("POST"), .scheme = gh_span_str("https"), .authority = gh_span_str("a"), .path = gh_span_str("/") };
    struct gh_h2_stream *s;

    for (int i = 0; i < 3; i++)
        if (gh_h2_request(a->h, &head, i == 0, &s) == 0)
            mark(a, s);
}

/* What an engine writes is frames of no more than what anybody must take. */
static void check_written(struct app *a, struct gh_span out, bool server)
{
    while (out.len > 0) {
        size_t want = a->left ? a->left : sizeof a->head - a->head_len, n = out.len < want ? out.len : want;

        if (a->left) {
            a->left -= n;
        } else {
            memcpy(a->head + a->head_len, out.data, n);
            a->head_len += n;
        }
        out = gh_span_of(out.data + n, out.len - n);
        if (a->head_len == sizeof a->head) {
            a->head_len = 0;
            a->left = (size_t)a->head[0] << 16 | (size_t)a->head[1] << 8 | a->head[2];
            REQUIRE(a->left <= FRAME_MAX);
            REQUIRE(a->head[3] <= 9 && a->head[3] != 2 && a->head[3] != 5);
            REQUIRE(server || a->head[3] != 5);
        }
    }
}

static void drain(struct app *a, bool server, size_t *skip)
{
    uint8_t buf[5000];
    ssize_t n = 1;

    for (int i = 0; i < 1000 && n > 0; i++) {
        struct gh_span out;

        n = gh_h2_write(a->h, buf, sizeof buf, 0);
        REQUIRE(n >= 0);
        out = gh_span_of(buf, (size_t)n);
        if (*skip) { /* a client's preface */
            REQUIRE(out.len >= *skip);
            out = gh_span_of(out.data + *skip, out.len - *skip);
            *skip = 0;
        }
        check_written(a, out, server);
    }
}

static void greet(struct app *a, bool server)
{
    static const char greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    size_t at = server ? 0 : 24;

    REQUIRE(gh_h2_feed(a->h, gh_span_of(greeting + at, sizeof greeting - 1 - at), 0) == 0);
    REQUIRE(a->told.settings == 1);
    if (!server)
        ask(a);
}

/* 0, or what ended it. */
static int run(uint8_t flags, struct gh_span in, size_t piece, struct told *ret)
{
    struct app a = { .answers = flags & 4 };
    bool server = flags & 1;
    struct gh_h2_config cfg = { .server = server, .max_streams = 50, .window_stream = 65535, .window_connection = 65535, .events = &events, .arg = &a };
    size_t skip = server ? 0 : 24;
    int rc = 0;

    REQUIRE(gh_h2_create(&cfg, &a.h) == 0);
    if (flags & 2)
        greet(&a, server);
    if (a.answers && !server && (flags & 2))
        drain(&a, server, &skip); /* else an answer is one to a request that was not sent */
    while (rc == 0 && in.len > 0) {
        size_t n = in.len < piece ? in.len : piece;

        rc = gh_h2_feed(a.h, gh_span_of(in.data, n), 0);
        in = gh_span_of(in.data + n, in.len - n);
        if (a.answers)
            drain(&a, server, &skip);
    }
    REQUIRE(rc == 0 || gh_h2_feed(a.h, gh_span_str("x"), 0) == GH_ERR_CLOSED);
    REQUIRE(gh_h2_counters(a.h)->library_assert == 0);
    drain(&a, server, &skip);
    *ret = a.told;
    REQUIRE(gh_h2_streams(a.h) >= a.open);
    gh_h2_close_streams(a.h, GH_H2_CANCEL);
    REQUIRE(a.open == 0 && gh_h2_streams(a.h) == 0);
    gh_h2_destroy(a.h);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct told whole, pieces;
    struct gh_span in;
    size_t piece;
    int rc;

    if (len == 0)
        return 0;
    in = gh_span_of(data + 1, len - 1);
    piece = 1 + (data[0] >> 3) * 3;
    rc = run(data[0], in, piece, &pieces);
    if (data[0] & 4)
        return 0;
    /* an error in the last frame may be found later when more of it is there: then nothing is compared but that it was found */
    if (run(data[0], in, in.len + 1, &whole) == 0 && rc == 0)
        REQUIRE(memcmp(&whole, &pieces, sizeof whole) == 0);
    return 0;
}
