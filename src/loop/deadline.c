#include "loop/deadline.h"

#include <stddef.h>

/* Two heaps become one; the later root becomes the first child of the earlier. */
static struct gh_deadline *meld(struct gh_deadline *a, struct gh_deadline *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->at < a->at) {
        struct gh_deadline *swap = a;

        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    a->next = a->prev = NULL;
    return a;
}

/* Melds a row of siblings: in pairs from the front, then the pairs from the back. No recursion: rows can be long. */
static struct gh_deadline *meld_row(struct gh_deadline *row)
{
    struct gh_deadline *pairs = NULL, *all = NULL;

    while (row) {
        struct gh_deadline *a = row, *b = a->next, *pair;

        row = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct gh_deadline *next = pairs->next;

        pairs->next = NULL;
        all = meld(all, pairs);
        pairs = next;
    }
    return all;
}

/* The heap that <d> is in, or will be when it is started now. */
static struct gh_deadline **heap_of(struct gh_deadlines *h, const struct gh_deadline *d)
{
    return h->firing && d->round == h->round ? &h->later : &h->root;
}

static void cut(struct gh_deadline **root, struct gh_deadline *d)
{
    struct gh_deadline *rest;

    if (d == *root) {
        *root = NULL;
    } else {
        if (d->prev->child == d)
            d->prev->child = d->next;
        else
            d->prev->next = d->next;
        if (d->next)
            d->next->prev = d->prev;
    }
    rest = meld_row(d->child);
    d->child = d->next = d->prev = NULL;
    *root = meld(*root, rest);
}

int64_t gh_deadline_lenient(int64_t now, int64_t at)
{
    int64_t grain = 1;

    if (at == GH_NEVER || at - now < INT64_C(1000000000))
        return at;
    while (grain <= (at - now) / 128)
        grain *= 2; /* a power of two: what other deadlines at other distances are rounded to as well */
    return at > GH_NEVER - grain ? at : (at + grain - 1) / grain * grain;
}

void gh_deadline_start(struct gh_deadlines *h, struct gh_deadline *d, int64_t at)
{
    struct gh_deadline **root;

    if (d->started && d->at == at)
        return;
    gh_deadline_stop(h, d);
    if (at == GH_NEVER)
        return;
    d->at = at;
    d->started = true;
    d->round = h->round;
    root = heap_of(h, d);
    *root = meld(*root, d);
}

void gh_deadline_stop(struct gh_deadlines *h, struct gh_deadline *d)
{
    if (!d->started)
        return;
    cut(heap_of(h, d), d);
    d->started = false;
    d->at = GH_NEVER;
}

int64_t gh_deadlines_next(const struct gh_deadlines *h)
{
    int64_t a = h->root ? h->root->at : GH_NEVER, b = h->later ? h->later->at : GH_NEVER;

    return a < b ? a : b;
}

void gh_deadlines_fire(struct gh_deadlines *h, int64_t now)
{
    if (h->firing)
        return;
    h->round++;
    h->firing = true;
    while (h->root && h->root->at <= now) {
        struct gh_deadline *d = h->root;

        gh_deadline_stop(h, d);
        d->fire(d->arg, now); /* may free <d> */
    }
    h->firing = false;
    h->root = meld(h->root, h->later);
    h->later = NULL;
}
