#include "crypto/cert.h"

#include <stdio.h>

#include "../test.h"
#include "base/error.h"
#include "odd_cert.h"

static void write_name(void *arg, enum gh_cert_name kind, struct gh_span value)
{
    static const char *const kinds[] = { "uri", "dns", "ip", "cn" };
    char *text = arg;
    size_t len = strlen(text);

    if (kind == GH_CERT_IP)
        snprintf(text + len, 512 - len, "ip:%zu ", value.len);
    else
        snprintf(text + len, 512 - len, "%s:%.*s ", kinds[kind], (int)value.len, (const char *)value.data);
}

static void names_come_in_order_the_cn_last(void **state)
{
    struct gh_cert *c = odd_cert(&(struct odd_cert){ .cn = { "one", "two" },
                                                     .san = "DNS:a.example,URI:spiffe://d/agent/x,email:m@a.example,IP:192.0.2.1,"
                                                            "IP:2001:db8::1,DNS:b.example" });
    char text[512] = "";

    (void)state;
    assert_int_equal(gh_cert_each_name(c, write_name, text), 0);
    assert_string_equal(text, "dns:a.example uri:spiffe://d/agent/x ip:4 ip:16 dns:b.example cn:one cn:two ");
    gh_cert_destroy(c);
    c = odd_cert(&(struct odd_cert){ 0 });
    text[0] = 0;
    assert_int_equal(gh_cert_each_name(c, write_name, text), 0);
    assert_string_equal(text, "");
    gh_cert_destroy(c);
    gh_cert_destroy(NULL);
}

static void fields_are_what_was_written(void **state)
{
    struct gh_cert *c = odd_cert(&(struct odd_cert){ .eku = "clientAuth,emailProtection" });
    char serial[GH_CERT_SERIAL_TEXT];

    (void)state;
    assert_int_equal(gh_cert_not_before(c), 1000000000);
    assert_int_equal(gh_cert_not_after(c), 2000000000);
    assert_int_equal(gh_cert_serial(c, serial), 0);
    assert_string_equal(serial, "ABCDEF");
    assert_int_equal(gh_cert_usages(c), GH_CERT_CLIENT_AUTH);
    assert_false(gh_cert_is_ca(c));
    gh_cert_destroy(c);
    c = odd_cert(&(struct odd_cert){ .eku = "serverAuth,clientAuth", .basic = "critical,CA:TRUE" });
    assert_int_equal(gh_cert_usages(c), GH_CERT_CLIENT_AUTH | GH_CERT_SERVER_AUTH);
    assert_true(gh_cert_is_ca(c));
    gh_cert_destroy(c);
    c = odd_cert(&(struct odd_cert){ 0 });
    assert_int_equal(gh_cert_usages(c), 0); /* none is not all */
    gh_cert_destroy(c);
    c = odd_cert(&(struct odd_cert){ .eku = "anyExtendedKeyUsage" });
    assert_int_equal(gh_cert_usages(c), 0);
    gh_cert_destroy(c);
}

static void an_extension_that_stands_twice_is_malformed(void **state)
{
    /* RFC 5280, section 4.2: a certificate must not have more than one instance of an extension */
    struct gh_cert *c = odd_cert(&(struct odd_cert){ .san = "DNS:a.example", .san_twice = 1 });
    char text[512] = "";

    (void)state;
    assert_int_equal(gh_cert_each_name(c, write_name, text), GH_ERR_MALFORMED);
    gh_cert_destroy(c);
}

static void every_cut_of_a_certificate_is_refused(void **state)
{
    struct gh_span der = odd_der(&(struct odd_cert){ .cn = { "x" }, .san = "DNS:a.example" });
    uint8_t *longer = malloc(der.len + 1);
    struct gh_cert *c = NULL;

    (void)state;
    assert_non_null(longer);
    memcpy(longer, der.data, der.len);
    longer[der.len] = 0;
    for (size_t len = 0; len < der.len; len++)
        assert_int_equal(gh_cert_parse_der(gh_span_of(der.data, len), &c), GH_ERR_MALFORMED);
    assert_int_equal(gh_cert_parse_der(gh_span_of(longer, der.len + 1), &c), GH_ERR_MALFORMED);
    assert_int_equal(gh_cert_parse_pem(der, &c), GH_ERR_MALFORMED);
    assert_int_equal(gh_cert_parse_pem(gh_span_of("", 0), &c), GH_ERR_MALFORMED);
    assert_null(c);
    assert_int_equal(ERR_peek_error(), 0); /* nothing left for the next caller of the library to stumble over */
    free(longer);
    OPENSSL_free((void *)der.data);
}

static void flipped_bytes_never_do_harm(void **state)
{
    struct gh_span der = odd_der(&(struct odd_cert){ .cn = { "x" }, .san = "URI:spiffe://d/agent/x", .eku = "clientAuth" });
    uint8_t *copy = malloc(der.len);
    char serial[GH_CERT_SERIAL_TEXT], text[512];
    unsigned parsed = 0, refused = 0;

    (void)state;
    assert_non_null(copy);
    for (size_t at = 0; at < der.len * 8; at++) {
        struct gh_cert *c = NULL;

        memcpy(copy, der.data, der.len);
        copy[at / 8] ^= (uint8_t)(1 << at % 8);
        if (gh_cert_parse_der(gh_span_of(copy, der.len), &c) < 0) {
            refused++;
            continue;
        }
        parsed++;
        text[0] = 0;
        gh_cert_each_name(c, write_name, text);
        gh_cert_usages(c);
        gh_cert_is_ca(c);
        gh_cert_serial(c, serial);
        assert_int_equal(ERR_peek_error(), 0);
        gh_cert_destroy(c);
    }
    assert_true(parsed > 0 && refused > 0);
    free(copy);
    OPENSSL_free((void *)der.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_in_order_the_cn_last),
        cmocka_unit_test(fields_are_what_was_written),
        cmocka_unit_test(an_extension_that_stands_twice_is_malformed),
        cmocka_unit_test(every_cut_of_a_certificate_is_refused),
        cmocka_unit_test(flipped_bytes_never_do_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
