/* core/policy_icmp.h - one entry of 'icmp': a name, a type number, or { type, code } */
#ifndef GH_CORE_POLICY_ICMP_H
#define GH_CORE_POLICY_ICMP_H

#include "core/policy_field.h"

/* A name means its type in ICMP, in ICMPv6, or in both, as <protocols> says (none: both). A number differs between the two,
 * so exactly one of them has to be named. Fills <ret>, room for two, and returns how many; 0 after a report. */
size_t gh_policy_icmp_read(struct gh_field_reader *r, const struct gh_yaml_node *n, const struct gh_policy_row_protocol *protocols,
                           size_t protocol_count, struct gh_policy_row_icmp *ret);

#endif
