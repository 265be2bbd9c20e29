#include "core/policy_load.h"

#include <string.h>

#include "base/error.h"
#include "core/policy_field.h"
#include "core/policy_icmp.h"
#include "policy/names.h"

/* What the whole file is read into. */
struct load {
    struct gh_policy_rows rows;
    size_t rules;       /* seen so far */
    bool rules_refused; /* said once */
};

static void read_version(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    (void)object;
    if (gh_field_is(r, n, GH_YAML_SCALAR) && strcmp(n->text, "1.0") != 0)
        gh_policy_findings_error(r->findings, n->pos, "version '%.80s' is not known: write version: \"1.0\"", n->text);
}

static void read_file_metadata(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_rows *rows = object;

    if (!gh_field_pairs(r, n, &rows->metadata, &rows->metadata_count))
        return;
    for (size_t i = 0; i < rows->metadata_count; i++) {
        const struct gh_policy_row_pair *p = &rows->metadata[i];

        if (strcmp(p->key, "name") == 0)
            rows->name = (struct gh_policy_row_text){ p->value, p->pos };
        else if (strcmp(p->key, "description") == 0)
            rows->description = (struct gh_policy_row_text){ p->value, p->pos };
    }
}

static void read_default_action(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    int v;

    if (gh_field_choice(r, n, gh_policy_action_names, &v))
        ((struct gh_policy_rows *)object)->default_action = (enum gh_policy_action)v;
}

static void read_file_on_deny(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    int v;

    if (gh_field_choice(r, n, gh_policy_on_deny_names, &v))
        ((struct gh_policy_rows *)object)->on_deny = (enum gh_policy_on_deny)v;
}

static void read_file_log(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    int v;

    if (gh_field_choice(r, n, gh_policy_log_names, &v))
        ((struct gh_policy_rows *)object)->log = (enum gh_policy_log)v;
}

static void read_id(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    gh_field_text(r, n, &((struct gh_policy_row_rule *)object)->id);
}

static void read_rule_description(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    gh_field_text(r, n, &((struct gh_policy_row_rule *)object)->description);
}

static void read_type(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    int v;

    if (gh_field_choice(r, n, gh_policy_rule_type_names, &v))
        ((struct gh_policy_row_rule *)object)->type = (enum gh_policy_rule_type)v;
}

static void read_action(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    int v;

    if (gh_field_choice(r, n, gh_policy_action_names, &v))
        ((struct gh_policy_row_rule *)object)->action = (enum gh_policy_action)v;
}

static void read_direction(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    int v;

    if (gh_field_choice(r, n, gh_policy_direction_names, &v))
        ((struct gh_policy_row_rule *)object)->direction = (enum gh_policy_direction)v;
}

static void read_log(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    int v;

    if (gh_field_choice(r, n, gh_policy_log_names, &v))
        ((struct gh_policy_row_rule *)object)->log = (enum gh_policy_log)v;
}

static void read_on_deny(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_row_rule *rule = object;
    int v;

    if (!gh_field_choice(r, n, gh_policy_on_deny_names, &v))
        return;
    rule->on_deny = (enum gh_policy_on_deny)v;
    if (rule->action == GH_POLICY_ALLOW)
        gh_policy_findings_warn(r->findings, r->key->pos, "'on_deny' does nothing in a rule that allows");
}

static void read_expires_at(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    gh_field_time(r, n, &((struct gh_policy_row_rule *)object)->expires_at);
}

static void read_metadata(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_row_rule *rule = object;

    gh_field_pairs(r, n, &rule->metadata, &rule->metadata_count);
}

/* The items of a list that must not be empty or longer than <max>; NULL after a report. */
static const struct gh_yaml_node *bounded_items(struct gh_field_reader *r, const struct gh_yaml_node *n, size_t max, size_t *ret_count)
{
    size_t count;
    const struct gh_yaml_node *items = gh_field_items(n, &count);

    if (count == 0 || count > max) {
        gh_policy_findings_error(r->findings, n->pos, "'%s' needs 1 to %zu values, not %zu", r->key->text, max, count);
        return NULL;
    }
    *ret_count = count;
    return items;
}

static void read_destinations(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_row_rule *rule = object;
    struct gh_policy_row_prefix *rows;
    const struct gh_yaml_node *item;
    size_t count, kept = 0;

    if (!gh_field_is(r, n, GH_YAML_LIST))
        return;
    item = bounded_items(r, n, GH_POLICY_DESTINATIONS_MAX, &count);
    rows = item ? gh_field_array(r, count, sizeof *rows) : NULL;
    for (size_t i = 0; rows && i < count; i++, item = item->next)
        if (gh_field_prefix(r, item, &rows[kept].prefix))
            rows[kept++].pos = item->pos;
    rule->destinations = rows;
    rule->destination_count = kept;
}

