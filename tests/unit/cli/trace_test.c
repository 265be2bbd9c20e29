#include "cli/trace.h"

#include <stdio.h>

#include "base/error.h"

#include "../test.h"

static void a_target_is_an_address_a_prefix_or_one_with_a_port(void **state)
{
    static const struct {
        const char *client, *to, *protocol, *query; /* NULL: refused */
    } rows[] = {
        { NULL, NULL, NULL, "" },
        { "client-1", NULL, NULL, "client=client-1" },
        { NULL, "9.9.9.9", NULL, "to=9.9.9.9/32" },
        { NULL, "9.9.9.9:443", "tcp", "to=9.9.9.9/32&port=443&protocol=6" },
        { NULL, "10.0.0.0/8", "17", "to=10.0.0.0/8&protocol=17" },
        { NULL, "10.0.0.0/8:53", "udp", "to=10.0.0.0/8&port=53&protocol=17" },
        { NULL, "2001:db8::1", "icmpv6", "to=2001:db8::1/128&protocol=58" },
        { NULL, "[2001:db8::1]:443", NULL, "to=2001:db8::1/128&port=443" },
        { NULL, "[2001:db8::/32]", NULL, "to=2001:db8::/32" },
        { "a b&c", NULL, NULL, "client=a%20b%26c" },
        { NULL, "example.org", NULL, NULL },
        { NULL, "9.9.9.9:0", NULL, NULL },
        { NULL, "9.9.9.9:65536", NULL, NULL },
        { NULL, "9.9.9.9:4x", NULL, NULL },
        { NULL, "[2001:db8::1", NULL, NULL },
        { NULL, "[2001:db8::1]443", NULL, NULL },
        { NULL, "", NULL, NULL },
        { NULL, NULL, "tpc", NULL },
        { NULL, NULL, "256", NULL },
    };
    char query[256];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rc = gh_trace_query(rows[i].client, rows[i].to, rows[i].protocol, query, sizeof query);

        assert_int_equal(rc, rows[i].query ? 0 : GH_ERR_MALFORMED);
        if (rows[i].query)
            assert_string_equal(query, rows[i].query);
    }
    assert_int_equal(gh_trace_query("a client whose name does not fit", NULL, NULL, query, 20), GH_ERR_MALFORMED);
}

static void a_packet_is_three_lines_in_which_no_name_moves_the_cursor(void **state)
{
    static const char packet[] =
        "{\"at\":\"2026-01-31T10:00:00.000Z\",\"direction\":\"out\",\"client_id\":\"cl\\u001b[2J\",\"session_id\":\"0000000000000001\","
        "\"protocol\":6,\"length\":60,\"src\":\"2001:db8::2\",\"src_port\":4000,\"dst\":\"9.9.9.9\",\"dst_port\":443,\"verdict\":\"drop\","
        "\"drop\":\"policy\",\"worker\":1,\"mtu\":1382,\"path\":\"192.0.2.9\",\"path_port\":5000,\"flow\":null,\"policy_version\":\"1-ab\","
        "\"policy\":{\"action\":\"deny\",\"reason\":\"rule\",\"rule\":\"rest\",\"list\":\"client-1\",\"line\":9,"
        "\"before\":[{\"id\":\"dns\",\"why_not\":\"other_destination\"}]}}";
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    json_t *p = json_loads(packet, 0, NULL);

    (void)state;
    assert_non_null(p);
    gh_trace_print(out, p);
    fclose(out);
    assert_string_equal(text, "2026-01-31T10:00:00.000Z cl?[2J [2001:db8::2]:4000 > 9.9.9.9:443 tcp 60 bytes: drop, policy\n"
                              "    policy 1-ab: deny by rule rest of client-1 (line 9); not dns (other_destination)\n"
                              "    no flow, worker 1, session 0000000000000001, mtu 1382, path 192.0.2.9:5000\n");
    free(text);
    json_decref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_is_an_address_a_prefix_or_one_with_a_port),
        cmocka_unit_test(a_packet_is_three_lines_in_which_no_name_moves_the_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
