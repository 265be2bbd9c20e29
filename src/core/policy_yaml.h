/* core/policy_yaml.h - one YAML document as a tree in which every node knows its place
 *
 * Stricter than YAML: no aliases, no tags, no second document, keys are scalars and occur once, depth and size are bounded,
 * so that no small file grows into a large tree.
 */
#ifndef GH_CORE_POLICY_YAML_H
#define GH_CORE_POLICY_YAML_H

#include "base/span.h"
#include "base/arena.h"
#include "policy/findings.h"

#define GH_YAML_BYTES_MAX (16u << 20)
#define GH_YAML_DEPTH_MAX 16u
#define GH_YAML_NODES_MAX 2000000u

enum gh_yaml_kind { GH_YAML_SCALAR, GH_YAML_LIST, GH_YAML_MAP };

struct gh_yaml_node {
    enum gh_yaml_kind kind;
    bool plain; /* a scalar without quotes */
    struct gh_policy_pos pos;
    const char *text; /* scalar; ends with NUL and has no other */
    size_t len;
    const struct gh_yaml_node *first; /* list: items; map: key, value, key, value … */
    const struct gh_yaml_node *next;  /* behind this one in its parent */
    size_t count;                     /* items or pairs */
};

/* 0 with the root in <ret>, which lives as long as <arena>, perhaps with errors about keys in <findings>; GH_ERR_MALFORMED,
 * with the error in <findings>, when there is no tree; GH_ERR_MEMORY. */
int gh_yaml_parse(struct gh_span bytes, struct gh_arena *arena, struct gh_policy_findings *findings, const struct gh_yaml_node **ret);
/* The value of <key>, or NULL. */
const struct gh_yaml_node *gh_yaml_find(const struct gh_yaml_node *map, const char *key);
/* True for a scalar that is nothing or a plain null. */
bool gh_yaml_is_null(const struct gh_yaml_node *n);

#endif
