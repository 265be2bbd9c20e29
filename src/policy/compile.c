#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/check.h"
#include "policy/names.h"
#include "policy/snapshot.h"

#define HIDDEN_BUDGET 20000000u /* steps that the search for rules that never decide may take; it only warns */

struct compiler {
    const struct gh_policy_rows *rows;
    struct gh_policy_findings *findings;
    struct gh_policy *policy;
    struct gh_policy_list *groups; /* by name */
    int64_t *expiries;
    size_t budget;
};

static const char *keep_text(struct compiler *c, const char *text)
{
    return text ? gh_arena_copy(&c->policy->arena, text, strlen(text)) : "";
}

static int compare_services(const void *a, const void *b)
{
    const struct gh_policy_services *x = a, *y = b;

    return x->first != y->first ? (x->first > y->first) - (x->first < y->first) : (x->last > y->last) - (x->last < y->last);
}

/* Sorts, and joins what touches. */
static size_t merge_services(struct gh_policy_services *s, size_t count)
{
    size_t kept = 0;

    qsort(s, count, sizeof *s, compare_services);
    for (size_t i = 0; i < count; i++) {
        if (kept && s[i].first <= s[kept - 1].last + 1) {
            if (s[i].last > s[kept - 1].last)
                s[kept - 1].last = s[i].last;
        } else {
            s[kept++] = s[i];
        }
    }
    return kept;
}

static struct gh_policy_services port_services(uint8_t protocol, const struct gh_policy_row_ports *p)
{
    uint32_t base = (uint32_t)protocol << 16;

    return (struct gh_policy_services){ base | p->first, base | p->last };
}

static int compile_services(struct compiler *c, const struct gh_policy_row_rule *row, struct gh_policy_rule *r)
{
    static const uint8_t with_ports[] = { GH_PROTOCOL_TCP, GH_PROTOCOL_UDP, GH_PROTOCOL_DCCP, GH_PROTOCOL_SCTP,
                                          GH_PROTOCOL_UDPLITE };
    size_t protocols = row->protocol_count ? row->protocol_count : sizeof with_ports, n = 0;
    size_t most = row->port_count ? protocols * row->port_count : row->icmp_count + row->protocol_count + 1;
    struct gh_policy_services *s = gh_arena_array(&c->policy->arena, most, sizeof *s);

    if (!s)
        return GH_ERR_MEMORY;
    for (size_t i = 0; i < protocols && row->port_count; i++)
        for (size_t p = 0; p < row->port_count; p++)
            s[n++] = port_services(row->protocol_count ? row->protocols[i].number : with_ports[i], &row->ports[p]);
    for (size_t i = 0; i < row->icmp_count; i++) {
        const struct gh_policy_row_icmp *icmp = &row->icmp[i];
        uint32_t base = (uint32_t)icmp->protocol << 16 | (uint32_t)icmp->type << 8;

        s[n++] = icmp->code < 0 ? (struct gh_policy_services){ base, base | 0xff } :
                                  (struct gh_policy_services){ base | (uint32_t)icmp->code, base | (uint32_t)icmp->code };
    }
    for (size_t i = 0; i < row->protocol_count && n < most && !row->port_count && !row->icmp_count; i++) {
        uint32_t base = (uint32_t)row->protocols[i].number << 16;

        s[n++] = (struct gh_policy_services){ base, base | 0xffff };
    }
    if (n == 0)
        s[n++] = (struct gh_policy_services){ 0, GH_POLICY_SERVICE_MAX };
    r->services = s;
    r->service_count = merge_services(s, n);
    return 0;
}

