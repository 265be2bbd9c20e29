#include "policy/names.h"

#include <string.h>

#include "base/error.h"

const char *const gh_policy_action_names[] = { "deny", "allow", NULL };
const char *const gh_policy_direction_names[] = { "out", "in", NULL };
const char *const gh_policy_log_names[] = { "none", "first", "all", NULL };
const char *const gh_policy_on_deny_names[] = { "silent", "icmp", NULL };
const char *const gh_policy_rule_type_names[] = { "ip_cidr", "default", NULL };
const char *const gh_policy_protocol_names[] = { "icmp", "igmp", "tcp",  "udp", "dccp",    "gre", "esp",
                                                 "ah",   "icmpv6", "ospf", "pim", "sctp", "udplite", NULL };
static const uint8_t protocol_numbers[] = { 1, 2, 6, 17, 33, 47, 50, 51, 58, 89, 103, 132, 136 };

/* IANA "ICMP Type Numbers" and "ICMPv6 type Numbers"; -1: the other family alone has it */
const char *const gh_policy_icmp_names[] = { "echo-request", "echo-reply", "destination-unreachable", "packet-too-big",
                                             "time-exceeded", "parameter-problem", "redirect", NULL };
static const int icmp_types[][2] = { { 8, 128 }, { 0, 129 }, { 3, 1 }, { -1, 2 }, { 11, 3 }, { 12, 4 }, { 5, 137 } };

static int find(const char *const *names, const char *text, size_t len)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
            return i;
    return -1;
}

int gh_policy_number_parse(const char *text, size_t len, uint32_t max, uint32_t *ret)
{
    uint64_t v = 0;

    if (len == 0 || len > 10)
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return GH_ERR_MALFORMED;
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    if (v > max)
        return GH_ERR_MALFORMED;
    *ret = (uint32_t)v;
    return 0;
}

int gh_policy_protocol_parse(const char *text, size_t len, uint8_t *ret)
{
    int at = find(gh_policy_protocol_names, text, len);
    uint32_t number;

    if (at >= 0) {
        *ret = protocol_numbers[at];
        return 0;
    }
    if (gh_policy_number_parse(text, len, 255, &number) < 0)
        return GH_ERR_MALFORMED;
    *ret = (uint8_t)number;
    return 0;
}

const char *gh_policy_protocol_name(uint8_t number)
{
    for (size_t i = 0; i < sizeof protocol_numbers; i++)
        if (protocol_numbers[i] == number)
            return gh_policy_protocol_names[i];
    return NULL;
}

bool gh_policy_protocol_has_ports(uint8_t number)
{
    switch (number) {
    case GH_PROTOCOL_TCP:
    case GH_PROTOCOL_UDP:
    case GH_PROTOCOL_DCCP:
    case GH_PROTOCOL_SCTP:
    case GH_PROTOCOL_UDPLITE:
        return true;
    default:
        return false;
    }
}

int gh_policy_icmp_type(const char *name, size_t len, uint8_t protocol)
{
    int at = find(gh_policy_icmp_names, name, len);

    return at < 0 ? -1 : icmp_types[at][protocol == GH_PROTOCOL_ICMPV6];
}
