/* services/door/site_condition.h - which part of a file, if any, a request wants to have (RFC 9110, sections 13 and 14); pure */
#ifndef GH_SERVICES_DOOR_SITE_CONDITION_H
#define GH_SERVICES_DOOR_SITE_CONDITION_H

#include <stdbool.h>

#include "base/span.h"

#define DOOR_SITE_ETAG 40u

/* Values of the fields; empty where there is none. */
struct door_site_wish {
    bool get; /* not HEAD, for which there are no ranges */
    struct gh_span if_match, if_none_match, if_modified_since, if_unmodified_since, range, if_range;
};

struct door_site_part {
    unsigned status; /* 200, 206, 304, 412 or 416 */
    uint64_t from, len; /* with 200 and 206 */
};

/* A strong one, of when a file was changed and how long it is. */
void door_site_etag(uint64_t size, int64_t modified, char ret[DOOR_SITE_ETAG]);
/* Of several ranges at once the whole is the answer, which it may be (section 14.2). */
void door_site_judge(const struct door_site_wish *wish, uint64_t size, int64_t modified, struct door_site_part *ret);

#endif
