/* services/door/door_users.h - users with tokens, as one version of their file has them, and which tokens were verified before
 *
 * Whoever verifies in the offload pool holds a reference. Any thread.
 */
#ifndef GH_SERVICES_DOOR_DOOR_USERS_H
#define GH_SERVICES_DOOR_DOOR_USERS_H

#include "core/users_file.h"
#include "wire/http_head.h"

#define DOOR_USERS_KNOWN 1024u /* tokens that are remembered, as keyed digests, as long as this version lives */

struct door_users;

/* Takes over what is in <file>. 0, GH_ERR_CRYPTO or GH_ERR_MEMORY; then it stays the caller's. */
int door_users_create(struct gh_users *file, struct door_users **ret);
struct door_users *door_users_get(struct door_users *u);
void door_users_destroy(struct door_users *u); /* lets go; accepts NULL */

struct door_credentials {
    char name[GH_IDENTITY_NAME_MAX + 1];
    size_t token_len;
    char token[GH_TOKEN_MAX]; /* to be wiped */
};

/* "Basic" or "Bearer" and base64 of USER:TOKEN, in the field authorization, or else proxy-authorization (RFC 7617, RFC 6750). False: there is none that
 * could be one of ours. */
bool door_credentials_read(const struct gh_http_head *head, struct door_credentials *ret);

/* At once: 1 and <ret>; 0 door_users_verify must be asked, which takes its time; GH_ERR_DENIED. <ret> lives as long as <u>. */
int door_users_glance(struct door_users *u, const struct door_credentials *c, const struct gh_user **ret);
int door_users_verify(struct door_users *u, const struct door_credentials *c, const struct gh_user **ret);
bool door_users_holds(const struct door_users *u, const char *name, uint64_t credential);

#endif
