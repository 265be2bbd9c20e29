/* proto/ech/ech_hello.h - what a ClientHello says to whoever has the key of its ECH (RFC 9849, section 7.1)
 *
 * Cheap for all that cannot be ours; crypto/ech.h says what the rest costs. Nothing is answered and nothing kept, so the hello can still go
 * anywhere else.
 */
#ifndef GH_PROTO_ECH_HELLO_H
#define GH_PROTO_ECH_HELLO_H

#include "crypto/ech.h"
#include "wire/tls_hello.h"

struct gh_ech_hello {
    struct gh_ech_opened opened;
    struct gh_tls_hello inner; /* borrowed from <opened> and from the outer hello: its sni and alpn are what counts */
};

/* 1: one of <keys> opened it. 0: it has no ECH, or none that is ours. GH_ERR_MALFORMED: it was ours, and what was sealed in it is nothing that a server may
 * answer. GH_ERR_MEMORY. */
int gh_ech_hello_open(const struct gh_ech_keys *keys, const struct gh_tls_hello *outer, int64_t wall, struct gh_ech_hello *ret);

#endif
