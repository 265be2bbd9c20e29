/* proto/h2/flood.h - frames that cost the sender nothing and the receiver work
 *
 * RFC 9113, section 10.5. Counted here and not by what the library tells, which is silent about frames that it skips.
 */
#ifndef GH_PROTO_H2_FLOOD_H
#define GH_PROTO_H2_FLOOD_H

#include "base/rate.h"
#include "base/span.h"

struct gh_h2_flood {
    struct gh_rate resets, frames; /* set by whoever owns this */
    uint64_t resets_seen;
    uint32_t updates; /* WINDOW_UPDATE frames that the peer may send for the DATA that it got */
    uint32_t skip;    /* bytes before the next frame's head */
    uint8_t head[9], len;
    bool over;        /* the next bytes are too many, whatever they are */
};

/* <server>: the peer's bytes begin with the client's preface. */
void gh_h2_flood_init(struct gh_h2_flood *f, bool server);
/* Bytes that came. 0, or GH_ERR_TOO_LONG: more than anybody needs. */
int gh_h2_flood_feed(struct gh_h2_flood *f, struct gh_span data, int64_t now);
void gh_h2_flood_on_data_sent(struct gh_h2_flood *f);
/* The peer made it necessary that we reset a stream: as good as a reset of its own (CVE-2025-8671). */
void gh_h2_flood_on_reset_sent(struct gh_h2_flood *f, int64_t now);

#endif
