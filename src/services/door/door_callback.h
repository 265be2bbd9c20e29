/* services/door/door_callback.h - somebody else who knows whether a token is a user's: asked by HTTP, and remembered for a while
 *
 * POST with "user=NAME&token=TOKEN" (application/x-www-form-urlencoded). 200 and 204 are a yes; 400, 401, 403, 404 and 422 are a no; all else, and silence, is no
 * answer, which lets nobody in and is not remembered. What is remembered is a keyed digest of 16 bytes. A token is written to nothing but the connection.
 *
 * What is configured and remembered is shared by the workers; each has a pool of connections of its own, and waits for nobody.
 */
#ifndef GH_SERVICES_DOOR_DOOR_CALLBACK_H
#define GH_SERVICES_DOOR_DOOR_CALLBACK_H

#include "services/door/door_users.h"
#include "services/door/proxy_pool.h"

#define DOOR_CALLBACK_KNOWN 4096u /* answers that are remembered */
#define DOOR_CALLBACK_ANSWER 65536u /* bytes of an answer's body, of which nothing is used */

struct door_callback;
struct door_callback_call;
struct door_callback_conf;

struct door_callback_options {
    struct door_url url;
    const char *path;
    struct gh_tls_ctx *tls; /* for https: a reference is taken; NULL: none */
    int64_t timeout, good_for, refused_for; /* ns */
    unsigned calls; /* at a time, of all workers */
};

/* Copies. 0, GH_ERR_CRYPTO or GH_ERR_MEMORY. */
int door_callback_conf_create(const struct door_callback_options *o, struct door_callback_conf **ret);
struct door_callback_conf *door_callback_conf_get(struct door_callback_conf *c);
void door_callback_conf_put(struct door_callback_conf *c); /* accepts NULL */

/* What was answered before: 1 yes, GH_ERR_DENIED no, 0 nothing that still counts. Any thread. <now>: ns. */
int door_callback_recall(struct door_callback_conf *c, const struct door_credentials *who, int64_t now);
void door_callback_remember(struct door_callback_conf *c, const struct door_credentials *who, bool good, int64_t now);
/* What whoever was let in by this callback has as a credential (net/http.h): the same as long as it is the same URL, and no user's of a file. */
uint64_t door_callback_credential(const struct door_callback_conf *c);

/* Of one worker. <lookup> as in struct door_proxy_pool_conf. */
int door_callback_create(struct gh_worker *w, struct door_callback_conf *conf, int64_t connect_timeout,
                         void (*lookup)(void *arg, const char *host, uint16_t port, struct gh_resolved *ret), void *arg, struct door_callback **ret);
/* Calls under way go on. Accepts NULL. */
void door_callback_put(struct door_callback *c);
struct door_callback_conf *door_callback_of(const struct door_callback *c);
/* Asks; <done> comes later, once: 0, GH_ERR_DENIED, or that there is no answer. NULL: too many are asked, or no memory. */
struct door_callback_call *door_callback_ask(struct door_callback *c, const struct door_credentials *who, void (*done)(void *arg, int rc), void *arg);
/* Nobody waits for it any more: it is given up. */
void door_callback_forget(struct door_callback_call *call);

#endif
