#include "core/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define LINE 8u /* slots of 8 bytes in a cache line */

struct gh_metric_set {
    struct gh_metric_set *next;
    const struct gh_metric *table;
    unsigned rows, workers;
    size_t *at;           /* first slot of each row, and the end */
    size_t stride;        /* slots of a worker */
    _Atomic uint64_t *slots;
};

struct source {
    struct source *next;
    gh_metrics_source_fn emit;
    void *arg;
};

struct gh_metrics {
    unsigned workers;
    struct gh_metric_set *sets;
    struct source *sources;
    size_t drop_stride;
    _Atomic uint64_t *drops;
};

/* One more than there are workers: the last is everyone else's. */
static _Atomic uint64_t *slots_create(unsigned workers, size_t *stride)
{
    size_t bytes;
    void *p;

    *stride = (*stride + LINE - 1) / LINE * LINE;
    if (*stride == 0)
        *stride = LINE;
    bytes = *stride * (workers + 1) * sizeof(uint64_t);
    p = aligned_alloc(64, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

int gh_metrics_create(unsigned workers, struct gh_metrics **ret)
{
    struct gh_metrics *m = calloc(1, sizeof *m);

    if (!m)
        return GH_ERR_MEMORY;
    m->workers = workers;
    m->drop_stride = GH_DROP_COUNT;
    m->drops = slots_create(workers, &m->drop_stride);
    if (!m->drops) {
        free(m);
        return GH_ERR_MEMORY;
    }
    *ret = m;
    return 0;
}

static void set_destroy(struct gh_metric_set *s)
{
    if (!s)
        return;
    free(s->at);
    free((void *)s->slots);
    free(s);
}

void gh_metrics_destroy(struct gh_metrics *m)
{
    if (!m)
        return;
    for (struct gh_metric_set *s = m->sets, *next; s; s = next) {
        next = s->next;
        set_destroy(s);
    }
    for (struct source *s = m->sources, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    free((void *)m->drops);
    free(m);
}

static size_t labels_of(const struct gh_metric *row)
{
    size_t n = 0;

    if (!row->label)
        return 1;
    while (row->label_values[n])
        n++;
    return n;
}

/* A histogram has a slot for each bucket, one for what is above them, and the sum. */
static size_t slots_of(const struct gh_metric *row)
{
    return row->type == GH_METRIC_HISTOGRAM ? row->bucket_count + 2 : labels_of(row);
}

int gh_metrics_register(struct gh_metrics *m, const struct gh_metric *table, struct gh_metric_set **ret)
{
    struct gh_metric_set *s = calloc(1, sizeof *s), **last = &m->sets;

    if (!s)
        return GH_ERR_MEMORY;
    s->table = table;
    s->workers = m->workers;
    while (table[s->rows].name)
        s->rows++;
    s->at = calloc(s->rows + 1, sizeof *s->at);
    if (s->at) {
        for (unsigned row = 0; row < s->rows; row++)
            s->at[row + 1] = s->at[row] + slots_of(&table[row]);
        s->stride = s->at[s->rows];
        s->slots = slots_create(m->workers, &s->stride);
    }
    if (!s->slots) {
        set_destroy(s);
        return GH_ERR_MEMORY;
    }
    while (*last)
        last = &(*last)->next;
    *last = s;
    *ret = s;
    return 0;
}

int gh_metrics_add_source(struct gh_metrics *m, gh_metrics_source_fn emit, void *arg)
{
    struct source *s = malloc(sizeof *s), **last = &m->sources;

    if (!s)
        return GH_ERR_MEMORY;
    *s = (struct source){ NULL, emit, arg };
    while (*last)
        last = &(*last)->next;
    *last = s;
    return 0;
}

_Atomic uint64_t *gh_metric_slot(struct gh_metric_set *s, unsigned worker, unsigned row, unsigned label)
{
    if (!s || worker > s->workers || row >= s->rows || label >= s->at[row + 1] - s->at[row])
        return NULL;
    return &s->slots[worker * s->stride + s->at[row] + label];
}

void gh_metric_set_value(struct gh_metric_set *s, unsigned worker, unsigned row, unsigned label, int64_t value)
{
    _Atomic uint64_t *slot = gh_metric_slot(s, worker, row, label);

    if (slot)
        atomic_store_explicit(slot, (uint64_t)value, memory_order_relaxed);
}

void gh_metric_observe(struct gh_metric_set *s, unsigned worker, unsigned row, uint64_t value)
{
    _Atomic uint64_t *slot = gh_metric_slot(s, worker, row, 0);
    const struct gh_metric *metric;
    size_t i = 0;

    if (!slot || s->table[row].type != GH_METRIC_HISTOGRAM)
        return;
    metric = &s->table[row];
    while (i < metric->bucket_count && value > metric->buckets[i])
        i++;
    gh_counter_add(slot + i, 1);
    gh_counter_add(slot + metric->bucket_count + 1, value);
}

_Atomic uint64_t *gh_metrics_drops(struct gh_metrics *m, unsigned worker)
{
    return worker <= m->workers ? m->drops + worker * m->drop_stride : NULL;
}

static uint64_t sum(const _Atomic uint64_t *slots, size_t stride, unsigned workers, size_t at)
{
    uint64_t total = 0;

    for (unsigned w = 0; w <= workers; w++)
        total += atomic_load_explicit(&slots[w * stride + at], memory_order_relaxed);
    return total;
}

uint64_t gh_metrics_dropped(const struct gh_metrics *m, enum gh_drop reason)
{
    return (unsigned)reason < GH_DROP_COUNT ? sum(m->drops, m->drop_stride, m->workers, reason) : 0;
}

uint64_t gh_metric_sum(const struct gh_metric_set *s, unsigned row, unsigned label)
{
    if (!s || row >= s->rows || label >= s->at[row + 1] - s->at[row])
        return 0;
    return sum(s->slots, s->stride, s->workers, s->at[row] + label);
}

/* Backslash and newline are escaped in help; in a label's value the quote as well. */
static void append_escaped(struct gh_text *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\\' || *s == '"')
            gh_text_append_span(out, gh_span_of((char[]){ '\\', *s }, 2));
        else if (*s == '\n')
            gh_text_append(out, "\\n");
        else
            gh_text_append_span(out, gh_span_of(s, 1));
    }
}

static void emit_head(struct gh_text *out, const char *name, const char *help, enum gh_metric_type type)
{
    static const char *const types[] = { "untyped", "counter", "gauge", "histogram" };

    gh_text_printf(out, "# HELP %s ", name);
    for (const char *s = help ? help : ""; *s; s++)
        gh_text_append_span(out, gh_span_of(*s == '\n' ? " " : s, 1));
    gh_text_printf(out, "\n# TYPE %s %s\n", name, types[type]);
}

static void emit_number(struct gh_text *out, const struct gh_metric *metric, uint64_t value)
{
    if (metric->scale != 0)
        gh_text_printf(out, "%.9g", (metric->type == GH_METRIC_GAUGE ? (double)(int64_t)value : (double)value) * metric->scale);
    else if (metric->type == GH_METRIC_GAUGE)
        gh_text_append_int(out, (int64_t)value);
    else
        gh_text_append_uint(out, value);
    gh_text_append(out, "\n");
}

void gh_metrics_emit_value(struct gh_text *out, const struct gh_metric *metric, uint64_t value)
{
    emit_head(out, metric->name, metric->help, metric->type);
    gh_text_printf(out, "%s ", metric->name);
    emit_number(out, metric, value);
}

static void emit_histogram(const struct gh_metric_set *s, unsigned row, struct gh_text *out)
{
    const struct gh_metric *metric = &s->table[row];
    double scale = metric->scale != 0 ? metric->scale : 1;
    uint64_t total = 0;

    for (size_t i = 0; i <= metric->bucket_count; i++) {
        total += gh_metric_sum(s, row, (unsigned)i);
        gh_text_printf(out, "%s_bucket{le=\"", metric->name);
        if (i < metric->bucket_count)
            gh_text_printf(out, "%.9g", (double)metric->buckets[i] * scale);
        else
            gh_text_append(out, "+Inf");
        gh_text_append(out, "\"} ");
        gh_text_append_uint(out, total);
        gh_text_append(out, "\n");
    }
    gh_text_printf(out, "%s_sum ", metric->name);
    emit_number(out, metric, gh_metric_sum(s, row, (unsigned)metric->bucket_count + 1));
    gh_text_printf(out, "%s_count ", metric->name);
    gh_text_append_uint(out, total);
    gh_text_append(out, "\n");
}

static void emit_row(const struct gh_metric_set *s, unsigned row, struct gh_text *out)
{
    const struct gh_metric *metric = &s->table[row];
    size_t labels = labels_of(metric);

    emit_head(out, metric->name, metric->help, metric->type);
    if (metric->type == GH_METRIC_HISTOGRAM) {
        emit_histogram(s, row, out);
        return;
    }
    for (size_t i = 0; i < labels; i++) {
        gh_text_append(out, metric->name);
        if (metric->label) {
            gh_text_printf(out, "{%s=\"", metric->label);
            append_escaped(out, metric->label_values[i]);
            gh_text_append(out, "\"}");
        }
        gh_text_append(out, " ");
        emit_number(out, metric, gh_metric_sum(s, row, (unsigned)i));
    }
}

void gh_metrics_emit(struct gh_metrics *m, struct gh_text *out)
{
    emit_head(out, "gatehouse_build_info", "The version that runs, as a label.", GH_METRIC_GAUGE);
    gh_text_printf(out, "gatehouse_build_info{version=\"%s\"} 1\n", GH_VERSION);
    emit_head(out, "gatehouse_drops_total", "What was not served, by reason.", GH_METRIC_COUNTER);
    for (unsigned d = GH_DROP_NONE + 1; d < GH_DROP_COUNT; d++) {
        gh_text_printf(out, "gatehouse_drops_total{reason=\"%s\"} ", gh_drop_name((enum gh_drop)d));
        gh_text_append_uint(out, gh_metrics_dropped(m, (enum gh_drop)d));
        gh_text_append(out, "\n");
    }
    for (const struct gh_metric_set *s = m->sets; s; s = s->next)
        for (unsigned row = 0; row < s->rows; row++)
            emit_row(s, row, out);
    for (const struct source *s = m->sources; s; s = s->next)
        s->emit(s->arg, out);
}
