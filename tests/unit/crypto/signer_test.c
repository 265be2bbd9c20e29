/* Handshakes with a key that is somewhere else: two ends of TLS, without QUIC between them. */
#include "crypto/signer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "../test.h"
#include "base/error.h"
#include "crypto/ca.h"
#include "crypto/tls.h"

#define NOW ((int64_t)time(NULL))

static char why[GH_CA_WHY];

/* Who has a key, and what was asked of it. */
struct holder {
    struct gh_sign_key *key;
    unsigned asked;
    uint16_t scheme;
    int rc;
    bool wrong; /* signs something else */
};

static int hold_and_sign(void *arg, uint32_t key, uint16_t scheme, struct gh_span data, uint8_t *ret, size_t *ret_len)
{
    struct holder *h = arg;
    uint8_t other[512];

    assert_int_equal(key, 7);
    assert_true(gh_signer_may_sign(data)); /* TLS never asks for more */
    h->asked++;
    h->scheme = scheme;
    if (h->rc < 0)
        return h->rc;
    memcpy(other, data.data, data.len);
    other[0] ^= h->wrong;
    return gh_sign_key_sign(h->key, scheme, other, data.len, ret, ret_len);
}

struct side {
    struct gh_tls *tls;
    struct side *peer;
    struct {
        enum gh_tls_level level;
        uint8_t data[8192];
        size_t len;
    } out[16]; /* for the peer, in order */
    size_t count, taken;
    bool server, done;
    int rc;
    uint8_t alert;
};

static int on_secret(void *arg, enum gh_tls_level level, bool write, const struct gh_aead_suite *suite, const uint8_t *secret)
{
    struct side *s = arg;

    (void)suite, (void)secret;
    return s->server && write && level == GH_TLS_HANDSHAKE ? gh_tls_set_transport_params(s->tls, gh_span_str("server")) : 0;
}

static int on_send(void *arg, enum gh_tls_level level, struct gh_span bytes)
{
    struct side *s = arg;

    assert_true(s->count < 16 && bytes.len <= sizeof s->out[0].data);
    s->out[s->count].level = level;
    memcpy(s->out[s->count].data, bytes.data, bytes.len);
    s->out[s->count++].len = bytes.len;
    return 0;
}

static int on_params(void *arg, struct gh_span params)
{
    (void)arg, (void)params;
    return 0;
}

static void on_alert(void *arg, uint8_t alert)
{
    ((struct side *)arg)->alert = alert;
}

static const struct gh_tls_events events = { .on_secret = on_secret, .on_send = on_send, .on_transport_params = on_params, .on_alert = on_alert };

static bool deliver(struct side *to)
{
    struct side *from = to->peer;

    if (from->taken == from->count || to->rc < 0)
        return false;
    to->rc = gh_tls_feed(to->tls, from->out[from->taken].level, gh_span_of(from->out[from->taken].data, from->out[from->taken].len));
    from->taken++;
    to->done = to->rc == 1;
    return true;
}

/* True when both ends are through. */
static bool shake_hands(struct gh_tls_ctx *server, struct gh_tls_ctx *client)
{
    struct side *s = calloc(2, sizeof *s), *c = s + 1;
    bool ok;

    assert_non_null(s);
    s->server = true;
    s->peer = c;
    c->peer = s;
    assert_int_equal(gh_tls_create(server, NULL, &events, s, &s->tls), 0);
    assert_int_equal(gh_tls_create(client, NULL, &events, c, &c->tls), 0);
    assert_int_equal(gh_tls_set_transport_params(c->tls, gh_span_str("client")), 0);
    assert_int_equal(gh_tls_start(c->tls), 0);
    while (deliver(s) || deliver(c))
        ;
    ok = s->done && c->done;
    gh_tls_destroy(s->tls);
    gh_tls_destroy(c->tls);
    free(s);
    return ok;
}

struct end {
    struct gh_leaf leaf;
    struct holder holder;
    struct gh_signer signer;
    struct gh_tls_ctx *tls;
};

static struct gh_span span_of(const struct gh_pem *p)
{
    return gh_span_of(p->text, p->len);
}

static int make_context(struct end *e, bool server, struct gh_span ca, char err[256])
{
    struct gh_tls_config cfg = { .server = server, .certificate = span_of(&e->leaf.cert), .signer = &e->signer, .ca = ca, .alpn = "h3" };

    e->signer = (struct gh_signer){ .sign = hold_and_sign, .arg = &e->holder, .key = 7 };
    return gh_tls_ctx_create(&cfg, &e->tls, err, 256);
}

