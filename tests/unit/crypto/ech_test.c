#include "crypto/ech.h"

#include <stdio.h>
#include <string.h>

#include <openssl/ech.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "../test.h"
#include "base/error.h"
#include "base/hex.h"
#include "ech_vectors.h"

#define DAY ((int64_t)86400)
#define NOW ((int64_t)1800000000)

static char why[GH_ECH_WHY];

static struct gh_span span_of(const struct gh_pem *p)
{
    return gh_span_of(p->text, p->len);
}

static struct gh_pem make(const char *public_name, const struct gh_ech_keys *beside)
{
    struct gh_ech_request req = { public_name, 32, beside };
    struct gh_pem pem = { 0 };

    assert_int_equal(gh_ech_generate(&req, &pem, why), 0);
    return pem;
}

static struct gh_ech_keys *new_set(void)
{
    struct gh_ech_keys *k = NULL;

    assert_int_equal(gh_ech_keys_create(GH_ECH_KEEP, &k), 0);
    return k;
}

static struct gh_ech_keys *set_of(struct gh_span pem)
{
    struct gh_ech_keys *k = new_set();

    assert_int_equal(gh_ech_keys_add(k, pem, NOW, why), 0);
    return k;
}

/* One hello in one record, and its ECH; what crypto/ does not read itself. */
struct hello {
    uint8_t bytes[4096];
    size_t len;
    struct gh_ech_outer outer;
};

static void locate(struct hello *h)
{
    struct gh_reader r = gh_reader_of(gh_span_of(h->bytes, h->len)), ext;

    memset(&h->outer, 0, sizeof h->outer);
    gh_read_bytes(&r, (uint8_t[9]){ 0 }, 9);
    h->outer.body = gh_span_of(r.at, gh_reader_left(&r));
    gh_read_span(&r, 34);
    gh_read_span(&r, gh_read_u8(&r));
    gh_read_span(&r, gh_read_u16(&r));
    gh_read_span(&r, gh_read_u8(&r));
    ext = gh_reader_of(gh_read_span(&r, gh_read_u16(&r)));
    assert_true(gh_reader_done(&r));
    while (gh_reader_left(&ext)) {
        uint16_t type = gh_read_u16(&ext);
        struct gh_reader e = gh_reader_of(gh_read_span(&ext, gh_read_u16(&ext)));

        if (type != 0xfe0d)
            continue;
        assert_int_equal(gh_read_u8(&e), 0);
        h->outer.kdf = gh_read_u16(&e);
        h->outer.aead = gh_read_u16(&e);
        h->outer.config_id = gh_read_u8(&e);
        h->outer.enc = gh_read_span(&e, gh_read_u16(&e));
        h->outer.payload = gh_read_span(&e, gh_read_u16(&e));
        assert_true(gh_reader_done(&e));
    }
    assert_true(h->outer.payload.len > 0);
}

static void from_hex(const char *hex, struct hello *h)
{
    h->len = strlen(hex) / 2;
    assert_true(h->len <= sizeof h->bytes);
    assert_true(gh_hex_decode(gh_span_str(hex), GH_HEX_LOWER, h->bytes, h->len));
    locate(h);
}

/* What libssl's client sends; with an empty list GREASE. */
static void from_openssl(struct gh_span list, struct hello *h)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *out = BIO_new(BIO_s_mem());

    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    SSL_set_connect_state(ssl);
    assert_int_equal(SSL_set_min_proto_version(ssl, TLS1_3_VERSION), 1);
    assert_int_equal(SSL_set_tlsext_host_name(ssl, "inner.example"), 1);
    if (list.len)
        assert_int_equal(SSL_set1_ech_config_list(ssl, list.data, list.len), 1);
    else
        SSL_set_options(ssl, SSL_OP_ECH_GREASE);
    assert_int_equal(SSL_do_handshake(ssl), -1);
    h->len = (size_t)BIO_read(out, h->bytes, sizeof h->bytes);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
    locate(h);
}

static int try_open(const struct gh_ech_keys *k, const struct hello *h, int64_t wall)
{
    struct gh_ech_opened o;

    return gh_ech_keys_open(k, &h->outer, wall, &o);
}

static struct gh_ech_key_info info_of(const struct gh_ech_keys *k, size_t index)
{
    struct gh_ech_key_info i;

    assert_true(gh_ech_keys_info(k, index, &i));
    return i;
}

