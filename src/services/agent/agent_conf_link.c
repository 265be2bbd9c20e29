/* What a connection link says takes the place of options that are not set. */
#include <string.h>

#include "base/error.h"
#include "services/agent/agent_conf.h"

static int use_relay(struct gh_agent_conf *c)
{
    const struct gh_link *l = &c->link;
    struct gh_agent_relay *r = &c->relays[0];

    if (c->relay_count || strlen(l->host) >= sizeof r->host)
        return c->relay_count ? 0 : GH_ERR_TOO_LONG;
    strcpy(r->host, l->host);
    r->port = l->port;
    if (l->ip.family)
        r->addresses[r->address_count++] = l->ip;
    if (l->ip6.family)
        r->addresses[r->address_count++] = l->ip6;
    c->relay_count = 1;
    return 0;
}

/* The browsers of other clients' links (safari, edge, random, …) are Chrome here: that is what most people have. */
static enum gh_tls_shape shape_of(const char *fp)
{
    if (strcmp(fp, "firefox") == 0)
        return GH_TLS_SHAPE_FIREFOX;
    return strcmp(fp, "none") == 0 ? GH_TLS_SHAPE_NONE : GH_TLS_SHAPE_CHROME;
}

int gh_agent_conf_use_link(struct gh_agent_conf *c)
{
    int rc = c->has_link ? use_relay(c) : 0;

    if (rc < 0 || !c->has_link)
        return c->relay_count || rc < 0 ? rc : GH_ERR_NOT_FOUND;
    if (!*c->user) {
        c->user = c->link.user;
        c->token = gh_span_str(c->link.token);
    }
    if (c->shape_auto && *c->link.fp)
        c->shape = shape_of(c->link.fp);
    if (!c->hop[0])
        memcpy(c->hop, c->link.hop, sizeof c->hop);
    if (c->link.has_pin && c->pin_count < GH_AGENT_PINS)
        memcpy(c->pins[c->pin_count++], c->link.pin, sizeof c->link.pin);
    return 0;
}
