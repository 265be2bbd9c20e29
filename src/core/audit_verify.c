#include "core/audit_verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "core/audit.h"
#include "core/audit_line.h"
#include "crypto/hash.h"

#define BUDGET (UINT64_C(1) << 32)

/* Numbers that were passed over: a record that turns up later is checked with the key from here. */
struct gh_audit_gap {
    uint64_t from, to; /* both included */
    uint8_t key[GH_AUDIT_KEY]; /* of <from> */
    unsigned file;
    uint64_t line;
    size_t finding; /* of a record that failed: its finding; SIZE_MAX: nothing was said yet */
    bool excused;   /* lost in a crash */
};

bool gh_audit_kind_is_note(enum gh_audit_kind k)
{
    return k >= GH_AUDIT_CRASH;
}

const char *gh_audit_kind_name(enum gh_audit_kind k)
{
    static const char *const names[] = { "changed", "missing", "moved", "repeated", "inserted", "tail", "crash", "torn", "starts" };

    return (unsigned)k < sizeof names / sizeof *names ? names[k] : "unknown";
}

const char *gh_audit_end_name(enum gh_audit_end e)
{
    static const char *const names[] = { "none", "open", "rotated", "stopped" };

    return (unsigned)e < sizeof names / sizeof *names ? names[e] : "none";
}

int gh_audit_verify_init(struct gh_audit_verifier *v, const uint8_t first_key[GH_AUDIT_KEY], bool complete)
{
    memset(v, 0, sizeof *v);
    gh_audit_chain_init(&v->chain, first_key, 0);
    v->complete = complete;
    v->budget = BUDGET;
    v->file = UINT32_MAX;
    return gh_audit_chain_id(first_key, v->id);
}

void gh_audit_verify_fini(struct gh_audit_verifier *v)
{
    if (v->gaps)
        gh_wipe(v->gaps, v->gap_cap * sizeof *v->gaps);
    free(v->gaps);
    gh_audit_chain_fini(&v->chain);
    v->gaps = NULL;
    v->gap_count = v->gap_cap = 0;
}

void gh_audit_verify_file(struct gh_audit_verifier *v)
{
    v->file++;
    v->line = 0;
}

static size_t find_at(struct gh_audit_verifier *v, enum gh_audit_kind kind, unsigned file, uint64_t line, uint64_t seq, uint64_t last)
{
    if (!gh_audit_kind_is_note(kind))
        v->bad++;
    if (v->finding_count == GH_AUDIT_FINDINGS_MAX)
        return SIZE_MAX;
    v->findings[v->finding_count] = (struct gh_audit_finding){ kind, file, line, seq, last };
    return v->finding_count++;
}

static size_t find(struct gh_audit_verifier *v, enum gh_audit_kind kind, uint64_t seq, uint64_t last)
{
    return find_at(v, kind, v->file, v->line, seq, last);
}

/* A finding turns out to be another one. */
static void restate(struct gh_audit_verifier *v, size_t at, enum gh_audit_kind kind, uint64_t seq)
{
    if (at >= v->finding_count)
        return; /* it was not kept */
    if (gh_audit_kind_is_note(kind) && !gh_audit_kind_is_note(v->findings[at].kind))
        v->bad--;
    v->findings[at].kind = kind;
    v->findings[at].seq = v->findings[at].last = seq;
}

/* ---- gaps ---- */

/* Records from the next one to <to> are not here. Moves the chain behind them. */
static void gap_add(struct gh_audit_verifier *v, uint64_t to, size_t finding)
{
    struct gh_audit_gap *g;

    if (v->gap_count == v->gap_cap) {
        size_t cap = v->gap_cap ? v->gap_cap * 2 : 64;

        g = calloc(cap, sizeof *g); /* not realloc: keys would stay behind */
        if (!g) {
            v->failed = true;
            return;
        }
        if (v->gap_count)
            memcpy(g, v->gaps, v->gap_count * sizeof *g);
        if (v->gaps)
            gh_wipe(v->gaps, v->gap_cap * sizeof *v->gaps);
        free(v->gaps);
        v->gaps = g;
        v->gap_cap = cap;
    }
    g = &v->gaps[v->gap_count++];
    *g = (struct gh_audit_gap){ .from = v->chain.seq, .to = to, .file = v->file, .line = v->line, .finding = finding };
    memcpy(g->key, v->chain.key, GH_AUDIT_KEY);
    v->failed |= gh_audit_chain_skip(&v->chain, to + 1) < 0;
}

static struct gh_audit_gap *gap_of(struct gh_audit_verifier *v, uint64_t seq)
{
    for (size_t i = v->gap_count; i-- > 0;)
        if (v->gaps[i].from <= seq && seq <= v->gaps[i].to)
            return &v->gaps[i];
    return NULL;
}

