#include "proto/h2/flood.h"

#include "base/error.h"

#define PREFACE 24u
#define UPDATES_MAX 1000u /* that can be saved up */

/* RFC 9113, section 6 */
enum frame { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };

#define FLAG_ACK 0x1u        /* SETTINGS, PING */
#define FLAG_END_STREAM 0x1u /* DATA */

void gh_h2_flood_init(struct gh_h2_flood *f, bool server)
{
    *f = (struct gh_h2_flood){ .skip = server ? PREFACE : 0 };
}

static int take(struct gh_rate *r, int64_t now)
{
    if (!gh_rate_may(r, now))
        return GH_ERR_TOO_LONG;
    gh_rate_take(r, now);
    return 0;
}

static int judge(struct gh_h2_flood *f, int64_t now)
{
    struct gh_reader r = gh_reader_of(gh_span_of(f->head, sizeof f->head));
    uint32_t len = (uint32_t)gh_read_u8(&r) << 16 | gh_read_u16(&r);
    uint8_t type = gh_read_u8(&r), flags = gh_read_u8(&r);

    f->skip = len;
    switch (type) {
    case HEADERS:
    case GOAWAY:
        return 0;
    case DATA:
        return len > 0 || flags & FLAG_END_STREAM ? 0 : take(&f->frames, now);
    case SETTINGS:
    case PING:
        return flags & FLAG_ACK ? 0 : take(&f->frames, now);
    case RST_STREAM:
        f->resets_seen++;
        return take(&f->resets, now);
    case WINDOW_UPDATE:
        if (f->updates == 0)
            return take(&f->frames, now);
        f->updates--;
        return 0;
    default: /* PRIORITY, CONTINUATION, what nobody knows */
        return take(&f->frames, now);
    }
}

int gh_h2_flood_feed(struct gh_h2_flood *f, struct gh_span data, int64_t now)
{
    int rc = f->over ? GH_ERR_TOO_LONG : 0;

    while (rc == 0 && data.len > 0) {
        size_t want = f->skip ? f->skip : sizeof f->head - f->len, n = data.len < want ? data.len : want;

        if (f->skip) {
            f->skip -= (uint32_t)n;
        } else {
            memcpy(f->head + f->len, data.data, n);
            f->len += (uint8_t)n;
        }
        data = gh_span_of(data.data + n, data.len - n);
        if (f->len == sizeof f->head) {
            f->len = 0;
            rc = judge(f, now);
        }
    }
    return rc;
}

void gh_h2_flood_on_data_sent(struct gh_h2_flood *f)
{
    f->updates = f->updates + 2 < UPDATES_MAX ? f->updates + 2 : UPDATES_MAX; /* the stream's and the connection's */
}

void gh_h2_flood_on_reset_sent(struct gh_h2_flood *f, int64_t now)
{
    f->over |= take(&f->resets, now) < 0;
}
