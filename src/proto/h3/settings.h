/* proto/h3/settings.h - reads the peer's SETTINGS on the side, since the library tells a client not all of them
 *
 * Fed with the bytes of every unidirectional stream of the peer, before the library sees them.
 */
#ifndef GH_PROTO_H3_SETTINGS_H
#define GH_PROTO_H3_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define GH_H3_SETTINGS_MAX 1024u /* longest SETTINGS frame that we read */
#define GH_H3_UNI_STREAMS 16u    /* unidirectional streams of the peer that we look at */

struct gh_h3_settings {
    bool seen, connect_protocol, datagram;
    int64_t control; /* the control stream's id, -1 before it is known */
    size_t control_at; /* where its frames begin, in the piece that made it known */
    struct {
        int64_t id;
        uint8_t head[8];
        uint8_t len;
        bool typed;
    } streams[GH_H3_UNI_STREAMS];
    uint8_t count;
    uint8_t buf[GH_H3_SETTINGS_MAX + 16];
    uint16_t len;
};

void gh_h3_settings_init(struct gh_h3_settings *s);
/* Progress: 1 the SETTINGS were just read, 0 nothing new. GH_ERR_RANGE: a setting that must not be (RFC 9114, section 7.2.4);
 * GH_ERR_MALFORMED: the frame's length is wrong (section 7.1); GH_ERR_TOO_LONG: a longer frame than we read. */
int gh_h3_settings_feed(struct gh_h3_settings *s, int64_t stream, struct gh_span data);
/* The error of HTTP/3 for what feed returned. */
uint64_t gh_h3_settings_code(int rc);

#endif
