#include "os/udp.h"

#include <poll.h>

#include "../test.h"
#include "base/error.h"
#include "namespace.h"

#define SLAB (GH_UDP_BATCH * (size_t)GH_UDP_BUFFER)

static bool isolated;
static uint8_t *slab;
static uint8_t payload[200000];

static struct gh_endpoint endpoint(const char *ip, uint16_t port)
{
    struct gh_endpoint e = { .port = port };

    if (ip)
        assert_int_equal(gh_ip_parse(ip, strlen(ip), &e.ip), 0);
    return e;
}

static struct gh_udp open_udp(const char *ip, unsigned flags, bool gso, bool gro)
{
    struct gh_endpoint at = endpoint(ip, 0);
    struct gh_udp_features f = { .gso = gso, .gro = gro };
    struct gh_udp u;
    int fd = gh_udp_open(&at, flags), got = 0;

    assert_true(fd >= 0);
    assert_int_equal(gh_udp_set_buffers(fd, 1 << 20, &got), 0);
    assert_true(got > 0);
    assert_int_equal(gh_udp_init(&u, fd, &f), 0);
    return u;
}

/* Waits for what is on its way on loopback, at most ten seconds. */
static int receive(struct gh_udp *u, struct gh_udp_message *m)
{
    struct pollfd p = { u->fd, POLLIN, 0 };

    assert_int_equal(poll(&p, 1, 10000), 1);
    return gh_udp_receive(u, slab, GH_UDP_BATCH, m);
}

static void batch_arrives_as_sent(const char *from_ip, const char *bind_ip, const char *to_ip, bool gso, bool gro, size_t len,
                                  size_t segment)
{
    struct gh_udp from = open_udp(from_ip, 0, gso, true), to = open_udp(bind_ip, 0, true, gro);
    struct gh_udp_send m = { gh_span_of(payload, len), segment, { { 0 } }, endpoint(to_ip, to.port), 2 };
    struct gh_endpoint expected_to = endpoint(to_ip, to.port), expected_from = endpoint(from_ip, from.port);
    struct gh_udp_message got[GH_UDP_BATCH];
    size_t at = 0;

    assert_int_equal(gh_udp_send(&from, &m), (ssize_t)len);
    assert_int_equal(from.gso, gso);
    while (at < len) {
        int n = receive(&to, got);

        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            assert_false(got[i].truncated);
            assert_true(at + got[i].len <= len);
            assert_memory_equal(got[i].data, payload + at, got[i].len);
            at += got[i].len;
            assert_true(got[i].segment == segment || (at == len && got[i].segment == len % segment));
            assert_true(got[i].len % segment == 0 || at == len);
            assert_true(gro || got[i].len == got[i].segment);
            assert_int_equal(got[i].ecn, 2);
            assert_true(gh_endpoint_equals(&got[i].local, &expected_to));
            assert_true(gh_endpoint_equals(&got[i].remote, &expected_from));
        }
    }
    assert_int_equal(gh_udp_receive(&to, slab, GH_UDP_BATCH, got), GH_ERR_AGAIN);
    gh_udp_fini(&from);
    gh_udp_fini(&to);
}

static void batches_arrive_whole_with_every_offload_on_and_off(void **state)
{
    static const struct {
        const char *from, *bind, *to;
    } paths[] = { { "127.0.0.1", "127.0.0.1", "127.0.0.1" },
                  { "127.0.0.1", NULL, "127.0.0.3" }, /* one socket for both families */
                  { "::1", "::1", "::1" },
                  { "::1", NULL, "::1" } };
    static const struct {
        size_t len, segment;
    } sizes[] = { { 1200, 1200 }, { 5, 1200 }, { 12000, 1200 }, { 12345, 1200 }, { 61, 1 }, { 6500, 100 }, { 100000, 1432 },
                  { 130000, 65000 } };

    (void)state;
    for (size_t p = 0; p < sizeof paths / sizeof *paths; p++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int offloads = 0; offloads < 4; offloads++)
                batch_arrives_as_sent(paths[p].from, paths[p].bind, paths[p].to, offloads & 1, offloads & 2, sizes[s].len,
                                      sizes[s].segment);
}

