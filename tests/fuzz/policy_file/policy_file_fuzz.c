/* Any bytes as a policy file: no crash, no leak; and what is accepted evaluates and explains alike. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/policy_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct gh_policy *p, const char *name, const uint8_t *data, size_t size)
{
    struct gh_policy_query q = { .client = gh_policy_client_find(p, name) };
    struct gh_policy_verdict v;

    for (size_t i = 0; i + 8 <= size && i < 512; i += 8) {
        q.dst = q.src = gh_ip_v4(data + i);
        q.direction = data[i + 4] & 1 ? GH_POLICY_IN : GH_POLICY_OUT;
        q.protocol = data[i + 5];
        q.dst_port = (uint16_t)(data[i + 6] << 8 | data[i + 7]);
        q.icmp_type = data[i + 6];
        q.icmp_code = data[i + 7];
        q.wall_seconds = (int64_t)data[i] << 24;
        if (gh_policy_explain(p, &q, NULL, NULL, &v) < 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_policy_findings findings = { 0 };
    struct gh_policy *p = NULL;
    int rc = gh_policy_load(gh_span_of(data, size), NULL, &findings, &p);

    if ((rc == 0) != (p != NULL) || (rc == 0 && findings.errors))
        abort();
    if (p) {
        ask(p, "c", data, size);
        ask(p, "client-1", data, size);
        ask(p, "nobody", data, size);
    }
    gh_policy_destroy(p);
    gh_policy_findings_fini(&findings);
    return 0;
}
