#include "crypto/random.h"

#include <openssl/rand.h>

#include <string.h>

#include "base/error.h"
#include "crypto/hash.h"

int gh_random_bytes(void *buf, size_t len)
{
    return RAND_bytes(buf, (int)len) == 1 ? 0 : GH_ERR_CRYPTO;
}

static int fill(void *arg, void *buf, size_t len)
{
    (void)arg;
    return gh_random_bytes(buf, len);
}

const struct gh_random_source gh_random_system = { fill, NULL };

static int draw(void *arg, void *buf, size_t len)
{
    struct gh_random_pool *p = arg;
    unsigned char *from;
    int rc;

    if (len > sizeof p->bytes)
        return gh_random_bytes(buf, len);
    if (len > p->left) {
        rc = gh_random_bytes(p->bytes, sizeof p->bytes);
        if (rc < 0)
            return rc;
        p->left = sizeof p->bytes;
    }
    p->left -= len;
    from = p->bytes + p->left;
    memcpy(buf, from, len);
    gh_wipe(from, len);
    return 0;
}

struct gh_random_source gh_random_pool_source(struct gh_random_pool *p)
{
    return (struct gh_random_source){ draw, p };
}
