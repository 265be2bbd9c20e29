/* core/policy_field.h - reading the fields of a map into typed values, with words for what is wrong
 *
 * Every reader reports its faults to the findings and leaves the value alone then; nothing stops at the first.
 */
#ifndef GH_CORE_POLICY_FIELD_H
#define GH_CORE_POLICY_FIELD_H

#include "core/policy_yaml.h"
#include "policy/rows.h"

struct gh_field_reader {
    struct gh_arena *arena;
    struct gh_policy_findings *findings;
    const struct gh_yaml_node *key; /* of the field in work */
    void *arg;
};

/* One field; a table of them ends with a zero row and is read in its order, whatever the order in the file. */
struct gh_field {
    const char *key;
    void (*read)(struct gh_field_reader *r, const struct gh_yaml_node *value, void *object);
    bool required;
};

/* Checks that <node> is a map, that every key is in the table (else the nearest one is suggested) and that required ones are
 * there, and reads them. <what> is for people: "a rule". False when anything was reported. */
bool gh_field_read_map(struct gh_field_reader *r, const struct gh_yaml_node *node, const char *what, const struct gh_field *fields,
                       void *object);
/* "key must be a map, not a list" */
bool gh_field_is(struct gh_field_reader *r, const struct gh_yaml_node *n, enum gh_yaml_kind kind);
bool gh_field_text(struct gh_field_reader *r, const struct gh_yaml_node *n, struct gh_policy_row_text *ret);
/* The index in <names>, which ends with NULL. */
bool gh_field_choice(struct gh_field_reader *r, const struct gh_yaml_node *n, const char *const *names, int *ret);
bool gh_field_number(struct gh_field_reader *r, const struct gh_yaml_node *n, uint32_t min, uint32_t max, uint32_t *ret);
bool gh_field_time(struct gh_field_reader *r, const struct gh_yaml_node *n, int64_t *ret);
bool gh_field_ip(struct gh_field_reader *r, const struct gh_yaml_node *n, struct gh_ip *ret);
bool gh_field_prefix(struct gh_field_reader *r, const struct gh_yaml_node *n, struct gh_prefix *ret);
bool gh_field_protocol(struct gh_field_reader *r, const struct gh_yaml_node *n, uint8_t *ret);
/* A map of scalars. */
bool gh_field_pairs(struct gh_field_reader *r, const struct gh_yaml_node *n, const struct gh_policy_row_pair **ret, size_t *ret_count);
/* <node> as a list: itself when it is one, else a list of that one value. Returns the first item and how many there are. */
const struct gh_yaml_node *gh_field_items(const struct gh_yaml_node *n, size_t *ret_count);
/* An array in the arena; reports and returns NULL without memory. */
void *gh_field_array(struct gh_field_reader *r, size_t count, size_t size);
/* The entry of <names> that is nearest to <text>, or NULL when none is near. */
const char *gh_field_nearest(const char *const *names, const char *text);

#endif
