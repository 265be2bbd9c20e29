#include "core/dump.h"

#include <stdlib.h>
#include <string.h>

#include "core/dump_trace.h"
#include "core/run.h"
#include "loop/trace.h"
#include "loop/worker.h"
#include "ports/session_directory.h"

#define METRICS_MAX (16u << 20)

/* Somebody asked: a log that takes errors alone gets it as such. */
#define line(log, ...)                                                                                                      \
    do {                                                                                                                    \
        const struct gh_log_field fields_[] = { __VA_ARGS__ };                                                              \
        gh_log((log), gh_log_wants((log), GH_LOG_INFO) ? GH_LOG_INFO : GH_LOG_ERROR, "core", "dump", fields_,               \
               sizeof fields_ / sizeof *fields_);                                                                           \
    } while (0)

static void dump_node(struct gh_run *run, const struct gh_description *d)
{
    char policy[80] = "";

    line(gh_node_log(run->node), gh_log_str("what", "node"), gh_log_str("version", GH_VERSION), gh_log_str("state", gh_node_state_name(gh_node_state(run->node))),
         gh_log_bool("ready", gh_node_is_ready(run->node)), gh_log_uint("generation", gh_node_generation(run->node)),
         gh_log_str("policy_version", run->policy_version ? run->policy_version(run->policy_arg, policy, sizeof policy) : ""),
         gh_log_uint("sessions", d->sessions), gh_log_uint("flows", d->flows));
}

static void dump_checks(struct gh_run *run)
{
    struct gh_ready_check list[GH_READY_MAX];
    size_t n = gh_ready_list(gh_node_ready(run->node), list, GH_READY_MAX);

    for (size_t i = 0; i < n; i++)
        line(gh_node_log(run->node), gh_log_str("what", "check"), gh_log_str("name", list[i].name), gh_log_bool("ok", list[i].ok),
             gh_log_str("why", list[i].why));
}

static void dump_description(struct gh_run *run, const struct gh_description *d)
{
    struct gh_log *log = gh_node_log(run->node);

    for (size_t i = 0; i < d->listener_count; i++)
        line(log, gh_log_str("what", "listener"), gh_log_str("service", d->listeners[i].service), gh_log_str("transport", d->listeners[i].transport),
             gh_log_str("address", d->listeners[i].address));
    for (size_t i = 0; i < d->feature_count; i++)
        line(log, gh_log_str("what", "feature"), gh_log_str("name", d->features[i].name), gh_log_bool("on", d->features[i].on),
             gh_log_str("why", d->features[i].detail));
    for (size_t i = 0; i < d->worker_count; i++)
        line(log, gh_log_str("what", "worker"), gh_log_uint("index", i), gh_log_uint("turns", gh_worker_ticks(gh_workers_at(run->workers, (unsigned)i))),
             gh_log_uint("sessions", d->workers[i].sessions), gh_log_uint("rx_packets", d->workers[i].rx_packets),
             gh_log_uint("tx_packets", d->workers[i].tx_packets), gh_log_uint("handed_over", d->workers[i].handed_over));
}

static void dump_session(void *arg, const struct gh_session_row *s)
{
    line(arg, gh_log_str("what", "session"), gh_log_str("session_id", s->id), gh_log_str("client_id", s->client_id), gh_log_ip("peer", s->peer),
         gh_log_uint("peer_port", s->peer_port), gh_log_ip("address", s->address_count ? &s->addresses[0].addr : NULL), gh_log_int("since", s->since),
         gh_log_uint("rx_packets", s->rx_packets), gh_log_uint("rx_bytes", s->rx_bytes), gh_log_uint("tx_packets", s->tx_packets),
         gh_log_uint("tx_bytes", s->tx_bytes), gh_log_uint("flows", s->flows), gh_log_uint("worker", s->worker));
}

/* The samples of /metrics that are not zero: "name{labels} value". */
static void dump_metrics(struct gh_run *run)
{
    struct gh_text text;
    char *save = NULL;

    gh_text_init(&text, METRICS_MAX);
    gh_node_emit_metrics(run->node, &text);
    for (char *at = text.failed || !text.len ? NULL : strtok_r((char *)(uintptr_t)gh_text_string(&text), "\n", &save); at; at = strtok_r(NULL, "\n", &save)) {
        char *value = strrchr(at, ' ');

        if (*at == '#' || !value || strcmp(value, " 0") == 0)
            continue;
        *value = 0;
        line(gh_node_log(run->node), gh_log_str("what", "metric"), gh_log_str("name", at), gh_log_str("value", value + 1));
    }
    gh_text_fini(&text);
}

void gh_dump(struct gh_run *run)
{
    struct gh_description *d = calloc(1, sizeof *d);

    if (d) {
        gh_node_describe(run->node, d);
        dump_node(run, d);
        dump_checks(run);
        dump_description(run, d);
    }
    free(d);
    if (run->sessions)
        run->sessions->list(run->sessions->self, dump_session, gh_node_log(run->node));
    dump_metrics(run);
    for (unsigned i = 0; i < gh_workers_count(run->workers); i++)
        gh_dump_trace(gh_node_log(run->node), i, gh_worker_trace(gh_workers_at(run->workers, i)), GH_TRACE_RECORDS);
    line(gh_node_log(run->node), gh_log_str("what", "end"));
}
