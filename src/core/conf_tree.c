#include "core/conf_tree.h"

#include <string.h>
#include <yaml.h>

#include "base/error.h"

struct builder {
    yaml_parser_t parser;
    struct gh_arena *arena;
    struct gh_conf_errors *errors;
    size_t nodes;
};

static int refuse(struct builder *b, const yaml_mark_t *at, const char *text)
{
    gh_conf_errors_add(b->errors, (unsigned)at->line + 1, (unsigned)at->column + 1, "%s", text);
    return GH_ERR_MALFORMED;
}

static int next_event(struct builder *b, yaml_event_t *ret)
{
    const yaml_parser_t *p = &b->parser;
    const yaml_mark_t *at;

    if (yaml_parser_parse(&b->parser, ret))
        return 0;
    if (p->error == YAML_MEMORY_ERROR)
        return GH_ERR_MEMORY;
    at = p->error == YAML_READER_ERROR ? &p->mark : &p->problem_mark;
    gh_conf_errors_add(b->errors, (unsigned)at->line + 1, (unsigned)at->column + 1, "not YAML: %s%s%s",
                       p->problem ? p->problem : "cannot be read", p->context ? ", " : "", p->context ? p->context : "");
    return GH_ERR_MALFORMED;
}

static bool has_decoration(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    default:
        return false;
    }
}

static int build(struct builder *b, yaml_event_t *event, unsigned depth, struct gh_conf_node **ret);

static int build_scalar(struct builder *b, const yaml_event_t *event, struct gh_conf_node *n)
{
    n->kind = GH_CONF_NODE_SCALAR;
    n->len = event->data.scalar.length;
    n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (memchr(event->data.scalar.value, 0, n->len))
        return refuse(b, &event->start_mark, "a text cannot hold a NUL byte");
    n->text = gh_arena_copy(b->arena, event->data.scalar.value, n->len);
    return n->text ? 0 : GH_ERR_MEMORY;
}

static int build_children(struct builder *b, struct gh_conf_node *n, unsigned depth, yaml_event_type_t end)
{
    struct gh_conf_node **at = &n->first;
    size_t count = 0;

    for (;;) {
        yaml_event_t event;
        int rc = next_event(b, &event);

        if (rc < 0)
            return rc;
        if (event.type == end) {
            yaml_event_delete(&event);
            n->count = n->kind == GH_CONF_NODE_MAP ? count / 2 : count;
            return 0;
        }
        if (n->kind == GH_CONF_NODE_MAP && count % 2 == 0 && event.type != YAML_SCALAR_EVENT &&
            event.type != YAML_ALIAS_EVENT) {
            rc = refuse(b, &event.start_mark, "a key must be a word");
            yaml_event_delete(&event);
        } else {
            rc = build(b, &event, depth + 1, at); /* deletes the event */
        }
        if (rc < 0)
            return rc;
        at = &(*at)->next;
        count++;
    }
}

static int build(struct builder *b, yaml_event_t *event, unsigned depth, struct gh_conf_node **ret)
{
    struct gh_conf_node *n;
    yaml_event_type_t type = event->type;
    int rc = 0;

    if (type == YAML_ALIAS_EVENT || has_decoration(event))
        rc = refuse(b, &event->start_mark, "anchors, aliases and tags are not used here; write the value itself");
    else if (depth > GH_CONF_DEPTH_MAX)
        rc = refuse(b, &event->start_mark, "nested too deeply");
    else if (++b->nodes > GH_CONF_NODES_MAX)
        rc = refuse(b, &event->start_mark, "more values than a configuration can have");
    n = rc < 0 ? NULL : gh_arena_alloc(b->arena, sizeof *n);
    if (rc == 0 && !n)
        rc = GH_ERR_MEMORY;
    if (rc == 0) {
        n->line = (unsigned)event->start_mark.line + 1;
        n->col = (unsigned)event->start_mark.column + 1;
        n->kind = type == YAML_MAPPING_START_EVENT ? GH_CONF_NODE_MAP : GH_CONF_NODE_LIST;
        if (type == YAML_SCALAR_EVENT)
            rc = build_scalar(b, event, n);
    }
    yaml_event_delete(event);
    if (rc == 0 && type == YAML_SEQUENCE_START_EVENT)
        rc = build_children(b, n, depth, YAML_SEQUENCE_END_EVENT);
    if (rc == 0 && type == YAML_MAPPING_START_EVENT)
        rc = build_children(b, n, depth, YAML_MAPPING_END_EVENT);
    if (rc == 0)
        *ret = n;
    return rc;
}

static int build_document(struct builder *b, struct gh_conf_node **ret)
{
    for (;;) {
        yaml_event_t event;
        yaml_event_type_t type;
        int rc = next_event(b, &event);

        if (rc < 0)
            return rc;
        type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && *ret)
            rc = refuse(b, &event.start_mark, "a second document; a configuration is one");
        else if (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                 type == YAML_MAPPING_START_EVENT) {
            rc = build(b, &event, 1, ret);
            if (rc < 0)
                return rc;
            continue;
        }
        yaml_event_delete(&event);
        if (rc < 0 || type == YAML_STREAM_END_EVENT || type == YAML_NO_EVENT)
            return rc;
    }
}

int gh_conf_tree_build(struct gh_span yaml, struct gh_arena *arena, struct gh_conf_errors *errors, struct gh_conf_node **ret)
{
    struct builder b = { .arena = arena, .errors = errors };
    struct gh_conf_node *root = NULL;
    int rc;

    if (yaml.len > GH_CONF_FILE_MAX) {
        gh_conf_errors_add(errors, 0, 0, "larger than %u bytes", GH_CONF_FILE_MAX);
        return GH_ERR_MALFORMED;
    }
    if (!yaml_parser_initialize(&b.parser))
        return GH_ERR_MEMORY;
    yaml_parser_set_input_string(&b.parser, yaml.data ? yaml.data : (const uint8_t *)"", yaml.len);
    rc = build_document(&b, &root);
    yaml_parser_delete(&b.parser);
    if (rc == 0)
        *ret = root;
    return rc;
}

bool gh_conf_node_is_null(const struct gh_conf_node *n)
{
    return n->kind == GH_CONF_NODE_SCALAR && n->plain &&
           (n->len == 0 || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0);
}
