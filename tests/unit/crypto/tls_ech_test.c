/* ECH between two ends of TLS: on byte streams, and with QUIC's levels but without QUIC. */
#include <stdio.h>

#include <openssl/ech.h>

#include "crypto/ech.h"
#include "tls_ends.h"

#define ANY (SIZE_MAX / 2)
#define DAY ((int64_t)86400)

static struct gh_leaf cover;
static char why[GH_ECH_WHY];

static int setup(void **state)
{
    (void)state;
    cover = self_signed("cover.example");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gh_leaf_fini(&cover);
    return 0;
}

static struct gh_ech_keys *keys_of(size_t count, const struct gh_pem *pems)
{
    struct gh_ech_keys *k = NULL;

    assert_int_equal(gh_ech_keys_create(30 * DAY, &k), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(gh_ech_keys_add(k, span_of(&pems[i]), NOW - (int64_t)i * DAY, why), 0);
    return k;
}

static void make_keys(struct gh_pem *ret, size_t count)
{
    struct gh_ech_keys *beside = NULL;

    assert_int_equal(gh_ech_keys_create(0, &beside), 0);
    for (size_t i = 0; i < count; i++) {
        struct gh_ech_request req = { "cover.example", 0, beside };

        assert_int_equal(gh_ech_generate(&req, &ret[i], why), 0);
        assert_int_equal(gh_ech_keys_add(beside, span_of(&ret[i]), 0, why), 0);
    }
    gh_ech_keys_put(beside);
}

static struct gh_span list_of(const struct gh_ech_keys *k, size_t index)
{
    struct gh_ech_key_info i;

    assert_true(gh_ech_keys_info(k, index, &i));
    return i.list;
}

static struct gh_tls_ctx *server_with(const struct gh_ech_keys *k, int64_t wall)
{
    struct gh_tls_config cfg = server_of(&cover);
    struct gh_tls_ctx *c = context(&cfg);

    if (k)
        assert_int_equal(gh_tls_ctx_set_ech(c, k, wall), 0);
    return c;
}

static struct gh_tls_ctx *pinning_client(void)
{
    struct gh_tls_config cfg = client_of(&cover);

    return context(&cfg);
}

/* ---- byte streams ---- */

struct outcome {
    int server, client; /* what each end says */
    enum gh_tls_ech server_ech, client_ech;
    char name[64];      /* as the server has it */
    int alert;          /* that the client sent */
    uint8_t *retry;
    size_t retry_len;
    int retry_rc;
};

static struct outcome try_stream(struct gh_tls_ctx *sc, struct gh_tls_ctx *cc, struct gh_span list)
{
    struct gh_tls_stream_request req = { .server_name = "inner.example", .ech = true, .ech_list = list };
    struct ends e = open_ends(sc, cc, &req);
    struct outcome o = { 0 };

