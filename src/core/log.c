#include "core/log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "core/text.h"

#define TAIL 24u /* kept free for the mark of a cut line and the line's end */

static const char *const names[] = { "error", "warn", "info", "debug" };

const char *gh_log_level_name(enum gh_log_level level)
{
    return (unsigned)level < sizeof names / sizeof *names ? names[level] : "unknown";
}

static bool is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

void gh_log_init(struct gh_log *log, int fd, enum gh_log_format format, enum gh_log_level level)
{
    bool terminal = isatty(fd);

    memset(log, 0, sizeof *log);
    pthread_mutex_init(&log->lock, NULL);
    log->fd = fd;
    log->is_socket = is_socket(fd);
    log->json = format == GH_LOG_JSON || (format == GH_LOG_AUTO && !terminal);
    log->colour = !log->json && terminal;
    atomic_init(&log->level, (int)level);
    atomic_init(&log->lost, 0);
}

void gh_log_fini(struct gh_log *log)
{
    if (log)
        pthread_mutex_destroy(&log->lock);
}

void gh_log_set_level(struct gh_log *log, enum gh_log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

int gh_log_set_fd(struct gh_log *log, int fd)
{
    int before;

    pthread_mutex_lock(&log->lock);
    before = log->fd;
    log->fd = fd;
    log->is_socket = is_socket(fd);
    pthread_mutex_unlock(&log->lock);
    return before;
}

/* Text values are bare when that cannot be misread. */
static bool is_bare(struct gh_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= ' ' || s.data[i] >= 0x7f || s.data[i] == '"' || s.data[i] == '=' || s.data[i] == '\\')
            return false;
    return s.len > 0;
}

/* <ret_cut> is set when not all of it was taken. */
static void append_string(struct gh_text *t, bool json, struct gh_span s, bool *ret_cut)
{
    if (s.len > GH_LOG_VALUE) {
        s.len = GH_LOG_VALUE;
        *ret_cut = true;
    }
    if (json || !is_bare(s))
        gh_text_append_json(t, s);
    else
        gh_text_append_span(t, s);
}

static void append_value(struct gh_text *t, bool json, const struct gh_log_field *f, bool *ret_cut)
{
    char buf[GH_PREFIX_TEXT], small[64];
    struct gh_text duration;
    const char *s = NULL;

    switch (f->kind) {
    case GH_LOG_KIND_INT:
        gh_text_append_int(t, f->i);
        return;
    case GH_LOG_KIND_UINT:
        gh_text_append_uint(t, f->u);
        return;
    case GH_LOG_KIND_BOOL:
        gh_text_append(t, f->u ? "true" : "false");
        return;
    case GH_LOG_KIND_SPAN:
        append_string(t, json, f->span, ret_cut);
        return;
    case GH_LOG_KIND_STRING:
        s = f->string;
        break;
    case GH_LOG_KIND_IP:
        s = f->ip ? gh_ip_emit(f->ip, buf) : NULL;
        break;
    case GH_LOG_KIND_PREFIX:
        s = f->prefix ? gh_prefix_emit(f->prefix, buf) : NULL;
        break;
    case GH_LOG_KIND_ERRNO:
        s = strerrordesc_np((int)f->i);
        break;
    case GH_LOG_KIND_RESULT:
        s = gh_error_text((int)f->i);
        break;
    case GH_LOG_KIND_DURATION:
        gh_text_init_fixed(&duration, small, sizeof small);
        gh_text_append_duration(&duration, f->i);
        s = small;
        break;
    }
    if (s)
        append_string(t, json, gh_span_str(s), ret_cut);
    else
        gh_text_append(t, json ? "null" : "-");
}

static void append_head(struct gh_text *t, const struct gh_log *log, enum gh_log_level level, const char *area, const char *message)
{
    static const char *const colours[] = { "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[2m" };
    struct timespec now;
    bool cut = false;

    clock_gettime(CLOCK_REALTIME, &now);
    gh_text_append(t, log->json ? "{\"timestamp\":\"" : "");
    gh_text_append_time(t, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    if (log->json) {
        gh_text_printf(t, "\",\"level\":\"%s\",\"area\":", names[level]);
        append_string(t, true, gh_span_str(area), &cut);
        gh_text_append(t, ",\"message\":");
        append_string(t, true, gh_span_str(message), &cut);
    } else {
        gh_text_printf(t, " %s%-5s%s %s: ", log->colour ? colours[level] : "", names[level], log->colour ? "\x1b[0m" : "", area);
        gh_text_append(t, message);
    }
}

static void append_fields(struct gh_text *t, bool json, const struct gh_log_field *fields, size_t count, bool *ret_cut)
{
    for (size_t i = 0; i < count; i++) {
        size_t before = t->len;

        if (!fields[i].name)
            continue;
        gh_text_printf(t, json ? ",\"%s\":" : " %s=", fields[i].name);
        append_value(t, json, &fields[i], ret_cut);
        if (!t->failed)
            continue;
        /* a field that does not fit is left out whole */
        t->failed = false;
        t->len = before;
        *ret_cut = true;
    }
}

/* A descriptor that would block is left alone: a log line is worth less than a worker's time. */
static bool write_line(struct gh_log *log, const struct gh_text *t)
{
    struct pollfd p = { .events = POLLOUT };
    ssize_t n;

    pthread_mutex_lock(&log->lock);
    p.fd = log->fd;
    if (log->is_socket)
        n = send(log->fd, t->data, t->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (poll(&p, 1, 0) == 1 && !(p.revents & (POLLERR | POLLNVAL)))
        n = write(log->fd, t->data, t->len);
    else
        n = -1;
    pthread_mutex_unlock(&log->lock);
    return n == (ssize_t)t->len;
}

void gh_log(struct gh_log *log, enum gh_log_level level, const char *area, const char *message,
            const struct gh_log_field *fields, size_t count)
{
    char line[GH_LOG_LINE];
    struct gh_text t;
    bool cut = false;
    int saved = errno;

    if (!gh_log_wants(log, level))
        return;
    gh_text_init_fixed(&t, line, sizeof line);
    t.limit -= TAIL;
    append_head(&t, log, level, area, message);
    append_fields(&t, log->json, fields, count, &cut);
    t.failed = false;
    t.limit += TAIL;
    if (cut)
        gh_text_append(&t, log->json ? ",\"truncated\":true" : " truncated=true");
    gh_text_append(&t, log->json ? "}\n" : "\n");
    if (!write_line(log, &t))
        atomic_fetch_add_explicit(&log->lost, 1, memory_order_relaxed);
    errno = saved;
}
