#include "wire/uri_template.h"

#include <stdio.h>

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* RFC 3986, section 2.3 */
static bool is_unreserved(uint8_t c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static struct gh_span cut(struct gh_span s, size_t from, size_t to)
{
    return gh_span_of(s.data + from, to - from);
}

static int add_part(struct gh_uri_template *t, enum gh_uri_variable v, struct gh_span literal)
{
    if (v == GH_URI_LITERAL && literal.len == 0)
        return 0;
    if (t->part_count == GH_URI_TEMPLATE_PARTS)
        return GH_ERR_MALFORMED;
    for (size_t i = 0; v != GH_URI_LITERAL && i < t->part_count; i++)
        if (t->parts[i].variable == v)
            return GH_ERR_MALFORMED; /* two values for one name could not be told apart */
    t->parts[t->part_count].variable = v;
    t->parts[t->part_count++].literal = literal;
    return 0;
}

/* One name of an expression whose operator is <op> ('\0' for simple expansion). */
static int add_variable(struct gh_uri_template *t, char op, bool first, struct gh_span name)
{
    bool target = gh_span_equals(name, gh_span_str("target"));
    struct gh_span before;
    int rc;

    if (!target && !gh_span_equals(name, gh_span_str("ipproto")))
        return GH_ERR_MALFORMED; /* another variable, an explode or a prefix modifier */
    if (op == 0)
        before = gh_span_str(first ? "" : ",");
    else if (op == '?' && first)
        before = gh_span_str(target ? "?target=" : "?ipproto=");
    else
        before = gh_span_str(target ? "&target=" : "&ipproto=");
    rc = add_part(t, GH_URI_LITERAL, before);
    return rc < 0 ? rc : add_part(t, target ? GH_URI_TARGET : GH_URI_IPPROTO, gh_span_of(NULL, 0));
}

static int add_expression(struct gh_uri_template *t, struct gh_span body)
{
    char op = 0;
    size_t from = 0;
    bool first = true;

    if (body.len > 0 && (body.data[0] == '?' || body.data[0] == '&')) {
        op = (char)body.data[0];
        from = 1;
    }
    for (size_t i = from; i <= body.len; i++) {
        if (i < body.len && body.data[i] != ',')
            continue;
        if (add_variable(t, op, first, cut(body, from, i)) < 0)
            return GH_ERR_MALFORMED;
        first = false;
        from = i + 1;
    }
    return 0;
}

int gh_uri_template_parse_path(struct gh_span text, struct gh_uri_template *ret)
{
    struct gh_uri_template t = { .path = text };
    size_t from = 0;
    const uint8_t *d = text.data;

    if (text.len > GH_URI_TEMPLATE_MAX)
        return GH_ERR_TOO_LONG;
    if (text.len == 0 || d[0] != '/')
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t *close;

        if (d[i] < 0x21 || d[i] > 0x7e || d[i] == '#' || d[i] == '}')
            return GH_ERR_MALFORMED;
        if (d[i] != '{')
            continue;
        close = memchr(d + i, '}', text.len - i);
        if (!close || add_part(&t, GH_URI_LITERAL, cut(text, from, i)) < 0)
            return GH_ERR_MALFORMED;
        from = (size_t)(close - d) + 1;
        if (add_expression(&t, cut(text, i + 1, from - 1)) < 0)
            return GH_ERR_MALFORMED;
        i = from - 1;
    }
    if (add_part(&t, GH_URI_LITERAL, cut(text, from, text.len)) < 0)
        return GH_ERR_MALFORMED;
    *ret = t;
    return 0;
}

int gh_uri_template_parse(struct gh_span text, struct gh_uri_template *ret)
{
    struct gh_uri_template t;
    size_t scheme = 0, slash;
    int rc;

    if (text.len > GH_URI_TEMPLATE_MAX)
        return GH_ERR_TOO_LONG;
    while (scheme < text.len && (is_alpha(text.data[scheme]) || (scheme > 0 && (is_digit(text.data[scheme]) ||
                                 text.data[scheme] == '+' || text.data[scheme] == '-' || text.data[scheme] == '.'))))
        scheme++;
    if (scheme == 0 || text.len - scheme < 4 || memcmp(text.data + scheme, "://", 3) != 0)
        return GH_ERR_MALFORMED; /* RFC 9484, section 3: absolute, with scheme, authority and path */
    for (slash = scheme + 3; slash < text.len && text.data[slash] != '/'; slash++) {
        uint8_t c = text.data[slash];

        if (c < 0x21 || c > 0x7e || c == '{' || c == '}' || c == '?' || c == '#' || c == '@')
            return GH_ERR_MALFORMED;
    }
    if (slash == scheme + 3)
        return GH_ERR_MALFORMED;
    rc = gh_uri_template_parse_path(cut(text, slash, text.len), &t);
    if (rc < 0)
        return rc;
    t.scheme = cut(text, 0, scheme);
    t.authority = cut(text, scheme + 3, slash);
    *ret = t;
    return 0;
}

static void write_encoded(struct gh_writer *w, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *value; value++) {
        uint8_t c = (uint8_t)*value;

        if (is_unreserved(c)) {
            gh_write_u8(w, c);
        } else {
            gh_write_u8(w, '%');
            gh_write_u8(w, (uint8_t)hex[c >> 4]);
            gh_write_u8(w, (uint8_t)hex[c & 15]);
        }
    }
}

