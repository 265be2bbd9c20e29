#include "core/secret.h"

#include <stdlib.h>

#include "base/error.h"

int gh_secret_init(struct gh_secret *s, const void *data, size_t len)
{
    uint8_t *copy;

    if (len > GH_SECRET_MAX)
        return GH_ERR_TOO_LONG;
    copy = malloc(len ? len : 1);
    if (!copy)
        return GH_ERR_MEMORY;
    if (len)
        memcpy(copy, data, len);
    *s = (struct gh_secret){ copy, len };
    return 0;
}

void gh_secret_fini(struct gh_secret *s)
{
    if (!s || !s->data)
        return;
    explicit_bzero(s->data, s->len);
    free(s->data);
    *s = (struct gh_secret){ 0 };
}
