/* services/door/site.h - a folder as an ordinary web site
 *
 * Belongs to one worker. Files are opened and read in the offload pool, a piece at a time, as the client takes them; a request holds one
 * descriptor and one piece.
 */
#ifndef GH_SERVICES_DOOR_SITE_H
#define GH_SERVICES_DOOR_SITE_H

#include "net/http.h"

struct door_site;
struct gh_worker;

#define DOOR_SITE_REQUESTS_MAX 1024u /* of one worker at once; one more gets 503 */
#define DOOR_SITE_STALL INT64_C(60000000000) /* ns that a client may take nothing of what waits for it */

/* <server>: the field of that name. <folder>: NULL for a page that is built in. 0, GH_ERR_MEMORY, or as gh_tree_open. */
int door_site_create(struct gh_worker *w, const char *server, const char *folder, struct door_site **ret);
/* Requests under way go on. Accepts NULL. */
void door_site_put(struct door_site *site);
void door_site_serve(struct door_site *site, struct gh_http_stream *s, const struct gh_http_head *head);
/* Requests under way. */
unsigned door_site_requests(const struct door_site *site);

#endif
