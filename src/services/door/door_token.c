/* Requests for tunnels that show a token instead of a certificate. Whose it is not meets what strangers meet. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "core/audit.h"
#include "crypto/hash.h"
#include "net/http.h"
#include "ports/tunnel_acceptor.h"
#include "services/door/door_callback.h"
#include "services/door/door_internal.h"
#include "services/door/door_token_stream.h"

#define CA_MAX (4u << 20) /* bytes of a file of certificates */
#define VERIFYING_MAX 256u /* tokens that wait for their turn, of all workers: some seconds' worth */

/* A token that is being verified. The worker's part of the door may be gone when that is done; then so is the stream. */
struct verification {
    struct door_worker *dw;
    struct door *d;
    struct door_token_stream *stream; /* NULL: it ended meanwhile */
    struct door_users *users;         /* counted; NULL: there are none */
    struct door_callback_call *call;  /* NULL: nobody else is asked now */
    struct door_credentials credentials;
    const struct gh_user *user;
    uint64_t credential;              /* of whoever the callback lets in */
    int result;
};

/* ---- the verdict ---- */

static void serve(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct door_worker *dw = arg;
    const struct gh_port_tunnels *t = dw->d->run->tunnels;

    if (t && gh_http_peer(s)->identity[0])
        t->serve(t->self, dw->w, s, head);
    else
        door_stranger(dw, s, head);
}

static void tell(struct door_worker *dw, const struct gh_http_stream *s, const char *name, enum door_token how)
{
    static const char *const reasons[] = { [DOOR_TOKEN_REFUSED] = "no such user, or another token", [DOOR_TOKEN_BUSY] = "too many tokens are being verified",
                                           [DOOR_TOKEN_UNANSWERED] = "the callback did not answer" };
    const struct gh_http_peer *peer = gh_http_peer(s);
    bool ok = how == DOOR_TOKEN_ACCEPTED;
    struct gh_audit_record rec = {
        .event = ok ? GH_AUDIT_AUTH_SUCCESS : GH_AUDIT_AUTH_FAIL,
        .action = ok ? GH_AUDIT_ALLOW : GH_AUDIT_DENY,
        .message = ok ? "token accepted" : "token refused",
        .client_id = name,
        .source_ip = peer->addr,
        .reason = reasons[how],
    };

    door_count(dw, DOOR_METRIC_TOKENS, how);
    gh_audit_write(gh_node_audit(dw->d->node), &rec);
    gh_log_event(dw->d->log, ok ? GH_LOG_DEBUG : GH_LOG_INFO, "door", rec.message, gh_log_str("client_id", name), gh_log_ip("peer", &peer->addr));
}

static void verify(void *arg)
{
    struct verification *v = arg;

    v->result = door_users_verify(v->users, &v->credentials, &v->user);
}

static void release(struct verification *v)
{
    atomic_fetch_sub(&v->d->verifying, 1);
    door_users_destroy(v->users);
    gh_wipe(v, sizeof *v);
    free(v);
}

static void finish(struct verification *v, enum door_token how, const char *name, uint64_t credential)
{
    tell(v->dw, (struct gh_http_stream *)v->stream, v->credentials.name, how);
    door_token_stream_open(v->stream, how == DOOR_TOKEN_ACCEPTED ? name : NULL, credential, serve, v->dw);
    release(v);
}

/* ---- somebody else who may know ---- */

/* That of the table as it is now; NULL: there is none. */
static struct door_callback *callback_of(struct door_worker *dw)
{
    const struct door_table *t = gh_snapshot_refresh(&dw->d->table, &dw->table);

    if (dw->callback && door_callback_of(dw->callback) != t->callback) {
        door_callback_put(dw->callback);
        dw->callback = NULL;
    }
    if (!dw->callback && t->callback && door_callback_create(dw->w, t->callback, t->connect_timeout, door_lookup, dw->d, &dw->callback) < 0)
        dw->callback = NULL;
    return dw->callback;
}

