#include "services/relay/relay_conf.h"

#include <stdio.h>

#include "../test.h"
#include "base/error.h"
#include "core/node_conf.h"

#define FILES "certificate: /c, key: /k, client_ca: /a, trust_domain: example.org, policy: /p"
#define SECOND INT64_C(1000000000)

static struct gh_conf *parse(const char *yaml, char *ret_errors, size_t cap)
{
    static const struct gh_conf_section *const sections[] = { &gh_conf_section_node,  &gh_conf_section_log,   &gh_conf_section_audit,
                                                              &gh_conf_section_admin, &gh_relay_conf_section, NULL };
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_text text;

    gh_conf_errors_init(&errors);
    gh_text_init_fixed(&text, ret_errors, cap);
    (void)gh_conf_parse(&(struct gh_conf_input){ gh_span_str(yaml), "r.yaml", NULL, sections }, &errors, &conf);
    gh_conf_errors_emit(&errors, &text);
    gh_conf_errors_fini(&errors);
    return conf;
}

static void defaults_are_those_that_the_documentation_promises(void **state)
{
    char errors[1024], text[GH_PREFIX_TEXT];
    struct gh_conf *conf = parse("relay: {" FILES "}\n", errors, sizeof errors);
    struct gh_relay_conf r;
    struct gh_node_conf n;

    (void)state;
    assert_string_equal(errors, "");
    assert_non_null(conf);
    assert_int_equal(gh_relay_conf_load(conf, &r), 0);
    assert_int_equal(r.listen_count, 1);
    assert_int_equal(r.listen[0].port, 4433);
    assert_int_equal(r.listen[0].ip.family, 0);
    assert_string_equal(r.certificate, "/c");
    assert_string_equal(r.client_ca, "/a");
    assert_int_equal(r.identity, GH_RELAY_IDENTITY_SAN_URI);
    assert_false(r.pin_required);
    assert_string_equal(r.crl, "");
    assert_string_equal(r.pins_file, "");
    assert_false(r.crl_expired_refuse);
    assert_int_equal(r.pool_count, 2);
    assert_string_equal(gh_prefix_emit(&r.pools[0], text), "10.100.0.0/24");
    assert_string_equal(gh_prefix_emit(&r.pools[1], text), "fd00:100::/64");
    assert_int_equal(r.route_count, 2);
    assert_int_equal(r.dns_count + r.dns_domain_count + r.dns_search_count + r.pref64_count, 0);
    assert_true(r.nat);
    assert_string_equal(r.tun, "gh0");
    assert_int_equal(r.mtu, 0);
    assert_true(r.offload_tun && r.offload_udp && r.wide_aes);
    assert_int_equal(r.idle_timeout, 30 * SECOND);
    assert_int_equal(r.keep_alive, 10 * SECOND);
    assert_int_equal(r.max_sessions, 1000);
    assert_int_equal(r.max_half_open, 256);
    assert_int_equal(r.max_flows, 65536);
    assert_int_equal(r.max_flows_per_session, 8192);
    assert_int_equal(r.tcp_syn_timeout, 30 * SECOND);
    assert_int_equal(r.tcp_established_timeout, 7200 * SECOND);
    assert_int_equal(r.tcp_closing_timeout, 30 * SECOND);
    assert_int_equal(r.udp_new_timeout, 30 * SECOND);
    assert_int_equal(r.udp_timeout, 180 * SECOND);
    assert_int_equal(r.icmp_timeout, 10 * SECOND);
    assert_int_equal(r.fragment_timeout, 30 * SECOND);
    assert_int_equal(r.max_fragments, 1024);
    assert_int_equal(r.max_capsule_bytes, 65536);
    assert_int_equal(r.queue_packets, 1024);
    assert_int_equal(r.queue_bytes, 2097152);
    assert_int_equal(r.queue_time, SECOND / 20);
    assert_int_equal(r.queue_target, SECOND / 200);
    assert_int_equal(r.queue_interval, SECOND / 10);
    assert_int_equal(r.handshakes_per_source, 50);
    assert_int_equal(r.capsules_per_second, 50);
    gh_node_conf_load(conf, &n);
    assert_in_range(n.workers, 1, GH_NODE_WORKERS_MAX);
    assert_string_equal(n.state_dir, "/var/lib/gatehouse");
    assert_string_equal(n.run_dir, "/run/gatehouse");
    assert_int_equal(n.drain_timeout, 30 * SECOND);
    assert_int_equal(n.log_level, GH_LOG_INFO);
    assert_int_equal(n.log_format, GH_LOG_AUTO);
    assert_string_equal(n.audit_file, "-");
    assert_int_equal(n.audit_buffer, 4096);
    assert_false(n.audit_chain);
    assert_string_equal(n.audit_seal_to, "");
    assert_true(n.admin_tcp);
    assert_int_equal(n.admin_listen.port, 8080);
    assert_string_equal(n.admin_socket, "/run/gatehouse/admin.sock");
    gh_conf_destroy(conf);
}