static void hellos_of_other_implementations_open(void **state)
{
    static const char *const hellos[] = { go_hello_x25519, go_hello_default, chrome_hello_ech };
    struct gh_ech_keys *k = set_of(gh_span_str(go_pem));
    struct hello *h = calloc(1, sizeof *h);
    struct gh_ech_opened o;

    (void)state;
    assert_non_null(h);
    assert_string_equal(info_of(k, 0).public_name, "cover.example");
    assert_int_equal(info_of(k, 0).config_id, 42);
    for (size_t i = 0; i < sizeof hellos / sizeof hellos[0]; i++) {
        from_hex(hellos[i], h);
        assert_int_equal(gh_ech_keys_open(k, &h->outer, NOW, &o), 1);
        assert_int_equal(o.key, 0);
        assert_int_equal(o.len, h->outer.payload.len - 16);
        assert_int_equal(o.inner[0] << 8 | o.inner[1], 0x0303);
        assert_non_null(memmem(o.inner, o.len, "inner.example", 13));
    }
    free(h);
    gh_ech_keys_put(k);
}

static void hellos_of_openssl_open_with_our_own_keys(void **state)
{
    struct gh_pem pem = make("cover.example", NULL);
    struct gh_ech_keys *k = set_of(span_of(&pem));
    struct hello *h = calloc(1, sizeof *h);
    struct gh_ech_opened o;

    (void)state;
    assert_non_null(h);
    from_openssl(info_of(k, 0).list, h);
    assert_int_equal(gh_ech_keys_open(k, &h->outer, NOW, &o), 1);
    assert_non_null(memmem(o.inner, o.len, "inner.example", 13));
    assert_null(memmem(h->bytes, h->len, "inner.example", 13));
    assert_non_null(memmem(h->bytes, h->len, "cover.example", 13));
    free(h);
    gh_pem_fini(&pem);
    gh_ech_keys_put(k);
}

static void what_is_not_made_with_our_key_is_not_ours(void **state)
{
    struct gh_ech_keys *go = set_of(gh_span_str(go_pem));
    struct gh_pem pem = make("cover.example", NULL);
    struct gh_ech_keys *other = set_of(span_of(&pem)), *none = new_set();
    struct hello *h = calloc(1, sizeof *h);

    (void)state;
    assert_non_null(h);
    from_hex(go_hello_x25519, h);
    assert_int_equal(try_open(none, h, NOW), 0);
    assert_int_equal(try_open(other, h, NOW), 0);
    h->outer.config_id = info_of(other, 0).config_id; /* as far as GREASE that hits the id comes */
    assert_int_equal(try_open(other, h, NOW), 0);
    from_hex(go_hello_x25519, h);
    h->outer.config_id++;
    assert_int_equal(try_open(go, h, NOW), 0);
    from_hex(go_hello_x25519, h);
    h->outer.aead = 3; /* a suite of the config, but not the one */
    assert_int_equal(try_open(go, h, NOW), 0);
    h->outer.aead = 2; /* not in the config */
    assert_int_equal(try_open(go, h, NOW), 0);
    from_openssl(gh_span_of(NULL, 0), h);
    h->outer.config_id = 42;
    assert_int_equal(try_open(go, h, NOW), 0);
    from_hex(chrome_hello_grease, h);
    h->outer.config_id = 42;
    assert_int_equal(try_open(go, h, NOW), 0);
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left for whoever asks the library next */
    free(h);
    gh_pem_fini(&pem);
    gh_ech_keys_put(go);
    gh_ech_keys_put(other);
    gh_ech_keys_put(none);
}

static void every_byte_of_the_outer_hello_is_authenticated(void **state)
{
    struct gh_ech_keys *k = set_of(gh_span_str(go_pem));
    struct hello *h = calloc(1, sizeof *h);

    (void)state;
    assert_non_null(h);
    from_hex(go_hello_x25519, h);
    for (size_t i = 9; i < h->len; i++) {
        h->bytes[i] ^= 1;
        assert_int_equal(try_open(k, h, NOW), 0);
        h->bytes[i] ^= 1;
    }
    assert_int_equal(try_open(k, h, NOW), 1);
    free(h);
    gh_ech_keys_put(k);
}

static void lengths_that_cannot_be_are_refused_before_any_work(void **state)
{
    struct gh_ech_keys *k = set_of(gh_span_str(go_pem));
    struct hello *h = calloc(1, sizeof *h);
    struct gh_ech_outer good;

    (void)state;
    assert_non_null(h);
    from_hex(go_hello_x25519, h);
    good = h->outer;
    h->outer.payload = gh_span_of(h->bytes, 64); /* before the body */
    assert_int_equal(try_open(k, h, NOW), GH_ERR_RANGE);
    h->outer.payload = gh_span_of(good.body.data + good.body.len - 8, 9); /* over its end */
    assert_int_equal(try_open(k, h, NOW), GH_ERR_RANGE);
    h->outer.payload = gh_span_of(good.payload.data, 16); /* no more than a tag */
    assert_int_equal(try_open(k, h, NOW), 0);
    h->outer = good;
    h->outer.enc.len = 0; /* as after a HelloRetryRequest */
    assert_int_equal(try_open(k, h, NOW), 0);
    h->outer = good;
    h->outer.enc.len--;
    assert_int_equal(try_open(k, h, NOW), 0);
    free(h);
    gh_ech_keys_put(k);
}

