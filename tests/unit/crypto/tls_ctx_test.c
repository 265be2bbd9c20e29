/* What a context asks of the other end, and which of its own certificates, protocols and versions it uses: seen on byte streams. */
#include "crypto/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "crypto/cert.h"
#include "tls_ends.h"

#define ANY (SIZE_MAX / 2)

static struct gh_leaf cover;
static struct gh_tls_ctx *server, *client; /* of <cover>, no client certificates */

static int setup(void **state)
{
    struct gh_tls_config s, c;

    (void)state;
    cover = self_signed("cover.example");
    s = server_of(&cover);
    c = client_of(&cover);
    server = context(&s);
    client = context(&c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gh_tls_ctx_put(server);
    gh_tls_ctx_put(client);
    gh_leaf_fini(&cover);
    return 0;
}

/* ---- who the other end is ---- */

static void a_server_with_another_key_than_the_pinned_is_refused(void **state)
{
    struct gh_leaf other = self_signed("cover.example");
    struct gh_tls_config cfg = server_of(&other);
    struct gh_tls_ctx *impostor = context(&cfg);
    struct gh_tls_stream_request req = { .server_name = "cover.example" };
    struct ends e = open_ends(impostor, client, &req);
    struct gh_cert *cert = NULL;
    int s, c;

    (void)state;
    shake(&e, ANY, &s, &c);
    assert_int_equal(c, GH_ERR_CRYPTO);
    assert_int_equal(s, GH_ERR_CRYPTO);
    assert_string_equal(gh_tls_stream_verify_error(e.client), "the key is none of those that are pinned");
    assert_int_equal(gh_tls_stream_peer_certificate(e.client, &cert), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_tls_stream_alert_sent(e.client), gh_tls_stream_alert_received(e.server));
    close_ends(&e);
    gh_tls_ctx_put(impostor);
    gh_leaf_fini(&other);
}

static void one_of_several_pins_is_enough(void **state)
{
    uint8_t pins[3][32] = { { 1 }, { 2 }, { 3 } };
    struct gh_tls_config cfg = { .alpn = "h2", .pins = (const uint8_t (*)[32])pins, .pin_count = 3 };
    struct gh_tls_ctx *c;
    struct ends e;

    (void)state;
    memcpy(pins[2], cover.spki_sha256, 32);
    c = context(&cfg);
    e = meet(server, c, NULL);
    close_ends(&e);
    gh_tls_ctx_put(c);
}

/* A CA with a server and a client of its own. */
struct world {
    struct gh_ca *ca;
    struct gh_pem ca_cert, ca_key;
    struct gh_leaf relay, agent;
};

static struct world new_world(void)
{
    struct gh_ca_request req = { .trust_domain = "corp.example", .key = GH_CA_P256, .now = NOW };
    const char *dns[] = { "relay.example" };
    struct gh_leaf_request leaf = { .role = GH_ROLE_RELAY, .name = "relay", .dns = dns, .dns_count = 1, .key = GH_CA_P256, .days = 1, .now = NOW };
    struct world w = { 0 };
    char why[GH_CA_WHY];

    assert_int_equal(gh_ca_create(&req, &w.ca, why), 0);
    assert_int_equal(gh_ca_emit(w.ca, &w.ca_cert, &w.ca_key), 0);
    assert_int_equal(gh_ca_issue(w.ca, &leaf, &w.relay, why), 0);
    leaf.role = GH_ROLE_AGENT;
    leaf.name = "agent-1";
    leaf.dns_count = 0;
    assert_int_equal(gh_ca_issue(w.ca, &leaf, &w.agent, why), 0);
    return w;
}

static void end_world(struct world *w)
{
    gh_ca_destroy(w->ca);
    gh_pem_fini(&w->ca_cert);
    gh_pem_fini(&w->ca_key);
    gh_leaf_fini(&w->relay);
    gh_leaf_fini(&w->agent);
}

/* A handshake with a server that asks like this and a client with that certificate. */
static struct ends ask(enum gh_tls_ask how, const struct world *w, const struct gh_leaf *own, int *ret_server, int *ret_client)
{
    struct gh_tls_config s = server_of(&cover), c = client_of(&cover);
    struct gh_tls_ctx *sc, *cc;
    struct ends e;

    s.ask = how;
    s.ca = how == GH_TLS_ASK_NONE ? gh_span_of(NULL, 0) : span_of(&w->ca_cert);
    if (own) {
        c.certificate = span_of(&own->cert);
        c.key = span_of(&own->key);
    }
    sc = context(&s);
    cc = context(&c);
    e = open_ends(sc, cc, NULL);
    shake(&e, ANY, ret_server, ret_client);
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(cc);
    return e;
}

static void a_client_proves_itself_where_it_is_asked(void **state)
{
    static const enum gh_tls_ask all[] = { GH_TLS_ASK_NONE, GH_TLS_ASK_REQUESTED, GH_TLS_ASK_REQUIRED };
    struct world w = new_world(), foreign = new_world();
    const struct gh_leaf *const own[] = { NULL, &w.agent, &foreign.agent, &w.relay };

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 4; k++) {
            bool good = all[i] != GH_TLS_ASK_NONE && k == 1, bad = all[i] != GH_TLS_ASK_NONE && k > 1;
            struct gh_cert *cert = NULL;
            int s, c;
            struct ends e = ask(all[i], &w, own[k], &s, &c);

            assert_int_equal(s, all[i] == GH_TLS_ASK_REQUIRED && !good ? GH_ERR_CRYPTO : 1);
            if (s == 1) {
                assert_int_equal(c, 1);
                /* what is not believed is not shown as if it were */
                assert_int_equal(gh_tls_stream_peer_certificate(e.server, &cert), good ? 0 : GH_ERR_NOT_FOUND);
                assert_int_equal(gh_tls_stream_verify_error(e.server)[0] != 0, bad);
            } else if (k == 0) {
                assert_int_equal(gh_tls_stream_alert_sent(e.server), 116); /* certificate_required */
            }
            gh_cert_destroy(cert);
            close_ends(&e);
        }
    end_world(&w);
    end_world(&foreign);
}

