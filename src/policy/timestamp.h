/* policy/timestamp.h - moments in the policy language: RFC 3339, or a date alone, which means its first second in UTC */
#ifndef GH_POLICY_TIMESTAMP_H
#define GH_POLICY_TIMESTAMP_H

#include <stddef.h>
#include <stdint.h>

#define GH_TIMESTAMP_TEXT 32

/* "2030-01-31", "2030-01-31T18:00:00Z", "2030-01-31T18:00:00+02:00". Years 1970 to 9999, seconds to 59, fractions refused.
 * Wall seconds in <ret>. 0 or GH_ERR_MALFORMED. */
int gh_timestamp_parse(const char *text, size_t len, int64_t *ret);
/* "2030-01-31T18:00:00Z"; returns <buf>. */
const char *gh_timestamp_emit(int64_t wall_seconds, char buf[GH_TIMESTAMP_TEXT]);

#endif
