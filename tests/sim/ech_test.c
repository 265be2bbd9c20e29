/* ECH over QUIC (RFC 9849): the name inside is asked for, and another one is proved. */
#include <stdio.h>

#include "../unit/test.h"
#include "certs.h"
#include "crypto/ca.h"
#include "crypto/ech.h"
#include "raw_peer.h"

#define COVER "relay.gatehouse.example" /* what the relay's certificate says */
#define NOW INT64_C(1800000000)

struct world {
    struct sim sim;
    struct raw_peer client, server;
    char name[64]; /* as the server had it */
    enum gh_tls_ech ech; /* as the client had it, last */
    uint8_t *retry;
    size_t retry_len;
};

static struct world w;
static char why[GH_ECH_WHY];

static struct gh_ech_keys *make_key(struct gh_pem *pem)
{
    struct gh_ech_request req = { COVER, 0, NULL };
    struct gh_ech_keys *k = NULL;

    assert_int_equal(gh_ech_generate(&req, pem, why), 0);
    assert_int_equal(gh_ech_keys_create(0, &k), 0);
    assert_int_equal(gh_ech_keys_add(k, gh_span_of(pem->text, pem->len), NOW, why), 0);
    return k;
}

static struct gh_span list_of(const struct gh_ech_keys *k)
{
    struct gh_ech_key_info i;

    assert_true(gh_ech_keys_info(k, 0, &i));
    return i.list;
}

static bool over(void *arg)
{
    (void)arg;
    return w.sim.client.closed || (w.client.handshake && w.server.handshake);
}

/* Looked at while it goes on: who has no use for it any more gives it up. */
static void on_wire(void *arg, bool from_server, struct gh_span payload)
{
    struct gh_quic *q = from_server ? w.sim.server.quic : w.sim.client.quic;
    struct gh_tls *tls = q ? gh_quic_tls(q) : NULL;

    (void)arg;
    (void)payload;
    if (tls && from_server && *gh_tls_server_name(tls))
        snprintf(w.name, sizeof w.name, "%s", gh_tls_server_name(tls));
    if (!tls || from_server)
        return;
    w.ech = gh_tls_ech(tls);
    if (w.ech == GH_TLS_ECH_REJECTED && !w.retry)
        (void)gh_tls_ech_retry(tls, &w.retry, &w.retry_len);
}

/* True when the handshake came to a good end. */
static bool go(const struct gh_ech_keys *server, const struct gh_tls_name *name)
{
    memset(&w, 0, sizeof w);
    sim_init(&w.sim, 1);
    w.sim.name = name;
    w.sim.on_wire = on_wire;
    if (server)
        assert_int_equal(gh_tls_ctx_set_ech(w.sim.server.tls, server, NOW), 0);
    raw_peer_init(&w.server, &w.sim, true);
    raw_peer_init(&w.client, &w.sim, false);
    assert_int_equal(sim_open(&w.sim), 0);
    assert_true(sim_run(&w.sim, 5 * SIM_S, over, NULL));
    return !w.sim.client.closed;
}

static void a_hidden_name_reaches_who_has_the_key(void **state)
{
    struct gh_pem pem;
    struct gh_ech_keys *k = make_key(&pem);
    struct gh_tls_name name = { .server_name = "hidden.example", .certificate_name = COVER, .ech = true, .ech_list = list_of(k) };

    (void)state;
    assert_true(go(k, &name));
    assert_int_equal(gh_tls_ech(gh_quic_tls(w.sim.client.quic)), GH_TLS_ECH_ACCEPTED);
    assert_int_equal(gh_tls_ech(gh_quic_tls(w.sim.server.quic)), GH_TLS_ECH_ACCEPTED);
    assert_string_equal(w.name, "hidden.example");
    sim_fini(&w.sim);
    gh_ech_keys_put(k);
    gh_pem_fini(&pem);
}

/* Without a name of its own for the certificate, the one that is asked for must be in it. */
static void the_certificate_is_checked_for_its_own_name(void **state)
{
    struct gh_tls_name name = { .server_name = "hidden.example" };

    (void)state;
    assert_false(go(NULL, &name));
    sim_fini(&w.sim);
    name.certificate_name = "another.example";
    assert_false(go(NULL, &name));
    sim_fini(&w.sim);
    name.certificate_name = COVER;
    assert_true(go(NULL, &name));
    sim_fini(&w.sim);
    name.certificate_name = "";
    assert_true(go(NULL, &name));
    sim_fini(&w.sim);
}

static void a_server_with_another_key_tells_it(void **state)
{
    struct gh_pem pems[2];
    struct gh_ech_keys *old = make_key(&pems[0]), *new = make_key(&pems[1]);
    struct gh_tls_name name = { .server_name = "hidden.example", .certificate_name = COVER, .ech = true, .ech_list = list_of(old) };
    uint8_t *retry;

    (void)state;
    assert_false(go(new, &name));
    assert_int_equal(w.ech, GH_TLS_ECH_REJECTED);
    assert_string_equal(w.name, COVER);
    retry = w.retry;
    name.ech_list = gh_span_of(retry, w.retry_len);
    assert_true(gh_span_equals(name.ech_list, list_of(new)));
    sim_fini(&w.sim);
    assert_true(go(new, &name));
    sim_fini(&w.sim);
    free(retry);
    gh_ech_keys_put(old);
    gh_ech_keys_put(new);
    gh_pem_fini(&pems[0]);
    gh_pem_fini(&pems[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hidden_name_reaches_who_has_the_key),
        cmocka_unit_test(the_certificate_is_checked_for_its_own_name),
        cmocka_unit_test(a_server_with_another_key_tells_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
