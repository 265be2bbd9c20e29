#include "core/audit.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/drop.h"
#include "base/error.h"
#include "base/hex.h"
#include "core/audit_ring.h"
#include "core/audit_sink.h"
#include "core/audit_state.h"
#include "core/text.h"
#include "crypto/hash.h"

#define BATCH 65536u
#define BATCH_LINES (BATCH / 100) /* no line is so short that a batch holds more */
#define CHAIN_ROOM 160u  /* bytes of the chain's fields in a line */
#define GATHER_MS 2      /* lines come in crowds: what is younger travels with those that follow */
#define GATHER_LINES 16u /* enough to go at once */
#define RETRY_MS 200     /* wait after a full disk or a closed reader */
#define SECOND INT64_C(1000000000)

struct gh_audit {
    struct gh_audit_ring ring;
    _Atomic uint64_t lost, written;
    _Atomic int next_fd;    /* of a reopen, -1 for none */
    _Atomic bool sleeping, gathering, stopping;
    _Atomic int64_t stop_at; /* monotonic ns */
    int wake;
    enum gh_audit_format format;
    struct gh_audit_sink sink;
    uint64_t told; /* losses that a record has told of */
    pthread_t thread;
    /* The chain, when there is one. */
    bool chained;
    bool sync_due;    /* the batch holds a checkpoint: sync once it is written */
    bool stalled;     /* the state cannot be written */
    bool stop_written;
    const char *due;  /* the checkpoint that comes next of itself; NULL: none */
    struct gh_audit_state state; /* state.chain: of the next line */
    int64_t checkpoint_ns, checkpoint_at; /* monotonic */
    /* The batch under way: whole lines, of which <done> bytes are written. */
    char batch[BATCH];
    size_t len, done;
};

static int64_t monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

static void wake(struct gh_audit *a)
{
    uint64_t one = 1;
    ssize_t n = write(a->wake, &one, sizeof one);

    (void)n; /* a counter that is full wakes as well */
}

static void emit(const struct gh_audit *a, const struct gh_audit_record *r, struct gh_text *out)
{
    if (a->format == GH_AUDIT_TEXT)
        gh_audit_emit_text(r, out);
    else
        gh_audit_emit(r, out);
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
    emit(a, r, &t);
    if (t.failed) {
        /* the metadata is the one part that a rule's author can make long */
        struct gh_audit_record cut = *r;

        cut.metadata = NULL;
        gh_text_init_fixed(&t, slot->line, GH_AUDIT_LINE - CHAIN_ROOM);
        emit(a, &cut, &t);
    }
    ok = !t.failed;
    slot->len = ok ? (uint32_t)t.len : 0; /* an empty line is skipped */
    if (!ok)
        atomic_fetch_add_explicit(&a->lost, 1, memory_order_relaxed);
    gh_audit_ring_publish(slot, number);
    /* Either the taker sees the line after it said that it sleeps, or this sees that it sleeps. */
    if (atomic_load(&a->sleeping) && atomic_exchange(&a->sleeping, false))
        wake(a);
    else if (atomic_load(&a->gathering) && gh_audit_ring_count(&a->ring) > a->ring.mask / 4 && atomic_exchange(&a->gathering, false))
        wake(a);
    return ok;
}

/* ---- what goes into a batch ---- */

/* The line goes into the batch; with a chain, its number and mac at its end. */
static void batch_add(struct gh_audit *a, const char *line, size_t len)
{
    bool text = a->format == GH_AUDIT_TEXT;
    struct gh_text t;
    uint8_t mac[32];
    char hex[2 * sizeof mac + 1];

    gh_text_init_fixed(&t, a->batch + a->len, sizeof a->batch - a->len);
    gh_text_append_span(&t, gh_span_of(line, len));
    if (a->chained) {
        if (!text)
            t.data[--t.len] = 0; /* the last brace makes room */
        gh_text_append(&t, text ? " seq=" : ",\"seq\":");
        gh_text_append_uint(&t, a->state.chain.seq);
        /* the mac covers everything before it */
        if (t.failed || gh_audit_chain_next(&a->state.chain, t.data, t.len, mac) < 0) {
            atomic_fetch_add_explicit(&a->lost, 1, memory_order_relaxed);
            a->batch[a->len] = 0;
            return;
        }
        gh_hex_encode(mac, sizeof mac, hex);
        gh_text_append(&t, text ? " chain=" : ",\"chain\":\"");
        gh_text_append(&t, hex);
        gh_text_append(&t, text ? "" : "\"}");
    }
    gh_text_append(&t, "\n");
    a->len += t.len;
}

