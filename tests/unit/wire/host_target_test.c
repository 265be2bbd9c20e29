#include "wire/host_target.h"

#include "../test.h"

static void authority_names_a_host_and_a_port(void **state)
{
    static const struct {
        const char *text, *name;
        uint16_t port;
        uint8_t family;
        int rc;
    } rows[] = {
        { "www.example.com:80", "www.example.com", 80, 0, 0 }, /* RFC 9110, section 9.3.6 */
        { "192.0.2.1:65535", "192.0.2.1", 65535, 4, 0 },
        { "[2001:db8::1]:443", "2001:db8::1", 443, 6, 0 },
        { "[::ffff:192.0.2.1]:22", "::ffff:192.0.2.1", 22, 4, 0 },
        { "www.example.com", "", 0, 0, GH_ERR_MALFORMED },
        { "www.example.com:", "", 0, 0, GH_ERR_MALFORMED },
        { "www.example.com:0", "", 0, 0, GH_ERR_MALFORMED },
        { "www.example.com:65536", "", 0, 0, GH_ERR_MALFORMED },
        { "www.example.com:+80", "", 0, 0, GH_ERR_MALFORMED },
        { ":80", "", 0, 0, GH_ERR_MALFORMED },
        { "", "", 0, 0, GH_ERR_MALFORMED },
        { "2001:db8::1:443", "", 0, 0, GH_ERR_MALFORMED },
        { "[192.0.2.1]:443", "", 0, 0, GH_ERR_MALFORMED },
        { "[2001:db8::1:443", "", 0, 0, GH_ERR_MALFORMED },
        { "[]:443", "", 0, 0, GH_ERR_MALFORMED },
        { "user@host:443", "", 0, 0, GH_ERR_MALFORMED },
        { "*:443", "", 0, 0, GH_ERR_MALFORMED },
        { "192.0.2.0/24:443", "", 0, 0, GH_ERR_MALFORMED },
        { "192.0.2.1/32:443", "", 0, 0, GH_ERR_MALFORMED },
        { "192.0.2:443", "", 0, 0, GH_ERR_MALFORMED }, /* a resolver would read it in its own way */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gh_host_target t = { .port = 0 };

        assert_int_equal(gh_host_target_of_authority(gh_span_str(rows[i].text), &t), rows[i].rc);
        assert_int_equal(t.port, rows[i].port);
        assert_int_equal(t.ip.family, rows[i].family);
        assert_string_equal(t.name, rows[i].name);
    }
}

/* RFC 9298, sections 2 and 3.2 */
static void path_names_a_host_and_a_port(void **state)
{
    static const struct {
        const char *text, *name;
        uint16_t port;
        uint8_t family;
        int rc;
    } rows[] = {
        { "/.well-known/masque/udp/192.0.2.6/443/", "192.0.2.6", 443, 4, 0 },
        { "/.well-known/masque/udp/192.0.2.6/443", "192.0.2.6", 443, 4, 0 },
        { "/.well-known/masque/udp/2001%3Adb8%3A%3A42/443/", "2001:db8::42", 443, 6, 0 },
        { "/.well-known/masque/udp/target.example.com/53/", "target.example.com", 53, 0, 0 },
        { "/.well-known/masque/udp/target.example.com//", "", 0, 0, GH_ERR_MALFORMED },
        { "/.well-known/masque/udp//53/", "", 0, 0, GH_ERR_MALFORMED },
        { "/.well-known/masque/udp/a.example/53x/", "", 0, 0, GH_ERR_MALFORMED },
        { "/.well-known/masque/udp/a%2/53/", "", 0, 0, GH_ERR_MALFORMED },
        { "/.well-known/masque/udp/a%00b/53/", "", 0, 0, GH_ERR_MALFORMED },
        { "/.well-known/masque/udp/192.0.2.0%2F24/53/", "", 0, 0, GH_ERR_MALFORMED },
        { "/.well-known/masque/udp/a.example/53/more", "", 0, 0, GH_ERR_NOT_FOUND },
        { "/.well-known/masque/udp/a.example", "", 0, 0, GH_ERR_NOT_FOUND },
        { "/.well-known/masque/ip/a.example/17/", "", 0, 0, GH_ERR_NOT_FOUND },
        { "/", "", 0, 0, GH_ERR_NOT_FOUND },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gh_host_target t = { .port = 0 };

        assert_int_equal(gh_host_target_of_path(gh_span_str(rows[i].text), &t), rows[i].rc);
        assert_int_equal(t.port, rows[i].port);
        assert_int_equal(t.ip.family, rows[i].family);
        assert_string_equal(t.name, rows[i].name);
    }
}

/* The forms of RFC 3986, section 3.2.2, and RFC 9298, section 2 */
static void what_is_written_is_what_a_proxy_reads(void **state)
{
    static const struct {
        const char *authority, *path;
    } rows[] = {
        { "192.0.2.6:443", "/.well-known/masque/udp/192.0.2.6/443/" },
        { "[2001:db8::42]:443", "/.well-known/masque/udp/2001%3Adb8%3A%3A42/443/" },
        { "target.example.com:53", "/.well-known/masque/udp/target.example.com/53/" },
        { "_sip.target.example:65535", "/.well-known/masque/udp/_sip.target.example/65535/" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char buf[512];
        struct gh_writer w = gh_writer_of(buf, sizeof buf);
        struct gh_host_target t, again;

        assert_int_equal(gh_host_target_of_path(gh_span_str(rows[i].path), &t), 0);
        gh_host_target_emit_authority(&w, &t);
        assert_true(gh_span_equals(gh_span_of(buf, gh_writer_len(&w)), gh_span_str(rows[i].authority)));
        assert_int_equal(gh_host_target_of_authority(gh_span_of(buf, gh_writer_len(&w)), &again), 0);
        w = gh_writer_of(buf, sizeof buf);
        gh_host_target_emit_path(&w, &again);
        assert_true(gh_span_equals(gh_span_of(buf, gh_writer_len(&w)), gh_span_str(rows[i].path)));
    }
}

static void no_host_is_nothing_to_write(void **state)
{
    struct gh_host_target t = { .port = 80 };
    char buf[512];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    (void)state;
    gh_host_target_emit_authority(&w, &t);
    assert_true(w.failed);
    w = gh_writer_of(buf, sizeof buf);
    gh_host_target_emit_path(&w, &t);
    assert_true(w.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_what_a_proxy_reads),
        cmocka_unit_test(no_host_is_nothing_to_write),
        cmocka_unit_test(authority_names_a_host_and_a_port),
        cmocka_unit_test(path_names_a_host_and_a_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
