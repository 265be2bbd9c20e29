/* policy/names.h - the words of the policy language */
#ifndef GH_POLICY_NAMES_H
#define GH_POLICY_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/rows.h"

enum {
    GH_PROTOCOL_ICMP = 1,
    GH_PROTOCOL_TCP = 6,
    GH_PROTOCOL_UDP = 17,
    GH_PROTOCOL_DCCP = 33,
    GH_PROTOCOL_ICMPV6 = 58,
    GH_PROTOCOL_SCTP = 132,
    GH_PROTOCOL_UDPLITE = 136,
};

/* Ended by NULL; the index is the value of the enum. */
extern const char *const gh_policy_action_names[];
extern const char *const gh_policy_direction_names[];
extern const char *const gh_policy_log_names[];
extern const char *const gh_policy_on_deny_names[];
extern const char *const gh_policy_rule_type_names[];
/* Names of protocols, ended by NULL. */
extern const char *const gh_policy_protocol_names[];
/* Names of ICMP types, ended by NULL. */
extern const char *const gh_policy_icmp_names[];

/* "tcp" or a number 0..255. 0 or GH_ERR_MALFORMED. */
int gh_policy_protocol_parse(const char *text, size_t len, uint8_t *ret);
/* NULL when the number has no name here. */
const char *gh_policy_protocol_name(uint8_t number);
bool gh_policy_protocol_has_ports(uint8_t number);
/* The type that <name> means in ICMP (1) or ICMPv6 (58); -1 when there is none. */
int gh_policy_icmp_type(const char *name, size_t len, uint8_t protocol);
/* Decimal digits only, at most <max>. 0 or GH_ERR_MALFORMED. */
int gh_policy_number_parse(const char *text, size_t len, uint32_t max, uint32_t *ret);

#endif
