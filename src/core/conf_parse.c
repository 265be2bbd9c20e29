/* A file, the environment and the defaults become one configuration. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "core/conf_internal.h"
#include "core/conf_tree.h"
#include "core/nearest.h"

#define NAME_MAX_LEN 128u /* of "section.option" and of a variable's name */

struct parse {
    const struct gh_conf_input *in;
    struct gh_conf *conf;
    struct gh_conf_errors *errors;
};

static int make_value(struct parse *p, struct gh_conf_part *part, unsigned row, const struct gh_conf_source *src)
{
    char name[NAME_MAX_LEN];
    struct gh_conf_value *v = &part->values[row], made = { 0 };
    int rc;

    snprintf(name, sizeof name, "%s.%s", part->section->name, part->section->rows[row].name);
    rc = gh_conf_value_make(p->conf, &part->section->rows[row], name, src, p->errors, &made);
    if (rc < 0) {
        v->bad = true;
        return rc;
    }
    gh_secret_fini(&v->secret); /* the file's, when the environment has another */
    made.bad = v->bad;
    *v = made;
    return 0;
}

/* Wrong input is in the list of errors and parsing goes on; only memory ends it. */
static int go_on(int rc)
{
    return rc == GH_ERR_MEMORY ? rc : 0;
}

static int parse_table(struct parse *p, struct gh_conf_part *part, unsigned row, const struct gh_conf_node *map);

static int set_from_node(struct parse *p, struct gh_conf_part *part, unsigned row, const struct gh_conf_node *value)
{
    const struct gh_conf_row *r = &part->section->rows[row];
    bool list = gh_conf_type_is_list(r->type), is_list = value->kind == GH_CONF_NODE_LIST;
    const struct gh_conf_node *n = is_list ? value->first : value;
    size_t count = is_list ? value->count : 1, i = 0;
    struct gh_conf_item *items;

    if (r->type == GH_CONF_TABLE)
        return parse_table(p, part, row, value);
    if (value->kind == GH_CONF_NODE_MAP || (is_list && !list)) {
        gh_conf_errors_add(p->errors, value->line, value->col, "%s.%s must be %s, not a %s", part->section->name, r->name,
                           list ? "a list" : "one value", is_list ? "list" : "mapping");
        part->values[row].bad = true;
        return 0;
    }
    items = gh_arena_alloc(&p->conf->arena, (count + 1) * sizeof *items);
    if (!items)
        return GH_ERR_MEMORY;
    for (; n && i < count; n = n->next, i++) {
        if (n->kind != GH_CONF_NODE_SCALAR || gh_conf_node_is_null(n)) {
            gh_conf_errors_add(p->errors, n->line, n->col, "%s.%s %s", part->section->name, r->name,
                               n->kind == GH_CONF_NODE_SCALAR ? "has no value; give one, or leave the line out for the default"
                                                              : "holds a list or mapping inside its list; write plain values");
            part->values[row].bad = true;
            return 0;
        }
        items[i] = (struct gh_conf_item){ n->text, n->len, n->line, n->col, n->plain };
    }
    return go_on(make_value(p, part, row,
                                &(struct gh_conf_source){ items, count, GH_CONF_FROM_FILE, value->line, value->col, NULL }));
}

static int table_from_text(struct parse *p, struct gh_conf_part *part, unsigned row, char *text, const struct gh_conf_source *src);

/* "a, b c": as the environment and the defaults write a list. */
static int set_from_text(struct parse *p, struct gh_conf_part *part, unsigned row, struct gh_span text,
                         struct gh_conf_source src)
{
    const struct gh_conf_row *r = &part->section->rows[row];
    char *copy = gh_arena_copy(&p->conf->arena, text.data, text.len);
    struct gh_conf_item *items;
    char *save = NULL;

