#include "services/door/site_path.h"

#include "base/error.h"
#include "base/hex.h"

#define WELL_KNOWN ".well-known"

/* The segment that began at <from> is complete. */
static int end_segment(struct door_site_path *p, size_t from)
{
    size_t len = p->len - from;

    p->folder = len == 0;
    if (len == 0)
        return 0;
    if (p->name[from] != '.')
        return 0;
    if (len <= 2 && p->name[p->len - 1] == '.') {
        p->folder = true;
        p->len = from;
        if (len == 1)
            return 0;
        if (from == 0)
            return GH_ERR_MALFORMED; /* above the top */
        for (p->len--; p->len > 0 && p->name[p->len - 1] != '/'; p->len--)
            ;
        return 0;
    }
    return from == 0 && len == strlen(WELL_KNOWN) && memcmp(p->name, WELL_KNOWN, len) == 0 ? 0 : GH_ERR_NOT_FOUND;
}

static int next_byte(struct gh_span *in)
{
    int high, low, b = in->data[0];
    size_t used = 1;

    if (b == '%') {
        if (in->len < 3)
            return GH_ERR_MALFORMED;
        high = gh_hex_digit(in->data[1], GH_HEX_ANY);
        low = gh_hex_digit(in->data[2], GH_HEX_ANY);
        if (high < 0 || low < 0)
            return GH_ERR_MALFORMED;
        b = high << 4 | low;
        used = 3;
    }
    in->data += used;
    in->len -= used;
    return b == 0 ? GH_ERR_MALFORMED : b;
}

static struct gh_span cut_query(struct gh_span *target)
{
    const uint8_t *mark = memchr(target->data, '?', target->len);
    struct gh_span query = { NULL, 0 };

    if (mark) {
        query = gh_span_of(mark, target->len - (size_t)(mark - target->data));
        target->len -= query.len;
    }
    return query;
}

int door_site_path_parse(struct gh_span target, struct door_site_path *ret)
{
    size_t from = 0;
    int rc = 0, b, hidden = 0;

    ret->len = 0;
    ret->folder = true;
    if (target.len == 0 || target.data[0] != '/')
        return GH_ERR_MALFORMED;
    if (target.len >= DOOR_SITE_TARGET_MAX)
        return GH_ERR_TOO_LONG;
    ret->query = cut_query(&target);
    while (target.len > 0) {
        b = target.data[0] == '#' ? GH_ERR_MALFORMED : next_byte(&target);
        if (b < 0)
            return b;
        if (b != '/') {
            ret->name[ret->len++] = (char)b;
            continue;
        }
        rc = end_segment(ret, from);
        if (rc == GH_ERR_MALFORMED)
            return rc;
        hidden = rc < 0 ? rc : hidden;
        if (ret->len > 0 && ret->name[ret->len - 1] != '/')
            ret->name[ret->len++] = '/';
        from = ret->len;
    }
    rc = end_segment(ret, from);
    if (rc < 0)
        return rc;
    if (ret->len > 0 && ret->name[ret->len - 1] == '/')
        ret->len--;
    ret->name[ret->len] = 0;
    return hidden;
}

static bool stays(uint8_t b)
{
    return (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b && strchr("/-._~!$&'()*+,;=:@", b));
}

int door_site_path_emit(const struct door_site_path *p, char *buf, size_t cap)
{
    static const char digits[] = "0123456789ABCDEF";
    struct gh_writer w = gh_writer_of(buf, cap);

    gh_write_u8(&w, '/');
    for (size_t i = 0; i < p->len; i++) {
        uint8_t b = (uint8_t)p->name[i];

        if (stays(b)) {
            gh_write_u8(&w, b);
        } else {
            gh_write_u8(&w, '%');
            gh_write_u8(&w, (uint8_t)digits[b >> 4]);
            gh_write_u8(&w, (uint8_t)digits[b & 15]);
        }
    }
    gh_write_u8(&w, '/');
    gh_write_span(&w, p->query);
    return w.failed ? GH_ERR_TOO_LONG : (int)gh_writer_len(&w);
}
