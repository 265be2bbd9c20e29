#include "services/agent/agent_conf.h"

#include "../test.h"
#include "base/error.h"
#include "core/node_conf.h"

#define FILES "certificate: /c, key: /k, ca: /a, trust_domain: example.org"
#define SECOND INT64_C(1000000000)
#define PIN_KEY "pin=sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

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
    if (!conf && !*ret_errors)
        fail_msg("it was refused without a word");
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

static void a_link_is_a_whole_configuration(void **state)
{
    char errors[1024], text[GH_IP_TEXT];
    struct gh_conf *conf = parse("agent: {link: 'k2v5://alice:s3cret@inner.example:8443?ech=AQID_w&" PIN_KEY "&hop=10020-10119&ip=192.0.2.1&ip6=2001:db8::1#n'}\n", errors,
                                 sizeof errors);
    struct gh_agent_conf a, again;

    (void)state;
    assert_string_equal(errors, "");
    assert_int_equal(gh_agent_conf_load(conf, &a), 0);
    assert_int_equal(a.relay_count, 1);
    assert_string_equal(a.relays[0].host, "inner.example");
    assert_int_equal(a.relays[0].port, 8443);
    assert_int_equal(a.relays[0].address_count, 2);
    assert_string_equal(gh_ip_emit(&a.relays[0].addresses[1], text), "2001:db8::1");
    assert_string_equal(a.user, "alice");
    assert_true(gh_span_equals(a.token, gh_span_str("s3cret")));
    assert_int_equal(a.hop[0], 10020);
    assert_int_equal(a.hop[1], 10119);
    assert_int_equal(a.hop_interval, 30 * SECOND);
    assert_int_equal(a.pin_count, 1);
    assert_int_equal(a.pins[0][31], 31);
    assert_false(a.has_ca);
    assert_string_equal(a.certificate, "");
    gh_conf_destroy(conf);

    /* another link counts after a restart */
    conf = parse("agent: {link: 'k2v5://bob:t@other.example?" PIN_KEY "', mtu: 1400}\n", errors, sizeof errors);
    assert_int_equal(gh_agent_conf_reload(conf, &a, &again), 0);
    assert_string_equal(again.relays[0].host, "inner.example");
    assert_string_equal(again.user, "alice");
    assert_int_equal(again.mtu, 1400);
    gh_conf_destroy(conf);
    gh_agent_conf_wipe(&a);
    assert_string_equal(a.link.token, "");
}

static void what_is_set_counts_before_the_link(void **state)
{
    char errors[1024];
    struct gh_conf *conf = parse("agent: {link: 'k2v5://u:t@h?" PIN_KEY "', certificate: /c, key: /k, ca: /a, trust_domain: d, tunnel_name: n, "
                                 "pin: ['47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=']}\n", errors, sizeof errors);
    struct gh_agent_conf a;

    (void)state;
    assert_string_equal(errors, "");
    assert_int_equal(gh_agent_conf_load(conf, &a), 0);
    assert_int_equal(a.pin_count, 2); /* one of them it must be */
    assert_true(a.has_ca);
    assert_string_equal(a.certificate, "/c");
    assert_string_equal(a.user, "u");
    assert_string_equal(a.tunnel_name, "n");
    assert_int_equal(a.relays[0].address_count, 0);
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
        { "agent: {relay: x, hop: '2-1', " FILES "}\n", "agent.hop is \"2-1\"; it must be a range" },
        { "agent: {relay: x, hop: '0-1', " FILES "}\n", "agent.hop is" },
        { "agent: {relay: x, keep_alive: 30s, " FILES "}\n", "agent.keep_alive must be shorter than agent.idle_timeout" },
        { "agent: {" FILES "}\n", "agent.relay is missing: the relay to connect to" },
        { "agent: {relay: x, ca: /a, trust_domain: d}\n", "agent.certificate is missing: who are we" },
        { "agent: {relay: x, ca: /a, trust_domain: d, certificate: /c}\n", "agent.key is missing" },
        { "agent: {relay: x, ca: /a, certificate: /c, key: /k}\n", "agent.trust_domain is missing" },
        { "agent: {relay: x, ca: /a, trust_domain: d, user: u}\n", "agent.user and agent.token belong together" },
        { "agent: {link: 'k2v5://u:t@h'}\n", "agent.ca is missing" },
        { "agent: {link: 'k2v5://h?" PIN_KEY "'}\n", "agent.certificate is missing" },
        { "agent: {link: 'k2v5://u:t@h?" PIN_KEY "', relay: r}\n", "agent.relay is what agent.link says already" },
        { "agent: {link: 'k2v5://u:t@h?" PIN_KEY "', user: v, token: w}\n", "agent.user is what agent.link says already" },
        { "agent: {link: 'k2v5://u:t@h?ip=1'}\n", "agent.link, column 17: ip must be an address of IPv4" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char errors[2048];

        assert_null(parse(cases[i].yaml, errors, sizeof errors));
        assert_non_null(strstr(errors, cases[i].expected));
    }
}

