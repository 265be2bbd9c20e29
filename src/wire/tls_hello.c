#include "wire/tls_hello.h"

#include "wire/tls_hello_internal.h"

/* What every OpenSSL server knows, whatever it was built with: these may come once. */
static const uint16_t known[] = {
    0, 1, 10, 11, 13, 14, 16, 19, 20, 21, 22, 23, 27, 35, 41, 42, 43, 44, 45, 47, 49, 50, 51,
    0xfd00, 0xfde8 /* cryptopro_bug */, 0xfe0d, 0xff01,
};

_Static_assert(sizeof known / sizeof known[0] <= 32, "one bit each in gh_tls_fields.seen");

bool gh_tls_extension_next(struct gh_span *at, uint16_t *ret_type, struct gh_span *ret_data)
{
    struct gh_reader r = gh_reader_of(*at);
    uint16_t type = gh_read_u16(&r);
    struct gh_span data = gh_read_span(&r, gh_read_u16(&r));

    if (r.failed)
        return false;
    *at = gh_span_of(r.at, gh_reader_left(&r));
    *ret_type = type;
    *ret_data = data;
    return true;
}

bool gh_tls_hello_find(const struct gh_tls_hello *h, uint16_t type, struct gh_span *ret)
{
    struct gh_span at = h->extensions, data;
    uint16_t found;

    while (gh_tls_extension_next(&at, &found, &data)) {
        if (found == type) {
            *ret = data;
            return true;
        }
    }
    return false;
}

bool gh_tls_alpn_next(struct gh_span *at, struct gh_span *ret)
{
    struct gh_reader r = gh_reader_of(*at);
    struct gh_span name = gh_read_span(&r, gh_read_u8(&r));

    if (r.failed)
        return false;
    *at = gh_span_of(r.at, gh_reader_left(&r));
    *ret = name;
    return true;
}

bool gh_tls_hello_alpn_has(const struct gh_tls_hello *h, const char *name)
{
    struct gh_span at = h->alpn, wanted = gh_span_str(name), got;

    while (gh_tls_alpn_next(&at, &got))
        if (gh_span_equals(got, wanted))
            return true;
    return false;
}

