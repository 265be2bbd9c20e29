/* Requests for tunnels that show a token instead of a certificate. Whose it is not meets what strangers meet. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "core/audit.h"
#include "crypto/hash.h"
#include "net/http.h"
#include "ports/tunnel_acceptor.h"
#include "services/door/door_internal.h"
#include "services/door/door_token_stream.h"

#define VERIFYING_MAX 256u /* tokens that wait for their turn, of all workers: some seconds' worth */

/* A token that is being verified. The worker's part of the door may be gone when that is done; then so is the stream. */
struct verification {
    struct door_worker *dw;
    struct door *d;
    struct door_token_stream *stream; /* NULL: it ended meanwhile */
    struct door_users *users;         /* counted */
    struct door_credentials credentials;
    const struct gh_user *user;
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

static void tell(struct door_worker *dw, const struct gh_http_stream *s, const char *name, bool ok, enum door_token how)
{
    const struct gh_http_peer *peer = gh_http_peer(s);
    struct gh_audit_record rec = {
        .event = ok ? GH_AUDIT_AUTH_SUCCESS : GH_AUDIT_AUTH_FAIL,
        .action = ok ? GH_AUDIT_ALLOW : GH_AUDIT_DENY,
        .message = ok ? "token accepted" : "token refused",
        .client_id = name,
        .source_ip = peer->addr,
        .reason = ok ? NULL : how == DOOR_TOKEN_BUSY ? "too many tokens are being verified" : "no such user, or another token",
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

static void verified(struct gh_worker *w, void *arg)
{
    struct verification *v = arg;
    struct door_token_stream *t = v->stream;
    bool ok = v->result == 0;

    (void)w;
    if (t) {
        tell(v->dw, (struct gh_http_stream *)t, v->credentials.name, ok, ok ? DOOR_TOKEN_ACCEPTED : DOOR_TOKEN_REFUSED);
        door_token_stream_open(t, ok ? v->user->name : NULL, ok ? v->user->credential : 0, serve, v->dw);
    }
    release(v);
}

static void on_gone(void *arg)
{
    struct verification *v = arg;

    v->stream = NULL;
}

/* False: there is no room for it. */
static bool begin(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head, struct door_users *users, const struct door_credentials *c)
{
    struct verification *v = atomic_fetch_add(&dw->d->verifying, 1) < VERIFYING_MAX ? calloc(1, sizeof *v) : NULL;

    if (!v) {
        atomic_fetch_sub(&dw->d->verifying, 1);
        return false;
    }
    *v = (struct verification){ .dw = dw, .d = dw->d, .users = door_users_get(users), .credentials = *c };
    v->stream = door_token_stream_create(s, head, on_gone, v);
    if (!v->stream) {
        release(v);
        return false;
    }
    if (gh_worker_offload(dw->w, verify, verified, v) < 0) {
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
    tell(dw, s, user->name, true, DOOR_TOKEN_ACCEPTED);
    door_token_stream_open(t, user->name, user->credential, serve, dw);
    return true;
}

bool door_token_take(struct door_worker *dw, struct gh_http_stream *s, const struct gh_http_head *head)
{
    const struct door_table *table = gh_snapshot_refresh(&dw->d->table, &dw->table);
    const struct gh_user *user = NULL;
    struct door_credentials c;
    bool taken = false;
    int rc;

    if (!table->users || !door_credentials_read(head, &c))
        return false;
    rc = door_users_glance(table->users, &c, &user);
    if (rc == 0 && !gh_http_peer(s)->inside)
        rc = GH_ERR_DENIED; /* the time that it takes would tell every stranger that there are users */
    if (rc >= 0)
        taken = rc == 1 ? let_in(dw, s, head, user) : begin(dw, s, head, table->users, &c);
    if (!taken)
        tell(dw, s, c.name, false, rc < 0 ? DOOR_TOKEN_REFUSED : DOOR_TOKEN_BUSY);
    gh_wipe(&c, sizeof c);
    return taken;
}

/* ---- the file ---- */

static int complain(struct door *d, const char *path, const char *why, int rc)
{
    char line[GH_PRIV_PATH + GH_RUN_WHY];

    snprintf(line, sizeof line, "%s: %s", path, why);
    gh_run_reload_note(d->run, line);
    gh_log_event(d->log, GH_LOG_ERROR, "door", "users cannot be read", gh_log_str("file", path), gh_log_str("reason", why), gh_log_result("error", rc));
    return rc;
}

int door_token_load(struct door *d, const struct gh_door_conf *c, struct door_table *t)
{
    struct gh_conf_errors errors;
    struct gh_users file = { .count = 0 };
    struct gh_text text = { 0 }, lines;
    int rc;

    if (!*c->users_file)
        return 0;
    rc = gh_privileged_read_file(d->run->privileged, c->users_file, GH_USERS_FILE_MAX, &text);
    if (rc < 0)
        return complain(d, c->users_file, gh_privileged_why(d->run->privileged), rc);
    gh_conf_errors_init(&errors);
    errors.file = strdup(c->users_file);
    rc = gh_users_read(gh_span_of(text.data, text.len), &errors, &file);
    if (rc < 0) {
        gh_text_init(&lines, GH_RUN_WHY);
        gh_conf_errors_emit(&errors, &lines);
        complain(d, c->users_file, rc == GH_ERR_MALFORMED ? gh_text_string(&lines) : gh_error_text(rc), rc);
        gh_text_fini(&lines);
    } else {
        rc = door_users_create(&file, &t->users);
    }
    gh_users_fini(&file);
    gh_conf_errors_fini(&errors);
    gh_text_fini(&text);
    return rc;
}

/* ---- what others may ask ---- */

static bool holds(void *self, struct gh_worker *w, const char *user, uint64_t credential)
{
    struct door *d = self;
    struct door_worker *dw = d->at[gh_worker_index(w)];
    const struct door_table *t = dw ? gh_snapshot_refresh(&d->table, &dw->table) : NULL;

    return !t || (t->users && door_users_holds(t->users, user, credential)); /* a door that has ended takes nothing back */
}

void door_token_publish(struct door *d)
{
    d->users = (struct gh_port_users){ holds, d };
    d->run->users = &d->users;
}
