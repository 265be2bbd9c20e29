/* Texts become values; what is wrong with them is said with what would be right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/conf_internal.h"
#include "core/nearest.h"

#define LONGEST_SHOWN 64 /* bytes of a wrong value that a message repeats */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    { "ns", 1 },          { "us", 1000 },
    { "ms", 1000000 },    { "s", 1000000000 },
    { "m", UINT64_C(60000000000) }, { "h", UINT64_C(3600000000000) },
    { "d", UINT64_C(86400000000000) }, { NULL, 0 },
};

static const struct unit size_units[] = {
    { "B", 1 }, { "KiB", 1u << 10 }, { "MiB", 1u << 20 }, { "GiB", 1u << 30 }, { NULL, 0 },
};

/* Digits at <*at>. 0, GH_ERR_MALFORMED, GH_ERR_RANGE. */
static int parse_digits(const char **at, const char *end, uint64_t *ret)
{
    const char *p = *at;
    uint64_t v = 0;

    while (p < end && *p >= '0' && *p <= '9') {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return GH_ERR_RANGE;
        p++;
    }
    if (p == *at)
        return GH_ERR_MALFORMED;
    *at = p;
    *ret = v;
    return 0;
}

static uint64_t unit_factor(const struct unit *units, const char *name, size_t len)
{
    for (; units->name; units++)
        if (strlen(units->name) == len && memcmp(units->name, name, len) == 0)
            return units->factor;
    return 0;
}

static int parse_uint(const char *text, size_t len, uint64_t *ret)
{
    const char *at = text, *end = text + len;
    uint64_t v;
    int rc = parse_digits(&at, end, &v);

    if (rc < 0)
        return rc;
    /* 010 is ten to some and eight to others */
    if (at != end || (len > 1 && text[0] == '0'))
        return GH_ERR_MALFORMED;
    *ret = v;
    return 0;
}

int gh_conf_duration_parse(const char *text, size_t len, int64_t *ret_ns)
{
    const char *at = text, *end = text + len;
    uint64_t sum = 0, last = UINT64_MAX;

    if (len == 1 && *text == '0') {
        *ret_ns = 0;
        return 0;
    }
    if (len == 0)
        return GH_ERR_MALFORMED;
    while (at < end) {
        uint64_t v, factor;
        const char *unit;
        int rc = parse_digits(&at, end, &v);

        if (rc < 0)
            return rc;
        for (unit = at; at < end && (*at < '0' || *at > '9');)
            at++;
        factor = unit_factor(duration_units, unit, (size_t)(at - unit));
        if (factor == 0 || factor >= last) /* 30m1h is a slip of the hand */
            return GH_ERR_MALFORMED;
        last = factor;
        if (__builtin_mul_overflow(v, factor, &v) || __builtin_add_overflow(sum, v, &sum) || sum > INT64_MAX)
            return GH_ERR_RANGE;
    }
    *ret_ns = (int64_t)sum;
    return 0;
}

int gh_conf_size_parse(const char *text, size_t len, uint64_t *ret_bytes)
{
    const char *at = text, *end = text + len;
    uint64_t v, factor = 1;
    int rc = parse_digits(&at, end, &v);

    if (rc < 0)
        return rc;
    if (at < end)
        factor = unit_factor(size_units, at, (size_t)(end - at));
    if (factor == 0)
        return GH_ERR_MALFORMED;
    if (__builtin_mul_overflow(v, factor, ret_bytes))
        return GH_ERR_RANGE;
    return 0;
}

int gh_conf_addr_parse(const char *text, size_t len, struct gh_conf_addr *ret)
{
    const char *colon = NULL, *host = text;
    struct gh_conf_addr a = { 0 };
    uint64_t port;
    size_t host_len;

    for (size_t i = len; i-- > 0 && !colon;)
        if (text[i] == ':')
            colon = text + i;
    if (!colon || parse_uint(colon + 1, len - (size_t)(colon + 1 - text), &port) < 0 || port > 65535)
        return GH_ERR_MALFORMED;
    host_len = (size_t)(colon - text);
    if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
        if (gh_ip_parse(host + 1, host_len - 2, &a.ip) < 0 || a.ip.family != 6)
            return GH_ERR_MALFORMED;
    } else if (host_len && (gh_ip_parse(host, host_len, &a.ip) < 0 || a.ip.family != 4)) {
        return GH_ERR_MALFORMED;
    }
    a.port = (uint16_t)port;
    *ret = a;
    return 0;
}

