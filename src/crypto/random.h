/* crypto/random.h - unpredictable bytes */
#ifndef GH_CRYPTO_RANDOM_H
#define GH_CRYPTO_RANDOM_H

#include <stddef.h>

/* Fills <buf> from the system's generator. 0 or GH_ERR_CRYPTO. */
int gh_random_bytes(void *buf, size_t len);

/* Where engines take their randomness from, so that a simulation can repeat itself. */
struct gh_random_source {
    int (*fill)(void *arg, void *buf, size_t len); /* 0 or a negative GH_ERR_ */
    void *arg;
};

/* gh_random_bytes as a source. */
extern const struct gh_random_source gh_random_system;

/* Bytes that were drawn ahead, for whoever wants a few at a time; what was given out is wiped. Of one thread. Zero-initialised: none yet. */
struct gh_random_pool {
    size_t left;
    unsigned char bytes[256];
};

struct gh_random_source gh_random_pool_source(struct gh_random_pool *p); /* <p> must outlive it */

#endif