#define DIGEST "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1C1D1E1F"

static void a_pin_is_a_name_and_a_digest(void **state)
{
    static const char *const bad[] = { "", "client-1", "=sha256:" DIGEST, "client-1=sha1:" DIGEST, "client-1=sha256:" DIGEST "0", "client-1=sha256:0g" DIGEST,
                                       "a b=sha256:" DIGEST };
    char name[GH_IDENTITY_NAME_MAX + 1];
    uint8_t spki[32];

    (void)state;
    assert_int_equal(gh_relay_conf_pin("client-1=sha256:" DIGEST, name, spki), 0);
    assert_string_equal(name, "client-1");
    for (uint8_t i = 0; i < 32; i++)
        assert_int_equal(spki[i], i);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(gh_relay_conf_pin(bad[i], name, spki), GH_ERR_MALFORMED);
}

static void nameservers_are_addresses_and_domains_are_names(void **state)
{
    static const struct {
        const char *options, *error;
    } cases[] = {
        { "dns: [192.0.2.53, '2001:db8::53'], dns_domains: [corp.example], dns_search: [corp.example., example], pref64: ['64:ff9b::/96']", "" },
        { "dns: [dns.example]", "no address that agents could reach" },
        { "dns: [127.0.0.53]", "no address that agents could reach" },
        { "dns: ['fe80::1']", "no address that agents could reach" },
        { "dns_search: [corp.example]", "relay.dns_search has no meaning without relay.dns" },
        { "dns: [192.0.2.53], dns_domains: ['corp example']", "no domain name" },
        { "pref64: ['64:ff9b::/80']", "32, 40, 48, 56, 64 or 96" },
        { "pref64: [10.0.0.0/32]", "32, 40, 48, 56, 64 or 96" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char errors[1024], yaml[400];
        struct gh_relay_conf r;
        struct gh_conf *conf;

        snprintf(yaml, sizeof yaml, "relay: {" FILES ", %s}\n", cases[i].options);
        conf = parse(yaml, errors, sizeof errors);
        if (*cases[i].error) {
            assert_non_null(strstr(errors, cases[i].error));
        } else {
            assert_string_equal(errors, "");
            assert_int_equal(gh_relay_conf_load(conf, &r), 0);
            assert_int_equal(r.dns_count, 2);
            assert_string_equal(r.dns[1], "2001:db8::53");
            assert_int_equal(r.dns_domain_count, 1);
            assert_int_equal(r.dns_search_count, 2);
            assert_int_equal(r.pref64_count, 1);
        }
        gh_conf_destroy(conf);
    }
}

static void pins_may_come_from_the_cas_index_alone(void **state)
{
    char errors[1024];
    struct gh_conf *conf = parse("relay: {" FILES ", pin: required, pins_file: /i, crl: /l, crl_expired: refuse}\n", errors, sizeof errors);
    struct gh_relay_conf r;

    (void)state;
    assert_string_equal(errors, "");
    assert_non_null(conf);
    assert_int_equal(gh_relay_conf_load(conf, &r), 0);
    assert_true(r.pin_required && r.pin_count == 0);
    assert_string_equal(r.pins_file, "/i");
    assert_string_equal(r.crl, "/l");
    assert_true(r.crl_expired_refuse);
    gh_conf_destroy(conf);
}

static void a_pin_has_one_form_and_required_needs_one(void **state)
{
    char errors[1024];

    (void)state;
    gh_conf_destroy(parse("relay: {" FILES ", pins: ['client-1 " DIGEST "']}\n", errors, sizeof errors));
    assert_non_null(strstr(errors, "must be such as"));
    gh_conf_destroy(parse("relay: {" FILES ", pin: required}\n", errors, sizeof errors));
    assert_non_null(strstr(errors, "nobody could connect"));
}

static void every_choice_can_be_made(void **state)
{
    char errors[1024];
    struct gh_conf *conf = parse("relay: {" FILES ", identity: [cn, san_dns], pin: required, pins: ['client-1=sha256:" DIGEST "'], nat: none, offload_tun: false, mtu: 1280}\n"
                                 "admin: {listen: [], socket: ''}\nlog: {level: debug, format: json}\nnode: {workers: 2}\n",
                                 errors, sizeof errors);
    struct gh_relay_conf r;
    struct gh_node_conf n;

    (void)state;
    assert_string_equal(errors, "");
    assert_non_null(conf);
    assert_int_equal(gh_relay_conf_load(conf, &r), 0);
    assert_int_equal(r.identity, GH_RELAY_IDENTITY_SAN_DNS | GH_RELAY_IDENTITY_CN);
    assert_true(r.pin_required);
    assert_false(r.nat);
    assert_false(r.offload_tun);
    assert_int_equal(r.mtu, 1280);
    gh_node_conf_load(conf, &n);
    assert_false(n.admin_tcp);
    assert_string_equal(n.admin_socket, "");
    assert_int_equal(n.log_level, GH_LOG_DEBUG);
    assert_int_equal(n.log_format, GH_LOG_JSON);
    assert_int_equal(n.workers, 2);
    gh_conf_destroy(conf);
}

static void rows_that_contradict_each_other_are_refused(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } cases[] = {
        { "relay: {" FILES ", keep_alive: 30s}\n", "relay.keep_alive must be shorter than relay.idle_timeout" },
        { "relay: {" FILES ", mtu: 1279}\n", "relay.mtu is 1279; it must be 0 or at least 1280" },
        { "relay: {" FILES ", pools: [10.0.0.0/8, 10.1.0.0/16]}\n", "relay.pools: 10.0.0.0/8 and 10.1.0.0/16 overlap; keep one" },
        { "relay: {" FILES ", pools: [10.0.0.0/31]}\n", "relay.pools: 10.0.0.0/31 has no room for an agent; a /30 is the smallest" },
        { "relay: {" FILES ", pools: ['fd00::/127']}\n", "relay.pools: fd00::/127 has no room for an agent; a /126 is the smallest" },
        { "relay: {" FILES ", max_flows: 16, max_flows_per_session: 17}\n",
          "relay.max_flows_per_session must be no more than relay.max_flows" },
        { "relay: {" FILES ", tun: a/b}\n", "relay.tun must be a device name, without slash, colon or space" },
        { "relay: {" FILES ", fragment_timeout: 31s}\n", "relay.fragment_timeout is \"31s\"; it must be a time" },
        { "relay: {}\n", "relay.policy is missing: file with the rules of who reaches what" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char errors[2048];

        assert_null(parse(cases[i].yaml, errors, sizeof errors));
        assert_non_null(strstr(errors, cases[i].expected));
    }
}

static void a_configuration_without_a_relay_has_none(void **state)
{
    char errors[256];
    struct gh_conf *conf = parse("node: {}\n", errors, sizeof errors);
    struct gh_relay_conf r;

    (void)state;
    assert_int_equal(gh_relay_conf_load(conf, &r), GH_ERR_NOT_FOUND);
    gh_conf_destroy(conf);
}

static void agents_without_a_ca_come_in_by_the_door_alone(void **state)
{
    char errors[1024];
    struct gh_conf *conf = parse("relay: {listen: [], certificate: /c, key: /k, trust_domain: example.org, policy: /p}\n", errors, sizeof errors);
    struct gh_relay_conf r;

    (void)state;
    assert_string_equal(errors, "");
    assert_int_equal(gh_relay_conf_load(conf, &r), 0);
    assert_int_equal(r.listen_count, 0);
    assert_string_equal(r.client_ca, "");
    gh_conf_destroy(conf);
    assert_null(parse("relay: {certificate: /c, key: /k, trust_domain: example.org, policy: /p}\n", errors, sizeof errors));
    assert_non_null(strstr(errors, "relay.client_ca is missing"));
    assert_null(parse("relay: {listen: [], crl: /l, certificate: /c, key: /k, trust_domain: example.org, policy: /p}\n", errors, sizeof errors));
    assert_non_null(strstr(errors, "relay.crl has no meaning"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_that_the_documentation_promises),
        cmocka_unit_test(agents_without_a_ca_come_in_by_the_door_alone),
        cmocka_unit_test(every_choice_can_be_made),
        cmocka_unit_test(a_pin_is_a_name_and_a_digest),
        cmocka_unit_test(nameservers_are_addresses_and_domains_are_names),
        cmocka_unit_test(pins_may_come_from_the_cas_index_alone),
        cmocka_unit_test(a_pin_has_one_form_and_required_needs_one),
        cmocka_unit_test(rows_that_contradict_each_other_are_refused),
        cmocka_unit_test(a_configuration_without_a_relay_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
