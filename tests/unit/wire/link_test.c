#include "wire/link.h"

#include "base/error.h"

#include "../test.h"

#include <stdio.h>

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static int parse(const char *text, struct gh_link *ret)
{
    size_t len = strlen(text);
    char *exact = malloc(len ? len : 1);
    int rc;

    assert_non_null(exact);
    memcpy(exact, text, len);
    rc = gh_link_parse(gh_span_of(exact, len), ret);
    free(exact);
    return rc;
}

static void all_of_a_link_is_understood(void **state)
{
    struct gh_link l;
    char text[GH_IP_TEXT];

    (void)state;
    assert_int_equal(parse("k2v5://alice:s3cret@Inner.Example:8443?ech=AQID_w&pin=sha256:" HEX "&hop=10020-10119&ip=192.0.2.1&ip6=2001:db8::1&fp=chrome&country=de#my%20host",
                           &l), 0);
    assert_string_equal(l.user, "alice");
    assert_string_equal(l.token, "s3cret");
    assert_string_equal(l.host, "inner.example");
    assert_int_equal(l.port, 8443);
    assert_int_equal(l.ech_len, 4);
    assert_memory_equal(l.ech, "\x01\x02\x03\xff", 4);
    assert_true(l.has_pin);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(l.pin[i], i);
    assert_int_equal(l.hop[0], 10020);
    assert_int_equal(l.hop[1], 10119);
    assert_string_equal(gh_ip_emit(&l.ip, text), "192.0.2.1");
    assert_string_equal(gh_ip_emit(&l.ip6, text), "2001:db8::1");
    assert_string_equal(l.fp, "chrome");
    assert_string_equal(l.country, "de");
    assert_string_equal(l.name, "my host");
}

static void what_is_not_said_has_its_default(void **state)
{
    struct gh_link l;

    (void)state;
    assert_int_equal(parse("k2v5://host.example", &l), 0);
    assert_int_equal(l.port, 443);
    assert_string_equal(l.user, "");
    assert_string_equal(l.name, "");
    assert_false(l.has_pin);
    assert_int_equal(l.ech_len, 0);
    assert_int_equal(l.hop[0], 0);
    assert_int_equal(l.ip.family, 0);
}

static void both_schemes_in_any_case_and_addresses_are_taken(void **state)
{
    struct gh_link l;

    (void)state;
    assert_int_equal(parse("K2://[2001:DB8::1]:99/", &l), 0);
    assert_string_equal(l.host, "2001:db8::1");
    assert_int_equal(l.port, 99);
    assert_int_equal(parse("k2V5://u:t@192.0.2.7?ip6=[::1]", &l), 0);
    assert_string_equal(l.host, "192.0.2.7");
    assert_int_equal(l.ip6.family, 6);
}

static void percent_encoding_is_undone_and_plus_is_itself(void **state)
{
    struct gh_link l;

    (void)state;
    assert_int_equal(parse("k2v5://a%40b:x%3Ay%2f+@h?country=M%c3%bcnchen&ech=%41%51%49%44%2f%77%3D%3D", &l), 0);
    assert_string_equal(l.user, "a@b");
    assert_string_equal(l.token, "x:y/+");
    assert_string_equal(l.country, "M\xc3\xbcnchen");
    assert_int_equal(l.ech_len, 4);
    assert_memory_equal(l.ech, "\x01\x02\x03\xff", 4);
    assert_int_equal(parse("k2v5://u:a:b@h", &l), 0); /* the first colon ends the user */
    assert_string_equal(l.token, "a:b");
}

static void a_pin_may_be_base64(void **state)
{
    struct gh_link l;

    (void)state;
    assert_int_equal(parse("k2v5://h?pin=sha256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", &l), 0);
    assert_int_equal(l.pin[31], 31);
}

static void unknown_keys_are_skipped_and_empty_ones_say_nothing(void **state)
{
    struct gh_link l;

    (void)state;
    assert_int_equal(parse("k2v5://h?x&y=%zz&&IP=1&ip=&pin=&padding=7&hop=1-1", &l), 0);
    assert_int_equal(l.ip.family, 0);
    assert_false(l.has_pin);
    assert_int_equal(l.hop[0], 1);
}

