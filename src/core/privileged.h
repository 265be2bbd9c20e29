/* core/privileged.h - what the node asks of the privileged parent, as a capability that it was given
 *
 * The request table is priv/request.h; bin joins this to the parent's client. Every action returns 0 or a negative GH_ERR_;
 * gh_privileged_why then has words for a person. Descriptors are the caller's.
 */
#ifndef GH_CORE_PRIVILEGED_H
#define GH_CORE_PRIVILEGED_H

#include <stddef.h>

#include "base/ip_addr.h"
#include "core/text.h"
#include "crypto/signer.h"
#include "os/resolve.h"
#include "priv/request.h"

struct gh_privileged {
    void *client;
    int (*call)(void *client, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds, size_t fd_cap, size_t *ret_fd_count);
    int (*event_fd)(void *client);
    int (*event_next)(void *client, struct gh_priv_event *ret); /* 1, 0 for nothing now, GH_ERR_CLOSED */
    char why[GH_PRIV_TEXT];
};

const char *gh_privileged_why(const struct gh_privileged *p);

/* A regular file, read only; with its whole content in the second form, at most <limit> bytes. */
int gh_privileged_open_file(struct gh_privileged *p, const char *path, int *ret_fd);
int gh_privileged_read_file(struct gh_privileged *p, const char *path, size_t limit, struct gh_text *ret);
/* And when the file was written last, wall seconds. */
int gh_privileged_read_dated(struct gh_privileged *p, const char *path, size_t limit, struct gh_text *ret, int64_t *ret_changed);
/* A private key, which stays with the parent: it signs for whoever has <ret>, on any thread, while <p> lives and until it is released.
 * <tls12>: for strangers, in TLS 1.2 as well. */
int gh_privileged_open_key(struct gh_privileged *p, const char *path, bool tls12, struct gh_signer *ret);
int gh_privileged_open_append(struct gh_privileged *p, const char *path, int *ret_fd);
/* A new file of ours that everybody may read, and that goes away with the program. */
int gh_privileged_open_public(struct gh_privileged *p, const char *path, int *ret_fd);
int gh_privileged_open_state_dir(struct gh_privileged *p, const char *path, int *ret_fd);
int gh_privileged_open_unix(struct gh_privileged *p, const char *path, unsigned mode, int *ret_fd);
/* <ret_fds> takes s->count descriptors. */
int gh_privileged_open_udp(struct gh_privileged *p, const struct gh_priv_socket *s, int *ret_fds);
int gh_privileged_open_tcp(struct gh_privileged *p, const struct gh_priv_socket *s, int *ret_fds);
/* A TCP socket of <family>, marked, to be connected: a new one each time. */
int gh_privileged_open_dial(struct gh_privileged *p, uint8_t family, uint32_t mark, int *ret_fd);
int gh_privileged_open_tun(struct gh_privileged *p, const struct gh_priv_tun *t, int *ret_fds, char ret_name[GH_PRIV_DEVICE]);
int gh_privileged_tun_config(struct gh_privileged *p, const struct gh_priv_tun_config *t);
/* The routes of <device> in <table> become exactly these. */
int gh_privileged_routes_set(struct gh_privileged *p, const char *device, uint32_t table, const struct gh_prefix *routes, size_t count);
/* Exactly these are unreachable in <table>, which a rule must lead to, where no better route to the same network is there. */
int gh_privileged_routes_block(struct gh_privileged *p, uint32_t table, const struct gh_prefix *routes, size_t count);
int gh_privileged_rule_add(struct gh_privileged *p, const struct gh_priv_rule *r);
/* TCP and UDP to this host's ports <first>..<last> arrive at <port>; 0, 0, 0 ends that. */
int gh_privileged_hop_set(struct gh_privileged *p, uint16_t port, uint16_t first, uint16_t last);
/* The host's firewall lets TCP and UDP to <f> in until the end. <ret_name>: ufw, firewalld, nftables, or "" where nothing filters. */
int gh_privileged_firewall_open(struct gh_privileged *p, const struct gh_priv_firewall *f, char ret_name[GH_PRIV_DEVICE]);
int gh_privileged_nat_set(struct gh_privileged *p, const char *device, const struct gh_prefix *sources, size_t count);
int gh_privileged_sysctl_set(struct gh_privileged *p, enum gh_priv_sysctl s);
/* From now on an event tells that <path> changed. */
int gh_privileged_watch(struct gh_privileged *p, const char *path, uint32_t *ret_id);
/* A reload: what is not named by gh_privileged_watch between begin and end is watched no more. */
int gh_privileged_watch_begin(struct gh_privileged *p);
int gh_privileged_watch_end(struct gh_privileged *p);
int gh_privileged_notify(struct gh_privileged *p, enum gh_priv_state s, const char *text);
/* The configuration is to be read again: the parent checks it and an event follows. */
int gh_privileged_reload(struct gh_privileged *p);
int gh_privileged_phase_run(struct gh_privileged *p);
/* Any thread, and it blocks: addresses of a host name, in the order in which they are to be tried. */
void gh_privileged_lookup(struct gh_privileged *p, const char *host, uint16_t port, struct gh_resolved *ret);
/* Two sockets, as GH_PRIV_NETLINK says; the caller's. */
int gh_privileged_open_netlink(struct gh_privileged *p, int ret_fds[2]);
int gh_privileged_undo_all(struct gh_privileged *p);

#endif
