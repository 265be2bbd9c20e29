/* services/door/door_again.h - first flights of QUIC that were taken a moment ago, by who sent them; no I/O, no clock
 *
 * A client sends its first flight again when nothing of an answer has come, or when it was asked for a proof of its address by a Retry: the same hello,
 * from the same 4-tuple, to the connection id that it chose first. That is no replay. Whoever has a recording comes from elsewhere. A table of one worker, to
 * which the kernel brings all of one 4-tuple; it never grows, and the oldest of a few places makes room.
 */
#ifndef GH_SERVICES_DOOR_DOOR_AGAIN_H
#define GH_SERVICES_DOOR_DOOR_AGAIN_H

#include <stdbool.h>

#include "os/sock.h"
#include "proto/quic/quic.h"

#define DOOR_AGAIN_PLACES 4096u
#define DOOR_AGAIN_LIFE INT64_C(30000000000) /* ns: as long as a client tries */

struct door_again;

struct door_again_flight {
    const uint8_t *digest; /* 16 bytes that nobody can choose: of the hello, under a key */
    const struct gh_endpoint *local, *remote;
    const struct gh_quic_cid *first; /* the id that the client chose first */
};

/* 0 or GH_ERR_MEMORY. */
int door_again_create(struct door_again **ret);
void door_again_destroy(struct door_again *a); /* accepts NULL */

void door_again_remember(struct door_again *a, const struct door_again_flight *f, int64_t now);
bool door_again_is(const struct door_again *a, const struct door_again_flight *f, int64_t now);

#endif