void gh_conf_addr_emit(const struct gh_conf_addr *a, struct gh_text *out)
{
    char ip[GH_IP_TEXT];

    if (a->ip.family == 6)
        gh_text_printf(out, "[%s]", gh_ip_emit(&a->ip, ip));
    else if (a->ip.family == 4)
        gh_text_append(out, gh_ip_emit(&a->ip, ip));
    gh_text_printf(out, ":%u", a->port);
}

bool gh_conf_type_is_list(enum gh_conf_type type)
{
    return type == GH_CONF_ENUM_SET || type == GH_CONF_ADDR_LIST || type == GH_CONF_PREFIX_LIST ||
           type == GH_CONF_STRING_LIST;
}

size_t gh_conf_values_next(const char **at, const char **ret_word)
{
    size_t len = *at ? strcspn(*at, "|") : 0;

    *ret_word = *at;
    if (len)
        *at += len + ((*at)[len] == '|');
    return len;
}

/* The numeric types share their bounds. */
static int parse_number(enum gh_conf_type type, const char *text, size_t len, uint64_t *ret)
{
    int64_t ns;
    int rc;

    switch (type) {
    case GH_CONF_SIZE:
        return gh_conf_size_parse(text, len, ret);
    case GH_CONF_DURATION:
        rc = gh_conf_duration_parse(text, len, &ns);
        if (rc == 0)
            *ret = (uint64_t)ns;
        return rc;
    default:
        return parse_uint(text, len, ret);
    }
}

struct maker {
    struct gh_conf *conf;
    const struct gh_conf_row *row;
    const char *name;
    const struct gh_conf_source *src;
    struct gh_conf_errors *errors;
};

/* "what" is a sentence without its subject: "must be …". */
static int complain(const struct maker *m, const struct gh_conf_item *item, const char *what)
{
    unsigned line = item ? item->line : m->src->line, col = item ? item->col : m->src->col;
    const char *env = m->src->origin == GH_CONF_FROM_ENV ? m->src->env : NULL;

    if (item && m->row->type != GH_CONF_SECRET)
        gh_conf_errors_add(m->errors, line, col, "%s%s%s is \"%.*s%s\"; it %s", m->name, env ? ", from the environment's " : "",
                           env ? env : "", item->len > LONGEST_SHOWN ? LONGEST_SHOWN : (int)item->len, item->text,
                           item->len > LONGEST_SHOWN ? "…" : "", what);
    else
        gh_conf_errors_add(m->errors, line, col, "%s%s%s %s", m->name, env ? ", from the environment's " : "", env ? env : "",
                           what);
    return GH_ERR_MALFORMED;
}

static int make_bool(const struct maker *m, const struct gh_conf_item *item, struct gh_conf_value *v)
{
    if (item->plain && strcmp(item->text, "true") == 0)
        v->number = 1;
    else if (item->plain && strcmp(item->text, "false") == 0)
        v->number = 0;
    else
        return complain(m, item, "must be true or false");
    return 0;
}

static const char *number_form(const struct gh_conf_row *row)
{
    switch (row->type) {
    case GH_CONF_SIZE:
        return "must be a size such as 64KiB or 2MiB";
    case GH_CONF_DURATION:
        return "must be a time such as 50ms, 30s or 2h";
    default:
        return "must be a whole number";
    }
}

