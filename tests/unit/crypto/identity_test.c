#include "crypto/identity.h"

#include <stdio.h>

#include "../test.h"
#include "base/error.h"
#include "odd_cert.h"

#define ALL_ROLES (GH_ROLE_BIT(GH_ROLE_AGENT) | GH_ROLE_BIT(GH_ROLE_RELAY) | GH_ROLE_BIT(GH_ROLE_CONNECTOR))
#define URI_ONLY { GH_IDENTITY_SAN_URI }, 1
#define EVERY { GH_IDENTITY_SAN_URI, GH_IDENTITY_SAN_DNS, GH_IDENTITY_CN }, 3

static const struct gh_identity_rules uri_only = { "corp.example", URI_ONLY, ALL_ROLES };
static const struct gh_identity_rules every = { "corp.example", EVERY, ALL_ROLES };
static const struct gh_identity_rules agents = { "corp.example", EVERY, GH_ROLE_BIT(GH_ROLE_AGENT) };
static const struct gh_identity_rules relays = { "corp.example", EVERY, GH_ROLE_BIT(GH_ROLE_RELAY) };
static const struct gh_identity_rules cn_first = { "corp.example", { GH_IDENTITY_CN, GH_IDENTITY_SAN_URI }, 2, ALL_ROLES };

#define X32 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X128 X32 X32 X32 X32

/* <name> NULL: refused, and <why> is part of the reason. */
struct row {
    struct odd_cert cert;
    const struct gh_identity_rules *rules;
    const char *name;
    enum gh_role role;
    enum gh_identity_source source;
    const char *why;
};

