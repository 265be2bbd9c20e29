#include "proto/quic/params.h"

#include <string.h>

#include "base/span.h"

#define BYTES_MAX 512u

void gh_quic_params_shuffle(uint8_t *params, size_t len, uint64_t noise)
{
    struct gh_span entry[GH_QUIC_PARAMS_MAX];
    uint8_t copy[BYTES_MAX];
    struct gh_reader r = gh_reader_of(gh_span_of(copy, len));
    size_t count = 0, at = 0;

    if (len > sizeof copy)
        return;
    memcpy(copy, params, len);
    while (gh_reader_left(&r) && count < GH_QUIC_PARAMS_MAX) {
        const uint8_t *from = copy + len - gh_reader_left(&r);

        gh_read_varint(&r);
        gh_read_span(&r, (size_t)gh_read_varint(&r));
        if (r.failed)
            return;
        entry[count++] = gh_span_of(from, len - gh_reader_left(&r) - (size_t)(from - copy));
    }
    if (gh_reader_left(&r))
        return;
    while (count) { /* 20! fits into 64 bits */
        size_t next = noise % count;

        noise /= count;
        memcpy(params + at, entry[next].data, entry[next].len);
        at += entry[next].len;
        entry[next] = entry[--count];
    }
}
