#include "wire/proxy_status.h"

#include <string.h>

/* One member or parameter: up to ';' or ',' outside of quotes. */
static struct gh_span next_part(struct gh_span *in)
{
    struct gh_span part = gh_span_of(in->data, 0);
    bool quoted = false;

    while (part.len < in->len) {
        uint8_t c = in->data[part.len];

        if (quoted && c == '\\' && part.len + 1 < in->len)
            part.len++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == ';' || c == ','))
            break;
        part.len++;
    }
    *in = part.len < in->len ? gh_span_of(in->data + part.len + 1, in->len - part.len - 1) : gh_span_of(NULL, 0);
    while (part.len && (*part.data == ' ' || *part.data == '\t'))
        part = gh_span_of(part.data + 1, part.len - 1);
    while (part.len && (part.data[part.len - 1] == ' ' || part.data[part.len - 1] == '\t'))
        part.len--;
    return part;
}

/* RFC 8941, section 3.3.3: within quotes a backslash stands before a quote or a backslash. */
static bool take_value(struct gh_span text, char ret[GH_PROXY_STATUS_VALUE])
{
    bool quoted = text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"';
    char value[GH_PROXY_STATUS_VALUE];
    size_t n = 0;

    if (quoted)
        text = gh_span_of(text.data + 1, text.len - 2);
    for (size_t i = 0; i < text.len; i++) {
        if (quoted && text.data[i] == '\\' && i + 1 < text.len)
            i++;
        if (text.data[i] < 0x20 || text.data[i] > 0x7e || n + 1 == sizeof value)
            return false;
        value[n++] = (char)text.data[i];
    }
    value[n] = 0;
    if (n)
        memcpy(ret, value, n + 1);
    return n > 0;
}

bool gh_proxy_status_find(struct gh_span field, const char *name, char ret[GH_PROXY_STATUS_VALUE])
{
    size_t len = strlen(name);

    while (field.len) {
        struct gh_span part = next_part(&field);

        if (part.len > len + 1 && memcmp(part.data, name, len) == 0 && part.data[len] == '=')
            return take_value(gh_span_of(part.data + len + 1, part.len - len - 1), ret);
    }
    return false;
}
