/* core/self.h - who we are for others: what our own certificate says */
#ifndef GH_CORE_SELF_H
#define GH_CORE_SELF_H

#include <stdbool.h>
#include <stdint.h>

#include "core/privileged.h"
#include "crypto/identity.h"

struct gh_self {
    char name[GH_IDENTITY_NAME_MAX + 1]; /* "": the certificate names nobody of the trust domain */
    int64_t not_after;                   /* wall seconds, 0: unknown */
    bool has_pin;
    uint8_t pin[32];                     /* SHA-256 of the SubjectPublicKeyInfo */
};

/* No file (""), or one that cannot be read or understood makes an empty one: whoever needs it for TLS says why. */
void gh_self_read(struct gh_privileged *p, const char *certificate, const char *trust_domain, enum gh_role role, struct gh_self *ret);
void gh_self_of_pem(struct gh_span pem, const char *trust_domain, enum gh_role role, struct gh_self *ret);

#endif