static void batch_add_record(struct gh_audit *a, const struct gh_audit_record *r)
{
    char line[640];
    struct gh_text t;

    gh_text_init_fixed(&t, line, sizeof line);
    emit(a, r, &t);
    batch_add(a, line, t.len);
}

static void batch_add_losses(struct gh_audit *a, uint64_t lost)
{
    char message[80];

    snprintf(message, sizeof message, "%llu audit records lost", (unsigned long long)(lost - a->told));
    batch_add_record(a, &(struct gh_audit_record){
                            .event = GH_AUDIT_ERROR, .message = message, .reason = gh_drop_name(GH_DROP_AUDIT_LOST), .lost = lost - a->told });
    a->told = lost;
}

static const char *checkpoint_message(const char *reason)
{
    static const char *const texts[][2] = {
        { "begin", "the chain begins" },
        { "start", "the node started" },
        { "resume", "the run before ended without notice" },
        { "rotate", "the file ends here" },
        { "continue", "the file begins here" },
        { "time", "records are complete so far" },
        { "stop", "the node ended" },
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i][0], reason) == 0)
            return texts[i][1];
    return NULL;
}

static void batch_add_checkpoint(struct gh_audit *a, const char *reason)
{
    bool resume = strcmp(reason, "resume") == 0;

    batch_add_record(a, &(struct gh_audit_record){ .event = GH_AUDIT_CHECKPOINT,
                                                   .message = checkpoint_message(reason),
                                                   .reason = reason,
                                                   .has_missing = resume,
                                                   .missing_from = resume ? a->state.missing_from : 0,
                                                   .chain_id = a->state.id });
    a->checkpoint_at = monotonic() + a->checkpoint_ns;
    a->sync_due = true;
}

/* The batch before is in the sink. True when lines may be numbered. */
static bool chain_ready(struct gh_audit *a)
{
    struct gh_audit_state *s = &a->state;

    if (!a->chained)
        return true;
    if (a->len > 0)
        gh_audit_state_mark(s, s->chain.seq);
    if (a->sync_due || s->reserved < s->chain.seq + BATCH_LINES) {
        gh_audit_sink_sync(&a->sink);
        a->stalled = gh_audit_state_reserve(s, &s->chain) < 0 && s->reserved < s->chain.seq + BATCH_LINES;
        a->sync_due = false;
    }
    return !a->stalled;
}

static void batch_fill(struct gh_audit *a)
{
    size_t limit = a->sink.is_file || a->sink.is_journal ? sizeof a->batch : GH_AUDIT_PIPE;
    uint64_t lost = atomic_load_explicit(&a->lost, memory_order_relaxed);
    bool ready = chain_ready(a);
    struct gh_audit_slot *slot;

    a->len = a->done = 0;
    if (!ready)
        return;
    if (a->due)
        batch_add_checkpoint(a, a->due);
    else if (a->chained && monotonic() >= a->checkpoint_at)
        batch_add_checkpoint(a, "time");
    a->due = NULL;
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

/* ---- waiting and writing ---- */

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
    struct pollfd p[2] = { { .fd = a->wake, .events = POLLIN }, { .fd = sink ? a->sink.fd : -1, .events = POLLOUT } };
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
    size_t n = gh_audit_sink_write(&a->sink, a->batch + a->done, a->len - a->done);

    atomic_fetch_add_explicit(&a->written, lines_in(a->batch + a->done, n), memory_order_relaxed);
    a->done += n;
    return n > 0;
}

/* As much of the batch as goes in without a wait. */
static void batch_write_now(struct gh_audit *a)
{
    struct pollfd p = { .fd = a->sink.fd, .events = POLLOUT };

    while (a->done < a->len && poll(&p, 1, 0) > 0 && batch_write(a))
        ;
}

/* ---- another file ---- */

static void set_fd(struct gh_audit *a, int fd)
{
    gh_audit_sink_fini(&a->sink);
    gh_audit_sink_init(&a->sink, fd);
    /* a line that was cut in two is whole in the new file */
    while (a->done > 0 && a->batch[a->done - 1] != '\n')
        a->done--;
}