static int compile_rule(struct compiler *c, const struct gh_policy_row_rule *row, struct gh_policy_rule *r)
{
    struct gh_arena *arena = &c->policy->arena;
    struct gh_prefix *destinations = gh_arena_array(arena, row->destination_count, sizeof *destinations);
    struct gh_policy_pair *metadata = gh_arena_array(arena, row->metadata_count, sizeof *metadata);

    if (!destinations || !metadata)
        return GH_ERR_MEMORY;
    for (size_t i = 0; i < row->destination_count; i++)
        destinations[i] = row->destinations[i].prefix;
    for (size_t i = 0; i < row->metadata_count; i++) {
        metadata[i].key = keep_text(c, row->metadata[i].key);
        metadata[i].value = keep_text(c, row->metadata[i].value);
        if (!metadata[i].key || !metadata[i].value)
            return GH_ERR_MEMORY;
    }
    r->id = keep_text(c, row->id.text);
    r->description = keep_text(c, row->description.text);
    r->type = row->type;
    r->action = row->action;
    r->direction = row->direction;
    r->log = row->log;
    r->on_deny = row->on_deny;
    r->expires_at = row->expires_at;
    r->pos = row->pos;
    r->destinations = destinations;
    r->destination_count = row->destination_count;
    r->metadata = metadata;
    r->metadata_count = row->metadata_count;
    if (row->expires_at != GH_POLICY_NEVER)
        c->expiries[c->policy->expiry_count++] = row->expires_at;
    return r->id && r->description ? compile_services(c, row, r) : GH_ERR_MEMORY;
}

static void warn_hidden(struct compiler *c, const struct gh_policy_list *l)
{
    for (uint32_t i = 0; i < l->rule_count; i++) {
        const struct gh_policy_rule *r = &l->rules[i];

        if (gh_policy_table_hides(&l->tables[r->direction][0], l->rules, i, &c->budget) &&
            gh_policy_table_hides(&l->tables[r->direction][1], l->rules, i, &c->budget))
            gh_policy_findings_warn(c->findings, r->pos, "rule '%s' never decides: earlier rules match all that it matches", r->id);
    }
}

static int compile_list(struct compiler *c, const char *name, bool in_group, const struct gh_policy_row_rule *rows, size_t count,
                        struct gh_policy_list *l)
{
    struct gh_policy_rule *rules = gh_arena_array(&c->policy->arena, count, sizeof *rules);
    int rc = rules ? 0 : GH_ERR_MEMORY;

    l->name = keep_text(c, name);
    if (!l->name)
        rc = GH_ERR_MEMORY;
    for (size_t i = 0; i < count && rc == 0; i++) {
        rules[i].list = l->name;
        rules[i].in_group = in_group;
        rc = compile_rule(c, &rows[i], &rules[i]);
    }
    l->rules = rules;
    l->rule_count = (uint32_t)count;
    for (int d = 0; d < 2; d++)
        for (int v6 = 0; v6 < 2 && rc == 0; v6++)
            rc = gh_policy_table_build(rules, l->rule_count, (enum gh_policy_direction)d, v6 ? 6 : 4, &c->policy->arena,
                                       &l->tables[d][v6]);
    if (rc == 0)
        warn_hidden(c, l);
    c->policy->rule_count += count;
    return rc;
}

static int compare_lists(const void *a, const void *b)
{
    return strcmp(((const struct gh_policy_list *)a)->name, ((const struct gh_policy_list *)b)->name);
}

static int compare_clients(const void *a, const void *b)
{
    return strcmp(((const struct gh_policy_client *)a)->name, ((const struct gh_policy_client *)b)->name);
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int compile_groups(struct compiler *c)
{
    size_t count = c->rows->group_count;
    int rc = 0;

    c->groups = gh_arena_array(&c->policy->arena, count, sizeof *c->groups);
    if (!c->groups)
        return GH_ERR_MEMORY;
    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct gh_policy_row_group *g = &c->rows->groups[i];

        rc = compile_list(c, g->name.text, true, g->rules, g->rule_count, &c->groups[i]);
    }
    if (rc == 0 && count > 1)
        qsort(c->groups, count, sizeof *c->groups, compare_lists);
    c->policy->group_count = count;
    return rc;
}

static int compile_client(struct compiler *c, const struct gh_policy_row_client *row, struct gh_policy_client *client)
{
    struct gh_policy_list *own = gh_arena_alloc(&c->policy->arena, sizeof *own);
    int rc;

    client->lists = gh_arena_array(&c->policy->arena, row->group_count + 1, sizeof(void *));
    client->name = keep_text(c, row->name.text);
    if (!own || !client->lists || !client->name)
        return GH_ERR_MEMORY;
    rc = compile_list(c, row->name.text, false, row->rules, row->rule_count, own);
    if (row->rule_count)
        client->lists[client->list_count++] = own;
    for (size_t i = 0; i < row->group_count; i++) {
        struct gh_policy_list key = { .name = row->groups[i].text };

        client->lists[client->list_count++] = bsearch(&key, c->groups, c->rows->group_count, sizeof key, compare_lists);
    }
    return rc;
}

