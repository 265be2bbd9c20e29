#include "core/policy_field.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "policy/names.h"
#include "policy/timestamp.h"

#define WORD_MAX 32u  /* longer words are not compared */
#define FIELDS_MAX 24u

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits from one word to the other; two neighbours in the wrong order are one edit. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1], la = strlen(a), lb = strlen(b);

    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[la % 3][lb];
}

const char *gh_field_nearest(const char *const *names, const char *text)
{
    size_t len = strlen(text), best = len < 5 ? 2 : 3; /* fewer edits than this count as near */
    const char *found = NULL;

    for (; *names; names++) {
        size_t d = distance(*names, text);

        if (d < best && d < strlen(*names)) {
            best = d;
            found = *names;
        }
    }
    return found;
}

static const char *kind_name(const struct gh_yaml_node *n)
{
    if (gh_yaml_is_null(n))
        return "empty";
    return n->kind == GH_YAML_MAP ? "a map" : n->kind == GH_YAML_LIST ? "a list" : "a single value";
}

static const char *key_text(const struct gh_field_reader *r)
{
    return r->key ? r->key->text : "the file";
}

bool gh_field_is(struct gh_field_reader *r, const struct gh_yaml_node *n, enum gh_yaml_kind kind)
{
    static const char *const wanted[] = { "a single value", "a list", "a map" };

    if (n->kind == kind && !gh_yaml_is_null(n))
        return true;
    gh_policy_findings_error(r->findings, n->pos, "'%.80s' must be %s, not %s", key_text(r), wanted[kind], kind_name(n));
    return false;
}

static void join(char *buf, size_t size, const char *const *names)
{
    size_t at = 0;

    buf[0] = 0;
    for (size_t i = 0; names[i] && at < size; i++) {
        int n = snprintf(buf + at, size - at, "%s%s", i ? (names[i + 1] ? ", " : " or ") : "", names[i]);

        at += n > 0 ? (size_t)n : 0;
    }
}

static void unknown_key(struct gh_field_reader *r, const struct gh_yaml_node *key, const char *what, const struct gh_field *fields)
{
    const char *names[FIELDS_MAX + 1] = { NULL }, *near;
    char all[512];

    for (size_t i = 0; fields[i].key && i < FIELDS_MAX; i++)
        names[i] = fields[i].key;
    near = gh_field_nearest(names, key->text);
    join(all, sizeof all, names);
    if (near)
        gh_policy_findings_error(r->findings, key->pos, "unknown key '%.80s' in %s: did you mean '%s'?", key->text, what, near);
    else
        gh_policy_findings_error(r->findings, key->pos, "unknown key '%.80s' in %s: it knows %s", key->text, what, all);
}

static bool known(const struct gh_field *fields, const char *key)
{
    for (; fields->key; fields++)
        if (strcmp(fields->key, key) == 0)
            return true;
    return false;
}

bool gh_field_read_map(struct gh_field_reader *r, const struct gh_yaml_node *node, const char *what, const struct gh_field *fields,
                       void *object)
{
    const struct gh_yaml_node *outer = r->key;
    size_t errors = r->findings->errors;

    if (node->kind != GH_YAML_MAP) {
        gh_policy_findings_error(r->findings, node->pos, "%s must be a map of 'key: value', not %s", what, kind_name(node));
        return false;
    }
    for (const struct gh_yaml_node *k = node->first; k; k = k->next->next)
        if (k->kind == GH_YAML_SCALAR && !known(fields, k->text))
            unknown_key(r, k, what, fields);
    for (; fields->key; fields++) {
        const struct gh_yaml_node *k = node->first;

        while (k && (k->kind != GH_YAML_SCALAR || strcmp(k->text, fields->key) != 0))
            k = k->next->next;
        if (k) {
            r->key = k;
            fields->read(r, k->next, object);
            r->key = outer;
        } else if (fields->required) {
            gh_policy_findings_error(r->findings, node->pos, "%s needs '%s'", what, fields->key);
        }
    }
    return r->findings->errors == errors;
}

bool gh_field_text(struct gh_field_reader *r, const struct gh_yaml_node *n, struct gh_policy_row_text *ret)
{
    if (!gh_field_is(r, n, GH_YAML_SCALAR))
        return false;
    *ret = (struct gh_policy_row_text){ n->text, n->pos };
    return true;
}

bool gh_field_choice(struct gh_field_reader *r, const struct gh_yaml_node *n, const char *const *names, int *ret)
{
    const char *near;
    char all[512];

    if (!gh_field_is(r, n, GH_YAML_SCALAR))
        return false;
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], n->text) == 0) {
            *ret = i;
            return true;
        }
    near = gh_field_nearest(names, n->text);
    join(all, sizeof all, names);
    if (near)
        gh_policy_findings_error(r->findings, n->pos, "'%.80s' is no value for '%s': did you mean '%s'?", n->text, key_text(r), near);
    else
        gh_policy_findings_error(r->findings, n->pos, "'%.80s' is no value for '%s': use %s", n->text, key_text(r), all);
    return false;
}

bool gh_field_number(struct gh_field_reader *r, const struct gh_yaml_node *n, uint32_t min, uint32_t max, uint32_t *ret)
{
    uint32_t v;

    if (!gh_field_is(r, n, GH_YAML_SCALAR))
        return false;
    if (gh_policy_number_parse(n->text, n->len, max, &v) < 0 || v < min) {
        gh_policy_findings_error(r->findings, n->pos, "'%s' must be a number from %u to %u, not '%.80s'", key_text(r), min, max, n->text);
        return false;
    }
    *ret = v;
    return true;
}