/* RFC 3168: what routers say with the two bits must reach the engine, packet by packet, however packets are merged on the way. */
static void every_datagram_keeps_its_ecn_bits(void **state)
{
    static const struct {
        const char *from, *bind, *to;
    } paths[] = { { "127.0.0.1", "127.0.0.1", "127.0.0.1" }, { "127.0.0.1", NULL, "127.0.0.3" }, { "::1", NULL, "::1" } };
    struct gh_udp_message got[GH_UDP_BATCH];

    (void)state;
    for (size_t p = 0; p < sizeof paths / sizeof *paths; p++)
        for (int offloads = 0; offloads < 4; offloads++) {
            struct gh_udp from = open_udp(paths[p].from, 0, offloads & 1, true), to = open_udp(paths[p].bind, 0, true, offloads & 2);
            unsigned seen[4] = { 0 };

            for (uint8_t i = 0; i < 16; i++) { /* runs of four datagrams, each run with another mark than the one before it */
                uint8_t run[4 * 500];
                struct gh_udp_send m = { gh_span_of(run, sizeof run), 500, { { 0 } }, endpoint(paths[p].to, to.port), i & 3 };

                memset(run, i & 3, sizeof run);
                assert_int_equal(gh_udp_send(&from, &m), sizeof run);
            }
            while (seen[0] + seen[1] + seen[2] + seen[3] < 64) {
                int n = receive(&to, got);

                assert_true(n > 0);
                for (int i = 0; i < n; i++)
                    for (size_t at = 0; at < got[i].len; at += 500) {
                        assert_int_equal(got[i].data[at], got[i].ecn);
                        seen[got[i].ecn]++;
                    }
            }
            for (int i = 0; i < 4; i++)
                assert_int_equal(seen[i], 16);
            gh_udp_fini(&from);
            gh_udp_fini(&to);
        }
}

static void answer_leaves_from_the_address_that_was_asked(void **state)
{
    static const struct {
        const char *client, *asked;
    } cases[] = { { "127.0.0.1", "127.0.0.77" }, { "::1", "::1" } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct gh_udp client = open_udp(cases[i].client, 0, true, true), server = open_udp(NULL, 0, true, true);
        struct gh_udp_send m = { gh_span_of(payload, 9), 9, { { 0 } }, endpoint(cases[i].asked, server.port), 0 };
        struct gh_endpoint expected = m.remote;
        struct gh_udp_message got[GH_UDP_BATCH];

        assert_int_equal(gh_udp_send(&client, &m), 9);
        assert_int_equal(receive(&server, got), 1);
        assert_int_equal(got[0].ecn, 0);
        m.local = got[0].local;
        m.remote = got[0].remote;
        m.ecn = 1;
        assert_int_equal(gh_udp_send(&server, &m), 9);
        assert_int_equal(receive(&client, got), 1);
        assert_true(gh_endpoint_equals(&got[0].remote, &expected));
        assert_int_equal(got[0].ecn, 1);
        gh_udp_fini(&client);
        gh_udp_fini(&server);
    }
}

static void what_the_device_does_not_carry_is_too_long_and_keeps_the_offload(void **state)
{
    static const char *const ips[] = { "127.0.0.1", "::1" };

    (void)state;
    if (!isolated)
        skip();
    assert_true(namespace_link_up("lo", 1500));
    for (size_t i = 0; i < 4; i++) {
        struct gh_udp u = open_udp(ips[i & 1], 0, i & 2, true);
        size_t fits = i & 1 ? 1452 : 1472;
        struct gh_udp_send m = { gh_span_of(payload, 4 * fits), fits + 1, { { 0 } }, endpoint(ips[i & 1], u.port), 0 };

        assert_int_equal(gh_udp_send(&u, &m), GH_ERR_TOO_LONG);
        m.payload.len = fits + 1;
        assert_int_equal(gh_udp_send(&u, &m), GH_ERR_TOO_LONG);
        assert_int_equal(u.gso, (i & 2) != 0);
        m.payload.len = 4 * fits;
        m.segment = fits;
        assert_int_equal(gh_udp_send(&u, &m), (ssize_t)(4 * fits));
        assert_int_equal(u.gso, (i & 2) != 0);
        gh_udp_fini(&u);
    }
    assert_true(namespace_link_up("lo", 65536));
}

