#include "services/door/door_replay.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "crypto/hash.h"

#define NONE UINT32_MAX
#define FIRST_ROOM 64u    /* flights of a shard, to begin with */
#define NEWS_MAX 65536u   /* records that wait to be written; more are not kept over a restart */

struct seen {
    uint8_t digest[DOOR_REPLAY_DIGEST];
    int64_t wall;
    uint32_t next; /* in its chain */
};

/* A ring of the flights in the order in which they came, and chains through it by digest. */
struct shard {
    pthread_mutex_t lock;
    struct seen *ring;
    uint32_t *chains;  /* as many as the ring has room */
    uint32_t room;     /* a power of two */
    uint32_t first, count;
};

struct door_replay {
    uint8_t key[DOOR_REPLAY_KEY];
    uint32_t shard_max;
    struct shard shards[DOOR_REPLAY_SHARDS];
    pthread_mutex_t news_lock;
    uint8_t *news; /* records that were not written yet */
    size_t news_len, news_cap;
};

int door_replay_create(const uint8_t key[DOOR_REPLAY_KEY], size_t max, struct door_replay **ret)
{
    struct door_replay *r = calloc(1, sizeof *r);

    if (!r)
        return GH_ERR_MEMORY;
    memcpy(r->key, key, sizeof r->key);
    r->shard_max = (uint32_t)(max / DOOR_REPLAY_SHARDS);
    for (unsigned i = 0; i < DOOR_REPLAY_SHARDS; i++)
        pthread_mutex_init(&r->shards[i].lock, NULL);
    pthread_mutex_init(&r->news_lock, NULL);
    *ret = r;
    return 0;
}

void door_replay_destroy(struct door_replay *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < DOOR_REPLAY_SHARDS; i++) {
        pthread_mutex_destroy(&r->shards[i].lock);
        free(r->shards[i].ring);
        free(r->shards[i].chains);
    }
    pthread_mutex_destroy(&r->news_lock);
    free(r->news);
    gh_wipe(r, sizeof *r);
    free(r);
}

/* ---- a shard ---- */

static uint32_t chain_of(const struct shard *s, const uint8_t *digest)
{
    uint32_t n;

    memcpy(&n, digest + 4, sizeof n); /* the first bytes chose the shard */
    return n & (s->room - 1);
}

static void link_in(struct shard *s, uint32_t at)
{
    uint32_t *chain = &s->chains[chain_of(s, s->ring[at].digest)];

    s->ring[at].next = *chain;
    *chain = at;
}

static void forget_oldest(struct shard *s)
{
    uint32_t *link = &s->chains[chain_of(s, s->ring[s->first].digest)];

    while (*link != s->first)
        link = &s->ring[*link].next;
    *link = s->ring[s->first].next;
    s->first = (s->first + 1) & (s->room - 1);
    s->count--;
}

/* Room for one more; the oldest makes it where there may be no more. */
static bool make_room(struct shard *s, uint32_t max)
{
    uint32_t room = s->room ? s->room * 2 : FIRST_ROOM;
    struct seen *ring;
    uint32_t *chains;

    if (s->count == max && max)
        forget_oldest(s);
    if (s->count < s->room)
        return true;
    ring = calloc(room, sizeof *ring);
    chains = malloc(room * sizeof *chains);
    if (!ring || !chains) {
        free(ring);
        free(chains);
        if (s->count)
            forget_oldest(s);
        return s->count < s->room;
    }
    for (uint32_t i = 0; i < s->count; i++)
        ring[i] = s->ring[(s->first + i) & (s->room - 1)];
    memset(chains, 0xff, room * sizeof *chains); /* NONE */
    free(s->ring);
    free(s->chains);
    s->ring = ring;
    s->chains = chains;
    s->room = room;
    s->first = 0;
    for (uint32_t i = 0; i < s->count; i++)
        link_in(s, i);
    return true;
}

static bool insert(struct shard *s, uint32_t max, const uint8_t *digest, int64_t wall)
{
    uint32_t at;

    if (!make_room(s, max))
        return false;
    at = (s->first + s->count) & (s->room - 1);
    memcpy(s->ring[at].digest, digest, DOOR_REPLAY_DIGEST);
    s->ring[at].wall = wall;
    s->count++;
    link_in(s, at);
    return true;
}

/* A clock that was set back makes none of them older. */
static void forget_old(struct shard *s, int64_t wall, int64_t window)
{
    while (s->count && s->ring[s->first].wall <= wall - window)
        forget_oldest(s);
}

static bool find(const struct shard *s, const uint8_t *digest, int64_t since)
{
    uint32_t at = s->room ? s->chains[chain_of(s, digest)] : NONE;

    while (at != NONE && (s->ring[at].wall <= since || memcmp(s->ring[at].digest, digest, DOOR_REPLAY_DIGEST) != 0))
        at = s->ring[at].next;
    return at != NONE;
}

/* ---- records ---- */

static void write_record(const uint8_t *digest, int64_t wall, uint8_t ret[DOOR_REPLAY_RECORD])
{
    struct gh_writer w = gh_writer_of(ret, DOOR_REPLAY_RECORD);

    gh_write_bytes(&w, digest, DOOR_REPLAY_DIGEST);
    gh_write_u64(&w, (uint64_t)wall);
}