static void an_older_key_opens_until_its_time_is_up(void **state)
{
    struct gh_ech_keys *k = NULL;
    struct hello *h = calloc(1, sizeof *h), *new = calloc(1, sizeof *new);
    struct gh_ech_opened o;
    struct gh_pem pem;

    (void)state;
    assert_true(h && new);
    assert_int_equal(gh_ech_keys_create(30 * DAY, &k), 0);
    pem = make("fresh.example", k);
    assert_int_equal(gh_ech_keys_add(k, span_of(&pem), NOW, why), 0);
    assert_int_equal(gh_ech_keys_add(k, gh_span_str(go_pem), NOW - 100 * DAY, why), 0);
    assert_int_equal(gh_ech_keys_count(k), 2);
    assert_int_equal(info_of(k, 1).until, NOW + 30 * DAY); /* it was the newest until NOW */
    from_hex(go_hello_x25519, h);
    assert_int_equal(gh_ech_keys_open(k, &h->outer, NOW + 30 * DAY - 1, &o), 1);
    assert_int_equal(o.key, 1);
    assert_int_equal(try_open(k, h, NOW + 30 * DAY), 0);
    assert_true(gh_ech_keys_has_public_name(k, "cover.example", NOW));
    assert_false(gh_ech_keys_has_public_name(k, "cover.example", NOW + 30 * DAY));
    from_openssl(info_of(k, 0).list, new);
    assert_int_equal(gh_ech_keys_open(k, &new->outer, NOW + 4000 * DAY, &o), 1); /* the newest has no end */
    assert_int_equal(o.key, 0);
    assert_true(gh_ech_keys_has_public_name(k, "fresh.example", NOW + 4000 * DAY));
    assert_false(gh_ech_keys_has_public_name(k, "inner.example", NOW));
    assert_int_equal(gh_ech_keys_add(k, span_of(&pem), NOW, why), GH_ERR_RANGE); /* newest first */
    gh_pem_fini(&pem);
    free(h);
    free(new);
    gh_ech_keys_put(k);
}

static void of_two_keys_with_the_same_id_both_are_tried(void **state)
{
    struct gh_ech_keys *k = new_set();
    struct hello *h = calloc(1, sizeof *h);
    struct gh_pem pem = { 0 };
    struct gh_ech_opened o;
    bool hit = false;

    (void)state;
    assert_non_null(h);
    while (!hit) { /* one of 256 has Go's id */
        struct gh_ech_keys *one;

        gh_pem_fini(&pem);
        pem = make("other.example", NULL);
        one = set_of(span_of(&pem));
        hit = info_of(one, 0).config_id == 42;
        gh_ech_keys_put(one);
    }
    assert_int_equal(gh_ech_keys_add(k, span_of(&pem), NOW, why), 0);
    assert_int_equal(gh_ech_keys_add(k, gh_span_str(go_pem), NOW - DAY, why), 0);
    from_hex(go_hello_default, h);
    assert_int_equal(gh_ech_keys_open(k, &h->outer, NOW, &o), 1);
    assert_int_equal(o.key, 1);
    gh_pem_fini(&pem);
    free(h);
    gh_ech_keys_put(k);
}

static void ids_of_a_set_differ(void **state)
{
    struct gh_ech_keys *k = new_set();
    bool seen[256] = { false };

    (void)state;
    for (size_t i = 0; i < GH_ECH_KEYS_MAX; i++) {
        struct gh_pem pem = make("cover.example", k);

        assert_int_equal(gh_ech_keys_add(k, span_of(&pem), NOW - (int64_t)i, why), 0);
        assert_false(seen[info_of(k, i).config_id]);
        seen[info_of(k, i).config_id] = true;
        if (i + 1 == GH_ECH_KEYS_MAX)
            assert_int_equal(gh_ech_keys_add(k, span_of(&pem), 0, why), GH_ERR_FULL);
        gh_pem_fini(&pem);
    }
    gh_ech_keys_put(k);
}

