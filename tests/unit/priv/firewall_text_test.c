#include "priv/firewall_text.h"

#include "../test.h"

#include <stdio.h>

#include "base/error.h"

static struct gh_firewall_rule rule(const char *words)
{
    struct gh_firewall_rule r;

    assert_int_equal(gh_firewall_rule_parse(words, &r), 0);
    return r;
}

static void every_rule_is_read_as_it_was_written(void **state)
{
    static const char *const lines[] = { "ufw tcp 443 443", "firewalld udp 10020 10119", "nftables tcp 443 443 inet filter input", "nftables udp 1 65535 ip6 a.b/c-d_e INPUT" };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct gh_firewall_rule r = rule(lines[i]);
        char text[GH_FIREWALL_LINE];

        gh_firewall_rule_emit(&r, text);
        assert_string_equal(text, lines[i]);
    }
}

static void a_rule_that_could_do_other_harm_is_not_read(void **state)
{
    static const char *const lines[] = {
        "", "ufw", "ufw tcp 443", "ufw tcp 0 443", "ufw tcp 444 443", "ufw tcp 443 65536", "ufw icmp 1 1", "ufw tcp 443 443 x", "ufw  tcp 443 443",
        "ufw tcp 0443 443", "pf tcp 443 443", "nftables tcp 443 443", "nftables tcp 443 443 inet filter", "nftables tcp 443 443 bridge filter input",
        "nftables tcp 443 443 inet filter in;put", "nftables tcp 443 443 inet fil\"ter input", "nftables tcp 443 443 inet -f input", "nftables tcp 443 443 inet filter input x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(gh_firewall_rule_parse(lines[i], &(struct gh_firewall_rule){ 0 }), GH_ERR_MALFORMED);
}

static void commands_are_what_the_manual_of_each_program_says(void **state)
{
    static const struct {
        const char *rule;
        enum gh_firewall_verb verb;
        const char *command;
    } cases[] = {
        { "ufw tcp 443 443", GH_FIREWALL_ASK, "ufw show added" },
        { "ufw tcp 443 443", GH_FIREWALL_ADD, "ufw allow 443/tcp comment gatehouse" },
        { "ufw udp 10020 10119", GH_FIREWALL_ADD, "ufw allow 10020:10119/udp comment gatehouse" },
        { "ufw udp 10020 10119", GH_FIREWALL_TAKE_BACK, "ufw delete allow 10020:10119/udp" },
        { "firewalld tcp 443 443", GH_FIREWALL_ASK, "firewall-cmd --query-port=443/tcp" },
        { "firewalld udp 10020 10119", GH_FIREWALL_ADD, "firewall-cmd --add-port=10020-10119/udp" },
        { "firewalld udp 65534 65535", GH_FIREWALL_TAKE_BACK, "firewall-cmd --remove-port=65534-65535/udp" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_firewall_rule r = rule(cases[i].rule);
        struct gh_firewall_command c;
        char text[256];
        size_t n = 0;

        gh_firewall_command(&r, cases[i].verb, &c);
        for (size_t k = 0; c.argv[k]; k++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", k ? " " : "", c.argv[k]);
        assert_string_equal(text, cases[i].command);
    }
}

static void ufw_counts_only_when_it_is_active(void **state)
{
    (void)state;
    assert_true(gh_firewall_ufw_active("Status: active\n\nTo                         Action      From\n--                         ------      ----\n"));
    assert_false(gh_firewall_ufw_active("Status: inactive\n"));
    assert_false(gh_firewall_ufw_active("ERROR: You need to be root to run this script\n"));
    assert_false(gh_firewall_ufw_active(""));
}

static void a_rule_of_ufw_without_our_comment_is_somebody_elses(void **state)
{
    static const char text[] = "Added user rules (see 'ufw status' for running firewall):\n"
                               "ufw allow 22/tcp\n"
                               "ufw allow 443/tcp comment 'gatehouse'\n"
                               "ufw allow 443/udp\n"
                               "ufw deny 8443/tcp comment 'gatehouse'\n"
                               "ufw limit 9443/tcp\n"
                               "ufw allow 10020:10119/tcp comment 'gatehouse'\n"
                               "ufw allow 10443/tcp comment 'not gatehouse'\n"
                               "ufw allow from 192.0.2.0/24 to any port 7443 proto tcp\n";
    static const struct {
        const char *rule;
        enum gh_firewall_found found;
    } cases[] = {
        { "ufw tcp 443 443", GH_FIREWALL_OURS },       { "ufw udp 443 443", GH_FIREWALL_THEIRS },      { "ufw tcp 8443 8443", GH_FIREWALL_THEIRS },
        { "ufw tcp 9443 9443", GH_FIREWALL_THEIRS },   { "ufw tcp 10020 10119", GH_FIREWALL_OURS },    { "ufw udp 10020 10119", GH_FIREWALL_ABSENT },
        { "ufw tcp 10443 10443", GH_FIREWALL_THEIRS }, { "ufw tcp 7443 7443", GH_FIREWALL_ABSENT },    { "ufw tcp 44 44", GH_FIREWALL_ABSENT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_firewall_rule r = rule(cases[i].rule);

        assert_int_equal(gh_firewall_ufw_find(text, &r), cases[i].found);
        assert_int_equal(gh_firewall_ufw_find("", &r), GH_FIREWALL_ABSENT);
        assert_int_equal(gh_firewall_ufw_find("Added user rules (see 'ufw status' for running firewall):\n(None)\n", &r), GH_FIREWALL_ABSENT);
    }
}

static void chains_that_drop_what_comes_in_are_found(void **state)
{
    static const char text[] = "table ip nat {\n\tchain PREROUTING {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\t}\n}\n"
                               "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n"
                               "\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n\tchain other {\n\t}\n"
                               "\tchain output {\n\t\ttype filter hook output priority filter; policy drop;\n\t}\n}\n"
                               "table ip6 f6 {\n\tchain INPUT {\n\t\ttype filter hook input priority -10; policy drop;\n\t}\n"
                               "\tchain open {\n\t\ttype filter hook input priority 10; policy accept;\n\t}\n}\n"
                               "table bridge b {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n";
    struct gh_firewall_chain chains[4];

    (void)state;
    assert_int_equal(gh_firewall_nft_chains(text, chains, 4), 2);
    assert_string_equal(chains[0].family, "inet");
    assert_string_equal(chains[0].table, "filter");
    assert_string_equal(chains[0].name, "input");
    assert_string_equal(chains[1].family, "ip6");
    assert_string_equal(chains[1].table, "f6");
    assert_string_equal(chains[1].name, "INPUT");
    assert_int_equal(gh_firewall_nft_chains(text, chains, 1), 1);
    assert_int_equal(gh_firewall_nft_chains("", chains, 4), 0);
}

static void rules_of_ours_are_known_by_their_comment(void **state)
{
    static const char text[] = "table inet filter {\n\tchain input { # handle 1\n\t\ttype filter hook input priority filter; policy drop;\n"
                               "\t\tudp dport 443 accept comment \"gatehouse udp 443-443\" # handle 9\n"
                               "\t\ttcp dport 443 accept comment \"gatehouse tcp 443-443\" # handle 8\n"
                               "\t\ttcp dport 443 accept comment \"gatehouse tcp 443-4430\" # handle 7\n"
                               "\t\ttcp dport 443 accept # handle 6\n"
                               "\t\ttcp dport 443 accept comment \"gatehouse tcp 443-443\" # handle 5\n\t}\n}\n";
    struct gh_firewall_rule r = rule("nftables tcp 443 443 inet filter input");
    const char *at = text;

    (void)state;
    assert_int_equal(gh_firewall_nft_handle(&at, &r), 8);
    assert_int_equal(gh_firewall_nft_handle(&at, &r), 5);
    assert_int_equal(gh_firewall_nft_handle(&at, &r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_is_read_as_it_was_written),
        cmocka_unit_test(a_rule_that_could_do_other_harm_is_not_read),
        cmocka_unit_test(commands_are_what_the_manual_of_each_program_says),
        cmocka_unit_test(ufw_counts_only_when_it_is_active),
        cmocka_unit_test(a_rule_of_ufw_without_our_comment_is_somebody_elses),
        cmocka_unit_test(chains_that_drop_what_comes_in_are_found),
        cmocka_unit_test(rules_of_ours_are_known_by_their_comment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
