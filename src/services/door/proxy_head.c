#include "services/door/proxy_head.h"

#include <stdlib.h>
#include <strings.h>

#include "base/error.h"

static bool is_any(struct gh_span name, const char *const *names)
{
    for (; *names; names++)
        if (gh_span_equals(name, gh_span_str(*names)))
            return true;
    return false;
}

static bool list_has(struct gh_span list, struct gh_span token)
{
    size_t at = 0;

    while (at < list.len) {
        size_t from, len = 0;

        while (at < list.len && (list.data[at] == ' ' || list.data[at] == '\t' || list.data[at] == ','))
            at++;
        for (from = at; at < list.len && list.data[at] != ','; at++)
            len = list.data[at] == ' ' || list.data[at] == '\t' ? len : at + 1 - from;
        if (len == token.len && len > 0 && strncasecmp((const char *)list.data + from, (const char *)token.data, len) == 0)
            return true;
    }
    return false;
}

/* Of the connection on which it came, by its name or because the field connection says so. */
static bool is_hop(const struct gh_http_head *head, struct gh_span name)
{
    static const char *const names[] = { "connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade", "http2-settings", NULL };

    if (is_any(name, names))
        return true;
    for (size_t i = 0; i < head->field_count; i++)
        if (gh_span_equals(head->fields[i].name, gh_span_str("connection")) && list_has(head->fields[i].value, name))
            return true;
    return false;
}

/* ---- requests ---- */

struct copy {
    struct door_proxy_head *to;
    struct gh_writer w;
    size_t count;
};

static struct gh_span keep(struct copy *c, struct gh_span s)
{
    const uint8_t *at = c->w.at;

    gh_write_span(&c->w, s);
    return gh_span_of(at, s.len);
}

static void add(struct copy *c, const char *name, struct gh_span value)
{
    if (c->count == DOOR_PROXY_FIELDS) {
        c->w.failed = true;
        return;
    }
    c->to->fields[c->count].name = gh_span_str(name);
    c->to->fields[c->count++].value = keep(c, value);
}

/* HTTP/2 and HTTP/3 may cut a cookie into crumbs (RFC 9113, section 8.2.3); lists may come as several fields anyway. */
static void add_joined(struct copy *c, const struct gh_http_head *in, const char *name, const char *between, struct gh_span last)
{
    const uint8_t *at = c->w.at;
    bool first = true;

    for (size_t i = 0; i <= in->field_count; i++) {
        struct gh_span value = i < in->field_count ? in->fields[i].value : last;

        if (i < in->field_count ? !gh_span_equals(in->fields[i].name, gh_span_str(name)) : last.len == 0)
            continue;
        if (!first)
            gh_write_span(&c->w, gh_span_str(between));
        gh_write_span(&c->w, value);
        first = false;
    }
    if (first || c->w.failed)
        return;
    add(c, name, gh_span_of(NULL, 0));
    if (!c->w.failed)
        c->to->fields[c->count - 1].value = gh_span_of(at, (size_t)(c->w.at - at));
}

static void add_client(struct copy *c, const struct gh_http_head *in, const struct door_proxy_head_rules *rules)
{
    char text[GH_IP_TEXT] = "";

    gh_ip_emit(&rules->client, text);
    add_joined(c, in, "x-forwarded-for", ", ", gh_span_str(text));
    add(c, "x-forwarded-proto", in->scheme);
    add(c, "x-forwarded-host", in->authority);
}

/* Those that are told here in another way, or not at all. */
static bool is_replaced(struct gh_span name, const struct door_proxy_head_rules *rules, bool tunnel)
{
    static const char *const always[] = { "host", "cookie", "expect", NULL };
    static const char *const told[] = { "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", NULL };
    static const char *const of_tunnels[] = { "content-length", NULL };

    return is_any(name, always) || (rules->forwarded && is_any(name, told)) || (tunnel && is_any(name, of_tunnels));
}