static void what_we_make_is_what_the_library_reads(void **state)
{
    struct gh_pem pem = make("cover.example", NULL);
    struct gh_ech_keys *k = set_of(span_of(&pem));
    BIO *bio = BIO_new_mem_buf(pem.text, (int)pem.len);
    OSSL_ECHSTORE *store = OSSL_ECHSTORE_new(NULL, NULL);
    char *name = NULL, *text = NULL, *outer = NULL, expected[GH_ECH_PUBLIC_NAME_MAX + 1];
    struct gh_ech_key_info i = info_of(k, 0);
    int has_key = 0, for_retry = 0;
    time_t age;

    (void)state;
    (void)outer;
    assert_int_equal(OSSL_ECHSTORE_read_pem(store, bio, OSSL_ECH_FOR_RETRY), 1);
    assert_int_equal(OSSL_ECHSTORE_get1_info(store, 0, &age, &name, &text, &has_key, &for_retry), 1);
    assert_string_equal(name, "cover.example");
    assert_int_equal(has_key, 1);
    assert_non_null(strstr(text, "[fe0d,"));
    assert_non_null(strstr(text, "[0020,0001,0001]"));
    assert_int_equal(i.list.data[0] << 8 | i.list.data[1], i.list.len - 2);
    assert_int_equal(gh_ech_list_public_name(i.list, expected), 0);
    assert_string_equal(expected, "cover.example");
    OPENSSL_free(name);
    OPENSSL_free(text);
    OSSL_ECHSTORE_free(store);
    BIO_free(bio);
    gh_pem_fini(&pem);
    gh_ech_keys_put(k);
}

static void names_that_clients_would_refuse_are_not_taken(void **state)
{
    static const char *const bad[] = { "", ".", "a..b", "*.example", "192.0.2.1", "example.7", "example.0x1f", "example.0x", "-a.example", "a b.example",
                                       "example.", "\xc3\xa4.example" };
    struct gh_ech_request req = { .max_name_length = 0 };
    struct gh_pem pem = { 0 };
    char longest[300];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        req.public_name = bad[i];
        assert_int_equal(gh_ech_generate(&req, &pem, why), GH_ERR_RANGE);
        assert_true(why[0]);
    }
    memset(longest, 'a', sizeof longest);
    for (size_t i = 50; i < 254; i += 51)
        longest[i] = '.';
    longest[254] = 0;
    req.public_name = longest;
    assert_int_equal(gh_ech_generate(&req, &pem, why), GH_ERR_RANGE);
    longest[253] = 0;
    assert_int_equal(gh_ech_generate(&req, &pem, why), 0);
    gh_ech_keys_put(set_of(span_of(&pem)));
    gh_pem_fini(&pem);
}

#define BEGIN_KEY "-----BEGIN PRIVATE KEY-----\n"
#define END_KEY "-----END PRIVATE KEY-----\n"
#define GO_KEY BEGIN_KEY "MC4CAQAwBQYDK2VuBCIEIEH0PqHPvERXlrZOwe1O7FN1xfJAJ6Torl80VKHHsoa0\n" END_KEY
#define BEGIN_LIST "-----BEGIN ECHCONFIG-----\n"
#define END_LIST "-----END ECHCONFIG-----\n"
#define LIST_1 "AET+DQBAKgAgACD+C1k6crCfywfvVWKKIsdrbMy0TFUA5CsJbALu8OjYSAAIAAEA\n"
#define LIST_2 "AQABAAMgDWNvdmVyLmV4YW1wbGUAAA==\n"
#define GO_LIST BEGIN_LIST LIST_1 LIST_2 END_LIST

