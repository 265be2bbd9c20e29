#include "priv/keys.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "crypto/sign_key.h"
#include "crypto/signer.h"

/* A free place; else that of the oldest key: who held it for so long has no handshake under way with it. */
static struct gh_key_place *find_place(struct gh_keys *keys)
{
    struct gh_key_place *oldest = &keys->places[0];

    for (size_t i = 0; i < GH_KEYS_MAX; i++) {
        if (!keys->places[i].key)
            return &keys->places[i];
        if (keys->places[i].id < oldest->id)
            oldest = &keys->places[i];
    }
    gh_sign_key_destroy(oldest->key);
    oldest->key = NULL;
    return oldest;
}

/* The whole file, into <buf>. Count of bytes, GH_ERR_SYSTEM, or GH_ERR_MALFORMED when it is no shorter than <cap>. */
static int read_file(int fd, uint8_t *buf, size_t cap)
{
    size_t len = 0;

    while (len < cap) {
        ssize_t n = pread(fd, buf + len, cap - len, (off_t)len);

        if (n < 0)
            return GH_ERR_SYSTEM;
        if (n == 0)
            return (int)len;
        len += (size_t)n;
    }
    return GH_ERR_MALFORMED;
}

static int load_key(int fd, struct gh_sign_key **ret)
{
    uint8_t pem[GH_SIGN_PEM_MAX + 1];
    int rc = read_file(fd, pem, sizeof pem);

    if (rc >= 0)
        rc = gh_sign_key_load(gh_span_of(pem, (size_t)rc), ret);
    explicit_bzero(pem, sizeof pem);
    return rc;
}

int gh_keys_load(struct gh_keys *k, int fd, const char *path, bool tls12, struct gh_priv_reply *ret)
{
    struct gh_sign_key *key = NULL;
    struct gh_key_place *place;
    uint16_t all[GH_SIGN_SCHEMES];
    size_t count;
    int rc = load_key(fd, &key);

    if (rc < 0)
        return rc;
    count = gh_sign_key_schemes(key, all);
    for (size_t i = 0; i < count; i++)
        if (tls12 || gh_sign_scheme_tls13(all[i]))
            ret->scheme[ret->schemes++] = all[i];
    if (!path) {
        gh_sign_key_destroy(key);
        return 0;
    }
    place = find_place(k);
    place->key = key;
    place->id = ++k->last;
    place->tls12 = tls12;
    snprintf(place->path, sizeof place->path, "%s", path);
    ret->id = place->id;
    return 0;
}

static const struct gh_key_place *find(const struct gh_keys *k, uint32_t id)
{
    for (size_t i = 0; i < GH_KEYS_MAX; i++)
        if (k->places[i].key && k->places[i].id == id)
            return &k->places[i];
    return NULL;
}

int gh_keys_forget(struct gh_keys *k, uint32_t id)
{
    const struct gh_key_place *place = find(k, id);

    if (!place)
        return GH_ERR_NOT_FOUND;
    gh_sign_key_destroy(place->key);
    k->places[place - k->places].key = NULL;
    return 0;
}

bool gh_keys_has(const struct gh_keys *k, const char *path)
{
    for (size_t i = 0; i < GH_KEYS_MAX; i++)
        if (k->places[i].key && strcmp(k->places[i].path, path) == 0)
            return true;
    return false;
}

int gh_keys_sign(const struct gh_keys *k, const struct gh_priv_sign *q, struct gh_priv_reply *ret)
{
    const struct gh_key_place *place = find(k, q->key);
    size_t len;
    int rc;

    if (!place)
        return GH_ERR_NOT_FOUND;
    if (!gh_signer_allows(place->tls12, q->scheme, gh_span_of(q->data, q->len)))
        return GH_ERR_DENIED;
    rc = gh_sign_key_sign(place->key, q->scheme, q->data, q->len, ret->data, &len);
    if (rc == 0)
        ret->len = (uint16_t)len;
    return rc;
}

void gh_keys_wipe(struct gh_keys *k)
{
    for (size_t i = 0; i < GH_KEYS_MAX; i++) {
        gh_sign_key_destroy(k->places[i].key);
        k->places[i].key = NULL;
    }
}