bool gh_tls_hello_offers(const struct gh_tls_hello *h, uint16_t version)
{
    struct gh_reader r = gh_reader_of(h->supported_versions);

    if (h->supported_versions.len == 0)
        return version <= h->legacy_version && version <= 0x0303;
    while (gh_reader_left(&r) >= 2)
        if (gh_read_u16(&r) == version)
            return true;
    return false;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The character of a name as it is compared, 0 when none may have it. */
static char name_char(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_' ? (char)c : 0;
}

int gh_tls_host_name(struct gh_span text, char ret[GH_TLS_NAME_MAX])
{
    char name[GH_TLS_NAME_MAX];
    size_t label = 0;
    bool number = true; /* the label under way has digits alone */

    if (text.len > 0 && text.data[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > 253) /* RFC 1035, section 3.1: 255 with its lengths */
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        bool dot = text.data[i] == '.';

        name[i] = dot ? '.' : name_char(text.data[i]);
        if (!name[i] || (dot && label == 0) || (!dot && label == 63))
            return GH_ERR_MALFORMED;
        number = dot || (number && is_digit(text.data[i]));
        label = dot ? 0 : label + 1;
    }
    if (label == 0 || number)
        return GH_ERR_MALFORMED;
    memcpy(ret, name, text.len);
    ret[text.len] = 0;
    return 0;
}

/* RFC 6066, section 3: a list with one entry of the one type that there is. */
static void read_server_name(struct gh_span data, struct gh_tls_hello *h)
{
    struct gh_reader r = gh_reader_of(data);
    uint16_t list_len = gh_read_u16(&r);
    bool whole = list_len == gh_reader_left(&r);
    uint8_t type = gh_read_u8(&r);
    struct gh_span name = gh_read_span(&r, gh_read_u16(&r));

    h->server_name = data;
    if (whole && type == 0 && gh_reader_done(&r))
        (void)gh_tls_host_name(name, h->sni); /* not a name: "" stays */
}

/* RFC 7301, section 3.1: two names or more bytes, none of them empty */
static struct gh_span read_alpn(struct gh_span data)
{
    struct gh_reader r = gh_reader_of(data);
    uint16_t len = gh_read_u16(&r);
    struct gh_span list = gh_read_span(&r, len), at = list, name;

    if (!gh_reader_done(&r))
        return gh_span_of(NULL, 0);
    while (gh_tls_alpn_next(&at, &name))
        if (name.len == 0)
            return gh_span_of(NULL, 0);
    return at.len == 0 ? list : gh_span_of(NULL, 0);
}

static struct gh_span read_versions(struct gh_span data)
{
    struct gh_reader r = gh_reader_of(data);
    struct gh_span list = gh_read_span(&r, gh_read_u8(&r));

    return gh_reader_done(&r) && list.len % 2 == 0 ? list : gh_span_of(NULL, 0);
}

static struct gh_span read_key_share(struct gh_span data)
{
    struct gh_reader r = gh_reader_of(data);
    struct gh_span list = gh_read_span(&r, gh_read_u16(&r));

    return gh_reader_done(&r) ? list : gh_span_of(NULL, 0);
}

/* RFC 9849, section 5: ECHClientHello */
static struct gh_tls_ech_outer read_ech(struct gh_span data)
{
    struct gh_tls_ech_outer e = { .present = true };
    struct gh_reader r = gh_reader_of(data);
    uint8_t type = gh_read_u8(&r);

    if (type == 1 && gh_reader_done(&r)) {
        e.inner_type = true;
        return e;
    }
    e.kdf = gh_read_u16(&r);
    e.aead = gh_read_u16(&r);
    e.config_id = gh_read_u8(&r);
    e.enc = gh_read_span(&r, gh_read_u16(&r));
    e.payload = gh_read_span(&r, gh_read_u16(&r));
    if (type != 0 || !gh_reader_done(&r) || e.payload.len == 0)
        return (struct gh_tls_ech_outer){ .present = true, .malformed = true };
    return e;
}

int gh_tls_fields_add(struct gh_tls_fields *f, uint16_t type, struct gh_span data)
{
    struct gh_tls_hello *h = f->hello;

    if (f->psk_seen) /* RFC 8446, section 4.2.11: pre_shared_key is the last */
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i] != type)
            continue;
        if (f->seen & UINT32_C(1) << i) /* RFC 8446, section 4.2: one of each type */
            return GH_ERR_MALFORMED;
        f->seen |= UINT32_C(1) << i;
    }
    switch (type) {
    case GH_TLS_SERVER_NAME:
        read_server_name(data, h);
        break;
    case GH_TLS_ALPN:
        h->alpn = read_alpn(data);
        break;
    case GH_TLS_SUPPORTED_VERSIONS:
        h->supported_versions = read_versions(data);
        break;
    case GH_TLS_KEY_SHARE:
        h->key_share = read_key_share(data);
        break;
    case GH_TLS_EARLY_DATA:
        h->early_data = true;
        break;
    case GH_TLS_PRE_SHARED_KEY:
        h->psk = f->psk_seen = true;
        break;
    case GH_TLS_ECH:
        if (data.len == 0 && h->legacy_version == 0x0303) /* OpenSSL looks for ECH in such hellos alone */
            return GH_ERR_MALFORMED;
        h->ech = read_ech(data);
        break;
    default:
        break;
    }
    return 0;
}

int gh_tls_fields_begin(struct gh_reader *r, struct gh_tls_hello *h)
{
    h->legacy_version = gh_read_u16(r);
    h->random = gh_read_span(r, 32);
    h->session_id = gh_read_span(r, gh_read_u8(r));
    h->cipher_suites = gh_read_span(r, gh_read_u16(r));
    h->compression = gh_read_span(r, gh_read_u8(r));
    return r->failed || h->session_id.len > 32 ? GH_ERR_MALFORMED : 0;
}

int gh_tls_hello_parse(struct gh_span body, struct gh_tls_hello *ret)
{
    struct gh_tls_hello h = { .body = body };
    struct gh_tls_fields f = { .hello = &h };
    struct gh_reader r = gh_reader_of(body);
    struct gh_span at, data;
    uint16_t type;

    if (gh_tls_fields_begin(&r, &h) < 0)
        return GH_ERR_MALFORMED;
    if (gh_reader_left(&r) > 0) { /* TLS 1.2 may come without extensions */
        h.extensions = gh_read_span(&r, gh_read_u16(&r));
        if (!gh_reader_done(&r))
            return GH_ERR_MALFORMED;
    }
    at = h.extensions;
    while (gh_tls_extension_next(&at, &type, &data))
        if (gh_tls_fields_add(&f, type, data) < 0)
            return GH_ERR_MALFORMED;
    if (at.len > 0) /* half an extension */
        return GH_ERR_MALFORMED;
    *ret = h;
    return 0;
}
