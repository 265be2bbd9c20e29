/* os/clock.h - the two clocks (DESIGN 3, Sessions): one to measure with, one to show
 */
#ifndef GH_OS_CLOCK_H
#define GH_OS_CLOCK_H

#include <stdint.h>

#define GH_NANOSECONDS INT64_C(1000000000) /* in a second */

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t gh_clock_now(void);
/* Seconds since 1970, UTC. */
int64_t gh_clock_wall(void);
/* Nanoseconds since 1970, UTC: for records that people read. */
int64_t gh_clock_wall_nanoseconds(void);

#endif
