/* crypto/identity.h - who a certificate says its holder is
 *
 * The identity of a peer is the NAME of `spiffe://TRUST_DOMAIN/agent|relay|connector/NAME` in the SAN of its certificate; the role
 * must agree with the extended key usage: clientAuth for agent and connector, serverAuth for relay. For certificates made
 * elsewhere the operator may accept a DNS name or the CN instead (`identity: [san_uri, san_dns, cn]`, tried in that order); then the
 * role is what the extended key usage alone allows: clientAuth an agent, serverAuth a relay, both or none nobody.
 *
 * A certificate with a SPIFFE URI is held to it whatever the list says: a wrong trust domain is never overlooked.
 * The chain and the validity are TLS's business; a resumed session goes through this again.
 */
#ifndef GH_CRYPTO_IDENTITY_H
#define GH_CRYPTO_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "crypto/cert.h"

#define GH_IDENTITY_NAME_MAX 128u   /* bytes of NAME */
#define GH_IDENTITY_DOMAIN_MAX 255u /* bytes of a trust domain (SPIFFE-ID, section 2.1) */
#define GH_IDENTITY_WHY 384u        /* longest reason, NUL included */

enum gh_role { GH_ROLE_AGENT, GH_ROLE_RELAY, GH_ROLE_CONNECTOR, GH_ROLE_COUNT };

#define GH_ROLE_BIT(role) (1u << (role))

enum gh_identity_source { GH_IDENTITY_SAN_URI, GH_IDENTITY_SAN_DNS, GH_IDENTITY_CN, GH_IDENTITY_SOURCE_COUNT };

struct gh_identity_rules {
    const char *trust_domain;
    enum gh_identity_source sources[GH_IDENTITY_SOURCE_COUNT]; /* what counts, first match */
    size_t source_count;
    unsigned roles; /* GH_ROLE_BIT of those that are welcome here */
};

struct gh_identity {
    enum gh_role role;
    enum gh_identity_source source;
    char name[GH_IDENTITY_NAME_MAX + 1];
    char serial[GH_CERT_SERIAL_TEXT];
    int64_t not_after; /* wall seconds */
    uint8_t spki_sha256[32];
};

/* 0; GH_ERR_DENIED, GH_ERR_MALFORMED, GH_ERR_CRYPTO or GH_ERR_MEMORY, with <ret_why> saying in one printable line what is wrong and,
 * where an option would accept the certificate, which one. */
int gh_identity_of_cert(const struct gh_cert *c, const struct gh_identity_rules *rules, struct gh_identity *ret,
                        char ret_why[GH_IDENTITY_WHY]);

/* 1 to 128 bytes of A-Z a-z 0-9 . _ - and neither "." nor "..". */
bool gh_identity_name_valid(struct gh_span name);
/* 1 to 255 bytes of a-z 0-9 . _ - */
bool gh_identity_domain_valid(struct gh_span domain);

/* The words of URI and configuration; never NULL. */
const char *gh_role_name(enum gh_role role);
const char *gh_identity_source_name(enum gh_identity_source source);
/* 0 or GH_ERR_NOT_FOUND. */
int gh_role_parse(struct gh_span text, enum gh_role *ret);
int gh_identity_source_parse(struct gh_span text, enum gh_identity_source *ret);

#endif
