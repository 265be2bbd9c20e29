/* services/door/door_route.h - (server name, port, ALPN) -> a target; pure
 *
 * A pattern is NAME, NAME:PORT, NAME/ALPN or NAME:PORT/ALPN: "www.example.com", "*.example.com:8443", "example.com/http/1.1".
 * NAME is exact or "*." and a name, which stands for one label or more in front of it. An exact name goes before a wildcard, a
 * longer wildcard before a shorter; of one name a rule with ALPN goes before one without, then one with a port before one without,
 * then the earlier one. A rule that asks for another port or for a protocol that the client does not offer is none.
 */
#ifndef GH_SERVICES_DOOR_DOOR_ROUTE_H
#define GH_SERVICES_DOOR_DOOR_ROUTE_H

#include "wire/tls_hello.h"

struct door_pattern {
    char name[GH_TLS_NAME_MAX]; /* lower case, no dot at the end; a wildcard begins with a dot: ".example.com" */
    uint16_t port;              /* 0: any */
    char alpn[256];             /* "": any */
};

/* 0, or GH_ERR_MALFORMED with words in <ret_why> that say what would be right. */
int door_pattern_parse(const char *text, struct door_pattern *ret, const char **ret_why);

struct door_routes;

/* Takes copies. Two patterns that are alike: GH_ERR_EXISTS, and the index of the later one in <ret_index>. GH_ERR_MEMORY. */
int door_routes_create(const struct door_pattern *patterns, size_t count, struct door_routes **ret, size_t *ret_index);
void door_routes_destroy(struct door_routes *r); /* accepts NULL */
/* The index of the pattern, or -1. <name> as in struct gh_tls_hello; "" finds nothing. */
int door_routes_find(const struct door_routes *r, const char *name, uint16_t port, struct gh_span alpn);

#endif