static void copy_fields(struct copy *c, const struct gh_http_head *in, const struct door_proxy_head_rules *rules, bool tunnel)
{
    for (size_t i = 0; i < in->field_count; i++) {
        const struct gh_http_field *f = &in->fields[i];

        if (is_hop(in, f->name) || is_replaced(f->name, rules, tunnel))
            continue;
        if (c->count == DOOR_PROXY_FIELDS) {
            c->w.failed = true;
            return;
        }
        c->to->fields[c->count].name = keep(c, f->name);
        c->to->fields[c->count++].value = keep(c, f->value);
        c->to->has_length |= gh_span_equals(f->name, gh_span_str("content-length"));
    }
    add_joined(c, in, "cookie", "; ", gh_span_of(NULL, 0));
    if (rules->forwarded)
        add_client(c, in, rules);
}

static bool is_asked_of_origins(const struct gh_http_head *in)
{
    if (in->path.len == 0)
        return false;
    return in->path.data[0] == '/' || (gh_span_equals(in->path, gh_span_str("*")) && gh_span_equals(in->method, gh_span_str("OPTIONS")));
}

int door_proxy_head_ask(const struct gh_http_head *in, const struct door_proxy_head_rules *rules, bool tunnel, const char *key,
                        struct door_proxy_head **ret)
{
    struct gh_span host = rules->keep_host && in->authority.len ? in->authority : gh_span_str(rules->authority);
    struct copy c = { .count = 0 };
    size_t cap = 1024 + in->method.len + in->path.len + host.len + 2 * in->authority.len;

    if (!is_asked_of_origins(in))
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < in->field_count; i++)
        cap += in->fields[i].name.len + in->fields[i].value.len + 2;
    c.to = calloc(1, sizeof *c.to + cap);
    if (!c.to)
        return GH_ERR_MEMORY;
    c.w = gh_writer_of(c.to->text, cap);
    c.to->head.method = tunnel ? gh_span_str("CONNECT") : keep(&c, in->method);
    c.to->head.protocol = gh_span_str(tunnel ? "websocket" : "");
    c.to->head.scheme = gh_span_str(rules->scheme);
    c.to->head.authority = keep(&c, host);
    c.to->head.path = keep(&c, in->path);
    copy_fields(&c, in, rules, tunnel);
    c.to->made_key = true;
    for (size_t i = 0; i < c.count; i++)
        c.to->made_key &= !gh_span_equals(c.to->fields[i].name, gh_span_str("sec-websocket-key"));
    if (tunnel && c.to->made_key)
        add(&c, "sec-websocket-key", gh_span_str(key));
    if (c.w.failed) {
        free(c.to);
        return GH_ERR_TOO_LONG;
    }
    c.to->head.fields = c.to->fields;
    c.to->head.field_count = c.count;
    *ret = c.to;
    return 0;
}

/* ---- answers ---- */

/* "http://origin/path" is the origin's name for what the client knows as "/path". */
static struct gh_span relocate(struct gh_span value, const struct door_proxy_head_rules *rules)
{
    size_t scheme = strlen(rules->scheme), authority = strlen(rules->authority), len = scheme + 3 + authority;

    if (value.len <= len || memcmp(value.data, rules->scheme, scheme) != 0 || memcmp(value.data + scheme, "://", 3) != 0)
        return value;
    if (strncasecmp((const char *)value.data + scheme + 3, rules->authority, authority) != 0 || value.data[len] != '/')
        return value;
    return gh_span_of(value.data + len, value.len - len);
}

size_t door_proxy_head_answer(const struct gh_http_head *in, const struct door_proxy_head_rules *rules, bool tunnel, bool made_key,
                              const char *date, struct gh_http_field ret[GH_HTTP_FIELDS_MAX + 1])
{
    static const char *const of_key[] = { "sec-websocket-accept", NULL };
    static const char *const of_bodies[] = { "content-length", NULL };
    size_t count = 0;
    bool dated = false;

    for (size_t i = 0; i < in->field_count && count < GH_HTTP_FIELDS_MAX; i++) {
        struct gh_http_field f = in->fields[i];

        if (is_hop(in, f.name) || (tunnel && made_key && is_any(f.name, of_key)) || ((tunnel || in->status == 204) && is_any(f.name, of_bodies)))
            continue;
        if (gh_span_equals(f.name, gh_span_str("location")))
            f.value = relocate(f.value, rules);
        dated |= gh_span_equals(f.name, gh_span_str("date"));
        ret[count++] = f;
    }
    if (!dated)
        ret[count++] = (struct gh_http_field){ gh_span_str("date"), gh_span_str(date) };
    return count;
}
