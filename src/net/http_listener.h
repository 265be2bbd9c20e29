/* net/http_listener.h - HTTP on listening stream sockets, for a service that knows net/http.h only
 *
 * A listener belongs to one worker; everything happens on its thread. Its limits are its own: give the unix socket a
 * listener of its own, so that nobody on TCP locks the operator out.
 */
#ifndef GH_NET_HTTP_LISTENER_H
#define GH_NET_HTTP_LISTENER_H

#include "net/http.h"

/* A field that is 0 means the version's default. */
struct gh_http_listener_config {
    unsigned connections_max;
    size_t out_max; /* bytes of an answer that the socket has not taken yet; one piece longer than this is GH_ERR_TOO_LONG */
};

struct gh_http_listener;
struct gh_worker;

/* 0 or GH_ERR_MEMORY. <handler> is copied; its <arg> must outlive the listener. */
int gh_http_listener_create(struct gh_worker *worker, const struct gh_http_listener_config *config, struct gh_http_handler handler,
                            struct gh_http_listener **ret);
/* Accepts on <fd>, a listening non-blocking TCP or unix stream socket; the listener closes it, on failure too.
 * 0, GH_ERR_MEMORY or GH_ERR_SYSTEM. */
int gh_http_listener_add(struct gh_http_listener *l, int fd);
/* Closes everything; open streams get on_closed before this returns. Not from inside an event of a stream. Accepts NULL. */
void gh_http_listener_destroy(struct gh_http_listener *l);

#endif
