#include "crypto/random.h"

#include <openssl/rand.h>

#include "base/error.h"

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
