#include "core/policy_yaml.h"

#include <stdlib.h>
#include <yaml.h>

#include "base/error.h"

struct builder {
    yaml_parser_t parser;
    struct gh_arena *arena;
    struct gh_policy_findings *findings;
    size_t nodes;
};

static struct gh_policy_pos pos_of(const yaml_mark_t *m)
{
    return (struct gh_policy_pos){ (uint32_t)m->line + 1, (uint32_t)m->column + 1 };
}

static int refuse(struct builder *b, struct gh_policy_pos pos, const char *text)
{
    gh_policy_findings_error(b->findings, pos, "%s", text);
    return GH_ERR_MALFORMED;
}

static int next_event(struct builder *b, yaml_event_t *e)
{
    const yaml_parser_t *p = &b->parser;

    if (yaml_parser_parse(&b->parser, e))
        return 0;
    if (p->error == YAML_MEMORY_ERROR)
        return GH_ERR_MEMORY;
    gh_policy_findings_error(b->findings, pos_of(&p->problem_mark), "not YAML: %s%s%s", p->problem ? p->problem : "unreadable",
                             p->context ? ", " : "", p->context ? p->context : "");
    return GH_ERR_MALFORMED;
}

static int compare_keys(const void *a, const void *b)
{
    const struct gh_yaml_node *x = *(const struct gh_yaml_node *const *)a, *y = *(const struct gh_yaml_node *const *)b;
    int by_text = strcmp(x->text, y->text);

    if (by_text)
        return by_text;
    if (x->pos.line != y->pos.line)
        return x->pos.line < y->pos.line ? -1 : 1;
    return (x->pos.col > y->pos.col) - (x->pos.col < y->pos.col);
}

static int check_keys(struct builder *b, const struct gh_yaml_node *map)
{
    const struct gh_yaml_node **keys = calloc(map->count + 1, sizeof *keys);
    size_t n = 0;

    if (!keys)
        return GH_ERR_MEMORY;
    for (const struct gh_yaml_node *k = map->first; k; k = k->next->next) {
        if (k->kind == GH_YAML_SCALAR)
            keys[n++] = k;
        else
            gh_policy_findings_error(b->findings, k->pos, "a key must be a single word, not a list or a map");
    }
    if (n > 1)
        qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (strcmp(keys[i]->text, keys[i - 1]->text) == 0)
            gh_policy_findings_error(b->findings, keys[i]->pos, "key '%.80s' is written twice in one map (before at %u:%u)",
                                     keys[i]->text, keys[i - 1]->pos.line, keys[i - 1]->pos.col);
    free(keys);
    return 0;
}

static int build(struct builder *b, const yaml_event_t *e, unsigned depth, struct gh_yaml_node **ret);

/* Reads children up to the event that ends this list or map. */
static int build_children(struct builder *b, struct gh_yaml_node *n, yaml_event_type_t end, unsigned depth)
{
    const struct gh_yaml_node **at = &n->first;
    size_t count = 0;

    for (;;) {
        struct gh_yaml_node *child = NULL;
        yaml_event_t e;
        int rc = next_event(b, &e);
        bool ended;

        if (rc < 0)
            return rc;
        ended = e.type == end;
        if (!ended)
            rc = build(b, &e, depth + 1, &child);
        yaml_event_delete(&e);
        if (rc < 0)
            return rc;
        if (ended)
            break;
        *at = child;
        at = &child->next;
        count++;
    }
    n->count = n->kind == GH_YAML_MAP ? count / 2 : count;
    return n->kind == GH_YAML_MAP ? check_keys(b, n) : 0;
}

static int build_scalar(struct builder *b, const yaml_event_t *e, struct gh_yaml_node *n)
{
    if (memchr(e->data.scalar.value, 0, e->data.scalar.length))
        return refuse(b, n->pos, "a NUL character has no place here");
    n->kind = GH_YAML_SCALAR;
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->len = e->data.scalar.length;
    n->text = gh_arena_copy(b->arena, e->data.scalar.value, n->len);
    return n->text ? 0 : GH_ERR_MEMORY;
}