static const struct row rows[] = {
    /* the rule */
    { { .san = "URI:spiffe://corp.example/agent/client-1", .eku = "clientAuth" }, &uri_only, "client-1", GH_ROLE_AGENT },
    { { .san = "URI:spiffe://corp.example/relay/R.2_x", .eku = "serverAuth" }, &uri_only, "R.2_x", GH_ROLE_RELAY },
    { { .san = "URI:spiffe://corp.example/connector/c", .eku = "clientAuth" }, &uri_only, "c", GH_ROLE_CONNECTOR },
    { { .san = "URI:spiffe://corp.example/agent/" X128, .eku = "clientAuth" }, &uri_only, X128, GH_ROLE_AGENT },
    { { .san = "URI:https://corp.example/,DNS:d,URI:spiffe://corp.example/agent/a", .eku = "clientAuth" }, &uri_only, "a", GH_ROLE_AGENT },
    { { .san = "URI:spiffe://corp.example/agent/a,DNS:d", .cn = { "c" }, .eku = "clientAuth" }, &every, "a", GH_ROLE_AGENT },
    /* role by path and by extended key usage */
    { { .san = "URI:spiffe://corp.example/agent/a", .eku = "serverAuth" }, &uri_only, .why = "agent has no extended key usage clientAuth" },
    { { .san = "URI:spiffe://corp.example/relay/a", .eku = "clientAuth" }, &uri_only, .why = "relay has no extended key usage serverAuth" },
    { { .san = "URI:spiffe://corp.example/connector/a", .eku = "serverAuth" }, &uri_only, .why = "no extended key usage clientAuth" },
    { { .san = "URI:spiffe://corp.example/agent/a" }, &uri_only, .why = "no extended key usage" },
    { { .san = "URI:spiffe://corp.example/agent/a", .eku = "anyExtendedKeyUsage" }, &uri_only, .why = "no extended key usage" },
    /* with both usages the path still says agent: it never plays relay */
    { { .san = "URI:spiffe://corp.example/agent/a", .eku = "clientAuth,serverAuth" }, &relays, .why = "role agent (a) is not accepted here" },
    { { .san = "URI:spiffe://corp.example/relay/a", .eku = "clientAuth,serverAuth" }, &agents, .why = "role relay (a) is not accepted here" },
    { { .san = "URI:spiffe://corp.example/connector/a", .eku = "clientAuth" }, &agents, .why = "role connector (a) is not accepted here" },
    /* what is not exactly such a URI */
    { { .san = "URI:spiffe://corp.example/agent/a,URI:spiffe://corp.example/agent/b", .eku = "clientAuth" }, &uri_only, .why = "2 SPIFFE URIs" },
    { { .san = "URI:spiffe://other.example/agent/a", .eku = "clientAuth" }, &uri_only, .why = "trust domain of" },
    { { .san = "URI:spiffe://corp.example.evil/agent/a", .eku = "clientAuth" }, &uri_only, .why = "trust domain of" },
    { { .san = "URI:spiffe://corp/agent/a", .eku = "clientAuth" }, &uri_only, .why = "trust domain of" },
    { { .san = "URI:spiffe://CORP.example/agent/a", .eku = "clientAuth" }, &uri_only, .why = "trust domain of" },
    { { .san = "URI:spiffe://corp.example", .eku = "clientAuth" }, &uri_only, .why = "trust domain of" },
    { { .san = "URI:SPIFFE://corp.example/agent/a", .eku = "clientAuth" }, &uri_only, .why = "does not start with spiffe://" },
    { { .san = "URI:spiffe:corp.example/agent/a", .eku = "clientAuth" }, &uri_only, .why = "does not start with spiffe://" },
    { { .san = "URI:spiffe://corp.example/admin/a", .eku = "clientAuth" }, &uri_only, .why = "is not /agent/NAME" },
    { { .san = "URI:spiffe://corp.example/agent", .eku = "clientAuth" }, &uri_only, .why = "is not /agent/NAME" },
    { { .san = "URI:spiffe://corp.example//agent/a", .eku = "clientAuth" }, &uri_only, .why = "is not /agent/NAME" },
    { { .san = "URI:spiffe://corp.example/agent/", .eku = "clientAuth" }, &uri_only, .why = "NAME of" },
    { { .san = "URI:spiffe://corp.example/agent/a/b", .eku = "clientAuth" }, &uri_only, .why = "NAME of" },
    { { .san = "URI:spiffe://corp.example/agent/..", .eku = "clientAuth" }, &uri_only, .why = "NAME of" },
    { { .san = "URI:spiffe://corp.example/agent/a%20b", .eku = "clientAuth" }, &uri_only, .why = "NAME of" },
    { { .san = "URI:spiffe://corp.example/agent/a?q", .eku = "clientAuth" }, &uri_only, .why = "NAME of" },
    { { .san = "URI:spiffe://corp.example/agent/" X128 "y", .eku = "clientAuth" }, &uri_only, .why = "NAME of" },
    { { .san = "URI:spiffe://corp.example/agent/" X128 X128 X128 X128 X128, .eku = "clientAuth" }, &uri_only, .why = "NAME of" },
    /* a URI of another trust domain is not overlooked for a name that would do */
    { { .san = "URI:spiffe://other.example/agent/a,DNS:d", .cn = { "c" }, .eku = "clientAuth" }, &every, .why = "trust domain of" },
    { { .san = "URI:spiffe://other.example/agent/a", .cn = { "c" }, .eku = "clientAuth" }, &cn_first, .why = "trust domain of" },
    { { .san = "URI:spiffe://corp.example/relay/a", .cn = { "c" }, .eku = "clientAuth" }, &cn_first, .why = "no extended key usage serverAuth" },
    /* names from elsewhere, when the operator says so, in the operator's order */
    { { .san = "DNS:host-7.corp.example", .cn = { "c" }, .eku = "clientAuth" }, &every, "host-7.corp.example", GH_ROLE_AGENT, GH_IDENTITY_SAN_DNS },
    { { .cn = { "old-client" }, .eku = "clientAuth" }, &every, "old-client", GH_ROLE_AGENT, GH_IDENTITY_CN },
    { { .san = "URI:spiffe://corp.example/agent/a", .cn = { "c" }, .eku = "clientAuth" }, &cn_first, "c", GH_ROLE_AGENT, GH_IDENTITY_CN },
    { { .san = "DNS:r.example,DNS:s.example", .eku = "serverAuth" }, &every, "r.example", GH_ROLE_RELAY, GH_IDENTITY_SAN_DNS },
    { { .san = "DNS:r.example,DNS:s.example", .eku = "clientAuth" }, &every, .why = "2 values of san_dns" },
    { { .cn = { "a", "b" }, .eku = "clientAuth" }, &every, .why = "2 values of cn" },
    { { .san = "DNS:*.example", .eku = "serverAuth" }, &every, .why = "san_dns \"*.example\" is not 1 to 128" },
    { { .cn = { "Jane Doe" }, .eku = "clientAuth" }, &every, .why = "cn \"Jane?Doe\" is not 1 to 128" },
    { { .cn = { "caf\xc3\xa9" }, .eku = "clientAuth" }, &every, .why = "cn \"caf??\" is not" },
    { { .cn = { "c" }, .eku = "clientAuth,serverAuth" }, &every, .why = "and not both" },
    { { .cn = { "c" } }, &every, .why = "needs the extended key usage" },
    { { .cn = { "c" }, .eku = "clientAuth" }, &relays, .why = "role agent (c) is not accepted here" },
    /* the refusal names the option that would accept it */
    { { .cn = { "c" }, .eku = "clientAuth" }, &uri_only, .why = "certificate has only a CN; set identity: [san_uri, cn] to accept it" },
    { { .cn = { "c" }, .san = "DNS:d", .eku = "clientAuth" }, &uri_only,
      .why = "certificate has only a DNS name and a CN; set identity: [san_uri, san_dns] to accept it" },
    { { .san = "IP:192.0.2.1", .eku = "clientAuth" }, &every, .why = "needs spiffe://corp.example/agent|relay|connector/NAME in its SAN" },
    { { .eku = "clientAuth" }, &uri_only, .why = "certificate has no name" },
    /* what cannot be a leaf */
    { { .san = "URI:spiffe://corp.example/agent/a", .eku = "clientAuth", .basic = "critical,CA:TRUE" }, &uri_only, .why = "is a CA's" },
    { { .san = "URI:spiffe://corp.example/agent/a", .eku = "clientAuth", .san_twice = 1 }, &uri_only, .why = "does not parse" },
};

