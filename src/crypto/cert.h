/* crypto/cert.h - one X.509 certificate, read
 *
 * What RFC 5280 says about it, without judging; crypto/identity.h judges. Nothing here verifies a signature or a time: the TLS
 * session does that.
 */
#ifndef GH_CRYPTO_CERT_H
#define GH_CRYPTO_CERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct gh_cert;

#define GH_CERT_SERIAL_TEXT 43 /* hexadecimal digits of 20 bytes (RFC 5280, section 4.1.2.2), a sign and NUL, and room */

/* 0, GH_ERR_MALFORMED (not a certificate, or bytes left over) or GH_ERR_MEMORY. */
int gh_cert_parse_der(struct gh_span der, struct gh_cert **ret);
/* The first certificate of a PEM text. */
int gh_cert_parse_pem(struct gh_span pem, struct gh_cert **ret);
/* For files of this folder that have the library's own object (an X509); the caller keeps its reference. NULL when memory is out. */
struct gh_cert *gh_cert_of_x509(const void *x509);
void gh_cert_destroy(struct gh_cert *c);

/* Wall seconds; 0 when the field does not hold a time. */
int64_t gh_cert_not_before(const struct gh_cert *c);
int64_t gh_cert_not_after(const struct gh_cert *c);
/* Upper-case hexadecimal, no separators. 0, GH_ERR_TOO_LONG or GH_ERR_MEMORY. */
int gh_cert_serial(const struct gh_cert *c, char ret[GH_CERT_SERIAL_TEXT]);
/* SHA-256 of the DER SubjectPublicKeyInfo, as in RFC 7469, section 2.4. 0 or GH_ERR_CRYPTO. */
int gh_cert_spki_sha256(const struct gh_cert *c, uint8_t ret[32]);
/* What names a certificate among all others, and its key: enough to judge it again when lists and pins have changed. */
struct gh_cert_id {
    uint32_t issuer; /* of the issuer's name in its canonical form (RFC 5280, section 7.1): equal names have equal values */
    char serial[GH_CERT_SERIAL_TEXT];
    uint8_t spki_sha256[32];
};

/* 0, GH_ERR_TOO_LONG, GH_ERR_CRYPTO or GH_ERR_MEMORY. */
int gh_cert_id_of(const struct gh_cert *c, struct gh_cert_id *ret);
/* True when it may sign other certificates, or is so old (version 1) that nothing says it may not. */
bool gh_cert_is_ca(const struct gh_cert *c);

#define GH_CERT_CLIENT_AUTH 1u
#define GH_CERT_SERVER_AUTH 2u
/* Which of the two the extended key usage names: a set >= 0 (0: no such extension, or other purposes), or GH_ERR_MALFORMED. */
int gh_cert_usages(const struct gh_cert *c);

enum gh_cert_name { GH_CERT_URI, GH_CERT_DNS, GH_CERT_IP, GH_CERT_CN };
typedef void (*gh_cert_name_fn)(void *arg, enum gh_cert_name kind, struct gh_span value);
/* Calls <fn> for every URI, DNS name and address (4 or 16 bytes) of the SAN in its order, then every CN of the subject as UTF-8.
 * 0, GH_ERR_MALFORMED (perhaps after some calls) or GH_ERR_MEMORY. */
int gh_cert_each_name(const struct gh_cert *c, gh_cert_name_fn fn, void *arg);

#endif
