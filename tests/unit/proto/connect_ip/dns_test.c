#include "proto/connect_ip/dns.h"

#include <stdlib.h>

#include "../../wire/packets.h"
#include "proto/connect_ip/connect_ip.h"

/* The two examples of draft-ietf-masque-connect-ip-dns, byte by byte. */
static const uint8_t split[] = "\x01\x00\x01\x01\xc0\x00\x02\x21\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x00"
                               "\x01\x15" "internal.corp.example" "\x02\x15" "internal.corp.example" "\x0c" "corp.example";
static const uint8_t doh[] = "\x01\x00\x01\x00\x00\x12" "masque.example.org" "\x1e\x00\x01\x00\x06\x02h2\x02h3\x00\x07\x00\x10" "/dns-query{?dns}"
                             "\x01\x00\x00";

static struct gh_dns_config list[GH_DNS_CONFIGS];
static size_t count;

static int take(const uint8_t *bytes, size_t len)
{
    /* a copy of the right size, so that a read too far is seen */
    uint8_t *copy = malloc(len ? len : 1);
    int rc;

    assert_non_null(copy);
    if (len)
        memcpy(copy, bytes, len);
    rc = gh_dns_read(gh_span_of(copy, len), list, &count);
    free(copy);
    return rc;
}

static void the_examples_of_the_draft_are_read_and_written(void **state)
{
    uint8_t again[200];
    struct gh_writer w = gh_writer_of(again, sizeof again);
    struct gh_ip v4 = ip_of("192.0.2.33"), v6 = ip_of("2001:db8::1");

    (void)state;
    assert_int_equal(gh_dns_read(gh_span_of(split, sizeof split - 1), list, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(list[0].nameserver_count, 1);
    assert_int_equal(list[0].nameservers[0].priority, 1);
    assert_int_equal(list[0].nameservers[0].addr_count, 2);
    assert_true(gh_ip_equals(&list[0].nameservers[0].addrs[0], &v4));
    assert_true(gh_ip_equals(&list[0].nameservers[0].addrs[1], &v6));
    assert_true(list[0].nameservers[0].plain);
    assert_int_equal(list[0].internal_count, 1);
    assert_true(gh_span_equals(list[0].internal[0], gh_span_str("internal.corp.example")));
    assert_int_equal(list[0].search_count, 2);
    assert_true(gh_span_equals(list[0].search[1], gh_span_str("corp.example")));
    gh_dns_write(&w, list, count);
    assert_int_equal(gh_writer_len(&w), sizeof split - 1);
    assert_memory_equal(again, split, sizeof split - 1);

    assert_int_equal(gh_dns_read(gh_span_of(doh, sizeof doh - 1), list, &count), 0);
    assert_int_equal(count, 1);
    assert_true(gh_span_equals(list[0].nameservers[0].name, gh_span_str("masque.example.org")));
    assert_int_equal(list[0].nameservers[0].params.len, 30);
    assert_int_equal(list[0].internal_count, 1);
    assert_int_equal(list[0].internal[0].len, 0); /* every domain */
    w = gh_writer_of(again, sizeof again);
    gh_dns_write(&w, list, count);
    assert_int_equal(gh_writer_len(&w), sizeof doh - 1);
    assert_memory_equal(again, doh, sizeof doh - 1);
}

static void a_capsule_may_have_none_or_several_configurations(void **state)
{
    uint8_t both[200];

    (void)state;
    assert_int_equal(take(NULL, 0), 0);
    assert_int_equal(count, 0);
    memcpy(both, split, sizeof split - 1);
    memcpy(both + sizeof split - 1, doh, sizeof doh - 1);
    assert_int_equal(take(both, sizeof split + sizeof doh - 2), 0);
    assert_int_equal(count, 2);
}

static void every_cut_is_malformed(void **state)
{
    (void)state;
    for (size_t len = 1; len < sizeof split - 1; len++)
        assert_int_equal(take(split, len), GH_ERR_MALFORMED);
    for (size_t len = 1; len < sizeof doh - 1; len++)
        assert_int_equal(take(doh, len), GH_ERR_MALFORMED);
}

#define NS(...) take((const uint8_t[]){ 1, __VA_ARGS__, 0, 0 }, sizeof(const uint8_t[]){ 1, __VA_ARGS__, 0, 0 })
#define V4 1, 192, 0, 2, 1

static void nameservers_are_checked(void **state)
{
    (void)state;
    assert_int_equal(NS(0, 1, V4, 0, 0, 0), 0);
    assert_int_equal(NS(0, 0, V4, 0, 0, 0), GH_ERR_MALFORMED);             /* priority 0 is AliasMode */
    assert_int_equal(NS(0, 1, 0, 0, 0, 0), GH_ERR_MALFORMED);              /* neither address nor name */
    assert_int_equal(NS(0, 1, V4, 0, 1, 'a', 0), 0);
    assert_int_equal(NS(0, 1, V4, 0, 1, ' ', 0), GH_ERR_MALFORMED);        /* no name */
    assert_int_equal(NS(0, 1, V4, 0, 0, 6, 0, 3, 0, 2, 0x14, 0xe9), 0);    /* port 5353 */
    assert_int_equal(list[0].nameservers[0].port, 5353);
    assert_int_equal(NS(0, 1, V4, 0, 0, 5, 0, 3, 0, 1, 53), GH_ERR_MALFORMED);
    assert_int_equal(NS(0, 1, V4, 0, 0, 8, 0, 4, 0, 4, 1, 2, 3, 4), GH_ERR_MALFORMED); /* ipv4hint */
    assert_int_equal(NS(0, 1, V4, 0, 0, 4, 0, 6, 0, 0), GH_ERR_MALFORMED);             /* ipv6hint */
    assert_int_equal(NS(0, 1, V4, 0, 0, 7, 0, 1, 0, 3, 2, 'h', '2'), GH_ERR_MALFORMED);            /* alpn without a name */
    assert_int_equal(NS(0, 1, V4, 0, 1, 'a', 7, 0, 1, 0, 3, 2, 'h', '2'), 0);
    assert_true(list[0].nameservers[0].plain);
    assert_int_equal(NS(0, 1, V4, 0, 1, 'a', 11, 0, 1, 0, 3, 2, 'h', '2', 0, 2, 0, 0), 0);         /* no-default-alpn */
    assert_false(list[0].nameservers[0].plain);
    assert_int_equal(NS(0, 1, V4, 0, 1, 'a', 4, 0, 2, 0, 0), GH_ERR_MALFORMED);                    /* and nothing else */
    assert_int_equal(NS(0, 1, V4, 0, 1, 'a', 7, 0, 1, 0, 3, 3, 'h', '2'), GH_ERR_MALFORMED);
    assert_int_equal(NS(0, 1, V4, 0, 0, 12, 0, 3, 0, 2, 0, 53, 0, 3, 0, 2, 0, 53), GH_ERR_MALFORMED); /* keys ascend */
    assert_int_equal(NS(0, 1, V4, 0, 0, 5, 0xff, 0, 0, 1, 'x'), 0);        /* unknown parameters are kept */
}

static void counts_that_cannot_be_are_malformed_and_more_than_we_keep_is_too_long(void **state)
{
    uint8_t many[2048];
    size_t n = 0;

    (void)state;
    assert_int_equal(take((const uint8_t[]){ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0 }, 10), GH_ERR_MALFORMED);
    assert_int_equal(take((const uint8_t[]){ 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 }, 10), GH_ERR_MALFORMED);
    many[n++] = GH_DNS_NAMESERVERS + 1;
    for (unsigned i = 0; i <= GH_DNS_NAMESERVERS; i++, n += 10)
        memcpy(many + n, (const uint8_t[]){ 0, 1, V4, 0, 0, 0 }, 10);
    many[n++] = 0;
    many[n++] = 0;
    assert_int_equal(take(many, n), GH_ERR_TOO_LONG);
    n = 0;
    many[n++] = 0;
    many[n++] = GH_DNS_DOMAINS + 1;
    for (unsigned i = 0; i <= GH_DNS_DOMAINS; i++)
        many[n++] = 0;
    many[n++] = 0;
    assert_int_equal(take(many, n), GH_ERR_TOO_LONG);
    memset(many, 0, sizeof many); /* empty configurations */
    assert_int_equal(take(many, 3 * GH_DNS_CONFIGS), 0);
    assert_int_equal(take(many, 3 * GH_DNS_CONFIGS + 3), GH_ERR_TOO_LONG);
}

static void names_have_letters_digits_and_nothing_that_a_file_would_obey(void **state)
{
    static const char *const good[] = { "a", "a.b", "a.b.", "_dns.resolver.arpa", "xn--bcher-kva.example", "1.2.3" };
    static const char *const bad[] = { "", ".", "a..b", ".a", "a b", "a\nb", "a#", "a;b", "b\xc3\xbc" "cher", "a/b", "a\\.b" };
    char longest[260];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(gh_dns_name_valid(gh_span_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(gh_dns_name_valid(gh_span_str(bad[i])));
    memset(longest, 'a', sizeof longest);
    for (size_t i = 63; i < sizeof longest; i += 64)
        longest[i] = '.';
    assert_true(gh_dns_name_valid(gh_span_of(longest, 253)));
    assert_false(gh_dns_name_valid(gh_span_of(longest, 255)));
    longest[63] = 'a';
    assert_false(gh_dns_name_valid(gh_span_of(longest, 64)));
}

static void a_search_domain_has_a_name(void **state)
{
    (void)state;
    assert_int_equal(take((const uint8_t[]){ 0, 1, 0, 0 }, 4), 0);                   /* "" is every internal domain */
    assert_int_equal(take((const uint8_t[]){ 0, 0, 1, 0 }, 4), GH_ERR_MALFORMED);
}

/* The draft's example, 64:ff9b::/96, and RFC 6052, section 2.2. */
static void prefixes_of_nat64_have_six_lengths(void **state)
{
    uint8_t value[13 * 9] = { 96, 0, 0x64, 0xff, 0x9b }, again[13];
    struct gh_prefix prefixes[GH_PREF64_PREFIXES], want = prefix_of("64:ff9b::/96");
    struct gh_writer w = gh_writer_of(again, sizeof again);
    size_t n;

    (void)state;
    assert_int_equal(gh_pref64_read(gh_span_of(value, 13), prefixes, &n), 0);
    assert_int_equal(n, 1);
    assert_memory_equal(&prefixes[0], &want, sizeof want);
    gh_pref64_write(&w, prefixes, 1);
    assert_memory_equal(again, value, 13);
    assert_int_equal(gh_pref64_read(gh_span_of(NULL, 0), prefixes, &n), 0);
    assert_int_equal(n, 0);
    for (unsigned len = 0; len < 256; len++) {
        bool good = len == 32 || len == 40 || len == 48 || len == 56 || len == 64 || len == 96;

        value[0] = (uint8_t)len;
        memset(value + 1, 0xff, 12);
        value[1] = 0x20;
        assert_int_equal(gh_pref64_read(gh_span_of(value, 13), prefixes, &n), good ? 0 : GH_ERR_MALFORMED);
        if (good)
            assert_true(gh_prefix_valid(&prefixes[0]) && prefixes[0].len == len);
    }
    for (size_t len = 1; len < 13; len++)
        assert_int_equal(gh_pref64_read(gh_span_of(value, 13 + len), prefixes, &n), GH_ERR_MALFORMED);
    for (size_t i = 0; i < 9; i++)
        value[13 * i] = 96;
    assert_int_equal(gh_pref64_read(gh_span_of(value, sizeof value), prefixes, &n), GH_ERR_TOO_LONG);
}

/* In a tunnel. */

static struct {
    uint8_t sent[512];
    size_t sent_len, dns, pref64, last;
} got;

static int on_send(void *arg, struct gh_span s)
{
    (void)arg;
    memcpy(got.sent, s.data, s.len);
    got.sent_len = s.len;
    return 0;
}

static void on_dns(void *arg, struct gh_span value)
{
    (void)arg;
    got.dns++;
    got.last = value.len;
}

static void on_pref64(void *arg, const struct gh_prefix *prefixes, size_t n)
{
    (void)arg;
    (void)prefixes;
    got.pref64++;
    got.last = n;
}

static void capsules_have_the_provisional_types_and_are_heard_where_somebody_listens(void **state)
{
    static const struct gh_connect_ip_events deaf = { .send = on_send }, events = { .send = on_send, .on_dns = on_dns, .on_pref64 = on_pref64 };
    static const uint8_t malformed[] = { 0xa7, 0x4c, 0x0f, 0xbc, 1, 96 };
    struct gh_prefix nat64 = prefix_of("64:ff9b::/96");
    struct gh_connect_ip c;

    (void)state;
    for (int listens = 0; listens < 2; listens++) {
        memset(&got, 0, sizeof got);
        gh_connect_ip_init(&c, listens ? &events : &deaf, NULL);
        assert_int_equal(gh_dns_read(gh_span_of(split, sizeof split - 1), list, &count), 0);
        assert_int_equal(gh_connect_ip_assign_dns(&c, list, count), 0);
        assert_memory_equal(got.sent, "\x9a\xce\x79\xec\x40", 5);
        assert_int_equal(got.sent[5], sizeof split - 1);
        assert_memory_equal(got.sent + 6, split, sizeof split - 1);
        assert_int_equal(gh_connect_ip_feed(&c, gh_span_of(got.sent, got.sent_len), false), 0);
        assert_int_equal(got.dns, listens);
        assert_int_equal(gh_connect_ip_assign_pref64(&c, &nat64, 1), 0);
        assert_int_equal(got.sent_len, 18);
        assert_memory_equal(got.sent, "\xa7\x4c\x0f\xbc\x0d\x60\x00\x64\xff\x9b", 10);
        assert_int_equal(gh_connect_ip_feed(&c, gh_span_of(got.sent, got.sent_len), false), 0);
        assert_int_equal(got.pref64, listens);
        assert_int_equal(gh_connect_ip_feed(&c, gh_span_of(malformed, sizeof malformed), false), listens ? GH_ERR_MALFORMED : 0);
        gh_connect_ip_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_draft_are_read_and_written),
        cmocka_unit_test(a_capsule_may_have_none_or_several_configurations),
        cmocka_unit_test(every_cut_is_malformed),
        cmocka_unit_test(nameservers_are_checked),
        cmocka_unit_test(counts_that_cannot_be_are_malformed_and_more_than_we_keep_is_too_long),
        cmocka_unit_test(names_have_letters_digits_and_nothing_that_a_file_would_obey),
        cmocka_unit_test(a_search_domain_has_a_name),
        cmocka_unit_test(prefixes_of_nat64_have_six_lengths),
        cmocka_unit_test(capsules_have_the_provisional_types_and_are_heard_where_somebody_listens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
