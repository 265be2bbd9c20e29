#include "crypto/heap.h"

#include <openssl/crypto.h>

#include "base/error.h"

int gh_crypto_heap_set(const struct gh_crypto_heap *h)
{
    return CRYPTO_set_mem_functions(h->take, h->resize, h->give) == 1 ? 0 : GH_ERR_STATE;
}