static void the_table_of_certificates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct gh_cert *c = odd_cert(&r->cert);
        struct gh_identity id = { .name = "untouched" };
        char why[GH_IDENTITY_WHY] = "";
        int rc = gh_identity_of_cert(c, r->rules, &id, why);

        if (r->name && rc < 0)
            fail_msg("row %zu refused: %s", i, why);
        if (r->name) {
            assert_string_equal(id.name, r->name);
            assert_int_equal(id.role, r->role);
            assert_int_equal(id.source, r->source);
            assert_int_equal(id.not_after, 2000000000);
            assert_string_equal(id.serial, "ABCDEF");
        } else {
            if (rc >= 0 || !strstr(why, r->why))
                fail_msg("row %zu: %d, \"%s\" does not say \"%s\"", i, rc, why, r->why);
            assert_string_equal(id.name, "untouched");
        }
        gh_cert_destroy(c);
    }
}

static void a_nul_in_a_name_does_not_shorten_it(void **state)
{
    /* a parser that stops at NUL would see "admin" */
    struct gh_span der = odd_der(&(struct odd_cert){ .san = "URI:spiffe://corp.example/agent/admin-evil", .eku = "clientAuth" });
    uint8_t *at = memmem(der.data, der.len, "admin-evil", 10);
    struct gh_cert *c = NULL;
    struct gh_identity id;
    char why[GH_IDENTITY_WHY];

    (void)state;
    assert_non_null(at);
    at[5] = 0;
    assert_int_equal(gh_cert_parse_der(der, &c), 0);
    assert_int_equal(gh_identity_of_cert(c, &uri_only, &id, why), GH_ERR_DENIED);
    assert_non_null(strstr(why, "admin?evil"));
    gh_cert_destroy(c);
    OPENSSL_free((void *)der.data);
}

static void words_are_parsed_as_they_are_written(void **state)
{
    enum gh_role role;
    enum gh_identity_source source;

    (void)state;
    for (int i = 0; i < GH_ROLE_COUNT; i++) {
        assert_int_equal(gh_role_parse(gh_span_str(gh_role_name((enum gh_role)i)), &role), 0);
        assert_int_equal(role, i);
    }
    for (int i = 0; i < GH_IDENTITY_SOURCE_COUNT; i++) {
        assert_int_equal(gh_identity_source_parse(gh_span_str(gh_identity_source_name((enum gh_identity_source)i)), &source), 0);
        assert_int_equal(source, i);
    }
    assert_int_equal(gh_role_parse(gh_span_str("Agent"), &role), GH_ERR_NOT_FOUND);
    assert_int_equal(gh_identity_source_parse(gh_span_str(""), &source), GH_ERR_NOT_FOUND);
    assert_string_equal(gh_role_name(GH_ROLE_COUNT), "none");
    assert_string_equal(gh_identity_source_name(GH_IDENTITY_SOURCE_COUNT), "none");
    assert_false(gh_identity_domain_valid(gh_span_str("")));
    assert_false(gh_identity_domain_valid(gh_span_str("Corp.example")));
    assert_true(gh_identity_domain_valid(gh_span_str("corp_1.example-x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_certificates),
        cmocka_unit_test(a_nul_in_a_name_does_not_shorten_it),
        cmocka_unit_test(words_are_parsed_as_they_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
