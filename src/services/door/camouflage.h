/* services/door/camouflage.h - what a stranger meets where TLS ends here: a folder, a site somewhere else, or a page that is built in
 *
 * A handler that any version of HTTP serves. One belongs to one worker and stays while connections come and go and the configuration changes:
 * a request is answered as it was configured when it came.
 */
#ifndef GH_SERVICES_DOOR_CAMOUFLAGE_H
#define GH_SERVICES_DOOR_CAMOUFLAGE_H

#include "net/http.h"
#include "services/door/proxy.h"

struct door_camouflage;
struct gh_worker;

/* Borrowed while a call lasts. */
struct door_camouflage_conf {
    const char *server; /* value of the field server in answers that are our own; "": none */
    const char *site;   /* the folder; "": none */
    bool has_proxy;
    struct door_proxy_conf proxy; /* its server is the one above */
};

/* 0, GH_ERR_MEMORY, or why the folder cannot be opened: GH_ERR_NOT_FOUND, GH_ERR_DENIED, GH_ERR_SYSTEM. */
int door_camouflage_create(struct gh_worker *w, const struct door_camouflage_conf *conf, struct door_camouflage **ret);
/* For requests from now on. As above; on failure nothing changes. */
int door_camouflage_set(struct door_camouflage *c, const struct door_camouflage_conf *conf);
/* After the last stream that its handler got is closed; look-ups and reads under way end by themselves. Accepts NULL. */
void door_camouflage_destroy(struct door_camouflage *c);
struct gh_http_handler door_camouflage_handler(struct door_camouflage *c);

#endif
