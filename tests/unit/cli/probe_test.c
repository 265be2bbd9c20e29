#include "cli/probe.h"

#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/error.h"
#include "cli/probe_scripts.h"
#include "cli/probe_seen.h"
#include "wire/tls_hello.h"

static void the_chance_of_a_distance_is_exact(void **state)
{
    double a[40], b[40];

    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        a[i] = i;
        b[i] = 100 + i;
    }
    /* two of the 252 orders of five and five keep them apart */
    assert_float_equal(gh_probe_times_chance(a, 5, b, 5, 0), 2.0 / 252, 1e-9);
    assert_float_equal(gh_probe_times_chance(a, 5, b, 5, 200), 1, 1e-9);
    /* 12 apart of 40: printed tables have 0.055 */
    for (unsigned i = 0; i < 40; i++)
        b[i] = i + 11.5;
    assert_float_equal(gh_probe_times_chance(a, 40, b, 40, 0), 0.0543, 0.002);
    assert_float_equal(gh_probe_times_chance(a, 40, b, 0, 0), 1, 1e-9);
    /* Fisher's lady: three of four, and one of four */
    assert_float_equal(gh_probe_counts_chance(3, 4, 1, 4), 34.0 / 70, 1e-9);
    assert_float_equal(gh_probe_counts_chance(14, 14, 0, 14), 2.0 / 40116600, 1e-12);
    assert_float_equal(gh_probe_counts_chance(5, 10, 5, 10), 1, 1e-9);
}

static const char *describe(const char *bytes, size_t len, char buf[400])
{
    struct gh_text t;

    gh_text_init_fixed(&t, buf, 400);
    gh_probe_describe(gh_span_of(bytes, len), &t);
    return gh_text_string(&t);
}

#define DESCRIBE(text, buf) describe(text, sizeof(text) - 1, buf)

static void what_is_random_has_no_words(void **state)
{
    static const char tail[] = "\x00\xc0\x2f\x00";
    char a[400], b[400], hello[48] = "\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03";

    (void)state;
    memset(hello + 11, 1, 32);
    memcpy(hello + 43, tail, 4);
    describe(hello, 47, a);
    memset(hello + 11, 2, 32);
    describe(hello, 47, b);
    assert_string_equal(a, "server_hello(0303 session:0 suite:c02f)");
    assert_string_equal(a, b);
    hello[45] = '\x30';
    assert_string_not_equal(describe(hello, 47, b), a);
    assert_string_equal(DESCRIBE("HTTP/1.1 400 Bad Request\r\nDate: Mon\r\nX: a\r\n", a), DESCRIBE("HTTP/1.1 400 Bad Request\r\nDate: Tue\r\nX: a\r\n", b));
    assert_string_not_equal(a, DESCRIBE("HTTP/1.1 400 Bad Request\r\nDate: Tue\r\nX: b\r\n", b));
    assert_string_equal(DESCRIBE("\x15\x03\x03\x00\x02\x02\x28", a), "alert(2, 40, 0303)");
    assert_string_equal(DESCRIBE("\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x03zzz\x16\x03\x03\x00\x09yy", a), "change_cipher_spec sealed(23, 3) sealed(22, 9, cut short)");
}

/* What a server says is not to be trusted. */
static void broken_answers_are_described_without_harm(void **state)
{
    char bytes[64], buf[400];
    unsigned seed = 1;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        size_t len = i % sizeof bytes;
        char *exact = malloc(len + 1); /* of the very size, for the sanitizers */

        assert_non_null(exact);
        for (size_t j = 0; j < len; j++)
            bytes[j] = (char)((seed = seed * 1103515245u + 12345u) >> 16);
        memcpy(bytes, "\x16\x03\x03\x00\x20\x02\x00\x00\x10", i % 10);
        memcpy(exact, bytes, len);
        describe(exact, len, buf);
        free(exact);
    }
}

static void the_hellos_are_hellos(void **state)
{
    struct gh_probes probes;
    unsigned hellos = 0, named = 0, encrypted = 0;

    (void)state;
    assert_int_equal(gh_probes_create("www.example.org", &probes), 0);
    assert_true(probes.count > 200);
    for (size_t i = 0; i < probes.count; i++) {
        const struct gh_probe *p = &probes.list[i];
        struct gh_tls_hello_reader r;
        struct gh_tls_hello h;

        assert_true(p->twin < (int)probes.count && p->cut <= p->len);
        gh_tls_hello_reader_init(&r, 0);
        if (p->property != GH_PROBE_ALERTS && gh_tls_hello_read(&r, gh_span_of(p->bytes, p->len), &h) == 1) {
            hellos++;
            named += strcmp(h.sni, "www.example.org") == 0;
            encrypted += h.ech.present && !h.ech.malformed;
        } else {
            assert_true(p->property != GH_PROBE_NEGOTIATION && p->property != GH_PROBE_CUTS);
        }
        gh_tls_hello_reader_fini(&r);
    }
    assert_true(hellos > 100);
    assert_true(named > hellos - 20 && named < hellos);
    assert_int_equal(encrypted, 3);
    gh_probes_fini(&probes);
}

static int probe_with(const char *a, const char *b, const char *c)
{
    char *argv[] = { (char *)"probe", (char *)a, (char *)b, (char *)c, NULL };
    int argc = 1;

    while (argv[argc])
        argc++;
    return gh_cli_probe(argc, argv);
}

static void wrong_usage_is_said(void **state)
{
    (void)state;
    assert_int_equal(probe_with(NULL, NULL, NULL), GH_EXIT_USAGE);
    assert_int_equal(probe_with("--nonsense", NULL, NULL), GH_EXIT_USAGE);
    assert_int_equal(probe_with("a", "b", NULL), GH_EXIT_USAGE);
    assert_int_equal(probe_with("--wait", "0", "127.0.0.1:1"), GH_EXIT_USAGE);
    assert_int_equal(probe_with("--tolerance", "x", "127.0.0.1:1"), GH_EXIT_USAGE);
    assert_int_equal(probe_with("127.0.0.1:0", NULL, NULL), GH_EXIT_USAGE);
    assert_int_equal(probe_with("127.0.0.1:65536", NULL, NULL), GH_EXIT_USAGE);
    assert_int_equal(probe_with("[::1", NULL, NULL), GH_EXIT_USAGE);
    assert_int_equal(probe_with("127.0.0.1:443x", NULL, NULL), GH_EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chance_of_a_distance_is_exact),
        cmocka_unit_test(what_is_random_has_no_words),
        cmocka_unit_test(broken_answers_are_described_without_harm),
        cmocka_unit_test(the_hellos_are_hellos),
        cmocka_unit_test(wrong_usage_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
