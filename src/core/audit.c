#include "core/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/drop.h"
#include "crypto/random.h"
#include "base/error.h"
#include "core/audit_chain.h"
#include "core/audit_ring.h"
#include "core/text.h"
#include "crypto/hash.h"

#define BATCH_FILE 65536u
#define BATCH_PIPE 4096u /* PIPE_BUF: poll says that so much goes in without blocking */
#define CHAIN_ROOM 160u  /* bytes of the chain's fields in a line */
#define RETRY_MS 200     /* wait after a full disk or a closed reader */

struct gh_audit {
    struct gh_audit_ring ring;
    _Atomic uint64_t lost, written;
    _Atomic int next_fd;    /* of a reopen, -1 for none */
    _Atomic bool sleeping, stopping;
    _Atomic int64_t stop_at; /* monotonic ns */
    int fd, wake;
    bool is_file;
    bool chained;
    struct gh_audit_chain chain;
    uint8_t nonce[GH_AUDIT_NONCE];
    uint64_t told; /* losses that a record has told of */
    pthread_t thread;
    /* The batch under way: whole lines, of which <done> bytes are written. */
    char batch[BATCH_FILE];
    size_t len, done;
};

static int64_t monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void wake(struct gh_audit *a)
{
    uint64_t one = 1;
    ssize_t n = write(a->wake, &one, sizeof one);

    (void)n; /* a counter that is full wakes as well */
}

