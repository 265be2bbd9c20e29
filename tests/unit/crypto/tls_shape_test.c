/* What a shaped hello says, and that it leads to the same handshakes. The browsers' values are those of uTLS v1.8.2 (HelloChrome_133,
 * HelloFirefox_120); tests/interop/test_client_hello.py holds the two side by side. */
#include "crypto/tls_internal.h"

#include <stdio.h>

#include "crypto/ech.h"
#include "tls_ends.h"
#include "wire/tls_hello.h"

#define ANY (SIZE_MAX / 2)

static struct gh_leaf cover;
static struct gh_tls_ctx *server;

static int setup(void **state)
{
    struct gh_tls_config cfg;

    (void)state;
    cover = self_signed("cover.example");
    cfg = server_of(&cover);
    server = context(&cfg);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gh_tls_ctx_put(server);
    gh_leaf_fini(&cover);
    return 0;
}

static struct gh_tls_ctx *shaped(enum gh_tls_shape shape, const char *alpn)
{
    struct gh_tls_config cfg = client_of(&cover);

    cfg.shape = shape;
    cfg.alpn = alpn;
    return context(&cfg);
}

/* ---- a hello in words: numbers in hexadecimal, "*" for GREASE ---- */

struct words {
    char text[2048];
    size_t len;
};

