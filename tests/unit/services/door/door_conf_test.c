#include "services/door/door_conf.h"

#include <stdio.h>

#include "../../test.h"
#include "base/error.h"
#include "core/node_conf.h"

static struct gh_conf *parse(const char *yaml, char *ret_errors, size_t cap)
{
    static const struct gh_conf_section *const sections[] = { &gh_conf_section_node, &gh_door_conf_section, NULL };
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_text text;

    gh_conf_errors_init(&errors);
    gh_text_init_fixed(&text, ret_errors, cap);
    (void)gh_conf_parse(&(struct gh_conf_input){ gh_span_str(yaml), "d.yaml", NULL, sections }, &errors, &conf);
    gh_conf_errors_emit(&errors, &text);
    gh_conf_errors_fini(&errors);
    if (!conf && !*ret_errors)
        fail_msg("it was refused without a word");
    return conf;
}

static void urls_are_a_scheme_and_a_host(void **state)
{
    static const struct {
        const char *text;
        bool secure;
        const char *host;
        unsigned port;
        const char *authority;
    } rows[] = {
        { "http://a.test", false, "a.test", 80, "a.test" }, { "https://a.test/", true, "a.test", 443, "a.test" },
        { "http://a.test:8080", false, "a.test", 8080, "a.test:8080" }, { "http://192.0.2.1:81/", false, "192.0.2.1", 81, "192.0.2.1:81" },
        { "http://[2001:db8::1]", false, "2001:db8::1", 80, "[2001:db8::1]" }, { "https://[2001:db8::1]:8443", true, "2001:db8::1", 8443, "[2001:db8::1]:8443" },
    };
    static const char *const bad[] = { "", "a.test", "http://", "http:///", "ftp://a.test", "http://a.test/path", "http://a.test?x", "http://user@a.test",
                                       "http://a.test:0", "http://a.test:70000", "http://a.test:", "http://2001:db8::1", "http://[::1", "HTTP://a.test", "http://a b",
                                       "http://a.test//" };
    struct door_url u;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(door_url_parse(rows[i].text, &u), 0);
        assert_int_equal(u.secure, rows[i].secure);
        assert_string_equal(u.origin.host, rows[i].host);
        assert_int_equal(u.origin.port, rows[i].port);
        assert_string_equal(u.authority, rows[i].authority);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (door_url_parse(bad[i], &u) == 0)
            fail_msg("taken: %s", bad[i]);
}

static void a_door_without_a_camouflage_has_a_page(void **state)
{
    char errors[1024];
    struct gh_conf *conf = parse("door: {listen: [\":8443\"]}\n", errors, sizeof errors);
    struct gh_door_conf c;

    (void)state;
    assert_string_equal(errors, "");
    assert_int_equal(gh_door_conf_load(conf, &c), 0);
    assert_false(c.has_relay);
    assert_false(c.has_proxy);
    assert_string_equal(c.site, "");
    assert_string_equal(c.server, "nginx");
    gh_door_conf_fini(&c);
    gh_conf_destroy(conf);
}

static void a_proxy_is_loaded_as_it_is_written(void **state)
{
    char errors[1024];
    struct gh_conf *conf = parse("door: {camouflage: {proxy: \"https://www.example.com\", keep_host: false, forwarded: true, timeout: 5s, server: \"\"}}\n", errors,
                                 sizeof errors);
    struct gh_door_conf c;

    (void)state;
    assert_string_equal(errors, "");
    assert_int_equal(gh_door_conf_load(conf, &c), 0);
    assert_true(c.has_proxy && c.proxy.secure && c.forwarded);
    assert_false(c.keep_host);
    assert_string_equal(c.proxy.origin.host, "www.example.com");
    assert_int_equal(c.camouflage_timeout, 5 * INT64_C(1000000000));
    assert_string_equal(c.server, "");
    gh_door_conf_fini(&c);
    gh_conf_destroy(conf);
}

static void a_route_may_be_to_the_nodes_own_tunnel(void **state)
{
    char errors[1024];
    struct gh_conf *conf = parse("door:\n  local_routes: {vpn.test: tunnel, tunnel.test: 'tunnel:443'}\n", errors, sizeof errors);
    struct gh_door_conf c;

    (void)state;
    assert_string_equal(errors, "");
    assert_int_equal(gh_door_conf_load(conf, &c), 0);
    assert_int_equal(c.target_count, 2);
    assert_true(c.targets[0].tunnel);
    assert_int_equal(c.targets[0].origin_count, 0);
    assert_false(c.targets[1].tunnel); /* a host of that name */
    assert_int_equal(c.targets[1].origin_count, 1);
    gh_door_conf_fini(&c);
    gh_conf_destroy(conf);
}

static void what_cannot_be_is_said_at_its_place(void **state)
{
    static const struct {
        const char *yaml, *said;
    } rows[] = {
        { "door:\n  camouflage:\n    relay: a.test:443\n    site: /srv\n", "d.yaml:4:11: door.camouflage.site: door.camouflage.relay is there already" },
        { "door:\n  camouflage:\n    proxy: http://a.test\n    relay: a.test:443\n", "door.camouflage.relay is there already" },
        { "door:\n  camouflage:\n    proxy: a.test\n", "d.yaml:3:12: door.camouflage.proxy is \"a.test\"; it must be such as" },
        { "door:\n  local_routes: {vpn.test: [tunnel, 'a.test:443']}\n", "\"tunnel\" must be a backend such as" },
        { "door:\n  camouflage:\n    proxy: https://192.0.2.1\n", "https needs a name" },
        { "door:\n  camouflage:\n    server: \" x\"\n", "door.camouflage.server must be printable" },
        { "door:\n  camouflage:\n    server: n\u00e4me\n", "door.camouflage.server must be printable" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char errors[1024];
        struct gh_conf *conf = parse(rows[i].yaml, errors, sizeof errors);

        if (!strstr(errors, rows[i].said))
            fail_msg("%s: %s", rows[i].yaml, errors);
        assert_null(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_a_scheme_and_a_host),
        cmocka_unit_test(a_door_without_a_camouflage_has_a_page),
        cmocka_unit_test(a_proxy_is_loaded_as_it_is_written),
        cmocka_unit_test(a_route_may_be_to_the_nodes_own_tunnel),
        cmocka_unit_test(what_cannot_be_is_said_at_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