    shake(&e, ANY, &o.server, &o.client);
    o.server_ech = gh_tls_stream_ech(e.server);
    o.client_ech = gh_tls_stream_ech(e.client);
    snprintf(o.name, sizeof o.name, "%s", gh_tls_stream_server_name(e.server));
    o.alert = gh_tls_stream_alert_sent(e.client);
    o.retry_rc = gh_tls_stream_ech_retry(e.client, &o.retry, &o.retry_len);
    close_ends(&e);
    return o;
}

static void a_hello_to_our_key_is_answered_as_what_is_inside(void **state)
{
    struct gh_pem pem;
    struct gh_ech_keys *k;
    struct gh_tls_ctx *sc, *cc = pinning_client();
    struct gh_tls_stream_request req = { .server_name = "inner.example", .ech = true };
    struct gh_span flight;
    struct outcome o;
    struct ends e;

    (void)state;
    make_keys(&pem, 1);
    k = keys_of(1, &pem);
    sc = server_with(k, NOW);
    o = try_stream(sc, cc, list_of(k, 0));
    assert_int_equal(o.server, 1);
    assert_int_equal(o.client, 1);
    assert_int_equal(o.server_ech, GH_TLS_ECH_ACCEPTED);
    assert_int_equal(o.client_ech, GH_TLS_ECH_ACCEPTED);
    assert_string_equal(o.name, "inner.example");
    assert_int_equal(o.retry_rc, GH_ERR_NOT_FOUND);
    /* and the world sees the public name */
    req.ech_list = list_of(k, 0);
    e = open_ends(sc, cc, &req);
    assert_int_equal(gh_tls_stream_handshake(e.client), 0);
    flight = gh_tls_stream_pending(e.client);
    assert_non_null(memmem(flight.data, flight.len, "cover.example", 13));
    assert_null(memmem(flight.data, flight.len, "inner.example", 13));
    close_ends(&e);
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(cc);
    gh_ech_keys_put(k);
    gh_pem_fini(&pem);
}

static void a_stale_key_is_answered_with_the_newest_alone(void **state)
{
    struct gh_pem pems[3];
    struct gh_ech_keys *all, *k;
    struct gh_tls_ctx *sc, *cc = pinning_client();
    struct outcome o, again;

    (void)state;
    make_keys(pems, 3);
    all = keys_of(3, pems);
    k = keys_of(2, pems); /* the third was forgotten */
    sc = server_with(k, NOW);
    o = try_stream(sc, cc, list_of(all, 2));
    assert_int_equal(o.client, GH_ERR_CRYPTO);
    assert_int_equal(o.client_ech, GH_TLS_ECH_REJECTED);
    assert_int_equal(o.server_ech, GH_TLS_ECH_NONE);
    assert_string_equal(o.name, "cover.example");
    assert_int_equal(o.alert, 121); /* ech_required */
    assert_int_equal(o.retry_rc, 0);
    assert_true(gh_span_equals(gh_span_of(o.retry, o.retry_len), list_of(k, 0)));
    again = try_stream(sc, cc, gh_span_of(o.retry, o.retry_len));
    assert_int_equal(again.client, 1);
    assert_int_equal(again.server_ech, GH_TLS_ECH_ACCEPTED);
    again = try_stream(sc, cc, list_of(k, 1)); /* the older one opens */
    assert_int_equal(again.client, 1);
    assert_string_equal(again.name, "inner.example");
    free(o.retry);
    gh_tls_ctx_put(sc);
    sc = server_with(k, NOW + 30 * DAY); /* and no longer opens */
    o = try_stream(sc, cc, list_of(k, 1));
    assert_int_equal(o.client_ech, GH_TLS_ECH_REJECTED);
    assert_true(gh_span_equals(gh_span_of(o.retry, o.retry_len), list_of(k, 0)));
    free(o.retry);
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(cc);
    gh_ech_keys_put(all);
    gh_ech_keys_put(k);
    for (size_t i = 0; i < 3; i++)
        gh_pem_fini(&pems[i]);
}

/* RFC 9849, section 6.1.6 */
static void a_server_that_is_not_believed_gives_no_other_key(void **state)
{
    struct gh_leaf impostor = self_signed("cover.example");
    struct gh_tls_config cfg = server_of(&impostor);
    struct gh_tls_ctx *sc = context(&cfg), *cc = pinning_client();
    struct gh_pem pems[2];
    struct gh_ech_keys *all, *theirs;
    struct outcome o;

    (void)state;
    make_keys(pems, 2);
    all = keys_of(2, pems);
    theirs = keys_of(1, pems);
    assert_int_equal(gh_tls_ctx_set_ech(sc, theirs, NOW), 0);
    o = try_stream(sc, cc, list_of(all, 1));
    assert_int_equal(o.client, GH_ERR_CRYPTO);
    assert_int_equal(o.retry_rc, GH_ERR_NOT_FOUND);
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(cc);
    gh_ech_keys_put(all);
    gh_ech_keys_put(theirs);
    gh_pem_fini(&pems[0]);
    gh_pem_fini(&pems[1]);
    gh_leaf_fini(&impostor);
}

static void grease_is_answered_as_if_it_were_not_there(void **state)
{
    struct gh_pem pem;
    struct gh_ech_keys *k;
    struct gh_tls_ctx *with, *without = server_with(NULL, 0), *cc = pinning_client();
    struct outcome o;

    (void)state;
    make_keys(&pem, 1);
    k = keys_of(1, &pem);
    with = server_with(k, NOW);
    for (int i = 0; i < 2; i++) {
        o = try_stream(i ? with : without, cc, gh_span_of(NULL, 0));
        assert_int_equal(o.server, 1);
        assert_int_equal(o.client, 1);
        assert_int_equal(o.server_ech, GH_TLS_ECH_NONE);
        assert_int_equal(o.client_ech, GH_TLS_ECH_NONE);
        assert_string_equal(o.name, "inner.example"); /* in the open */
        assert_int_equal(o.retry_rc, GH_ERR_NOT_FOUND);
    }
    gh_tls_ctx_put(with);
    gh_tls_ctx_put(without);
    gh_tls_ctx_put(cc);
    gh_ech_keys_put(k);
    gh_pem_fini(&pem);
}

static void a_server_without_keys_is_told_that_ech_is_required(void **state)
{
    struct gh_tls_ctx *sc = server_with(NULL, 0), *cc = pinning_client();
    struct gh_pem pem;
    struct gh_ech_keys *k;
    struct outcome o;

    (void)state;
    make_keys(&pem, 1);
    k = keys_of(1, &pem);
    o = try_stream(sc, cc, list_of(k, 0));
    assert_int_equal(o.client, GH_ERR_CRYPTO);
    assert_int_equal(o.client_ech, GH_TLS_ECH_REJECTED);
    assert_int_equal(o.retry_rc, GH_ERR_NOT_FOUND);
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(cc);
    gh_ech_keys_put(k);
    gh_pem_fini(&pem);
}

static void of_two_keys_with_the_same_id_both_open(void **state)
{
    struct gh_pem pems[2] = { { 0 } };
    struct gh_ech_keys *k, *one;
    struct gh_ech_key_info a, b = { 0 };
    struct gh_tls_ctx *sc, *cc = pinning_client();

    (void)state;
    make_keys(&pems[0], 1);
    one = keys_of(1, pems);
    assert_true(gh_ech_keys_info(one, 0, &a));
    do {
        struct gh_ech_keys *other;

        gh_pem_fini(&pems[1]);
        make_keys(&pems[1], 1);
        other = keys_of(1, &pems[1]);
        assert_true(gh_ech_keys_info(other, 0, &b));
        gh_ech_keys_put(other);
    } while (a.config_id != b.config_id);
    k = keys_of(2, pems);
    sc = server_with(k, NOW);
    for (size_t i = 0; i < 2; i++) {
        struct outcome o = try_stream(sc, cc, list_of(k, i));

        assert_int_equal(o.client, 1);
        assert_int_equal(o.server_ech, GH_TLS_ECH_ACCEPTED);
    }
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(cc);
    gh_ech_keys_put(one);
    gh_ech_keys_put(k);
    gh_pem_fini(&pems[0]);
    gh_pem_fini(&pems[1]);
}

static void a_second_hello_goes_with_the_first(void **state)
{
    struct gh_pem pem;
    struct gh_ech_keys *k;
    struct gh_tls_stream *t = NULL;
    struct bare b = bare_client();
    struct gh_tls_ctx *sc;
    char *inner = NULL, *outer = NULL;

    (void)state;
    make_keys(&pem, 1);
    k = keys_of(1, &pem);
    sc = server_with(k, NOW);
    assert_int_equal(SSL_set_min_proto_version(b.ssl, TLS1_3_VERSION), 1);
    assert_int_equal(SSL_set1_groups_list(b.ssl, "*P-521:X25519"), 1); /* the server asks for another share */
    assert_int_equal(SSL_set_tlsext_host_name(b.ssl, "inner.example"), 1);
    assert_int_equal(SSL_set1_ech_config_list(b.ssl, list_of(k, 0).data, list_of(k, 0).len), 1);
    assert_int_equal(gh_tls_stream_create(sc, NULL, &t), 0);
    assert_int_equal(bare_shake(&b, t), 1);
    assert_int_equal(gh_tls_stream_ech(t), GH_TLS_ECH_ACCEPTED);
    assert_string_equal(gh_tls_stream_server_name(t), "inner.example");
    assert_string_equal(gh_tls_stream_group(t), "x25519");
    SSL_ech_get1_status(b.ssl, &inner, &outer);
    assert_string_equal(inner, "inner.example");
    OPENSSL_free(inner);
    OPENSSL_free(outer);
    gh_tls_stream_destroy(t);
    gh_tls_ctx_put(sc);
    gh_ech_keys_put(k);
    gh_pem_fini(&pem);
    bare_close(&b);
}

/* A site for everybody, with TLS 1.2 and certificates by name: ECH works there, and what does not open ends at the public name. */
static void a_server_with_tls_1_2_opens_as_well(void **state)
{
    struct gh_leaf inner = self_signed("inner.example");
    struct gh_tls_named named = { .certificate = span_of(&inner.cert), .key = span_of(&inner.key) };
    struct gh_tls_config cfg = server_of(&cover), c = client_of(&inner);
    struct gh_pem pems[2];
    struct gh_ech_keys *all, *k;
    struct gh_tls_ctx *sc, *wants_inner = context(&c), *wants_cover = pinning_client();
    struct outcome o;

    (void)state;
    make_keys(pems, 2);
    all = keys_of(2, pems);
    k = keys_of(1, pems);
    cfg.tls12 = true;
    cfg.named = &named;
    cfg.named_count = 1;
    sc = context(&cfg);
    assert_int_equal(gh_tls_ctx_set_ech(sc, k, NOW), 0);
    o = try_stream(sc, wants_inner, list_of(all, 0));
    assert_int_equal(o.client, 1);
    assert_int_equal(o.server_ech, GH_TLS_ECH_ACCEPTED);
    o = try_stream(sc, wants_cover, list_of(all, 1));
    assert_int_equal(o.client_ech, GH_TLS_ECH_REJECTED);
    assert_int_equal(o.retry_rc, 0);
    assert_true(gh_span_equals(gh_span_of(o.retry, o.retry_len), list_of(k, 0)));
    free(o.retry);
    o = try_stream(sc, wants_inner, gh_span_of(NULL, 0));
    assert_int_equal(o.client, 1);
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(wants_inner);
    gh_tls_ctx_put(wants_cover);
    gh_ech_keys_put(all);
    gh_ech_keys_put(k);
    gh_pem_fini(&pems[0]);
    gh_pem_fini(&pems[1]);
    gh_leaf_fini(&inner);
}

static void a_session_of_the_inner_name_is_resumed_inside(void **state)
{
    static const uint8_t key[GH_TLS_TICKET_KEY] = { 7 };
    struct gh_tls_ctx *sc, *cc = pinning_client();
    struct gh_tls_stream_request req = { .server_name = "inner.example", .ech = true };
    struct gh_pem pem;
    struct gh_ech_keys *k;
    uint8_t buf[8];

    (void)state;
    make_keys(&pem, 1);
    k = keys_of(1, &pem);
    sc = server_with(k, NOW);
    assert_int_equal(gh_tls_ctx_set_tickets(sc, key), 0);
    gh_tls_ctx_set_wall(sc, NOW);
    req.ech_list = list_of(k, 0);
    for (int i = 0; i < 2; i++) {
        struct ends e = meet(sc, cc, &req);

        assert_int_equal(gh_tls_stream_resumed(e.client), i);
        assert_int_equal(gh_tls_stream_resumed(e.server), i);
        assert_int_equal(gh_tls_stream_ech(e.server), GH_TLS_ECH_ACCEPTED);
        assert_string_equal(gh_tls_stream_server_name(e.server), "inner.example");
        assert_int_equal(gh_tls_stream_read(e.client, buf, sizeof buf), 0);
        gh_tls_session_put(req.resume);
        req.resume = gh_tls_stream_take_session(e.client);
        assert_non_null(req.resume);
        close_ends(&e);
    }
    gh_tls_session_put(req.resume);
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(cc);
    gh_ech_keys_put(k);
    gh_pem_fini(&pem);
}

static void lists_that_say_nothing_to_us_are_refused(void **state)
{
    static const uint8_t broken[] = { 0, 5, 0xfe, 0x0d, 0, 9, 1 }, unknown[] = { 0, 7, 0xfe, 0x0c, 0, 3, 1, 2, 3 };
    struct gh_tls_stream_request req = { .server_name = "inner.example", .ech = true };
    struct gh_tls_ctx *cc = pinning_client();
    struct gh_tls_stream *t = NULL;

    (void)state;
    req.ech_list = gh_span_of(broken, sizeof broken);
    assert_int_equal(gh_tls_stream_create(cc, &req, &t), GH_ERR_MALFORMED);
    req.ech_list = gh_span_of(unknown, sizeof unknown);
    assert_int_equal(gh_tls_stream_create(cc, &req, &t), GH_ERR_UNSUPPORTED);
    gh_tls_ctx_put(cc);
}

/* BoringSSL's GREASE has payloads of 128, 160, 192 or 224 bytes and a tag; ours should be one of these. */
static void a_payload_is_as_long_as_a_browsers_grease(void **state)
{
    struct gh_pem pem;
    struct gh_ech_keys *k;
    struct gh_tls_ctx *sc, *cc = pinning_client();
    struct gh_tls_stream_request req = { .server_name = "k3v9x2m7q1.example", .ech = true };
    struct gh_span flight, rest;
    const uint8_t *at;
    struct ends e;
    size_t len;

    (void)state;
    make_keys(&pem, 1);
    k = keys_of(1, &pem);
    sc = server_with(k, NOW);
    req.ech_list = list_of(k, 0);
    e = open_ends(sc, cc, &req);
    assert_int_equal(gh_tls_stream_handshake(e.client), 0);
    flight = gh_tls_stream_pending(e.client);
    at = memmem(flight.data, flight.len, "\xfe\x0d", 2);
    assert_non_null(at);
    rest = gh_span_of(at + 4 + 6 + 2 + 32, 2); /* type, length, to config_id, enc, payload's length */
    len = (size_t)(rest.data[0] << 8 | rest.data[1]);
    assert_true(len == 144 || len == 176 || len == 208 || len == 240);
    close_ends(&e);
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(cc);
    gh_ech_keys_put(k);
    gh_pem_fini(&pem);
}

/* ---- QUIC ---- */

struct side {
    struct gh_tls *tls;
    struct side *peer;
    struct {
        enum gh_tls_level level;
        uint8_t data[8192];
        size_t len;
    } out[16]; /* for the peer, in order */
    size_t count, taken;
    bool server;
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
    struct side *s = arg;