static bool is_grease(unsigned v)
{
    return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

static void say(struct words *w, const char *what)
{
    w->len += (size_t)snprintf(w->text + w->len, sizeof w->text - w->len, "%s", what);
    assert_true(w->len < sizeof w->text);
}

static void say_number(struct words *w, unsigned v)
{
    char text[16];

    snprintf(text, sizeof text, is_grease(v) ? " *" : " %x", v);
    say(w, text);
}

static void say_list(struct words *w, const char *what, struct gh_span list)
{
    struct gh_reader r = gh_reader_of(list);

    say(w, what);
    while (gh_reader_left(&r))
        say_number(w, gh_read_u16(&r));
    say(w, "\n");
    assert_true(gh_reader_done(&r));
}

static int by_number(const void *a, const void *b)
{
    return (int)*(const unsigned *)a - (int)*(const unsigned *)b;
}

/* Their order is not the browser's; in the hello of a browser it is another one each time. */
static void say_extensions(struct words *w, const struct gh_tls_hello *h)
{
    struct gh_span at = h->extensions, data;
    unsigned found[32], count = 0, grease = 0;
    uint16_t type;

    while (gh_tls_extension_next(&at, &type, &data))
        if (is_grease(type))
            grease++;
        else
            found[count++] = type;
    qsort(found, count, sizeof *found, by_number);
    say(w, "extensions");
    for (unsigned i = 0; i < count; i++)
        say_number(w, found[i]);
    while (grease--)
        say(w, " *");
    say(w, "\n");
}

static struct gh_span inside(const struct gh_tls_hello *h, uint16_t type, size_t prefix)
{
    struct gh_span data;

    assert_true(gh_tls_hello_find(h, type, &data));
    assert_true(data.len >= prefix);
    return gh_span_of(data.data + prefix, data.len - prefix);
}

static void say_shares(struct words *w, const struct gh_tls_hello *h)
{
    struct gh_reader r = gh_reader_of(h->key_share);

    say(w, "shares");
    while (gh_reader_left(&r)) {
        say_number(w, gh_read_u16(&r));
        gh_read_span(&r, gh_read_u16(&r));
    }
    say(w, "\n");
    assert_true(gh_reader_done(&r));
}

static void describe(struct gh_span message, struct words *w)
{
    struct gh_tls_hello h;

    w->len = 0;
    assert_int_equal(gh_tls_hello_parse(gh_span_of(message.data + 4, message.len - 4), &h), 0);
    say_list(w, "suites", h.cipher_suites);
    say_extensions(w, &h);
    say_list(w, "groups", inside(&h, GH_TLS_SUPPORTED_GROUPS, 2));
    say_shares(w, &h);
    say_list(w, "signatures", inside(&h, GH_TLS_SIGNATURE_ALGORITHMS, 2));
    say_list(w, "versions", h.supported_versions);
}

#define CHROME_SUITES "suites 1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 9c 9d 2f 35\n"
#define CHROME_REST "groups 11ec 1d 17 18\nshares 11ec 1d\nsignatures 403 804 401 503 805 501 806 601\n"
#define FIREFOX_SUITES "suites 1301 1303 1302 c02b c02f cca9 cca8 c02c c030 c00a c009 c013 c014 9c 9d 2f 35\n"
#define FIREFOX_GROUPS "groups 11ec 1d 17 18 19 100 101\nshares 11ec 1d 17\n"

static struct gh_span first_flight(struct gh_tls_ctx *c, const struct gh_span *list, struct ends *e)
{
    struct gh_tls_stream_request req = { .server_name = "inner.example", .ech = list != NULL };
    struct gh_span flight;

    if (list)
        req.ech_list = *list;
    *e = open_ends(server, c, &req);
    assert_int_equal(gh_tls_stream_handshake(e->client), 0);
    flight = gh_tls_stream_pending(e->client);
    assert_true(flight.len > 5 && flight.len == 5u + (size_t)(flight.data[3] << 8 | flight.data[4])); /* one record */
    assert_int_equal(flight.data[2], 1);                                                              /* "TLS 1.0", as ever */
    return gh_span_of(flight.data + 5, flight.len - 5);
}

static void says(enum gh_tls_shape shape, const struct gh_span *list, const char *expected)
{
    struct gh_tls_ctx *c = shaped(shape, "h2,http/1.1");
    struct gh_tls_hello h;
    struct gh_span hello;
    struct words w;
    struct ends e;

    hello = first_flight(c, list, &e);
    describe(hello, &w);
    assert_string_equal(w.text, expected);
    assert_int_equal(gh_tls_hello_parse(gh_span_of(hello.data + 4, hello.len - 4), &h), 0);
    assert_int_equal(h.session_id.len, 32);
    assert_true(gh_span_equals(h.alpn, gh_span_str("\2h2\10http/1.1")));
    assert_true(h.ech.present && !h.ech.malformed && h.ech.kdf == 1 && h.ech.aead == 1 && h.ech.enc.len == 32);
    assert_true(gh_span_equals(inside(&h, 11, 0), gh_span_of("\1", 2))); /* ec_point_formats */
    assert_true(gh_span_equals(inside(&h, 0xff01, 0), gh_span_of("", 1))); /* renegotiation_info */
    assert_int_equal(inside(&h, GH_TLS_SESSION_TICKET, 0).len, 0);
    close_ends(&e);
    gh_tls_ctx_put(c);
}

static void over_tcp_it_is_the_browsers_list(void **state)
{
    (void)state;
    says(GH_TLS_SHAPE_CHROME, NULL, CHROME_SUITES "extensions 0 5 a b d 10 12 17 23 2b 2d 33 44cd fe0d ff01 * *\n" CHROME_REST "versions 304 303\n");
    says(GH_TLS_SHAPE_FIREFOX, NULL, FIREFOX_SUITES "extensions 0 5 a b d 10 17 1c 22 23 2b 2d 33 fe0d ff01\n" FIREFOX_GROUPS
         "signatures 403 503 603 804 805 806 401 501 601 203 201\nversions 304 303\n");
}

/* ---- ECH ---- */

struct keys {
    struct gh_pem pem;
    struct gh_ech_keys *set;
    struct gh_ech_key_info info;
};

static struct keys make_keys(void)
{
    struct gh_ech_request req = { .public_name = "cover.example" };
    char why[GH_ECH_WHY];
    struct keys k = { 0 };

    assert_int_equal(gh_ech_generate(&req, &k.pem, why), 0);
    assert_int_equal(gh_ech_keys_create(0, &k.set), 0);
    assert_int_equal(gh_ech_keys_add(k.set, span_of(&k.pem), NOW, why), 0);
    assert_true(gh_ech_keys_info(k.set, 0, &k.info));
    return k;
}

static void end_keys(struct keys *k)
{
    gh_ech_keys_put(k->set);
    gh_pem_fini(&k->pem);
}

static void the_hello_around_ech_is_the_same_but_for_tls_1_2_among_the_versions(void **state)
{
    struct keys k = make_keys();

    (void)state;
    says(GH_TLS_SHAPE_CHROME, &k.info.list, CHROME_SUITES "extensions 0 5 a b d 10 12 17 23 2b 2d 33 44cd fe0d ff01 * *\n" CHROME_REST "versions 304\n");
    says(GH_TLS_SHAPE_FIREFOX, &k.info.list, FIREFOX_SUITES "extensions 0 5 a b d 10 17 1c 22 23 2b 2d 33 fe0d ff01\n" FIREFOX_GROUPS
         "signatures 403 503 603 804 805 806 401 501 601 203 201\nversions 304\n");
    end_keys(&k);
}

/* RFC 9849, section 6.1 */
static void the_hello_inside_offers_no_tls_1_2(void **state)
{
    struct keys k = make_keys();

    (void)state;
    for (enum gh_tls_shape shape = GH_TLS_SHAPE_CHROME; shape <= GH_TLS_SHAPE_FIREFOX; shape++) {
        struct gh_tls_ctx *c = shaped(shape, "h2,http/1.1");
        struct gh_ech_opened opened;
        struct gh_ech_outer outer;
        struct gh_tls_hello h, inner;
        struct gh_span hello;
        struct ends e;

        hello = first_flight(c, &k.info.list, &e);
        assert_int_equal(gh_tls_hello_parse(gh_span_of(hello.data + 4, hello.len - 4), &h), 0);
        assert_string_equal(h.sni, "cover.example");
        outer = (struct gh_ech_outer){ h.body, h.ech.kdf, h.ech.aead, h.ech.config_id, h.ech.enc, h.ech.payload };
        assert_int_equal(gh_ech_keys_open(k.set, &outer, NOW, &opened), 1);
        assert_int_equal(gh_tls_ech_inner_parse(gh_span_of(opened.inner, opened.len), &h, &inner), 0);
        assert_string_equal(inner.sni, "inner.example");
        assert_true(gh_tls_hello_offers(&inner, 0x0304));
        assert_false(gh_tls_hello_offers(&inner, 0x0303));
        close_ends(&e);
        gh_tls_ctx_put(c);
    }
    end_keys(&k);
}

static void ech_is_accepted_rejected_and_resumed_as_without_a_shape(void **state)
{
    static const uint8_t ticket[GH_TLS_TICKET_KEY] = { 7 };
    struct keys k = make_keys(), other = make_keys();
    struct gh_tls_config cfg = server_of(&cover);
    struct gh_tls_ctx *sc = context(&cfg);

    (void)state;
    assert_int_equal(gh_tls_ctx_set_ech(sc, k.set, NOW), 0);
    assert_int_equal(gh_tls_ctx_set_tickets(sc, ticket), 0);
    gh_tls_ctx_set_wall(sc, NOW);
    for (enum gh_tls_shape shape = GH_TLS_SHAPE_CHROME; shape <= GH_TLS_SHAPE_FIREFOX; shape++) {
        struct gh_tls_stream_request req = { .server_name = "inner.example", .ech = true, .ech_list = k.info.list };
        struct gh_tls_ctx *c = shaped(shape, "h2,http/1.1");
        uint8_t *retry = NULL, buf[8];
        size_t retry_len = 0;
        struct ends e;
        int s, cl;

        for (int i = 0; i < 2; i++) {
            e = meet(sc, c, &req);
            assert_int_equal(gh_tls_stream_ech(e.client), GH_TLS_ECH_ACCEPTED);
            assert_string_equal(gh_tls_stream_server_name(e.server), "inner.example");
            assert_string_equal(gh_tls_stream_group(e.server), "X25519MLKEM768");
            assert_int_equal(gh_tls_stream_resumed(e.client), i);
            assert_int_equal(gh_tls_stream_read(e.client, buf, sizeof buf), 0);
            gh_tls_session_put(req.resume);
            req.resume = gh_tls_stream_take_session(e.client);
            close_ends(&e);
        }
        gh_tls_session_put(req.resume);
        req.resume = NULL;
        req.ech_list = other.info.list;
        e = open_ends(sc, c, &req);
        shake(&e, ANY, &s, &cl);
        assert_int_equal(gh_tls_stream_ech(e.client), GH_TLS_ECH_REJECTED);
        assert_string_equal(gh_tls_stream_server_name(e.server), "cover.example");
        assert_int_equal(gh_tls_stream_ech_retry(e.client, &retry, &retry_len), 0);
        assert_true(gh_span_equals(gh_span_of(retry, retry_len), k.info.list));
        free(retry);
        close_ends(&e);
        gh_tls_ctx_put(c);
    }
    gh_tls_ctx_put(sc);
    end_keys(&k);
    end_keys(&other);
}

/* ---- handshakes ---- */

static void a_server_may_ask_again_for_another_share(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BIO *pem = BIO_new_mem_buf(cover.cert.text, (int)cover.cert.len), *key = BIO_new_mem_buf(cover.key.text, (int)cover.key.len);
    X509 *leaf = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    struct gh_tls_ctx *c = shaped(GH_TLS_SHAPE_CHROME, "h2");
    struct gh_tls_stream *t = NULL;
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL *ssl;
    int rc = 0;

    (void)state;
    assert_int_equal(SSL_CTX_use_cert_and_key(ctx, leaf, pkey, NULL, 1), 1);
    assert_int_equal(SSL_CTX_set1_groups_list(ctx, "P-384"), 1);
    ssl = SSL_new(ctx);
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_set_accept_state(ssl);
    assert_int_equal(gh_tls_stream_create(c, NULL, &t), 0);
    for (int i = 0; i < 4 && rc == 0; i++) {
        struct gh_span flight;
        uint8_t buf[16384];
        int n;

        rc = gh_tls_stream_handshake(t);
        flight = gh_tls_stream_pending(t);
        assert_int_equal(BIO_write(in, flight.data, (int)flight.len), flight.len);
        gh_tls_stream_consume(t, flight.len);
        SSL_do_handshake(ssl);
        n = BIO_read(out, buf, sizeof buf);
        assert_int_equal(gh_tls_stream_feed(t, gh_span_of(buf, n > 0 ? (size_t)n : 0)), 0);
        rc = gh_tls_stream_handshake(t);
        assert_int_equal(gh_tls_stream_settle(t), 0);
    }
    assert_int_equal(rc, 1);
    assert_string_equal(gh_tls_stream_group(t), "secp384r1");
    gh_tls_stream_destroy(t);
    gh_tls_ctx_put(c);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    X509_free(leaf);
    EVP_PKEY_free(pkey);
    BIO_free(pem);
    BIO_free(key);
}

/* It would see our certificate in the clear. */
static void a_server_that_takes_the_tls_1_2_is_refused_before_we_say_anything(void **state)
{
    static const char *const alpn[] = { "h2,http/1.1", NULL };

    (void)state;
    for (enum gh_tls_shape shape = GH_TLS_SHAPE_CHROME; shape <= GH_TLS_SHAPE_FIREFOX; shape++)
        for (size_t i = 0; i < 2; i++) {
            struct gh_tls_config cfg = server_of(&cover);
            struct gh_tls_ctx *sc, *c = shaped(shape, alpn[i]);
            struct ends e;
            int s, cl;

            cfg.tls12 = true;
            sc = context(&cfg);
            assert_int_equal(SSL_CTX_set_max_proto_version(sc->ssl, TLS1_2_VERSION), 1);
            e = open_ends(sc, c, NULL);
            shake(&e, ANY, &s, &cl);
            assert_int_equal(cl, GH_ERR_CRYPTO);
            assert_int_equal(s, GH_ERR_CRYPTO);
            assert_string_equal(gh_tls_stream_verify_error(e.client), "the server does not speak TLS 1.3");
            assert_true(gh_tls_stream_alert_sent(e.client) > 0);
            assert_int_equal(gh_tls_stream_alert_sent(e.client), gh_tls_stream_alert_received(e.server));
            close_ends(&e);
            gh_tls_ctx_put(sc);
            gh_tls_ctx_put(c);
        }
}

static struct gh_ca *make_ca(enum gh_ca_key kind, struct gh_pem *cert, struct gh_leaf *relay, struct gh_leaf *agent)
{
    struct gh_ca_request req = { .trust_domain = "corp.example", .key = kind, .now = NOW };
    const char *dns[] = { "relay.example" };
    struct gh_leaf_request leaf = { .role = GH_ROLE_RELAY, .name = "relay", .dns = dns, .dns_count = 1, .key = kind, .days = 1, .now = NOW };
    struct gh_pem key = { 0 };
    struct gh_ca *ca = NULL;
    char why[GH_CA_WHY];

    assert_int_equal(gh_ca_create(&req, &ca, why), 0);
    assert_int_equal(gh_ca_emit(ca, cert, &key), 0);
    assert_int_equal(gh_ca_issue(ca, &leaf, relay, why), 0);
    leaf.role = GH_ROLE_AGENT;
    leaf.name = "agent-1";
    leaf.dns_count = 0;
    assert_int_equal(gh_ca_issue(ca, &leaf, agent, why), 0);
    gh_pem_fini(&key);
    return ca;
}

/* A browser does not know Ed25519: who uses it is seen, and connected. */
static void both_ends_prove_themselves_with_every_kind_of_key(void **state)
{
    static const enum gh_ca_key kinds[] = { GH_CA_P256, GH_CA_ED25519 };

    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (enum gh_tls_shape shape = GH_TLS_SHAPE_CHROME; shape <= GH_TLS_SHAPE_FIREFOX; shape++) {
            struct gh_tls_stream_request req = { .server_name = "relay.example" };
            struct gh_pem root = { 0 };
            struct gh_leaf relay, agent;
            struct gh_ca *ca = make_ca(kinds[i], &root, &relay, &agent);
            struct gh_tls_config s = server_of(&relay), c = { .alpn = "h2", .ca = span_of(&root), .shape = shape };
            struct gh_tls_ctx *sc, *cc;
            struct gh_cert *cert = NULL;
            struct ends e;

            s.ask = GH_TLS_ASK_REQUIRED;
            s.ca = c.ca;
            c.certificate = span_of(&agent.cert);
            c.key = span_of(&agent.key);
            sc = context(&s);
            cc = context(&c);
            e = meet(sc, cc, &req);
            assert_string_equal(gh_tls_stream_version(e.client), "TLSv1.3");
            assert_string_equal(gh_tls_stream_group(e.client), "X25519MLKEM768");
            assert_int_equal(gh_tls_stream_peer_certificate(e.server, &cert), 0);
            gh_cert_destroy(cert);
            close_ends(&e);
            gh_tls_ctx_put(sc);
            gh_tls_ctx_put(cc);
            gh_ca_destroy(ca);
            gh_pem_fini(&root);
            gh_leaf_fini(&relay);
            gh_leaf_fini(&agent);
        }
}

/* ---- QUIC ---- */

struct kept {
    uint8_t hello[4096];
    size_t len;
};

static int keep(void *arg, enum gh_tls_level level, struct gh_span bytes)
{
    struct kept *k = arg;

    assert_int_equal(level, GH_TLS_INITIAL);
    assert_true(k->len + bytes.len <= sizeof k->hello);
    memcpy(k->hello + k->len, bytes.data, bytes.len);
    k->len += bytes.len;
    return 0;
}

static void over_quic_it_is_another_list(void **state)
{
    static const struct gh_tls_events events = { .on_send = keep };
    struct keys k = make_keys();

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct gh_tls_ctx *c = shaped(i < 2 ? GH_TLS_SHAPE_CHROME : GH_TLS_SHAPE_FIREFOX, "h3");
        struct gh_tls *t = NULL;
        struct kept kept = { .len = 0 };
        struct gh_tls_hello h;
        struct words w;

        assert_int_equal(gh_tls_create(c, "inner.example", &events, &kept, &t), 0);
        assert_int_equal(gh_tls_set_transport_params(t, gh_span_str("parameters")), 0);
        if (i % 2)
            assert_int_equal(gh_tls_set_ech(t, k.info.list), 0);
        assert_int_equal(gh_tls_start(t), 0);
        describe(gh_span_of(kept.hello, kept.len), &w);
        assert_string_equal(w.text, i < 2 ? "suites 1301 1302 1303\nextensions 0 a d 10 2b 2d 33 39 44cd fe0d\ngroups 11ec 1d 17 18\nshares 11ec 1d\n"
                                            "signatures 403 804 401 503 805 501 806 601\nversions 304\n"
                                          : "suites 1301 1303 1302\nextensions 0 5 a d 10 17 1c 22 2b 2d 33 39 fe0d\n"
                                            "groups 11ec 1d 17 18 19 100 101 102 103 104\nshares 11ec 1d\n"
                                            "signatures 403 503 603 804 805 806 401 501 601\nversions 304\n");
        assert_int_equal(gh_tls_hello_parse(gh_span_of(kept.hello + 4, kept.len - 4), &h), 0);
        assert_int_equal(h.session_id.len, 0);
        gh_tls_destroy(t);
        gh_tls_ctx_put(c);
    }
    end_keys(&k);
}

