#include "services/door/camouflage.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "services/door/page.h"
#include "services/door/site.h"

struct door_camouflage {
    struct gh_worker *w;
    struct door_site *site; /* one of the two */
    struct door_proxy *proxy;
    char *server;
};

static void on_request(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct door_camouflage *c = arg;

    if (c->proxy)
        door_proxy_serve(c->proxy, s, head);
    else
        door_site_serve(c->site, s, head);
}

int door_camouflage_set(struct door_camouflage *c, const struct door_camouflage_conf *conf)
{
    struct door_site *site = NULL;
    struct door_proxy *proxy = NULL;
    struct door_proxy_conf p = conf->proxy;
    char *server = strdup(conf->server);
    int rc = server ? 0 : GH_ERR_MEMORY;

    p.server = conf->server;
    if (rc < 0)
        return rc;
    if (conf->has_proxy)
        rc = door_proxy_create(c->w, &p, &proxy);
    else
        rc = door_site_create(c->w, conf->server, *conf->site ? conf->site : NULL, &site);
    if (rc < 0) {
        free(server);
        return rc;
    }
    door_site_put(c->site);
    door_proxy_put(c->proxy);
    free(c->server);
    c->server = server;
    c->site = site;
    c->proxy = proxy;
    return 0;
}

int door_camouflage_create(struct gh_worker *w, const struct door_camouflage_conf *conf, struct door_camouflage **ret)
{
    struct door_camouflage *c = calloc(1, sizeof *c);
    int rc;

    if (!c)
        return GH_ERR_MEMORY;
    c->w = w;
    rc = door_camouflage_set(c, conf);
    if (rc < 0) {
        free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void door_camouflage_destroy(struct door_camouflage *c)
{
    if (!c)
        return;
    door_site_put(c->site);
    door_proxy_put(c->proxy);
    free(c->server);
    free(c);
}

void door_camouflage_refuse(void *camouflage, struct gh_http_stream *s, unsigned status)
{
    const struct door_camouflage *c = camouflage;
    struct door_answer a;

    door_answer_begin(&a, c->server, gh_worker_wall(c->w));
    door_page_respond(s, &a, status, false);
}

struct gh_http_handler door_camouflage_handler(struct door_camouflage *c)
{
    return (struct gh_http_handler){ on_request, c };
}
