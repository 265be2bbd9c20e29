/* tests/unit/crypto/tls_ech_inner_openssl_test.c - gh_tls_ech_inner_parse against an OpenSSL server that has the key
 *
 * Anything can be sealed for a server whose ECHConfig is public. What our reader takes for an inner hello, OpenSSL must find as
 * well, and the same; and what OpenSSL would answer, our reader must not refuse.
 */
#include <openssl/ech.h>
#include <openssl/hpke.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "wire/tls_hello.h"

#include "base/hex.h"

#include "../wire/hello_make.h"
#include "../wire/hellos.h"

#define ROUNDS 6000u
#define ENC 32u /* X25519 */

static uint64_t chance; /* xorshift64*: a round is found again by its number */

static uint32_t draw(uint32_t below)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (uint32_t)((chance * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

struct seen {
    const struct gh_tls_hello *ours; /* NULL: refused */
    bool reached, faultless;
    const char *differs;
};

struct world {
    SSL_CTX *server;
    uint8_t config[256]; /* ECHConfig */
    size_t config_len;
    const uint8_t *public_key;
    uint8_t outer[4096]; /* a hello without ECH */
    size_t outer_len;
};

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    struct seen *s = SSL_get_app_data(ssl);
    char *inner_name = NULL, *outer_name = NULL;
    const unsigned char *p;
    size_t len;
    int status;

    (void)alert;
    (void)arg;
    status = SSL_ech_get1_status(ssl, &inner_name, &outer_name);
    OPENSSL_free(inner_name);
    OPENSSL_free(outer_name);
    if (status != SSL_ECH_STATUS_SUCCESS || SSL_client_hello_get0_random(ssl, &p) != 32)
        return SSL_CLIENT_HELLO_ERROR; /* with some faults of the inner hello it takes the outer one */
    s->reached = true;
    if (!s->ours)
        return SSL_CLIENT_HELLO_SUCCESS;
    if (!gh_span_equals(gh_span_of(p, 32), s->ours->random))
        s->differs = "random";
    if (!SSL_client_hello_get0_ext(ssl, GH_TLS_SERVER_NAME, &p, &len))
        len = 0;
    if (!gh_span_equals(gh_span_of(p, len), s->ours->server_name))
        s->differs = "server_name";
    if (!SSL_client_hello_get0_ext(ssl, GH_TLS_ALPN, &p, &len))
        len = 0;
    if (s->ours->alpn.len && (len != s->ours->alpn.len + 2 || memcmp(p + 2, s->ours->alpn.data, len - 2) != 0))
        s->differs = "ALPN";
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Asked for a certificate when OpenSSL has found no fault in the hello. */
static int on_certificate(SSL *ssl, void *arg)
{
    (void)arg;
    ((struct seen *)SSL_get_app_data(ssl))->faultless = true;
    return 0;
}

/* The Go hello, its own ECH taken out. */
static void make_outer(struct world *w)
{
    uint8_t flight[4096];
    size_t len = strlen(captured[CAPTURED_ECH].hex) / 2, total;
    struct gh_tls_hello h;
    struct gh_span ech;

    assert_true(gh_hex_decode(gh_span_str(captured[CAPTURED_ECH].hex), GH_HEX_LOWER, flight, len));
    assert_int_equal(gh_tls_hello_parse(gh_span_of(flight + 9, len - 9), &h), 0);
    assert_true(gh_tls_hello_find(&h, GH_TLS_ECH, &ech));
    len = (size_t)(ech.data - 4 - h.body.data);
    memcpy(w->outer, h.body.data, len);
    memcpy(w->outer + len, ech.data + ech.len, h.body.len - len - ech.len - 4);
    w->outer_len = h.body.len - ech.len - 4;
    total = (size_t)(h.extensions.data - h.body.data) - 2;
    w->outer[total] = (uint8_t)((w->outer_len - total - 2) >> 8);
    w->outer[total + 1] = (uint8_t)(w->outer_len - total - 2);
}

static void make_world(struct world *w)
{
    OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256, OSSL_HPKE_AEAD_ID_AES_GCM_128 };
    OSSL_ECHSTORE *made = OSSL_ECHSTORE_new(NULL, NULL), *store = OSSL_ECHSTORE_new(NULL, NULL);
    BIO *pem = BIO_new(BIO_s_mem()), *copy;
    char *name, *header;
    unsigned char *data, *text;
    long len;

    assert_int_equal(OSSL_ECHSTORE_new_config(made, OSSL_ECH_RFC9849_VERSION, 0, "cover.example", suite), 1);
    assert_int_equal(OSSL_ECHSTORE_write_pem(made, 0, pem), 1);
    len = BIO_get_mem_data(pem, (char **)&text);
    copy = BIO_new_mem_buf(text, (int)len);
    assert_int_equal(OSSL_ECHSTORE_read_pem(store, copy, OSSL_ECH_FOR_RETRY), 1);
    while (PEM_read_bio(pem, &name, &header, &data, &len)) {
        if (strcmp(name, "ECHCONFIG") == 0) {
            assert_true(len > 2 && (size_t)len - 2 <= sizeof w->config);
            w->config_len = (size_t)len - 2;
            memcpy(w->config, data + 2, w->config_len);
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(data);
    }
    w->public_key = w->config + 9; /* version, length, config_id, kem, length of the key */
    w->server = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_set1_echstore(w->server, store), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(w->server, TLS1_3_VERSION), 1);
    SSL_CTX_set_client_hello_cb(w->server, on_hello, NULL);
    SSL_CTX_set_cert_cb(w->server, on_certificate, NULL);
    BIO_free(pem);
    BIO_free(copy);
    OSSL_ECHSTORE_free(made);
    OSSL_ECHSTORE_free(store);
    make_outer(w);
}

/* The outer hello with <inner> sealed in it. Returns its bytes. */
static size_t seal(const struct world *w, struct gh_span inner, uint8_t *body, size_t cap)
{
    OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256, OSSL_HPKE_AEAD_ID_AES_GCM_128 };
    OSSL_HPKE_CTX *ctx = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_SENDER, NULL, NULL);
    uint8_t info[300] = "tls ech", *sealed = malloc(inner.len + 16), *enc;
    size_t enc_len = ENC, sealed_len = inner.len + 16, total, payload;
    struct gh_writer b = gh_writer_of(body, cap);
    struct gh_tls_hello h;

    assert_true(ctx && sealed && gh_tls_hello_parse(gh_span_of(w->outer, w->outer_len), &h) == 0);
    gh_write_bytes(&b, w->outer, w->outer_len);
    gh_write_u16(&b, GH_TLS_ECH);
    gh_write_u16(&b, (uint16_t)(1 + 4 + 1 + 2 + ENC + 2 + sealed_len));
    gh_write_bytes(&b, "\x00\x00\x01\x00\x01", 5);
    gh_write_u8(&b, w->config[4]);
    gh_write_u16(&b, ENC);
    enc = b.at;
    gh_write_bytes(&b, info, ENC);
    gh_write_u16(&b, (uint16_t)sealed_len);
    payload = gh_writer_len(&b);
    memset(sealed, 0, sealed_len);
    gh_write_bytes(&b, sealed, sealed_len);
    assert_false(b.failed);
    total = (size_t)(h.extensions.data - h.body.data) - 2;
    body[total] = (uint8_t)((gh_writer_len(&b) - total - 2) >> 8);
    body[total + 1] = (uint8_t)(gh_writer_len(&b) - total - 2);
    memcpy(info + 8, w->config, w->config_len);
    assert_int_equal(OSSL_HPKE_encap(ctx, enc, &enc_len, w->public_key, ENC, info, 8 + w->config_len), 1);
    assert_int_equal(OSSL_HPKE_seal(ctx, sealed, &sealed_len, body, gh_writer_len(&b), inner.data, inner.len), 1);
    memcpy(body + payload, sealed, sealed_len);
    OSSL_HPKE_CTX_free(ctx);
    free(sealed);
    return gh_writer_len(&b);
}

