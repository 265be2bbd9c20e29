/* core/audit_line.h - reads back what the chain put into a line, in both formats
 *
 *     {…,"seq":12,"chain":"64 hex digits"}      TIMESTAMP LEVEL EVENT … seq=12 chain=64 hex digits
 */
#ifndef GH_CORE_AUDIT_LINE_H
#define GH_CORE_AUDIT_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct gh_audit_line {
    struct gh_span covered; /* what the mac is over */
    uint64_t seq;
    uint8_t mac[32];
    int64_t wall;          /* seconds; 0 when it has no timestamp */
    struct gh_span reason; /* of a checkpoint; empty for other records */
    struct gh_span chain_id;
    bool has_missing;
    uint64_t missing_from;
};

/* Without the line's end. 0 or GH_ERR_MALFORMED: it has no number and mac in their place. Nothing but these is certain before the
 * mac is checked. */
int gh_audit_line_parse(struct gh_span line, struct gh_audit_line *ret);

#endif