/* RFC 8701, section 3.1 */
static void grease_is_another_in_another_context(void **state)
{
    unsigned seen = 0;

    (void)state;
    for (int i = 0; i < 24; i++) {
        struct gh_tls_ctx *c = shaped(GH_TLS_SHAPE_CHROME, "h2");
        struct gh_span at, data, hello;
        struct gh_tls_hello h;
        struct ends e;
        uint16_t type, first = 0, second = 0;

        hello = first_flight(c, NULL, &e);
        assert_int_equal(gh_tls_hello_parse(gh_span_of(hello.data + 4, hello.len - 4), &h), 0);
        at = h.extensions;
        while (gh_tls_extension_next(&at, &type, &data))
            if (is_grease(type)) {
                assert_int_equal(data.len, first ? 1 : 0);
                *(first ? &second : &first) = type;
            }
        assert_true(first && second && first != second);
        seen |= 1u << (first >> 12);
        close_ends(&e);
        gh_tls_ctx_put(c);
    }
    assert_true(seen & (seen - 1)); /* 24 times the same of 16: never */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_tcp_it_is_the_browsers_list),
        cmocka_unit_test(the_hello_around_ech_is_the_same_but_for_tls_1_2_among_the_versions),
        cmocka_unit_test(the_hello_inside_offers_no_tls_1_2),
        cmocka_unit_test(ech_is_accepted_rejected_and_resumed_as_without_a_shape),
        cmocka_unit_test(a_server_may_ask_again_for_another_share),
        cmocka_unit_test(a_server_that_takes_the_tls_1_2_is_refused_before_we_say_anything),
        cmocka_unit_test(both_ends_prove_themselves_with_every_kind_of_key),
        cmocka_unit_test(over_quic_it_is_another_list),
        cmocka_unit_test(grease_is_another_in_another_context),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