static void texts_that_are_no_key_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text;
        int rc;
    } bad[] = {
        { "", GH_ERR_MALFORMED },
        { "hello", GH_ERR_MALFORMED },
        { GO_LIST, GH_ERR_MALFORMED },
        { GO_KEY, GH_ERR_MALFORMED },
        { GO_LIST GO_KEY, GH_ERR_MALFORMED },
        { GO_KEY GO_LIST GO_KEY GO_LIST, GH_ERR_MALFORMED },
        { GO_KEY GO_LIST GO_LIST, GH_ERR_MALFORMED },
        { BEGIN_KEY "AAAA\n" END_KEY GO_LIST, GH_ERR_MALFORMED },
        { BEGIN_KEY "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n" END_KEY GO_LIST, GH_ERR_MALFORMED },
        /* Ed25519, from RFC 8410, section 10.3 */
        { BEGIN_KEY "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n" END_KEY GO_LIST, GH_ERR_UNSUPPORTED },
        /* X25519 of another */
        { BEGIN_KEY "MC4CAQAwBQYDK2VuBCIEIEH0PqHPvERXlrZOwe1O7FN1xfJAJ6Torl80VKHHsoa1\n" END_KEY GO_LIST, GH_ERR_MALFORMED },
        { GO_KEY BEGIN_LIST LIST_1 END_LIST, GH_ERR_MALFORMED },                                     /* cut off */
        { GO_KEY BEGIN_LIST LIST_1 "AQABAAMgDWNvdmVyLmV4YW1wbGUAAAA=\n" END_LIST, GH_ERR_MALFORMED }, /* a byte too many */
        { GO_KEY BEGIN_LIST "AAA=\n" END_LIST, GH_ERR_MALFORMED },
        /* only a version that nobody knows: 0xfe0c */
        { GO_KEY BEGIN_LIST "AET+DABAKgAgACD+C1k6crCfywfvVWKKIsdrbMy0TFUA5CsJbALu8OjYSAAIAAEA\n" LIST_2 END_LIST, GH_ERR_MALFORMED },
    };
    struct gh_ech_keys *k = new_set();
    char *large = malloc(GH_ECH_PEM_MAX + 1);

    (void)state;
    assert_non_null(large);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        why[0] = 0;
        assert_int_equal(gh_ech_keys_add(k, gh_span_str(bad[i].text), NOW, why), bad[i].rc);
        assert_true(why[0]);
    }
    memset(large, '\n', GH_ECH_PEM_MAX + 1);
    assert_int_equal(gh_ech_keys_add(k, gh_span_of(large, GH_ECH_PEM_MAX + 1), NOW, why), GH_ERR_TOO_LONG);
    assert_int_equal(gh_ech_keys_count(k), 0);
    assert_int_equal(gh_ech_keys_add(k, gh_span_str("# words before it\n" GO_KEY "# and between\n" GO_LIST "# and behind\n"), NOW, why), 0);
    assert_int_equal(ERR_peek_error(), 0);
    free(large);
    gh_ech_keys_put(k);
}

/* RFC 9849, section 4: a list may have configs that a client does not know; the private key belongs to some of them. */
static void a_list_may_hold_configs_of_others(void **state)
{
    struct gh_ech_keys *one = set_of(gh_span_str(go_pem)), *k = new_set();
    struct gh_span list = info_of(one, 0).list;
    uint8_t more[512], unknown[] = { 0xfe, 0x0c, 0, 3, 1, 2, 3 };
    struct gh_writer w = gh_writer_of(more, sizeof more);
    BIO *bio = BIO_new(BIO_s_mem());
    struct hello *h = calloc(1, sizeof *h);
    char *text;
    long len;

    (void)state;
    assert_true(bio && h);
    gh_write_u16(&w, (uint16_t)(sizeof unknown + 2 * (list.len - 2)));
    gh_write_bytes(&w, unknown, sizeof unknown);
    gh_write_bytes(&w, list.data + 2, list.len - 2);
    more[2 + sizeof unknown + 9] ^= 1; /* the first byte of the public key: somebody else's */
    gh_write_bytes(&w, list.data + 2, list.len - 2);
    assert_false(w.failed);
    BIO_puts(bio, GO_KEY);
    PEM_write_bio(bio, "ECHCONFIG", "", more, (long)gh_writer_len(&w));
    len = BIO_get_mem_data(bio, &text);
    assert_int_equal(gh_ech_keys_add(k, gh_span_of(text, (size_t)len), NOW, why), 0);
    assert_int_equal(info_of(k, 0).list.len, gh_writer_len(&w)); /* announced as it is */
    from_hex(go_hello_x25519, h);
    assert_int_equal(try_open(k, h, NOW), 1);
    BIO_free(bio);
    free(h);
    gh_ech_keys_put(one);
    gh_ech_keys_put(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos_of_other_implementations_open),
        cmocka_unit_test(hellos_of_openssl_open_with_our_own_keys),
        cmocka_unit_test(what_is_not_made_with_our_key_is_not_ours),
        cmocka_unit_test(every_byte_of_the_outer_hello_is_authenticated),
        cmocka_unit_test(lengths_that_cannot_be_are_refused_before_any_work),
        cmocka_unit_test(an_older_key_opens_until_its_time_is_up),
        cmocka_unit_test(of_two_keys_with_the_same_id_both_are_tried),
        cmocka_unit_test(ids_of_a_set_differ),
        cmocka_unit_test(what_we_make_is_what_the_library_reads),
        cmocka_unit_test(names_that_clients_would_refuse_are_not_taken),
        cmocka_unit_test(texts_that_are_no_key_are_refused_with_a_reason),
        cmocka_unit_test(a_list_may_hold_configs_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