static void switch_to(struct gh_audit *a, int fd)
{
    if (gh_audit_sink_is(&a->sink, fd)) {
        close(fd);
        return;
    }
    batch_write_now(a);
    if (a->chained && a->done == a->len && chain_ready(a)) {
        a->len = a->done = 0;
        batch_add_checkpoint(a, a->due ? a->due : "rotate"); /* a file that was never written ends as it would have begun */
        batch_write_now(a);
    }
    gh_audit_sink_sync(&a->sink);
    set_fd(a, fd);
    a->due = a->chained ? "continue" : NULL;
}

/* ---- the thread ---- */

/* Nothing is left to write. True when the thread may end. */
static bool finish(struct gh_audit *a)
{
    if (!a->chained)
        return true;
    if (a->stalled)
        return out_of_time(a);
    if (!a->stop_written) {
        a->stop_written = true;
        batch_add_checkpoint(a, "stop");
        return false;
    }
    gh_audit_sink_sync(&a->sink);
    gh_audit_state_finish(&a->state, &a->state.chain);
    return true;
}

static void sleep_until_work(struct gh_audit *a)
{
    int64_t left = (a->checkpoint_at - monotonic()) / 1000000 + 1;
    int ms = !a->chained ? -1 : a->stalled ? RETRY_MS : left < 0 ? 0 : (int)(left > 3600000 ? 3600000 : left);

    atomic_store(&a->sleeping, true);
    if (a->stalled || (!gh_audit_ring_peek(&a->ring) && atomic_load(&a->next_fd) < 0 && !atomic_load(&a->stopping)))
        wait_for(a, false, ms);
    atomic_store(&a->sleeping, false);
}

/* Each line by itself would be five system calls and two changes of thread. */
static void gather(struct gh_audit *a)
{
    size_t count = gh_audit_ring_count(&a->ring);

    if (count == 0 || count >= GATHER_LINES || count > a->ring.mask / 4)
        return;
    atomic_store(&a->gathering, true);
    if (gh_audit_ring_count(&a->ring) <= a->ring.mask / 4 && atomic_load(&a->next_fd) < 0 && !atomic_load(&a->stopping))
        wait_for(a, false, GATHER_MS);
    atomic_store(&a->gathering, false);
}

static void *run(void *arg)
{
    struct gh_audit *a = arg;

    for (;;) {
        int fd = atomic_exchange(&a->next_fd, -1);

        if (fd >= 0)
            switch_to(a, fd);
        if (a->done == a->len) {
            gather(a);
            batch_fill(a);
        }
        if (a->len == 0 && atomic_load(&a->stopping) && finish(a))
            return NULL;
        if (a->len == 0) {
            sleep_until_work(a);
            continue;
        }
        if (a->sink.fd >= 0 && !wait_for(a, true, -1)) {
            if (out_of_time(a))
                return NULL;
            continue;
        }
        if (!batch_write(a))
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

static void destroy(struct gh_audit *a)
{
    int next = atomic_load(&a->next_fd);

    if (next >= 0)
        close(next);
    gh_audit_sink_fini(&a->sink);
    if (a->wake >= 0)
        close(a->wake);
    if (a->chained)
        gh_audit_state_fini(&a->state);
    gh_audit_ring_fini(&a->ring);
    free(a);
}

static void start_chain(struct gh_audit *a, struct gh_audit_state *chain, int64_t checkpoint_ns)
{
    a->chained = true;
    a->state = *chain;
    gh_audit_chain_fini(&chain->chain);
    chain->fd = -1;
    a->checkpoint_ns = checkpoint_ns ? checkpoint_ns : GH_AUDIT_CHECKPOINT_S * SECOND;
    a->due = a->state.unclean ? "resume" : a->state.chain.seq ? "start" : "begin";
}

int gh_audit_create(const struct gh_audit_setup *setup, struct gh_audit **ret)
{
    struct gh_audit *a = aligned_alloc(64, (sizeof *a + 63) / 64 * 64);
    int rc;

    if (!a)
        return GH_ERR_MEMORY;
    memset(a, 0, sizeof *a);
    a->sink.fd = -1;
    a->format = setup->format;
    atomic_init(&a->next_fd, -1);
    a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = a->wake < 0 ? GH_ERR_SYSTEM : gh_audit_ring_init(&a->ring, setup->records ? setup->records : 4096);
    if (rc == 0) {
        if (setup->journal)
            gh_audit_sink_init_journal(&a->sink);
        else
            gh_audit_sink_init(&a->sink, setup->fd);
        if (setup->chain)
            start_chain(a, setup->chain, setup->checkpoint_ns);
        rc = start_thread(a);
        if (rc < 0 && !setup->journal)
            a->sink.fd = -1; /* still the caller's */
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