static void read_protocol(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_row_rule *rule = object;
    struct gh_policy_row_protocol *rows;
    size_t count, kept = 0;
    const struct gh_yaml_node *item = bounded_items(r, n, 256, &count);

    rows = item ? gh_field_array(r, count, sizeof *rows) : NULL;
    for (size_t i = 0; rows && i < count; i++, item = item->next)
        if (gh_field_protocol(r, item, &rows[kept].number))
            rows[kept++].pos = item->pos;
    rule->protocols = rows;
    rule->protocol_count = kept;
}

static bool parse_ports(const struct gh_yaml_node *n, struct gh_policy_row_ports *ret)
{
    const char *dash = strchr(n->text, '-');
    size_t head = dash ? (size_t)(dash - n->text) : n->len;
    uint32_t first, last;

    if (gh_policy_number_parse(n->text, head, 65535, &first) < 0)
        return false;
    last = first;
    if (dash && gh_policy_number_parse(dash + 1, n->len - head - 1, 65535, &last) < 0)
        return false;
    if (first == 0 || first > last)
        return false;
    *ret = (struct gh_policy_row_ports){ (uint16_t)first, (uint16_t)last, n->pos };
    return true;
}

static void read_ports(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_row_rule *rule = object;
    struct gh_policy_row_ports *rows;
    size_t count, kept = 0;
    const struct gh_yaml_node *item = bounded_items(r, n, GH_POLICY_PORTS_MAX, &count);

    rows = item ? gh_field_array(r, count, sizeof *rows) : NULL;
    for (size_t i = 0; rows && i < count; i++, item = item->next) {
        if (!gh_field_is(r, item, GH_YAML_SCALAR))
            continue;
        if (parse_ports(item, &rows[kept]))
            kept++;
        else
            gh_policy_findings_error(r->findings, item->pos,
                                     "'%.80s' is no port: write a number from 1 to 65535, or a range such as 8000-8100", item->text);
    }
    rule->ports = rows;
    rule->port_count = kept;
}

static void read_icmp(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_row_rule *rule = object;
    struct gh_policy_row_icmp *rows;
    size_t count, kept = 0;
    const struct gh_yaml_node *item = bounded_items(r, n, GH_POLICY_ICMP_MAX, &count);

    rows = item ? gh_field_array(r, 2 * count, sizeof *rows) : NULL;
    for (size_t i = 0; rows && i < count; i++, item = item->next)
        kept += gh_policy_icmp_read(r, item, rule->protocols, rule->protocol_count, &rows[kept]);
    rule->icmp = rows;
    rule->icmp_count = kept;
}

/* action before on_deny, protocol before icmp */
static const struct gh_field rule_fields[] = {
    { "id", read_id, true },
    { "type", read_type, true },
    { "action", read_action, true },
    { "destinations", read_destinations, false },
    { "protocol", read_protocol, false },
    { "ports", read_ports, false },
    { "icmp", read_icmp, false },
    { "direction", read_direction, false },
    { "expires_at", read_expires_at, false },
    { "log", read_log, false },
    { "on_deny", read_on_deny, false },
    { "description", read_rule_description, false },
    { "metadata", read_metadata, false },
    { 0 },
};

static const struct gh_policy_row_rule *read_rules(struct gh_field_reader *r, const struct gh_yaml_node *n, size_t *ret_count)
{
    struct load *load = r->arg;
    const struct gh_yaml_node *outer = r->key, *item;
    struct gh_policy_row_rule *rules;

    if (!gh_field_is(r, n, GH_YAML_LIST))
        return NULL;
    load->rules += n->count;
    if (load->rules > GH_POLICY_RULES_MAX) {
        if (!load->rules_refused)
            gh_policy_findings_error(r->findings, n->pos, "a policy has at most %u rules", GH_POLICY_RULES_MAX);
        load->rules_refused = true;
        return NULL;
    }
    if (n->count == 0)
        gh_policy_findings_error(r->findings, n->pos, "'rules' is empty: write a rule or leave the key out");
    rules = gh_field_array(r, n->count, sizeof *rules);
    item = n->first;
    for (size_t i = 0; rules && i < n->count; i++, item = item->next) {
        rules[i] = (struct gh_policy_row_rule){
            .pos = item->pos, .log = load->rows.log, .on_deny = load->rows.on_deny, .expires_at = GH_POLICY_NEVER
        };
        rules[i].broken = !gh_field_read_map(r, item, "a rule", rule_fields, &rules[i]);
    }
    r->key = outer;
    *ret_count = rules ? n->count : 0;
    return rules;
}

static void read_group_description(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    gh_field_text(r, n, &((struct gh_policy_row_group *)object)->description);
}