static void unknown_keys_are_kept_as_they_came(void **state)
{
    struct gh_link l;
    char text[GH_LINK_MAX], names[16];

    (void)state;
    assert_int_equal(parse("k2v5://h?mux=8%2f9&ip=192.0.2.1&flag&a b=1", &l), 0);
    assert_string_equal(l.other, "mux=8%2f9&flag");
    assert_string_equal(gh_link_other_keys(&l, names, sizeof names), "mux, flag");
    assert_string_equal(gh_link_other_keys(&l, names, 8), "mux");
    assert_true(gh_link_emit(&l, text, sizeof text) > 0);
    assert_string_equal(text, "k2v5://h:443?ip=192.0.2.1&mux=8%2f9&flag");
}

static void what_is_wrong_has_a_column(void **state)
{
    static const struct {
        const char *text;
        size_t column;
        const char *what;
    } cases[] = {
        { "http://h", 1, "begins with k2v5://" },
        { "k2v5://", 8, "a host must be here" },
        { "k2v5://u:t%zz@h", 11, "hexadecimal digits" },
        { "k2v5://u:t@h:99999", 14, "a port is a number" },
        { "k2v5://u:t@h?ip=192.0.2.1&pin=sha256:12", 31, "pin must be sha256:" },
        { "k2v5://h?hop=9-1", 14, "hop must be two ports" },
        { "k2v5://h?ip=1.2.3.4&ip=1.2.3.4", 21, "twice" },
        { "k2v5://h/x", 10, "no path" },
        { "k2v5://h#%0a", 10, "control characters" },
    };
    struct gh_link l;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gh_link_error e = { 0 };

        assert_true(gh_link_read(gh_span_str(cases[i].text), &l, &e) < 0);
        assert_int_equal(e.column, cases[i].column);
        assert_non_null(strstr(e.what, cases[i].what));
    }
}

static void what_nobody_can_mean_is_refused(void **state)
{
    static const char *const wrong[] = {
        "k2v5://", "k2v5://:443", "k2v5://a:b@", "k2v5://@h", "k2v5://:t@h", "k2v5://a%3ab:t@h", "k2v5://u:%0a@h", "k2v5://u:%00@h", "k2v5://u:%ff@h", "k2v5://u:%4@h",
        "k2v5://u:%zz@h", "k2v5://h:0", "k2v5://h:065", "k2v5://h:65536", "k2v5://h:", "k2v5://h:4x", "k2v5://2001:db8::1", "k2v5://[h]", "k2v5://[::1", "k2v5://[::1]x",
        "k2v5://[1.2.3.4]", "k2v5://h/path", "k2v5://h..x", "k2v5://h.", "k2v5://-h", "k2v5://h%2ex", "k2v5://a b", "k2v5://h?hop=1", "k2v5://h?hop=2-1", "k2v5://h?hop=0-1",
        "k2v5://h?hop=1-65536", "k2v5://h?hop=1-2-3", "k2v5://h?ip=::1", "k2v5://h?ip6=1.2.3.4", "k2v5://h?ip=1.2.3", "k2v5://h?pin=md5:00", "k2v5://h?pin=sha256:00",
        "k2v5://h?ech=!", "k2v5://h?ip=1.2.3.4&ip=1.2.3.4", "k2v5://h#%01",
    };
    struct gh_link l;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (parse(wrong[i], &l) != GH_ERR_MALFORMED)
            fail_msg("%s was not refused", wrong[i]);
    assert_int_equal(parse("https://h", &l), GH_ERR_UNSUPPORTED);
    assert_int_equal(parse("k2v5:/h", &l), GH_ERR_UNSUPPORTED);
    assert_int_equal(parse("", &l), GH_ERR_UNSUPPORTED);
}

/* <count> letters between the two. */
static int parse_long(const char *before, size_t count, const char *after)
{
    static char text[GH_LINK_MAX + 64];
    struct gh_link l;

    snprintf(text, sizeof text, "%s%.*s%s", before, (int)count, "", after);
    memmove(text + strlen(before) + count, after, strlen(after) + 1);
    memset(text + strlen(before), 'A', count);
    return gh_link_parse(gh_span_str(text), &l);
}