/* crypto/known.h remembers signatures; a server that goes on whatever it thinks of a certificate must not come to think better of it. */
static void a_bad_certificate_is_no_better_the_second_time(void **state)
{
    struct world w = new_world(), foreign = new_world();
    const struct gh_leaf *const own[] = { &w.agent, &foreign.agent, &w.relay };
    struct gh_tls_config s = server_of(&cover);
    struct gh_tls_ctx *sc;

    (void)state;
    s.ask = GH_TLS_ASK_REQUESTED;
    s.ca = span_of(&w.ca_cert);
    sc = context(&s);
    for (size_t i = 0; i < 9; i++) {
        struct gh_tls_config c = client_of(&cover);
        struct gh_tls_ctx *cc;
        struct gh_cert *cert = NULL;
        struct ends e;

        c.certificate = span_of(&own[i % 3]->cert);
        c.key = span_of(&own[i % 3]->key);
        cc = context(&c);
        e = meet(sc, cc, NULL);
        assert_int_equal(gh_tls_stream_peer_certificate(e.server, &cert), i % 3 ? GH_ERR_NOT_FOUND : 0);
        gh_cert_destroy(cert);
        close_ends(&e);
        gh_tls_ctx_put(cc);
    }
    gh_tls_ctx_put(sc);
    end_world(&w);
    end_world(&foreign);
}

static void a_server_of_a_ca_is_checked_by_name_and_by_pin_too(void **state)
{
    struct world w = new_world();
    struct gh_tls_config s = server_of(&w.relay), c = { .alpn = "h2", .ca = span_of(&w.ca_cert) };
    struct gh_tls_stream_request good = { .server_name = "relay.example" }, bad = { .server_name = "other.example" };
    struct gh_tls_ctx *sc = context(&s), *cc = context(&c);
    struct ends e = meet(sc, cc, &good);
    int rs, rc;

    (void)state;
    close_ends(&e);
    e = open_ends(sc, cc, &bad);
    shake(&e, ANY, &rs, &rc);
    assert_int_equal(rc, GH_ERR_CRYPTO);
    close_ends(&e);
    gh_tls_ctx_put(cc);
    c.pins = &w.relay.spki_sha256;
    c.pin_count = 1;
    cc = context(&c);
    e = meet(sc, cc, &good);
    close_ends(&e);
    e = open_ends(sc, cc, &bad); /* with CAs the pin comes on top */
    shake(&e, ANY, &rs, &rc);
    assert_int_equal(rc, GH_ERR_CRYPTO);
    close_ends(&e);
    gh_tls_ctx_put(cc);
    c.pins = &cover.spki_sha256;
    cc = context(&c);
    e = open_ends(sc, cc, &good);
    shake(&e, ANY, &rs, &rc);
    assert_int_equal(rc, GH_ERR_CRYPTO);
    close_ends(&e);
    gh_tls_ctx_put(cc);
    gh_tls_ctx_put(sc);
    end_world(&w);
}

