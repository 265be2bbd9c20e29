#include <string.h>

#include "core/conf_internal.h"

const struct gh_conf_part *gh_conf_part_of(const struct gh_conf *conf, const struct gh_conf_section *section)
{
    for (size_t i = 0; i < conf->part_count; i++)
        if (conf->parts[i].section == section)
            return &conf->parts[i];
    return NULL;
}

/* The value when it has one of the two types, else NULL. */
static const struct gh_conf_value *value_of(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row,
                                            enum gh_conf_type type, enum gh_conf_type other)
{
    const struct gh_conf_part *part = gh_conf_part_of(conf, section);

    if (!part || row >= part->rows || (section->rows[row].type != type && section->rows[row].type != other))
        return NULL;
    return &part->values[row];
}

bool gh_conf_has(const struct gh_conf *conf, const struct gh_conf_section *section)
{
    const struct gh_conf_part *part = gh_conf_part_of(conf, section);

    return part && part->present;
}

bool gh_conf_is_set(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row)
{
    const struct gh_conf_part *part = gh_conf_part_of(conf, section);

    return part && row < part->rows && part->values[row].origin != GH_CONF_UNSET;
}

bool gh_conf_bool(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row)
{
    const struct gh_conf_value *v = value_of(conf, section, row, GH_CONF_BOOL, GH_CONF_BOOL);

    return v && v->number;
}

uint64_t gh_conf_uint(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row)
{
    const struct gh_conf_value *v = value_of(conf, section, row, GH_CONF_UINT, GH_CONF_SIZE);

    if (!v)
        v = value_of(conf, section, row, GH_CONF_ENUM, GH_CONF_ENUM_SET);
    return v ? v->number : 0;
}

int64_t gh_conf_duration(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row)
{
    const struct gh_conf_value *v = value_of(conf, section, row, GH_CONF_DURATION, GH_CONF_DURATION);

    return v ? (int64_t)v->number : 0;
}

const char *gh_conf_string(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row)
{
    const struct gh_conf_value *v = value_of(conf, section, row, GH_CONF_STRING, GH_CONF_PATH);

    return v && v->string ? v->string : "";
}

struct gh_conf_addr gh_conf_addr(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row)
{
    const struct gh_conf_value *v = value_of(conf, section, row, GH_CONF_ADDR, GH_CONF_ADDR);

    return v && v->count ? *(const struct gh_conf_addr *)v->items : (struct gh_conf_addr){ 0 };
}

struct gh_prefix gh_conf_prefix(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row)
{
    const struct gh_conf_value *v = value_of(conf, section, row, GH_CONF_PREFIX, GH_CONF_PREFIX);

    return v && v->count ? *(const struct gh_prefix *)v->items : (struct gh_prefix){ 0 };
}

const struct gh_secret *gh_conf_secret(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row)
{
    const struct gh_conf_value *v = value_of(conf, section, row, GH_CONF_SECRET, GH_CONF_SECRET);

    return v && v->secret.data ? &v->secret : NULL;
}

static const void *list_of(const struct gh_conf_value *v, size_t *ret_count)
{
    *ret_count = v ? v->count : 0;
    return v ? v->items : NULL;
}

const struct gh_conf_addr *gh_conf_addrs(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row,
                                         size_t *ret_count)
{
    return list_of(value_of(conf, section, row, GH_CONF_ADDR_LIST, GH_CONF_ADDR), ret_count);
}

const struct gh_prefix *gh_conf_prefixes(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row,
                                         size_t *ret_count)
{
    return list_of(value_of(conf, section, row, GH_CONF_PREFIX_LIST, GH_CONF_PREFIX), ret_count);
}

const char *const *gh_conf_strings(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row,
                                   size_t *ret_count)
{
    return list_of(value_of(conf, section, row, GH_CONF_STRING_LIST, GH_CONF_STRING_LIST), ret_count);
}

const struct gh_conf *gh_conf_entry(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row, size_t index, const char **ret_name)
{
    const struct gh_conf_value *v = value_of(conf, section, row, GH_CONF_TABLE, GH_CONF_TABLE);
    const struct gh_conf_entry *e = v ? v->items : NULL;

    if (!v || index >= v->count)
        return NULL;
    *ret_name = e[index].name;
    return e[index].conf;
}

static bool addrs_equal(const struct gh_conf_addr *a, const struct gh_conf_addr *b)
{
    return a->port == b->port && gh_ip_equals(&a->ip, &b->ip);
}

static bool values_equal(const struct gh_conf_row *row, const struct gh_conf_value *a, const struct gh_conf_value *b)
{
    if ((a->origin == GH_CONF_UNSET) != (b->origin == GH_CONF_UNSET) || a->number != b->number || a->count != b->count)
        return false;
    switch (row->type) {
    case GH_CONF_SECRET:
        return a->secret.len == b->secret.len && (!a->secret.len || memcmp(a->secret.data, b->secret.data, a->secret.len) == 0);
    case GH_CONF_STRING:
    case GH_CONF_PATH:
        return strcmp(a->string ? a->string : "", b->string ? b->string : "") == 0;
    case GH_CONF_STRING_LIST:
        for (size_t i = 0; i < a->count; i++)
            if (strcmp(((const char *const *)a->items)[i], ((const char *const *)b->items)[i]) != 0)
                return false;
        return true;
    case GH_CONF_ADDR:
    case GH_CONF_ADDR_LIST:
        for (size_t i = 0; i < a->count; i++)
            if (!addrs_equal(&((const struct gh_conf_addr *)a->items)[i], &((const struct gh_conf_addr *)b->items)[i]))
                return false;
        return true;
    case GH_CONF_TABLE:
        for (size_t i = 0; i < a->count; i++) {
            const struct gh_conf_entry *x = (const struct gh_conf_entry *)a->items + i, *y = (const struct gh_conf_entry *)b->items + i;

            if (strcmp(x->name, y->name) != 0 || gh_conf_diff(x->conf, y->conf, NULL, 0) > 0)
                return false;
        }
        return true;
    case GH_CONF_PREFIX:
    case GH_CONF_PREFIX_LIST: /* bytes alone, no padding */
        return a->count == 0 || memcmp(a->items, b->items, a->count * sizeof(struct gh_prefix)) == 0;
    default:
        return true;
    }
}

size_t gh_conf_diff(const struct gh_conf *before, const struct gh_conf *after, struct gh_conf_change *ret, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < after->part_count; i++) {
        const struct gh_conf_part *a = &after->parts[i], *b = gh_conf_part_of(before, a->section);
        bool was = b && b->present;

        if (was != a->present) {
            if (count++ < max)
                ret[count - 1] = (struct gh_conf_change){ a->section, -1, false };
            continue;
        }
        for (unsigned row = 0; was && row < a->rows; row++) {
            const struct gh_conf_row *r = &a->section->rows[row];

            if (!values_equal(r, &b->values[row], &a->values[row]) && count++ < max)
                ret[count - 1] = (struct gh_conf_change){ a->section, (int)row, r->reload };
        }
    }
    return count;
}
