#include "crypto/known.h"

#include <openssl/x509_vfy.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#define WORDS (GH_SHA256_LEN / sizeof(uint64_t))

struct gh_known {
    X509_STORE_CTX_verify_fn library; /* what the library does itself */
    uint8_t key[GH_SHA256_LEN];       /* nobody can tell what collides */
    /* Words of two writers may stand mixed: that is the name of no certificate that anybody could make. */
    _Atomic uint64_t names[GH_KNOWN_MAX][WORDS];
};

struct name {
    uint64_t words[WORDS];
};

int gh_known_create(struct gh_known **ret)
{
    struct gh_known *k = calloc(1, sizeof *k);
    X509_STORE_CTX *v = X509_STORE_CTX_new();
    int rc = GH_ERR_MEMORY;

    if (k && v && X509_STORE_CTX_init(v, NULL, NULL, NULL) == 1) {
        k->library = X509_STORE_CTX_get_verify(v);
        rc = k->library ? gh_random_bytes(k->key, sizeof k->key) : GH_ERR_CRYPTO;
    }
    X509_STORE_CTX_free(v);
    if (rc < 0) {
        gh_known_destroy(k);
        return rc;
    }
    *ret = k;
    return 0;
}

void gh_known_destroy(struct gh_known *k)
{
    free(k);
}

/* Of a leaf and the CA's certificate right above it. False: another chain, or no memory. */
static bool name_of(const struct gh_known *k, const STACK_OF(X509) *chain, struct name *ret)
{
    unsigned char *der[2] = { NULL, NULL };
    struct gh_span parts[2];
    bool ok = sk_X509_num(chain) == 2;

    for (int i = 0; i < 2 && ok; i++) {
        int len = i2d_X509(sk_X509_value(chain, i), &der[i]);

        ok = len > 0;
        parts[i] = gh_span_of(der[i], ok ? (size_t)len : 0);
    }
    ok = ok && gh_hmac(GH_DIGEST_SHA256, gh_span_of(k->key, sizeof k->key), parts, 2, (uint8_t *)ret->words) == 0;
    OPENSSL_free(der[0]);
    OPENSSL_free(der[1]);
    return ok;
}

static bool has(const struct gh_known *k, const struct name *n)
{
    const _Atomic uint64_t *at = k->names[n->words[0] % GH_KNOWN_MAX];
    bool same = true;

    for (size_t i = 0; i < WORDS; i++)
        same &= atomic_load_explicit(&at[i], memory_order_relaxed) == n->words[i];
    return same;
}

static void keep(struct gh_known *k, const struct name *n)
{
    _Atomic uint64_t *at = k->names[n->words[0] % GH_KNOWN_MAX];

    for (size_t i = 0; i < WORDS; i++)
        atomic_store_explicit(&at[i], n->words[i], memory_order_relaxed);
}

/* What else the library's function looks at. Whatever it would complain about, it is asked to. */
static bool in_time(X509_STORE_CTX *v, const STACK_OF(X509) *chain)
{
    const X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(v);

    for (int i = 0; i < sk_X509_num(chain); i++)
        if (X509_check_certificate_times(param, sk_X509_value(chain, i), NULL) != 1)
            return false;
    return true;
}

int gh_known_verify(struct gh_known *k, X509_STORE_CTX *v)
{
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(v);
    struct name name;
    bool named = name_of(k, chain, &name);
    int ok;

    if (named && has(k, &name) && in_time(v, chain))
        return 1;
    ok = k->library(v);
    if (ok == 1 && named && X509_STORE_CTX_get_error(v) == X509_V_OK)
        keep(k, &name);
    return ok;
}