static void read_group_rules(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_row_group *g = object;

    g->rules = read_rules(r, n, &g->rule_count);
}

static const struct gh_field group_fields[] = {
    { "description", read_group_description, false },
    { "rules", read_group_rules, true },
    { 0 },
};

static void read_client_description(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    gh_field_text(r, n, &((struct gh_policy_row_client *)object)->description);
}

static void read_client_rules(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_row_client *c = object;

    c->rules = read_rules(r, n, &c->rule_count);
}

static void read_client_groups(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_row_client *c = object;
    struct gh_policy_row_text *groups;
    const struct gh_yaml_node *item;
    size_t count, kept = 0;

    if (!gh_field_is(r, n, GH_YAML_LIST))
        return;
    item = bounded_items(r, n, GH_POLICY_CLIENT_GROUPS_MAX, &count);
    groups = item ? gh_field_array(r, count, sizeof *groups) : NULL;
    for (size_t i = 0; groups && i < count; i++, item = item->next)
        kept += gh_field_text(r, item, &groups[kept]);
    c->groups = groups;
    c->group_count = kept;
}

static const struct gh_field client_fields[] = {
    { "description", read_client_description, false },
    { "groups", read_client_groups, false },
    { "rules", read_client_rules, false },
    { 0 },
};

/* True when <n> is a map with at most <max> entries. */
static bool bounded_map(struct gh_field_reader *r, const struct gh_yaml_node *n, size_t max)
{
    if (!gh_field_is(r, n, GH_YAML_MAP))
        return false;
    if (n->count <= max)
        return true;
    gh_policy_findings_error(r->findings, n->pos, "'%s' has %zu entries, at most %zu are allowed", r->key->text, n->count, max);
    return false;
}

static void read_groups(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_rows *rows = object;
    struct gh_policy_row_group *groups;

    if (!bounded_map(r, n, GH_POLICY_GROUPS_MAX))
        return;
    groups = gh_field_array(r, n->count, sizeof *groups);
    for (const struct gh_yaml_node *k = n->first; groups && k; k = k->next->next) {
        struct gh_policy_row_group *g = &groups[rows->group_count];

        if (k->kind != GH_YAML_SCALAR)
            continue; /* reported with the tree */
        g->name = (struct gh_policy_row_text){ k->text, k->pos };
        g->broken = !gh_field_read_map(r, k->next, "a group", group_fields, g);
        rows->group_count++;
    }
    rows->groups = groups;
}

static void read_clients(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct gh_policy_rows *rows = object;
    struct gh_policy_row_client *clients;

    if (!bounded_map(r, n, GH_POLICY_CLIENTS_MAX))
        return;
    clients = gh_field_array(r, n->count, sizeof *clients);
    for (const struct gh_yaml_node *k = n->first; clients && k; k = k->next->next) {
        struct gh_policy_row_client *c = &clients[rows->client_count];

        if (k->kind != GH_YAML_SCALAR)
            continue;
        c->name = (struct gh_policy_row_text){ k->text, k->pos };
        c->broken = !gh_field_read_map(r, k->next, "a client", client_fields, c);
        rows->client_count++;
    }
    rows->clients = clients;
}

/* log and on_deny before the rules that take them over */
static const struct gh_field file_fields[] = {
    { "version", read_version, true },
    { "metadata", read_file_metadata, false },
    { "default_action", read_default_action, false },
    { "on_deny", read_file_on_deny, false },
    { "log", read_file_log, false },
    { "groups", read_groups, false },
    { "clients", read_clients, true },
    { 0 },
};

int gh_policy_rows_load(struct gh_span bytes, struct gh_arena *arena, struct gh_policy_findings *findings, struct gh_policy_rows *ret)
{
    struct load load = { .rows = { .log = GH_POLICY_LOG_FIRST } };
    struct gh_field_reader r = { .arena = arena, .findings = findings, .arg = &load };
    const struct gh_yaml_node *root;
    int rc = gh_yaml_parse(bytes, arena, findings, &root);

    if (rc < 0)
        return rc;
    gh_field_read_map(&r, root, "a policy", file_fields, &load.rows);
    if (findings->memory)
        return GH_ERR_MEMORY;
    *ret = load.rows;
    return 0;
}

int gh_policy_load(struct gh_span bytes, const struct gh_policy_stamp *stamp, struct gh_policy_findings *findings,
                   struct gh_policy **ret)
{
    struct gh_arena arena = { 0 };
    struct gh_policy_rows rows;
    int rc = gh_policy_rows_load(bytes, &arena, findings, &rows);

    if (rc == 0)
        rc = gh_policy_compile(&rows, stamp, findings, ret);
    gh_arena_fini(&arena);
    gh_policy_findings_sort(findings);
    return rc;
}
