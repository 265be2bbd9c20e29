#include "core/conf.h"

#include <stdio.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"
#include "conf_rows.h"
#include "core/node_conf.h"

static const struct gh_conf_row needy_rows[] = {
    { "key", GH_CONF_PATH, .required = true, .help = "a key file" },
    { "low", GH_CONF_UINT, .dflt = "1" },
    { "high", GH_CONF_UINT, .dflt = "9" },
    { 0 },
};

static void needy_check(const struct gh_conf *conf, const struct gh_conf_section *s, struct gh_conf_errors *errors)
{
    if (gh_conf_uint(conf, s, 1) > gh_conf_uint(conf, s, 2))
        gh_conf_fail(conf, s, 1, errors, "needy.low must be no more than needy.high");
}

static const struct gh_conf_section needy = { "needy", "Wants a key.", needy_rows, false, needy_check };

static void route_check(const struct gh_conf *conf, const struct gh_conf_section *s, struct gh_conf_errors *errors)
{
    if (gh_conf_uint(conf, s, 1) == 13)
        gh_conf_fail(conf, s, 1, errors, "nobody wants 13");
    if (gh_conf_uint(conf, s, 1) == 14)
        gh_conf_fail(conf, s, 99, errors, "nor such an entry");
}

static const struct gh_conf_row route_rows[] = {
    { "to", GH_CONF_STRING_LIST, .min = "1", .required = true, .help = "where to" },
    { "weight", GH_CONF_UINT, .dflt = "1", .max = "100" },
    { "file", GH_CONF_PATH },
    { 0 },
};

static const struct gh_conf_section route = { "routes", "One way.", route_rows, false, route_check };

static const struct gh_conf_row gate_rows[] = {
    { "port", GH_CONF_UINT, .dflt = "443" },
    { "ech.keys_file", GH_CONF_PATH },
    { "ech.window", GH_CONF_UINT, .dflt = "3" },
    { "routes", GH_CONF_TABLE, .entry = &route, .max = "3" },
    { 0 },
};

static const struct gh_conf_section gate = { "gate", "A door.", gate_rows, false, NULL, true };

static const struct gh_conf_section *const sections[] = { &gh_conf_section_node, &section, &needy, &gate, NULL };

static struct gh_conf *parse(const char *yaml, const char *const *env, char *ret_errors, size_t cap)
{
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_text text;
    int rc;

    gh_conf_errors_init(&errors);
    gh_text_init_fixed(&text, ret_errors, cap);
    rc = gh_conf_parse(&(struct gh_conf_input){ gh_span_str(yaml), "etc/a.yaml", env, sections }, &errors, &conf);
    gh_conf_errors_emit(&errors, &text);
    assert_int_equal(rc, errors.count ? GH_ERR_MALFORMED : 0);
    assert_true((conf == NULL) == (rc < 0));
    gh_conf_errors_fini(&errors);
    return conf;
}

static struct gh_conf *good(const char *yaml, const char *const *env)
{
    char errors[4096];
    struct gh_conf *conf = parse(yaml, env, errors, sizeof errors);

    assert_string_equal(errors, "");
    return conf;
}

static void refused(const char *yaml, const char *const *env, const char *expected)
{
    char errors[8192];

    assert_null(parse(yaml, env, errors, sizeof errors));
    assert_string_equal(errors, expected);
}