static void each_name_gets_its_own_certificate(void **state)
{
    struct gh_leaf one = self_signed("one.example"), star = self_signed("*.star.example");
    struct gh_tls_named named[2] = { { .certificate = span_of(&one.cert), .key = span_of(&one.key) },
                                     { .certificate = span_of(&star.cert), .key = span_of(&star.key) } };
    const struct {
        const char *name;
        const struct gh_leaf *leaf;
    } cases[] = { { "one.example", &one }, { "ONE.example", &one }, { "a.star.example", &star }, { "a.b.star.example", &cover },
                  { "star.example", &cover }, { "cover.example", &cover }, { NULL, &cover } };
    struct gh_tls_config cfg = server_of(&cover);
    struct gh_tls_ctx *sc;

    (void)state;
    cfg.named = named;
    cfg.named_count = 2;
    sc = context(&cfg);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gh_tls_stream_request req = { .server_name = cases[i].name };
        struct gh_tls_config c = client_of(cases[i].leaf);
        struct gh_tls_ctx *cc = context(&c);
        struct ends e = meet(sc, cc, &req);

        close_ends(&e);
        gh_tls_ctx_put(cc);
    }
    gh_tls_ctx_put(sc);
    gh_leaf_fini(&one);
    gh_leaf_fini(&star);
}

/* ---- ALPN, versions, groups ---- */

