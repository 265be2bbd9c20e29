#include "services/door/door_route.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct rule {
    struct door_pattern pattern;
    size_t index;
};

struct door_routes {
    size_t count;
    struct rule rules[]; /* by name, then the order in which they are asked */
};

static int parse_port(const char *text, size_t len, uint16_t *ret)
{
    unsigned port = 0;

    if (len == 0 || len > 5 || text[0] == '0')
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return GH_ERR_MALFORMED;
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    if (port > 65535)
        return GH_ERR_MALFORMED;
    *ret = (uint16_t)port;
    return 0;
}

int door_pattern_parse(const char *text, struct door_pattern *ret, const char **ret_why)
{
    const char *slash = strchr(text, '/'), *end = slash ? slash : text + strlen(text);
    const char *colon = memchr(text, ':', (size_t)(end - text));
    bool wildcard = strncmp(text, "*.", 2) == 0;
    const char *name = wildcard ? text + 2 : text;
    struct door_pattern p = { .port = 0 };
    char host[GH_TLS_NAME_MAX];

    *ret_why = "a name such as www.example.com or *.example.com, perhaps with :PORT or /ALPN behind it";
    if (gh_tls_host_name(gh_span_of(name, (size_t)((colon ? colon : end) - name)), host) < 0 || strlen(host) + 2 > sizeof p.name)
        return GH_ERR_MALFORMED;
    p.name[0] = '.';
    memcpy(p.name + wildcard, host, strlen(host) + 1);
    if (colon && parse_port(colon + 1, (size_t)(end - colon - 1), &p.port) < 0) {
        *ret_why = "a port from 1 to 65535 behind the colon";
        return GH_ERR_MALFORMED;
    }
    if (slash && (slash[1] == 0 || strlen(slash + 1) >= sizeof p.alpn)) {
        *ret_why = "a protocol of 1 to 255 bytes behind the slash, such as h2 or http/1.1";
        return GH_ERR_MALFORMED;
    }
    if (slash)
        memcpy(p.alpn, slash + 1, strlen(slash + 1) + 1);
    *ret = p;
    return 0;
}

/* Zero for two that nothing could tell apart. */
static int order(const struct door_pattern *a, const struct door_pattern *b)
{
    int by = strcmp(a->name, b->name);

    if (by == 0)
        by = (b->alpn[0] != 0) - (a->alpn[0] != 0);
    if (by == 0)
        by = (b->port != 0) - (a->port != 0);
    if (by == 0)
        by = strcmp(a->alpn, b->alpn);
    return by ? by : (int)a->port - (int)b->port;
}

static int by_order(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;
    int by = order(&x->pattern, &y->pattern);

    if (by)
        return by;
    return x->index < y->index ? -1 : x->index > y->index;
}

int door_routes_create(const struct door_pattern *patterns, size_t count, struct door_routes **ret, size_t *ret_index)
{
    struct door_routes *r = malloc(sizeof *r + count * sizeof r->rules[0]);

    if (!r)
        return GH_ERR_MEMORY;
    r->count = count;
    for (size_t i = 0; i < count; i++)
        r->rules[i] = (struct rule){ patterns[i], i };
    if (count)
        qsort(r->rules, count, sizeof r->rules[0], by_order);
    for (size_t i = 1; i < count; i++) {
        if (order(&r->rules[i - 1].pattern, &r->rules[i].pattern) == 0) {
            *ret_index = r->rules[i].index;
            free(r);
            return GH_ERR_EXISTS;
        }
    }
    *ret = r;
    return 0;
}

void door_routes_destroy(struct door_routes *r)
{
    free(r);
}

/* The first rule of <name>, or where it would stand. */
static size_t first_of(const struct door_routes *r, const char *name)
{
    size_t low = 0, high = r->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (strcmp(r->rules[mid].pattern.name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool offers(struct gh_span alpn, const char *name)
{
    struct gh_span one;
    size_t len = strlen(name);

    while (gh_tls_alpn_next(&alpn, &one))
        if (one.len == len && memcmp(one.data, name, len) == 0)
            return true;
    return false;
}

static int find_named(const struct door_routes *r, const char *name, uint16_t port, struct gh_span alpn)
{
    for (size_t i = first_of(r, name); i < r->count && strcmp(r->rules[i].pattern.name, name) == 0; i++) {
        const struct door_pattern *p = &r->rules[i].pattern;

        if ((p->port == 0 || p->port == port) && (p->alpn[0] == 0 || offers(alpn, p->alpn)))
            return (int)r->rules[i].index;
    }
    return -1;
}

int door_routes_find(const struct door_routes *r, const char *name, uint16_t port, struct gh_span alpn)
{
    int found = *name ? find_named(r, name, port, alpn) : -1;

    for (const char *dot = strchr(name, '.'); found < 0 && dot; dot = strchr(dot + 1, '.'))
        found = find_named(r, dot, port, alpn);
    return found;
}