static void every_type_is_read(void **state)
{
    struct gh_conf *c = good("thing:\n"
                             "  flag: false\n  count: 12\n  room: 2MiB\n  patience: 1m30s\n  title: 'a b'\n  place: sub/file\n"
                             "  mode: json\n  kinds: [blue, red]\n  reach: '[2001:db8::1]:53'\n  listen: [\"192.0.2.1:1\", \":2\"]\n"
                             "  net: 10.0.0.0/8\n  nets: [10.1.0.0/16, 'fd00::/8']\n  words: [x, yz]\n  token: s3cret\n", NULL);
    const struct gh_conf_addr *addrs;
    const struct gh_prefix *nets;
    const char *const *words;
    struct gh_conf_addr reach;
    struct gh_prefix net;
    char text[64];
    size_t n;

    (void)state;
    assert_true(gh_conf_has(c, &section));
    assert_false(gh_conf_has(c, &needy));
    assert_false(gh_conf_bool(c, &section, R_BOOL));
    assert_int_equal(gh_conf_uint(c, &section, R_UINT), 12);
    assert_int_equal(gh_conf_uint(c, &section, R_SIZE), 2097152);
    assert_int_equal(gh_conf_duration(c, &section, R_TIME), 90 * INT64_C(1000000000));
    assert_string_equal(gh_conf_string(c, &section, R_STRING), "a b");
    assert_string_equal(gh_conf_string(c, &section, R_PATH), "etc/sub/file");
    assert_int_equal(gh_conf_uint(c, &section, R_ENUM), 2);
    assert_int_equal(gh_conf_uint(c, &section, R_SET), 5);
    assert_int_equal(gh_conf_addr(c, &section, R_ADDR).port, 53);
    reach = gh_conf_addr(c, &section, R_ADDR);
    assert_string_equal(gh_ip_emit(&reach.ip, text), "2001:db8::1");
    addrs = gh_conf_addrs(c, &section, R_ADDRS, &n);
    assert_int_equal(n, 2);
    assert_int_equal(addrs[0].ip.family, 4);
    assert_int_equal(addrs[1].ip.family, 0);
    assert_int_equal(addrs[1].port, 2);
    net = gh_conf_prefix(c, &section, R_NET);
    assert_string_equal(gh_prefix_emit(&net, text), "10.0.0.0/8");
    nets = gh_conf_prefixes(c, &section, R_NETS, &n);
    assert_int_equal(n, 2);
    assert_string_equal(gh_prefix_emit(&nets[1], text), "fd00::/8");
    words = gh_conf_strings(c, &section, R_WORDS, &n);
    assert_int_equal(n, 2);
    assert_string_equal(words[1], "yz");
    assert_int_equal(gh_conf_secret(c, &section, R_TOKEN)->len, 6);
    gh_conf_destroy(c);
}

static void asking_with_the_wrong_type_yields_the_zero_of_the_type(void **state)
{
    struct gh_conf *c = good("thing: {}\n", NULL);

    (void)state;
    assert_int_equal(gh_conf_uint(c, &section, R_STRING), 0);
    assert_string_equal(gh_conf_string(c, &section, R_UINT), "");
    assert_string_equal(gh_conf_string(c, &section, 99), "");
    assert_string_equal(gh_conf_string(c, &section, R_PATH), "");
    assert_false(gh_conf_is_set(c, &section, R_PATH));
    assert_null(gh_conf_secret(c, &section, R_TOKEN));
    gh_conf_destroy(c);
}

static void an_empty_file_has_the_defaults_of_sections_that_are_always_there(void **state)
{
    static const char *const files[] = { "", "# nothing\n", "---\n", "~\n", "node:\n" };

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct gh_conf *c = good(files[i], NULL);

        assert_true(gh_conf_has(c, &gh_conf_section_node));
        assert_false(gh_conf_has(c, &section));
        assert_int_equal(gh_conf_duration(c, &section, R_TIME), 3 * INT64_C(1000000000));
        gh_conf_destroy(c);
    }
}

