/* core/log.h - one line an event, fields with stable names
 *
 * A line leaves in one write(2), so lines of several threads and processes never mix. A line has at most GH_LOG_LINE
 * bytes: a string is cut at GH_LOG_VALUE, fields that do not fit are left out, and the line says so with truncated=true. A
 * field cannot carry a secret: there is no kind for one. A write that would block or fails loses the line, and the loss is
 * counted. The process ignores SIGPIPE.
 */
#ifndef GH_CORE_LOG_H
#define GH_CORE_LOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/span.h"

#define GH_LOG_LINE 4096u /* a pipe takes as much whole: PIPE_BUF */
#define GH_LOG_VALUE 1024u

enum gh_log_level { GH_LOG_ERROR, GH_LOG_WARN, GH_LOG_INFO, GH_LOG_DEBUG };
enum gh_log_format { GH_LOG_AUTO, GH_LOG_TEXT, GH_LOG_JSON }; /* auto: text on a terminal, else JSON */

enum gh_log_kind {
    GH_LOG_KIND_STRING,
    GH_LOG_KIND_SPAN,
    GH_LOG_KIND_INT,
    GH_LOG_KIND_UINT,
    GH_LOG_KIND_BOOL,
    GH_LOG_KIND_IP,
    GH_LOG_KIND_PREFIX,
    GH_LOG_KIND_DURATION, /* ns, written as the configuration reads it: "1m30s" */
    GH_LOG_KIND_ERRNO,
    GH_LOG_KIND_RESULT, /* GH_ERR_… as its words */
};

struct gh_log_field {
    const char *name; /* lower case, words joined by "_"; NULL: the field is left out */
    enum gh_log_kind kind;
    union {
        const char *string;
        struct gh_span span;
        int64_t i;
        uint64_t u;
        const struct gh_ip *ip;
        const struct gh_prefix *prefix;
    };
};

static inline struct gh_log_field gh_log_str(const char *name, const char *v)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_STRING, .string = v };
}

static inline struct gh_log_field gh_log_span(const char *name, struct gh_span v)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_SPAN, .span = v };
}

static inline struct gh_log_field gh_log_int(const char *name, int64_t v)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_INT, .i = v };
}

static inline struct gh_log_field gh_log_uint(const char *name, uint64_t v)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_UINT, .u = v };
}

static inline struct gh_log_field gh_log_bool(const char *name, bool v)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_BOOL, .u = v };
}

static inline struct gh_log_field gh_log_ip(const char *name, const struct gh_ip *v)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_IP, .ip = v };
}

static inline struct gh_log_field gh_log_prefix(const char *name, const struct gh_prefix *v)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_PREFIX, .prefix = v };
}

static inline struct gh_log_field gh_log_duration(const char *name, int64_t ns)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_DURATION, .i = ns };
}

static inline struct gh_log_field gh_log_errno(const char *name, int error)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_ERRNO, .i = error };
}

static inline struct gh_log_field gh_log_result(const char *name, int rc)
{
    return (struct gh_log_field){ .name = name, .kind = GH_LOG_KIND_RESULT, .i = rc };
}

struct gh_log {
    pthread_mutex_t lock; /* over fd and its write */
    int fd;
    bool is_socket;
    _Atomic int level;
    bool json, colour;
    _Atomic uint64_t lost; /* lines */
};

/* Writes to <fd>, which stays the caller's. */
void gh_log_init(struct gh_log *log, int fd, enum gh_log_format format, enum gh_log_level level);
void gh_log_fini(struct gh_log *log);
void gh_log_set_level(struct gh_log *log, enum gh_log_level level);
/* From now on lines go to <fd>, which stays the caller's; returns the descriptor used before, free to be closed. */
int gh_log_set_fd(struct gh_log *log, int fd);

static inline bool gh_log_wants(const struct gh_log *log, enum gh_log_level level)
{
    return log && (int)level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/* <area>: the folder or service that speaks ("relay"). <log> may be NULL. Keeps errno. */
void gh_log(struct gh_log *log, enum gh_log_level level, const char *area, const char *message,
            const struct gh_log_field *fields, size_t count);

/* gh_log_event(log, GH_LOG_INFO, "relay", "Virtual IP assigned", gh_log_str("client_id", id), gh_log_ip("address", &ip)); */
#define gh_log_event(log, level, area, message, ...)                                                       \
    do {                                                                                                   \
        if (gh_log_wants((log), (level))) {                                                                \
            const struct gh_log_field gh_fields_[] = { { .name = NULL }, ##__VA_ARGS__ };                  \
            gh_log((log), (level), (area), (message), gh_fields_, sizeof gh_fields_ / sizeof *gh_fields_); \
        }                                                                                                  \
    } while (0)

const char *gh_log_level_name(enum gh_log_level level);

#endif