static void address_of_the_other_family_is_refused(void **state)
{
    struct gh_udp u = open_udp("127.0.0.1", 0, true, true);
    struct gh_udp_send m = { gh_span_of(payload, 9), 9, { { 0 } }, endpoint("::1", 9), 0 };

    (void)state;
    assert_int_equal(gh_udp_send(&u, &m), GH_ERR_RANGE);
    m.remote = endpoint(NULL, 9);
    assert_int_equal(gh_udp_send(&u, &m), GH_ERR_RANGE);
    m.remote = endpoint("127.0.0.1", u.port);
    m.payload.len = m.segment = GH_UDP_PAYLOAD_MAX + 1;
    assert_int_equal(gh_udp_send(&u, &m), GH_ERR_TOO_LONG);
    gh_udp_fini(&u);
}

static void taken_port_says_so(void **state)
{
    struct gh_udp u = open_udp("127.0.0.1", 0, true, true);
    struct gh_endpoint at = endpoint("127.0.0.1", u.port);

    (void)state;
    assert_int_equal(gh_udp_open(&at, 0), GH_ERR_EXISTS);
    gh_udp_fini(&u);
}

static void steering_program_chooses_the_socket(void **state)
{
    static const struct sock_filter by_first_byte[] = {
        { BPF_LD | BPF_B | BPF_ABS, 0, 0, 0 },
        { BPF_RET | BPF_A, 0, 0, 0 },
    };
    struct gh_udp_features f = { .gso = true, .gro = true };
    struct gh_udp u[3], client = open_udp("127.0.0.1", 0, true, true);
    struct gh_endpoint at = endpoint("127.0.0.1", 0);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int fd = gh_udp_open(&at, GH_UDP_REUSEPORT);

        assert_true(fd >= 0);
        assert_int_equal(gh_udp_init(&u[i], fd, &f), 0);
        at.port = u[i].port;
    }
    assert_int_equal(gh_udp_attach_steering(u[0].fd, by_first_byte, 2), 0);
    for (uint8_t i = 0; i < 12; i++) {
        uint8_t data[] = { i % 3, i };
        struct gh_udp_send m = { gh_span_of(data, 2), 2, { { 0 } }, at, 0 };
        struct gh_udp_message got[GH_UDP_BATCH];

        assert_int_equal(gh_udp_send(&client, &m), 2);
        assert_int_equal(receive(&u[i % 3], got), 1);
        assert_memory_equal(got[0].data, data, 2);
    }
    for (size_t i = 0; i < 3; i++)
        gh_udp_fini(&u[i]);
    gh_udp_fini(&client);
}

/* Every kernel since 5.0 has both. */
static void selftest_finds_the_offloads_of_this_kernel(void **state)
{
    struct gh_udp_features f = { 0 };

    (void)state;
    gh_udp_selftest(&f);
    assert_true(f.tested && f.gso && f.gro);
}

static void selftest_without_loopback_takes_the_kernels_word(void **state)
{
    struct gh_udp_features f = { .tested = true };

    (void)state;
    if (!isolated || !namespace_enter()) /* loopback is down in a new one */
        skip();
    gh_udp_selftest(&f);
    assert_false(f.tested);
    assert_true(f.gso && f.gro);
}

static int set_up(void **state)
{
    (void)state;
    slab = malloc(SLAB);
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 31 + (i >> 8));
    isolated = namespace_enter();
    if (isolated && !namespace_link_up("lo", 65536))
        return -1;
    return slab ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(slab);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_arrive_whole_with_every_offload_on_and_off),
        cmocka_unit_test(every_datagram_keeps_its_ecn_bits),
        cmocka_unit_test(answer_leaves_from_the_address_that_was_asked),
        cmocka_unit_test(what_the_device_does_not_carry_is_too_long_and_keeps_the_offload),
        cmocka_unit_test(address_of_the_other_family_is_refused),
        cmocka_unit_test(taken_port_says_so),
        cmocka_unit_test(steering_program_chooses_the_socket),
        cmocka_unit_test(selftest_finds_the_offloads_of_this_kernel),
        cmocka_unit_test(selftest_without_loopback_takes_the_kernels_word),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
