#include "wire/uri_template.h"

#include "../test.h"

static struct gh_uri_template t;
static struct gh_ip_scope scope;

static int parse(const char *text)
{
    return gh_uri_template_parse(gh_span_str(text), &t);
}

static const char *expand(const char *target, const char *ipproto)
{
    static char buf[512];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    assert_int_equal(gh_ip_scope_parse(gh_span_str(target), gh_span_str(ipproto), &scope), 0);
    gh_uri_template_expand(&t, &scope, &w);
    gh_write_u8(&w, 0);
    assert_false(w.failed);
    return buf;
}

static void R1_templates_of_the_rfc_are_accepted(void **state)
{
    /* the examples of RFC 9484, section 3 */
    static const char *const good[] = {
        "https://example.org/.well-known/masque/ip/{target}/{ipproto}/",
        "https://proxy.example.org:4443/masque/ip?t={target}&i={ipproto}",
        "https://proxy.example.org:4443/masque/ip{?target,ipproto}",
        "https://masque.example.org/?user=bob",
    };

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(parse(good[i]), 0);
    assert_int_equal(parse(good[1]), 0);
    assert_true(gh_span_equals(t.scheme, gh_span_str("https")));
    assert_true(gh_span_equals(t.authority, gh_span_str("proxy.example.org:4443")));
    assert_true(gh_span_equals(t.path, gh_span_str("/masque/ip?t={target}&i={ipproto}")));
}

static void R1_bad_templates_are_rejected(void **state)
{
    static const char *const bad[] = {
        "", "/.well-known/masque/ip/{target}/{ipproto}/", "https:/x/", "https://", "https:///x", "https://h", "://h/x", "1s://h/x",
        "https://{target}/x", "https://h{target}/", "https://u@h/x", "https://h?x={target}", /* authority and path */
        "https://h/{+target}", "https://h/{#target}", "https://h/{.target}", "https://h{/target}", "https://h/{/target}",
        "https://h/{;target}", "https://h/{|target}", /* operators */
        "https://h/{target:3}", "https://h/{target*}", /* level 4 */
        "https://h/{user}", "https://h/{}", "https://h/{target,}", "https://h/{target,target}", "https://h/{target}/{target}",
        "https://h/{target", "https://h/target}", "https://h/x#frag", "https://h/a b", "https://h/\xc3\xa9", "https://h /x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(bad[i]), GH_ERR_MALFORMED);
}

static void R1_a_template_has_bounds(void **state)
{
    char text[GH_URI_TEMPLATE_MAX + 2];

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "https://h/", 10);
    assert_int_equal(gh_uri_template_parse(gh_span_of(text, sizeof text), &t), GH_ERR_TOO_LONG);
    memcpy(text, "//////////", 10);
    assert_int_equal(gh_uri_template_parse_path(gh_span_of(text, sizeof text), &t), GH_ERR_TOO_LONG);
    assert_int_equal(gh_uri_template_parse_path(gh_span_str("x"), &t), GH_ERR_MALFORMED);
}

static void R1_variables_are_expanded_and_encoded(void **state)
{
    (void)state;
    assert_int_equal(gh_uri_template_parse_path(gh_span_str(GH_URI_TEMPLATE_DEFAULT_PATH), &t), 0);
    assert_string_equal(expand("*", "*"), "/.well-known/masque/ip/%2A/%2A/");
    assert_string_equal(expand("192.0.2.0%2F24", "17"), "/.well-known/masque/ip/192.0.2.0%2F24/17/");
    assert_string_equal(expand("2001%3Adb8%3A%3A%2F32", "58"), "/.well-known/masque/ip/2001%3Adb8%3A%3A%2F32/58/");
    assert_string_equal(expand("target.example", "132"), "/.well-known/masque/ip/target.example/132/");
    assert_int_equal(parse("https://h/ip{?target,ipproto}"), 0);
    assert_string_equal(expand("192.0.2.1", "6"), "/ip?target=192.0.2.1%2F32&ipproto=6");
    assert_int_equal(parse("https://h/ip?x=1{&ipproto,target}"), 0);
    assert_string_equal(expand("a.b", "6"), "/ip?x=1&ipproto=6&target=a.b");
    assert_int_equal(parse("https://h/ip/{target,ipproto}"), 0);
    assert_string_equal(expand("a.b", "6"), "/ip/a.b,6");
    assert_int_equal(parse("https://h/vpn"), 0);
    assert_string_equal(expand("a.b", "6"), "/vpn");
}

static int request(const char *path)
{
    return gh_uri_template_parse_request(&t, gh_span_str(path), &scope);
}