void gh_uri_template_expand(const struct gh_uri_template *t, const struct gh_ip_scope *scope, struct gh_writer *w)
{
    char text[GH_PREFIX_TEXT], proto[16] = "*";
    const char *target = "*";

    if (scope->kind == GH_IP_SCOPE_PREFIX)
        target = gh_prefix_emit(&scope->prefix, text);
    else if (scope->kind == GH_IP_SCOPE_NAME)
        target = scope->name;
    if (scope->ipproto != GH_IPPROTO_ANY)
        snprintf(proto, sizeof proto, "%d", scope->ipproto);
    for (size_t i = 0; i < t->part_count; i++) {
        if (t->parts[i].variable == GH_URI_LITERAL)
            gh_write_span(w, t->parts[i].literal);
        else
            write_encoded(w, t->parts[i].variable == GH_URI_TARGET ? target : proto);
    }
}

/* Bytes that a value may consist of in the path: it ends at a separator. */
static size_t value_max(struct gh_span s)
{
    size_t n = 0;

    while (n < s.len && !memchr("/?&#,", s.data[n], 5))
        n++;
    return n;
}

/* Longest value first. Values cannot hold separators and there are at most two, so the work is bounded by their lengths. */
static bool match_from(const struct gh_uri_template *t, size_t part, struct gh_span s, struct gh_span values[3])
{
    enum gh_uri_variable v;
    struct gh_span literal;

    if (part == t->part_count)
        return s.len == 0;
    v = t->parts[part].variable;
    literal = t->parts[part].literal;
    if (v == GH_URI_LITERAL)
        return s.len >= literal.len && memcmp(s.data, literal.data, literal.len) == 0 &&
               match_from(t, part + 1, cut(s, literal.len, s.len), values);
    for (size_t n = value_max(s); n > 0; n--) {
        values[v] = cut(s, 0, n);
        if (match_from(t, part + 1, cut(s, n, s.len), values))
            return true;
    }
    return false;
}

int gh_uri_template_match(const struct gh_uri_template *t, struct gh_span path, struct gh_span *ret_target, struct gh_span *ret_ipproto)
{
    struct gh_span values[3] = { { 0 } };

    if (path.len > 2 * GH_URI_TEMPLATE_MAX || !match_from(t, 0, path, values))
        return GH_ERR_NOT_FOUND;
    *ret_target = values[GH_URI_TARGET];
    *ret_ipproto = values[GH_URI_IPPROTO];
    return 0;
}

static int hex_value(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Count of decoded bytes, or GH_ERR_MALFORMED. NUL never comes out. */
static int decode(struct gh_span raw, char *buf, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int c = raw.data[i];

        if (c == '%') {
            int high = raw.len - i > 2 ? hex_value(raw.data[i + 1]) : -1, low = high < 0 ? -1 : hex_value(raw.data[i + 2]);

            if (low < 0)
                return GH_ERR_MALFORMED;
            c = high << 4 | low;
            i += 2;
        }
        if (c < 0x21 || c > 0x7e || n + 1 >= cap)
            return GH_ERR_MALFORMED;
        buf[n++] = (char)c;
    }
    buf[n] = 0;
    return (int)n;
}

static bool is_host_name(const char *name, size_t len)
{
    size_t label = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)name[i];

        if (c == '.' && label == 0)
            return false;
        if (c != '.' && !is_alpha(c) && !is_digit(c) && c != '-' && c != '_')
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return len > 0;
}

/* Digits and dots alone look like an address: a name resolver must not get to read them as one in its own way. */
static bool looks_numeric(const char *text)
{
    return text[strspn(text, "0123456789.")] == 0;
}

static int parse_target(const char *text, size_t len, struct gh_ip_scope *s)
{
    int rc;

    if (len == 1 && text[0] == '*') {
        s->kind = GH_IP_SCOPE_ANY;
        return 0;
    }
    rc = gh_prefix_parse(text, len, &s->prefix); /* host bits below the prefix are an error there too */
    if (rc == 0) {
        s->kind = GH_IP_SCOPE_PREFIX;
        return 0;
    }
    if (rc == GH_ERR_RANGE || looks_numeric(text) || !is_host_name(text, len))
        return GH_ERR_MALFORMED;
    s->kind = GH_IP_SCOPE_NAME;
    memcpy(s->name, text, len + 1);
    return 0;
}

static int parse_ipproto(const char *text, size_t len, int *ret)
{
    int v = 0;

    if (len == 1 && text[0] == '*') {
        *ret = GH_IPPROTO_ANY;
        return 0;
    }
    if (len == 0 || len > 3)
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit((uint8_t)text[i]))
            return GH_ERR_MALFORMED;
        v = v * 10 + (text[i] - '0');
    }
    if (v > 255)
        return GH_ERR_MALFORMED;
    *ret = v;
    return 0;
}

int gh_ip_scope_parse(struct gh_span target, struct gh_span ipproto, struct gh_ip_scope *ret)
{
    struct gh_ip_scope s = { .kind = GH_IP_SCOPE_ANY, .ipproto = GH_IPPROTO_ANY };
    char text[sizeof s.name];
    int n;

    if (target.len > 0) {
        n = decode(target, text, sizeof text);
        if (n < 0 || parse_target(text, (size_t)n, &s) < 0)
            return GH_ERR_MALFORMED;
    }
    if (ipproto.len > 0) {
        n = decode(ipproto, text, sizeof text);
        if (n < 0 || parse_ipproto(text, (size_t)n, &s.ipproto) < 0)
            return GH_ERR_MALFORMED;
    }
    *ret = s;
    return 0;
}

int gh_uri_template_parse_request(const struct gh_uri_template *t, struct gh_span path, struct gh_ip_scope *ret)
{
    struct gh_span target, ipproto;
    int rc = gh_uri_template_match(t, path, &target, &ipproto);

    return rc < 0 ? rc : gh_ip_scope_parse(target, ipproto, ret);
}
