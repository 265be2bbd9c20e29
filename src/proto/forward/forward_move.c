/* Flows that change their engine with their session. */
#include <stdlib.h>

#include "base/error.h"
#include "proto/forward/forward_admit.h"

int gh_forward_export(struct gh_forward *fw, struct gh_forward_session *s, struct gh_flow **ret, size_t *ret_count)
{
    struct gh_flow *list = s->flows.count ? calloc(s->flows.count, sizeof *list) : NULL;
    size_t n = 0;

    if (s->flows.count && !list)
        return GH_ERR_MEMORY;
    for (int group = 0; group < GH_FLOW_GROUPS; group++)
        gh_list_each(it, &s->flows.flows[group])
        {
            struct gh_flow *f = gh_container_of(it, struct gh_flow, in_owner);

            list[n++] = *f;
            gh_flow_release(&fw->flows, f);
        }
    gh_fragment_owner_fini(&fw->fragments, &s->fragments);
    gh_fragment_owner_init(&s->fragments);
    *ret = list;
    *ret_count = n;
    return 0;
}

static void lost(struct gh_forward *fw, struct gh_forward_session *s, struct gh_flow *f)
{
    f->rule = NULL; /* of a policy that may be gone */
    f->owner = &s->flows;
    fw->closed++;
    if (fw->events->on_flow_close)
        fw->events->on_flow_close(fw->arg, s, f, GH_FLOW_END_EVICTED);
}

void gh_forward_adopt(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock, struct gh_flow *flows,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct gh_flow *f = gh_flow_import(&fw->flows, &s->flows, &flows[i], clock->now);

        if (!f)
            lost(fw, s, &flows[i]);
        else
            (void)gh_forward_confirm_flow(fw, f, clock, true);
    }
}