static void protocols_are_chosen_by_the_servers_preference(void **state)
{
    static const struct {
        const char *server, *client, *both; /* NULL: no handshake */
    } cases[] = {
        { "h2,http/1.1", "http/1.1,h2", "h2" }, { "h2,http/1.1", "http/1.1", "http/1.1" }, { "h2,http/1.1", "", "" },
        { "", "h2", "" }, { "h2", "h3", NULL }, { "h2,http/1.1", "h3,spdy/1", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gh_tls_config s = server_of(&cover), c = client_of(&cover);
        struct gh_tls_ctx *sc, *cc;
        struct ends e;
        int rs, rc;

        s.alpn = cases[i].server;
        c.alpn = cases[i].client;
        sc = context(&s);
        cc = context(&c);
        e = open_ends(sc, cc, NULL);
        shake(&e, ANY, &rs, &rc);
        if (cases[i].both) {
            assert_int_equal(rs, 1);
            assert_int_equal(rc, 1);
            assert_true(gh_span_equals(gh_tls_stream_alpn(e.server), gh_span_str(cases[i].both)));
            assert_true(gh_span_equals(gh_tls_stream_alpn(e.client), gh_span_str(cases[i].both)));
        } else {
            assert_int_equal(rs, GH_ERR_CRYPTO);
            assert_int_equal(gh_tls_stream_alert_sent(e.server), 120); /* no_application_protocol */
            assert_int_equal(gh_tls_stream_alert_received(e.client), 120);
        }
        close_ends(&e);
        gh_tls_ctx_put(sc);
        gh_tls_ctx_put(cc);
    }
}

static void tls_1_2_is_for_contexts_that_allow_it(void **state)
{
    (void)state;
    for (int allowed = 0; allowed < 2; allowed++) {
        struct gh_tls_config cfg = server_of(&cover);
        struct gh_tls_stream *t = NULL;
        struct bare b = bare_client();
        struct gh_tls_ctx *sc;
        uint8_t buf[16];

        cfg.tls12 = allowed;
        sc = context(&cfg);
        assert_int_equal(SSL_set_max_proto_version(b.ssl, TLS1_2_VERSION), 1);
        assert_int_equal(gh_tls_stream_create(sc, NULL, &t), 0);
        assert_int_equal(bare_shake(&b, t), allowed ? 1 : GH_ERR_CRYPTO);
        if (allowed) {
            assert_string_equal(gh_tls_stream_version(t), "TLSv1.2");
            assert_int_equal(SSL_write(b.ssl, "hi", 2), 2);
            assert_int_equal(bare_shake(&b, t), 1);
            assert_int_equal(gh_tls_stream_read(t, buf, sizeof buf), 2);
        } else {
            assert_int_equal(gh_tls_stream_alert_sent(t), 70); /* protocol_version */
        }
        gh_tls_stream_destroy(t);
        gh_tls_ctx_put(sc);
        bare_close(&b);
    }
}

/* A key that is somewhere else, and looks at what it signs. */
struct holder {
    struct gh_sign_key *key;
    unsigned of_1_2, of_1_3;
};

static int hold_and_sign(void *arg, uint32_t key, uint16_t scheme, struct gh_span data, uint8_t *ret, size_t *ret_len)
{
    struct holder *h = arg;

    (void)key;
    assert_int_equal(gh_signer_may_sign(data) + gh_signer_may_sign_tls12(data), 1);
    assert_true(gh_signer_allows(true, scheme, data));
    h->of_1_2 += gh_signer_may_sign_tls12(data);
    h->of_1_3 += gh_signer_may_sign(data);
    return gh_sign_key_sign(h->key, scheme, data.data, data.len, ret, ret_len);
}

static void a_signer_serves_tls_1_2_where_it_is_for_that(void **state)
{
    struct gh_tls_config cfg = server_of(&cover);
    struct holder h = { 0 };
    struct gh_signer signer = { .sign = hold_and_sign, .arg = &h };
    static const char *const groups[] = { "P-256", "X25519:P-256" }; /* that of the certificate must be among them */
    struct gh_tls_ctx *c = NULL;
    char err[256] = "";

    (void)state;
    assert_int_equal(gh_sign_key_load(span_of(&cover.key), &h.key), 0);
    signer.scheme_count = gh_sign_key_schemes(h.key, signer.schemes);
    cfg.tls12 = true;
    cfg.signer = &signer;
    assert_int_equal(gh_tls_ctx_create(&cfg, &c, err, sizeof err), GH_ERR_UNSUPPORTED);
    assert_true(err[0]);
    signer.tls12 = true;
    c = context(&cfg);
    h.of_1_3 = 0; /* it had to prove itself */
    for (unsigned i = 0; i < 2; i++) {
        struct gh_tls_stream *t = NULL;
        struct bare b = bare_client();

        assert_int_equal(SSL_set_max_proto_version(b.ssl, TLS1_2_VERSION), 1);
        assert_int_equal(SSL_set1_groups_list(b.ssl, groups[i]), 1);
        assert_int_equal(gh_tls_stream_create(c, NULL, &t), 0);
        assert_int_equal(bare_shake(&b, t), 1);
        assert_int_equal(h.of_1_2, i + 1);
        assert_int_equal(h.of_1_3, 0);
        gh_tls_stream_destroy(t);
        bare_close(&b);
    }
    gh_tls_ctx_put(c);
    gh_sign_key_destroy(h.key);
}

static struct gh_pem pem_of(BIO *b)
{
    char *data;
    size_t len = (size_t)BIO_get_mem_data(b, &data);
    struct gh_pem pem = { malloc(len), len };

    assert_non_null(pem.text);
    memcpy(pem.text, data, len);
    BIO_free(b);
    return pem;
}

/* Made elsewhere: we make none with RSA. */
static struct gh_leaf self_signed_rsa(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    BIO *cert_out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());
    X509_NAME *name = X509_NAME_new();
    X509 *x = X509_new();
    struct gh_leaf leaf = { 0 };

    assert_true(key && cert_out && key_out && name && x);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 5);
    X509_gmtime_adj(X509_getm_notBefore(x), -100);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"cover.example", -1, -1, 0);
    X509_set_subject_name(x, name);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    PEM_write_bio_X509(cert_out, x);
    PEM_write_bio_PKCS8PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL);
    leaf.cert = pem_of(cert_out);
    leaf.key = pem_of(key_out);
    X509_NAME_free(name);
    X509_free(x);
    EVP_PKEY_free(key);
    return leaf;
}