bool gh_field_time(struct gh_field_reader *r, const struct gh_yaml_node *n, int64_t *ret)
{
    if (!gh_field_is(r, n, GH_YAML_SCALAR))
        return false;
    if (gh_timestamp_parse(n->text, n->len, ret) < 0) {
        gh_policy_findings_error(r->findings, n->pos, "'%.80s' is no time: write 2030-01-31, 2030-01-31T18:00:00Z or "
                                 "2030-01-31T18:00:00+02:00", n->text);
        return false;
    }
    return true;
}

bool gh_field_ip(struct gh_field_reader *r, const struct gh_yaml_node *n, struct gh_ip *ret)
{
    if (!gh_field_is(r, n, GH_YAML_SCALAR))
        return false;
    if (gh_ip_parse(n->text, n->len, ret) < 0) {
        gh_policy_findings_error(r->findings, n->pos, "'%.80s' is no address: write 10.1.2.3 or fd00::1", n->text);
        return false;
    }
    return true;
}

/* "10.0.0.1/24": suggests 10.0.0.0/24. */
static void host_bits(struct gh_field_reader *r, const struct gh_yaml_node *n)
{
    const char *slash = strchr(n->text, '/');
    struct gh_prefix p = { 0 };
    struct gh_ip last;
    uint32_t len = 0;
    char text[GH_PREFIX_TEXT];

    if (slash && gh_ip_parse(n->text, (size_t)(slash - n->text), &p.addr) == 0)
        gh_policy_number_parse(slash + 1, strlen(slash + 1), gh_ip_bits(&p.addr), &len);
    p.len = (uint8_t)len;
    gh_prefix_bounds(&p, &p.addr, &last);
    gh_policy_findings_error(r->findings, n->pos, "'%.80s' has bits set behind its prefix length: write %s, or the address alone",
                             n->text, gh_prefix_emit(&p, text));
}

bool gh_field_prefix(struct gh_field_reader *r, const struct gh_yaml_node *n, struct gh_prefix *ret)
{
    int rc;

    if (!gh_field_is(r, n, GH_YAML_SCALAR))
        return false;
    rc = gh_prefix_parse(n->text, n->len, ret);
    if (rc == GH_ERR_RANGE)
        host_bits(r, n);
    else if (rc < 0)
        gh_policy_findings_error(r->findings, n->pos, "'%.80s' is no prefix: write 10.0.0.0/8, fd00::/8, or an address", n->text);
    return rc == 0;
}

bool gh_field_protocol(struct gh_field_reader *r, const struct gh_yaml_node *n, uint8_t *ret)
{
    const char *near;
    char all[256];

    if (!gh_field_is(r, n, GH_YAML_SCALAR))
        return false;
    if (gh_policy_protocol_parse(n->text, n->len, ret) == 0)
        return true;
    near = gh_field_nearest(gh_policy_protocol_names, n->text);
    join(all, sizeof all, gh_policy_protocol_names);
    if (near)
        gh_policy_findings_error(r->findings, n->pos, "'%.80s' is no protocol: did you mean '%s'?", n->text, near);
    else
        gh_policy_findings_error(r->findings, n->pos, "'%.80s' is no protocol: use %s, or a number up to 255", n->text, all);
    return false;
}

bool gh_field_pairs(struct gh_field_reader *r, const struct gh_yaml_node *n, const struct gh_policy_row_pair **ret, size_t *ret_count)
{
    const struct gh_yaml_node *outer = r->key;
    struct gh_policy_row_pair *pairs;
    size_t count = 0, errors = r->findings->errors;

    if (!gh_field_is(r, n, GH_YAML_MAP))
        return false;
    if (n->count > GH_POLICY_METADATA_MAX) {
        gh_policy_findings_error(r->findings, n->pos, "'%s' has %zu entries, at most %u are allowed", key_text(r), n->count,
                                 GH_POLICY_METADATA_MAX);
        return false;
    }
    pairs = gh_field_array(r, n->count, sizeof *pairs);
    if (!pairs)
        return false;
    for (const struct gh_yaml_node *k = n->first; k; k = k->next->next) {
        if (k->kind != GH_YAML_SCALAR)
            continue; /* reported with the tree */
        r->key = k;
        if (k->next->kind == GH_YAML_SCALAR)
            pairs[count++] = (struct gh_policy_row_pair){ k->text, k->next->text, k->pos };
        else
            gh_field_is(r, k->next, GH_YAML_SCALAR);
        r->key = outer;
    }
    if (r->findings->errors != errors)
        return false;
    *ret = pairs;
    *ret_count = count;
    return true;
}

const struct gh_yaml_node *gh_field_items(const struct gh_yaml_node *n, size_t *ret_count)
{
    *ret_count = n->kind == GH_YAML_LIST ? n->count : 1;
    return n->kind == GH_YAML_LIST ? n->first : n;
}

void *gh_field_array(struct gh_field_reader *r, size_t count, size_t size)
{
    void *a = gh_arena_array(r->arena, count, size);

    if (!a)
        r->findings->memory = true;
    return a;
}
