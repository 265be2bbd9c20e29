#include "services/door/proxy_head.h"

#include <stdio.h>

#include "../../test.h"
#include "base/error.h"

static const struct door_proxy_head_rules plain = { "http", "origin:8080", true, false, { 0 } };

struct field {
    const char *name, *value;
};

static struct gh_http_head head_of(const char *method, const char *path, const struct field *fields, size_t count, struct gh_http_field *store)
{
    struct gh_http_head h = { .method = gh_span_str(method), .scheme = gh_span_str("https"), .authority = gh_span_str("www.example.com"),
                              .path = gh_span_str(path), .fields = store, .field_count = count };

    for (size_t i = 0; i < count; i++)
        store[i] = (struct gh_http_field){ gh_span_str(fields[i].name), gh_span_str(fields[i].value) };
    return h;
}

/* "name: value\n" of each field, to be freed */
static char *text_of(const struct gh_http_field *fields, size_t count)
{
    char *text = calloc(1, 65536);

    assert_non_null(text);
    for (size_t i = 0; i < count; i++) {
        strncat(text, (const char *)fields[i].name.data, fields[i].name.len);
        strcat(text, ": ");
        strncat(text, (const char *)fields[i].value.data, fields[i].value.len);
        strcat(text, "\n");
    }
    return text;
}

#define ASK(fields, rules, tunnel) ask(fields, sizeof(fields) / sizeof *(fields), rules, tunnel)

static char *ask(const struct field *fields, size_t count, const struct door_proxy_head_rules *rules, bool tunnel)
{
    struct gh_http_field store[GH_HTTP_FIELDS_MAX];
    struct gh_http_head in = head_of("GET", "/a?b", fields, count, store);
    struct door_proxy_head *out;
    char *text;

    assert_int_equal(door_proxy_head_ask(&in, rules, tunnel, "made", &out), 0);
    memset(store, 0, sizeof store); /* nothing is borrowed of what came */
    text = text_of(out->head.fields, out->head.field_count);
    free(out);
    return text;
}

static void what_belongs_to_a_connection_stays_on_it(void **state)
{
    static const struct field fields[] = {
        { "host", "other" }, { "accept", "*/*" }, { "connection", "close, X-Secret" }, { "x-secret", "1" }, { "keep-alive", "5" }, { "te", "trailers" },
        { "trailer", "x" }, { "transfer-encoding", "chunked" }, { "upgrade", "h2c" }, { "http2-settings", "AA" }, { "proxy-connection", "close" },
        { "expect", "100-continue" }, { "x-secret-not", "2" }, { "connection", "foo" }, { "foo", "3" },
    };
    char *text = ASK(fields, &plain, false);

    (void)state;
    assert_string_equal(text, "accept: */*\nx-secret-not: 2\n");
    free(text);
}

static void crumbs_of_a_cookie_become_one(void **state)
{
    static const struct field fields[] = { { "cookie", "a=1" }, { "x", "y" }, { "cookie", "b=2" } };
    char *text = ASK(fields, &plain, false);

    (void)state;
    assert_string_equal(text, "x: y\ncookie: a=1; b=2\n");
    free(text);
}

static void the_origin_is_told_of_the_client_only_when_it_shall(void **state)
{
    static const struct field fields[] = { { "x-forwarded-for", "10.0.0.1" }, { "x-forwarded-proto", "http" }, { "x-forwarded-host", "lie" } };
    struct door_proxy_head_rules rules = plain;
    char *text = ASK(fields, &plain, false);

    (void)state;
    assert_string_equal(text, "x-forwarded-for: 10.0.0.1\nx-forwarded-proto: http\nx-forwarded-host: lie\n");
    free(text);
    rules.forwarded = true;
    assert_int_equal(gh_ip_parse("192.0.2.7", 9, &rules.client), 0);
    text = ASK(fields, &rules, false);
    assert_string_equal(text, "x-forwarded-for: 10.0.0.1, 192.0.2.7\nx-forwarded-proto: https\nx-forwarded-host: www.example.com\n");
    free(text);
}

static void the_host_is_kept_or_the_origins(void **state)
{
    struct gh_http_head in = head_of("GET", "/", NULL, 0, NULL);
    struct door_proxy_head_rules rules = plain;
    struct door_proxy_head *out;

    (void)state;
    assert_int_equal(door_proxy_head_ask(&in, &rules, false, "", &out), 0);
    assert_true(gh_span_equals(out->head.authority, gh_span_str("www.example.com")));
    free(out);
    rules.keep_host = false;
    assert_int_equal(door_proxy_head_ask(&in, &rules, false, "", &out), 0);
    assert_true(gh_span_equals(out->head.authority, gh_span_str("origin:8080")));
    free(out);
    rules.keep_host = true;
    in.authority.len = 0;
    assert_int_equal(door_proxy_head_ask(&in, &rules, false, "", &out), 0);
    assert_true(gh_span_equals(out->head.authority, gh_span_str("origin:8080")));
    free(out);
}

