#include "services/agent/agent_conf.h"

#include "../test.h"
#include "base/error.h"
#include "core/node_conf.h"

#define FILES "certificate: /c, key: /k, ca: /a, trust_domain: example.org"
#define SECOND INT64_C(1000000000)

static struct gh_conf *parse(const char *yaml, char *ret_errors, size_t cap)
{
    static const struct gh_conf_section *const sections[] = { &gh_conf_section_node, &gh_conf_section_log, &gh_agent_conf_section, NULL };
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_text text;

    gh_conf_errors_init(&errors);
    gh_text_init_fixed(&text, ret_errors, cap);
    (void)gh_conf_parse(&(struct gh_conf_input){ gh_span_str(yaml), "a.yaml", NULL, sections }, &errors, &conf);
    gh_conf_errors_emit(&errors, &text);
    gh_conf_errors_fini(&errors);
    return conf;
}

static void defaults_are_those_that_the_documentation_promises(void **state)
{
    char errors[1024];
    struct gh_conf *conf = parse("agent: {relay: 'https://relay.gatehouse.example:4433', " FILES "}\n", errors, sizeof errors);
    struct gh_agent_conf a;

    (void)state;
    assert_string_equal(errors, "");
    assert_non_null(conf);
    assert_int_equal(gh_agent_conf_load(conf, &a), 0);
    assert_string_equal(a.relays[0].host, "relay.gatehouse.example");
    assert_int_equal(a.relays[0].port, 4433);
    /* RFC 9484, section 3 */
    assert_string_equal(a.template, "/.well-known/masque/ip/{target}/{ipproto}/");
    assert_string_equal(a.server_name, "");
    assert_string_equal(a.tun, "gh-agent0");
    assert_int_equal(a.allow_route_count, 2);
    assert_true(a.routing);
    assert_int_equal(a.table, 5100);
    assert_int_equal(a.fwmark, 0x4748);
    assert_true(a.offload_tun && a.offload_udp && a.wide_aes);
    assert_int_equal(a.idle_timeout, 30 * SECOND);
    assert_int_equal(a.keep_alive, 10 * SECOND);
    assert_int_equal(a.reconnect_min, SECOND / 5);
    assert_int_equal(a.reconnect_max, 30 * SECOND);
    assert_int_equal(a.assign_timeout, 5 * SECOND);
    assert_string_equal(a.socket, "/run/gatehouse/agent.sock");
    assert_false(a.dns);
    gh_conf_destroy(conf);
}

static void the_relay_is_an_origin_or_a_host_with_a_port(void **state)
{
    static const struct {
        const char *text, *host; /* NULL: refused */
        unsigned port;
    } cases[] = {
        { "https://r.example:4433", "r.example", 4433 },
        { "https://r.example", "r.example", 443 },
        { "https://r.example/", "r.example", 443 },
        { "r.example:1", "r.example", 1 },
        { "192.0.2.1:4433", "192.0.2.1", 4433 },
        { "[2001:db8::1]:4433", "2001:db8::1", 4433 },
        { "https://[2001:db8::1]", "2001:db8::1", 443 },
        { "http://r.example", NULL, 0 },
        { "https://r.example/path", NULL, 0 },
        { "r.example:0", NULL, 0 },
        { "r.example:65536", NULL, 0 },
        { "r.example:99999999999", NULL, 0 },
        { "r.example:", NULL, 0 },
        { "2001:db8::1", NULL, 0 },
        { "[192.0.2.1]:1", NULL, 0 },
        { "[2001:db8::1", NULL, 0 },
        { "a b", NULL, 0 },
        { "user@r.example", NULL, 0 },
        { ":4433", NULL, 0 },
        { "", NULL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char host[256] = "";
        uint16_t port = 0;
        int rc = gh_agent_relay_parse(cases[i].text, host, &port);

        assert_int_equal(rc, cases[i].host ? 0 : GH_ERR_MALFORMED);
        assert_string_equal(host, cases[i].host ? cases[i].host : "");
        assert_int_equal(port, cases[i].port);
    }
}

static void rows_that_contradict_each_other_are_refused(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } cases[] = {
        { "agent: {relay: 'http://x', " FILES "}\n", "agent.relay must be such as https://relay.gatehouse.example:4433" },
        { "agent: {relay: x, template: ip, " FILES "}\n", "agent.template must begin with / or https://" },
        { "agent: {relay: x, mtu: 1000, " FILES "}\n", "agent.mtu is 1000; it must be 0 or at least 1280" },
        { "agent: {relay: x, table: 254, " FILES "}\n", "agent.table is 254, which the system uses; take another" },
        { "agent: {relay: x, reconnect_min: 31s, " FILES "}\n", "agent.reconnect_min must be no more than agent.reconnect_max" },
        { "agent: {relay: x, keep_alive: 30s, " FILES "}\n", "agent.keep_alive must be shorter than agent.idle_timeout" },
        { "agent: {" FILES "}\n", "agent.relay is missing: the relay to connect to" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char errors[2048];

        assert_null(parse(cases[i].yaml, errors, sizeof errors));
        assert_non_null(strstr(errors, cases[i].expected));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_that_the_documentation_promises),
        cmocka_unit_test(the_relay_is_an_origin_or_a_host_with_a_port),
        cmocka_unit_test(rows_that_contradict_each_other_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