    assert_true(gh_span_equals(params, gh_span_str(s->server ? "client" : "server")));
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
    return true;
}

static struct outcome try_quic(struct gh_tls_ctx *sc, struct gh_tls_ctx *cc, const struct gh_span *list)
{
    struct side *s = calloc(2, sizeof *s), *c = s + 1;
    struct outcome o = { 0 };

    assert_non_null(s);
    s->server = true;
    s->peer = c;
    c->peer = s;
    assert_int_equal(gh_tls_create(sc, NULL, &events, s, &s->tls), 0);
    assert_int_equal(gh_tls_create(cc, "inner.example", &events, c, &c->tls), 0);
    assert_int_equal(gh_tls_set_transport_params(c->tls, gh_span_str("client")), 0);
    if (list)
        assert_int_equal(gh_tls_set_ech(c->tls, *list), 0);
    assert_int_equal(gh_tls_start(c->tls), 0);
    while (deliver(s) || deliver(c))
        ;
    o.server = s->rc;
    o.client = c->rc;
    o.alert = c->alert;
    o.server_ech = gh_tls_ech(s->tls);
    o.client_ech = gh_tls_ech(c->tls);
    snprintf(o.name, sizeof o.name, "%s", gh_tls_server_name(s->tls));
    o.retry_rc = gh_tls_ech_retry(c->tls, &o.retry, &o.retry_len);
    gh_tls_shrink(s->tls);
    assert_int_equal(gh_tls_ech(s->tls), o.server_ech); /* is remembered */
    gh_tls_destroy(s->tls);
    gh_tls_destroy(c->tls);
    free(s);
    return o;
}

static void quic_does_the_same(void **state)
{
    struct gh_span none = gh_span_of(NULL, 0), list;
    struct gh_pem pems[3];
    struct gh_ech_keys *all, *k;
    struct gh_tls_ctx *sc, *cc = pinning_client();
    struct outcome o;

    (void)state;
    make_keys(pems, 3);
    all = keys_of(3, pems);
    k = keys_of(2, pems);
    sc = server_with(k, NOW);
    for (size_t i = 0; i < 2; i++) { /* newest and older */
        list = list_of(k, i);
        o = try_quic(sc, cc, &list);
        assert_int_equal(o.server, 1);
        assert_int_equal(o.client, 1);
        assert_int_equal(o.server_ech, GH_TLS_ECH_ACCEPTED);
        assert_int_equal(o.client_ech, GH_TLS_ECH_ACCEPTED);
        assert_string_equal(o.name, "inner.example");
    }
    list = list_of(all, 2); /* forgotten */
    o = try_quic(sc, cc, &list);
    assert_int_equal(o.client, GH_ERR_CRYPTO);
    assert_int_equal(o.alert, 121);
    assert_int_equal(o.client_ech, GH_TLS_ECH_REJECTED);
    assert_string_equal(o.name, "cover.example");
    assert_int_equal(o.retry_rc, 0);
    list = gh_span_of(o.retry, o.retry_len);
    assert_true(gh_span_equals(list, list_of(k, 0)));
    assert_int_equal(try_quic(sc, cc, &list).client, 1);
    free(o.retry);
    o = try_quic(sc, cc, &none); /* GREASE */
    assert_int_equal(o.client, 1);
    assert_int_equal(o.server_ech, GH_TLS_ECH_NONE);
    o = try_quic(sc, cc, NULL);
    assert_int_equal(o.client, 1);
    assert_int_equal(o.client_ech, GH_TLS_ECH_NONE);
    gh_tls_ctx_put(sc);
    gh_tls_ctx_put(cc);
    gh_ech_keys_put(all);
    gh_ech_keys_put(k);
    for (size_t i = 0; i < 3; i++)
        gh_pem_fini(&pems[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_to_our_key_is_answered_as_what_is_inside),
        cmocka_unit_test(a_stale_key_is_answered_with_the_newest_alone),
        cmocka_unit_test(a_server_that_is_not_believed_gives_no_other_key),
        cmocka_unit_test(grease_is_answered_as_if_it_were_not_there),
        cmocka_unit_test(a_server_without_keys_is_told_that_ech_is_required),
        cmocka_unit_test(of_two_keys_with_the_same_id_both_open),
        cmocka_unit_test(a_second_hello_goes_with_the_first),
        cmocka_unit_test(a_server_with_tls_1_2_opens_as_well),
        cmocka_unit_test(a_session_of_the_inner_name_is_resumed_inside),
        cmocka_unit_test(lists_that_say_nothing_to_us_are_refused),
        cmocka_unit_test(a_payload_is_as_long_as_a_browsers_grease),
        cmocka_unit_test(quic_does_the_same),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
