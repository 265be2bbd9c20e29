/* priv/client.h - the child's side of the request table
 *
 * Requests are synchronous; any thread may make them, one at a time goes out. Events come on a descriptor of their own. Nobody waits
 * for ever: a parent that does not answer (it was stopped, or its disk is) is GH_ERR_TIMEOUT after a while, and signatures are then
 * refused at once until it has answered what it owes.
 * Every action returns 0 or what the parent answered; gh_priv_client_error tells a person more.
 */
#ifndef GH_PRIV_CLIENT_H
#define GH_PRIV_CLIENT_H

#include <stddef.h>

#include "priv/request.h"

struct gh_priv_client;

#define GH_PRIV_SIGN_PATIENCE 1 /* s: for a signature, which a worker waits for in the middle of its turn */
#define GH_PRIV_PATIENCE 10     /* s: for anything else; three times as long for what another program does */

/* Takes both descriptors (a request and an event channel). The parent's fork does this for the child. */
int gh_priv_client_create(int request_fd, int event_fd, struct gh_priv_client **ret);
void gh_priv_client_destroy(struct gh_priv_client *c);

/* Any request. <ret_fds> takes at most <fd_cap> descriptors, the caller's from then on; the rest is GH_ERR_MALFORMED.
 * GH_ERR_CLOSED: the parent is gone, the child should end. GH_ERR_TIMEOUT: it does not answer; what was asked may still be done.
 * <ret> may be NULL. */
int gh_priv_call(struct gh_priv_client *c, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds,
                 size_t fd_cap, size_t *ret_fd_count);
/* The parent's text for the last request that failed, with errno; "" when none did. Copied out; returns <buf>. */
const char *gh_priv_client_error(struct gh_priv_client *c, char buf[GH_PRIV_TEXT]);

/* Poll this for reading, then call gh_priv_event_next until it returns 0. */
int gh_priv_event_fd(const struct gh_priv_client *c);
/* 1 and <ret>, 0 for nothing now, GH_ERR_CLOSED when the parent is gone. */
int gh_priv_event_next(struct gh_priv_client *c, struct gh_priv_event *ret);

/* ---- the requests, spelled out ---- */

int gh_priv_open_file(struct gh_priv_client *c, const char *path, int *ret_fd);
int gh_priv_open_append(struct gh_priv_client *c, const char *path, int *ret_fd);
int gh_priv_open_state_dir(struct gh_priv_client *c, const char *path, int *ret_fd);
int gh_priv_open_unix(struct gh_priv_client *c, const char *path, unsigned mode, int *ret_fd);
/* <ret_fds> takes s->count descriptors; <ret_port> (may be NULL) the port that they share. */
int gh_priv_open_udp(struct gh_priv_client *c, const struct gh_priv_socket *s, int *ret_fds, uint16_t *ret_port);
int gh_priv_open_tcp(struct gh_priv_client *c, const struct gh_priv_socket *s, int *ret_fds, uint16_t *ret_port);
/* <ret_fds> takes t->queues descriptors, <ret_name> the real name. */
int gh_priv_open_tun(struct gh_priv_client *c, const struct gh_priv_tun *t, int *ret_fds, char ret_name[GH_PRIV_DEVICE]);
int gh_priv_tun_config(struct gh_priv_client *c, const struct gh_priv_tun_config *t);
/* The routes of <device> in <table> become exactly <routes>, any number. <device> "": unreachable. */
int gh_priv_routes_set(struct gh_priv_client *c, const char *device, uint32_t table, uint32_t metric,
                       const struct gh_prefix *routes, size_t count);
int gh_priv_rule_add(struct gh_priv_client *c, const struct gh_priv_rule *r);
int gh_priv_nat_set(struct gh_priv_client *c, const char *device, const struct gh_prefix *sources, size_t count);
int gh_priv_sysctl_set(struct gh_priv_client *c, enum gh_priv_sysctl s);
/* <ret_schemes> takes up to 8 numbers. */
int gh_priv_key_open(struct gh_priv_client *c, const char *path, uint32_t *ret_key, uint16_t ret_schemes[8],
                     size_t *ret_scheme_count);
/* Signature over <data> (hashed inside as the scheme says). <ret> takes GH_PRIV_DATA bytes. */
int gh_priv_sign(struct gh_priv_client *c, uint32_t key, uint16_t scheme, const void *data, size_t len, uint8_t *ret,
                 size_t *ret_len);
/* Watch a file before opening it: then no change is missed. */
int gh_priv_watch(struct gh_priv_client *c, const char *path, uint32_t *ret_id);
int gh_priv_notify(struct gh_priv_client *c, enum gh_priv_state s, const char *text);
/* As SIGHUP would: an event follows. */
int gh_priv_reload(struct gh_priv_client *c);
int gh_priv_phase_run(struct gh_priv_client *c);
int gh_priv_undo_all(struct gh_priv_client *c);

#endif