static int make_number(const struct maker *m, const struct gh_conf_item *item, struct gh_conf_value *v)
{
    const struct gh_conf_row *row = m->row;
    uint64_t n = 0, min = 0, max = UINT64_MAX;
    char what[160];
    bool text = row->type == GH_CONF_UINT && !item->plain;
    int rc = text ? GH_ERR_MALFORMED : parse_number(row->type, item->text, item->len, &n);

    if (row->min)
        (void)parse_number(row->type, row->min, strlen(row->min), &min);
    if (row->max)
        (void)parse_number(row->type, row->max, strlen(row->max), &max);
    if (rc == 0 && n >= min && n <= max) {
        v->number = n;
        return 0;
    }
    if (rc == GH_ERR_MALFORMED && !row->min && !row->max)
        return complain(m, item, number_form(row));
    if (row->min && row->max)
        snprintf(what, sizeof what, "%s%s between %s and %s", number_form(row), rc == GH_ERR_MALFORMED ? "," : "", row->min,
                 row->max);
    else
        snprintf(what, sizeof what, "%s, %s %s", number_form(row), row->min ? "at least" : "at most",
                 row->min ? row->min : row->max ? row->max : "18446744073709551615");
    return complain(m, item, what);
}

static int find_word(const struct maker *m, const struct gh_conf_item *item, unsigned *ret)
{
    const char *at = m->row->values, *word;
    char what[256];
    struct gh_text t;
    unsigned index = 0;

    gh_text_init_fixed(&t, what, sizeof what);
    gh_text_append(&t, gh_conf_type_is_list(m->row->type) ? "may hold" : "must be one of");
    for (size_t len; (len = gh_conf_values_next(&at, &word)) > 0; index++) {
        if (len == item->len && memcmp(word, item->text, len) == 0) {
            *ret = index;
            return 0;
        }
        gh_text_printf(&t, "%s %.*s", index ? "," : "", (int)len, word);
    }
    return complain(m, item, what);
}

static int make_enum(const struct maker *m, const struct gh_conf_item *item, struct gh_conf_value *v)
{
    unsigned index;
    int rc = find_word(m, item, &index);

    if (rc == 0)
        v->number = index;
    return rc;
}

static int make_enum_set(const struct maker *m, struct gh_conf_value *v)
{
    int result = 0;

    for (size_t i = 0; i < m->src->count; i++) {
        unsigned index;

        if (find_word(m, &m->src->items[i], &index) < 0)
            result = GH_ERR_MALFORMED;
        else if (v->number & UINT64_C(1) << index)
            result = complain(m, &m->src->items[i], "is named twice");
        else
            v->number |= UINT64_C(1) << index;
    }
    return result;
}

/* The bounds of strings and lists count bytes and items. */
static int check_count(const struct maker *m, const struct gh_conf_item *item, size_t count, const char *noun, size_t max_default)
{
    uint64_t min = m->row->min ? strtoull(m->row->min, NULL, 10) : 0;
    uint64_t max = m->row->max ? strtoull(m->row->max, NULL, 10) : max_default;
    char what[120];

    if (count >= min && count <= max)
        return 0;
    snprintf(what, sizeof what, "must have %llu to %llu %s", (unsigned long long)min, (unsigned long long)max, noun);
    return complain(m, item, what);
}

static int make_path(const struct maker *m, const struct gh_conf_item *item, struct gh_conf_value *v)
{
    const char *slash = m->conf->file ? strrchr(m->conf->file, '/') : NULL;
    size_t head = slash ? (size_t)(slash - m->conf->file) + 1 : 0;
    char *path;

    v->string = item->text;
    if (m->src->origin != GH_CONF_FROM_FILE || head == 0 || item->len == 0 || item->text[0] == '/' ||
        strncmp(item->text, "${", 2) == 0 || strcmp(item->text, "-") == 0)
        return 0;
    path = gh_arena_alloc(&m->conf->arena, head + item->len + 1);
    if (!path)
        return GH_ERR_MEMORY;
    memcpy(path, m->conf->file, head);
    memcpy(path + head, item->text, item->len);
    v->string = path;
    return 0;
}

