/* services/door/door_replay.h - first flights that were taken for the tunnel, so that nobody can send one again
 *
 * What is remembered is a digest of 16 bytes under a key that follows from the node's. All workers share it; it is cut into shards with a lock each. When it
 * is full the oldest goes. Only flights that are for the tunnel's name are asked for here: nobody fills it who does not know that name.
 *
 * What is remembered is also appended to a file, 24 bytes each, with its time; the caller writes it when it likes.
 */
#ifndef GH_SERVICES_DOOR_DOOR_REPLAY_H
#define GH_SERVICES_DOOR_DOOR_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define DOOR_REPLAY_MAX (1u << 20) /* flights */
#define DOOR_REPLAY_SHARDS 64u
#define DOOR_REPLAY_DIGEST 16u
#define DOOR_REPLAY_RECORD 24u     /* bytes: digest, wall seconds in network order */
#define DOOR_REPLAY_KEY 32u

struct door_replay;

/* <max>: flights, a multiple of the shards. 0 or GH_ERR_MEMORY. */
int door_replay_create(const uint8_t key[DOOR_REPLAY_KEY], size_t max, struct door_replay **ret);
void door_replay_destroy(struct door_replay *r); /* accepts NULL */

/* Any thread. Did it come within the last <window> seconds? If not it is remembered as of <wall>. Without memory to remember it, it is taken for one that
 * did not come: who holds the door open may be a replay, who holds it shut is the owner. */
bool door_replay_seen(struct door_replay *r, struct gh_span flight, int64_t wall, int64_t window);
/* The same in two steps: what is remembered of a flight, and whether it came. 0 or GH_ERR_CRYPTO. */
int door_replay_digest(const struct door_replay *r, struct gh_span flight, uint8_t ret[DOOR_REPLAY_DIGEST]);
bool door_replay_came(struct door_replay *r, const uint8_t digest[DOOR_REPLAY_DIGEST], int64_t wall, int64_t window);
size_t door_replay_count(struct door_replay *r);

/* Records of a file, the oldest first, as door_replay_next and door_replay_dump have written them. What is older than <window> is left out. The
 * number of those that were taken. */
size_t door_replay_load(struct door_replay *r, struct gh_span records, int64_t wall, int64_t window);
bool door_replay_has_news(struct door_replay *r);
/* Moves records that came since the last call to <ret>, at most <cap> bytes; returns how many bytes. */
size_t door_replay_next(struct door_replay *r, uint8_t *ret, size_t cap);
/* All records of one shard that are younger than <window>, to be freed; NULL when there are none, or no memory (<ret_len> is SIZE_MAX then). */
uint8_t *door_replay_dump(struct door_replay *r, unsigned shard, int64_t wall, int64_t window, size_t *ret_len);

#endif
