#include "wire/http_head.h"

static bool is_tchar(uint8_t b)
{
    if ((b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z'))
        return true;
    return b != 0 && strchr("!#$%&'*+-.^_`|~", b) != NULL;
}

bool gh_http_is_token(struct gh_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_tchar(s.data[i]))
            return false;
    return s.len > 0;
}

static bool is_blank(uint8_t b)
{
    return b == ' ' || b == '\t';
}

bool gh_http_field_is_good(struct gh_span name, struct gh_span value)
{
    if (name.len > 0 && name.data[0] == ':')
        return true;
    if (!gh_http_is_token(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return false;
    for (size_t i = 0; i < value.len; i++)
        if (!gh_http_is_value_byte(value.data[i]))
            return false;
    return value.len == 0 || (!is_blank(value.data[0]) && !is_blank(value.data[value.len - 1]));
}

static struct gh_span keep(struct gh_http_head_store *b, struct gh_span s)
{
    uint8_t *at = b->text + b->used;

    if (s.len > sizeof b->text - b->used) {
        b->overflow = true;
        return gh_span_of(NULL, 0);
    }
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    b->used += s.len;
    return gh_span_of(at, s.len);
}

static unsigned parse_status(struct gh_span s)
{
    unsigned status = 0;

    for (size_t i = 0; i < s.len && i < 3; i++)
        status = status * 10 + (unsigned)(s.data[i] - '0');
    return status;
}

static void add_pseudo(struct gh_http_head_store *b, struct gh_span name, struct gh_span value)
{
    const struct {
        const char *name;
        struct gh_span *at;
    } rows[] = {
        { ":method", &b->head.method },   { ":scheme", &b->head.scheme }, { ":authority", &b->head.authority },
        { ":path", &b->head.path }, { ":protocol", &b->head.protocol },
    };

    if (gh_span_equals(name, gh_span_str(":status")))
        b->head.status = parse_status(value);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (gh_span_equals(name, gh_span_str(rows[i].name)))
            *rows[i].at = keep(b, value);
}

void gh_http_head_add(struct gh_http_head_store *b, struct gh_span name, struct gh_span value)
{
    struct gh_http_field *f = &b->fields[b->head.field_count];

    if (name.len > 0 && name.data[0] == ':') {
        add_pseudo(b, name, value);
        return;
    }
    if (b->head.field_count == GH_HTTP_FIELDS_MAX) {
        b->overflow = true;
        return;
    }
    *f = (struct gh_http_field){ keep(b, name), keep(b, value) };
    b->head.fields = b->fields;
    b->head.field_count++;
}
