/* wire/http_date.h - moments as HTTP writes them (RFC 9110, section 5.6.7) */
#ifndef GH_WIRE_HTTP_DATE_H
#define GH_WIRE_HTTP_DATE_H

#include <stdint.h>

#include "base/span.h"

#define GH_HTTP_DATE_TEXT 30u /* "Sun, 06 Nov 1994 08:49:37 GMT" and NUL */

/* <wall>: seconds since 1970; what is before, or behind the year 9999, is written as the nearest that can be. */
const char *gh_http_date_emit(int64_t wall, char buf[GH_HTTP_DATE_TEXT]);
/* Takes the form above and the two that it replaced. 0, or GH_ERR_MALFORMED also for a moment that does not exist; the name of the day is
 * not looked at. A year of two digits is one of 1970 to 2069. */
int gh_http_date_parse(struct gh_span text, int64_t *ret_wall);

#endif
