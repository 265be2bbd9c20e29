/* crypto/crl.h - certificate revocation lists (RFC 5280, section 5), verified and ready to be asked
 *
 * A set is made of one text with any number of lists, each signed by one of the CAs that are given along. It does not change, and
 * any thread may ask it. A list of which anything is not understood (a critical extension: a delta, an indirect list, a list of
 * a part) is refused, for it would be guesswork who is in it. Times are judged by the caller.
 */
#ifndef GH_CRYPTO_CRL_H
#define GH_CRYPTO_CRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "crypto/cert.h"

#define GH_CRL_FILE_MAX (16u << 20) /* bytes of the text */
#define GH_CRL_LISTS_MAX 64u        /* lists in it */
#define GH_CRL_WHY 256u             /* longest reason, NUL included */

struct gh_crl_set;

/* CRLReason (RFC 5280, section 5.3.1). */
enum gh_crl_reason {
    GH_CRL_UNSPECIFIED = 0,
    GH_CRL_KEY_COMPROMISE = 1,
    GH_CRL_CA_COMPROMISE = 2,
    GH_CRL_AFFILIATION_CHANGED = 3,
    GH_CRL_SUPERSEDED = 4,
    GH_CRL_CESSATION_OF_OPERATION = 5,
    GH_CRL_CERTIFICATE_HOLD = 6,
    GH_CRL_PRIVILEGE_WITHDRAWN = 9,
    GH_CRL_AA_COMPROMISE = 10,
};

/* The words of the RFC, as in "keyCompromise"; never NULL. */
const char *gh_crl_reason_name(unsigned reason);
/* 0 or GH_ERR_NOT_FOUND. */
int gh_crl_reason_parse(struct gh_span text, unsigned *ret);

/* 0; GH_ERR_MALFORMED (does not parse, no list, too many), GH_ERR_UNSUPPORTED (a critical extension), GH_ERR_DENIED (signed by none
 * of <ca_pem>, or by one that may not sign lists), GH_ERR_MEMORY: with words in <ret_why>. */
int gh_crl_set_load(struct gh_span pem, struct gh_span ca_pem, struct gh_crl_set **ret, char ret_why[GH_CRL_WHY]);
void gh_crl_set_destroy(struct gh_crl_set *s);

struct gh_crl_entry {
    int64_t when;    /* wall seconds; 0 when the list has no readable date */
    unsigned reason; /* enum gh_crl_reason */
};

/* Is it revoked? <ret> may be NULL. */
bool gh_crl_set_find(const struct gh_crl_set *s, const struct gh_cert_id *id, struct gh_crl_entry *ret);
size_t gh_crl_set_count(const struct gh_crl_set *s); /* revoked certificates */
/* The earliest moment at which one of the lists is out of date, wall seconds; INT64_MAX when none says so. */
int64_t gh_crl_set_next_update(const struct gh_crl_set *s);
/* The highest list number, 0 without one. */
uint64_t gh_crl_set_number(const struct gh_crl_set *s);

#endif
