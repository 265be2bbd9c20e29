/* The camouflage as the configuration has it: read at start and at each reload. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "crypto/tls.h"
#include "os/tree.h"
#include "services/door/camouflage.h"
#include "services/door/door_internal.h"

#define CA_MAX (4u << 20) /* bytes of a file of certificates */

static int complain(struct door *d, const char *path, const char *what, const char *why, int rc)
{
    char line[GH_PRIV_PATH + 512];

    snprintf(line, sizeof line, "%s: %s", path, why);
    gh_run_reload_note(d->run, line);
    gh_log_event(d->log, GH_LOG_ERROR, "door", what, gh_log_str("file", path), gh_log_str("reason", why), gh_log_result("error", rc));
    return rc;
}

static int load_tls(struct door *d, const struct gh_door_conf *c, struct gh_tls_ctx **ret)
{
    struct gh_tls_config tls = { .alpn = "http/1.1" };
    struct gh_text pem = { 0 };
    char why[256] = "";
    int rc = gh_privileged_read_file(d->run->privileged, c->camouflage_ca, CA_MAX, &pem);

    if (rc < 0)
        return complain(d, c->camouflage_ca, "CAs of the camouflage cannot be read", gh_privileged_why(d->run->privileged), rc);
    tls.ca = gh_span_of(pem.data, pem.len);
    rc = gh_tls_ctx_create(&tls, ret, why, sizeof why);
    gh_text_fini(&pem);
    return rc < 0 ? complain(d, c->camouflage_ca, "CAs of the camouflage cannot be used", why, rc) : 0;
}

/* Better now than at the first request. */
static int look_at_site(struct door *d, const char *site)
{
    struct gh_tree_file folder = { .fd = -1 };
    int tree = gh_tree_open(site), rc = tree < 0 ? tree : gh_tree_open_file(tree, "", &folder);

    gh_tree_close(tree);
    return rc < 0 ? complain(d, site, "the folder of the camouflage cannot be read", gh_error_text(rc), rc) : 0;
}

int door_camouflage_load(struct door *d, const struct gh_door_conf *c, const struct door_camouflage_conf *running, struct door_camouflage_conf **ret)
{
    struct door_camouflage_conf *made = calloc(1, sizeof *made);
    int rc = GH_ERR_MEMORY;

    if (!made)
        return rc;
    made->site = strdup(running ? running->site : c->site);
    made->server = strdup(c->server);
    made->proxy.authority = strdup(c->has_proxy ? c->proxy.authority : "");
    if (made->site && made->server && made->proxy.authority)
        rc = 0;
    made->has_proxy = c->has_proxy;
    made->proxy.keep_host = c->keep_host;
    made->proxy.forwarded = c->forwarded;
    made->proxy.timeout = c->camouflage_timeout;
    made->proxy.pool = (struct door_proxy_pool_conf){ .origin = c->proxy.origin, .connect_timeout = c->connect_timeout, .lookup = door_lookup, .lookup_arg = d };
    if (rc == 0 && c->has_proxy && c->proxy.secure)
        rc = load_tls(d, c, &made->proxy.pool.tls);
    if (rc == 0 && !running && *made->site)
        rc = look_at_site(d, made->site);
    if (rc < 0) {
        door_camouflage_conf_destroy(made);
        return rc;
    }
    *ret = made;
    return 0;
}

void door_camouflage_conf_destroy(struct door_camouflage_conf *c)
{
    if (!c)
        return;
    gh_tls_ctx_put(c->proxy.pool.tls);
    free((char *)c->site);
    free((char *)c->server);
    free((char *)c->proxy.authority);
    free(c);
}