static void tell(struct door_replay *r, const uint8_t *digest, int64_t wall)
{
    pthread_mutex_lock(&r->news_lock);
    if (r->news_len == r->news_cap && r->news_cap < NEWS_MAX * DOOR_REPLAY_RECORD) {
        size_t cap = r->news_cap ? r->news_cap * 2 : FIRST_ROOM * DOOR_REPLAY_RECORD;
        uint8_t *more = realloc(r->news, cap);

        if (more) {
            r->news = more;
            r->news_cap = cap;
        }
    }
    if (r->news_len < r->news_cap) {
        write_record(digest, wall, r->news + r->news_len);
        r->news_len += DOOR_REPLAY_RECORD;
    }
    pthread_mutex_unlock(&r->news_lock);
}

size_t door_replay_next(struct door_replay *r, uint8_t *ret, size_t cap)
{
    size_t len = cap - cap % DOOR_REPLAY_RECORD;

    pthread_mutex_lock(&r->news_lock);
    len = r->news_len < len ? r->news_len : len;
    if (len) {
        memcpy(ret, r->news, len);
        memmove(r->news, r->news + len, r->news_len - len);
        r->news_len -= len;
    }
    pthread_mutex_unlock(&r->news_lock);
    return len;
}

bool door_replay_has_news(struct door_replay *r)
{
    bool has;

    pthread_mutex_lock(&r->news_lock);
    has = r->news_len > 0;
    pthread_mutex_unlock(&r->news_lock);
    return has;
}

size_t door_replay_load(struct door_replay *r, struct gh_span records, int64_t wall, int64_t window)
{
    struct gh_reader in = gh_reader_of(records);
    size_t taken = 0;

    while (gh_reader_left(&in) >= DOOR_REPLAY_RECORD) { /* the last may be cut: nobody was told that it is kept */
        uint8_t digest[DOOR_REPLAY_DIGEST];
        struct shard *s;
        int64_t at;

        gh_read_bytes(&in, digest, sizeof digest);
        at = (int64_t)gh_read_u64(&in);
        s = &r->shards[digest[0] % DOOR_REPLAY_SHARDS];
        pthread_mutex_lock(&s->lock);
        if (at > wall - window && at >= 0)
            taken += insert(s, r->shard_max, digest, at);
        pthread_mutex_unlock(&s->lock);
    }
    return taken;
}

uint8_t *door_replay_dump(struct door_replay *r, unsigned shard, int64_t wall, int64_t window, size_t *ret_len)
{
    struct shard *s = &r->shards[shard];
    uint8_t *all = NULL;

    *ret_len = 0;
    pthread_mutex_lock(&s->lock);
    forget_old(s, wall, window);
    if (s->count)
        all = malloc((size_t)s->count * DOOR_REPLAY_RECORD);
    if (s->count && !all)
        *ret_len = SIZE_MAX;
    for (uint32_t i = 0; all && i < s->count; i++) {
        const struct seen *at = &s->ring[(s->first + i) & (s->room - 1)];

        write_record(at->digest, at->wall, all + *ret_len);
        *ret_len += DOOR_REPLAY_RECORD;
    }
    pthread_mutex_unlock(&s->lock);
    return all;
}

/* ---- the question ---- */

int door_replay_digest(const struct door_replay *r, struct gh_span flight, uint8_t ret[DOOR_REPLAY_DIGEST])
{
    uint8_t digest[GH_SHA256_LEN];
    int rc = gh_hmac_sha256(gh_span_of(r->key, sizeof r->key), flight, gh_span_of("", 0), digest);

    if (rc == 0)
        memcpy(ret, digest, DOOR_REPLAY_DIGEST);
    return rc;
}

bool door_replay_seen(struct door_replay *r, struct gh_span flight, int64_t wall, int64_t window)
{
    uint8_t digest[DOOR_REPLAY_DIGEST];

    return window > 0 && door_replay_digest(r, flight, digest) == 0 && door_replay_came(r, digest, wall, window);
}

bool door_replay_came(struct door_replay *r, const uint8_t digest[DOOR_REPLAY_DIGEST], int64_t wall, int64_t window)
{
    struct shard *s;
    bool seen, kept = false;

    if (window <= 0)
        return false;
    s = &r->shards[digest[0] % DOOR_REPLAY_SHARDS];
    pthread_mutex_lock(&s->lock);
    forget_old(s, wall, window);
    seen = find(s, digest, wall - window);
    if (!seen)
        kept = insert(s, r->shard_max, digest, wall);
    pthread_mutex_unlock(&s->lock);
    if (kept)
        tell(r, digest, wall);
    return seen;
}

size_t door_replay_count(struct door_replay *r)
{
    size_t n = 0;

    for (unsigned i = 0; i < DOOR_REPLAY_SHARDS; i++) {
        pthread_mutex_lock(&r->shards[i].lock);
        n += r->shards[i].count;
        pthread_mutex_unlock(&r->shards[i].lock);
    }
    return n;
}
