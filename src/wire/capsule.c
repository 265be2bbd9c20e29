#include "wire/capsule.h"

#include <stdlib.h>

void gh_capsule_reader_init(struct gh_capsule_reader *r, const uint64_t *kept, size_t kept_count, size_t max)
{
    *r = (struct gh_capsule_reader){ .kept = kept, .kept_count = kept_count, .max = max ? max : GH_CAPSULE_MAX };
}

void gh_capsule_reader_fini(struct gh_capsule_reader *r)
{
    if (!r)
        return;
    free(r->buf);
    r->buf = NULL;
    r->cap = r->have = 0;
}

static bool is_kept(const struct gh_capsule_reader *r, uint64_t type)
{
    for (size_t i = 0; i < r->kept_count; i++)
        if (r->kept[i] == type)
            return true;
    return false;
}

/* Decides what becomes of the value whose type and length are known now. */
static int begin_value(struct gh_capsule_reader *r)
{
    r->in_value = true;
    r->have = 0;
    r->keep = is_kept(r, r->type);
    if (!r->keep) {
        r->skipped++; /* RFC 9297, section 3.2: an unknown type is skipped silently */
        return 0;
    }
    if (r->left <= r->max)
        return 0;
    if (r->type != GH_CAPSULE_DATAGRAM)
        return GH_ERR_TOO_LONG;
    r->keep = false; /* RFC 9297, section 3.5: discarded without buffering */
    r->oversize++;
    return 0;
}

/* Progress: 1 when type and length are complete. */
static int take_head(struct gh_capsule_reader *r, struct gh_span *in)
{
    while (in->len > 0) {
        struct gh_reader head;

        r->head[r->head_len++] = *in->data;
        in->data++;
        in->len--;
        head = gh_reader_of(gh_span_of(r->head, r->head_len));
        r->type = gh_read_varint(&head);
        r->left = gh_read_varint(&head);
        if (!head.failed) {
            r->head_len = 0;
            return 1;
        }
    }
    return 0;
}

static int reserve(struct gh_capsule_reader *r, size_t need)
{
    size_t cap = r->cap ? r->cap : 256;
    uint8_t *buf;

    if (need <= r->cap)
        return 0;
    while (cap < need)
        cap *= 2;
    buf = realloc(r->buf, cap);
    if (!buf)
        return GH_ERR_MEMORY;
    r->buf = buf;
    r->cap = cap;
    return 0;
}

/* Progress: 1 when the whole value was seen. <ret> is filled for a kept one. */
static int take_value(struct gh_capsule_reader *r, struct gh_span *in, struct gh_capsule *ret)
{
    size_t n = in->len < r->left ? in->len : (size_t)r->left;
    struct gh_span part = gh_span_of(in->data, n);
    bool whole = n == r->left;
    int rc;

    if (r->keep && !(whole && r->have == 0)) {
        rc = reserve(r, r->have + n);
        if (rc < 0)
            return rc;
        if (n > 0)
            memcpy(r->buf + r->have, part.data, n);
        r->have += n;
    }
    in->len -= n;
    if (n > 0)
        in->data += n;
    r->left -= n;
    if (!whole)
        return 0;
    r->in_value = false;
    if (r->keep)
        *ret = (struct gh_capsule){ r->type, r->have ? gh_span_of(r->buf, r->have) : part };
    return 1;
}

int gh_capsule_next(struct gh_capsule_reader *r, struct gh_span *in, struct gh_capsule *ret)
{
    int rc;

    if (r->failed)
        return r->failed;
    for (;;) {
        if (!r->in_value) {
            rc = take_head(r, in);
            if (rc == 0)
                return 0;
            rc = begin_value(r);
            if (rc < 0)
                break;
        }
        rc = take_value(r, in, ret);
        if (rc < 0)
            break;
        if (rc == 0)
            return 0;
        if (r->keep)
            return 1;
    }
    r->failed = rc;
    return rc;
}

int gh_capsule_end(const struct gh_capsule_reader *r)
{
    if (r->failed)
        return r->failed;
    return r->in_value || r->head_len > 0 ? GH_ERR_MALFORMED : 0;
}

void gh_capsule_emit_head(struct gh_writer *w, uint64_t type, uint64_t value_len)
{
    gh_write_varint(w, type);
    gh_write_varint(w, value_len);
}

void gh_capsule_emit(struct gh_writer *w, uint64_t type, struct gh_span value)
{
    gh_capsule_emit_head(w, type, value.len);
    gh_write_span(w, value);
}

size_t gh_capsule_head_len(uint64_t type, uint64_t value_len)
{
    return gh_varint_len(type) + gh_varint_len(value_len);
}