/* What a client of TLS 1.2 may ask for, and what nobody should. */
static void a_signer_makes_the_signature_that_a_client_of_tls_1_2_asks_for(void **state)
{
    static const struct {
        const char *asked;
        bool rsa, made;
    } rows[] = {
        { "RSA+SHA256", true, true },          { "RSA+SHA384", true, true },          { "RSA+SHA512", true, true },
        { "rsa_pss_rsae_sha256", true, true }, { "rsa_pss_rsae_sha384", true, true }, { "rsa_pss_rsae_sha512", true, true },
        { "ECDSA+SHA256", false, true },       { "ECDSA+SHA384", false, true },       { "ECDSA+SHA512", false, true },
        { "RSA+SHA1", true, false },           { "ECDSA+SHA1", false, false },        { "RSA+SHA224", true, false },
        { "ECDSA+SHA256", true, false },       { "RSA+SHA256", false, false },
    };
    struct gh_leaf leaves[] = { cover, self_signed_rsa() };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct holder h = { 0 };
        struct gh_signer signer = { .sign = hold_and_sign, .arg = &h, .tls12 = true };
        struct gh_tls_config cfg = server_of(&leaves[rows[i].rsa]);
        struct gh_tls_stream *t = NULL;
        struct bare b = bare_client();
        struct gh_tls_ctx *c;
        int rc;

        assert_int_equal(gh_sign_key_load(span_of(&leaves[rows[i].rsa].key), &h.key), 0);
        cfg.tls12 = true;
        cfg.signer = &signer;
        c = context(&cfg);
        SSL_set_security_level(b.ssl, 0); /* it says whatever it is told to */
        assert_int_equal(SSL_set_max_proto_version(b.ssl, TLS1_2_VERSION), 1);
        assert_int_equal(SSL_set1_sigalgs_list(b.ssl, rows[i].asked), 1);
        assert_int_equal(gh_tls_stream_create(c, NULL, &t), 0);
        rc = bare_shake(&b, t);
        if ((rc == 1) != rows[i].made || (rows[i].made && h.of_1_2 != 1))
            fail_msg("%s with %s: %d, %u signatures", rows[i].asked, rows[i].rsa ? "RSA" : "P-256", rc, h.of_1_2);
        gh_tls_stream_destroy(t);
        bare_close(&b);
        gh_tls_ctx_put(c);
        gh_sign_key_destroy(h.key);
    }
    gh_leaf_fini(&leaves[1]);
}

static void nothing_else_passes_for_a_signature_of_tls_1_2(void **state)
{
    uint8_t data[64 + 4 + 97] = { 0 };

    (void)state;
    memcpy(data + 56, "DOWNGRD\001", 8); /* RFC 8446, section 4.1.3: a server that could do TLS 1.3 */
    data[64] = 3;
    data[66] = 29;
    data[67] = 32;
    assert_true(gh_signer_may_sign_tls12(gh_span_of(data, 64 + 4 + 32)));
    for (size_t i = 56; i < 64; i++) {
        data[i] ^= 1;
        assert_false(gh_signer_may_sign_tls12(gh_span_of(data, 64 + 4 + 32)));
        data[i] ^= 1;
    }
    assert_true(gh_signer_allows(true, 0x0401, gh_span_of(data, 64 + 4 + 32)));
    assert_false(gh_signer_allows(false, 0x0401, gh_span_of(data, 64 + 4 + 32)));
    assert_false(gh_signer_allows(false, 0x0403, gh_span_of(data, 64 + 4 + 32)));
    assert_false(gh_signer_may_sign_tls12(gh_span_of(data, 64 + 4 + 31)));
    assert_false(gh_signer_may_sign_tls12(gh_span_of(data, 64 + 4 + 33)));
    assert_false(gh_signer_may_sign_tls12(gh_span_of(data, 64)));
    assert_false(gh_signer_may_sign_tls12(gh_span_of(data, 0)));
    data[67] = 65; /* X25519 with a point of P-256 */
    assert_false(gh_signer_may_sign_tls12(gh_span_of(data, 64 + 4 + 65)));
    data[66] = 23;
    assert_true(gh_signer_may_sign_tls12(gh_span_of(data, 64 + 4 + 65)));
    data[64] = 1; /* explicit_prime */
    assert_false(gh_signer_may_sign_tls12(gh_span_of(data, 64 + 4 + 65)));
    /* what a CertificateVerify signs: RFC 8446, section 4.4.3 */
    memset(data, ' ', 64);
    memcpy(data + 64, "TLS 1.3, server CertificateVerify", 34);
    for (size_t len = 64; len <= sizeof data; len++)
        assert_false(gh_signer_may_sign_tls12(gh_span_of(data, len)));
}