static int make_string(const struct maker *m, const struct gh_conf_item *item, struct gh_conf_value *v)
{
    int rc = 0;

    /* a path has its length when it is expanded */
    if (m->row->type == GH_CONF_STRING || item->len == 0)
        rc = check_count(m, item, item->len, "bytes", GH_CONF_STRING_MAX);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < item->len; i++)
        if ((unsigned char)item->text[i] < 0x20 || item->text[i] == 0x7f)
            return complain(m, NULL, "must not hold control characters");
    if (m->row->type == GH_CONF_PATH)
        return make_path(m, item, v);
    v->string = item->text;
    return 0;
}

static int parse_prefix(const struct maker *m, const struct gh_conf_item *item, struct gh_prefix *ret)
{
    int rc = gh_prefix_parse(item->text, item->len, ret);

    if (rc == GH_ERR_RANGE)
        return complain(m, item, "has bits set below its prefix length; write the first address of the network");
    if (rc < 0)
        return complain(m, item, "must be a network such as 10.100.0.0/24 or fd00:100::/64");
    return 0;
}

static int parse_addr(const struct maker *m, const struct gh_conf_item *item, struct gh_conf_addr *ret)
{
    if (gh_conf_addr_parse(item->text, item->len, ret) < 0)
        return complain(m, item, "must be an address and a port such as 192.0.2.1:4433, [2001:db8::1]:4433 or :4433");
    return 0;
}

/* ADDR, PREFIX and the lists: an array of elements. */
static int make_items(const struct maker *m, struct gh_conf_value *v)
{
    enum gh_conf_type type = m->row->type;
    bool addr = type == GH_CONF_ADDR || type == GH_CONF_ADDR_LIST, prefix = type == GH_CONF_PREFIX || type == GH_CONF_PREFIX_LIST;
    size_t size = addr ? sizeof(struct gh_conf_addr) : prefix ? sizeof(struct gh_prefix) : sizeof(char *);
    char *items = gh_arena_alloc(&m->conf->arena, size * (m->src->count + 1));
    int result = 0;

    if (!items)
        return GH_ERR_MEMORY;
    for (size_t i = 0; i < m->src->count; i++) {
        const struct gh_conf_item *item = &m->src->items[i];
        int rc = 0;

        if (addr)
            rc = parse_addr(m, item, (struct gh_conf_addr *)(void *)(items + i * size));
        else if (prefix)
            rc = parse_prefix(m, item, (struct gh_prefix *)(void *)(items + i * size));
        else
            memcpy(items + i * size, &item->text, size);
        if (rc < 0)
            result = rc;
    }
    v->items = items;
    v->count = m->src->count;
    return result;
}

int gh_conf_value_make(struct gh_conf *conf, const struct gh_conf_row *row, const char *name,
                       const struct gh_conf_source *src, struct gh_conf_errors *errors, struct gh_conf_value *ret)
{
    const struct maker m = { conf, row, name, src, errors };
    struct gh_conf_value v = { .origin = src->origin, .line = src->line, .col = src->col, .env = src->env };
    int rc = 0;

    if (gh_conf_type_is_list(row->type))
        rc = check_count(&m, NULL, src->count, "items", GH_CONF_LIST_MAX);
    if (rc < 0)
        return rc;
    switch (row->type) {
    case GH_CONF_BOOL:
        rc = make_bool(&m, src->items, &v);
        break;
    case GH_CONF_UINT:
    case GH_CONF_SIZE:
    case GH_CONF_DURATION:
        rc = make_number(&m, src->items, &v);
        break;
    case GH_CONF_STRING:
    case GH_CONF_PATH:
        rc = make_string(&m, src->items, &v);
        break;
    case GH_CONF_ENUM:
        rc = make_enum(&m, src->items, &v);
        break;
    case GH_CONF_ENUM_SET:
        rc = make_enum_set(&m, &v);
        break;
    case GH_CONF_SECRET:
        rc = gh_secret_init(&v.secret, src->items->text, src->items->len);
        if (rc == GH_ERR_TOO_LONG)
            rc = complain(&m, NULL, "must have at most 4096 bytes");
        break;
    default:
        rc = make_items(&m, &v);
    }
    if (rc == 0)
        *ret = v;
    return rc;
}
