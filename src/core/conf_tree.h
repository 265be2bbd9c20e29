/* core/conf_tree.h - a YAML file as a tree with places, within bounds
 *
 * One document; no anchors, aliases, tags or merge keys: a configuration says what it means at the place where it means it.
 */
#ifndef GH_CORE_CONF_TREE_H
#define GH_CORE_CONF_TREE_H

#include "base/arena.h"
#include "core/conf.h"

enum gh_conf_node_kind { GH_CONF_NODE_SCALAR, GH_CONF_NODE_LIST, GH_CONF_NODE_MAP };

struct gh_conf_node {
    enum gh_conf_node_kind kind;
    unsigned line, col; /* from 1 */
    bool plain;         /* a scalar without quotes */
    const char *text;   /* scalar: ends with NUL, holds no other */
    size_t len;
    struct gh_conf_node *first; /* list: items; map: key, value, key, value … all scalars as keys */
    struct gh_conf_node *next;
    size_t count;       /* list: items; map: pairs */
};

/* Builds the tree in <arena>; <ret> is NULL for an empty file. 0, GH_ERR_MALFORMED with an error added, GH_ERR_MEMORY. */
int gh_conf_tree_build(struct gh_span yaml, struct gh_arena *arena, struct gh_conf_errors *errors, struct gh_conf_node **ret);

/* No value: an empty plain scalar, ~ or null. */
bool gh_conf_node_is_null(const struct gh_conf_node *n);

#endif
