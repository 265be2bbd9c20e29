/* tests/unit/crypto/tls_hello_openssl_test.c - wire/tls_hello against what an OpenSSL server sees of the same bytes
 *
 * A server asks its client_hello callback when it has read a hello and before it judges what is in it. Where it comes so
 * far our reader must have found the same hello; where it does not, our reader must not find one, with one exception:
 * use_srtp, which OpenSSL refuses outside DTLS although no RFC does, so that a server behind us may answer it.
 */
#include <openssl/ssl.h>

#include <stdio.h>

#include "wire/tls_hello.h"

#include "base/hex.h"

#include "../wire/hello_make.h"
#include "../wire/hellos.h"

#define STREAM_MAX 400000u
#define ROUNDS 120000u
#define USE_SRTP 14

/* The one source of chance: xorshift64*, so that a round is found again by its number. */
static uint64_t chance;

static uint32_t draw(uint32_t below)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (uint32_t)((chance * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

/* What our reader says, and whether OpenSSL's view of the same hello was the same. */
struct seen {
    const struct gh_tls_hello *ours; /* NULL: no hello */
    bool reached, named;
    const char *differs;
};

static struct gh_span openssl_field(SSL *ssl, size_t (*get)(SSL *, const unsigned char **))
{
    const unsigned char *p = NULL;
    size_t len = get(ssl, &p);

    return gh_span_of(p, len);
}

static bool extension_agrees(SSL *ssl, const struct gh_tls_hello *h, uint16_t type)
{
    struct gh_span ours;
    const unsigned char *p;
    size_t len;
    bool theirs = SSL_client_hello_get0_ext(ssl, type, &p, &len) == 1;

    if (gh_tls_hello_find(h, type, &ours) != theirs)
        return false;
    return !theirs || gh_span_equals(ours, gh_span_of(p, len));
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    static const uint16_t types[] = { 0, 10, 13, 16, 21, 35, 41, 42, 43, 44, 45, 51, 0xfe0d, 0xff01 };
    struct seen *s = SSL_get_app_data(ssl);
    const struct gh_tls_hello *h = s->ours;

    (void)alert;
    (void)arg;
    s->reached = true;
    if (!h) {
        s->differs = "OpenSSL found a hello";
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (SSL_client_hello_get0_legacy_version(ssl) != h->legacy_version)
        s->differs = "legacy_version";
    if (!gh_span_equals(openssl_field(ssl, SSL_client_hello_get0_random), h->random))
        s->differs = "random";
    if (!gh_span_equals(openssl_field(ssl, SSL_client_hello_get0_session_id), h->session_id))
        s->differs = "session_id";
    if (!gh_span_equals(openssl_field(ssl, SSL_client_hello_get0_ciphers), h->cipher_suites))
        s->differs = "cipher_suites";
    if (!gh_span_equals(openssl_field(ssl, SSL_client_hello_get0_compression_methods), h->compression))
        s->differs = "compression";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (!extension_agrees(ssl, h, types[i]))
            s->differs = "an extension";
    return s->differs ? SSL_CLIENT_HELLO_ERROR : SSL_CLIENT_HELLO_SUCCESS;
}

/* Asked when OpenSSL has read all extensions and found no fault in them. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    struct seen *s = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    char wanted[GH_TLS_NAME_MAX] = "";
    struct gh_span alpn;

    (void)alert;
    (void)arg;
    s->named = true;
    if (name)
        (void)gh_tls_host_name(gh_span_str(name), wanted);
    if (strcmp(wanted, s->ours->sni) != 0)
        s->differs = "server name";
    if (gh_tls_hello_find(s->ours, GH_TLS_ALPN, &alpn) ? s->ours->alpn.len + 2 != alpn.len : s->ours->alpn.len != 0)
        s->differs = "ALPN";
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void feed_openssl(SSL_CTX *ctx, struct gh_span stream, struct seen *s)
{
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new_mem_buf(stream.data, (int)stream.len), *out = BIO_new(BIO_s_null());

    assert_true(ssl && in && out);
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_set_app_data(ssl, s);
    SSL_set_accept_state(ssl);
    (void)SSL_do_handshake(ssl);
    SSL_free(ssl);
}

static SSL_CTX *make_server(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    assert_non_null(ctx);
    SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    return ctx;
}

/* The outcome of one stream; fails the test when the two differ. 2 named, 1 reached, 0 neither. */
static int compare(SSL_CTX *ctx, struct gh_span stream, unsigned round)
{
    struct gh_tls_hello_reader r;
    struct gh_tls_hello h;
    struct seen s = { NULL };
    struct gh_span srtp;
    int rc;

    gh_tls_hello_reader_init(&r, STREAM_MAX);
    for (size_t n = stream.len % 7; n < stream.len; n += 1 + stream.len / 5) /* pieces of some lengths */
        assert_true(gh_tls_hello_read(&r, gh_span_of(stream.data, n), &h) <= 1);
    rc = gh_tls_hello_read(&r, stream, &h);
    if (rc == 1)
        s.ours = &h;
    feed_openssl(ctx, stream, &s);
    if (s.differs)
        fail_msg("round %u: %s; ours %d", round, s.differs, rc);
    if (rc == 1 && !s.reached && !gh_tls_hello_find(&h, USE_SRTP, &srtp))
        fail_msg("round %u: ours found a hello that OpenSSL refuses", round);
    gh_tls_hello_reader_fini(&r);
    return s.named ? 2 : s.reached;
}

/* ---- mutation */

struct mutant {
    uint8_t body[70000];
    size_t len;
};

static const uint16_t common_types[] = { 0, 1, 5, 10, 11, 13, 14, 16, 18, 21, 23, 27, 35, 41, 42, 43, 44, 45, 49, 50, 51, 57, 0x0a0a, 0x4469, 0xfd00, 0xfde8, 0xfe0d, 0xff01 };

static void insert_bytes(struct mutant *m, size_t at, const uint8_t *data, size_t len)
{
    if (m->len + len > sizeof m->body)
        return;
    memmove(m->body + at + len, m->body + at, m->len - at);
    memcpy(m->body + at, data, len);
    m->len += len;
}

static void remove_bytes(struct mutant *m, size_t at, size_t len)
{
    memmove(m->body + at, m->body + at + len, m->len - at - len);
    m->len -= len;
}

/* Where the length of the extensions stands and, by <ret_at>, where some extension begins; 0 when there is no such thing. */
static size_t find_extension(const struct mutant *m, size_t *ret_at, size_t *ret_len)
{
    struct gh_tls_hello h;
    struct gh_span at, data;
    size_t count = 0, pick;
    uint16_t type;

    if (gh_tls_hello_parse(gh_span_of(m->body, m->len), &h) < 0 || h.extensions.len == 0)
        return 0;
    for (at = h.extensions; gh_tls_extension_next(&at, &type, &data); count++)
        ;
    pick = draw((uint32_t)count);
    for (at = h.extensions; gh_tls_extension_next(&at, &type, &data) && pick > 0; pick--)
        ;
    *ret_at = (size_t)(data.data - m->body) - 4;
    *ret_len = data.len + 4;
    return (size_t)(h.extensions.data - m->body) - 2;
}

static void mend_length(struct mutant *m, size_t at)
{
    size_t n = m->len - at - 2;

    m->body[at] = (uint8_t)(n >> 8);
    m->body[at + 1] = (uint8_t)n;
}

/* One change among the extensions, their total length made right again. */
static void mutate_extension(struct mutant *m)
{
    size_t at, len, total = find_extension(m, &at, &len);
    uint8_t made[64];
    uint16_t type = common_types[draw(sizeof common_types / sizeof common_types[0])];

    if (!total)
        return;
    switch (draw(5)) {
    case 0: /* a new one */
        made[0] = (uint8_t)(type >> 8);
        made[1] = (uint8_t)type;
        made[2] = 0;
        made[3] = (uint8_t)draw(12);
        for (size_t i = 0; i < made[3]; i++)
            made[4 + i] = (uint8_t)draw(4);
        insert_bytes(m, draw(2) ? at : m->len, made, 4u + made[3]);
        break;
    case 1: /* one twice */
        if (len <= sizeof made) {
            memcpy(made, m->body + at, len);
            insert_bytes(m, at, made, len);
        }
        break;
    case 2: /* one gone */
        remove_bytes(m, at, len);
        break;
    case 3: /* another type */
        m->body[at] = (uint8_t)(type >> 8);
        m->body[at + 1] = (uint8_t)type;
        break;
    default: /* other contents */
        if (len > 4)
            m->body[at + 4 + draw((uint32_t)(len - 4 < 8 ? len - 4 : 8))] = (uint8_t)draw(256);
        break;
    }
    mend_length(m, total);
}

static void mutate_bytes(struct mutant *m)
{
    size_t at = draw((uint32_t)m->len), n = 1 + draw(4);
    uint8_t made[4] = { (uint8_t)draw(256), (uint8_t)draw(2), 0, (uint8_t)draw(256) };

    switch (draw(6)) {
    case 0:
        m->body[at] ^= (uint8_t)(1u << draw(8));
        break;
    case 1:
        m->body[at] = (uint8_t)draw(256);
        break;
    case 2:
        insert_bytes(m, at, made, n);
        break;
    case 3:
        if (at + n < m->len)
            remove_bytes(m, at, n);
        break;
    case 4: /* the head, where the lengths are */
        m->body[draw(m->len < 120 ? (uint32_t)m->len : 120)] = (uint8_t)draw(256);
        break;
    default:
        if (at > 0)
            m->len = at;
        break;
    }
}

/* Puts a hello into records, some of them odd. Returns the bytes of the stream. */
static size_t cut(uint8_t *stream, const struct mutant *m)
{
    size_t piece = draw(3) ? GH_TLS_RECORD_MAX : 1 + draw(2000), at = 0, n;
    size_t len = make_records(stream, STREAM_MAX, gh_span_of(m->body, m->len), piece < 40 && m->len > 4000 ? 40 : piece);

    if (draw(8))
        return len;
    for (unsigned hop = draw(4); hop > 0 && at + 5 < len; hop--) /* the header of one of the first records */
        at += 5 + ((size_t)stream[at + 3] << 8 | stream[at + 4]);
    if (at + 9 > len)
        return len;
    switch (draw(6)) {
    case 0:
        stream[at + draw(9)] = (uint8_t)draw(256);
        break;
    case 1: /* empty records, more or less than too many */
        n = 30 + draw(5);
        memmove(stream + at + 5 * n, stream + at, len - at);
        for (size_t i = 0; i < n; i++)
            memcpy(stream + at + 5 * i, "\x16\x03\x03\x00\x00", 5);
        return len + 5 * n;
    case 2: /* an alert, a CCS, application data in between */
        memmove(stream + at + 7, stream + at, len - at);
        memcpy(stream + at, "\x15\x03\x01\x00\x02\x01\x00", 7);
        stream[at] = (uint8_t)(20 + draw(5));
        return len + 7;
    case 3: /* bytes behind the hello, in its record or in the next */
        memcpy(stream + len, "\x16\x03\x01\x00\x01\x01", 6);
        return len + 6;
    case 4:
        return draw((uint32_t)len);
    default:
        stream[at + 2] = (uint8_t)draw(256); /* the version that says nothing */
        break;
    }
    return len;
}

static void mutated_hellos_are_seen_as_OpenSSL_sees_them(void **state)
{
    SSL_CTX *ctx = make_server();
    struct mutant *m = malloc(sizeof *m);
    uint8_t *stream = malloc(STREAM_MAX);
    unsigned outcomes[3] = { 0 };
    static uint8_t hellos[sizeof captured / sizeof captured[0]][4096];

    (void)state;
    assert_true(m && stream);
    for (size_t i = 0; i < sizeof captured / sizeof captured[0]; i++)
        assert_true(gh_hex_decode(gh_span_str(captured[i].hex), GH_HEX_LOWER, hellos[i], strlen(captured[i].hex) / 2));
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t pick;

        chance = (round + 1) * UINT64_C(0x9e3779b97f4a7c15);
        pick = draw(sizeof captured / sizeof captured[0]);
        m->len = strlen(captured[pick].hex) / 2 - 9;
        memcpy(m->body, hellos[pick] + 9, m->len);
        for (unsigned n = draw(4); n > 0; n--) {
            if (draw(2))
                mutate_extension(m);
            else
                mutate_bytes(m);
        }
        outcomes[compare(ctx, gh_span_of(stream, cut(stream, m)), round)]++;
    }
    print_message("%u refused, %u seen, %u found without fault\n", outcomes[0], outcomes[1] + outcomes[2], outcomes[2]);
    assert_true(outcomes[0] > ROUNDS / 10 && outcomes[1] > ROUNDS / 50 && outcomes[2] > ROUNDS / 10); /* each kind is there */
    free(m);
    free(stream);
    SSL_CTX_free(ctx);
}

static void each_type_of_extension_may_come_as_often_as_OpenSSL_lets_it(void **state)
{
    SSL_CTX *ctx = make_server();
    uint8_t body[256], stream[256];

    (void)state;
    for (uint32_t type = 0; type <= UINT16_MAX; type++) {
        struct extension list[] = { { (uint16_t)type, BYTES("\x01") }, { (uint16_t)type, BYTES("\x01") } };
        bool rare = type > 100 && type < 0xfd00 && type % 97 != 0; /* that many alike are enough */

        for (size_t count = rare ? 3 : 1; count <= 2; count++) {
            size_t len = make_body(body, sizeof body, BYTES(""), list, count);

            len = make_records(stream, sizeof stream, gh_span_of(body, len), GH_TLS_RECORD_MAX);
            (void)compare(ctx, gh_span_of(stream, len), type);
        }
    }
    SSL_CTX_free(ctx);
}

static void the_longest_hello_is_the_longest_that_OpenSSL_reads(void **state)
{
    SSL_CTX *ctx = make_server();
    uint8_t *body = malloc(140000), *stream = malloc(150000);

    (void)state;
    assert_true(body && stream);
    for (size_t len = GH_TLS_HELLO_BODY_MAX - 1; len <= GH_TLS_HELLO_BODY_MAX + 1; len++) {
        struct gh_tls_hello_reader r;
        struct gh_tls_hello h;
        struct seen s = { NULL };
        size_t n;

        /* nothing so long is well-formed, its lengths have 16 bits: what counts is who reads to its end */
        memset(body, 0, len);
        n = make_records(stream, 150000, gh_span_of(body, len), GH_TLS_RECORD_MAX);
        gh_tls_hello_reader_init(&r, STREAM_MAX);
        assert_int_equal(gh_tls_hello_read(&r, gh_span_of(stream, n), &h), len <= GH_TLS_HELLO_BODY_MAX ? GH_ERR_MALFORMED : GH_ERR_TOO_LONG);
        feed_openssl(ctx, gh_span_of(stream, n), &s);
        assert_false(s.reached);
        gh_tls_hello_reader_fini(&r);
    }
    free(body);
    free(stream);
    SSL_CTX_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_hellos_are_seen_as_OpenSSL_sees_them),
        cmocka_unit_test(each_type_of_extension_may_come_as_often_as_OpenSSL_lets_it),
        cmocka_unit_test(the_longest_hello_is_the_longest_that_OpenSSL_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
