#include "proto/h3/settings.h"

#include "base/error.h"
#include "proto/h3/h3.h"

#define STREAM_CONTROL 0x00u
#define FRAME_SETTINGS 0x04u
#define SETTING_CONNECT_PROTOCOL 0x08u
#define SETTING_DATAGRAM 0x33u
#define IDS_MAX 64

void gh_h3_settings_init(struct gh_h3_settings *s)
{
    memset(s, 0, sizeof *s);
    s->control = -1;
}

static bool reserved(uint64_t id)
{
    return id == 0x00 || (id >= 0x02 && id <= 0x05); /* RFC 9114, section 7.2.4.1: HTTP/2's */
}

static int parse(struct gh_h3_settings *s, struct gh_span payload)
{
    struct gh_reader r = gh_reader_of(payload);
    uint64_t ids[IDS_MAX], id, value;
    unsigned count = 0;

    while (!r.failed && gh_reader_left(&r)) {
        id = gh_read_varint(&r);
        value = gh_read_varint(&r);
        if (r.failed)
            return GH_ERR_MALFORMED;
        if (reserved(id))
            return GH_ERR_RANGE;
        for (unsigned i = 0; i < count; i++)
            if (ids[i] == id)
                return GH_ERR_RANGE;
        if (count < IDS_MAX)
            ids[count++] = id;
        if ((id == SETTING_CONNECT_PROTOCOL || id == SETTING_DATAGRAM) && value > 1)
            return GH_ERR_RANGE; /* RFC 8441, section 3; RFC 9297, section 2.1.1 */
        if (id == SETTING_CONNECT_PROTOCOL)
            s->connect_protocol = value;
        else if (id == SETTING_DATAGRAM)
            s->datagram = value;
    }
    if (!gh_reader_done(&r))
        return GH_ERR_MALFORMED;
    s->seen = true;
    return 1;
}

static int feed_control(struct gh_h3_settings *s, struct gh_span data)
{
    size_t room = sizeof s->buf - s->len;
    struct gh_reader r;
    uint64_t type, len;

    if (s->seen)
        return 0;
    memcpy(s->buf + s->len, data.data, data.len < room ? data.len : room);
    s->len = (uint16_t)(s->len + (data.len < room ? data.len : room));
    r = gh_reader_of(gh_span_of(s->buf, s->len));
    type = gh_read_varint(&r);
    len = gh_read_varint(&r);
    if (r.failed)
        return 0;
    if (type != FRAME_SETTINGS)
        return 0; /* the library closes: H3_MISSING_SETTINGS */
    if (len > GH_H3_SETTINGS_MAX)
        return GH_ERR_TOO_LONG;
    if (gh_reader_left(&r) < len)
        return 0;
    return parse(s, gh_read_span(&r, (size_t)len));
}

int gh_h3_settings_feed(struct gh_h3_settings *s, int64_t stream, struct gh_span data)
{
    struct gh_reader r;
    size_t i = 0, take;
    uint64_t type;

    if (data.len == 0)
        return 0;
    if (stream == s->control)
        return feed_control(s, data);
    while (i < s->count && s->streams[i].id != stream)
        i++;
    if (i == s->count) {
        if (s->count == GH_H3_UNI_STREAMS)
            return 0;
        s->streams[s->count++].id = stream;
    }
    if (s->streams[i].typed || s->control >= 0)
        return 0;
    take = sizeof s->streams[i].head - s->streams[i].len;
    take = data.len < take ? data.len : take;
    memcpy(s->streams[i].head + s->streams[i].len, data.data, take);
    r = gh_reader_of(gh_span_of(s->streams[i].head, s->streams[i].len + take));
    type = gh_read_varint(&r);
    if (r.failed) {
        s->streams[i].len = (uint8_t)(s->streams[i].len + take);
        return 0;
    }
    s->streams[i].typed = true;
    if (type != STREAM_CONTROL)
        return 0;
    s->control = stream;
    take = (size_t)(r.at - s->streams[i].head) - s->streams[i].len; /* bytes of the type in this piece */
    s->control_at = take;
    return feed_control(s, gh_span_of(data.data + take, data.len - take));
}

uint64_t gh_h3_settings_code(int rc)
{
    switch (rc) {
    case GH_ERR_RANGE:
        return GH_H3_SETTINGS_ERROR;
    case GH_ERR_TOO_LONG:
        return GH_H3_EXCESSIVE_LOAD;
    default:
        return GH_H3_FRAME_ERROR;
    }
}