static void a_websocket_has_one_key(void **state)
{
    static const struct field with[] = { { "sec-websocket-key", "own" }, { "sec-websocket-version", "13" }, { "content-length", "0" } };
    static const struct field without[] = { { "sec-websocket-version", "13" } };
    char *text = ASK(with, &plain, true);

    (void)state;
    assert_string_equal(text, "sec-websocket-key: own\nsec-websocket-version: 13\n");
    free(text);
    text = ASK(without, &plain, true);
    assert_string_equal(text, "sec-websocket-version: 13\nsec-websocket-key: made\n");
    free(text);
}

static void targets_that_are_no_paths_are_malformed(void **state)
{
    static const char *const bad[] = { "", "x", "http://a/", "*" };
    struct door_proxy_head *out;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct gh_http_head in = head_of("GET", bad[i], NULL, 0, NULL);

        assert_int_equal(door_proxy_head_ask(&in, &plain, false, "", &out), GH_ERR_MALFORMED);
    }
}

static char *answer(const struct field *fields, size_t count, unsigned status, bool tunnel, bool made_key)
{
    struct gh_http_field store[GH_HTTP_FIELDS_MAX], out[GH_HTTP_FIELDS_MAX + 1];
    struct gh_http_head in = head_of("", "", fields, count, store);

    in.status = status;
    return text_of(out, door_proxy_head_answer(&in, &plain, tunnel, made_key, "now", out));
}

static void an_answer_keeps_what_is_the_sites(void **state)
{
    static const struct field fields[] = {
        { "server", "site" }, { "connection", "keep-alive, x-hop" }, { "keep-alive", "5" }, { "transfer-encoding", "chunked" }, { "x-hop", "1" },
        { "set-cookie", "a" }, { "set-cookie", "b" }, { "content-length", "3" },
    };
    static const struct field dated[] = { { "date", "then" } };
    char *text = answer(fields, 8, 200, false, false);

    (void)state;
    assert_string_equal(text, "server: site\nset-cookie: a\nset-cookie: b\ncontent-length: 3\ndate: now\n");
    free(text);
    text = answer(dated, 1, 200, false, false);
    assert_string_equal(text, "date: then\n");
    free(text);
}

static void the_origins_own_name_is_not_told(void **state)
{
    static const struct {
        const char *from, *to;
    } rows[] = {
        { "http://origin:8080/a", "/a" }, { "http://ORIGIN:8080/", "/" }, { "http://origin:80801/", "http://origin:80801/" },
        { "https://origin:8080/", "https://origin:8080/" }, { "/a", "/a" }, { "http://origin:8080", "http://origin:8080" }, { "http://other/", "http://other/" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct field f = { "location", rows[i].from };
        char *text = answer(&f, 1, 302, false, false), want[128];

        snprintf(want, sizeof want, "location: %s\ndate: now\n", rows[i].to);
        assert_string_equal(text, want);
        free(text);
    }
}

static void a_key_that_was_made_here_is_not_accepted_there(void **state)
{
    static const struct field fields[] = { { "upgrade", "websocket" }, { "connection", "upgrade" }, { "sec-websocket-accept", "x" }, { "sec-websocket-protocol", "chat" } };
    char *text = answer(fields, 4, 101, true, true);

    (void)state;
    assert_string_equal(text, "sec-websocket-protocol: chat\ndate: now\n");
    free(text);
    text = answer(fields, 4, 101, true, false);
    assert_string_equal(text, "sec-websocket-accept: x\nsec-websocket-protocol: chat\ndate: now\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_belongs_to_a_connection_stays_on_it),
        cmocka_unit_test(crumbs_of_a_cookie_become_one),
        cmocka_unit_test(the_origin_is_told_of_the_client_only_when_it_shall),
        cmocka_unit_test(the_host_is_kept_or_the_origins),
        cmocka_unit_test(a_websocket_has_one_key),
        cmocka_unit_test(targets_that_are_no_paths_are_malformed),
        cmocka_unit_test(an_answer_keeps_what_is_the_sites),
        cmocka_unit_test(the_origins_own_name_is_not_told),
        cmocka_unit_test(a_key_that_was_made_here_is_not_accepted_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