static void all_errors_come_in_one_run_in_the_order_of_the_file(void **state)
{
    (void)state;
    refused("thing:\n"
            "  flag: yes\n"
            "  cuont: 3\n"
            "  count: 64\n"
            "  room: 64 KB\n"
            "  patience: 30\n"
            "  mode: jsn\n"
            "  kinds: [red, red, pink]\n"
            "  listen: [\"1.2.3:4\", \":70000\"]\n"
            "  net: 10.0.0.1/8\n"
            "  count: 5\n"
            "thnig: {}\n"
            "needy: {low: 10}\n",
            NULL,
            "etc/a.yaml:2:9: thing.flag is \"yes\"; it must be true or false\n"
            "etc/a.yaml:3:3: thing has no option \"cuont\"; did you mean \"count\"?\n"
            "etc/a.yaml:4:10: thing.count is \"64\"; it must be a whole number between 1 and 63\n"
            "etc/a.yaml:5:9: thing.room is \"64 KB\"; it must be a size such as 64KiB or 2MiB, between 1KiB and 1GiB\n"
            "etc/a.yaml:6:13: thing.patience is \"30\"; it must be a time such as 50ms, 30s or 2h, between 100ms and 2h\n"
            "etc/a.yaml:7:9: thing.mode is \"jsn\"; it must be one of auto, text, json\n"
            "etc/a.yaml:8:16: thing.kinds is \"red\"; it is named twice\n"
            "etc/a.yaml:8:21: thing.kinds is \"pink\"; it may hold red, green, blue\n"
            "etc/a.yaml:9:12: thing.listen is \"1.2.3:4\"; it must be an address and a port such as 192.0.2.1:4433, "
            "[2001:db8::1]:4433 or :4433\n"
            "etc/a.yaml:9:23: thing.listen is \":70000\"; it must be an address and a port such as 192.0.2.1:4433, "
            "[2001:db8::1]:4433 or :4433\n"
            "etc/a.yaml:10:8: thing.net is \"10.0.0.1/8\"; it has bits set below its prefix length; write the first address of the "
            "network\n"
            "etc/a.yaml:11:3: thing.count is given twice, first in line 4; keep one\n"
            "etc/a.yaml:12:1: there is no section \"thnig\"; did you mean \"thing\"?\n"
            "etc/a.yaml:13:1: needy.key is missing: a key file\n");
}