static int compile_clients(struct compiler *c)
{
    size_t count = c->rows->client_count;
    struct gh_policy_client *clients = gh_arena_array(&c->policy->arena, count, sizeof *clients);
    int rc = clients ? 0 : GH_ERR_MEMORY;

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = compile_client(c, &c->rows->clients[i], &clients[i]);
    if (rc == 0 && count > 1)
        qsort(clients, count, sizeof *clients, compare_clients);
    c->policy->clients = clients;
    c->policy->client_count = count;
    return rc;
}

static size_t count_rules(const struct gh_policy_rows *rows)
{
    size_t n = 0;

    for (size_t i = 0; i < rows->group_count; i++)
        n += rows->groups[i].rule_count;
    for (size_t i = 0; i < rows->client_count; i++)
        n += rows->clients[i].rule_count;
    return n;
}

static const char *make_version(struct compiler *c, const struct gh_policy_stamp *stamp)
{
    char text[64];
    int at;

    if (!stamp)
        return "0";
    at = snprintf(text, sizeof text, "%llu", (unsigned long long)stamp->generation);
    for (size_t i = 0; i < stamp->hash.len && i < 6; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%02x", i ? "" : "-", stamp->hash.data[i]);
    return keep_text(c, text);
}

static int compile_all(struct compiler *c, const struct gh_policy_stamp *stamp)
{
    struct gh_policy *p = c->policy;
    int rc;

    p->default_action = c->rows->default_action;
    p->on_deny = c->rows->on_deny;
    p->log = c->rows->log;
    p->name = keep_text(c, c->rows->name.text);
    p->version = make_version(c, stamp);
    c->expiries = gh_arena_array(&p->arena, count_rules(c->rows), sizeof *c->expiries);
    if (!p->name || !p->version || !c->expiries)
        return GH_ERR_MEMORY;
    rc = compile_groups(c);
    if (rc == 0)
        rc = compile_clients(c);
    if (rc == 0 && p->expiry_count > 1)
        qsort(c->expiries, p->expiry_count, sizeof *c->expiries, compare_times);
    p->expiries = c->expiries;
    return rc;
}

int gh_policy_compile(const struct gh_policy_rows *rows, const struct gh_policy_stamp *stamp, struct gh_policy_findings *findings,
                      struct gh_policy **ret)
{
    struct compiler c = { .rows = rows, .findings = findings, .budget = HIDDEN_BUDGET };
    int rc = gh_policy_check(rows, findings);

    if (rc == 0 && !gh_policy_findings_good(findings))
        rc = GH_ERR_MALFORMED;
    if (rc < 0)
        return rc;
    c.policy = calloc(1, sizeof *c.policy);
    if (!c.policy)
        return GH_ERR_MEMORY;
    rc = compile_all(&c, stamp);
    if (rc == 0) {
        *ret = c.policy;
        c.policy = NULL;
    }
    gh_policy_destroy(c.policy);
    return rc;
}

void gh_policy_destroy(struct gh_policy *p)
{
    if (!p)
        return;
    gh_arena_fini(&p->arena);
    free(p);
}

const char *gh_policy_version(const struct gh_policy *p)
{
    return p->version;
}

const char *gh_policy_name(const struct gh_policy *p)
{
    return p->name;
}

size_t gh_policy_client_count(const struct gh_policy *p)
{
    return p->client_count;
}

size_t gh_policy_group_count(const struct gh_policy *p)
{
    return p->group_count;
}

size_t gh_policy_rule_count(const struct gh_policy *p)
{
    return p->rule_count;
}

int64_t gh_policy_next_expiry(const struct gh_policy *p, int64_t wall_seconds)
{
    size_t low = 0, high = p->expiry_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (p->expiries[mid] <= wall_seconds)
            low = mid + 1;
        else
            high = mid;
    }
    return low < p->expiry_count ? p->expiries[low] : GH_POLICY_NEVER;
}

const struct gh_policy_client *gh_policy_client_find(const struct gh_policy *p, const char *name)
{
    struct gh_policy_client key = { .name = name };

    if (p->client_count == 0)
        return NULL;
    return bsearch(&key, p->clients, p->client_count, sizeof key, compare_clients);
}

const char *gh_policy_client_name(const struct gh_policy_client *c)
{
    return c->name;
}
