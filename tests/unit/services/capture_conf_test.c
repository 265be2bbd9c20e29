#include "services/capture/capture_conf.h"

#include "../test.h"
#include "core/node_conf.h"

#define SECOND INT64_C(1000000000)

static struct gh_conf *parse(const char *yaml, char *ret_errors, size_t cap)
{
    static const struct gh_conf_section *const sections[] = { &gh_conf_section_node, &gh_capture_conf_section, NULL };
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

static void a_file_without_the_section_has_its_defaults(void **state)
{
    char errors[1024];
    struct gh_conf *conf = parse("node: {}\n", errors, sizeof errors);
    struct gh_capture_conf c;

    (void)state;
    assert_string_equal(errors, "");
    assert_non_null(conf);
    gh_capture_conf_load(conf, &c);
    assert_int_equal(c.listen_count, 1);
    assert_int_equal(c.listen[0].port, 1080);
    assert_memory_equal(c.listen[0].ip.bytes, "\x7f\0\0\1", 4);
    assert_string_equal(c.user, "");
    assert_null(c.password);
    assert_int_equal(c.max_connections, 1024);
    assert_int_equal(c.max_destinations, 64);
    assert_int_equal(c.ask_timeout, 10 * SECOND);
    assert_int_equal(c.connect_timeout, 15 * SECOND);
    assert_int_equal(c.udp_timeout, 120 * SECOND);
    gh_conf_destroy(conf);
}

static void what_others_can_reach_needs_a_login(void **state)
{
    static const struct {
        const char *yaml, *expected; /* NULL: right */
    } cases[] = {
        { "proxy: {listen: '127.0.0.1:1080'}\n", NULL },
        { "proxy: {listen: ['127.1.2.3:1', '[::1]:1080']}\n", NULL },
        { "proxy: {listen: '0.0.0.0:1080', user: a, password: b}\n", NULL },
        { "proxy:\n  listen: ['127.0.0.1:1080', '192.0.2.1:1080']\n", "a.yaml:2:11: proxy.listen: 192.0.2.1:1080 is not an address of the loopback device" },
        { "proxy: {listen: ':1080'}\n", "a.yaml:1:17: proxy.listen: :1080 is not" },
        { "proxy: {listen: '[::]:1080'}\n", "a.yaml:1:17: proxy.listen: [::]:1080 is not" },
        { "proxy: {listen: '[::ffff:127.0.0.1]:1080'}\n", "is not an address of the loopback device" },
        { "proxy: {user: a}\n", "a.yaml:1:15: proxy.user and proxy.password belong together: proxy.password is missing" },
        { "proxy: {password: b}\n", "proxy.user and proxy.password belong together: proxy.user is missing" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char errors[2048];
        struct gh_conf *conf = parse(cases[i].yaml, errors, sizeof errors);

        if (cases[i].expected && !strstr(errors, cases[i].expected))
            fail_msg("%s: %s", cases[i].yaml, errors);
        assert_int_equal(conf == NULL, cases[i].expected != NULL);
        gh_conf_destroy(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_without_the_section_has_its_defaults),
        cmocka_unit_test(what_others_can_reach_needs_a_login),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