static void wrong_shapes_are_named(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } cases[] = {
        { "[]\n", "etc/a.yaml:1:1: a configuration must be a mapping of sections, such as \"node:\"\n" },
        { "thing: 3\n", "etc/a.yaml:1:8: thing must be a mapping of its options, such as \"flag: …\"\n" },
        { "thing: {count: [1]}\n", "etc/a.yaml:1:16: thing.count must be one value, not a list\n" },
        { "thing: {nets: {a: 1}}\n", "etc/a.yaml:1:15: thing.nets must be a list, not a mapping\n" },
        { "thing: {nets: [[1]]}\n", "etc/a.yaml:1:16: thing.nets holds a list or mapping inside its list; write plain values\n" },
        { "thing: {title: }\n", "etc/a.yaml:1:16: thing.title has no value; give one, or leave the line out for the default\n" },
        { "thing: {kinds: []}\n", "etc/a.yaml:1:16: thing.kinds must have 1 to 1024 items\n" },
        { "thing: {listen: [':1', ':2', ':3', ':4']}\n", "etc/a.yaml:1:17: thing.listen must have 0 to 3 items\n" },
        { "thing: {title: 123456789012345678901}\n",
          "etc/a.yaml:1:16: thing.title is \"123456789012345678901\"; it must have 0 to 20 bytes\n" },
        { "thing: {title: \"a\\nb\"}\n", "etc/a.yaml:1:16: thing.title must not hold control characters\n" },
        { "thing: {title: \"a\\0b\"}\n", "etc/a.yaml:1:16: a text cannot hold a NUL byte\n" },
        { "thing: {count: '3'}\n", "etc/a.yaml:1:16: thing.count is \"3\"; it must be a whole number, between 1 and 63\n" },
        { "thing: {count: 010}\n", "etc/a.yaml:1:16: thing.count is \"010\"; it must be a whole number, between 1 and 63\n" },
        { "thing: {count: 99999999999999999999999}\n",
          "etc/a.yaml:1:16: thing.count is \"99999999999999999999999\"; it must be a whole number between 1 and 63\n" },
        { "thing: {place: '${home}/x'}\n",
          "etc/a.yaml:1:16: thing.place begins with what is not known; use ${state_dir} or ${run_dir}\n" },
        { "thing: {}\nthing: {}\n", "etc/a.yaml:2:1: section \"thing\" is given twice, first in line 1; join them\n" },
        { "? [a]\n: b\n", "etc/a.yaml:1:3: a key must be a word\n" },
        { "thing: &x {}\n", "etc/a.yaml:1:8: anchors, aliases and tags are not used here; write the value itself\n" },
        { "thing: !!map {}\n", "etc/a.yaml:1:8: anchors, aliases and tags are not used here; write the value itself\n" },
        { "thing: {}\n---\nthing: {}\n", "etc/a.yaml:2:1: a second document; a configuration is one\n" },
        { "zebra: {}\n", "etc/a.yaml:1:1: there is no section \"zebra\"; there are node, thing, needy, gate\n" },
        { "needy: {key: k, low: 10}\n", "etc/a.yaml:1:22: needy.low must be no more than needy.high\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].yaml, NULL, cases[i].expected);
}

static void what_is_no_yaml_is_refused_with_its_place(void **state)
{
    char errors[1024];

    (void)state;
    assert_null(parse("thing:\n  flag: true\n bad: [\n", NULL, errors, sizeof errors));
    assert_non_null(strstr(errors, "etc/a.yaml:3:"));
    assert_non_null(strstr(errors, "not YAML: "));
}

static void depth_and_size_are_bounded(void **state)
{
    size_t size = GH_CONF_FILE_MAX + 1;
    char *yaml = malloc(size + 1), errors[1024], brackets[4096];

    (void)state;
    assert_non_null(yaml);
    memset(yaml, '#', size);
    yaml[size] = 0;
    refused(yaml, NULL, "etc/a.yaml: larger than 1048576 bytes\n");
    memset(brackets, '[', sizeof brackets - 1);
    brackets[sizeof brackets - 1] = 0;
    assert_null(parse(brackets, NULL, errors, sizeof errors));
    assert_string_equal(errors, "etc/a.yaml:1:17: nested too deeply\n");
    strcpy(yaml, "thing: [");
    for (size_t i = 8; i + 2 < size - 1; i += 2)
        memcpy(yaml + i, "a,", 2);
    yaml[size - 3] = ']';
    yaml[size - 2] = 0;
    assert_null(parse(yaml, NULL, errors, sizeof errors));
    assert_non_null(strstr(errors, "more values than a configuration can have"));
    free(yaml);
}

static void no_more_than_the_first_hundred_errors_are_kept_and_the_rest_counted(void **state)
{
    static char errors[65536];
    struct gh_text yaml;

    (void)state;
    gh_text_init(&yaml, 1u << 20);
    gh_text_append(&yaml, "thing:\n");
    for (int i = 0; i < 130; i++)
        gh_text_printf(&yaml, "  zzzzzzzz%d: 1\n", i);
    assert_non_null(yaml.data);
    assert_null(parse(yaml.data, NULL, errors, sizeof errors));
    assert_non_null(strstr(errors, "etc/a.yaml: and 30 more\n"));
    gh_text_fini(&yaml);
}

static void environment_goes_before_file_and_file_before_default(void **state)
{
    static const char *const env[] = { "PATH=/bin", "GATEHOUSE_THING_COUNT=9", "GATEHOUSE_THING_NETS=10.0.0.0/8 192.0.2.0/24",
                                       "GATEHOUSE_THING_PLACE=here", "GATEHOUSE_SERVICE_HOST=10.0.0.1", NULL };
    struct gh_conf *c = good("thing: {count: 8, patience: 5s}\n", env);
    size_t n;

    (void)state;
    assert_int_equal(gh_conf_uint(c, &section, R_UINT), 9);
    assert_int_equal(gh_conf_duration(c, &section, R_TIME), 5 * INT64_C(1000000000));
    assert_int_equal(gh_conf_uint(c, &section, R_SIZE), 65536);
    assert_string_equal(gh_conf_string(c, &section, R_PATH), "here"); /* not beside the file */
    gh_conf_prefixes(c, &section, R_NETS, &n);
    assert_int_equal(n, 2);
    gh_conf_destroy(c);
}

static void an_option_in_the_environment_makes_its_section_present(void **state)
{
    static const char *const env[] = { "GATEHOUSE_THING_COUNT=9", NULL };
    struct gh_conf *c = good("", env);

    (void)state;
    assert_true(gh_conf_has(c, &section));
    gh_conf_destroy(c);
}

static void a_bad_value_in_the_environment_names_its_variable(void **state)
{
    static const char *const env[] = { "GATEHOUSE_THING_COUNT=many", NULL };

    (void)state;
    refused("thing: {count: 8}\n", env,
            "etc/a.yaml: thing.count, from the environment's GATEHOUSE_THING_COUNT is \"many\"; it must be a whole number, between 1 "
            "and 63\n");
}

static void a_secret_can_come_from_a_file_and_loses_one_newline(void **state)
{
    char path[] = "/tmp/gatehouse-conf-XXXXXX", variable[64];
    const char *env[] = { variable, NULL };
    int fd = mkstemp(path);
    struct gh_conf *c;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a\0b\n\n", 5), 5);
    close(fd);
    snprintf(variable, sizeof variable, "GATEHOUSE_THING_TOKEN_FILE=%s", path);
    c = good("thing: {token: other}\n", env);
    assert_int_equal(gh_conf_secret(c, &section, R_TOKEN)->len, 4);
    assert_memory_equal(gh_conf_secret(c, &section, R_TOKEN)->data, "a\0b\n", 4);
    gh_conf_destroy(c);
    unlink(path);
    {
        char errors[512];

        assert_null(parse("", env, errors, sizeof errors));
        assert_non_null(strstr(errors, "GATEHOUSE_THING_TOKEN_FILE names"));
        assert_non_null(strstr(errors, "No such file"));
    }
}

static void a_secret_never_shows_in_an_error(void **state)
{
    static char yaml[GH_SECRET_MAX + 64];
    char errors[512];

    (void)state;
    strcpy(yaml, "thing: {token: ");
    memset(yaml + 15, 'q', GH_SECRET_MAX + 1);
    strcat(yaml, "}\n");
    assert_null(parse(yaml, NULL, errors, sizeof errors));
    assert_null(strstr(errors, "qqq"));
    assert_non_null(strstr(errors, "thing.token must have at most 4096 bytes"));
}

static void paths_expand_the_folders_of_the_node(void **state)
{
    struct gh_conf *c = good("node: {state_dir: /s, run_dir: '${state_dir}/r'}\nthing: {place: '${state_dir}/x'}\n", NULL);
    char errors[512];

    (void)state;
    assert_string_equal(gh_conf_string(c, &section, R_PATH), "/s/x");
    gh_conf_destroy(c);
    assert_null(parse("node: {state_dir: '${run_dir}', run_dir: '${state_dir}'}\n", NULL, errors, sizeof errors));
    assert_non_null(strstr(errors, "begins with what is not known"));
}

static void an_error_stays_one_line_whatever_the_file_holds(void **state)
{
    char errors[512];

    (void)state;
    assert_null(parse("thing: {\"a\\n\\e[31m\": 1}\n", NULL, errors, sizeof errors));
    assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
    assert_null(strchr(errors, 0x1b));
}

static void durations_and_sizes_have_exact_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t ns; /* negative: the error */
    } times[] = { { "0", 0 },       { "50ms", 50000000 },   { "1h30m", 5400000000000 }, { "1d", 86400000000000 },
                  { "250us", 250000 }, { "9ns", 9 },        { "", GH_ERR_MALFORMED },   { "30", GH_ERR_MALFORMED },
                  { "s", GH_ERR_MALFORMED }, { "1.5s", GH_ERR_MALFORMED }, { "-1s", GH_ERR_MALFORMED },
                  { "30m1h", GH_ERR_MALFORMED }, { "1s1s", GH_ERR_MALFORMED }, { "1 s", GH_ERR_MALFORMED },
                  { "999999999d", GH_ERR_RANGE } };
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = { { "0", 0 }, { "512", 512 }, { "512B", 512 }, { "3KiB", 3072 }, { "2GiB", INT64_C(2147483648) },
                  { "1KB", GH_ERR_MALFORMED }, { "KiB", GH_ERR_MALFORMED }, { "99999999999999GiB", GH_ERR_RANGE } };

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t ns = -1;
        int rc = gh_conf_duration_parse(times[i].text, strlen(times[i].text), &ns);

        assert_int_equal(rc < 0 ? rc : ns, times[i].ns);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t bytes = 0;
        int rc = gh_conf_size_parse(sizes[i].text, strlen(sizes[i].text), &bytes);

        assert_int_equal(rc < 0 ? rc : (int64_t)bytes, sizes[i].bytes);
    }
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;

    (void)state;
    gh_conf_errors_init(&errors);
    assert_int_equal(gh_conf_parse_file("/nonexistent/a.yaml", sections, NULL, &errors, &conf), GH_ERR_MALFORMED);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.list[0].text, "cannot be read: No such file or directory");
    gh_conf_errors_fini(&errors);
}

