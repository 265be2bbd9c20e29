/* ports/metrics.h - the counters of a node as text in the Prometheus exposition format 0.0.4 */
#ifndef GH_PORTS_METRICS_H
#define GH_PORTS_METRICS_H

#include <stdbool.h>
#include <stddef.h>

/* False: give up, the writer has no memory left. */
typedef bool (*gh_metrics_write_fn)(void *arg, const char *text, size_t len);

struct gh_port_metrics {
    void (*emit)(void *self, gh_metrics_write_fn write, void *arg);
    void *self;
};

#endif