static int build(struct builder *b, const yaml_event_t *e, unsigned depth, struct gh_yaml_node **ret)
{
    struct gh_policy_pos pos = pos_of(&e->start_mark);
    const yaml_char_t *tag = NULL;
    struct gh_yaml_node *n;
    int rc;

    if (depth > GH_YAML_DEPTH_MAX)
        return refuse(b, pos, "nested too deep: at most 16 levels");
    if (++b->nodes > GH_YAML_NODES_MAX)
        return refuse(b, pos, "too many values: at most 2000000");
    if (e->type == YAML_ALIAS_EVENT)
        return refuse(b, pos, "aliases (*name) are not supported: write the value out");
    n = gh_arena_alloc(b->arena, sizeof *n);
    if (!n)
        return GH_ERR_MEMORY;
    n->pos = pos;
    if (e->type == YAML_SCALAR_EVENT) {
        tag = e->data.scalar.tag;
        rc = build_scalar(b, e, n);
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        tag = e->data.sequence_start.tag;
        n->kind = GH_YAML_LIST;
        rc = build_children(b, n, YAML_SEQUENCE_END_EVENT, depth);
    } else {
        tag = e->data.mapping_start.tag;
        n->kind = GH_YAML_MAP;
        rc = build_children(b, n, YAML_MAPPING_END_EVENT, depth);
    }
    if (rc == 0 && tag)
        rc = refuse(b, pos, "tags (!name) are not supported: leave it out");
    if (rc == 0)
        *ret = n;
    return rc;
}

/* Takes the next event, which has to be of this type, or ends with a message. */
static int expect(struct builder *b, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t e;
    int rc = next_event(b, &e);

    if (rc < 0)
        return rc;
    if (e.type != type)
        rc = refuse(b, pos_of(&e.start_mark), otherwise);
    yaml_event_delete(&e);
    return rc;
}

static int build_document(struct builder *b, struct gh_yaml_node **ret)
{
    yaml_event_t e;
    int rc = expect(b, YAML_STREAM_START_EVENT, "not YAML");

    if (rc == 0)
        rc = expect(b, YAML_DOCUMENT_START_EVENT, "the file is empty");
    if (rc == 0)
        rc = next_event(b, &e);
    if (rc < 0)
        return rc;
    rc = build(b, &e, 0, ret);
    yaml_event_delete(&e);
    if (rc == 0)
        rc = expect(b, YAML_DOCUMENT_END_EVENT, "not YAML");
    if (rc == 0)
        rc = expect(b, YAML_STREAM_END_EVENT, "a second document begins here: a file has one");
    return rc;
}

int gh_yaml_parse(struct gh_span bytes, struct gh_arena *arena, struct gh_policy_findings *findings, const struct gh_yaml_node **ret)
{
    struct builder b = { .arena = arena, .findings = findings };
    struct gh_yaml_node *root = NULL;
    int rc;

    if (bytes.len > GH_YAML_BYTES_MAX)
        return refuse(&b, (struct gh_policy_pos){ 1, 1 }, "the file is larger than 16 MiB");
    if (!yaml_parser_initialize(&b.parser))
        return GH_ERR_MEMORY;
    yaml_parser_set_input_string(&b.parser, bytes.len ? bytes.data : (const unsigned char *)"", bytes.len);
    rc = build_document(&b, &root);
    yaml_parser_delete(&b.parser);
    if (rc == 0)
        *ret = root; /* also when keys were faulty: whoever reads may find more */
    return rc;
}

const struct gh_yaml_node *gh_yaml_find(const struct gh_yaml_node *map, const char *key)
{
    for (const struct gh_yaml_node *k = map->first; k; k = k->next->next)
        if (k->kind == GH_YAML_SCALAR && strcmp(k->text, key) == 0)
            return k->next;
    return NULL;
}

bool gh_yaml_is_null(const struct gh_yaml_node *n)
{
    return n->kind == GH_YAML_SCALAR && n->plain &&
           (n->len == 0 || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0);
}