bool gh_audit_write(struct gh_audit *a, const struct gh_audit_record *r)
{
    struct gh_audit_slot *slot;
    struct gh_text t;
    size_t number;
    bool ok;

    if (!a)
        return false;
    slot = gh_audit_ring_claim(&a->ring, &number);
    if (!slot) {
        atomic_fetch_add_explicit(&a->lost, 1, memory_order_relaxed);
        return false;
    }
    gh_text_init_fixed(&t, slot->line, GH_AUDIT_LINE - CHAIN_ROOM);
    gh_audit_emit(r, &t);
    if (t.failed) {
        /* the metadata is the one part that a rule's author can make long */
        struct gh_audit_record cut = *r;

        cut.metadata = NULL;
        gh_text_init_fixed(&t, slot->line, GH_AUDIT_LINE - CHAIN_ROOM);
        gh_audit_emit(&cut, &t);
    }
    ok = !t.failed;
    slot->len = ok ? (uint32_t)t.len : 0; /* an empty line is skipped */
    if (!ok)
        atomic_fetch_add_explicit(&a->lost, 1, memory_order_relaxed);
    gh_audit_ring_publish(slot, number);
    /* Either the taker sees the line after it said that it sleeps, or this sees that it sleeps. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&a->sleeping, memory_order_relaxed) && atomic_exchange(&a->sleeping, false))
        wake(a);
    return ok;
}

static void append_hex(struct gh_text *t, const uint8_t *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++)
        gh_text_append_span(t, gh_span_of((char[]){ digits[data[i] >> 4], digits[data[i] & 15] }, 2));
}

/* The line goes into the batch; with a chain its last brace makes room for the chain's fields. */
static void batch_add(struct gh_audit *a, const char *line, size_t len)
{
    struct gh_text t;
    uint8_t mac[32];
    uint64_t seq = a->chain.seq;

    gh_text_init_fixed(&t, a->batch + a->len, sizeof a->batch - a->len);
    gh_text_append_span(&t, gh_span_of(line, len));
    if (a->chained) {
        t.data[--t.len] = 0;
        gh_text_append(&t, ",\"seq\":");
        gh_text_append_uint(&t, seq);
        if (seq == 0) {
            gh_text_append(&t, ",\"chain_nonce\":\"");
            append_hex(&t, a->nonce, sizeof a->nonce);
            gh_text_append(&t, "\"");
        }
        /* the mac covers everything before it */
        if (gh_audit_chain_next(&a->chain, t.data, t.len, mac) == 0) {
            gh_text_append(&t, ",\"chain\":\"");
            append_hex(&t, mac, sizeof mac);
            gh_text_append(&t, "\"");
        }
        gh_text_append(&t, "}");
    }
    gh_text_append(&t, "\n");
    a->len += t.len;
}

static void batch_add_losses(struct gh_audit *a, uint64_t lost)
{
    char line[512], message[80];
    struct gh_text t, m;

    gh_text_init_fixed(&m, message, sizeof message);
    gh_text_append_uint(&m, lost - a->told);
    gh_text_append(&m, " audit records lost");
    gh_text_init_fixed(&t, line, sizeof line);
    gh_audit_emit(&(struct gh_audit_record){ .event = GH_AUDIT_ERROR, .message = message, .reason = gh_drop_name(GH_DROP_AUDIT_LOST) },
                  &t);
    batch_add(a, line, t.len);
    a->told = lost;
}

static void batch_fill(struct gh_audit *a)
{
    size_t limit = a->is_file ? sizeof a->batch : BATCH_PIPE;
    uint64_t lost = atomic_load_explicit(&a->lost, memory_order_relaxed);
    struct gh_audit_slot *slot;

    a->len = a->done = 0;
    /* the last batch went out, so the sink works again */
    if (lost > a->told)
        batch_add_losses(a, lost);
    while (a->len + GH_AUDIT_LINE <= limit) {
        slot = gh_audit_ring_peek(&a->ring);
        if (!slot)
            return;
        if (slot->len)
            batch_add(a, slot->line, slot->len);
        gh_audit_ring_consume(&a->ring);
    }
}

static size_t lines_in(const char *data, size_t len)
{
    size_t lines = 0;

    for (size_t i = 0; i < len; i++)
        lines += data[i] == '\n';
    return lines;
}

static void set_fd(struct gh_audit *a, int fd)
{
    struct stat st;

    if (a->fd >= 0)
        close(a->fd);
    a->fd = fd;
    a->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    /* a line that was cut in two is whole in the new file */
    while (a->done > 0 && a->batch[a->done - 1] != '\n')
        a->done--;
}

static int wait_ms(const struct gh_audit *a, int ms)
{
    int64_t left;

    if (!atomic_load(&a->stopping))
        return ms;
    left = (atomic_load(&a->stop_at) - monotonic()) / 1000000;
    return left < 0 ? 0 : ms < 0 || left < ms ? (int)left : ms;
}

/* Sleeps until woken, until <ms> have passed (-1: for ever), or until the sink takes bytes. True when it does. */
static bool wait_for(struct gh_audit *a, bool sink, int ms)
{
    struct pollfd p[2] = { { .fd = a->wake, .events = POLLIN }, { .fd = sink ? a->fd : -1, .events = POLLOUT } };
    uint64_t count;

    if (poll(p, 2, wait_ms(a, ms)) > 0 && p[0].revents) {
        ssize_t n = read(a->wake, &count, sizeof count);

        (void)n;
    }
    return sink && p[1].revents != 0;
}

static bool out_of_time(const struct gh_audit *a)
{
    return atomic_load(&a->stopping) && monotonic() >= atomic_load(&a->stop_at);
}

/* Writes some of the batch; false when the sink refused and it is time to wait. */
static bool batch_write(struct gh_audit *a)
{
    size_t left = a->len - a->done;
    ssize_t n;

    if (!a->is_file && left > BATCH_PIPE)
        left = BATCH_PIPE;
    n = write(a->fd, a->batch + a->done, left);
    if (n > 0) {
        atomic_fetch_add_explicit(&a->written, lines_in(a->batch + a->done, (size_t)n), memory_order_relaxed);
        a->done += (size_t)n;
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

static void *run(void *arg)
{
    struct gh_audit *a = arg;

    for (;;) {
        int fd = atomic_exchange(&a->next_fd, -1);

        if (fd >= 0)
            set_fd(a, fd);
        if (a->done == a->len)
            batch_fill(a);
        if (a->len == 0) {
            if (atomic_load(&a->stopping))
                return NULL;
            atomic_store(&a->sleeping, true);
            atomic_thread_fence(memory_order_seq_cst);
            if (!gh_audit_ring_peek(&a->ring) && atomic_load(&a->next_fd) < 0 && !atomic_load(&a->stopping))
                wait_for(a, false, -1);
            atomic_store(&a->sleeping, false);
            continue;
        }
        if (wait_for(a, true, -1) && !batch_write(a))
            wait_for(a, false, RETRY_MS);
        if (a->done < a->len && out_of_time(a))
            return NULL;
    }
}

static int start_thread(struct gh_audit *a)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for other threads; SIGPIPE too */
    rc = pthread_create(&a->thread, NULL, run, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : GH_ERR_SYSTEM;
}

static int start_chain(struct gh_audit *a, const struct gh_secret *key)
{
    int rc;

    if (!key || !key->data)
        return 0;
    if (key->len < 16)
        return GH_ERR_RANGE;
    rc = gh_random_bytes(a->nonce, sizeof a->nonce);
    if (rc == 0)
        rc = gh_audit_chain_init(&a->chain, key->data, key->len, a->nonce);
    a->chained = rc == 0;
    return rc;
}

static void destroy(struct gh_audit *a)
{
    int next = atomic_load(&a->next_fd);

    if (next >= 0)
        close(next);
    if (a->fd >= 0)
        close(a->fd);
    if (a->wake >= 0)
        close(a->wake);
    gh_audit_chain_fini(&a->chain);
    gh_audit_ring_fini(&a->ring);
    free(a);
}

int gh_audit_create(const struct gh_audit_setup *setup, struct gh_audit **ret)
{
    struct gh_audit *a = aligned_alloc(64, (sizeof *a + 63) / 64 * 64);
    int rc;

    if (!a)
        return GH_ERR_MEMORY;
    memset(a, 0, sizeof *a);
    a->fd = -1;
    atomic_init(&a->next_fd, -1);
    a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = a->wake < 0 ? GH_ERR_SYSTEM : gh_audit_ring_init(&a->ring, setup->records ? setup->records : 4096);
    if (rc == 0)
        rc = start_chain(a, setup->chain_key);
    if (rc == 0) {
        set_fd(a, setup->fd);
        rc = start_thread(a);
        if (rc < 0)
            a->fd = -1; /* still the caller's */
    }
    if (rc < 0) {
        destroy(a);
        return rc;
    }
    *ret = a;
    return 0;
}

uint64_t gh_audit_destroy(struct gh_audit *a, int64_t patience_ns)
{
    uint64_t left;

    if (!a)
        return 0;
    atomic_store(&a->stop_at, monotonic() + patience_ns);
    atomic_store(&a->stopping, true);
    wake(a);
    pthread_join(a->thread, NULL);
    left = lines_in(a->batch + a->done, a->len - a->done) + gh_audit_ring_count(&a->ring);
    destroy(a);
    return left;
}

void gh_audit_reopen(struct gh_audit *a, int fd)
{
    int unused = atomic_exchange(&a->next_fd, fd);

    if (unused >= 0)
        close(unused);
    wake(a);
}

uint64_t gh_audit_lost(const struct gh_audit *a)
{
    return a ? atomic_load_explicit(&a->lost, memory_order_relaxed) : 0;
}

uint64_t gh_audit_written(const struct gh_audit *a)
{
    return a ? atomic_load_explicit(&a->written, memory_order_relaxed) : 0;
}

int gh_audit_open_path(const char *path)
{
    int fd = strcmp(path, "-") == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

    return fd < 0 ? GH_ERR_SYSTEM : fd;
}
