#include "net/http1_ask.h"

#include "base/error.h"

int gh_http1_ask_respond(struct gh_http_stream *s, unsigned status, const struct gh_http_field *fields, size_t count, bool end)
{
    (void)s;
    (void)status;
    (void)fields;
    (void)count;
    (void)end;
    return GH_ERR_STATE;
}

void gh_http1_ask_emit_upgrade(struct gh_writer *w, const char *token)
{
    if (!token[0])
        return;
    gh_h1_emit_field(w, gh_span_str("connection"), gh_span_str("upgrade"));
    gh_h1_emit_field(w, gh_span_str("upgrade"), gh_span_str(token));
}

void gh_http1_ask_emit_fields(struct gh_writer *w, const struct gh_http_head *head)
{
    for (size_t i = 0; i < head->field_count; i++)
        gh_h1_emit_field(w, head->fields[i].name, head->fields[i].value);
    gh_h1_emit_end(w);
}

int gh_http1_ask_feed(struct gh_h1_reader *r, enum gh_h1_kind kind, const char *token, struct gh_span *in, struct gh_h1_head *ret)
{
    int rc = gh_h1_head_feed(r, in, ret);

    if (rc != 1)
        return rc;
    if (ret->status == 101 && !(token[0] && gh_h1_list_has(ret->upgrade, token)))
        return GH_ERR_MALFORMED;
    if (ret->status >= 200 || ret->status == 101)
        return 1;
    gh_h1_reader_reset(r, kind);
    return 0;
}

struct gh_http_head gh_http1_ask_head(const struct gh_h1_head *h1, struct gh_http_field fields[GH_H1_FIELDS_MAX])
{
    for (size_t i = 0; i < h1->field_count; i++)
        fields[i] = (struct gh_http_field){ h1->fields[i].name, h1->fields[i].value };
    return (struct gh_http_head){ .status = h1->status, .fields = fields, .field_count = h1->field_count };
}

void gh_http1_ask_settle(struct gh_http1_ask_out *o, uint8_t *memory)
{
    if (o->at > 0)
        memmove(memory, memory + o->at, o->len);
    o->at = 0;
}

int gh_http1_ask_flush(struct gh_http1_ask_out *o, struct gh_byte_stream *io, const uint8_t *memory)
{
    int writes = 0;

    while (o->len > 0) {
        ssize_t n = gh_byte_stream_write(io, gh_span_of(memory + o->at, o->len));

        if (n < 0)
            return (int)n;
        if (n == 0)
            return writes;
        o->at += (size_t)n;
        o->len -= (size_t)n;
        writes++;
    }
    o->at = 0;
    return writes;
}