/* <seq> of the gap was found. <c> is at <seq>. */
static void gap_close(struct gh_audit_verifier *v, struct gh_audit_gap *g, const struct gh_audit_chain *c)
{
    struct gh_audit_gap before = *g;
    struct gh_audit_chain after = *c, next = v->chain;
    uint64_t seq = c->seq;

    if (seq == g->from && seq == g->to) {
        size_t i = (size_t)(g - v->gaps);

        memmove(g, g + 1, (v->gap_count - i - 1) * sizeof *g);
        v->gap_count--;
    } else if (seq == g->to) {
        g->to--;
    } else {
        v->failed |= gh_audit_chain_skip(&after, seq + 1) < 0;
        if (g->finding != SIZE_MAX)
            g->finding += (size_t)(seq + 1 - g->from);
        g->from = seq + 1;
        memcpy(g->key, after.key, GH_AUDIT_KEY);
        if (before.from < seq) {
            /* the part before it becomes a gap of its own */
            gh_audit_chain_init(&v->chain, before.key, before.from);
            gap_add(v, seq - 1, before.finding);
            if (v->gap_count) {
                v->gaps[v->gap_count - 1].file = before.file;
                v->gaps[v->gap_count - 1].line = before.line;
                v->gaps[v->gap_count - 1].excused = before.excused;
            }
            v->chain = next;
        }
    }
    gh_wipe(&before, sizeof before);
    gh_audit_chain_fini(&after);
    gh_audit_chain_fini(&next);
}

/* ---- lines ---- */

static bool proves(struct gh_audit_verifier *v, const struct gh_audit_chain *c, const struct gh_audit_line *l)
{
    uint8_t mac[32];

    if (gh_audit_chain_mac(c, l->covered.data, l->covered.len, mac) < 0) {
        v->failed = true;
        return false;
    }
    return gh_hash_equals(mac, l->mac, sizeof mac);
}

/* Is the line what its number says? <ret> is at that number then; the caller wipes it. */
static bool proves_at(struct gh_audit_verifier *v, const uint8_t key[GH_AUDIT_KEY], uint64_t from, const struct gh_audit_line *l,
                      struct gh_audit_chain *ret)
{
    gh_audit_chain_init(ret, key, from);
    if (l->seq - from > v->budget)
        return false;
    v->budget -= l->seq - from;
    if (gh_audit_chain_skip(ret, l->seq) < 0) {
        v->failed = true;
        return false;
    }
    return proves(v, ret, l);
}

static bool is(struct gh_span s, const char *text)
{
    return gh_span_equals(s, gh_span_str(text));
}

/* Lines that are no records stood where as many records are missing: they are what became of them. The finding that a gap
 * of these records starts from, or SIZE_MAX. */
static size_t settle_foreign(struct gh_audit_verifier *v, uint64_t first, uint64_t missing)
{
    if (v->foreign_count == 0 || missing != v->foreign_count)
        return SIZE_MAX;
    for (size_t i = 0; i < v->foreign_count; i++)
        restate(v, v->foreign_at + i, GH_AUDIT_CHANGED, first + i);
    return v->foreign_at;
}

static void gap_excuse(struct gh_audit_verifier *v, uint64_t to)
{
    gap_add(v, to, SIZE_MAX);
    if (v->gap_count)
        v->gaps[v->gap_count - 1].excused = true;
}

/* The run before ended without notice: numbers from <missing_from> on need not be there. */
static void take_resume(struct gh_audit_verifier *v, const struct gh_audit_line *l)
{
    uint64_t from = v->chain.seq > l->missing_from ? v->chain.seq : l->missing_from;

    if (from > l->seq)
        from = l->seq;
    if (v->chain.seq < from)
        gap_add(v, from - 1, settle_foreign(v, v->chain.seq, from - v->chain.seq));
    else if (v->foreign_count == 1)
        restate(v, v->foreign_at, GH_AUDIT_TORN, from); /* the line under way when the run ended */
    if (from < l->seq) {
        gap_excuse(v, l->seq - 1);
        find(v, GH_AUDIT_CRASH, from, l->seq - 1);
    }
}

/* The first record of all that are shown. */
static void take_first(struct gh_audit_verifier *v, const struct gh_audit_line *l)
{
    bool may_begin = is(l->reason, "start") || is(l->reason, "resume") || is(l->reason, "continue");
    uint64_t strangers = v->foreign_count < l->seq ? v->foreign_count : l->seq;

    if (l->seq == 0)
        return;
    if (v->complete || (!may_begin && strangers == 0)) {
        gap_add(v, l->seq - strangers - 1, SIZE_MAX);
    } else {
        v->failed |= gh_audit_chain_skip(&v->chain, l->seq - strangers) < 0;
        if (v->chain.seq)
            find(v, GH_AUDIT_STARTS, v->chain.seq, v->chain.seq);
    }
    if (strangers)
        gap_add(v, l->seq - 1, settle_foreign(v, v->chain.seq, strangers));
}

