/* services/door/site_path.h - from the target of a request to the name of a file; pure */
#ifndef GH_SERVICES_DOOR_SITE_PATH_H
#define GH_SERVICES_DOOR_SITE_PATH_H

#include <stdbool.h>

#include "base/span.h"

#define DOOR_SITE_TARGET_MAX 8192u /* bytes of a target; a longer one is answered with 414 */

struct door_site_path {
    char name[DOOR_SITE_TARGET_MAX]; /* relative: "", "a/b"; no empty segment, none that begins with a dot but .well-known at the front */
    size_t len;
    bool folder;          /* the target ended with a slash, or in what means the same */
    struct gh_span query; /* with its question mark; borrowed */
};

/* 0; GH_ERR_MALFORMED: no path, bad escapes, NUL, or above the top; GH_ERR_TOO_LONG; GH_ERR_NOT_FOUND: a name that is hidden.
 * Escapes are undone first, so that %2e%2e and %2f mean what they hide (RFC 3986, sections 2.4 and 5.2.4). */
int door_site_path_parse(struct gh_span target, struct door_site_path *ret);
/* Where a folder without its slash is sent: "/a%20b/" and the query. Length, or GH_ERR_TOO_LONG. */
int door_site_path_emit(const struct door_site_path *p, char *buf, size_t cap);

#endif
