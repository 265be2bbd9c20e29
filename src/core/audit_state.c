#include "core/audit_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/span.h"
#include "crypto/hash.h"

#define SLOT 512u /* a sector each */
#define SLOT_LEN (8 + 8 + 32 + GH_AUDIT_BOOT + 8 + 8 + 8 + GH_AUDIT_KEY + 32)
#define MARK_AT 1024

static const uint8_t magic[8] = "GHAUDIT1";

/* One slot, decoded. */
struct slot {
    uint64_t generation;
    char id[GH_AUDIT_ID_TEXT], boot[GH_AUDIT_BOOT];
    uint64_t seq;  /* the number that <key> is for: the chain goes on here */
    uint64_t base; /* lines below were synced when this was written */
    bool clean;
    uint8_t key[GH_AUDIT_KEY];
};

static int slot_emit(const struct slot *s, uint8_t out[SLOT_LEN])
{
    struct gh_writer w = gh_writer_of(out, SLOT_LEN);
    uint8_t sum[32];

    gh_write_bytes(&w, magic, sizeof magic);
    gh_write_u64(&w, s->generation);
    gh_write_bytes(&w, s->id, 32);
    gh_write_bytes(&w, s->boot, GH_AUDIT_BOOT);
    gh_write_u64(&w, s->seq);
    gh_write_u64(&w, s->base);
    gh_write_u64(&w, s->clean);
    gh_write_bytes(&w, s->key, GH_AUDIT_KEY);
    if (gh_sha256(gh_span_of(out, gh_writer_len(&w)), sum) < 0)
        return GH_ERR_CRYPTO;
    gh_write_bytes(&w, sum, sizeof sum);
    return w.failed ? GH_ERR_INTERNAL : 0;
}

static bool slot_parse(const uint8_t in[SLOT_LEN], struct slot *ret)
{
    struct gh_reader r = gh_reader_of(gh_span_of(in, SLOT_LEN));
    uint8_t head[8], sum[32], said[32];

    gh_read_bytes(&r, head, sizeof head);
    ret->generation = gh_read_u64(&r);
    gh_read_bytes(&r, ret->id, 32);
    ret->id[32] = 0;
    gh_read_bytes(&r, ret->boot, GH_AUDIT_BOOT);
    ret->seq = gh_read_u64(&r);
    ret->base = gh_read_u64(&r);
    ret->clean = gh_read_u64(&r) != 0;
    gh_read_bytes(&r, ret->key, GH_AUDIT_KEY);
    gh_read_bytes(&r, said, sizeof said);
    return gh_reader_done(&r) && memcmp(head, magic, sizeof magic) == 0 && ret->boot[GH_AUDIT_BOOT - 1] == 0 &&
           gh_sha256(gh_span_of(in, SLOT_LEN - 32), sum) == 0 && memcmp(sum, said, sizeof sum) == 0;
}

static int slot_write(int fd, unsigned number, const struct slot *s)
{
    uint8_t data[SLOT_LEN];
    int rc = slot_emit(s, data);

    if (rc == 0 && (pwrite(fd, data, sizeof data, (off_t)(number * SLOT)) != (ssize_t)sizeof data || fdatasync(fd) < 0))
        rc = GH_ERR_SYSTEM;
    gh_wipe(data, sizeof data);
    return rc;
}

/* The newer of the slots that are whole. */
static int slot_read(int fd, struct slot *ret, unsigned *ret_number)
{
    uint8_t data[SLOT_LEN];
    struct slot s;
    int rc = GH_ERR_MALFORMED;

    for (unsigned i = 0; i < 2; i++) {
        if (pread(fd, data, sizeof data, (off_t)(i * SLOT)) != (ssize_t)sizeof data || !slot_parse(data, &s))
            continue;
        if (rc == 0 && s.generation < ret->generation)
            continue;
        *ret = s;
        *ret_number = i;
        rc = 0;
    }
    gh_wipe(data, sizeof data);
    gh_wipe(&s, sizeof s);
    return rc;
}

static bool mark_read(int fd, uint64_t *ret)
{
    struct gh_reader r;
    uint8_t data[16];

    if (pread(fd, data, sizeof data, MARK_AT) != (ssize_t)sizeof data)
        return false;
    r = gh_reader_of(gh_span_of(data, sizeof data));
    *ret = gh_read_u64(&r);
    return gh_read_u64(&r) == ~*ret;
}

int gh_audit_state_create(int dir, const uint8_t first_key[GH_AUDIT_KEY])
{
    static const uint8_t room[4096] = { 0 };
    struct slot s = { .generation = 1, .clean = true };
    int fd = -1, rc = gh_audit_chain_id(first_key, s.id);

    if (rc < 0)
        return rc;
    memcpy(s.key, first_key, GH_AUDIT_KEY);
    fd = openat(dir, GH_AUDIT_STATE_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        rc = errno == EEXIST ? GH_ERR_EXISTS : GH_ERR_SYSTEM;
    } else {
        /* all of the file is there from the start: a disk that fills up later does not matter */
        rc = write(fd, room, sizeof room) == (ssize_t)sizeof room ? slot_write(fd, 0, &s) : GH_ERR_SYSTEM;
        if (rc == 0 && (fsync(fd) < 0 || fsync(dir) < 0))
            rc = GH_ERR_SYSTEM;
        if (rc < 0)
            unlinkat(dir, GH_AUDIT_STATE_FILE, 0);
        close(fd);
    }
    gh_wipe(&s, sizeof s);
    return rc;
}

