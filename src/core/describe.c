#include "core/describe.h"

#include <stdio.h>

void gh_describe_listener(struct gh_description *d, const char *service, const char *transport, const char *address)
{
    size_t i = d->listener_count;

    if (i == GH_DESCRIBE_LISTENERS)
        return;
    snprintf(d->addresses[i], GH_DESCRIBE_ADDRESS, "%s", address);
    d->listeners[i] = (struct gh_status_listener){ service, transport, d->addresses[i] };
    d->listener_count++;
}

void gh_describe_feature(struct gh_description *d, const char *name, bool on, bool tested, const char *why_not)
{
    if (d->feature_count < GH_DESCRIBE_FEATURES)
        d->features[d->feature_count++] = (struct gh_status_feature){ name, on, tested, on ? "" : why_not };
}
