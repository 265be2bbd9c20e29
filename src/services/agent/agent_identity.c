/* Is the peer a relay of our trust domain? (DESIGN 4, decision 8) */
#include <stdio.h>

#include "base/error.h"
#include "crypto/cert.h"
#include "crypto/identity.h"
#include "services/agent/agent_internal.h"

int agent_identity_of_relay(const struct gh_cert *cert, const char *trust_domain, struct gh_http_identity *ret, char ret_why[AGENT_WHY])
{
    const struct gh_identity_rules rules = { .trust_domain = trust_domain,
                                             .sources = { GH_IDENTITY_SAN_URI },
                                             .source_count = 1,
                                             .roles = GH_ROLE_BIT(GH_ROLE_RELAY) };
    struct gh_identity id;
    int rc;

    _Static_assert(AGENT_WHY >= GH_IDENTITY_WHY, "room for the reason");
    rc = gh_identity_of_cert(cert, &rules, &id, ret_why);
    if (rc < 0)
        return rc;
    snprintf(ret->name, sizeof ret->name, "%s", id.name);
    ret->not_after = id.not_after;
    return 0;
}
