/* core/metrics.h - counters that cost one add, in the text format of Prometheus (version 0.0.4)
 *
 * A service declares a table and registers it before the workers start. Every worker has slots of its own, in cache lines of their own: it alone writes
 * them, relaxed, and a scrape sums them. Workers are numbered from 0; the number <workers> is the slot of
 * everything that is not a worker (set it from one thread).
 */
#ifndef GH_CORE_METRICS_H
#define GH_CORE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/drop.h"
#include "core/text.h"

enum gh_metric_type { GH_METRIC_COUNTER = 1, GH_METRIC_GAUGE, GH_METRIC_HISTOGRAM };

struct gh_metric {
    const char *name; /* NULL ends the table; counters end in _total */
    enum gh_metric_type type;
    const char *help;
    const char *label;             /* NULL: none */
    const char *const *label_values; /* ends with NULL; the index is the <label> of the calls below */
    const uint64_t *buckets;       /* HISTOGRAM: upper bounds in the unit of observe, rising */
    size_t bucket_count;
    double scale;                  /* HISTOGRAM, GAUGE: unit of the text in units of the calls (1e-9: ns to s); 0: 1 */
};

struct gh_metrics;
struct gh_metric_set; /* one registered table */

/* 0 or GH_ERR_MEMORY. */
int gh_metrics_create(unsigned workers, struct gh_metrics **ret);
void gh_metrics_destroy(struct gh_metrics *m);
int gh_metrics_register(struct gh_metrics *m, const struct gh_metric *table, struct gh_metric_set **ret);
/* Values that are read when asked: <emit> appends whole lines with gh_metrics_emit_value. */
typedef void (*gh_metrics_source_fn)(void *arg, struct gh_text *out);
int gh_metrics_add_source(struct gh_metrics *m, gh_metrics_source_fn emit, void *arg);
void gh_metrics_emit_value(struct gh_text *out, const struct gh_metric *metric, uint64_t value);

/* One slot, written by its worker alone. */
_Atomic uint64_t *gh_metric_slot(struct gh_metric_set *s, unsigned worker, unsigned row, unsigned label);

static inline void gh_counter_add(_Atomic uint64_t *slot, uint64_t n)
{
    /* one writer: a load and a store need no locked instruction */
    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void gh_metric_add(struct gh_metric_set *s, unsigned worker, unsigned row, unsigned label, uint64_t n)
{
    _Atomic uint64_t *slot = gh_metric_slot(s, worker, row, label);

    if (slot)
        gh_counter_add(slot, n);
}

/* Gauges of the workers are summed; a negative value is allowed. */
void gh_metric_set_value(struct gh_metric_set *s, unsigned worker, unsigned row, unsigned label, int64_t value);
void gh_metric_observe(struct gh_metric_set *s, unsigned worker, unsigned row, uint64_t value);

/* The worker's drop counters, GH_DROP_COUNT of them, for gh_counter_add; exported as gatehouse_drops_total{reason="…"}. */
_Atomic uint64_t *gh_metrics_drops(struct gh_metrics *m, unsigned worker);
/* Sum of all workers. */
uint64_t gh_metrics_dropped(const struct gh_metrics *m, enum gh_drop reason);
uint64_t gh_metric_sum(const struct gh_metric_set *s, unsigned row, unsigned label);

/* Everything, gatehouse_build_info first. */
void gh_metrics_emit(struct gh_metrics *m, struct gh_text *out);

#endif