static void peek_tells_whether_a_section_is_mentioned(void **state)
{
    (void)state;
    assert_true(gh_conf_peek(gh_span_str("node: {}\nagent: {x: 1}\n"), "agent"));
    assert_false(gh_conf_peek(gh_span_str("node: {agent: 1}\n"), "agent"));
    assert_false(gh_conf_peek(gh_span_str("[agent]\n"), "agent"));
    assert_false(gh_conf_peek(gh_span_str("agent: [\n"), "agent"));
}

static void an_option_with_a_dot_stands_in_a_mapping_of_its_own(void **state)
{
    static const char *const env[] = { "GATEHOUSE_GATE_ECH_WINDOW=9", NULL };
    struct gh_conf *conf = good("gate:\n  ech: {keys_file: keys.pem}\n  port: 1\n", env);

    (void)state;
    assert_string_equal(gh_conf_string(conf, &gate, 1), "etc/keys.pem");
    assert_int_equal(gh_conf_uint(conf, &gate, 2), 9);
    gh_conf_destroy(conf);
    refused("gate:\n  ech: {key_file: keys.pem}\n", NULL, "etc/a.yaml:2:9: gate.ech has no option \"key_file\"; did you mean \"keys_file\"?\n");
    refused("gate:\n  ech: keys.pem\n", NULL, "etc/a.yaml:2:8: gate.ech must be a mapping of its options\n");
    refused("gate:\n  ech: {window: 1, window: 2}\n", NULL, "etc/a.yaml:2:20: gate.ech.window is given twice, first in line 2; keep one\n");
    refused("gate:\n  ehc: {window: 1}\n", NULL, "etc/a.yaml:2:3: gate has no option \"ehc\"; did you mean \"ech\"?\n");
}