static void issue(struct end *e, const struct gh_ca *ca, bool server, enum gh_ca_key kind)
{
    struct gh_leaf_request req = { .role = server ? GH_ROLE_RELAY : GH_ROLE_AGENT, .name = "x", .key = kind, .days = 9, .now = NOW };

    *e = (struct end){ .tls = NULL };
    assert_int_equal(gh_ca_issue(ca, &req, &e->leaf, why), 0);
    assert_int_equal(gh_sign_key_load(span_of(&e->leaf.key), &e->holder.key), 0);
}

static void end_fini(struct end *e)
{
    gh_tls_ctx_put(e->tls);
    gh_sign_key_destroy(e->holder.key);
    gh_leaf_fini(&e->leaf);
}

struct place {
    struct gh_ca *ca;
    struct gh_pem cert, key;
};

static int setup(void **state)
{
    struct gh_ca_request req = { .trust_domain = "corp.example", .key = GH_CA_P256, .now = NOW };
    struct place *p = calloc(1, sizeof *p);

    if (!p || gh_ca_create(&req, &p->ca, why) < 0 || gh_ca_emit(p->ca, &p->cert, &p->key) < 0)
        return -1;
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    gh_ca_destroy(p->ca);
    gh_pem_fini(&p->cert);
    gh_pem_fini(&p->key);
    free(p);
    return 0;
}

static void both_ends_prove_themselves_with_keys_that_are_elsewhere(void **state)
{
    static const enum gh_ca_key kinds[] = { GH_CA_ED25519, GH_CA_P256 };
    static const uint16_t schemes[] = { 0x0807, 0x0403 }; /* RFC 8446, section 4.2.3 */
    struct place *p = *state;
    char err[256];

    for (size_t i = 0; i < 4; i++) {
        struct end s, c;

        issue(&s, p->ca, true, kinds[i & 1]);
        issue(&c, p->ca, false, kinds[i >> 1]);
        assert_int_equal(make_context(&s, true, span_of(&p->cert), err), 0);
        assert_int_equal(make_context(&c, false, span_of(&p->cert), err), 0);
        assert_int_equal(s.holder.asked, 1); /* whether it is the certificate's key */
        assert_true(shake_hands(s.tls, c.tls));
        assert_int_equal(s.holder.asked, 2);
        assert_int_equal(c.holder.asked, 2);
        assert_int_equal(s.holder.scheme, schemes[i & 1]);
        assert_int_equal(c.holder.scheme, schemes[i >> 1]);
        end_fini(&s);
        end_fini(&c);
    }
}

/* Made elsewhere: our CA has no RSA. */
static void issue_rsa(struct end *e, const struct place *p, bool server)
{
    BIO *in = BIO_new_mem_buf(p->key.text, (int)p->key.len), *out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());
    EVP_PKEY *ca_key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL), *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    BIO *ca_in = BIO_new_mem_buf(p->cert.text, (int)p->cert.len);
    X509 *ca = PEM_read_bio_X509(ca_in, NULL, NULL, NULL), *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    X509_EXTENSION *usage = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, server ? "serverAuth" : "clientAuth");
    ASN1_TIME *from = ASN1_TIME_set(NULL, NOW - 100), *to = ASN1_TIME_set(NULL, NOW + 86400);
    char *data;

    assert_true(ca_key && key && ca && x && name && usage && from && to);
    *e = (struct end){ .tls = NULL };
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 5);
    X509_set1_notBefore(x, from);
    X509_set1_notAfter(x, to);
    X509_set_subject_name(x, name);
    X509_set_issuer_name(x, X509_get_subject_name(ca));
    X509_set_pubkey(x, key);
    X509_add_ext(x, usage, -1);
    assert_true(X509_sign(x, ca_key, EVP_sha256()) > 0);
    PEM_write_bio_X509(out, x);
    e->leaf.cert.len = (size_t)BIO_get_mem_data(out, &data);
    e->leaf.cert.text = malloc(e->leaf.cert.len);
    assert_non_null(e->leaf.cert.text);
    memcpy(e->leaf.cert.text, data, e->leaf.cert.len);
    PEM_write_bio_PKCS8PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL);
    {
        size_t len = (size_t)BIO_get_mem_data(key_out, &data);

        assert_int_equal(gh_sign_key_load(gh_span_of(data, len), &e->holder.key), 0);
    }
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    X509_EXTENSION_free(usage);
    X509_NAME_free(name);
    X509_free(x);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    BIO_free(in);
    BIO_free(out);
    BIO_free(key_out);
    BIO_free(ca_in);
}

