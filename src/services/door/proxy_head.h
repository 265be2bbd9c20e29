/* services/door/proxy_head.h - heads as they are handed on: what belongs to a connection stays on it (RFC 9110, section 7.6); pure */
#ifndef GH_SERVICES_DOOR_PROXY_HEAD_H
#define GH_SERVICES_DOOR_PROXY_HEAD_H

#include "base/ip_addr.h"
#include "wire/http_head.h"

struct door_proxy_head_rules {
    const char *scheme, *authority; /* of the origin */
    bool keep_host;                 /* the origin is asked for the name that the client asked for */
    bool forwarded;                 /* it is told who the client is */
    struct gh_ip client;
};

#define DOOR_PROXY_FIELDS (GH_HTTP_FIELDS_MAX + 6u)

/* A head with its text, in one piece. */
struct door_proxy_head {
    struct gh_http_head head;
    bool has_length;   /* a body of content-length */
    bool made_key;     /* the client of a WebSocket sent none: it has another version of HTTP */
    struct gh_http_field fields[DOOR_PROXY_FIELDS];
    uint8_t text[];
};

/* What the origin is asked for. <tunnel>: a WebSocket is, with <key> for one that came without. To be freed. 0, GH_ERR_MEMORY, GH_ERR_TOO_LONG
 * or GH_ERR_MALFORMED (nothing that can be asked of an origin). */
int door_proxy_head_ask(const struct gh_http_head *in, const struct door_proxy_head_rules *rules, bool tunnel, const char *key,
                        struct door_proxy_head **ret);
/* The fields of an answer, and how many; <date> is added where there is none. <tunnel>: it opens one; <made_key> as above. */
size_t door_proxy_head_answer(const struct gh_http_head *in, const struct door_proxy_head_rules *rules, bool tunnel, bool made_key,
                              const char *date, struct gh_http_field ret[GH_HTTP_FIELDS_MAX + 1]);

#endif
