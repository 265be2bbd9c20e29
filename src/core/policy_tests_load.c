#include "core/policy_tests_load.h"

#include <string.h>

#include "base/error.h"
#include "core/policy_field.h"
#include "core/policy_icmp.h"
#include "policy/names.h"

struct tests {
    const struct gh_policy_test *items;
    size_t count;
};

/* What is needed while one test is read. */
struct draft {
    struct gh_policy_test test;
    bool protocol, port, icmp;
};

static void read_version(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    (void)object;
    if (gh_field_is(r, n, GH_YAML_SCALAR) && strcmp(n->text, "1.0") != 0)
        gh_policy_findings_error(r->findings, n->pos, "version '%.80s' is not known: write version: \"1.0\"", n->text);
}

static void read_text(struct gh_field_reader *r, const struct gh_yaml_node *n, const char **ret)
{
    struct gh_policy_row_text t;

    if (gh_field_text(r, n, &t))
        *ret = t.text;
}

static void read_name(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    read_text(r, n, &((struct draft *)object)->test.name);
}

static void read_client(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    read_text(r, n, &((struct draft *)object)->test.client);
}

static void read_rule(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    read_text(r, n, &((struct draft *)object)->test.rule);
}

static void read_direction(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    int v;

    if (gh_field_choice(r, n, gh_policy_direction_names, &v))
        ((struct draft *)object)->test.query.direction = (enum gh_policy_direction)v;
}

static void read_src(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    gh_field_ip(r, n, &((struct draft *)object)->test.query.src);
}

static void read_dst(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    gh_field_ip(r, n, &((struct draft *)object)->test.query.dst);
}

static void read_protocol(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct draft *d = object;

    d->protocol = true;
    gh_field_protocol(r, n, &d->test.query.protocol);
}

static void read_port(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct draft *d = object;
    uint32_t v;

    d->port = true;
    if (gh_field_number(r, n, 0, 65535, &v))
        d->test.query.dst_port = (uint16_t)v;
}

static void read_icmp(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct draft *d = object;
    const struct gh_policy_query *q = &d->test.query;
    bool v6 = (q->direction == GH_POLICY_OUT ? q->dst : q->src).family == 6;
    struct gh_policy_row_protocol p = { .number = v6 ? GH_PROTOCOL_ICMPV6 : GH_PROTOCOL_ICMP };
    struct gh_policy_row_icmp found[2];

    d->icmp = true;
    if (d->protocol)
        p.number = q->protocol;
    if (gh_policy_icmp_read(r, n, &p, 1, found) == 0)
        return;
    d->test.query.protocol = found[0].protocol;
    d->test.query.icmp_type = found[0].type;
    d->test.query.icmp_code = found[0].code < 0 ? 0 : (uint8_t)found[0].code;
}

static void read_at(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    gh_field_time(r, n, &((struct draft *)object)->test.query.wall_seconds);
}

static void read_expect(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    int v;

    if (gh_field_choice(r, n, gh_policy_action_names, &v))
        ((struct draft *)object)->test.expect = (enum gh_policy_action)v;
}

/* direction, addresses and protocol before icmp, which depends on them */
static const struct gh_field test_fields[] = {
    { "name", read_name, false },      { "client", read_client, true }, { "direction", read_direction, false },
    { "src", read_src, false },        { "dst", read_dst, false },      { "protocol", read_protocol, false },
    { "port", read_port, false },      { "icmp", read_icmp, false },    { "at", read_at, false },
    { "expect", read_expect, true },   { "rule", read_rule, false },    { 0 },
};

static void finish_test(struct gh_field_reader *r, struct draft *d)
{
    struct gh_policy_query *q = &d->test.query;
    const char *need = q->direction == GH_POLICY_OUT ? "dst" : "src";

    if ((q->direction == GH_POLICY_OUT ? q->dst : q->src).family == 0)
        gh_policy_findings_error(r->findings, d->test.pos, "a test of direction %s needs '%s'", gh_policy_direction_names[q->direction], need);
    if (d->port && d->icmp)
        gh_policy_findings_error(r->findings, d->test.pos, "a test has 'port' or 'icmp', not both");
    else if (!d->protocol && d->port)
        q->protocol = GH_PROTOCOL_TCP;
    else if (!d->protocol && !d->icmp)
        gh_policy_findings_error(r->findings, d->test.pos, "a test needs 'protocol', 'port' or 'icmp'");
    else if (d->port && !gh_policy_protocol_has_ports(q->protocol))
        gh_policy_findings_error(r->findings, d->test.pos, "this test's protocol has no ports");
    else if (gh_policy_protocol_has_ports(q->protocol) && !d->port)
        gh_policy_findings_error(r->findings, d->test.pos, "this test's protocol needs 'port'");
    else if ((q->protocol == GH_PROTOCOL_ICMP || q->protocol == GH_PROTOCOL_ICMPV6) && !d->icmp)
        q->icmp_type = q->protocol == GH_PROTOCOL_ICMP ? 8 : 128; /* what ping sends */
}

static void read_tests(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    struct tests *tests = object;
    struct gh_policy_test *items;
    const struct gh_yaml_node *item;

    if (!gh_field_is(r, n, GH_YAML_LIST))
        return;
    items = gh_field_array(r, n->count, sizeof *items);
    item = n->first;
    for (size_t i = 0; items && i < n->count; i++, item = item->next) {
        struct draft d = { .test = { .pos = item->pos, .query.wall_seconds = -1 } };

        if (gh_field_read_map(r, item, "a test", test_fields, &d))
            finish_test(r, &d);
        items[i] = d.test;
    }
    tests->items = items;
    tests->count = n->count;
}

static const struct gh_field file_fields[] = { { "version", read_version, true }, { "tests", read_tests, true }, { 0 } };

int gh_policy_tests_load(struct gh_span bytes, struct gh_arena *arena, struct gh_policy_findings *findings,
                         const struct gh_policy_test **ret, size_t *ret_count)
{
    struct gh_field_reader r = { .arena = arena, .findings = findings };
    struct tests tests = { 0 };
    const struct gh_yaml_node *root;
    int rc = gh_yaml_parse(bytes, arena, findings, &root);

    if (rc < 0)
        return rc;
    gh_field_read_map(&r, root, "a file of tests", file_fields, &tests);
    gh_policy_findings_sort(findings);
    if (findings->memory)
        return GH_ERR_MEMORY;
    if (findings->errors)
        return GH_ERR_MALFORMED;
    *ret = tests.items;
    *ret_count = tests.count;
    return 0;
}
