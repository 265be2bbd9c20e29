/* core/describe.h - what services say about themselves, gathered for status, readiness and the dump
 *
 * Filled from any one thread at a time. What does not fit is left out.
 */
#ifndef GH_CORE_DESCRIBE_H
#define GH_CORE_DESCRIBE_H

#include "ports/node_status.h"

#define GH_DESCRIBE_LISTENERS 64u
#define GH_DESCRIBE_WORKERS 64u
#define GH_DESCRIBE_FEATURES 16u
#define GH_DESCRIBE_ADDRESS 128u

struct gh_description {
    struct gh_status_listener listeners[GH_DESCRIBE_LISTENERS];
    char addresses[GH_DESCRIBE_LISTENERS][GH_DESCRIBE_ADDRESS];
    size_t listener_count;
    struct gh_status_worker workers[GH_DESCRIBE_WORKERS]; /* there before a service is asked: it adds to what it finds */
    size_t worker_count;
    struct gh_status_feature features[GH_DESCRIBE_FEATURES];
    size_t feature_count;
    uint32_t sessions, flows;
    char identity[GH_DESCRIBE_ADDRESS + 1]; /* of our own certificate; "": none */
    int64_t not_after;                      /* wall seconds, 0: unknown */
    char cert_pin[72];                      /* "sha256:" and the digest of its public key; "": unknown */
};

/* <address> is copied; the other words live as long as the program. */
void gh_describe_listener(struct gh_description *d, const char *service, const char *transport, const char *address);
/* <why_not> counts when it is off; <tested>: it was tried. */
void gh_describe_feature(struct gh_description *d, const char *name, bool on, bool tested, const char *why_not);

#endif