static void a_table_has_entries_of_its_own_options(void **state)
{
    const char *name;
    const struct gh_conf *e;
    size_t count;
    struct gh_conf *conf = good("gate:\n  routes:\n    a.example: 10.0.0.1:443\n    \"*.b.example\": {to: [x, y], weight: 5, file: f}\n    c: [p, q]\n", NULL);

    (void)state;
    e = gh_conf_entry(conf, &gate, 3, 0, &name);
    assert_string_equal(name, "a.example");
    assert_string_equal(gh_conf_strings(e, &route, 0, &count)[0], "10.0.0.1:443");
    assert_int_equal(count, 1);
    assert_int_equal(gh_conf_uint(e, &route, 1), 1);
    e = gh_conf_entry(conf, &gate, 3, 1, &name);
    assert_string_equal(name, "*.b.example");
    assert_string_equal(gh_conf_strings(e, &route, 0, &count)[1], "y");
    assert_int_equal(gh_conf_uint(e, &route, 1), 5);
    assert_string_equal(gh_conf_string(e, &route, 2), "etc/f");
    e = gh_conf_entry(conf, &gate, 3, 2, &name);
    assert_non_null(gh_conf_strings(e, &route, 0, &count));
    assert_int_equal(count, 2);
    assert_null(gh_conf_entry(conf, &gate, 3, 3, &name));
    assert_null(gh_conf_entry(conf, &gate, 0, 0, &name));
    gh_conf_destroy(conf);
}

static void what_is_wrong_in_a_table_has_its_place(void **state)
{
    (void)state;
    refused("gate:\n  routes: 5\n", NULL, "etc/a.yaml:2:11: gate.routes must be a mapping of at most 3 names\n");
    refused("gate:\n  routes: {a: b, c: d, e: f, g: h}\n", NULL, "etc/a.yaml:2:11: gate.routes must be a mapping of at most 3 names\n");
    refused("gate:\n  routes:\n    a: b\n    a: c\n", NULL, "etc/a.yaml:4:5: \"a\" is given twice, first in line 3; keep one\n");
    refused("gate:\n  routes:\n    a: {weight: 500, to: b}\n    c: {weight: 1}\n    d: {weigth: 1, to: e}\n", NULL,
            "etc/a.yaml:3:17: routes.weight is \"500\"; it must be a whole number, at most 100\n"
            "etc/a.yaml:4:5: routes.to is missing: where to\n"
            "etc/a.yaml:5:9: routes has no option \"weigth\"; did you mean \"weight\"?\n");
    refused("gate:\n  routes:\n    a: {weight: 13, to: b}\n    c: {weight: 14, to: d}\n", NULL,
            "etc/a.yaml:3:17: nobody wants 13\n"
            "etc/a.yaml:4:5: nor such an entry\n");
}