/* The example of RFC 9934: one X25519 key for example.com. */
#define LIST "AD7+DQA65wAgACA8wVN2BtscOl3vQheUzHeIkVmKIiydUhDCliA4iyQRCwAEAAEAAQALZXhhbXBsZS5jb20AAA=="
#define LIST_LEN 64

static void a_pin_is_hexadecimal_or_base64(void **state)
{
    /* SHA-256 of nothing (FIPS 180-4) */
    static const char hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    uint8_t a[32], b[32];
    char text[80];

    (void)state;
    assert_int_equal(gh_agent_pin_parse("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", a), 0);
    snprintf(text, sizeof text, "sha256:%s", hex);
    assert_int_equal(gh_agent_pin_parse(text, b), 0);
    assert_memory_equal(a, b, 32);
    assert_int_equal(gh_agent_pin_parse(hex, b), 0);
    assert_int_equal(gh_agent_pin_parse("", a), GH_ERR_MALFORMED);
    assert_int_equal(gh_agent_pin_parse("sha256:", a), GH_ERR_MALFORMED);
    assert_int_equal(gh_agent_pin_parse("sha1:00", a), GH_ERR_MALFORMED);
    assert_int_equal(gh_agent_pin_parse("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==", a), GH_ERR_MALFORMED);
    text[70] = 'x';
    assert_int_equal(gh_agent_pin_parse(text, a), GH_ERR_MALFORMED);
}

static void an_ech_config_list_is_base64_perhaps_in_a_pem(void **state)
{
    uint8_t list[1500];
    size_t len = 0;

    (void)state;
    assert_int_equal(gh_agent_ech_parse(gh_span_str(LIST), list, &len), 0);
    assert_int_equal(len, LIST_LEN);
    len = 0;
    assert_int_equal(gh_agent_ech_parse(gh_span_str(" " LIST "\n\n"), list, &len), 0);
    assert_int_equal(len, LIST_LEN);
    len = 0;
    /* the private key is not ours to have, and is left alone */
    assert_int_equal(gh_agent_ech_parse(gh_span_str("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n-----BEGIN ECHCONFIG-----\n" LIST
                                                    "\n-----END ECHCONFIG-----\n"), list, &len), 0);
    assert_int_equal(len, LIST_LEN);
    assert_int_equal(gh_agent_ech_parse(gh_span_str(""), list, &len), GH_ERR_MALFORMED);
    assert_int_equal(gh_agent_ech_parse(gh_span_str("/etc/ech"), list, &len), GH_ERR_MALFORMED);
    assert_int_equal(gh_agent_ech_parse(gh_span_str("-----BEGIN ECHCONFIG-----\n" LIST), list, &len), GH_ERR_MALFORMED);
}

static void who_vouches_for_the_relay_must_be_said(void **state)
{
    static const struct {
        const char *yaml, *error; /* "": none */
    } cases[] = {
        { "ca: /a", "" },
        { "pin: [47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=]", "" },
        { "ca: /a, pin: [47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=]", "" },
        { "mtu: 0", "agent.ca is missing" },
        { "ca: /a, pin: [abc]", "agent.pin must be" },
        { "ca: /a, ech: " LIST, "" },
        { "ca: /a, ech: /etc/gatehouse/ech", "" },
        { "ca: /a, ech: nonsense", "agent.ech must be" },
        { "ca: /a, transport: udp", "transport" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[512], errors[1024] = "";
        struct gh_agent_conf a;
        struct gh_conf *conf;

        snprintf(yaml, sizeof yaml, "agent: {relay: r.example, certificate: /c, key: /k, trust_domain: example.org, %s}\n", cases[i].yaml);
        conf = parse(yaml, errors, sizeof errors);
        if (cases[i].error[0]) {
            assert_null(conf);
            assert_non_null(strstr(errors, cases[i].error));
        } else {
            assert_string_equal(errors, "");
            assert_int_equal(gh_agent_conf_load(conf, &a), 0);
            assert_int_equal(a.has_ca, strstr(cases[i].yaml, "ca:") != NULL);
            assert_int_equal(a.pin_count, strstr(cases[i].yaml, "pin:") != NULL);
            assert_int_equal(a.transport, GH_AGENT_AUTO);
        }
        gh_conf_destroy(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_is_hexadecimal_or_base64),
        cmocka_unit_test(an_ech_config_list_is_base64_perhaps_in_a_pem),
        cmocka_unit_test(who_vouches_for_the_relay_must_be_said),
        cmocka_unit_test(defaults_are_those_that_the_documentation_promises),
        cmocka_unit_test(a_link_is_a_whole_configuration),
        cmocka_unit_test(what_is_set_counts_before_the_link),
        cmocka_unit_test(the_relay_is_an_origin_or_a_host_with_a_port),
        cmocka_unit_test(rows_that_contradict_each_other_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
