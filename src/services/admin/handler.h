/* services/admin/handler.h - health, readiness, metrics and the operator's API, over any version of HTTP
 *
 * Reads the node through ports only, and answers on the worker on which it is asked. README.md lists the paths.
 */
#ifndef GH_SERVICES_ADMIN_HANDLER_H
#define GH_SERVICES_ADMIN_HANDLER_H

#include <stdint.h>

#include "net/http.h"

struct gh_port_lifecycle;
struct gh_port_metrics;
struct gh_port_readiness;
struct gh_port_sessions;
struct gh_port_status;
struct gh_port_trace;

/* Something that an operator changed, or tried to: for the log and the audit. */
struct gh_admin_action {
    const char *verb;   /* "kick", "reload", "stop", "trace" */
    const char *object; /* the session's id, the client, or "" */
    uint32_t uid;       /* who asked */
    int rc;             /* 0 or GH_ERR_... */
};

struct gh_admin_config {
    /* Ports that are NULL make their paths answer 404; <readiness> must be there. All outlive the service. */
    const struct gh_port_readiness *readiness;
    const struct gh_port_status *status;
    const struct gh_port_sessions *sessions;
    const struct gh_port_lifecycle *lifecycle;
    const struct gh_port_metrics *metrics;
    const char *version;  /* outlives the service */
    uint32_t operator_uid; /* may do what uid 0 may: the user that the node runs as */
    int64_t (*now)(void *self);  /* monotonic, ns */
    int64_t (*wall)(void *self); /* seconds */
    void (*on_action)(void *self, const struct gh_admin_action *action); /* may be NULL */
    void *self; /* first argument of the three */
    const struct gh_port_trace *trace;
};

struct gh_admin;

/* 0 or GH_ERR_MEMORY. Uptime counts from here. */
int gh_admin_create(const struct gh_admin_config *config, struct gh_admin **ret);
/* After every stream has had its on_closed and every reload its end. Accepts NULL. */
void gh_admin_destroy(struct gh_admin *a);
struct gh_http_handler gh_admin_handler(struct gh_admin *a);

#endif
