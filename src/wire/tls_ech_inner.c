#include "wire/tls_hello_internal.h"

/* Adds the outer extensions that <data> names. RFC 9849, section 5.1: they stand there in the same order, so that one walk
 * through the outer hello finds them all; and a name that comes twice is not found again. */
static int take_over(struct gh_tls_fields *f, struct gh_span data, const struct gh_tls_hello *outer)
{
    struct gh_reader r = gh_reader_of(data);
    struct gh_span names = gh_read_span(&r, gh_read_u8(&r)), at = outer->extensions, value;
    uint16_t wanted, type;

    if (!gh_reader_done(&r) || names.len < 2 || names.len % 2 != 0)
        return GH_ERR_MALFORMED;
    r = gh_reader_of(names);
    while (gh_reader_left(&r) > 0) {
        wanted = gh_read_u16(&r);
        if (wanted == GH_TLS_ECH || wanted == GH_TLS_ECH_OUTER_EXTENSIONS)
            return GH_ERR_MALFORMED;
        do {
            if (!gh_tls_extension_next(&at, &type, &value))
                return GH_ERR_MALFORMED;
        } while (type != wanted);
        if (gh_tls_fields_add(f, type, value) < 0)
            return GH_ERR_MALFORMED;
    }
    return 0;
}

/* RFC 9849, section 6.1: an inner hello offers nothing before TLS 1.3. */
static bool offers_old_version(const struct gh_tls_hello *h)
{
    struct gh_reader r = gh_reader_of(h->supported_versions);

    while (gh_reader_left(&r) >= 2) {
        uint16_t version = gh_read_u16(&r);

        if (version >= 0x0300 && version <= 0x0303)
            return true;
    }
    return !gh_tls_hello_offers(h, 0x0304);
}

int gh_tls_ech_inner_parse(struct gh_span encoded, const struct gh_tls_hello *outer, struct gh_tls_hello *ret)
{
    struct gh_tls_hello h = { 0 };
    struct gh_tls_fields f = { .hello = &h };
    struct gh_reader r = gh_reader_of(encoded);
    struct gh_span at, data;
    bool took = false;
    uint16_t type;

    if (gh_tls_fields_begin(&r, &h) < 0 || h.legacy_version != 0x0303)
        return GH_ERR_MALFORMED;
    if (h.session_id.len != 0) /* RFC 9849, section 5.1: it is the outer one's */
        return GH_ERR_MALFORMED;
    h.session_id = outer->session_id;
    if (h.compression.len != 1 || h.compression.data[0] != 0) /* RFC 8446, section 4.1.2 */
        return GH_ERR_MALFORMED;
    h.extensions = gh_read_span(&r, gh_read_u16(&r));
    if (r.failed)
        return GH_ERR_MALFORMED;
    h.body = gh_span_of(encoded.data, encoded.len - gh_reader_left(&r));
    while (gh_reader_left(&r) > 0)
        if (gh_read_u8(&r) != 0) /* RFC 9849, section 5.1: padding is zero */
            return GH_ERR_MALFORMED;

    at = h.extensions;
    while (gh_tls_extension_next(&at, &type, &data)) {
        if (type != GH_TLS_ECH_OUTER_EXTENSIONS) {
            if (gh_tls_fields_add(&f, type, data) < 0)
                return GH_ERR_MALFORMED;
            continue;
        }
        if (took || take_over(&f, data, outer) < 0)
            return GH_ERR_MALFORMED;
        took = true;
    }
    if (at.len > 0 || !h.ech.inner_type || offers_old_version(&h)) /* RFC 9849, section 7.1 */
        return GH_ERR_MALFORMED;
    *ret = h;
    return 0;
}