static void a_client_whose_key_share_is_of_another_group_is_asked_again(void **state)
{
    struct gh_tls_stream *t = NULL;
    struct bare b = bare_client();

    (void)state;
    assert_int_equal(SSL_set1_groups_list(b.ssl, "*P-521:X25519"), 1);
    assert_int_equal(gh_tls_stream_create(server, NULL, &t), 0);
    assert_int_equal(bare_shake(&b, t), 1);
    assert_string_equal(gh_tls_stream_group(t), "x25519");
    gh_tls_stream_destroy(t);
    bare_close(&b);
}

/* ---- resumption ---- */

static struct gh_tls_session *ticket_of(struct gh_tls_ctx *sc, struct gh_tls_ctx *cc)
{
    struct ends e = meet(sc, cc, NULL);
    struct gh_tls_session *s;
    uint8_t buf[8];

    assert_int_equal(gh_tls_stream_read(e.client, buf, sizeof buf), 0); /* tickets come behind the handshake */
    s = gh_tls_stream_take_session(e.client);
    assert_null(gh_tls_stream_take_session(e.client));
    close_ends(&e);
    return s;
}

static bool resumes(struct gh_tls_ctx *sc, struct gh_tls_ctx *cc, struct gh_tls_session *s)
{
    struct gh_tls_stream_request req = { .resume = s };
    struct ends e = meet(sc, cc, &req);
    bool both = gh_tls_stream_resumed(e.client);

    assert_int_equal(both, gh_tls_stream_resumed(e.server));
    close_ends(&e);
    return both;
}

static void a_client_resumes_while_both_would_believe_each_other_anew(void **state)
{
    static const uint8_t key[GH_TLS_TICKET_KEY] = { 1, 2, 3 };
    struct world w = new_world(), foreign = new_world();

    (void)state;
    for (int how = GH_TLS_ASK_REQUIRED; how <= GH_TLS_ASK_REQUESTED; how++)
        for (int known = how == GH_TLS_ASK_REQUIRED; known < 2; known++) {
            struct gh_tls_config s = server_of(&cover), c = client_of(&cover), changed;
            struct gh_tls_ctx *sc, *cc, *later, *elsewhere;
            struct gh_tls_session *session;

            s.ask = (enum gh_tls_ask)how;
            s.ca = span_of(&w.ca_cert);
            if (known) {
                c.certificate = span_of(&w.agent.cert);
                c.key = span_of(&w.agent.key);
            }
            sc = context(&s);
            cc = context(&c);
            assert_int_equal(gh_tls_ctx_set_tickets(sc, key), 0);
            gh_tls_ctx_set_wall(sc, NOW);
            session = ticket_of(sc, cc);
            assert_non_null(session);
            assert_true(resumes(sc, cc, session));
            gh_tls_session_put(session);
            session = ticket_of(sc, cc); /* each is good for once */
            /* the CA that vouched is no longer asked */
            changed = s;
            changed.ca = span_of(&foreign.ca_cert);
            if (how == GH_TLS_ASK_REQUESTED || !known) {
                later = context(&changed);
                assert_int_equal(gh_tls_ctx_set_tickets(later, key), 0);
                gh_tls_ctx_set_wall(later, NOW);
                assert_int_equal(resumes(later, cc, session), !known);
                gh_tls_ctx_put(later);
            }
            /* the client's pins are others now */
            changed = c;
            changed.pins = &w.relay.spki_sha256;
            elsewhere = context(&changed);
            {
                struct gh_tls_stream_request req = { .resume = session };
                struct ends e = open_ends(sc, elsewhere, &req);
                int rs, rc;

                shake(&e, ANY, &rs, &rc);
                assert_int_equal(rc, GH_ERR_CRYPTO);
                close_ends(&e);
            }
            gh_tls_session_put(session);
            gh_tls_ctx_put(sc);
            gh_tls_ctx_put(cc);
            gh_tls_ctx_put(elsewhere);
        }
    end_world(&w);
    end_world(&foreign);
}

