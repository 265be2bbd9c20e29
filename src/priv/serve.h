/* priv/serve.h - the parent's answers to requests: what is allowed, what is kept, what is done
 *
 * A kept descriptor (socket, device, state folder) belongs to the request that asked for it, word for word: the next child
 * that asks the same gets the same. What the next child has not asked for when it enters PHASE_RUN is given up.
 */
#ifndef GH_PRIV_SERVE_H
#define GH_PRIV_SERVE_H

#include "priv/changes.h"
#include "priv/parent.h"
#include "priv/watch.h"

struct gh_serve;

/* One child: its phase and what it was granted. */
struct gh_serve_child {
    struct gh_list grants;
    size_t grant_count;
    uint64_t generation;
    bool run;    /* PHASE_RUN */
    bool reload; /* a short-lived one that checks a new configuration */
};

struct gh_answer {
    struct gh_priv_reply reply;
    int fds[GH_PRIV_QUEUES];
    size_t fd_count;
    bool fresh; /* the descriptors are the receiver's alone: close them after sending */
};

/* <changes> and <watches> stay the caller's and outlive it. <notify_socket>: $NOTIFY_SOCKET, may be NULL; copied. */
int gh_serve_create(const struct gh_priv_config *cfg, struct gh_changes *changes, struct gh_watches *watches,
                    const char *notify_socket, struct gh_serve **ret);
/* Closes everything kept. The changes are the caller's to undo, before. */
void gh_serve_destroy(struct gh_serve *s);
/* The child's first deed after the fork: forgets the private keys. */
void gh_serve_wipe_keys(struct gh_serve *s);
/* Is it the path of a private key? Its descriptor never goes to a child. */
bool gh_serve_is_key(const struct gh_serve *s, const char *path);
/* A process that it started may have ended. */
void gh_serve_reap(struct gh_serve *s);

void gh_serve_child_init(struct gh_serve *s, struct gh_serve_child *c, bool reload);
void gh_serve_child_fini(struct gh_serve_child *c);
/* What <from> was granted, <to> may ask for as well. */
int gh_serve_child_merge(struct gh_serve_child *to, const struct gh_serve_child *from);
/* Answers one request; <ret> is always complete. */
void gh_serve_answer(struct gh_serve *s, struct gh_serve_child *c, const struct gh_priv_request *q, struct gh_answer *ret);
/* A regular file, read only. Descriptor or GH_ERR_…; errno says why. */
int gh_serve_open_file(const char *path);

#endif
