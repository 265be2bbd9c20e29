#include "core/audit_sink.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "os/journald.h"

#define IDENTIFIER "gatehouse-audit"
#define LEVEL_WITHIN 80u /* bytes of a line in which its level stands */

void gh_audit_sink_init(struct gh_audit_sink *s, int fd)
{
    struct stat st;

    *s = (struct gh_audit_sink){ .fd = fd, .is_file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) };
}

void gh_audit_sink_init_journal(struct gh_audit_sink *s)
{
    int fd = gh_journald_open(GH_JOURNALD_SOCKET);

    *s = (struct gh_audit_sink){ .fd = fd < 0 ? -1 : fd, .is_journal = true };
}

void gh_audit_sink_fini(struct gh_audit_sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static bool mentions(const char *line, size_t len, const char *word)
{
    return memmem(line, len < LEVEL_WITHIN ? len : LEVEL_WITHIN, word, strlen(word)) != NULL;
}

/* Levels of a line stand before anything that a peer can say. */
static unsigned priority_of(const char *line, size_t len)
{
    if (mentions(line, len, "\"level\":\"error\"") || mentions(line, len, "Z error "))
        return 3;
    if (mentions(line, len, "\"level\":\"warn\"") || mentions(line, len, "Z warn "))
        return 4;
    return 6;
}

static size_t write_journal(struct gh_audit_sink *s, const char *lines, size_t len)
{
    const char *end = memchr(lines, '\n', len);
    size_t n = end ? (size_t)(end - lines) : len;
    int rc = GH_ERR_CLOSED;

    if (s->fd < 0)
        gh_audit_sink_init_journal(s);
    if (s->fd >= 0)
        rc = gh_journald_send(s->fd, priority_of(lines, n), IDENTIFIER, lines, n);
    if (rc == GH_ERR_CLOSED)
        gh_audit_sink_fini(s);
    return rc == 0 ? n + (end != NULL) : 0;
}

size_t gh_audit_sink_write(struct gh_audit_sink *s, const char *lines, size_t len)
{
    ssize_t n;

    if (s->is_journal)
        return write_journal(s, lines, len);
    if (!s->is_file && len > GH_AUDIT_PIPE)
        len = GH_AUDIT_PIPE;
    do
        n = write(s->fd, lines, len);
    while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

void gh_audit_sink_sync(const struct gh_audit_sink *s)
{
    int rc = s->is_file ? fdatasync(s->fd) : 0;

    (void)rc; /* a disk that fails shows with the next write */
}

bool gh_audit_sink_is(const struct gh_audit_sink *s, int fd)
{
    struct stat mine, other;

    return s->is_file && fstat(s->fd, &mine) == 0 && fstat(fd, &other) == 0 && mine.st_dev == other.st_dev && mine.st_ino == other.st_ino;
}