static void R3_target_and_ipproto_are_read_from_the_path(void **state)
{
    char text[GH_PREFIX_TEXT];

    (void)state;
    assert_int_equal(gh_uri_template_parse_path(gh_span_str(GH_URI_TEMPLATE_DEFAULT_PATH), &t), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(request(i ? "/.well-known/masque/ip/*/*/" : "/.well-known/masque/ip/%2A/%2a/"), 0);
        assert_int_equal(scope.kind, GH_IP_SCOPE_ANY);
        assert_int_equal(scope.ipproto, GH_IPPROTO_ANY);
    }
    assert_int_equal(request("/.well-known/masque/ip/192.0.2.0%2F24/17/"), 0);
    assert_int_equal(scope.kind, GH_IP_SCOPE_PREFIX);
    assert_string_equal(gh_prefix_emit(&scope.prefix, text), "192.0.2.0/24");
    assert_int_equal(scope.ipproto, 17);
    assert_int_equal(request("/.well-known/masque/ip/2001%3Adb8%3A%3a/0/"), 0);
    assert_string_equal(gh_prefix_emit(&scope.prefix, text), "2001:db8::/128");
    assert_int_equal(scope.ipproto, 0);
    assert_int_equal(request("/.well-known/masque/ip/t%61rget.example/255/"), 0);
    assert_int_equal(scope.kind, GH_IP_SCOPE_NAME);
    assert_string_equal(scope.name, "target.example");
    assert_int_equal(scope.ipproto, 255);
}

static void R3_anything_else_is_malformed(void **state)
{
    static const char *const bad[] = {
        "192.0.2.1%2F24/17/", "2001%3Adb8%3A%3A1%2F32/17/", /* host bits */
        "192.0.2.0%2F33/17/", "192.0.2.0%2F/17/", "192.0.2/17/", "1/17/", "300.1.1.1/17/", "fe80%3A%3A1%25eth0/17/",
        "a..b/17/", ".a/17/", "a%20b/17/", "a%00b/17/", "a%zzb/17/", "a%2/17/", "%C3%A9.example/17/", "a%21/17/",
        "*/256/", "*/1000/", "*/-1/", "*/tcp/", "*/1%20/",
    };
    char path[128], label[80];

    (void)state;
    assert_int_equal(gh_uri_template_parse_path(gh_span_str("/ip/{target}/{ipproto}/"), &t), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        strcat(strcpy(path, "/ip/"), bad[i]);
        assert_int_equal(request(path), GH_ERR_MALFORMED);
    }
    memset(label, 'a', 64);
    memcpy(label + 64, "/6/", 4);
    strcat(strcpy(path, "/ip/"), label);
    assert_int_equal(request(path), GH_ERR_MALFORMED);
}

static void R3_a_name_has_a_longest_length(void **state)
{
    char name[300];

    (void)state;
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 10 == 9 ? '.' : 'a';
    assert_int_equal(gh_ip_scope_parse(gh_span_of(name, 253), gh_span_str("6"), &scope), 0);
    assert_int_equal(strlen(scope.name), 253);
    assert_int_equal(gh_ip_scope_parse(gh_span_of(name, 254), gh_span_str("6"), &scope), GH_ERR_MALFORMED);
    assert_int_equal(gh_ip_scope_parse(gh_span_str("a"), gh_span_str("1234"), &scope), GH_ERR_MALFORMED);
}

static void R6_a_path_that_does_not_fit_is_not_found(void **state)
{
    static const char *const bad[] = { "", "/", "/ip/*/6", "/ip//6/", "/ip/*/6/x", "/ip/a/b/6/", "/other/*/6/", "/ip/*/6/?q" };
    char big[4096];

    (void)state;
    assert_int_equal(gh_uri_template_parse_path(gh_span_str("/ip/{target}/{ipproto}/"), &t), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(request(bad[i]), GH_ERR_NOT_FOUND);
    memset(big, 'a', sizeof big);
    assert_int_equal(gh_uri_template_parse_request(&t, gh_span_of(big, sizeof big), &scope), GH_ERR_NOT_FOUND);
}

static void matching_looks_for_every_way_to_fit(void **state)
{
    (void)state;
    assert_int_equal(gh_uri_template_parse_path(gh_span_str("/ip/{target}-{ipproto}"), &t), 0);
    assert_int_equal(request("/ip/a-b-c-17"), 0);
    assert_string_equal(scope.name, "a-b-c");
    assert_int_equal(scope.ipproto, 17);
    assert_int_equal(gh_uri_template_parse_path(gh_span_str("/ip{?target,ipproto}"), &t), 0);
    assert_int_equal(request("/ip?target=a.b&ipproto=6"), 0);
    assert_string_equal(scope.name, "a.b");
    assert_int_equal(gh_uri_template_parse_path(gh_span_str("/vpn"), &t), 0);
    assert_int_equal(request("/vpn"), 0);
    assert_int_equal(scope.kind, GH_IP_SCOPE_ANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R1_templates_of_the_rfc_are_accepted),
        cmocka_unit_test(R1_bad_templates_are_rejected),
        cmocka_unit_test(R1_a_template_has_bounds),
        cmocka_unit_test(R1_variables_are_expanded_and_encoded),
        cmocka_unit_test(R3_target_and_ipproto_are_read_from_the_path),
        cmocka_unit_test(R3_anything_else_is_malformed),
        cmocka_unit_test(R3_a_name_has_a_longest_length),
        cmocka_unit_test(R6_a_path_that_does_not_fit_is_not_found),
        cmocka_unit_test(matching_looks_for_every_way_to_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
