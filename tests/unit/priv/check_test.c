#include "priv/check.h"

#include "../test.h"

#include "base/error.h"

static struct gh_priv_request request(enum gh_priv_kind kind)
{
    struct gh_priv_request q;

    memset(&q, 0, sizeof q);
    q.kind = kind;
    return q;
}

static void device_names_are_names(void **state)
{
    static const struct {
        const char name[GH_PRIV_DEVICE];
        bool plain, pattern;
    } cases[] = {
        { "tun0", true, true },        { "gh-0.1_x", true, true }, { "gh%d", false, true },  { "", false, false },
        { ".", false, false },         { "..", false, false },     { "a/b", false, false },  { "a b", false, false },
        { "a\"b", false, false },      { "a%d0", false, false },   { "%d", false, false },   { "fifteen-letters", true, true },
        { "t\n", false, false },       { "0123456789abcdef", false, false }, /* no NUL */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(gh_check_device(cases[i].name, false), cases[i].plain);
        assert_int_equal(gh_check_device(cases[i].name, true), cases[i].pattern);
    }
}

static void paths_are_absolute_and_end(void **state)
{
    struct gh_priv_request q = request(GH_PRIV_OPEN_FILE);

    (void)state;
    strcpy(q.path, "/etc/gatehouse/relay.yaml");
    assert_int_equal(gh_check_request(&q), 0);
    strcpy(q.path, "relay.yaml");
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);
    strcpy(q.path, "/etc/a\nfile /etc/passwd");
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);
    memset(q.path, '/', sizeof q.path);
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);
}

static void a_socket_to_connect_is_of_one_family(void **state)
{
    struct gh_priv_request q = request(GH_PRIV_OPEN_DIAL);

    (void)state;
    q.socket.count = 1;
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);
    q.socket.addr.family = 6;
    assert_int_equal(gh_check_request(&q), 0);
    q.socket.addr.family = 5;
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);
}

static void numbers_out_of_range_are_refused(void **state)
{
    struct gh_priv_request q = request(GH_PRIV_OPEN_UDP);

    (void)state;
    q.socket.addr.family = 4;
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE); /* no socket */
    q.socket.count = 65;
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE);
    q.socket.count = 64;
    assert_int_equal(gh_check_request(&q), 0);
    q.socket.addr.family = 5;
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);

    q = request(GH_PRIV_TUN_CONFIG);
    strcpy(q.tun_config.name, "tun0");
    q.tun_config.mtu = 67;
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE);
    q.tun_config.mtu = 1380;
    q.tun_config.addr_count = GH_PRIV_PREFIXES + 1;
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);

    q = request(GH_PRIV_RULE);
    q.rule.mark = 1;
    q.rule.table = 254;
    q.rule.priority = 5000;
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE); /* main is not ours */
    q.rule.table = 100;
    assert_int_equal(gh_check_request(&q), 0);
    q.rule.priority = 32766;
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE);

    q = request(GH_PRIV_SYSCTL);
    q.sysctl = GH_PRIV_SYSCTL_COUNT;
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE);
    q = request(GH_PRIV_SIGN);
    q.sign.len = GH_PRIV_DATA + 1;
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE);
}

static void hop_ports_lead_to_a_port_outside_of_them(void **state)
{
    struct gh_priv_request q = { .kind = GH_PRIV_HOP, .hop = { 443, 10020, 10119 } };

    (void)state;
    assert_int_equal(gh_check_request(&q), 0);
    q.hop = (struct gh_priv_hop){ 10119, 10020, 10119 };
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE);
    q.hop = (struct gh_priv_hop){ 443, 10119, 10020 };
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE);
    q.hop = (struct gh_priv_hop){ 0, 10020, 10119 };
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE);
    q.hop = (struct gh_priv_hop){ 0, 0, 0 };
    assert_int_equal(gh_check_request(&q), 0);
}

static void routes_are_networks(void **state)
{
    struct gh_priv_request q = request(GH_PRIV_ROUTE);
    const uint8_t bytes[4] = { 10, 0, 0, 1 };

    (void)state;
    strcpy(q.routes.device, "tun0");
    q.routes.count = 1;
    q.routes.prefixes[0] = (struct gh_prefix){ gh_ip_v4(bytes), 24 };
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);
    q.routes.prefixes[0].len = 32;
    assert_int_equal(gh_check_request(&q), 0);
    q.routes.prefixes[0].len = 33;
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);
}

static void status_lines_cannot_smuggle_another_line(void **state)
{
    struct gh_priv_request q = request(GH_PRIV_NOTIFY);

    (void)state;
    q.notify.state = GH_PRIV_STATUS;
    strcpy(q.notify.text, "serving\nMAINPID=1");
    assert_int_equal(gh_check_request(&q), GH_ERR_MALFORMED);
    strcpy(q.notify.text, "serving");
    assert_int_equal(gh_check_request(&q), 0);
    q.notify.state = GH_PRIV_STATE_COUNT;
    assert_int_equal(gh_check_request(&q), GH_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_names_are_names),
        cmocka_unit_test(paths_are_absolute_and_end),
        cmocka_unit_test(a_socket_to_connect_is_of_one_family),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(hop_ports_lead_to_a_port_outside_of_them),
        cmocka_unit_test(routes_are_networks),
        cmocka_unit_test(status_lines_cannot_smuggle_another_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
