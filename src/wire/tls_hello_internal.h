/* wire/tls_hello_internal.h - what the outer and the inner hello share (files tls_hello*.c and tls_ech_inner.c alone) */
#ifndef GH_WIRE_TLS_HELLO_INTERNAL_H
#define GH_WIRE_TLS_HELLO_INTERNAL_H

#include "wire/tls_hello.h"

/* A hello whose extensions are being added, in their order. */
struct gh_tls_fields {
    struct gh_tls_hello *hello;
    uint32_t seen; /* known types, a bit each */
    bool psk_seen;
};

/* Everything before the extensions. 0 or GH_ERR_MALFORMED. */
int gh_tls_fields_begin(struct gh_reader *r, struct gh_tls_hello *h);
/* 0 or GH_ERR_MALFORMED. */
int gh_tls_fields_add(struct gh_tls_fields *f, uint16_t type, struct gh_span data);

#endif
