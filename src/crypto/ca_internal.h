/* crypto/ca_internal.h - shared by the files of the certificate authority */
#ifndef GH_CRYPTO_CA_INTERNAL_H
#define GH_CRYPTO_CA_INTERNAL_H

#include "crypto/ca.h"

/* The library's own types, X509, EVP_PKEY and BIO. */
struct x509_st;
struct evp_pkey_st;
struct bio_st;
struct stack_st_GENERAL_NAME;

#define CA_DAY 86400
#define CA_SKEW 300 /* seconds that what was made is valid before, for clocks that are behind */

struct gh_ca {
    struct x509_st *cert;
    struct evp_pkey_st *key;
    int64_t not_before, not_after;
    char trust_domain[GH_IDENTITY_DOMAIN_MAX + 1];
};

/* Words for <why>; returns <rc>. */
int ca_refuse(int rc, char why[GH_CA_WHY], const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The library's last error, for people, and its queue empty again. */
int ca_refuse_crypto(char why[GH_CA_WHY], const char *what);
/* What a memory BIO holds. */
int ca_pem_of(struct bio_st *bio, struct gh_pem *ret);
/* For certificates of any kind: version, serial number, validity and key; NULL with the library's error set. Then extensions and names. */
struct x509_st *ca_begin(struct evp_pkey_st *key, int64_t from, int64_t to);
bool ca_add_ext(struct x509_st *x, struct x509_st *issuer, int nid, const char *value);
bool ca_add_name(struct stack_st_GENERAL_NAME *names, int type, const void *data, size_t len);
/* What was signed, and its key (perhaps NULL), as PEM with a description. */
int ca_finish(struct x509_st *x, struct evp_pkey_st *key, struct gh_leaf *ret, char why[GH_CA_WHY]);

#endif