static void called(void *arg, int rc)
{
    struct verification *v = arg;

    v->call = NULL;
    finish(v, rc == 0 ? DOOR_TOKEN_ACCEPTED : rc == GH_ERR_DENIED ? DOOR_TOKEN_REFUSED : DOOR_TOKEN_UNANSWERED, v->credentials.name,
           v->credential);
}

/* The file of users has not accepted it, whichever of its two reasons there was. */
static void ask_others(struct verification *v)
{
    struct door_callback *c = callback_of(v->dw);
    int rc = c ? door_callback_recall(door_callback_of(c), &v->credentials, gh_worker_now(v->dw->w)) : GH_ERR_DENIED;

    v->credential = c ? door_callback_credential(door_callback_of(c)) : 0;
    if (rc == 0)
        v->call = door_callback_ask(c, &v->credentials, called, v);
    if (rc == 1)
        finish(v, DOOR_TOKEN_ACCEPTED, v->credentials.name, v->credential);
    else if (!v->call)
        finish(v, rc < 0 ? DOOR_TOKEN_REFUSED : DOOR_TOKEN_BUSY, NULL, 0);
}

/* ---- the file of users ---- */

static void verified(struct gh_worker *w, void *arg)
{
    struct verification *v = arg;

    (void)w;
    if (!v->stream)
        release(v);
    else if (v->result == 0)
        finish(v, DOOR_TOKEN_ACCEPTED, v->user->name, v->user->credential);
    else
        ask_others(v);
}

static void on_gone(void *arg)
{
    struct verification *v = arg;

    v->stream = NULL;
    if (!v->call)
        return; /* the thread that verifies still has it */
    door_callback_forget(v->call);
    release(v);
}

/* False: there is no room for it. <slow>: the file's hashes take their time. */
static bool begin(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head, struct door_users *users, const struct door_credentials *c,
                  bool slow)
{
    struct verification *v = atomic_fetch_add(&dw->d->verifying, 1) < VERIFYING_MAX ? calloc(1, sizeof *v) : NULL;

    if (!v) {
        atomic_fetch_sub(&dw->d->verifying, 1);
        return false;
    }
    *v = (struct verification){ .dw = dw, .d = dw->d, .users = users ? door_users_get(users) : NULL, .credentials = *c };
    v->stream = door_token_stream_create(s, head, on_gone, v);
    if (!v->stream) {
        release(v);
        return false;
    }
    if (!slow) {
        ask_others(v);
    } else if (gh_worker_offload(dw->w, verify, verified, v) < 0) {
        v->result = GH_ERR_MEMORY;
        verified(dw->w, v);
    }
    return true;
}

static void none(void *arg)
{
    (void)arg;
}

static bool let_in(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head, const struct gh_user *user)
{
    struct door_token_stream *t = door_token_stream_create(s, head, none, NULL);

    if (!t)
        return false;
    tell(dw, s, user->name, DOOR_TOKEN_ACCEPTED);
    door_token_stream_open(t, user->name, user->credential, serve, dw);
    return true;
}

bool door_token_take(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head)
{
    const struct door_table *table = gh_snapshot_refresh(&dw->d->table, &dw->table);
    const struct gh_user *user = NULL;
    struct door_credentials c;
    bool taken = false, asks = gh_http_peer(s)->inside;
    int rc;

    if ((!table->users && !table->callback) || !door_credentials_read(head, &c))
        return false;
    rc = table->users ? door_users_glance(table->users, &c, &user) : GH_ERR_DENIED;
    if (rc == 1)
        taken = let_in(dw, s, head, user);
    else if (!asks) /* the time that it takes would tell every stranger that somebody is asked */
        rc = GH_ERR_DENIED;
    else if (rc == 0 || table->callback)
        taken = begin(dw, s, head, table->users, &c, rc == 0);
    if (!taken)
        tell(dw, s, c.name, rc < 0 && !(asks && table->callback) ? DOOR_TOKEN_REFUSED : DOOR_TOKEN_BUSY);
    gh_wipe(&c, sizeof c);
    return taken;
}

void door_token_stop(struct door_worker *dw)
{
    door_callback_put(dw->callback);
    dw->callback = NULL;
}