static void parts_have_limits(void **state)
{
    (void)state;
    assert_int_equal(parse_long("k2v5://", GH_LINK_USER_MAX, ":t@h"), 0);
    assert_int_equal(parse_long("k2v5://", GH_LINK_USER_MAX + 1, ":t@h"), GH_ERR_TOO_LONG);
    assert_int_equal(parse_long("k2v5://u:", GH_LINK_TOKEN_MAX, "@h"), 0);
    assert_int_equal(parse_long("k2v5://u:", GH_LINK_TOKEN_MAX + 1, "@h"), GH_ERR_TOO_LONG);
    assert_int_equal(parse_long("k2v5://h#", GH_LINK_NAME_MAX, ""), 0);
    assert_int_equal(parse_long("k2v5://h#", GH_LINK_NAME_MAX + 1, ""), GH_ERR_TOO_LONG);
    assert_int_equal(parse_long("k2v5://h?fp=", GH_LINK_WORD_MAX, ""), 0);
    assert_int_equal(parse_long("k2v5://h?fp=", GH_LINK_WORD_MAX + 1, ""), GH_ERR_TOO_LONG);
    assert_int_equal(parse_long("k2v5://h?ech=", 1996, ""), 0);
    assert_int_equal(parse_long("k2v5://h?ech=", 2000, ""), GH_ERR_TOO_LONG); /* 1500 bytes */
    assert_int_equal(parse_long("k2v5://", 64, ".x"), GH_ERR_MALFORMED);
    assert_int_equal(parse_long("k2v5://", GH_LINK_HOST_MAX + 1, ""), GH_ERR_TOO_LONG);
    assert_int_equal(parse_long("k2v5://h?x=", GH_LINK_MAX - 11, ""), 0);
    assert_int_equal(parse_long("k2v5://h?x=", GH_LINK_MAX - 10, ""), GH_ERR_TOO_LONG);
}

static void what_is_written_is_the_shortest_form(void **state)
{
    static const char whole[] = "k2v5://a%40b:x%3Ay@inner.example:443?ech=AQID_w&pin=sha256:" HEX "&hop=10020-10119&ip=192.0.2.1&ip6=2001:db8::1&fp=chrome&country=de#my%20host";
    struct gh_link l;
    char text[GH_LINK_MAX];

    (void)state;
    assert_int_equal(parse(whole, &l), 0);
    assert_int_equal(gh_link_emit(&l, text, sizeof text), (int)strlen(whole));
    assert_string_equal(text, whole);
    assert_int_equal(gh_link_emit(&l, text, strlen(whole) + 1), (int)strlen(whole));
    assert_int_equal(gh_link_emit(&l, text, strlen(whole)), GH_ERR_TOO_LONG);
    assert_int_equal(parse("k2v5://[::1]", &l), 0);
    assert_int_equal(gh_link_emit(&l, text, sizeof text), 16);
    assert_string_equal(text, "k2v5://[::1]:443");
}

static void what_nobody_could_read_is_not_written(void **state)
{
    struct gh_link l = { .host = "a b", .port = 443 };
    char text[GH_LINK_MAX];

    (void)state;
    assert_int_equal(gh_link_emit(&l, text, sizeof text), GH_ERR_MALFORMED);
    strcpy(l.host, "h");
    l.port = 0;
    assert_int_equal(gh_link_emit(&l, text, sizeof text), GH_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_a_link_is_understood),
        cmocka_unit_test(what_is_not_said_has_its_default),
        cmocka_unit_test(both_schemes_in_any_case_and_addresses_are_taken),
        cmocka_unit_test(percent_encoding_is_undone_and_plus_is_itself),
        cmocka_unit_test(a_pin_may_be_base64),
        cmocka_unit_test(unknown_keys_are_kept_as_they_came),
        cmocka_unit_test(what_is_wrong_has_a_column),
        cmocka_unit_test(unknown_keys_are_skipped_and_empty_ones_say_nothing),
        cmocka_unit_test(what_nobody_can_mean_is_refused),
        cmocka_unit_test(parts_have_limits),
        cmocka_unit_test(what_is_written_is_the_shortest_form),
        cmocka_unit_test(what_nobody_could_read_is_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
