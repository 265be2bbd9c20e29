/* loop/edges.h - sockets whose readiness is told when it changes: one system call in the life of each
 *
 * For connections that come and go by the thousand in a second; a poll of loop/worker.h costs two calls more for each and one
 * for every change of mind. The callee reads or writes until GH_ERR_AGAIN, or remembers that there is more: nobody tells it
 * again. A set belongs to one worker.
 */
#ifndef GH_LOOP_EDGES_H
#define GH_LOOP_EDGES_H

#include "loop/worker.h"

#define GH_EDGE_READ 1u   /* bytes came, or the end of them */
#define GH_EDGE_WRITE 2u  /* there is room again */
#define GH_EDGE_END 4u    /* the peer sends no more: read up to the end */
#define GH_EDGE_URGENT 16u /* one byte of urgent data came */
#define GH_EDGE_FAILED 8u /* reset, or the connection could not be made */

struct gh_edge {
    void (*fn)(struct gh_edge *e, unsigned events); /* may be changed at any time */
};

struct gh_edges;

/* 0, GH_ERR_MEMORY or GH_ERR_SYSTEM. */
int gh_edges_create(struct gh_worker *w, struct gh_edges **ret);
void gh_edges_destroy(struct gh_edges *s); /* the sockets stay their owners'; accepts NULL */
/* What is ready already is told in the next turn. 0, GH_ERR_FULL or GH_ERR_SYSTEM. */
int gh_edges_add(struct gh_edges *s, int fd, struct gh_edge *e);
/* No call any more, not even for what was read already. The caller closes the descriptor, of which there must be no copy: that takes it
 * out of the set. */
void gh_edges_forget(struct gh_edges *s, const struct gh_edge *e);

/* For a descriptor that lives on elsewhere, after gh_edges_forget. */
void gh_edges_remove(struct gh_edges *s, int fd);

#endif