static void a_table_can_come_from_the_environment(void **state)
{
    static const char *const env[] = { "GATEHOUSE_GATE_ROUTES=a=b, c=d", NULL };
    static const char *const bad[] = { "GATEHOUSE_GATE_ROUTES=a", NULL };
    const char *name;
    size_t count;
    struct gh_conf *conf = good("gate:\n  routes: {x: y}\n", env);

    (void)state;
    assert_string_equal(gh_conf_strings(gh_conf_entry(conf, &gate, 3, 1, &name), &route, 0, &count)[0], "d");
    assert_string_equal(name, "c");
    assert_null(gh_conf_entry(conf, &gate, 3, 2, &name));
    gh_conf_destroy(conf);
    refused("gate: {}\n", bad, "etc/a.yaml: gate.routes, from the environment's GATEHOUSE_GATE_ROUTES must be such as name=value, other=value\n");
}

static void tables_that_differ_are_a_change(void **state)
{
    struct gh_conf *a = good("gate:\n  routes: {a: b}\n", NULL), *b = good("gate:\n  routes: {a: c}\n", NULL);
    struct gh_conf_change change;

    (void)state;
    assert_int_equal(gh_conf_diff(a, a, &change, 1), 0);
    assert_int_equal(gh_conf_diff(a, b, &change, 1), 1);
    assert_int_equal(change.row, 3);
    gh_conf_destroy(a);
    gh_conf_destroy(b);
}

static void a_file_without_sections_may_be_one_section(void **state)
{
    const char *name;
    struct gh_conf *conf = good("port: 8443\nech: {keys_file: k}\nroutes: {a: b}\n", NULL);

    (void)state;
    assert_true(gh_conf_has(conf, &gate));
    assert_int_equal(gh_conf_uint(conf, &gate, 0), 8443);
    assert_non_null(gh_conf_entry(conf, &gate, 3, 0, &name));
    gh_conf_destroy(conf);
    refused("port: 1\nports: 2\n", NULL, "etc/a.yaml:2:1: gate has no option \"ports\"; did you mean \"port\"?\n");
    refused("port: 1\nnode: {}\n", NULL, "etc/a.yaml:1:1: there is no section \"port\"; there are node, thing, needy, gate\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(asking_with_the_wrong_type_yields_the_zero_of_the_type),
        cmocka_unit_test(an_empty_file_has_the_defaults_of_sections_that_are_always_there),
        cmocka_unit_test(all_errors_come_in_one_run_in_the_order_of_the_file),
        cmocka_unit_test(wrong_shapes_are_named),
        cmocka_unit_test(what_is_no_yaml_is_refused_with_its_place),
        cmocka_unit_test(depth_and_size_are_bounded),
        cmocka_unit_test(no_more_than_the_first_hundred_errors_are_kept_and_the_rest_counted),
        cmocka_unit_test(environment_goes_before_file_and_file_before_default),
        cmocka_unit_test(an_option_in_the_environment_makes_its_section_present),
        cmocka_unit_test(a_bad_value_in_the_environment_names_its_variable),
        cmocka_unit_test(a_secret_can_come_from_a_file_and_loses_one_newline),
        cmocka_unit_test(a_secret_never_shows_in_an_error),
        cmocka_unit_test(paths_expand_the_folders_of_the_node),
        cmocka_unit_test(an_error_stays_one_line_whatever_the_file_holds),
        cmocka_unit_test(durations_and_sizes_have_exact_forms),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(peek_tells_whether_a_section_is_mentioned),
        cmocka_unit_test(an_option_with_a_dot_stands_in_a_mapping_of_its_own),
        cmocka_unit_test(a_table_has_entries_of_its_own_options),
        cmocka_unit_test(what_is_wrong_in_a_table_has_its_place),
        cmocka_unit_test(a_table_can_come_from_the_environment),
        cmocka_unit_test(tables_that_differ_are_a_change),
        cmocka_unit_test(a_file_without_sections_may_be_one_section),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
