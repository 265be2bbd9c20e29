#include "services/door/site_condition.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/error.h"
#include "wire/http_date.h"

void door_site_etag(uint64_t size, int64_t modified, char ret[DOOR_SITE_ETAG])
{
    snprintf(ret, DOOR_SITE_ETAG, "\"%" PRIx64 "-%" PRIx64 "\"", (uint64_t)modified, size);
}

static void skip(struct gh_span *s, size_t n)
{
    s->data += n;
    s->len -= n;
}

/* The next tag of a list, with its quotes; empty at the end. */
static struct gh_span next_tag(struct gh_span *list, bool *ret_weak)
{
    struct gh_span tag = { NULL, 0 };
    const uint8_t *end;

    while (list->len > 0 && strchr(" \t,", list->data[0]) && list->data[0])
        skip(list, 1);
    *ret_weak = list->len > 2 && memcmp(list->data, "W/", 2) == 0;
    if (*ret_weak)
        skip(list, 2);
    end = list->len > 1 && list->data[0] == '"' ? memchr(list->data + 1, '"', list->len - 1) : NULL;
    if (!end)
        return tag;
    tag = gh_span_of(list->data, (size_t)(end - list->data) + 1);
    skip(list, tag.len);
    return tag;
}

static bool list_has(struct gh_span list, const char *etag, bool weak_counts)
{
    struct gh_span tag, own = gh_span_str(etag);
    bool weak;

    if (gh_span_equals(list, gh_span_str("*")))
        return true;
    for (tag = next_tag(&list, &weak); tag.len > 0; tag = next_tag(&list, &weak))
        if (gh_span_equals(tag, own) && (weak_counts || !weak))
            return true;
    return false;
}

/* Exactly then: a file that was set back is another one. */
static bool is_date(struct gh_span text, int64_t modified)
{
    int64_t at;

    return gh_http_date_parse(text, &at) == 0 && at == modified;
}

static bool is_later(struct gh_span text, int64_t modified)
{
    int64_t at;

    return gh_http_date_parse(text, &at) == 0 && modified > at;
}

static bool digits(struct gh_span *s, uint64_t *ret)
{
    uint64_t n = 0;
    size_t len = 0;

    for (; len < s->len && s->data[len] >= '0' && s->data[len] <= '9'; len++)
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) || __builtin_add_overflow(n, (uint64_t)(s->data[len] - '0'), &n))
            n = UINT64_MAX / 16; /* longer than any file */
    skip(s, len);
    *ret = n;
    return len > 0;
}

/* "5-9", "5-", "-5" of <size> bytes. False: there is no such part. */
static bool find_range(struct gh_span s, uint64_t size, struct door_site_part *ret)
{
    uint64_t from = 0, to = 0;
    bool has_from = digits(&s, &from), has_to;

    if (s.len == 0 || s.data[0] != '-')
        return false;
    skip(&s, 1);
    has_to = digits(&s, &to);
    if (s.len > 0 || (!has_from && !has_to))
        return false;
    if (!has_from) {
        ret->len = to < size ? to : size;
        ret->from = size - ret->len;
        return to > 0;
    }
    if (from >= size || (has_to && to < from))
        return false;
    ret->from = from;
    ret->len = (has_to && to < size ? to + 1 : size) - from;
    return true;
}

static void judge_range(const struct door_site_wish *wish, uint64_t size, int64_t modified, const char *etag, struct door_site_part *ret)
{
    struct gh_span s = wish->range;

    if (!wish->get || size == 0 || s.len < 6 || strncasecmp((const char *)s.data, "bytes=", 6) != 0)
        return;
    if (wish->if_range.len > 0 && !(wish->if_range.data[0] == '"' ? list_has(wish->if_range, etag, false) : is_date(wish->if_range, modified)))
        return;
    skip(&s, 6);
    while (s.len > 0 && s.data[0] == ' ')
        skip(&s, 1);
    if (s.len > 0 && memchr(s.data, ',', s.len))
        return;
    ret->status = find_range(s, size, ret) ? 206 : 416;
}

void door_site_judge(const struct door_site_wish *wish, uint64_t size, int64_t modified, struct door_site_part *ret)
{
    char etag[DOOR_SITE_ETAG];

    *ret = (struct door_site_part){ 200, 0, size };
    door_site_etag(size, modified, etag);
    /* section 13.2.2 has the order */
    if (wish->if_match.len > 0 ? !list_has(wish->if_match, etag, false) : wish->if_unmodified_since.len > 0 && is_later(wish->if_unmodified_since, modified))
        ret->status = 412;
    else if (wish->if_none_match.len > 0 ? list_has(wish->if_none_match, etag, true) : is_date(wish->if_modified_since, modified))
        ret->status = 304;
    else
        judge_range(wish, size, modified, etag, ret);
}
