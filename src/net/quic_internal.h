/* net/quic_internal.h - shared by the files of the QUIC endpoint
 *
 * quic_endpoint.c: sockets and links; quic_answer.c: what strangers are told without keeping anything; quic_group.c: how ids are
 * made; quic_cids.c: whose they are; quic_hop.c: ports of the server that change.
 */
#ifndef GH_NET_QUIC_INTERNAL_H
#define GH_NET_QUIC_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "net/quic_endpoint.h"
#include "net/quic_memory.h"
#include "net/source_budget.h"
#include "proto/quic/token.h"

struct gh_quic_link {
    struct gh_quic_endpoint *e;
    struct gh_quic *quic;
    void *app_arg;
    struct gh_list cids;
    struct gh_list dirty; /* in e->dirty while something may have to be sent */
    struct gh_list all;
    struct gh_deadline deadline;
    uint64_t told_full, told_delay, told_shrunk, told_lost, told_updates, told_probes, told_holes; /* of the connection's counters */
    bool half_open, closed, attached;
    bool accepted; /* a stranger's */
    bool proved;   /* its address, before anything was kept */
    bool gone; /* being destroyed: whoever is told of it may not wake it again */
    struct gh_quic_close why;
    struct gh_quic_addr came_from; /* server: the address of its first packet */
    struct gh_tls_ctx *tls; /* client: to resume with */
    char *server_name;
    struct gh_endpoint server;
    struct gh_quic_hop hop;
    struct gh_tls_session *session; /* that it resumes */
};

struct gh_quic_endpoint {
    struct gh_quic_endpoint_config cfg;
    struct gh_udp udp;
    struct gh_poll *poll;
    struct gh_map cids;
    struct gh_hash_seed seed;
    struct gh_random_pool random;
    struct gh_source_budget sources;
    struct gh_list dirty, all;
    struct gh_turn_hook hook;
    struct gh_quic_endpoint_counters counters;
    unsigned links, half_open;
    unsigned resets_left; /* in the second that began at resets_since */
    int64_t resets_since;
    bool refuse_new, blocked;
    struct gh_quic_batch batch; /* written, and not yet all sent when <blocked> */
    uint16_t batch_port;        /* where it goes in place of what the path says; 0: there */
    size_t batch_sent;
    uint8_t *slab, *out;
    struct gh_quic_memory *memory, own_memory; /* client */
};

/* For the endpoint's map. */
bool gh_quic_cids_equal(const struct gh_map_node *node, const void *key);
/* Whose packet with this id from there is; NULL: nobody's. */
struct gh_quic_link *gh_quic_cids_find(struct gh_quic_endpoint *e, const struct gh_quic_cid *cid, const struct gh_quic_addr *remote);
/* <chosen_by>: a client chose it, so it is nobody else's; borrowed; NULL: all may come with it. 0 or GH_ERR_MEMORY. */
int gh_quic_cids_add(struct gh_quic_link *l, const struct gh_quic_cid *cid, const struct gh_quic_addr *chosen_by);
void gh_quic_cids_remove(struct gh_quic_link *l, const struct gh_quic_cid *cid);
void gh_quic_cids_clear(struct gh_quic_link *l);
/* <path> of a packet for <l> as the engine is to see it. True when that is another one. */
bool gh_quic_hop_inward(const struct gh_quic_link *l, struct gh_quic_path *path);
void gh_quic_endpoint_drop(struct gh_quic_endpoint *e, enum gh_drop why, uint64_t count);

/* The last byte of an id whose first seven are <cid>, for a worker. */
uint8_t gh_quic_group_last_byte(const struct gh_quic_group *g, const uint8_t cid[GH_QUIC_CID_LEN], unsigned worker);

/* A fresh id that leads to this endpoint. */
int gh_quic_answer_cid(struct gh_quic_endpoint *e, struct gh_quic_cid *ret);
int gh_quic_answer_reset_token(const struct gh_quic_endpoint *e, const struct gh_quic_cid *cid, uint8_t ret[GH_QUIC_RESET_TOKEN]);
struct gh_quic_tokens gh_quic_answer_tokens(const struct gh_quic_endpoint *e);
/* May a connection be made from <first>? Its token is read; when it may not, whoever sent it was told what to do. */
bool gh_quic_answer_admits(struct gh_quic_endpoint *e, struct gh_quic_initial *first, const struct gh_quic_path *path);
void gh_quic_answer_retry(struct gh_quic_endpoint *e, const struct gh_quic_initial *first, const struct gh_quic_path *path);
void gh_quic_answer_version(struct gh_quic_endpoint *e, const struct gh_quic_initial *first, const struct gh_quic_path *path);
void gh_quic_answer_reset(struct gh_quic_endpoint *e, const struct gh_quic_cid *cid, size_t len, const struct gh_quic_path *path);

#endif
