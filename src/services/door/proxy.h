/* services/door/proxy.h - a site that is somewhere else: requests are handed on to its origin, and its answers back
 *
 * Belongs to one worker. Bodies go through in pieces, both ways, as fast as the slower side takes them; nothing is kept back, so that events of
 * a server and frames of a WebSocket arrive when they are sent.
 */
#ifndef GH_SERVICES_DOOR_PROXY_H
#define GH_SERVICES_DOOR_PROXY_H

#include "net/http.h"
#include "services/door/proxy_pool.h"

struct door_proxy;

#define DOOR_PROXY_REQUESTS_MAX 1024u /* of one worker at once; one more gets 503 */

struct door_proxy_conf {
    struct door_proxy_pool_conf pool;
    const char *authority;   /* of the origin, as in its URL */
    bool keep_host, forwarded;
    int64_t timeout;         /* ns that neither side may say anything: 504, or the answer is cut off */
    const char *server;      /* of answers that are our own */
};

/* What <conf> points to is copied. 0 or GH_ERR_MEMORY. */
int door_proxy_create(struct gh_worker *w, const struct door_proxy_conf *conf, struct door_proxy **ret);
/* Requests under way go on. Accepts NULL. */
void door_proxy_put(struct door_proxy *p);
void door_proxy_serve(struct door_proxy *p, struct gh_http_stream *s, const struct gh_http_head *head);
/* Requests under way. */
unsigned door_proxy_requests(const struct door_proxy *p);

#endif
