#include "priv/watch.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define PAUSE_MS 50   /* without an event: writing is over */
#define PATIENCE_MS 1000 /* a folder in which somebody never stops writing */
#define MISSING_MS 1000  /* a folder that is gone cannot tell when it comes back */
#define MASK (IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)

struct watch {
    char path[GH_PRIV_PATH];
    bool there, changed;
    bool named; /* since gh_watches_begin */
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

struct gh_watches {
    int fd;
    size_t count;         /* of the places; one may be free */
    bool renewing;        /* between begin and end */
    bool missing;         /* a folder is not watched */
    int64_t at, at_most;  /* of the next look; INT64_MAX: none */
    struct watch *all[GH_WATCHES_MAX];
};

int gh_watches_create(struct gh_watches **ret)
{
    struct gh_watches *ws = calloc(1, sizeof *ws);

    if (!ws)
        return GH_ERR_MEMORY;
    ws->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ws->at = ws->at_most = INT64_MAX;
    if (ws->fd < 0) {
        free(ws);
        return GH_ERR_SYSTEM;
    }
    *ret = ws;
    return 0;
}

void gh_watches_clear(struct gh_watches *ws)
{
    for (size_t i = 0; i < ws->count; i++)
        free(ws->all[i]);
    ws->count = 0; /* folders stay watched: an event too many only makes us look */
    ws->renewing = false;
}

void gh_watches_destroy(struct gh_watches *ws)
{
    if (!ws)
        return;
    gh_watches_clear(ws);
    close(ws->fd);
    free(ws);
}

static bool watch_folder_of(struct gh_watches *ws, const char *path)
{
    char copy[4096];

    snprintf(copy, sizeof copy, "%s", path);
    return inotify_add_watch(ws->fd, dirname(copy), MASK | IN_ONLYDIR) >= 0;
}

/* The folder in which the path ends, and the one where the file really is. */
static void watch_folders(struct gh_watches *ws, const struct watch *w)
{
    char *real = realpath(w->path, NULL);

    if (!watch_folder_of(ws, w->path))
        ws->missing = true;
    if (real && strcmp(real, w->path) != 0)
        watch_folder_of(ws, real);
    free(real);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* True when the file is another one than at the last look. */
static bool look(struct watch *w)
{
    struct stat s;
    bool there = stat(w->path, &s) == 0, same = there == w->there;

    if (there)
        same = same && w->dev == s.st_dev && w->ino == s.st_ino && w->size == s.st_size && same_time(w->mtime, s.st_mtim)
               && same_time(w->ctime, s.st_ctim);
    w->there = there;
    if (there) {
        w->dev = s.st_dev;
        w->ino = s.st_ino;
        w->size = s.st_size;
        w->mtime = s.st_mtim;
        w->ctime = s.st_ctim;
    }
    return !same;
}

void gh_watches_begin(struct gh_watches *ws)
{
    for (size_t i = 0; i < ws->count; i++)
        if (ws->all[i])
            ws->all[i]->named = false;
    ws->renewing = true;
}

/* Only the folders of what is left; and whoever writes into another one wakes us no more. */
static void watch_anew(struct gh_watches *ws)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd < 0)
        return; /* they stay watched */
    close(ws->fd);
    ws->fd = fd;
    for (size_t i = 0; i < ws->count; i++)
        if (ws->all[i])
            watch_folders(ws, ws->all[i]);
    ws->at = 0; /* what changed meanwhile was no event */
}

void gh_watches_end(struct gh_watches *ws)
{
    bool forgotten = false;

    for (size_t i = 0; ws->renewing && i < ws->count; i++) {
        if (!ws->all[i] || ws->all[i]->named)
            continue;
        free(ws->all[i]);
        ws->all[i] = NULL;
        forgotten = true;
    }
    ws->renewing = false;
    if (forgotten)
        watch_anew(ws);
}

int gh_watches_add(struct gh_watches *ws, const char *path)
{
    size_t at = ws->count;
    struct watch *w;

    for (size_t i = 0; i < ws->count; i++) {
        if (!ws->all[i]) {
            at = i;
        } else if (!strcmp(ws->all[i]->path, path)) {
            ws->all[i]->named = true;
            return (int)i;
        }
    }
    if (at == GH_WATCHES_MAX)
        return GH_ERR_FULL;
    w = calloc(1, sizeof *w);
    if (!w)
        return GH_ERR_MEMORY;
    snprintf(w->path, sizeof w->path, "%s", path);
    w->named = true;
    watch_folders(ws, w); /* before the look: what changes in between is an event */
    look(w);
    if (ws->missing && ws->at == INT64_MAX)
        ws->at = 0;
    ws->all[at] = w;
    ws->count += at == ws->count;
    return (int)at;
}

int gh_watches_fd(const struct gh_watches *ws)
{
    return ws->fd;
}

void gh_watches_on_ready(struct gh_watches *ws, int64_t now)
{
    char events[4096];

    while (read(ws->fd, events, sizeof events) > 0)
        ;
    if (ws->at_most == INT64_MAX)
        ws->at_most = now + PATIENCE_MS;
    ws->at = now + PAUSE_MS < ws->at_most ? now + PAUSE_MS : ws->at_most;
}

int64_t gh_watches_deadline(const struct gh_watches *ws)
{
    return ws->at;
}

void gh_watches_look(struct gh_watches *ws, int64_t now)
{
    if (now < ws->at)
        return;
    ws->missing = false;
    for (size_t i = 0; i < ws->count; i++) {
        if (!ws->all[i])
            continue;
        watch_folders(ws, ws->all[i]);
        if (look(ws->all[i]))
            ws->all[i]->changed = true;
    }
    ws->at_most = INT64_MAX;
    ws->at = ws->missing ? now + MISSING_MS : INT64_MAX;
}

int gh_watches_next(struct gh_watches *ws)
{
    for (size_t i = 0; i < ws->count; i++) {
        if (ws->all[i] && ws->all[i]->changed) {
            ws->all[i]->changed = false;
            return (int)i;
        }
    }
    return -1;
}

void gh_watches_again(struct gh_watches *ws, int id, int64_t at)
{
    ws->all[id]->changed = true;
    if (at < ws->at)
        ws->at = at;
}

const char *gh_watches_path(const struct gh_watches *ws, int id)
{
    return ws->all[id]->path;
}