/* Into the other slot; then the one before it is wiped, which goes to the disk with the next sync. */
static int keep(struct gh_audit_state *s, const struct slot *next)
{
    static const uint8_t nothing[SLOT_LEN] = { 0 };
    unsigned other = 1 - s->slot;
    int rc = slot_write(s->fd, other, next);

    if (rc < 0)
        return rc;
    if (pwrite(s->fd, nothing, sizeof nothing, (off_t)(s->slot * SLOT)) < 0)
        return GH_ERR_SYSTEM;
    s->slot = other;
    s->generation = next->generation;
    s->reserved = next->clean ? 0 : next->seq;
    return 0;
}

static void slot_init(const struct gh_audit_state *s, uint64_t base, struct slot *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->generation = s->generation + 1;
    memcpy(ret->id, s->id, sizeof ret->id);
    memcpy(ret->boot, s->boot, sizeof ret->boot);
    ret->base = base;
}

static int reserve(struct gh_audit_state *s, const struct gh_audit_chain *c, uint64_t base)
{
    struct gh_audit_chain after = *c;
    struct slot next;
    int rc = gh_audit_chain_skip(&after, c->seq + GH_AUDIT_BLOCK);

    slot_init(s, base, &next);
    next.seq = after.seq;
    memcpy(next.key, after.key, GH_AUDIT_KEY);
    if (rc == 0)
        rc = keep(s, &next);
    gh_audit_chain_fini(&after);
    gh_wipe(&next, sizeof next);
    return rc;
}

int gh_audit_state_reserve(struct gh_audit_state *s, const struct gh_audit_chain *c)
{
    return reserve(s, c, c->seq);
}

int gh_audit_state_finish(struct gh_audit_state *s, const struct gh_audit_chain *c)
{
    struct slot next;
    int rc;

    slot_init(s, c->seq, &next);
    next.seq = c->seq;
    next.clean = true;
    memcpy(next.key, c->key, GH_AUDIT_KEY);
    rc = keep(s, &next);
    gh_wipe(&next, sizeof next);
    return rc < 0 ? rc : fdatasync(s->fd) < 0 ? GH_ERR_SYSTEM : 0;
}

void gh_audit_state_mark(struct gh_audit_state *s, uint64_t seq)
{
    uint8_t data[16];
    struct gh_writer w = gh_writer_of(data, sizeof data);
    ssize_t n;

    gh_write_u64(&w, seq);
    gh_write_u64(&w, ~seq);
    n = pwrite(s->fd, data, sizeof data, MARK_AT);
    (void)n; /* an older mark says less, never something wrong */
}

static void take_up(struct gh_audit_state *s, const struct slot *kept)
{
    uint64_t mark;

    s->generation = kept->generation;
    memcpy(s->id, kept->id, sizeof s->id);
    gh_audit_chain_init(&s->chain, kept->key, kept->seq);
    s->unclean = !kept->clean;
    s->missing_from = kept->base;
    if (*s->boot && strcmp(s->boot, kept->boot) == 0 && mark_read(s->fd, &mark) && mark >= kept->base && mark <= kept->seq)
        s->missing_from = mark;
}

int gh_audit_state_open(int dir, const char *boot, struct gh_audit_state *ret)
{
    struct gh_audit_state s = { .fd = openat(dir, GH_AUDIT_STATE_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW) };
    struct slot kept;
    int rc = 0;

    if (s.fd < 0)
        return errno == ENOENT ? GH_ERR_NOT_FOUND : GH_ERR_SYSTEM;
    if (flock(s.fd, LOCK_EX | LOCK_NB) < 0)
        rc = GH_ERR_EXISTS;
    strncpy(s.boot, boot, sizeof s.boot - 1);
    if (rc == 0)
        rc = slot_read(s.fd, &kept, &s.slot);
    if (rc == 0) {
        take_up(&s, &kept);
        /* what may be missing stays known until the record that says so is written: this run may be killed before */
        rc = reserve(&s, &s.chain, s.unclean ? s.missing_from : s.chain.seq);
    }
    if (rc == 0)
        gh_audit_state_mark(&s, s.unclean ? s.missing_from : s.chain.seq);
    gh_wipe(&kept, sizeof kept);
    if (rc == 0)
        *ret = s;
    else
        close(s.fd);
    gh_wipe(&s.chain, sizeof s.chain);
    return rc;
}

void gh_audit_state_fini(struct gh_audit_state *s)
{
    if (s->fd >= 0)
        close(s->fd);
    gh_audit_chain_fini(&s->chain);
    s->fd = -1;
}

int gh_audit_state_peek(int fd, struct gh_audit_progress *ret)
{
    struct slot kept;
    unsigned number;
    uint64_t mark;
    int rc = slot_read(fd, &kept, &number);

    if (rc == 0) {
        memcpy(ret->id, kept.id, sizeof ret->id);
        ret->clean = kept.clean;
        ret->written = kept.clean ? kept.seq : kept.base;
        if (!kept.clean && mark_read(fd, &mark) && mark >= kept.base && mark <= kept.seq)
            ret->written = mark;
    }
    gh_wipe(&kept, sizeof kept);
    return rc;
}
