#include "proto/connect_ip/head.h"

int gh_connect_ip_check_field(struct gh_span name)
{
    static const char *const refused[] = { "content-length", "content-type", "transfer-encoding" };

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (gh_span_equals(name, gh_span_str(refused[i])))
            return GH_ERR_MALFORMED;
    return 0;
}

static bool is_key_start(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || c == '*';
}

static bool is_key(uint8_t c)
{
    return is_key_start(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/* Passes a parameter's value: a quoted string as such, anything else up to ";" or a space. */
static bool skip_value(struct gh_span *s)
{
    size_t i = 0;

    if (s->len > 0 && s->data[0] == '"') {
        for (i = 1; i < s->len && s->data[i] != '"'; i++)
            if (s->data[i] == '\\')
                i++;
        if (i >= s->len)
            return false;
        i++;
    } else {
        while (i < s->len && s->data[i] != ';' && s->data[i] != ' ' && s->data[i] != ',')
            i++;
        if (i == 0)
            return false;
    }
    *s = gh_span_of(s->data + i, s->len - i);
    return true;
}

/* Parameters of a Structured Fields item (RFC 8941, section 3.1.2) to the end of the value. */
static bool skip_parameters(struct gh_span s)
{
    while (s.len > 0 && s.data[0] == ';') {
        size_t i = 1;

        while (i < s.len && s.data[i] == ' ')
            i++;
        if (i == s.len || !is_key_start(s.data[i]))
            return false;
        while (i < s.len && is_key(s.data[i]))
            i++;
        s = gh_span_of(s.data + i, s.len - i);
        if (s.len > 0 && s.data[0] == '=') {
            s = gh_span_of(s.data + 1, s.len - 1);
            if (!skip_value(&s))
                return false;
        }
    }
    return s.len == 0;
}

bool gh_connect_ip_capsule_protocol(struct gh_span value)
{
    while (value.len > 0 && value.data[0] == ' ')
        value = gh_span_of(value.data + 1, value.len - 1);
    while (value.len > 0 && value.data[value.len - 1] == ' ')
        value.len--;
    if (value.len < 2 || value.data[0] != '?' || value.data[1] != '1')
        return false;
    return skip_parameters(gh_span_of(value.data + 2, value.len - 2));
}

bool gh_connect_ip_status_may_carry(unsigned status)
{
    return status == 101 || (status >= 200 && status < 300);
}

int gh_connect_ip_check_status(unsigned status, bool upgrade)
{
    if (status < 100 || status > 599)
        return GH_ERR_MALFORMED;
    if (status == 101)
        return upgrade ? 1 : GH_ERR_PROTOCOL;
    if (status < 200)
        return 0;
    if (status >= 300)
        return GH_ERR_DENIED;
    if (status == 204 || status == 205 || status == 206)
        return GH_ERR_MALFORMED; /* RFC 9297, section 3.2 */
    return upgrade ? GH_ERR_PROTOCOL : 1;
}
