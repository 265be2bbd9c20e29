/* core/users_file.h - the file with the users who have a token and no certificate
 *
 *     # one a line
 *     alice:$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH
 *     bob:sha256:HEX
 *
 * The name is what policy and audit call client_id, of the same form as in a certificate (crypto/identity.h): whoever has it in a certificate is the
 * same client.
 */
#ifndef GH_CORE_USERS_FILE_H
#define GH_CORE_USERS_FILE_H

#include "core/conf.h"
#include "crypto/identity.h"
#include "crypto/token.h"

#define GH_USERS_FILE_MAX (4u << 20) /* bytes */
#define GH_USERS_MAX 32768u

struct gh_user {
    char name[GH_IDENTITY_NAME_MAX + 1];
    uint64_t credential; /* follows from name and hash, never 0: another token is another one */
    unsigned line;
    struct gh_token_hash hash;
};

struct gh_users {
    struct gh_user *list; /* by name */
    size_t count;
    const struct gh_user *slow; /* one whose token takes long to verify; NULL: there is none */
};

/* 0; GH_ERR_MALFORMED with at least one error in <errors>, all of them found in one run; or GH_ERR_MEMORY. */
int gh_users_read(struct gh_span text, struct gh_conf_errors *errors, struct gh_users *ret);
void gh_users_fini(struct gh_users *u);
/* NULL when there is none. */
const struct gh_user *gh_users_find(const struct gh_users *u, struct gh_span name);

/* The user whose token it is, as far as that costs next to nothing: 1 and <ret>; 0 it must be verified; GH_ERR_DENIED. */
int gh_users_glance(const struct gh_users *u, struct gh_span name, struct gh_span token, const struct gh_user **ret);
/* And whatever it costs. Names that nobody has, and tokens that are wrong, cost the same. 0, GH_ERR_DENIED, GH_ERR_MEMORY or GH_ERR_CRYPTO. Any
 * thread. */
int gh_users_verify(const struct gh_users *u, struct gh_span name, struct gh_span token, const struct gh_user **ret);

#endif
