#include "crypto/known.h"

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "../test.h"
#include "crypto/ca.h"

#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

static unsigned checked; /* signatures */

int __real_X509_verify(X509 *a, EVP_PKEY *r);
int __wrap_X509_verify(X509 *a, EVP_PKEY *r);

int __wrap_X509_verify(X509 *a, EVP_PKEY *r)
{
    checked++;
    return __real_X509_verify(a, r);
}

struct world {
    struct gh_known *known;
    struct gh_ca *ca;
    X509 *root, *leaf; /* an agent's, thirty days */
};

static struct world w;

static X509 *read_pem(const struct gh_pem *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->text, (int)pem->len);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    assert_non_null(x);
    BIO_free(bio);
    return x;
}

static struct gh_ca *make_ca(X509 **ret_root)
{
    struct gh_ca_request req = { "gatehouse.example", GH_CA_P256, NOW };
    struct gh_pem cert, key;
    struct gh_ca *ca;
    char why[GH_CA_WHY];

    assert_int_equal(gh_ca_create(&req, &ca, why), 0);
    assert_int_equal(gh_ca_emit(ca, &cert, &key), 0);
    *ret_root = read_pem(&cert);
    gh_pem_fini(&cert);
    gh_pem_fini(&key);
    return ca;
}

static X509 *issue(const struct gh_ca *ca, const char *name)
{
    struct gh_leaf_request req = { .role = GH_ROLE_AGENT, .name = name, .key = GH_CA_P256, .days = 30, .now = NOW };
    struct gh_leaf leaf;
    char why[GH_CA_WHY];
    X509 *x;

    assert_int_equal(gh_ca_issue(ca, &req, &leaf, why), 0);
    x = read_pem(&leaf.cert);
    gh_leaf_fini(&leaf);
    return x;
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(gh_known_create(&w.known), 0);
    w.ca = make_ca(&w.root);
    w.leaf = issue(w.ca, "client-1");
    checked = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gh_known_destroy(w.known);
    gh_ca_destroy(w.ca);
    X509_free(w.root);
    X509_free(w.leaf);
    return 0;
}

static int verify_known(X509_STORE_CTX *v)
{
    return gh_known_verify(w.known, v);
}

static int note(int ok, X509_STORE_CTX *v)
{
    (void)ok;
    (void)v;
    return 1;
}

/* The same with a callback that lets everything pass, as where a certificate is asked for and not needed. */
static int judge_leniently(X509 *leaf, int64_t when)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *v = X509_STORE_CTX_new();
    int error;

    assert_int_equal(X509_STORE_add_cert(store, w.root), 1);
    X509_STORE_set_verify(store, verify_known);
    X509_STORE_set_verify_cb(store, note);
    assert_int_equal(X509_STORE_CTX_init(v, store, leaf, NULL), 1);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(v), (time_t)when);
    assert_int_equal(X509_verify_cert(v), 1);
    error = X509_STORE_CTX_get_error(v);
    X509_STORE_CTX_free(v);
    X509_STORE_free(store);
    return error;
}

/* What the library says about <leaf>: X509_V_OK or why not. */
static int judge_as(X509 *root, X509 *leaf, int64_t when, const char *purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *v = X509_STORE_CTX_new();
    int error, ok;

    assert_int_equal(X509_STORE_add_cert(store, root), 1);
    X509_STORE_set_verify(store, verify_known);
    assert_int_equal(X509_STORE_CTX_init(v, store, leaf, NULL), 1);
    assert_int_equal(X509_STORE_CTX_set_default(v, purpose), 1);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(v), (time_t)when);
    ok = X509_verify_cert(v);
    error = X509_STORE_CTX_get_error(v);
    assert_int_equal(ok == 1, error == X509_V_OK);
    X509_STORE_CTX_free(v);
    X509_STORE_free(store);
    return error;
}

static int judge(X509 *leaf, int64_t when)
{
    return judge_as(w.root, leaf, when, "ssl_client");
}

static void a_signature_is_checked_once(void **state)
{
    X509 *other = issue(w.ca, "client-2");

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(judge(w.leaf, NOW + DAY), X509_V_OK);
    assert_int_equal(checked, 1);
    assert_int_equal(judge(other, NOW + DAY), X509_V_OK);
    assert_int_equal(checked, 2);
    X509_free(other);
}

