/* First flights outlive the process in a file of the state folder: what came is appended by the offload pool, at most once a second, and the file is
 * written anew when most of it is old. */
#include <stdlib.h>

#include "base/error.h"
#include "core/node_key.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "os/state_file.h"
#include "services/door/door_internal.h"

#define PAUSE INT64_C(1000000000) /* ns between two writes */
#define NAME "door.replay"
#define PIECE ((size_t)4096 * DOOR_REPLAY_RECORD)
#define FILE_MAX ((size_t)4 * DOOR_REPLAY_MAX * DOOR_REPLAY_RECORD) /* longer ones are not ours */
#define SLACK ((size_t)65536 * DOOR_REPLAY_RECORD)                  /* old records that are left alone */

struct writing {
    struct door *d;
    int64_t window;
    bool failed;
};

/* Everything that counts, in a file that takes the old one's place. */
static bool write_anew(struct door *d, int64_t window)
{
    uint8_t *all = NULL;
    size_t len = 0;
    bool good = true;

    for (unsigned i = 0; good && i < DOOR_REPLAY_SHARDS; i++) {
        size_t more;
        uint8_t *records = door_replay_dump(d->replay, i, gh_clock_wall(), window, &more), *grown = NULL;

        if (more && more != SIZE_MAX)
            grown = realloc(all, len + more);
        good = more == 0 || grown;
        if (grown) {
            memcpy(grown + len, records, more);
            all = grown;
            len += more;
        }
        free(records);
    }
    good = good && gh_state_file_replace(d->run->conf.state_dir, NAME, gh_span_of(all, len)) == 0;
    free(all);
    return good;
}

static bool append(struct door *d, int64_t window)
{
    uint8_t *piece = malloc(PIECE);
    size_t len, size = 0;
    bool good = piece != NULL;

    do {
        len = good ? door_replay_next(d->replay, piece, PIECE) : 0;
        if (len)
            good = gh_state_file_append(d->run->conf.state_dir, NAME, gh_span_of(piece, len), &size) == 0;
    } while (good && len);
    free(piece);
    if (good && size > SLACK + 2 * door_replay_count(d->replay) * DOOR_REPLAY_RECORD)
        good = write_anew(d, window);
    return good;
}

/* A record may have been cut when it failed before: then all is written again. */
static void work(void *arg)
{
    struct writing *w = arg;
    struct door *d = w->d;

    w->failed = !append(d, w->window) || (atomic_load(&d->replay_failed) && !write_anew(d, w->window));
}

static void done(struct gh_worker *w, void *arg)
{
    struct writing *at = arg;

    (void)w;
    if (at->failed && !atomic_load(&at->d->replay_failed))
        gh_log_event(at->d->log, GH_LOG_WARN, "door", "first flights cannot be kept over a restart: the state folder must be writable",
                     gh_log_str("state_dir", at->d->run->conf.state_dir), gh_log_str("file", NAME));
    atomic_store(&at->d->replay_failed, at->failed);
    atomic_store(&at->d->replay_writing, false);
    free(at);
}

void door_replay_tick(struct door_worker *dw, int64_t now)
{
    struct door *d = dw->d;
    const struct door_table *t = gh_snapshot_refresh(&d->table, &dw->table);
    struct writing *w;

    if (!d->replay || now < d->replay_due || !door_replay_has_news(d->replay) || atomic_exchange(&d->replay_writing, true))
        return;
    d->replay_due = now + PAUSE;
    w = calloc(1, sizeof *w);
    if (w)
        *w = (struct writing){ d, t->replay_window / GH_NANOSECONDS, false };
    if (w && gh_worker_offload(dw->w, work, done, w) == 0)
        return;
    free(w);
    atomic_store(&d->replay_writing, false);
}

void door_replay_close(struct door *d)
{
    if (d->replay && door_replay_has_news(d->replay))
        (void)append(d, INT64_MAX / 2);
    door_replay_destroy(d->replay);
    d->replay = NULL;
}

/* What the file has; without it, nothing. */
static void read_file(struct door *d, int64_t window)
{
    uint8_t *records = NULL;
    size_t len = 0, taken;

    if (gh_state_file_read(d->run->conf.state_dir, NAME, FILE_MAX, &records, &len) < 0)
        return;
    taken = door_replay_load(d->replay, gh_span_of(records, len), gh_clock_wall(), window);
    free(records);
    gh_log_event(d->log, GH_LOG_INFO, "door", "first flights of before are remembered", gh_log_uint("flights", taken));
    if (len % DOOR_REPLAY_RECORD) /* what is appended must not begin in the middle of a record */
        atomic_store(&d->replay_failed, !write_anew(d, window));
}

int door_replay_open(struct door *d, const struct gh_door_conf *c)
{
    uint8_t node[GH_NODE_KEY], key[GH_SHA256_LEN];
    int rc = gh_node_key_load(d->run->conf.state_dir, node);

    if (rc == 0)
        rc = gh_hmac_sha256(gh_span_of(node, sizeof node), gh_span_str("gatehouse first flights"), gh_span_of("", 0), key);
    gh_wipe(node, sizeof node);
    if (rc == 0)
        rc = door_replay_create(key, DOOR_REPLAY_MAX, &d->replay);
    gh_wipe(key, sizeof key);
    if (rc < 0 && !*c->ech_keys_file) /* nothing is taken for a tunnel before a restart or a reload that says more */
        return 0;
    if (rc < 0)
        gh_log_event(d->log, GH_LOG_ERROR, "door", "first flights cannot be remembered: the state folder must be writable (node.key)",
                     gh_log_str("state_dir", d->run->conf.state_dir), gh_log_result("error", rc));
    else
        read_file(d, c->replay_window / GH_NANOSECONDS);
    return rc;
}
