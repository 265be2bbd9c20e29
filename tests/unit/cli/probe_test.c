#include "cli/probe.h"

#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/error.h"
#include "cli/probe_scripts.h"
#include "cli/probe_seen.h"
#include "cli/probe_udp.h"
#include "proto/quic/initial_peek.h"
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
        if (!p->udp && p->property != GH_PROBE_ALERTS && gh_tls_hello_read(&r, gh_span_of(p->bytes, p->len), &h) == 1) {
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

/* What they seal, the reader of the door opens: keys and frames are as RFC 9001 has them. */
static void hellos_over_udp_are_read_as_quic(void **state)
{
    static const uint8_t id[GH_PROBE_ID] = { 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08 };
    struct gh_probes probes;
    unsigned flights = 0, encrypted = 0;

    (void)state;
    assert_int_equal(gh_probes_create("www.example.org", &probes), 0);
    for (size_t i = 0; i < probes.count; i++) {
        const struct gh_probe *p = &probes.list[i];
        uint8_t datagram[GH_PROBE_DATAGRAM];
        struct gh_quic_peek peek;
        struct gh_tls_hello hello;
        int len = p->sealed ? gh_probe_udp_seal(id, gh_span_of(p->bytes, p->len), p->sealed, datagram) : 0;

        if (len == 0)
            continue;
        assert_true(p->udp && (size_t)len >= p->sealed);
        if ((size_t)len >= GH_QUIC_PEEK_DATAGRAM_MIN && strstr(p->name, "hello")) {
            assert_int_equal(gh_quic_peek_init(&peek, gh_span_of(datagram, (size_t)len)), 0);
            assert_int_equal(gh_quic_peek_feed(&peek, gh_span_of(datagram, (size_t)len), &hello), 1);
            assert_string_equal(hello.sni, "www.example.org");
            assert_memory_equal(peek.scid.data, GH_PROBE_SOURCE_ID, GH_PROBE_ID);
            encrypted += hello.ech.present;
            flights++;
            gh_quic_peek_fini(&peek);
        }
    }
    assert_int_equal(flights, 6);
    assert_int_equal(encrypted, 0);
    gh_probes_fini(&probes);
}

static const char *describe_datagram(struct gh_span bytes, char buf[400])
{
    static const uint8_t id[GH_PROBE_ID] = { 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08 };
    struct gh_text t;

    gh_text_init_fixed(&t, buf, 400);
    gh_probe_udp_describe(bytes, id, &t);
    return gh_text_string(&t);
}

/* RFC 9001, appendix A.3: the server's Initial, in answer to the id of appendix A.1 */
static const char server_initial[] =
    "\xcf\x00\x00\x00\x01\x00\x08\xf0\x67\xa5\x50\x2a\x42\x62\xb5\x00\x40\x75\xc0\xd9\x5a\x48\x2c\xd0\x99\x1c\xd2\x5b\x0a\xac\x40\x6a\x58\x16\xb6\x39\x41\x00\xf3\x7a"
    "\x1c\x69\x79\x75\x54\x78\x0b\xb3\x8c\xc5\xa9\x9f\x5e\xde\x4c\xf7\x3c\x3e\xc2\x49\x3a\x18\x39\xb3\xdb\xcb\xa3\xf6\xea\x46\xc5\xb7\x68\x4d\xf3\x54\x8e\x7d\xde\xb9"
    "\xc3\xbf\x9c\x73\xcc\x3f\x3b\xde\xd7\x4b\x56\x2b\xfb\x19\xfb\x84\x02\x2f\x8e\xf4\xcd\xd9\x37\x95\xd7\x7d\x06\xed\xbb\x7a\xaf\x2f\x58\x89\x18\x50\xab\xbd\xca\x3d"
    "\x20\x39\x8c\x27\x64\x56\xcb\xc4\x21\x58\x40\x7d\xd0\x74\xee";

static void answers_over_udp_are_opened_and_described(void **state)
{
    char a[400], b[400];
    uint8_t bytes[sizeof server_initial];
    unsigned seed = 1;

    (void)state;
    describe_datagram(gh_span_of(server_initial, sizeof server_initial - 1), a);
    assert_non_null(strstr(a, "initial(135, ids of 0 and 8)"));
    assert_non_null(strstr(a, "server_hello(0303 session:0 suite:1301"));
    memcpy(bytes, server_initial, sizeof bytes);
    bytes[60] ^= 1;
    assert_non_null(strstr(describe_datagram(gh_span_of(bytes, sizeof bytes - 1), b), "cannot be opened"));
    describe_datagram(gh_span_of("\x80\0\0\0\0\0\0\0\0\0\1\x1a\x2a\x3a\x4a\x6b\x33\x43\xcf", 19), a);
    describe_datagram(gh_span_of("\xff\0\0\0\0\0\0\x6b\x33\x43\xcf\0\0\0\1\xfa\xfa\xfa\xfa", 19), b);
    assert_string_equal(a, "version negotiation(00000001 6b3343cf and a reserved one)");
    assert_string_equal(a, b);
    for (unsigned i = 0; i < 20000; i++) { /* what a server says is not to be trusted */
        size_t len = i % sizeof bytes;

        memcpy(bytes, server_initial, sizeof bytes);
        for (unsigned j = 0; j < i % 5 + 1; j++) {
            seed = seed * 1103515245u + 12345u;
            bytes[(seed >> 8) % (i % 3 ? 20 : sizeof bytes)] = (uint8_t)(seed >> 16);
        }
        describe_datagram(gh_span_of(bytes, len), a);
    }
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
        cmocka_unit_test(hellos_over_udp_are_read_as_quic),
        cmocka_unit_test(answers_over_udp_are_opened_and_described),
        cmocka_unit_test(wrong_usage_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
