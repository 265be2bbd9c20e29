/* net/http_identity.h - the identity that a certificate proved */
#ifndef GH_NET_HTTP_IDENTITY_H
#define GH_NET_HTTP_IDENTITY_H

#include "crypto/cert.h"
#include "net/http.h"

struct gh_http_identity {
    char name[129];    /* NUL-terminated; "" is no identity */
    int64_t not_after; /* wall seconds */
    struct gh_cert_id certificate;
};

#endif
