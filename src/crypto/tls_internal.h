/* crypto/tls_internal.h - shared by the TLS files of this folder */
#ifndef GH_CRYPTO_TLS_INTERNAL_H
#define GH_CRYPTO_TLS_INTERNAL_H

#include <stdatomic.h>

#include "crypto/tls.h"

struct gh_tls_ctx {
    atomic_uint refs;
    struct ssl_ctx_st *ssl; /* SSL_CTX */
    struct signer_provider *signers; /* of the key, when it is somewhere else; NULL otherwise */
    struct gh_signer signer;         /* released with the context */
    bool server;
    uint8_t alpn[32]; /* wire form: length and name */
    size_t alpn_len;
};

#endif