/* ---- the file ---- */

static int complain(struct door *d, const char *path, const char *what, const char *why, int rc)
{
    char line[GH_PRIV_PATH + GH_RUN_WHY];

    snprintf(line, sizeof line, "%s: %s", path, why);
    gh_run_reload_note(d->run, line);
    gh_log_event(d->log, GH_LOG_ERROR, "door", what, gh_log_str("file", path), gh_log_str("reason", why), gh_log_result("error", rc));
    return rc;
}

static int load_callback_tls(struct door *d, const struct gh_door_conf *c, struct gh_tls_ctx **ret)
{
    struct gh_tls_config tls = { .alpn = "http/1.1" };
    struct gh_text pem = { 0 };
    char why[256] = "";
    int rc = gh_privileged_read_file(d->run->privileged, c->callback_ca, CA_MAX, &pem);

    if (rc < 0)
        return complain(d, c->callback_ca, "CAs of the callback cannot be read", gh_privileged_why(d->run->privileged), rc);
    tls.ca = gh_span_of(pem.data, pem.len);
    rc = gh_tls_ctx_create(&tls, ret, why, sizeof why);
    gh_text_fini(&pem);
    return rc < 0 ? complain(d, c->callback_ca, "CAs of the callback cannot be used", why, rc) : 0;
}

static int load_callback(struct door *d, const struct gh_door_conf *c, struct door_table *t)
{
    struct door_callback_options o = { .url = c->callback, .path = c->callback_path, .timeout = c->callback_timeout, .good_for = c->callback_cache,
                                       .refused_for = c->callback_refused, .calls = c->callback_calls };
    int rc = c->has_callback && c->callback.secure ? load_callback_tls(d, c, &o.tls) : 0;

    if (rc == 0 && c->has_callback)
        rc = door_callback_conf_create(&o, &t->callback);
    gh_tls_ctx_put(o.tls);
    return rc;
}

static int load_users(struct door *d, const struct gh_door_conf *c, struct door_table *t)
{
    struct gh_conf_errors errors;
    struct gh_users file = { .count = 0 };
    struct gh_text text = { 0 }, lines;
    int rc;

    if (!*c->users_file)
        return 0;
    rc = gh_privileged_read_file(d->run->privileged, c->users_file, GH_USERS_FILE_MAX, &text);
    if (rc < 0)
        return complain(d, c->users_file, "users cannot be read", gh_privileged_why(d->run->privileged), rc);
    gh_conf_errors_init(&errors);
    errors.file = strdup(c->users_file);
    rc = gh_users_read(gh_span_of(text.data, text.len), &errors, &file);
    if (rc < 0) {
        gh_text_init(&lines, GH_RUN_WHY);
        gh_conf_errors_emit(&errors, &lines);
        complain(d, c->users_file, "users cannot be read", rc == GH_ERR_MALFORMED ? gh_text_string(&lines) : gh_error_text(rc), rc);
        gh_text_fini(&lines);
    } else {
        rc = door_users_create(&file, &t->users);
    }
    gh_users_fini(&file);
    gh_conf_errors_fini(&errors);
    gh_text_fini(&text);
    return rc;
}

int door_token_load(struct door *d, const struct gh_door_conf *c, struct door_table *t)
{
    int rc = load_users(d, c, t);

    return rc < 0 ? rc : load_callback(d, c, t);
}

/* ---- what others may ask ---- */

static bool holds(void *self, struct gh_worker *w, const char *user, uint64_t credential)
{
    struct door *d = self;
    struct door_worker *dw = d->at[gh_worker_index(w)];
    const struct door_table *t = dw ? gh_snapshot_refresh(&d->table, &dw->table) : NULL;

    return !t || (t->users && door_users_holds(t->users, user, credential)) || /* a door that has ended takes nothing back */
           (t->callback && door_callback_credential(t->callback) == credential);
}

void door_token_publish(struct door *d)
{
    d->users = (struct gh_port_users){ holds, d };
    d->run->users = &d->users;
}
