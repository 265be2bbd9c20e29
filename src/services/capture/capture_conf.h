/* services/capture/capture_conf.h - the options of section proxy, as typed values */
#ifndef GH_SERVICES_CAPTURE_CAPTURE_CONF_H
#define GH_SERVICES_CAPTURE_CAPTURE_CONF_H

#include "core/conf.h"

extern const struct gh_conf_section gh_capture_conf_section;

#define GH_CAPTURE_LISTEN 8u

/* Strings and lists belong to the configuration that it was loaded from; times are ns. */
struct gh_capture_conf {
    const struct gh_conf_addr *listen;
    size_t listen_count;
    const char *user; /* "": everybody */
    const struct gh_secret *password; /* NULL: none */
    unsigned max_connections, max_destinations;
    int64_t ask_timeout, connect_timeout, udp_timeout;
};

void gh_capture_conf_load(const struct gh_conf *conf, struct gh_capture_conf *ret);

#endif
