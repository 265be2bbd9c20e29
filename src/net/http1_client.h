/* net/http1_client.h - one HTTP/1.1 request and its answer, blocking: for the command line, never for a worker
 *
 * Every call opens a connection of its own and is over by its deadline, whatever the peer does.
 */
#ifndef GH_NET_HTTP1_CLIENT_H
#define GH_NET_HTTP1_CLIENT_H

#include "base/ip_addr.h"
#include "base/span.h"

struct gh_http1_target {
    const char *unix_path; /* NULL: TCP to <addr> and <port> */
    struct gh_ip addr;
    uint16_t port;
};

struct gh_http1_call {
    const char *method, *path; /* <path> with its query */
    struct gh_span body;       /* JSON; empty: none */
    unsigned timeout;          /* ms for the whole call; 0 means 5000 */
    size_t body_max;           /* of the answer; 0 means 64 MiB */
};

struct gh_http1_answer {
    unsigned status;
    char *body; /* NUL follows the last byte; never NULL after success */
    size_t body_len;
};

/* 0; GH_ERR_NOT_FOUND: no such socket; GH_ERR_DENIED: no permission to use it; GH_ERR_CLOSED: nobody listens, or the peer
 * closed too early; GH_ERR_TIMEOUT; GH_ERR_PROTOCOL: not an HTTP/1 answer; GH_ERR_TOO_LONG; GH_ERR_RANGE: the socket's path is
 * too long, or method or path cannot be sent; GH_ERR_MEMORY; GH_ERR_SYSTEM. */
int gh_http1_client_call(const struct gh_http1_target *to, const struct gh_http1_call *call, struct gh_http1_answer *ret);
void gh_http1_answer_fini(struct gh_http1_answer *a);

#endif
