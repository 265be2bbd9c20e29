/* core/tls_load.h - a TLS context from the files that a configuration names
 *
 * Certificates are read through the parent; the key stays with it, and it signs (crypto/signer.h).
 */
#ifndef GH_CORE_TLS_LOAD_H
#define GH_CORE_TLS_LOAD_H

#include <stdbool.h>

#include "crypto/tls.h"

struct gh_log;
struct gh_run;

struct gh_tls_files {
    const char *certificate, *key, *ca; /* PEM; no <ca> (NULL or ""): clients are not asked, servers are known by <pins>; a client may have no <certificate> ("") */
    bool server;
    enum gh_aead_engine aead;
    const char *alpn; /* NULL: "h3" */
    enum gh_tls_ask ask;
    const struct gh_ech_keys *ech; /* server; NULL: none */
    const uint8_t (*pins)[32];     /* client */
    size_t pin_count;
    enum gh_tls_shape shape;       /* client */
    bool tls12;                    /* server: as struct gh_tls_config has it */
};

/* 0, or an error after a log line of <area> that names the file or says what is wrong in it; the last reload's words say it, too. */
int gh_tls_load(struct gh_run *run, struct gh_log *log, const char *area, const struct gh_tls_files *f, struct gh_tls_ctx **ret);

#endif