    if (!copy)
        return GH_ERR_MEMORY;
    if (r->type == GH_CONF_TABLE)
        return table_from_text(p, part, row, copy, &src);
    items = gh_arena_alloc(&p->conf->arena, (gh_conf_type_is_list(r->type) ? text.len / 2 + 2 : 1) * sizeof *items);
    if (!items)
        return GH_ERR_MEMORY;
    src.items = items;
    if (!gh_conf_type_is_list(r->type)) {
        items[0] = (struct gh_conf_item){ copy, text.len, src.line, src.col, true };
        src.count = 1;
    } else {
        for (char *word = strtok_r(copy, ", \t", &save); word; word = strtok_r(NULL, ", \t", &save))
            items[src.count++] = (struct gh_conf_item){ word, strlen(word), src.line, src.col, true };
    }
    return go_on(make_value(p, part, row, &src));
}

static const char *env_find(const char *const *env, const char *name)
{
    size_t len = strlen(name);

    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

static int read_secret_file(struct parse *p, const char *variable, const char *path, struct gh_text *text)
{
    const char *why = NULL;
    int rc = p->in->read_file ? p->in->read_file(p->in->arg, path, text, &why) : gh_conf_read_file(path, text);

    if (rc == GH_ERR_MEMORY)
        return rc;
    if (rc < 0) {
        gh_conf_errors_add(p->errors, 0, 0, "the environment's %s names %s, which cannot be read: %s", variable, path,
                           why ? why : rc == GH_ERR_SYSTEM ? strerror(errno) : gh_error_text(rc));
        return GH_ERR_MALFORMED;
    }
    /* editors end a file with a newline that is not part of the secret */
    if (text->len && text->data[text->len - 1] == '\n')
        text->data[--text->len] = 0;
    return 0;
}

static int set_from_env(struct parse *p, struct gh_conf_part *part, unsigned row)
{
    const struct gh_conf_row *r = &part->section->rows[row];
    char name[NAME_MAX_LEN];
    const char *value;
    struct gh_text secret;
    bool from_file = false;
    int rc, len = snprintf(name, sizeof name - 5, "GATEHOUSE_%s_%s", part->section->name, r->name);

    for (int i = 0; i < len; i++)
        name[i] = name[i] == '.' ? '_' : (char)toupper((unsigned char)name[i]);
    value = env_find(p->in->env, name);
    gh_text_init(&secret, GH_SECRET_MAX);
    rc = 0;
    if (!value && r->type == GH_CONF_SECRET) {
        strncat(name, "_FILE", sizeof name - strlen(name) - 1);
        value = env_find(p->in->env, name);
        from_file = value;
        if (from_file) {
            rc = read_secret_file(p, name, value, &secret);
        }
    }
    if (value && rc == 0) {
        const char *kept = gh_arena_copy(&p->conf->arena, name, strlen(name));
        struct gh_span text = from_file ? gh_span_of(secret.data, secret.len) : gh_span_str(value);

        part->present = true;
        rc = kept ? set_from_text(p, part, row, text, (struct gh_conf_source){ .origin = GH_CONF_FROM_ENV, .env = kept })
                  : GH_ERR_MEMORY;
    }
    part->values[row].bad |= rc < 0;
    if (secret.data)
        explicit_bzero(secret.data, secret.cap);
    gh_text_fini(&secret);
    return go_on(rc);
}

static int row_of(const struct gh_conf_part *part, const char *group, const char *name)
{
    size_t len = strlen(group);

    for (unsigned row = 0; row < part->rows; row++)
        if (strncmp(part->section->rows[row].name, group, len) == 0 && strcmp(part->section->rows[row].name + len, name) == 0)
            return (int)row;
    return -1;
}

/* Does an option's name begin with this and a dot? */
static bool is_group(const struct gh_conf_part *part, const char *group)
{
    size_t len = strlen(group);

    for (unsigned row = 0; row < part->rows; row++)
        if (strncmp(part->section->rows[row].name, group, len) == 0 && part->section->rows[row].name[len] == '.')
            return true;
    return false;
}

static void unknown_option(struct parse *p, const struct gh_conf_part *part, const char *group, const struct gh_conf_node *key)
{
    struct gh_nearest n = gh_nearest_of(key->text, key->len);
    size_t len = strlen(group);
    char groups[GH_CONF_ROWS_MAX][32];

    for (unsigned row = 0; row < part->rows; row++) {
        const char *name = part->section->rows[row].name;
        size_t word;

        if (strncmp(name, group, len) != 0)
            continue;
        word = strcspn(name + len, ".");
        snprintf(groups[row], sizeof groups[row], "%.*s", (int)word, name + len);
        gh_nearest_offer(&n, groups[row]);
    }
    if (n.best)
        gh_conf_errors_add(p->errors, key->line, key->col, "%s%s%.*s has no option \"%.64s\"; did you mean \"%s\"?",
                           part->section->name, len ? "." : "", len ? (int)len - 1 : 0, group, key->text, n.best);
    else
        gh_conf_errors_add(p->errors, key->line, key->col, "%s%s%.*s has no option \"%.64s\"; gatehouse config man lists what it has",
                           part->section->name, len ? "." : "", len ? (int)len - 1 : 0, group, key->text);
}

/* <group> is "" or "ech.". */
static int parse_options(struct parse *p, struct gh_conf_part *part, const char *group, const struct gh_conf_node *map)
{
    char name[NAME_MAX_LEN];
    const struct gh_conf_node *before;

    for (const struct gh_conf_node *key = map->first; key; key = key->next->next) {
        int row = row_of(part, group, key->text), rc = 0;

        snprintf(name, sizeof name - 1, "%s%.64s", group, key->text);
        if (row < 0 && !is_group(part, name)) {
            unknown_option(p, part, group, key);
            continue;
        }
        for (before = map->first; before != key && strcmp(before->text, key->text) != 0; before = before->next->next)
            ;
        if (before != key) {
            gh_conf_errors_add(p->errors, key->line, key->col, "%s.%s is given twice, first in line %u; keep one",
                               part->section->name, name, before->line);
            continue;
        }
        if (row >= 0) {
            rc = set_from_node(p, part, (unsigned)row, key->next);
        } else if (key->next->kind == GH_CONF_NODE_MAP) {
            strcat(name, ".");
            rc = parse_options(p, part, name, key->next);
        } else if (!gh_conf_node_is_null(key->next)) {
            gh_conf_errors_add(p->errors, key->next->line, key->next->col, "%s.%s must be a mapping of its options", part->section->name, name);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int parse_section(struct parse *p, struct gh_conf_part *part, const struct gh_conf_node *map)
{
    if (gh_conf_node_is_null(map))
        return 0;
    if (map->kind != GH_CONF_NODE_MAP) {
        gh_conf_errors_add(p->errors, map->line, map->col, "%s must be a mapping of its options, such as \"%s: …\"",
                           part->section->name, part->rows ? part->section->rows[0].name : "option");
        return 0;
    }
    return parse_options(p, part, "", map);
}

/* ---- tables ---- */

static struct gh_conf_part *entry_part(const struct gh_conf_value *v, size_t index)
{
    return ((const struct gh_conf_entry *)v->items)[index].conf->parts;
}

static unsigned count_rows(const struct gh_conf_section *section)
{
    unsigned rows = 0;

    while (rows < GH_CONF_ROWS_MAX && section->rows[rows].name)
        rows++;
    return rows;
}

/* An entry is a configuration with one part, in the memory of the whole. */
static struct gh_conf_part *add_entry(struct parse *p, struct gh_conf_part *part, unsigned row, const struct gh_conf_entry *entries, const char *name)
{
    const struct gh_conf_row *r = &part->section->rows[row];
    struct gh_conf_value *v = &part->values[row];
    struct gh_conf_entry *e = (struct gh_conf_entry *)(uintptr_t)&entries[v->count];
    struct gh_conf_part *made;

    e->conf = gh_arena_alloc(&p->conf->arena, sizeof *e->conf);
    made = gh_arena_alloc(&p->conf->arena, sizeof *made);
    if (!e->conf || !made)
        return NULL;
    made->section = r->entry;
    made->rows = count_rows(r->entry);
    made->present = true;
    made->values = gh_arena_alloc(&p->conf->arena, (made->rows + 1) * sizeof *made->values);
    if (!made->values)
        return NULL;
    e->name = name;
    e->conf->file = p->conf->file;
    e->conf->parts = made;
    e->conf->part_count = 1;
    v->items = entries;
    v->count++;
    return made;
}

static size_t table_max(const struct gh_conf_row *r)
{
    return r->max ? strtoul(r->max, NULL, 10) : GH_CONF_LIST_MAX;
}

static int parse_table(struct parse *p, struct gh_conf_part *part, unsigned row, const struct gh_conf_node *map)
{
    const struct gh_conf_row *r = &part->section->rows[row];
    struct gh_conf_value *v = &part->values[row];
    const struct gh_conf_node *before;
    struct gh_conf_entry *entries;

    v->origin = GH_CONF_FROM_FILE;
    v->line = map->line;
    v->col = map->col;
    if (gh_conf_node_is_null(map))
        return 0;
    if (map->kind != GH_CONF_NODE_MAP || map->count > table_max(r)) {
        gh_conf_errors_add(p->errors, map->line, map->col, "%s.%s must be a mapping of at most %zu names", part->section->name, r->name, table_max(r));
        v->bad = true;
        return 0;
    }
    entries = gh_arena_alloc(&p->conf->arena, (map->count + 1) * sizeof *entries);
    if (!entries)
        return GH_ERR_MEMORY;
    for (const struct gh_conf_node *key = map->first; key; key = key->next->next) {
        struct gh_conf_part *made;
        int rc;

        for (before = map->first; before != key && strcmp(before->text, key->text) != 0; before = before->next->next)
            ;
        if (before != key) {
            gh_conf_errors_add(p->errors, key->line, key->col, "\"%.100s\" is given twice, first in line %u; keep one", key->text, before->line);
            v->bad = true;
            continue;
        }
        made = add_entry(p, part, row, entries, key->text);
        if (!made)
            return GH_ERR_MEMORY;
        made->line = key->line;
        made->col = key->col;
        rc = key->next->kind == GH_CONF_NODE_MAP ? parse_options(p, made, "", key->next) : set_from_node(p, made, 0, key->next);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* "name=value, other=value" */
static int table_from_text(struct parse *p, struct gh_conf_part *part, unsigned row, char *text, const struct gh_conf_source *src)
{
    size_t max = strlen(text) / 2 + 1;
    struct gh_conf_entry *entries = gh_arena_alloc(&p->conf->arena, (max + 1) * sizeof *entries);
    struct gh_conf_value *v = &part->values[row];
    char *save = NULL;
    int rc = 0;

    if (!entries)
        return GH_ERR_MEMORY;
    *v = (struct gh_conf_value){ .origin = src->origin, .env = src->env, .bad = v->bad };
    for (char *word = strtok_r(text, ", \t", &save); word && rc == 0; word = strtok_r(NULL, ", \t", &save)) {
        char *equals = strchr(word, '=');
        struct gh_conf_part *made;

        if (!equals || equals == word) {
            gh_conf_errors_add(p->errors, 0, 0, "%s.%s%s%s must be such as name=value, other=value", part->section->name, part->section->rows[row].name,
                               src->env ? ", from the environment's " : "", src->env ? src->env : "");
            v->bad = true;
            return 0;
        }
        *equals = 0;
        made = add_entry(p, part, row, entries, word);
        rc = made ? set_from_text(p, made, 0, gh_span_str(equals + 1), (struct gh_conf_source){ .origin = src->origin, .env = src->env }) : GH_ERR_MEMORY;
    }
    return rc;
}

static void unknown_section(struct parse *p, const struct gh_conf_node *key)
{
    struct gh_nearest n = gh_nearest_of(key->text, key->len);
    char known[256];
    struct gh_text list;

    gh_text_init_fixed(&list, known, sizeof known);
    for (size_t i = 0; i < p->conf->part_count; i++) {
        gh_nearest_offer(&n, p->conf->parts[i].section->name);
        gh_text_printf(&list, "%s%s", i ? ", " : "", p->conf->parts[i].section->name);
    }
    if (n.best)
        gh_conf_errors_add(p->errors, key->line, key->col, "there is no section \"%.64s\"; did you mean \"%s\"?", key->text, n.best);
    else
        gh_conf_errors_add(p->errors, key->line, key->col, "there is no section \"%.64s\"; there are %s", key->text, known);
}

static struct gh_conf_part *part_named(struct parse *p, const char *name)
{
    for (size_t i = 0; i < p->conf->part_count; i++)
        if (strcmp(p->conf->parts[i].section->name, name) == 0)
            return &p->conf->parts[i];
    return NULL;
}

/* The small form: no section, and options of one that may do without its name. */
static struct gh_conf_part *part_of_top(struct parse *p, const struct gh_conf_node *root)
{
    for (const struct gh_conf_node *key = root->first; key; key = key->next->next)
        if (part_named(p, key->text))
            return NULL;
    for (size_t i = 0; i < p->conf->part_count; i++) {
        struct gh_conf_part *part = &p->conf->parts[i];

        for (const struct gh_conf_node *key = root->first; key && part->section->top; key = key->next->next)
            if (row_of(part, "", key->text) >= 0 || is_group(part, key->text))
                return part;
    }
    return NULL;
}

static int parse_root(struct parse *p, const struct gh_conf_node *root)
{
    struct gh_conf_part *top;

    if (gh_conf_node_is_null(root))
        return 0;
    if (root->kind != GH_CONF_NODE_MAP) {
        gh_conf_errors_add(p->errors, root->line, root->col, "a configuration must be a mapping of sections, such as \"node:\"");
        return 0;
    }
    top = part_of_top(p, root);
    if (top) {
        top->line = root->line;
        top->col = root->col;
        top->present = true;
        return parse_section(p, top, root);
    }
    for (const struct gh_conf_node *key = root->first; key; key = key->next->next) {
        struct gh_conf_part *part = part_named(p, key->text);
        int rc;

        if (!part) {
            unknown_section(p, key);
            continue;
        }
        if (part->line) {
            gh_conf_errors_add(p->errors, key->line, key->col, "section \"%s\" is given twice, first in line %u; join them",
                               key->text, part->line);
            continue;
        }
        part->line = key->line;
        part->col = key->col;
        part->present = true;
        rc = parse_section(p, part, key->next);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Options that neither file nor environment set, once it is known which sections are there. */
static int set_defaults(struct parse *p, struct gh_conf_part *part)
{
    for (unsigned row = 0; row < part->rows; row++) {
        const struct gh_conf_row *r = &part->section->rows[row];
        int rc = 0;

        for (size_t i = 0; r->type == GH_CONF_TABLE && i < part->values[row].count && rc == 0; i++)
            rc = set_defaults(p, entry_part(&part->values[row], i));
        if (rc < 0)
            return rc;
        if (part->values[row].origin != GH_CONF_UNSET)
            continue;
        if (r->dflt)
            rc = set_from_text(p, part, row, gh_span_str(r->dflt), (struct gh_conf_source){ .origin = GH_CONF_FROM_DEFAULT });
        else if (r->required && part->present && !part->values[row].bad)
            gh_conf_errors_add(p->errors, part->line, part->col, "%s.%s is missing: %s", part->section->name, r->name,
                               r->help ? r->help : "it has no default");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static const char *node_path(const struct gh_conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->part_count; i++) {
        const struct gh_conf_part *part = &conf->parts[i];

        for (unsigned row = 0; strcmp(part->section->name, "node") == 0 && row < part->rows; row++)
            if (strcmp(part->section->rows[row].name, name) == 0)
                return part->values[row].string;
    }
    return NULL;
}

static int check_path(struct parse *p, const struct gh_conf_part *part, unsigned row)
{
    const struct gh_conf_row *r = &part->section->rows[row];
    const struct gh_conf_value *v = &part->values[row];
    size_t max = r->max ? strtoul(r->max, NULL, 10) : GH_CONF_STRING_MAX;

    if (strlen(v->string) > max)
        gh_conf_errors_add(p->errors, v->line, v->col, "%s.%s is a path of %zu bytes; it must have %zu at most",
                           part->section->name, r->name, strlen(v->string), max);
    return 0;
}

static int expand_path(struct parse *p, struct gh_conf_part *part, unsigned row)
{
    static const char *const names[] = { "state_dir", "run_dir" };
    struct gh_conf_value *v = &part->values[row];

    if (!v->string)
        return 0;
    if (strncmp(v->string, "${", 2) != 0)
        return check_path(p, part, row);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i]);
        const char *dir = node_path(p->conf, names[i]);
        struct gh_text t;

        if (strncmp(v->string + 2, names[i], len) != 0 || v->string[2 + len] != '}' || !dir || dir[0] == '$')
            continue;
        gh_text_init(&t, GH_CONF_FILE_MAX);
        gh_text_printf(&t, "%s%s", dir, v->string + len + 3);
        v->string = t.failed ? NULL : gh_arena_copy(&p->conf->arena, t.data, t.len);
        gh_text_fini(&t);
        return v->string ? check_path(p, part, row) : GH_ERR_MEMORY;
    }
    gh_conf_errors_add(p->errors, v->line, v->col, "%s.%s begins with what is not known; use ${state_dir} or ${run_dir}",
                       part->section->name, part->section->rows[row].name);
    return 0;
}

static int expand_paths(struct parse *p, struct gh_conf_part *part)
{
    int rc = 0;

    for (unsigned row = 0; row < part->rows && rc == 0; row++) {
        enum gh_conf_type type = part->section->rows[row].type;

        if (type == GH_CONF_PATH)
            rc = expand_path(p, part, row);
        for (size_t i = 0; type == GH_CONF_TABLE && i < part->values[row].count && rc == 0; i++)
            rc = expand_paths(p, entry_part(&part->values[row], i));
    }
    return rc;
}

/* True when every option is good. The checks between options run where those that they see are. */
static bool check_part(struct parse *p, struct gh_conf *conf, struct gh_conf_part *part)
{
    bool good = true;

    for (unsigned row = 0; row < part->rows; row++) {
        const struct gh_conf_row *r = &part->section->rows[row];
        const struct gh_conf_value *v = &part->values[row];

        good = good && !v->bad && !(r->required && v->origin == GH_CONF_UNSET);
        for (size_t i = 0; r->type == GH_CONF_TABLE && i < v->count; i++)
            good = check_part(p, ((const struct gh_conf_entry *)v->items)[i].conf, entry_part(v, i)) && good;
    }
    if (good && part->present && part->section->check)
        part->section->check(conf, part->section, p->errors);
    return good;
}

static int finish(struct parse *p)
{
    for (size_t i = 0; i < p->conf->part_count; i++) {
        struct gh_conf_part *part = &p->conf->parts[i];
        int rc = 0;

        for (unsigned row = 0; row < part->rows && rc == 0 && p->in->env; row++)
            rc = set_from_env(p, part, row);
        part->present |= part->section->always;
        if (rc == 0)
            rc = set_defaults(p, part);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < p->conf->part_count; i++) {
        int rc = expand_paths(p, &p->conf->parts[i]);

        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < p->conf->part_count; i++)
        check_part(p, p->conf, &p->conf->parts[i]);
    return 0;
}

static struct gh_conf *create(const struct gh_conf_input *in)
{
    struct gh_conf *conf = calloc(1, sizeof *conf);
    const char *file = in->file ? in->file : "configuration";
    bool ok;

    if (!conf)
        return NULL;
    while (in->sections[conf->part_count])
        conf->part_count++;
    conf->file = gh_arena_copy(&conf->arena, file, strlen(file));
    conf->parts = gh_arena_alloc(&conf->arena, (conf->part_count + 1) * sizeof *conf->parts);
    ok = conf->file && conf->parts;
    for (size_t i = 0; ok && i < conf->part_count; i++) {
        struct gh_conf_part *part = &conf->parts[i];

        part->section = in->sections[i];
        part->rows = count_rows(part->section);
        part->values = gh_arena_alloc(&conf->arena, (part->rows + 1) * sizeof *part->values);
        ok = part->values;
    }
    if (!ok) {
        conf->part_count = 0;
        gh_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

static void wipe_part(struct gh_conf_part *part)
{
    for (unsigned row = 0; row < part->rows; row++) {
        gh_secret_fini(&part->values[row].secret);
        for (size_t i = 0; part->section->rows[row].type == GH_CONF_TABLE && i < part->values[row].count; i++)
            wipe_part(entry_part(&part->values[row], i));
    }
}

void gh_conf_destroy(struct gh_conf *conf)
{
    if (!conf)
        return;
    for (size_t i = 0; i < conf->part_count; i++)
        wipe_part(&conf->parts[i]);
    gh_arena_fini(&conf->arena);
    free(conf);
}

int gh_conf_parse(const struct gh_conf_input *in, struct gh_conf_errors *errors, struct gh_conf **ret)
{
    struct gh_conf_node *root = NULL;
    struct parse p = { in, create(in), errors };
    int rc = p.conf ? 0 : GH_ERR_MEMORY;

    if (!errors->file)
        errors->file = strdup(in->file ? in->file : "configuration");
    if (rc == 0)
        rc = gh_conf_tree_build(in->yaml, &p.conf->arena, errors, &root);
    if (rc == 0 && root)
        rc = parse_root(&p, root);
    if (rc == 0)
        rc = finish(&p);
    if (rc == 0 && (errors->count || errors->lost))
        rc = GH_ERR_MALFORMED;
    gh_conf_errors_sort(errors);
    if (rc == 0) {
        *ret = p.conf;
        p.conf = NULL;
    }
    gh_conf_destroy(p.conf);
    return rc;
}

bool gh_conf_peek(struct gh_span yaml, const char *section)
{
    struct gh_arena arena = { 0 };
    struct gh_conf_errors errors;
    struct gh_conf_node *root = NULL;
    bool found = false;

    gh_conf_errors_init(&errors);
    if (gh_conf_tree_build(yaml, &arena, &errors, &root) == 0 && root && root->kind == GH_CONF_NODE_MAP)
        for (const struct gh_conf_node *key = root->first; key && !found; key = key->next->next)
            found = strcmp(key->text, section) == 0;
    gh_conf_errors_fini(&errors);
    gh_arena_fini(&arena);
    return found;
}

int gh_conf_read_file(const char *path, struct gh_text *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0, saved;
    char buf[4096];
    ssize_t n;

    if (fd < 0)
        return GH_ERR_SYSTEM;
    do {
        n = read(fd, buf, sizeof buf);
        if (n > 0)
            gh_text_append_span(out, gh_span_of(buf, (size_t)n));
    } while ((n > 0 && !out->failed) || (n < 0 && errno == EINTR));
    saved = errno;
    if (n < 0)
        rc = GH_ERR_SYSTEM;
    else if (out->failed)
        rc = out->len + sizeof buf > out->limit ? GH_ERR_TOO_LONG : GH_ERR_MEMORY;
    explicit_bzero(buf, sizeof buf);
    close(fd);
    errno = saved;
    return rc;
}

int gh_conf_parse_file(const char *path, const struct gh_conf_section *const *sections, const char *const *env,
                       struct gh_conf_errors *errors, struct gh_conf **ret)
{
    struct gh_text text;
    int rc;

    gh_text_init(&text, GH_CONF_FILE_MAX);
    rc = gh_conf_read_file(path, &text);
    if (rc == 0) {
        rc = gh_conf_parse(&(struct gh_conf_input){ .yaml = gh_span_of(text.data, text.len), .file = path, .env = env, .sections = sections }, errors, ret);
    } else if (rc != GH_ERR_MEMORY) {
        if (!errors->file)
            errors->file = strdup(path);
        gh_conf_errors_add(errors, 0, 0, "cannot be read: %s", rc == GH_ERR_SYSTEM ? strerror(errno) : "larger than 1 MiB");
        rc = GH_ERR_MALFORMED;
    }
    if (text.data)
        explicit_bzero(text.data, text.cap);
    gh_text_fini(&text);
    return rc;
}