static void who_was_nobody_does_not_resume_as_somebody(void **state)
{
    static const uint8_t key[GH_TLS_TICKET_KEY] = { 1, 2, 3 };
    struct world w = new_world();
    struct gh_tls_config s = server_of(&cover), c = client_of(&cover);
    struct gh_tls_stream_request req = { 0 };
    struct gh_tls_ctx *open, *strict, *cc;
    struct ends e;
    int rs, rc;

    (void)state;
    open = context(&s);
    s.ask = GH_TLS_ASK_REQUIRED;
    s.ca = span_of(&w.ca_cert);
    strict = context(&s);
    cc = context(&c);
    assert_int_equal(gh_tls_ctx_set_tickets(open, key), 0);
    assert_int_equal(gh_tls_ctx_set_tickets(strict, key), 0);
    gh_tls_ctx_set_wall(open, NOW);
    gh_tls_ctx_set_wall(strict, NOW);
    req.resume = ticket_of(open, cc);
    assert_non_null(req.resume);
    assert_true(resumes(open, cc, req.resume));
    e = open_ends(strict, cc, &req);
    shake(&e, ANY, &rs, &rc);
    assert_int_equal(rs, GH_ERR_CRYPTO);
    assert_int_equal(gh_tls_stream_alert_sent(e.server), 116);
    close_ends(&e);
    gh_tls_session_put(req.resume);
    gh_tls_ctx_put(open);
    gh_tls_ctx_put(strict);
    gh_tls_ctx_put(cc);
    end_world(&w);
}

static void contexts_that_cannot_be_are_refused_with_a_reason(void **state)
{
    uint8_t pins[GH_TLS_PINS_MAX + 1][32] = { { 0 } };
    struct gh_tls_config good = server_of(&cover), cfg;
    struct gh_tls_named mixed = { .certificate = span_of(&cover.cert) };
    struct gh_leaf other = self_signed("other.example");
    struct gh_tls_ctx *c = NULL;
    char err[256];

    (void)state;
    cfg = good;
    cfg.ask = GH_TLS_ASK_REQUIRED; /* and no CA */
    assert_int_equal(gh_tls_ctx_create(&cfg, &c, err, sizeof err), GH_ERR_CRYPTO);
    cfg = good;
    cfg.key = span_of(&other.key);
    assert_int_equal(gh_tls_ctx_create(&cfg, &c, err, sizeof err), GH_ERR_CRYPTO);
    mixed.key = span_of(&other.key);
    cfg = good;
    cfg.named = &mixed;
    cfg.named_count = 1;
    assert_int_equal(gh_tls_ctx_create(&cfg, &c, err, sizeof err), GH_ERR_CRYPTO);
    cfg = (struct gh_tls_config){ .alpn = "h2" }; /* neither CA nor pin */
    assert_int_equal(gh_tls_ctx_create(&cfg, &c, err, sizeof err), GH_ERR_CRYPTO);
    cfg.pins = (const uint8_t (*)[32])pins;
    cfg.pin_count = GH_TLS_PINS_MAX + 1;
    assert_int_equal(gh_tls_ctx_create(&cfg, &c, err, sizeof err), GH_ERR_RANGE);
    cfg = good;
    cfg.alpn = "h2,,h3";
    assert_int_equal(gh_tls_ctx_create(&cfg, &c, err, sizeof err), GH_ERR_RANGE);
    gh_leaf_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_with_another_key_than_the_pinned_is_refused),
        cmocka_unit_test(one_of_several_pins_is_enough),
        cmocka_unit_test(a_client_proves_itself_where_it_is_asked),
        cmocka_unit_test(a_bad_certificate_is_no_better_the_second_time),
        cmocka_unit_test(a_server_of_a_ca_is_checked_by_name_and_by_pin_too),
        cmocka_unit_test(each_name_gets_its_own_certificate),
        cmocka_unit_test(protocols_are_chosen_by_the_servers_preference),
        cmocka_unit_test(tls_1_2_is_for_contexts_that_allow_it),
        cmocka_unit_test(a_signer_serves_tls_1_2_where_it_is_for_that),
        cmocka_unit_test(a_signer_makes_the_signature_that_a_client_of_tls_1_2_asks_for),
        cmocka_unit_test(nothing_else_passes_for_a_signature_of_tls_1_2),
        cmocka_unit_test(a_client_whose_key_share_is_of_another_group_is_asked_again),
        cmocka_unit_test(a_client_resumes_while_both_would_believe_each_other_anew),
        cmocka_unit_test(who_was_nobody_does_not_resume_as_somebody),
        cmocka_unit_test(contexts_that_cannot_be_are_refused_with_a_reason),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