static void feed_openssl(const struct world *w, struct gh_span body, struct seen *s)
{
    uint8_t stream[8192];
    size_t len = make_records(stream, sizeof stream, body, GH_TLS_RECORD_MAX);
    SSL *ssl = SSL_new(w->server);
    BIO *in = BIO_new_mem_buf(stream, (int)len);

    assert_true(ssl && in);
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, BIO_new(BIO_s_null()));
    SSL_set_app_data(ssl, s);
    SSL_set_accept_state(ssl);
    (void)SSL_do_handshake(ssl);
    SSL_free(ssl);
}

/* ---- mutation */

static size_t mutate(uint8_t *inner, size_t len, size_t cap)
{
    for (unsigned n = draw(3); n > 0; n--) {
        size_t at = draw((uint32_t)len), tail = 54; /* behind the head of the Go hello its extensions begin */

        switch (draw(5)) {
        case 0:
            inner[at] = (uint8_t)draw(256);
            break;
        case 1:
            inner[at] ^= (uint8_t)(1u << draw(8));
            break;
        case 2: /* where the extensions are */
            inner[tail + draw((uint32_t)(len - tail))] = (uint8_t)draw(64);
            break;
        case 3: /* a byte of the list of outer extensions, the last one of the hello */
            inner[86 + draw(18)] = (uint8_t)draw(56);
            break;
        default:
            if (len + 4 < cap)
                inner[len++] = (uint8_t)(draw(3) ? 0 : draw(256));
            break;
        }
    }
    return len;
}

static void what_is_sealed_is_seen_as_OpenSSL_sees_it(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    uint8_t seed[512], inner[600], body[4096];
    size_t seed_len = strlen(go_ech_inner) / 2;
    unsigned later = 0, both = 0;

    (void)state;
    assert_non_null(w);
    make_world(w);
    assert_true(gh_hex_decode(gh_span_str(go_ech_inner), GH_HEX_LOWER, seed, seed_len));
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct gh_tls_hello outer, parsed;
        struct seen s = { NULL };
        struct gh_span encoded;
        size_t len;
        int rc;

        chance = (round + 1) * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(inner, seed, seed_len);
        encoded = gh_span_of(inner, mutate(inner, seed_len, sizeof inner));
        len = seal(w, encoded, body, sizeof body);
        assert_int_equal(gh_tls_hello_parse(gh_span_of(body, len), &outer), 0);
        rc = gh_tls_ech_inner_parse(encoded, &outer, &parsed);
        s.ours = rc == 0 ? &parsed : NULL;
        feed_openssl(w, gh_span_of(body, len), &s);
        if (s.differs)
            fail_msg("round %u: %s", round, s.differs);
        if (rc == 0 && !s.reached)
            fail_msg("round %u: ours found an inner hello that OpenSSL refuses", round);
        if (rc < 0 && s.faultless)
            fail_msg("round %u: OpenSSL finds no fault", round);
        both += rc == 0 && s.faultless;
        later += rc == 0 && !s.faultless;
    }
    print_message("%u without fault, %u with one elsewhere, %u refused\n", both, later, ROUNDS - both - later);
    assert_true(both > ROUNDS / 10 && both + later < ROUNDS * 9 / 10); /* each kind is there */
    SSL_CTX_free(w->server);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_sealed_is_seen_as_OpenSSL_sees_it) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
