/* priv/watch.h - which of the named files have changed
 *
 * Seen are: a file written in place, another file renamed over it, and a symbolic link on the way to it renamed (by which
 * Kubernetes updates a mounted ConfigMap or Secret). Folders are watched, not files; a change counts when the file that
 * the path leads to is another one than before (device, inode, size, times), once writing has paused.
 */
#ifndef GH_PRIV_WATCH_H
#define GH_PRIV_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "priv/request.h"

#define GH_WATCHES_MAX 64u

struct gh_watches;

int gh_watches_create(struct gh_watches **ret);
void gh_watches_destroy(struct gh_watches *ws);
/* Number of the watch, the same for the same path. Count, or GH_ERR_FULL, GH_ERR_MEMORY. A file that is not there yet may
 * be watched. */
int gh_watches_add(struct gh_watches *ws, const char *path);
void gh_watches_clear(struct gh_watches *ws);
/* Between them every file that shall stay is named anew by gh_watches_add; what was not is forgotten at the end. An end without its
 * beginning changes nothing, and neither does a beginning without its end. */
void gh_watches_begin(struct gh_watches *ws);
void gh_watches_end(struct gh_watches *ws);
int gh_watches_fd(const struct gh_watches *ws);
/* Readable: something moved. <now> in milliseconds of the monotonic clock, here and below. */
void gh_watches_on_ready(struct gh_watches *ws, int64_t now);
/* When to look, INT64_MAX for never. */
int64_t gh_watches_deadline(const struct gh_watches *ws);
/* Looks, when it is time. */
void gh_watches_look(struct gh_watches *ws, int64_t now);
/* The next watch whose file has changed and was not told yet, or -1. */
int gh_watches_next(struct gh_watches *ws);
/* It was not possible to tell: try again at <at>. */
void gh_watches_again(struct gh_watches *ws, int id, int64_t at);
const char *gh_watches_path(const struct gh_watches *ws, int id);

#endif
