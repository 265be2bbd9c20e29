#include "core/policy_icmp.h"

#include "policy/names.h"

struct entry {
    const struct gh_yaml_node *type;
    int16_t code;
};

static void read_type(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    if (gh_field_is(r, n, GH_YAML_SCALAR))
        ((struct entry *)object)->type = n;
}

static void read_code(struct gh_field_reader *r, const struct gh_yaml_node *n, void *object)
{
    uint32_t code;

    if (gh_field_number(r, n, 0, 255, &code))
        ((struct entry *)object)->code = (int16_t)code;
}

static const struct gh_field entry_fields[] = { { "type", read_type, true }, { "code", read_code, false }, { 0 } };

static size_t add_name(const struct entry *e, bool v4, bool v6, struct gh_policy_row_icmp *ret)
{
    int type4 = v4 ? gh_policy_icmp_type(e->type->text, e->type->len, GH_PROTOCOL_ICMP) : -1;
    int type6 = v6 ? gh_policy_icmp_type(e->type->text, e->type->len, GH_PROTOCOL_ICMPV6) : -1;
    size_t n = 0;

    if (type4 >= 0)
        ret[n++] = (struct gh_policy_row_icmp){ GH_PROTOCOL_ICMP, (uint8_t)type4, e->code, e->type->pos };
    if (type6 >= 0)
        ret[n++] = (struct gh_policy_row_icmp){ GH_PROTOCOL_ICMPV6, (uint8_t)type6, e->code, e->type->pos };
    return n;
}

static bool known_name(const struct gh_yaml_node *n)
{
    return gh_policy_icmp_type(n->text, n->len, GH_PROTOCOL_ICMP) >= 0 || gh_policy_icmp_type(n->text, n->len, GH_PROTOCOL_ICMPV6) >= 0;
}

size_t gh_policy_icmp_read(struct gh_field_reader *r, const struct gh_yaml_node *n, const struct gh_policy_row_protocol *protocols,
                           size_t protocol_count, struct gh_policy_row_icmp *ret)
{
    struct entry e = { .type = n, .code = -1 };
    bool v4 = protocol_count == 0, v6 = v4;
    uint32_t number;
    size_t found;
    const char *near;

    if (n->kind == GH_YAML_MAP) {
        e.type = NULL;
        if (!gh_field_read_map(r, n, "an entry of 'icmp'", entry_fields, &e))
            return 0;
    } else if (!gh_field_is(r, n, GH_YAML_SCALAR)) {
        return 0;
    }
    for (size_t i = 0; i < protocol_count; i++) {
        v4 |= protocols[i].number == GH_PROTOCOL_ICMP;
        v6 |= protocols[i].number == GH_PROTOCOL_ICMPV6;
    }
    if (gh_policy_number_parse(e.type->text, e.type->len, 255, &number) == 0) {
        if (v4 == v6) {
            gh_policy_findings_error(r->findings, e.type->pos, "type %u means different things in ICMP and ICMPv6: write "
                                     "'protocol: icmp' or 'protocol: icmpv6', or use a name", number);
            return 0;
        }
        *ret = (struct gh_policy_row_icmp){ v4 ? GH_PROTOCOL_ICMP : GH_PROTOCOL_ICMPV6, (uint8_t)number, e.code, e.type->pos };
        return 1;
    }
    found = add_name(&e, v4, v6, ret);
    if (found)
        return found;
    near = gh_field_nearest(gh_policy_icmp_names, e.type->text);
    if (known_name(e.type)) /* a good name that this rule's protocol does not have */
        gh_policy_findings_error(r->findings, e.type->pos, "'%.80s' is no type of this rule's protocol%s", e.type->text,
                                 v4 || v6 ? "" : ": a rule with 'icmp' has protocol icmp or icmpv6 and no other");
    else if (near)
        gh_policy_findings_error(r->findings, e.type->pos, "'%.80s' is no ICMP type: did you mean '%s'?", e.type->text, near);
    else
        gh_policy_findings_error(r->findings, e.type->pos, "'%.80s' is no ICMP type: use a number from 0 to 255, or a name such as "
                                 "echo-request", e.type->text);
    return 0;
}
