/* tests/fuzz/tls_hello/tls_hello_fuzz.c - a hello, whole and in pieces, is read alike, and nothing points outside of it
 *
 * The first byte is the length of the pieces, then comes the stream. What follows the hello in it is taken for the
 * EncodedClientHelloInner of that hello.
 */
#include <stdint.h>
#include <stdlib.h>

#include "wire/tls_hello.h"

static void require(bool right)
{
    if (!right)
        abort();
}

static void require_inside(struct gh_span part, struct gh_span whole)
{
    if (part.len > 0)
        require(part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void require_sound(const struct gh_tls_hello *h, struct gh_span a, struct gh_span b)
{
    const struct gh_span fields[] = { h->alpn, h->supported_versions, h->key_share, h->server_name, h->ech.enc, h->ech.payload };
    struct gh_span at = h->alpn, data;
    char name[GH_TLS_NAME_MAX];

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].len > 0 && !(fields[i].data >= a.data && fields[i].data < a.data + a.len))
            require_inside(fields[i], b);
        else
            require_inside(fields[i], a);
    require(h->random.len == 32 && h->session_id.len <= 32);
    while (gh_tls_alpn_next(&at, &data))
        require(data.len > 0);
    require(at.len == 0);
    if (h->sni[0]) /* a name is its own normal form */
        require(gh_tls_host_name(gh_span_str(h->sni), name) == 0 && strcmp(name, h->sni) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_tls_hello_reader whole, pieces;
    struct gh_tls_hello a, b, inner;
    struct gh_span stream;
    int whole_rc, rc = 0;

    if (size < 2)
        return 0;
    stream = gh_span_of(data + 1, size - 1);
    gh_tls_hello_reader_init(&whole, 16384);
    gh_tls_hello_reader_init(&pieces, 16384);
    whole_rc = gh_tls_hello_read(&whole, stream, &a);
    for (size_t n = 0; n < stream.len && rc == 0; n += data[0] ? data[0] : 1)
        rc = gh_tls_hello_read(&pieces, gh_span_of(stream.data, n), &b);
    if (rc == 0)
        rc = gh_tls_hello_read(&pieces, stream, &b);
    require(rc == whole_rc);
    if (rc == 1) {
        require(gh_span_equals(a.body, b.body) && strcmp(a.sni, b.sni) == 0);
        require(gh_tls_hello_used(&whole) == gh_tls_hello_used(&pieces) && gh_tls_hello_used(&whole) <= stream.len);
        require_sound(&a, a.body, a.body);
        stream.data += gh_tls_hello_used(&whole);
        stream.len -= gh_tls_hello_used(&whole);
        if (gh_tls_ech_inner_parse(stream, &a, &inner) == 0)
            require_sound(&inner, inner.body, a.body);
    }
    gh_tls_hello_reader_fini(&whole);
    gh_tls_hello_reader_fini(&pieces);
    return 0;
}
