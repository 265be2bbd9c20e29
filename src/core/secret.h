/* core/secret.h - bytes that wipe themselves and that no log field or configuration dump can carry */
#ifndef GH_CORE_SECRET_H
#define GH_CORE_SECRET_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GH_SECRET_MAX 4096u

struct gh_secret {
    uint8_t *data; /* NULL: none */
    size_t len;
};

/* Copies <len> bytes, at most GH_SECRET_MAX. 0, GH_ERR_TOO_LONG or GH_ERR_MEMORY. */
int gh_secret_init(struct gh_secret *s, const void *data, size_t len);
/* Wipes and frees. */
void gh_secret_fini(struct gh_secret *s);

#endif
