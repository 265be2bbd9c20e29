#include "services/agent/agent_ech.h"

#include <string.h>

void gh_agent_ech_set(struct gh_agent_ech *e, struct gh_span configured)
{
    struct gh_agent_ech_list *c = &e->configured;

    if (c->len == configured.len && (c->len == 0 || memcmp(c->bytes, configured.data, c->len) == 0))
        return; /* what was learned still counts */
    c->len = configured.len;
    if (c->len)
        memcpy(c->bytes, configured.data, c->len);
    e->lists[0] = *c;
    e->count = c->len > 0;
    e->at = 0;
    e->turn++;
}

struct gh_span gh_agent_ech_now(const struct gh_agent_ech *e)
{
    return e->count ? gh_span_of(e->lists[e->at].bytes, e->lists[e->at].len) : gh_span_of(NULL, 0);
}

static bool is_current(const struct gh_agent_ech *e, struct gh_span list)
{
    return gh_span_equals(gh_agent_ech_now(e), list);
}

/* The older one goes, unless it is the one that came. */
static void learn(struct gh_agent_ech *e, struct gh_span list)
{
    struct gh_agent_ech_list *to = &e->lists[0];

    if (e->at == 0)
        e->lists[1] = e->lists[0];
    to->len = list.len;
    memcpy(to->bytes, list.data, list.len);
    e->count = 2;
    e->at = 0;
    e->turn++;
}

bool gh_agent_ech_rejected(struct gh_agent_ech *e, uint64_t turn, struct gh_span retry)
{
    char name[GH_ECH_PUBLIC_NAME_MAX + 1];

    if (retry.len > 0 && retry.len <= GH_ECH_LIST_MAX && gh_ech_list_public_name(retry, name) == 0) {
        if (!is_current(e, retry))
            learn(e, retry);
        else if (turn == e->turn)
            return false; /* the key that it did not open is the one that it has: nothing would be different */
        return true;
    }
    if (turn != e->turn)
        return true; /* another connection has found another one since */
    if (e->count < 2)
        return false;
    e->at = 1 - e->at;
    e->turn++;
    return true;
}