static void take(struct gh_audit_verifier *v, const struct gh_audit_line *l)
{
    if (v->records == 0 && v->gap_count == 0 && v->chain.seq == 0)
        take_first(v, l);
    else if (is(l->reason, "resume") && l->has_missing)
        take_resume(v, l);
    if (v->torn && v->line == 1 && v->foreign_count == 1 && l->seq == v->chain.seq) {
        restate(v, v->foreign_at, GH_AUDIT_TORN, l->seq); /* its line is whole in the file that was opened then */
    } else if (l->seq > v->chain.seq) {
        gap_add(v, l->seq - 1, settle_foreign(v, v->chain.seq, l->seq - v->chain.seq));
    }
    if (v->records++ == 0)
        v->first = l->seq;
    v->last = l->seq;
    v->last_wall = l->wall;
    v->end = is(l->reason, "stop") ? GH_AUDIT_END_STOPPED : is(l->reason, "rotate") ? GH_AUDIT_END_ROTATED : GH_AUDIT_END_OPEN;
    v->failed |= gh_audit_chain_skip(&v->chain, l->seq + 1) < 0;
}

/* A record whose number was passed over. */
static void look_back(struct gh_audit_verifier *v, const struct gh_audit_line *l, struct gh_audit_gap *g)
{
    struct gh_audit_chain c;

    if (proves_at(v, g->key, g->from, l, &c)) {
        v->records++;
        if (g->finding != SIZE_MAX) /* the line that took its place is a stranger */
            restate(v, g->finding + (size_t)(l->seq - g->from), GH_AUDIT_INSERTED, l->seq);
        else
            find(v, GH_AUDIT_MOVED, l->seq, l->seq);
        gap_close(v, g, &c);
    } else {
        find(v, GH_AUDIT_CHANGED, l->seq, l->seq);
    }
    gh_audit_chain_fini(&c);
}

/* A line that proves nothing; what it was shows, perhaps, with the next record. */
static void foreign(struct gh_audit_verifier *v, enum gh_audit_kind kind, uint64_t seq, bool ended)
{
    size_t at = find(v, kind, seq, seq);

    if (v->foreign_count++ == 0)
        v->foreign_at = at;
    v->torn = !ended;
}

/* Names the chain that the line says it is of, when that is another one. */
static void note_other_chain(struct gh_audit_verifier *v, const struct gh_audit_line *l)
{
    if (l->chain_id.len != GH_AUDIT_ID_TEXT - 1 || memcmp(l->chain_id.data, v->id, GH_AUDIT_ID_TEXT - 1) == 0)
        return;
    memcpy(v->other_chain, l->chain_id.data, GH_AUDIT_ID_TEXT - 1);
}

void gh_audit_verify_line(struct gh_audit_verifier *v, struct gh_span line, bool ended)
{
    struct gh_audit_chain c = { .seq = 0 };
    struct gh_audit_gap *gap;
    struct gh_audit_line l;
    size_t at;

    v->line++;
    if (line.len == 0)
        return;
    if (gh_audit_line_parse(line, &l) < 0) {
        foreign(v, GH_AUDIT_INSERTED, v->chain.seq, ended);
        return;
    }
    gap = l.seq < v->chain.seq ? gap_of(v, l.seq) : NULL;
    if (gap) {
        look_back(v, &l, gap);
    } else if (l.seq < v->chain.seq) {
        foreign(v, GH_AUDIT_REPEATED, l.seq, ended);
        return;
    } else if (proves_at(v, v->chain.key, v->chain.seq, &l, &c)) {
        take(v, &l);
    } else if (v->records == 0) { /* where it belongs shows with the first record that is good */
        note_other_chain(v, &l);
        foreign(v, GH_AUDIT_INSERTED, v->chain.seq, ended);
        gh_audit_chain_fini(&c);
        return;
    } else {
        at = find(v, GH_AUDIT_CHANGED, v->chain.seq, v->chain.seq);
        gap_add(v, v->chain.seq, at);
        if (v->gap_count && at == SIZE_MAX)
            v->gaps[v->gap_count - 1].excused = true; /* it was counted */
    }
    gh_audit_chain_fini(&c);
    v->foreign_count = 0;
    v->torn = false;
}

/* ---- the end ---- */

static int by_place(const void *a, const void *b)
{
    const struct gh_audit_finding *x = a, *y = b;

    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void check_tail(struct gh_audit_verifier *v, int64_t at, uint64_t written)
{
    uint64_t next = v->chain.seq;

    if (written > next)
        find(v, GH_AUDIT_TAIL, next, written - 1);
    else if (v->records && v->end == GH_AUDIT_END_OPEN && !written && at - v->last_wall > (int64_t)GH_AUDIT_CHECKPOINT_S + GH_AUDIT_GRACE_S)
        find(v, GH_AUDIT_TAIL, next, next);
}

int gh_audit_verify_end(struct gh_audit_verifier *v, int64_t at, uint64_t written)
{
    for (size_t i = 0; i < v->gap_count; i++) {
        const struct gh_audit_gap *g = &v->gaps[i];

        if (!g->excused && g->finding == SIZE_MAX)
            find_at(v, GH_AUDIT_MISSING, g->file, g->line, g->from, g->to);
    }
    check_tail(v, at, written);
    if (v->finding_count)
        qsort(v->findings, v->finding_count, sizeof *v->findings, by_place);
    return v->failed ? GH_ERR_MEMORY : 0;
}
