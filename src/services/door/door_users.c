#include "services/door/door_users.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>

#include "base/base64.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#define WAYS 4u /* places where one digest may be */
#define DIGEST 16u

struct known {
    uint8_t digest[DIGEST];
    const struct gh_user *user; /* NULL: free */
};

struct door_users {
    _Atomic uint32_t refs;
    struct gh_users file;
    uint8_t key[32];
    pthread_mutex_t lock; /* of what is below */
    unsigned turn;
    struct known known[DOOR_USERS_KNOWN];
};

int door_users_create(struct gh_users *file, struct door_users **ret)
{
    struct door_users *u = calloc(1, sizeof *u);
    int rc = u ? gh_random_bytes(u->key, sizeof u->key) : GH_ERR_MEMORY;

    if (rc < 0) {
        free(u);
        return rc;
    }
    atomic_init(&u->refs, 1);
    pthread_mutex_init(&u->lock, NULL);
    u->file = *file;
    *file = (struct gh_users){ .count = 0 };
    *ret = u;
    return 0;
}

struct door_users *door_users_get(struct door_users *u)
{
    atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
    return u;
}

void door_users_destroy(struct door_users *u)
{
    if (!u || atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&u->lock);
    gh_users_fini(&u->file);
    gh_wipe(u, sizeof *u);
    free(u);
}

/* ---- what a request says ---- */

/* The scheme's name has no case (RFC 9110, section 11.1). */
static bool take_scheme(struct gh_span *s)
{
    static const char *const schemes[] = { "basic ", "bearer " };

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]);

        if (s->len <= len || strncasecmp((const char *)s->data, schemes[i], len) != 0)
            continue;
        while (len < s->len && s->data[len] == ' ')
            len++;
        *s = gh_span_of(s->data + len, s->len - len);
        return true;
    }
    return false;
}

bool door_credentials_read(const struct gh_http_head *head, struct door_credentials *ret)
{
    uint8_t text[(GH_IDENTITY_NAME_MAX + 1 + GH_TOKEN_MAX) / 3 * 4 + 8], *colon;
    struct gh_span value = { .len = 0 };
    size_t len = 0, name;
    bool good = false;

    for (size_t i = 0; i < head->field_count && value.len == 0; i++)
        if (gh_span_equals(head->fields[i].name, gh_span_str("authorization")))
            value = head->fields[i].value;
    for (size_t i = 0; i < head->field_count && value.len == 0; i++)
        if (gh_span_equals(head->fields[i].name, gh_span_str("proxy-authorization")))
            value = head->fields[i].value;
    if (!take_scheme(&value) || value.len / 4 * 3 + 2 > sizeof text || gh_base64_decode(value, text, &len) < 0)
        return false;
    colon = memchr(text, ':', len);
    name = colon ? (size_t)(colon - text) : 0;
    if (colon && name <= GH_IDENTITY_NAME_MAX && gh_identity_name_valid(gh_span_of(text, name)) && len - name > 1 && len - name - 1 <= GH_TOKEN_MAX) {
        memcpy(ret->name, text, name);
        ret->name[name] = 0;
        ret->token_len = len - name - 1;
        memcpy(ret->token, colon + 1, ret->token_len);
        good = true;
    }
    gh_wipe(text, sizeof text);
    return good;
}

/* ---- what was verified before ---- */

/* Who has the digest must have the token, and the key is nobody's but ours. */
static int digest_of(const struct door_users *u, const struct door_credentials *c, uint8_t ret[GH_SHA256_LEN])
{
    return gh_hmac_sha256(gh_span_of(u->key, sizeof u->key), gh_span_of(c->name, strlen(c->name) + 1), gh_span_of(c->token, c->token_len), ret);
}

static struct known *places_of(struct door_users *u, const uint8_t digest[GH_SHA256_LEN])
{
    size_t place = (size_t)(digest[DIGEST] | digest[DIGEST + 1] << 8) % (DOOR_USERS_KNOWN / WAYS);

    return &u->known[place * WAYS];
}

static const struct gh_user *recall(struct door_users *u, const struct door_credentials *c)
{
    uint8_t digest[GH_SHA256_LEN];
    const struct gh_user *found = NULL;
    struct known *at;

    if (digest_of(u, c, digest) < 0)
        return NULL;
    at = places_of(u, digest);
    pthread_mutex_lock(&u->lock);
    for (size_t i = 0; i < WAYS; i++)
        if (at[i].user && gh_hash_equals(at[i].digest, digest, DIGEST))
            found = at[i].user;
    pthread_mutex_unlock(&u->lock);
    return found;
}

static void remember(struct door_users *u, const struct door_credentials *c, const struct gh_user *user)
{
    uint8_t digest[GH_SHA256_LEN];
    struct known *at;
    size_t i = 0;

    if (digest_of(u, c, digest) < 0)
        return;
    at = places_of(u, digest);
    pthread_mutex_lock(&u->lock);
    while (i < WAYS && at[i].user && !gh_hash_equals(at[i].digest, digest, DIGEST))
        i++;
    at = &at[i < WAYS ? i : u->turn++ % WAYS];
    memcpy(at->digest, digest, DIGEST);
    at->user = user;
    pthread_mutex_unlock(&u->lock);
}

int door_users_glance(struct door_users *u, const struct door_credentials *c, const struct gh_user **ret)
{
    const struct gh_user *user = u->file.slow ? recall(u, c) : NULL;

    if (!user)
        return gh_users_glance(&u->file, gh_span_str(c->name), gh_span_of(c->token, c->token_len), ret);
    *ret = user;
    return 1;
}

int door_users_verify(struct door_users *u, const struct door_credentials *c, const struct gh_user **ret)
{
    int rc = gh_users_verify(&u->file, gh_span_str(c->name), gh_span_of(c->token, c->token_len), ret);

    if (rc == 0)
        remember(u, c, *ret);
    return rc;
}

bool door_users_holds(const struct door_users *u, const char *name, uint64_t credential)
{
    const struct gh_user *user = gh_users_find(&u->file, gh_span_str(name));

    return user && user->credential == credential;
}
