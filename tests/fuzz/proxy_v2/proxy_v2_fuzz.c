/* tests/fuzz/proxy_v2/proxy_v2_fuzz.c - a header that is read is written again with the same meaning */
#include <stdint.h>
#include <stdlib.h>

#include "wire/proxy_v2.h"

static void require(bool right)
{
    if (!right)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t buf[GH_PROXY_V2_EMIT_MAX];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);
    struct gh_proxy_v2 p, q;
    size_t len, again;
    int rc = gh_proxy_v2_parse(gh_span_of(data, size), &p, &len);

    for (size_t n = 0; n < size && n < 64 && rc == 1; n++) { /* nothing shorter was one */
        if (n < len)
            require(gh_proxy_v2_parse(gh_span_of(data, n), &q, &again) == 0);
    }
    if (rc != 1)
        return 0;
    require(len <= size);
    if (gh_proxy_v2_emit(&w, &p) < 0)
        return 0;
    require(!w.failed);
    require(gh_proxy_v2_parse(gh_span_of(buf, gh_writer_len(&w)), &q, &again) == 1 && again == gh_writer_len(&w));
    require(p.local == q.local && gh_ip_equals(&p.source, &q.source) && gh_ip_equals(&p.destination, &q.destination));
    if (!p.local && p.source.family) {
        require(p.source_port == q.source_port && p.destination_port == q.destination_port && p.datagram == q.datagram);
        require(gh_span_equals(p.alpn, q.alpn) && gh_span_equals(p.authority, q.authority));
    }
    return 0;
}