static void an_rsa_key_signs_with_pss(void **state)
{
    struct place *p = *state;
    struct end s, c;
    char err[256];

    issue_rsa(&s, p, true);
    issue_rsa(&c, p, false);
    assert_int_equal(make_context(&s, true, span_of(&p->cert), err), 0);
    assert_int_equal(make_context(&c, false, span_of(&p->cert), err), 0);
    assert_true(shake_hands(s.tls, c.tls));
    assert_true(s.holder.scheme == 0x0804 || s.holder.scheme == 0x0805 || s.holder.scheme == 0x0806);
    end_fini(&s);
    end_fini(&c);
}

static void a_key_that_is_not_the_certificates_is_noticed_at_once(void **state)
{
    struct place *p = *state;
    struct end a, b;
    char err[256];

    issue(&a, p->ca, true, GH_CA_ED25519);
    issue(&b, p->ca, true, GH_CA_ED25519);
    gh_sign_key_destroy(a.holder.key);
    a.holder.key = b.holder.key;
    assert_int_equal(make_context(&a, true, span_of(&p->cert), err), GH_ERR_CRYPTO);
    assert_string_equal(err, "private key: it is not the certificate's");
    a.holder.key = NULL;
    end_fini(&a);
    issue(&a, p->ca, true, GH_CA_P256); /* and one of another kind */
    gh_sign_key_destroy(a.holder.key);
    a.holder.key = b.holder.key;
    assert_int_equal(make_context(&a, true, span_of(&p->cert), err), GH_ERR_CRYPTO);
    a.holder.key = NULL;
    end_fini(&a);
    end_fini(&b);
}

static void a_signer_that_fails_or_lies_costs_the_handshake(void **state)
{
    struct place *p = *state;
    struct end s, c;
    char err[256];

    issue(&s, p->ca, true, GH_CA_ED25519);
    issue(&c, p->ca, false, GH_CA_P256);
    assert_int_equal(make_context(&s, true, span_of(&p->cert), err), 0);
    assert_int_equal(make_context(&c, false, span_of(&p->cert), err), 0);
    s.holder.rc = GH_ERR_CLOSED;
    assert_false(shake_hands(s.tls, c.tls));
    s.holder.rc = 0;
    s.holder.wrong = true;
    assert_false(shake_hands(s.tls, c.tls));
    s.holder.wrong = false;
    assert_true(shake_hands(s.tls, c.tls));
    end_fini(&s);
    end_fini(&c);
}

static void a_scheme_of_tls_1_2_is_for_no_certificate_verify(void **state)
{
    static const uint16_t tls13[] = { 0x0403, 0x0804, 0x0805, 0x0806, 0x0807 }, others[] = { 0, 0x0201, 0x0203, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603, 0x0809 };
    char text[130];

    (void)state;
    memset(text, ' ', 64);
    memcpy(text + 64, "TLS 1.3, server CertificateVerify", 34);
    memset(text + 98, 3, 32);
    for (int tls12 = 0; tls12 < 2; tls12++) {
        for (size_t i = 0; i < sizeof tls13 / sizeof *tls13; i++)
            assert_true(gh_signer_allows(tls12, tls13[i], gh_span_of(text, sizeof text)));
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            assert_false(gh_signer_allows(tls12, others[i], gh_span_of(text, sizeof text)));
    }
}

static void nothing_but_a_certificate_verify_may_be_signed(void **state)
{
    char text[200];

    (void)state;
    memset(text, ' ', 64);
    memcpy(text + 64, "TLS 1.3, client CertificateVerify", 34);
    memset(text + 98, 3, sizeof text - 98);
    for (size_t len = 0; len < sizeof text; len++)
        assert_int_equal(gh_signer_may_sign(gh_span_of(text, len)), len == 98 + 32 || len == 98 + 48);
    for (size_t at = 0; at < 98; at++) {
        text[at] ^= 0x20;
        assert_false(gh_signer_may_sign(gh_span_of(text, 130)));
        text[at] ^= 0x20;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_prove_themselves_with_keys_that_are_elsewhere),
        cmocka_unit_test(an_rsa_key_signs_with_pss),
        cmocka_unit_test(a_key_that_is_not_the_certificates_is_noticed_at_once),
        cmocka_unit_test(a_signer_that_fails_or_lies_costs_the_handshake),
        cmocka_unit_test(a_scheme_of_tls_1_2_is_for_no_certificate_verify),
        cmocka_unit_test(nothing_but_a_certificate_verify_may_be_signed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
