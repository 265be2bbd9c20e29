/* tests/unit/proto/h2/end.h - an application above the engine that writes down what it is told */
#ifndef GH_TEST_H2_END_H
#define GH_TEST_H2_END_H

#include <stdio.h>

#include "../../test.h"
#include "base/error.h"
#include "proto/h2/h2.h"

#define TEXT 8192

/* What an end was told, and its last stream. */
struct end {
    struct gh_h2 *h;
    struct gh_h2_stream *s;
    unsigned settings, requests, answers, ends, writables, closed, goaways, status;
    uint32_t code;
    char head[512], body[TEXT];
    size_t got;      /* body bytes */
    bool hold;       /* streams are held */
    bool echo;       /* server: answers at once with 200 and the body */
    bool keep_open;  /* server: answers 200 and does not end */
    bool say_early;  /* server: answers 200 and ends at once */
};

static void note_head(struct end *e, const struct gh_http_head *head)
{
    struct gh_span all[] = { head->method, head->scheme, head->authority, head->path, head->protocol };
    size_t at = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        at += (size_t)snprintf(e->head + at, sizeof e->head - at, "%.*s|", (int)all[i].len, (const char *)all[i].data);
    for (size_t i = 0; i < head->field_count && at < sizeof e->head; i++)
        at += (size_t)snprintf(e->head + at, sizeof e->head - at, "%.*s=%.*s;", (int)head->fields[i].name.len,
                               (const char *)head->fields[i].name.data, (int)head->fields[i].value.len, (const char *)head->fields[i].value.data);
}

static void on_settings(void *arg)
{
    ((struct end *)arg)->settings++;
}

static void on_request(void *arg, struct gh_h2_stream *s, const struct gh_http_head *head)
{
    struct end *e = arg;
    struct gh_http_field server = { gh_span_str("server"), gh_span_str("test") };

    e->requests++;
    e->s = s;
    e->got = 0;
    note_head(e, head);
    if (e->hold)
        gh_h2_hold(s);
    if (e->echo || e->keep_open || e->say_early)
        assert_int_equal(gh_h2_respond(s, 200, &server, 1, e->say_early), 0);
}

static void on_answer(void *arg, struct gh_h2_stream *s, const struct gh_http_head *head)
{
    struct end *e = arg;

    (void)s;
    e->answers++;
    e->status = head->status;
    note_head(e, head);
}

static void on_body(void *arg, struct gh_h2_stream *s, struct gh_span data, bool end)
{
    struct end *e = arg;

    if (e->got + data.len < sizeof e->body && data.len > 0)
        memcpy(e->body + e->got, data.data, data.len);
    e->got += data.len;
    e->ends += end;
    if (e->echo)
        assert_int_equal(gh_h2_send(s, data, end), 0);
}

static void on_writable(void *arg, struct gh_h2_stream *s)
{
    (void)s;
    ((struct end *)arg)->writables++;
}

static void on_closed(void *arg, struct gh_h2_stream *s, uint32_t code)
{
    struct end *e = arg;

    e->closed++;
    e->code = code;
    if (e->s == s)
        e->s = NULL;
}

static void on_goaway(void *arg)
{
    ((struct end *)arg)->goaways++;
}

static const struct gh_h2_events events = { on_settings, on_request, on_answer, on_body, on_writable, on_closed, on_goaway };

static void end_open(struct end *e, bool server, uint32_t window, uint32_t max_streams)
{
    struct gh_h2_config cfg = { .server = server, .window_stream = window, .max_streams = max_streams, .events = &events, .arg = e };

    assert_int_equal(gh_h2_create(&cfg, &e->h), 0);
}

static const struct gh_http_field capsules = { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } };

static struct gh_http_head head_of(const char *method, const char *protocol)
{
    return (struct gh_http_head){ .method = gh_span_str(method),
                                  .scheme = gh_span_str("https"),
                                  .authority = gh_span_str("a.example"),
                                  .path = gh_span_str("/p?q"),
                                  .protocol = gh_span_str(protocol),
                                  .fields = &capsules,
                                  .field_count = 1 };
}

#endif
