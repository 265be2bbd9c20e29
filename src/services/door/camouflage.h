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

struct door;
struct gh_door_conf;

/* Borrowed while a call lasts, and never changed. */
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
/* The page of an ordinary server for what no handler can be asked: on_refused of net/http1_server.h where that handler serves. */
void door_camouflage_refuse(void *c, struct gh_http_stream *s, unsigned status);

/* camouflage_load.c: on the thread that runs the node. What <c> says, with the certificates of CAs that it names, for all workers. <running>: what a
 * reload takes the place of, whose folder stays, because the sandbox knows no other; NULL at start. 0, or an error that was logged. */
int door_camouflage_load(struct door *d, const struct gh_door_conf *c, const struct door_camouflage_conf *running, struct door_camouflage_conf **ret);
void door_camouflage_conf_destroy(struct door_camouflage_conf *c); /* accepts NULL */

#endif
