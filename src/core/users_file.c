#include "core/users_file.h"

#include <stdlib.h>

#include "base/error.h"
#include "crypto/hash.h"

static int by_name(const void *a, const void *b)
{
    const struct gh_user *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int credential_of(struct gh_span line, uint64_t *ret)
{
    uint8_t digest[GH_SHA256_LEN];
    int rc = gh_sha256(line, digest);

    memcpy(ret, digest, sizeof *ret);
    *ret += *ret == 0;
    return rc;
}

static void read_line(struct gh_span text, unsigned line, struct gh_conf_errors *errors, struct gh_users *u)
{
    const uint8_t *colon = memchr(text.data, ':', text.len);
    size_t len = colon ? (size_t)(colon - text.data) : 0;
    struct gh_user *user = &u->list[u->count];
    const char *why = "";

    if (!colon) {
        gh_conf_errors_add(errors, line, 1, "a line must be USER:HASH, as gatehouse user add writes it");
        return;
    }
    if (len > GH_IDENTITY_NAME_MAX || !gh_identity_name_valid(gh_span_of(text.data, len))) {
        gh_conf_errors_add(errors, line, 1, "a user's name must be 1 to %u letters, digits, dots, hyphens or underscores", GH_IDENTITY_NAME_MAX);
        return;
    }
    if (gh_token_hash_parse(gh_span_of(colon + 1, text.len - len - 1), &user->hash, &why) < 0) {
        gh_conf_errors_add(errors, line, (unsigned)len + 2, "%s", why);
        return;
    }
    if (credential_of(text, &user->credential) < 0) {
        gh_conf_errors_add(errors, line, 1, "it cannot be hashed");
        return;
    }
    memcpy(user->name, text.data, len);
    user->name[len] = 0;
    user->line = line;
    u->count++;
}

static struct gh_span trim(struct gh_span s)
{
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t' || s.data[s.len - 1] == '\r'))
        s.len--;
    return s;
}

static void finish(struct gh_users *u, struct gh_conf_errors *errors)
{
    qsort(u->list, u->count, sizeof *u->list, by_name);
    for (size_t i = 1; i < u->count; i++)
        if (strcmp(u->list[i].name, u->list[i - 1].name) == 0)
            gh_conf_errors_add(errors, u->list[i].line, 1, "user %s is on line %u already; keep one of them", u->list[i].name, u->list[i - 1].line);
    for (size_t i = 0; i < u->count && !u->slow; i++)
        if (u->list[i].hash.kind == GH_TOKEN_ARGON2ID)
            u->slow = &u->list[i];
}

int gh_users_read(struct gh_span text, struct gh_conf_errors *errors, struct gh_users *ret)
{
    struct gh_users u = { .count = 0 };
    size_t lines = 1, before = errors->count + errors->lost;
    unsigned line = 0;

    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    u.list = calloc(lines < GH_USERS_MAX ? lines + 1 : GH_USERS_MAX + 1, sizeof *u.list); /* the last is for a line that is refused */
    if (!u.list)
        return GH_ERR_MEMORY;
    while (text.len) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        struct gh_span at = trim(gh_span_of(text.data, len));

        line++;
        text = gh_span_of(text.data + len + (end != NULL), text.len - len - (end != NULL));
        if (at.len == 0 || at.data[0] == '#')
            continue;
        if (u.count == GH_USERS_MAX) {
            gh_conf_errors_add(errors, line, 1, "there are more than %u users", GH_USERS_MAX);
            break;
        }
        read_line(at, line, errors, &u);
    }
    finish(&u, errors);
    if (errors->count + errors->lost > before) {
        gh_users_fini(&u);
        return GH_ERR_MALFORMED;
    }
    *ret = u;
    return 0;
}

void gh_users_fini(struct gh_users *u)
{
    free(u->list);
    *u = (struct gh_users){ .count = 0 };
}

const struct gh_user *gh_users_find(const struct gh_users *u, struct gh_span name)
{
    size_t low = 0, high = u->count;

    while (low < high) {
        size_t middle = (low + high) / 2, len = strlen(u->list[middle].name);
        int order = memcmp(name.data, u->list[middle].name, name.len < len ? name.len : len);

        if (order == 0 && name.len == len)
            return &u->list[middle];
        if (order < 0 || (order == 0 && name.len < len))
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

int gh_users_glance(const struct gh_users *u, struct gh_span name, struct gh_span token, const struct gh_user **ret)
{
    const struct gh_user *user = gh_users_find(u, name);

    if (user && user->hash.kind == GH_TOKEN_SHA256 && gh_token_verify(&user->hash, token) == 0) {
        *ret = user;
        return 1;
    }
    return u->slow ? 0 : GH_ERR_DENIED;
}

int gh_users_verify(const struct gh_users *u, struct gh_span name, struct gh_span token, const struct gh_user **ret)
{
    const struct gh_user *user = gh_users_find(u, name);
    int rc = user ? gh_token_verify(&user->hash, token) : GH_ERR_DENIED;

    if (rc == 0)
        *ret = user;
    else if (u->slow && (!user || user->hash.kind != GH_TOKEN_ARGON2ID) && token.len && token.len <= GH_TOKEN_MAX)
        (void)gh_token_verify(&u->slow->hash, token); /* its time is what counts */
    return rc == 0 || rc == GH_ERR_MEMORY || rc == GH_ERR_CRYPTO ? rc : GH_ERR_DENIED;
}
