#include "core/self.h"

#include <stdio.h>

#include "crypto/cert.h"

#define CERTIFICATE_MAX (256u * 1024)

void gh_self_of_pem(struct gh_span pem, const char *trust_domain, enum gh_role role, struct gh_self *ret)
{
    const struct gh_identity_rules rules = { .trust_domain = trust_domain, .sources = { GH_IDENTITY_SAN_URI }, .source_count = 1,
                                             .roles = GH_ROLE_BIT(role) };
    char why[GH_IDENTITY_WHY];
    struct gh_identity id;
    struct gh_cert *cert = NULL;

    *ret = (struct gh_self){ 0 };
    if (gh_cert_parse_pem(pem, &cert) < 0)
        return;
    ret->not_after = gh_cert_not_after(cert);
    ret->has_pin = gh_cert_spki_sha256(cert, ret->pin) == 0;
    if (gh_identity_of_cert(cert, &rules, &id, why) == 0)
        snprintf(ret->name, sizeof ret->name, "%s", id.name);
    gh_cert_destroy(cert);
}

void gh_self_read(struct gh_privileged *p, const char *certificate, const char *trust_domain, enum gh_role role, struct gh_self *ret)
{
    struct gh_text pem = { 0 };

    *ret = (struct gh_self){ 0 };
    if (!*certificate || gh_privileged_read_file(p, certificate, CERTIFICATE_MAX, &pem) < 0)
        return;
    gh_self_of_pem(gh_span_of(pem.data, pem.len), trust_domain, role, ret);
    gh_text_fini(&pem);
}