static void dates_are_looked_at_every_time(void **state)
{
    (void)state;
    assert_int_equal(judge(w.leaf, NOW + DAY), X509_V_OK);
    assert_int_equal(judge(w.leaf, NOW + 31 * DAY), X509_V_ERR_CERT_HAS_EXPIRED);
    assert_int_equal(judge(w.leaf, NOW - 400 * DAY), X509_V_ERR_CERT_NOT_YET_VALID);
    assert_int_equal(judge(w.leaf, NOW + 2 * DAY), X509_V_OK);
}

static void what_it_is_for_is_looked_at_every_time(void **state)
{
    (void)state;
    assert_int_equal(judge(w.leaf, NOW + DAY), X509_V_OK);
    assert_int_equal(judge_as(w.root, w.leaf, NOW + DAY, "ssl_server"), X509_V_ERR_INVALID_PURPOSE);
}

/* Of the same name, so that it is found: with another key, hence with another key identifier. */
static void a_ca_that_is_trusted_no_more_vouches_for_nobody(void **state)
{
    X509 *root;
    struct gh_ca *other = make_ca(&root);

    (void)state;
    assert_int_equal(judge(w.leaf, NOW + DAY), X509_V_OK);
    assert_int_not_equal(judge_as(root, w.leaf, NOW + DAY, "ssl_client"), X509_V_OK);
    gh_ca_destroy(other);
    X509_free(root);
}

static void what_differs_in_a_bit_is_not_known(void **state)
{
    unsigned char *der = NULL;
    int len = i2d_X509(w.leaf, &der);

    (void)state;
    assert_true(len > 80);
    assert_int_equal(judge(w.leaf, NOW + DAY), X509_V_OK);
    for (int at = len - 64; at < len; at += 7) {
        const unsigned char *from = der;
        X509 *forged;

        der[at] ^= 1;
        forged = d2i_X509(NULL, &from, len);
        der[at] ^= 1;
        if (!forged)
            continue;
        for (int i = 0; i < 2; i++) { /* a refusal is not remembered for the good */
            checked = 0;
            assert_int_equal(judge(forged, NOW + DAY), X509_V_ERR_CERT_SIGNATURE_FAILURE);
            assert_int_equal(checked, 1);
        }
        X509_free(forged);
    }
    OPENSSL_free(der);
}

static void what_a_callback_let_pass_is_not_known(void **state)
{
    unsigned char *der = NULL;
    const unsigned char *from;
    int len = i2d_X509(w.leaf, &der);
    X509 *forged;

    (void)state;
    der[len - 1] ^= 1;
    from = der;
    forged = d2i_X509(NULL, &from, len);
    assert_non_null(forged);
    for (int i = 0; i < 2; i++)
        assert_int_equal(judge_leniently(forged, NOW + DAY), X509_V_ERR_CERT_SIGNATURE_FAILURE);
    assert_int_equal(judge(forged, NOW + DAY), X509_V_ERR_CERT_SIGNATURE_FAILURE);
    assert_int_equal(judge_leniently(w.leaf, NOW + 31 * DAY), X509_V_ERR_CERT_HAS_EXPIRED);
    assert_int_equal(judge_leniently(w.leaf, NOW + DAY), X509_V_OK);
    X509_free(forged);
    OPENSSL_free(der);
}

/* Two that have one place take turns. */
static void many_are_believed_and_nearly_all_known(void **state)
{
    X509 *leaf[64];

    (void)state;
    for (int i = 0; i < 64; i++)
        leaf[i] = issue(w.ca, "client-1"); /* serial numbers differ */
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 64; i++)
            assert_int_equal(judge(leaf[i], NOW + DAY), X509_V_OK);
    assert_in_range(checked, 64, 70);
    for (int i = 0; i < 64; i++)
        X509_free(leaf[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(a_signature_is_checked_once),
                                        TEST(dates_are_looked_at_every_time),
                                        TEST(what_it_is_for_is_looked_at_every_time),
                                        TEST(a_ca_that_is_trusted_no_more_vouches_for_nobody),
                                        TEST(what_differs_in_a_bit_is_not_known),
                                        TEST(what_a_callback_let_pass_is_not_known),
                                        TEST(many_are_believed_and_nearly_all_known) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
