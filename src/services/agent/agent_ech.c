#include "services/agent/agent_ech.h"

#include <string.h>

#include "base/base64.h"

void gh_agent_ech_set(struct gh_agent_ech *e, struct gh_span configured)
{
    struct gh_agent_ech_list *c = &e->configured;

    if (c->len == configured.len && (c->len == 0 || memcmp(c->bytes, configured.data, c->len) == 0))
        return; /* what was learned still counts */
    c->len = configured.len;
    if (c->len)
        memcpy(c->bytes, configured.data, c->len);
    e->lists[0] = *c;
    e->count = c->len > 0;
    e->at = 0;
    e->turn++;
}

struct gh_span gh_agent_ech_now(const struct gh_agent_ech *e)
{
    return e->count ? gh_span_of(e->lists[e->at].bytes, e->lists[e->at].len) : gh_span_of(NULL, 0);
}

static bool is_current(const struct gh_agent_ech *e, struct gh_span list)
{
    return gh_span_equals(gh_agent_ech_now(e), list);
}

/* The older one goes, unless it is the one that came. */
static void learn(struct gh_agent_ech *e, struct gh_span list)
{
    struct gh_agent_ech_list *to = &e->lists[0];

    if (e->at == 0)
        e->lists[1] = e->lists[0];
    to->len = list.len;
    memcpy(to->bytes, list.data, list.len);
    e->count = 2;
    e->at = 0;
    e->turn++;
}

static bool is_usable(struct gh_span list)
{
    char name[GH_ECH_PUBLIC_NAME_MAX + 1];

    return list.len > 0 && list.len <= GH_ECH_LIST_MAX && gh_ech_list_public_name(list, name) == 0;
}

bool gh_agent_ech_told(struct gh_agent_ech *e, struct gh_span list)
{
    bool newest = e->count && gh_span_equals(gh_span_of(e->lists[0].bytes, e->lists[0].len), list);

    if (e->count == 0 || !is_usable(list)) /* whoever has none wants none */
        return false;
    if (newest && e->at == 0)
        return false;
    if (newest) {
        e->at = 0;
        e->turn++;
        return false;
    }
    if (e->count == 2 && gh_span_equals(gh_span_of(e->lists[1].bytes, e->lists[1].len), list)) {
        struct gh_agent_ech_list other = e->lists[0];

        e->lists[0] = e->lists[1];
        e->lists[1] = other;
        e->at = 0;
        e->turn++;
    } else {
        learn(e, list);
    }
    return true;
}

void gh_agent_ech_unanswered(struct gh_agent_ech *e)
{
    if (e->count < 2)
        return;
    e->at = 1 - e->at;
    e->turn++;
}

/* ---- as text ---- */

static void emit_list(const char *word, const struct gh_agent_ech_list *l, struct gh_text *ret)
{
    char text[GH_BASE64_TEXT(GH_ECH_LIST_MAX)];

    gh_base64_encode(gh_span_of(l->bytes, l->len), text);
    gh_text_printf(ret, "%s %s\n", word, text);
}

void gh_agent_ech_emit(const struct gh_agent_ech *e, struct gh_text *ret)
{
    emit_list("configured", &e->configured, ret);
    for (size_t i = 0; i < e->count; i++)
        emit_list("list", &e->lists[i], ret);
}

/* The next line; false when it does not end, or is none of <word>. */
static bool read_list(struct gh_span *text, const char *word, struct gh_agent_ech_list *ret)
{
    const uint8_t *end = text->len ? memchr(text->data, '\n', text->len) : NULL;
    struct gh_span line = gh_span_of(text->data, end ? (size_t)(end - text->data) : 0), value;
    uint8_t bytes[GH_ECH_LIST_MAX + 4];
    size_t head = strlen(word) + 1;

    if (!end || line.len <= head || memcmp(line.data, word, head - 1) != 0 || line.data[head - 1] != ' ')
        return false;
    value = gh_span_of(line.data + head, line.len - head);
    if (value.len / 4 * 3 + 2 > sizeof bytes || gh_base64_decode(value, bytes, &ret->len) < 0 || !is_usable(gh_span_of(bytes, ret->len)))
        return false;
    memcpy(ret->bytes, bytes, ret->len);
    *text = gh_span_of(end + 1, text->len - line.len - 1);
    return true;
}

bool gh_agent_ech_restore(struct gh_agent_ech *e, struct gh_span text)
{
    struct gh_agent_ech_list configured, lists[2];
    size_t count = 0;

    if (e->configured.len == 0 || !read_list(&text, "configured", &configured) ||
        !gh_span_equals(gh_span_of(configured.bytes, configured.len), gh_span_of(e->configured.bytes, e->configured.len)))
        return false;
    while (count < 2 && read_list(&text, "list", &lists[count]))
        count++;
    if (count == 0 || text.len)
        return false;
    memcpy(e->lists, lists, count * sizeof *lists);
    e->count = count;
    e->at = 0;
    e->turn++;
    return true;
}

bool gh_agent_ech_rejected(struct gh_agent_ech *e, uint64_t turn, struct gh_span retry)
{
    if (is_usable(retry)) {
        if (!is_current(e, retry))
            learn(e, retry);
        else if (turn == e->turn)
            return false; /* the key that it did not open is the one that it has: nothing would be different */
        return true;
    }
    if (turn != e->turn)
        return true; /* another connection has found another one since */
    if (e->count < 2)
        return false;
    e->at = 1 - e->at;
    e->turn++;
    return true;
}
