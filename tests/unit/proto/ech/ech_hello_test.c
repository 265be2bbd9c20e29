#include "proto/ech/ech_hello.h"

#include "../../crypto/ech_vectors.h"
#include "../../test.h"
#include "base/error.h"
#include "base/hex.h"
#include "forge.h"

#define NOW ((int64_t)1800000000)

static struct gh_ech_keys *keys;
static struct gh_span list;

static int setup(void **state)
{
    struct gh_ech_key_info i;
    char why[GH_ECH_WHY];

    (void)state;
    assert_int_equal(gh_ech_keys_create(GH_ECH_KEEP, &keys), 0);
    assert_int_equal(gh_ech_keys_add(keys, gh_span_str(go_pem), NOW, why), 0);
    assert_true(gh_ech_keys_info(keys, 0, &i));
    list = i.list;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gh_ech_keys_put(keys);
    return 0;
}

static void the_inner_name_and_alpn_of_other_implementations_hellos_come_out(void **state)
{
    static const char *const hellos[] = { go_hello_x25519, go_hello_default, chrome_hello_ech, chrome_hello_grease };
    struct gh_ech_hello *r = malloc(sizeof *r);
    uint8_t bytes[4096];

    (void)state;
    assert_non_null(r);
    for (size_t i = 0; i < sizeof hellos / sizeof hellos[0]; i++) {
        struct gh_tls_hello_reader reader;
        size_t len = strlen(hellos[i]) / 2;
        struct gh_tls_hello outer;

        assert_true(gh_hex_decode(gh_span_str(hellos[i]), GH_HEX_LOWER, bytes, len));
        gh_tls_hello_reader_init(&reader, 0);
        assert_int_equal(gh_tls_hello_read(&reader, gh_span_of(bytes, len), &outer), 1);
        assert_true(outer.ech.present);
        if (hellos[i] == chrome_hello_grease) {
            assert_string_equal(outer.sni, "inner.example");
            assert_int_equal(gh_ech_hello_open(keys, &outer, NOW, r), 0);
        } else {
            assert_string_equal(outer.sni, "cover.example");
            assert_int_equal(gh_ech_hello_open(keys, &outer, NOW, r), 1);
            assert_string_equal(r->inner.sni, "inner.example");
            assert_true(gh_tls_hello_alpn_has(&r->inner, "h2") && gh_tls_hello_alpn_has(&r->inner, "http/1.1"));
            assert_true(gh_tls_hello_offers(&r->inner, 0x0304));
        }
        gh_tls_hello_reader_fini(&reader);
    }
    free(r);
}

/* <r> borrows from <f>. */
static int open_forged(struct gh_span extensions, struct gh_span inner, struct forge *f, struct gh_ech_hello *r)
{
    struct gh_tls_hello outer;
    int rc;

    forge_hello(list, extensions, inner, f);
    assert_int_equal(gh_tls_hello_parse(gh_span_of(f->body, f->len), &outer), 0);
    rc = gh_ech_hello_open(keys, &outer, NOW, r);
    if (rc != 0) { /* it opened, whatever it is */
        assert_int_equal(r->opened.len, inner.len);
        assert_memory_equal(r->opened.inner, inner.data, inner.len);
    }
    return rc;
}

#define HEAD "0303" "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" "00" "00021301" "0100"
#define NAME "0000" "0012" "0010" "00" "000d" "696e6e65722e6578616d706c65"
#define VERSIONS "002b" "0003" "020304"
#define IS_INNER "fe0d" "0001" "01"
#define OUTER_ALPN "0010" "0005" "0003" "026832"

/* RFC 9849, section 5.1 and 7.1: what a server must refuse. */
static void an_inner_hello_that_may_not_be_is_malformed(void **state)
{
    static const struct {
        const char *what, *outer, *inner;
        int rc;
    } cases[] = {
        { "plain", "", HEAD "0022" NAME VERSIONS IS_INNER, 1 },
        { "padded", "", HEAD "0022" NAME VERSIONS IS_INNER "000000000000", 1 },
        { "taken over", OUTER_ALPN, HEAD "0029" NAME VERSIONS IS_INNER "fd00" "0003" "02" "0010", 1 },
        { "padding that is none", "", HEAD "0022" NAME VERSIONS IS_INNER "00000001", GH_ERR_MALFORMED },
        { "not said to be inner", "", HEAD "001d" NAME VERSIONS, GH_ERR_MALFORMED },
        { "taken over what is not there", "", HEAD "0029" NAME VERSIONS IS_INNER "fd00" "0003" "02" "0010", GH_ERR_MALFORMED },
        { "taken over twice", OUTER_ALPN, HEAD "002b" NAME VERSIONS IS_INNER "fd00" "0005" "04" "00100010", GH_ERR_MALFORMED },
        { "takes ECH over", OUTER_ALPN, HEAD "0029" NAME VERSIONS IS_INNER "fd00" "0003" "02" "fe0d", GH_ERR_MALFORMED },
        { "cut off", "", HEAD "0030" NAME VERSIONS IS_INNER, GH_ERR_MALFORMED },
        { "nothing but zeroes", "", "00000000000000000000000000000000", GH_ERR_MALFORMED },
        { "with a session id", "", "0303" "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" "0101" "00021301" "0100" "0022" NAME VERSIONS IS_INNER,
          GH_ERR_MALFORMED },
    };
    struct gh_ech_hello *r = malloc(sizeof *r);
    struct forge *f = malloc(sizeof *f);

    (void)state;
    assert_true(r && f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t inner[512], outer[128];
        size_t inner_len = strlen(cases[i].inner) / 2, outer_len = strlen(cases[i].outer) / 2;
        int rc;

        assert_true(gh_hex_decode(gh_span_str(cases[i].inner), GH_HEX_LOWER, inner, inner_len));
        assert_true(gh_hex_decode(gh_span_str(cases[i].outer), GH_HEX_LOWER, outer, outer_len));
        rc = open_forged(gh_span_of(outer, outer_len), gh_span_of(inner, inner_len), f, r);
        if (rc != cases[i].rc)
            fail_msg("%s: %d", cases[i].what, rc);
        if (rc == 1)
            assert_string_equal(r->inner.sni, "inner.example");
        if (rc == 1 && outer_len)
            assert_true(gh_tls_hello_alpn_has(&r->inner, "h2"));
    }
    free(f);
    free(r);
}

static void a_hello_without_ech_or_with_another_form_of_it_is_not_ours(void **state)
{
    struct gh_ech_hello *r = malloc(sizeof *r);
    struct gh_tls_hello h = { .ech.present = false };

    (void)state;
    assert_non_null(r);
    assert_int_equal(gh_ech_hello_open(keys, &h, NOW, r), 0);
    h.ech.present = h.ech.inner_type = true;
    assert_int_equal(gh_ech_hello_open(keys, &h, NOW, r), 0);
    h.ech.inner_type = false;
    h.ech.malformed = true;
    assert_int_equal(gh_ech_hello_open(keys, &h, NOW, r), 0);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_inner_name_and_alpn_of_other_implementations_hellos_come_out),
        cmocka_unit_test(an_inner_hello_that_may_not_be_is_malformed),
        cmocka_unit_test(a_hello_without_ech_or_with_another_form_of_it_is_not_ours),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
