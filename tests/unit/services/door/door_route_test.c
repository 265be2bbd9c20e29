#include "services/door/door_route.h"

#include <stdio.h>

#include "../../test.h"
#include "base/error.h"

/* What ALPN has on the wire: a length before each name. */
static struct gh_span alpn(const char *one, const char *two, uint8_t buf[64])
{
    size_t len = 0;

    for (int i = 0; i < 2; i++) {
        const char *name = i ? two : one;

        if (!name)
            continue;
        buf[len++] = (uint8_t)strlen(name);
        memcpy(buf + len, name, strlen(name));
        len += strlen(name);
    }
    return gh_span_of(buf, len);
}

static struct door_pattern pattern(const char *text)
{
    struct door_pattern p;
    const char *why;

    assert_int_equal(door_pattern_parse(text, &p, &why), 0);
    return p;
}

static struct door_routes *routes(const char *const *texts, size_t count)
{
    struct door_pattern p[32];
    struct door_routes *r;
    size_t again;

    for (size_t i = 0; i < count; i++)
        p[i] = pattern(texts[i]);
    assert_int_equal(door_routes_create(p, count, &r, &again), 0);
    return r;
}

static void a_pattern_is_a_name_a_port_and_a_protocol(void **state)
{
    static const char *const bad[] = { "", ".", "*", "*.", "a b", "a.test:", "a.test:0", "a.test:65536", "a.test:08", "a.test/", "192.0.2.1", "*.*.a.test", "a..test" };
    struct door_pattern p = pattern("*.Example.COM.:8443/http/1.1");
    const char *why = NULL;

    (void)state;
    assert_string_equal(p.name, ".example.com");
    assert_int_equal(p.port, 8443);
    assert_string_equal(p.alpn, "http/1.1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(door_pattern_parse(bad[i], &p, &why), GH_ERR_MALFORMED);
        assert_non_null(why);
    }
}

static void exact_goes_before_wildcard_and_long_before_short(void **state)
{
    static const char *const texts[] = { "*.test", "*.b.test", "a.b.test", "*.a.b.test" };
    struct door_routes *r = routes(texts, 4);

    (void)state;
    assert_int_equal(door_routes_find(r, "a.b.test", 443, gh_span_of(NULL, 0)), 2);
    assert_int_equal(door_routes_find(r, "c.b.test", 443, gh_span_of(NULL, 0)), 1);
    assert_int_equal(door_routes_find(r, "x.a.b.test", 443, gh_span_of(NULL, 0)), 3);
    assert_int_equal(door_routes_find(r, "y.x.a.b.test", 443, gh_span_of(NULL, 0)), 3);
    assert_int_equal(door_routes_find(r, "b.test", 443, gh_span_of(NULL, 0)), 0);
    assert_int_equal(door_routes_find(r, "test", 443, gh_span_of(NULL, 0)), -1);
    assert_int_equal(door_routes_find(r, "", 443, gh_span_of(NULL, 0)), -1);
    door_routes_destroy(r);
}

static void a_rule_that_asks_for_more_is_asked_first(void **state)
{
    static const char *const texts[] = { "a.test", "a.test/h2", "a.test:8443", "a.test:8443/ssh", "*.test/h2" };
    struct door_routes *r = routes(texts, 5);
    uint8_t buf[64];

    (void)state;
    assert_int_equal(door_routes_find(r, "a.test", 443, gh_span_of(NULL, 0)), 0);
    assert_int_equal(door_routes_find(r, "a.test", 443, alpn("h2", "http/1.1", buf)), 1);
    assert_int_equal(door_routes_find(r, "a.test", 443, alpn("http/1.1", "h2", buf)), 1);
    assert_int_equal(door_routes_find(r, "a.test", 8443, gh_span_of(NULL, 0)), 2);
    assert_int_equal(door_routes_find(r, "a.test", 8443, alpn("h2", NULL, buf)), 1);
    assert_int_equal(door_routes_find(r, "a.test", 8443, alpn("ssh", NULL, buf)), 3);
    assert_int_equal(door_routes_find(r, "b.test", 443, alpn("h2", NULL, buf)), 4);
    assert_int_equal(door_routes_find(r, "b.test", 443, alpn("h", "h22", buf)), -1);
    door_routes_destroy(r);
}

static void two_that_are_alike_are_refused(void **state)
{
    struct door_pattern p[3] = { pattern("a.test"), pattern("b.test"), pattern("A.TEST.") };
    struct door_routes *r;
    size_t again = 0;

    (void)state;
    assert_int_equal(door_routes_create(p, 3, &r, &again), GH_ERR_EXISTS);
    assert_int_equal(again, 2);
}

/* ---- against one that looks at every rule */

static bool ends_with(const char *name, const char *end)
{
    size_t a = strlen(name), b = strlen(end);

    return a > b && strcmp(name + a - b, end) == 0;
}

static int rank(const struct door_pattern *p)
{
    /* an exact name beats all; then the length of the name, then ALPN, then the port */
    return (p->name[0] != '.') * 100000 + (int)strlen(p->name) * 4 + (p->alpn[0] != 0) * 2 + (p->port != 0);
}

static int naive(const struct door_pattern *p, size_t count, const char *name, uint16_t port, const char *protocol)
{
    int best = -1;

    for (size_t i = 0; i < count; i++) {
        bool names = p[i].name[0] == '.' ? ends_with(name, p[i].name) : strcmp(name, p[i].name) == 0;

        if (!names || (p[i].port && p[i].port != port) || (p[i].alpn[0] && (!protocol || strcmp(p[i].alpn, protocol) != 0)))
            continue;
        if (best < 0 || rank(&p[i]) > rank(&p[best]))
            best = (int)i;
    }
    return best;
}

static void the_table_agrees_with_a_naive_one(void **state)
{
    static const char *const labels[] = { "a", "b", "c" }, *const protocols[] = { NULL, "h2", "x" };
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct door_pattern p[12];
        struct door_routes *r;
        size_t count = 0, again;
        uint8_t buf[64];
        char text[64];

        while (count < sizeof p / sizeof *p) {
            bool same = false;

            snprintf(text, sizeof text, "%s%s.%s%s%s", rand_r(&seed) % 2 ? "*." : "", labels[rand_r(&seed) % 3], labels[rand_r(&seed) % 3],
                     rand_r(&seed) % 3 ? "" : ":9", rand_r(&seed) % 3 ? "" : "/h2");
            p[count] = pattern(text);
            for (size_t i = 0; i < count; i++)
                same |= memcmp(&p[i], &p[count], sizeof p[i]) == 0;
            if (same)
                break;
            count++;
        }
        assert_int_equal(door_routes_create(p, count, &r, &again), 0);
        for (int ask = 0; ask < 20; ask++) {
            const char *protocol = protocols[rand_r(&seed) % 3];
            uint16_t port = rand_r(&seed) % 2 ? 9 : 443;

            snprintf(text, sizeof text, "%s%s.%s", rand_r(&seed) % 2 ? "q." : "", labels[rand_r(&seed) % 3], labels[rand_r(&seed) % 3]);
            assert_int_equal(door_routes_find(r, text, port, alpn(protocol, NULL, buf)), naive(p, count, text, port, protocol));
        }
        door_routes_destroy(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_is_a_name_a_port_and_a_protocol),
        cmocka_unit_test(exact_goes_before_wildcard_and_long_before_short),
        cmocka_unit_test(a_rule_that_asks_for_more_is_asked_first),
        cmocka_unit_test(two_that_are_alike_are_refused),
        cmocka_unit_test(the_table_agrees_with_a_naive_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
