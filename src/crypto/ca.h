/* crypto/ca.h - a certificate authority in memory
 *
 * Makes the CA and the leaves that crypto/identity.h accepts: X.509 v3 (RFC 5280) with critical basicConstraints and keyUsage, extended
 * key usage by role, subject and authority key identifier, and the identity as SPIFFE URI in the SAN. The CA's own SAN is
 * `spiffe://TRUST_DOMAIN`, so that its certificate says what it may name. Files are the caller's; the wall clock is passed in.
 */
#ifndef GH_CRYPTO_CA_H
#define GH_CRYPTO_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/span.h"
#include "crypto/identity.h"

#define GH_CA_YEARS 10u
#define GH_CA_DAYS_DEFAULT 365u
#define GH_CA_SANS_MAX 32u /* DNS names, and as many addresses */
#define GH_CA_WHY 256u     /* longest reason, NUL included */

struct gh_ca;

enum gh_ca_key { GH_CA_ED25519, GH_CA_P256 };

/* A text that is wiped when it goes. */
struct gh_pem {
    char *text; /* no NUL at its end */
    size_t len;
};

void gh_pem_fini(struct gh_pem *p);

struct gh_ca_request {
    const char *trust_domain;
    enum gh_ca_key key;
    int64_t now; /* wall seconds; the CA lives GH_CA_YEARS from here */
};

/* All that can fail say why in <ret_why>: GH_ERR_RANGE (a value is not possible), GH_ERR_MALFORMED (does not parse), GH_ERR_CRYPTO,
 * GH_ERR_MEMORY. */
int gh_ca_create(const struct gh_ca_request *req, struct gh_ca **ret, char ret_why[GH_CA_WHY]);
/* From the PEM of certificate and unencrypted private key, which must belong together. */
int gh_ca_load(struct gh_span cert_pem, struct gh_span key_pem, struct gh_ca **ret, char ret_why[GH_CA_WHY]);
void gh_ca_destroy(struct gh_ca *ca);

/* As PEM; the key as unencrypted PKCS #8. */
int gh_ca_emit(const struct gh_ca *ca, struct gh_pem *ret_cert, struct gh_pem *ret_key);
const char *gh_ca_trust_domain(const struct gh_ca *ca);

struct gh_leaf_request {
    enum gh_role role;
    const char *name;
    const char *const *dns; /* relays only, as the addresses */
    size_t dns_count;
    const struct gh_ip *addrs;
    size_t addr_count;
    enum gh_ca_key key;
    uint32_t days; /* at least 1; not beyond the CA's own end */
    int64_t now;   /* wall seconds */
};

struct gh_leaf {
    struct gh_pem cert, key;
    char serial[GH_CERT_SERIAL_TEXT];
    uint8_t spki_sha256[32];
    int64_t not_before, not_after; /* wall seconds */
};

/* A new key and a certificate for it. The serial number is 128 random bits. */
int gh_ca_issue(const struct gh_ca *ca, const struct gh_leaf_request *req, struct gh_leaf *ret, char ret_why[GH_CA_WHY]);

struct gh_ca_renewal {
    struct gh_span certificate; /* PEM, of this CA, perhaps expired: role, NAME, DNS names and addresses are taken from it */
    bool new_key;               /* else for the key that it has, and the leaf comes without one */
    const enum gh_ca_key *key;  /* the kind of the new key; NULL: the kind that the old one was */
    uint32_t days;
    int64_t now; /* wall seconds */
};

/* GH_ERR_DENIED as well: the certificate is not this CA's. */
int gh_ca_renew(const struct gh_ca *ca, const struct gh_ca_renewal *req, struct gh_leaf *ret, char ret_why[GH_CA_WHY]);

#define GH_CA_CRL_DAYS_DEFAULT 30u
#define GH_CA_CRL_DAYS_MAX 3660u

/* One certificate of the CA that is no longer good. */
struct gh_ca_revoked {
    const char *serial; /* hexadecimal, as gh_cert_serial has it */
    int64_t when;       /* wall seconds */
    unsigned reason;    /* enum gh_crl_reason */
};

struct gh_ca_crl_request {
    const struct gh_ca_revoked *list;
    size_t count;
    uint64_t number; /* higher than that of any list before (RFC 5280, section 5.2.3) */
    uint32_t days;   /* until the next list is there */
    int64_t now;     /* wall seconds */
};

/* The revocation list, signed, as PEM. <ret_next_update> in wall seconds. */
int gh_ca_crl(const struct gh_ca *ca, const struct gh_ca_crl_request *req, struct gh_pem *ret, int64_t *ret_next_update,
              char ret_why[GH_CA_WHY]);
void gh_leaf_fini(struct gh_leaf *l);

/* "ed25519" or "p256". 0 or GH_ERR_NOT_FOUND. */
int gh_ca_key_parse(struct gh_span text, enum gh_ca_key *ret);
/* A host name (RFC 1123), the first label perhaps "*". */
int gh_ca_dns_check(const char *name); /* 0 or GH_ERR_RANGE */

#endif
