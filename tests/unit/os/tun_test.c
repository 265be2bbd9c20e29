#include "os/tun.h"

#include <poll.h>

#include "../test.h"
#include "base/error.h"
#include "namespace.h"
#include "os/clock.h"
#include "os/sock.h"
#include "os/udp.h"
#include "proto/forward/checksum.h"
#include "proto/forward/coalesce.h"
#include "proto/forward/segment.h"

#define PATIENCE (20 * GH_NANOSECONDS)
#define BULK (4u << 20)

static bool permitted;

static struct gh_endpoint endpoint(const char *ip, uint16_t port)
{
    struct gh_endpoint e = { .port = port };

    assert_int_equal(gh_ip_parse(ip, strlen(ip), &e.ip), 0);
    return e;
}

/* A TUN in a namespace of its own; sockets that are made next live there too. */
static int tun_in_new_namespace(const char *four, const char *six, unsigned wanted, unsigned *ret_got)
{
    char name[IF_NAMESIZE];
    int fd;

    assert_true(namespace_enter());
    assert_int_equal(gh_tun_open("gh%d", true, &fd, name), 0);
    assert_string_equal(name, "gh0");
    assert_int_equal(gh_tun_set_offload(fd, wanted, ret_got), 0);
    assert_int_equal(*ret_got & ~wanted, 0);
    assert_true(namespace_link_up(name, 1400));
    assert_true(namespace_add_address(name, four) && namespace_add_address(name, six));
    return fd;
}

/* The next packet of TCP or UDP; the kernel's own (router solicitations) are left out. */
static ssize_t read_transport(int fd, uint8_t *buf, struct gh_offload *o)
{
    struct pollfd p = { fd, POLLIN, 0 };
    struct gh_layout l;
    ssize_t n;

    for (;;) {
        assert_int_equal(poll(&p, 1, 10000), 1);
        n = gh_tun_read(fd, buf, GH_TUN_PACKET_MAX, o);
        assert_true(n > 0);
        if (gh_layout_parse(buf, (size_t)n, &l) == 0)
            return n;
    }
}

static void queues_share_a_device_and_can_be_detached(void **state)
{
    char name[IF_NAMESIZE], same[IF_NAMESIZE];
    int first, second, other;

    (void)state;
    if (!permitted)
        skip();
    assert_true(namespace_enter());
    assert_int_equal(gh_tun_open("", true, &first, name), 0);
    assert_int_equal(gh_tun_open(name, true, &second, same), 0);
    assert_string_equal(name, same);
    assert_int_equal(gh_tun_open(name, false, &other, same), GH_ERR_EXISTS);
    assert_int_equal(gh_tun_open("a name that is too long", true, &other, same), GH_ERR_RANGE);
    assert_int_equal(gh_tun_attach_queue(second, false), 0);
    assert_int_equal(gh_tun_attach_queue(second, false), GH_ERR_SYSTEM);
    assert_int_equal(gh_tun_attach_queue(second, true), 0);
    gh_sock_close(first);
    gh_sock_close(second);
}

static void write_to_an_interface_that_is_down_is_a_state(void **state)
{
    static const uint8_t packet[40] = { 0x45, 0, 0, 40 };
    struct gh_span piece = gh_span_of(packet, sizeof packet);
    struct gh_offload plain = { 0 }, o;
    char name[IF_NAMESIZE];
    uint8_t buf[100];
    int fd;

    (void)state;
    if (!permitted)
        skip();
    assert_true(namespace_enter());
    assert_int_equal(gh_tun_open("", true, &fd, name), 0);
    assert_int_equal(gh_tun_write(fd, &plain, &piece, 1), GH_ERR_STATE);
    assert_int_equal(gh_tun_read(fd, buf, sizeof buf, &o), GH_ERR_AGAIN);
    gh_sock_close(fd);
}

static void offload_asked_for_without_checksums_is_none(void **state)
{
    char name[IF_NAMESIZE];
    unsigned got = 99;
    int fd;

    (void)state;
    if (!permitted)
        skip();
    assert_true(namespace_enter());
    assert_int_equal(gh_tun_open("", true, &fd, name), 0);
    assert_int_equal(gh_tun_set_offload(fd, GH_TUN_TSO4 | GH_TUN_USO, &got), 0);
    assert_int_equal(got, 0);
    assert_int_equal(gh_tun_set_offload(fd, GH_TUN_ALL, &got), 0);
    assert_int_equal(got & ~(unsigned)GH_TUN_USO, GH_TUN_ALL & ~GH_TUN_USO); /* these are older than any kernel we run on */
    gh_sock_close(fd);
}

/* What a socket of this host sends in one piece comes out of the TUN, is cut, and every datagram is right. */
static void sent_datagrams_come_out(const char *from_ip, const char *to_ip, unsigned wanted)
{
    static uint8_t payload[20 * 1000 + 77], buf[GH_TUN_PACKET_MAX];
    struct gh_udp_features f = { .gso = true, .gro = true };
    struct gh_endpoint at = endpoint(from_ip, 0);
    struct gh_udp_send m = { gh_span_of(payload, sizeof payload), 1000, { { 0 } }, endpoint(to_ip, 4433), 0 };
    struct gh_segment it;
    struct gh_offload o;
    struct gh_span got;
    struct gh_udp u;
    unsigned stuck;
    size_t at_byte = 0, reads = 0;
    int fd = tun_in_new_namespace("10.9.0.1", "fd09::1", wanted, &stuck);

    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 13 + (i >> 8));
    assert_int_equal(gh_udp_init(&u, gh_udp_open(&at, 0), &f), 0);
    assert_int_equal(gh_udp_send(&u, &m), (ssize_t)sizeof payload);
    while (at_byte < sizeof payload) {
        ssize_t n = read_transport(fd, buf, &o);

        reads++;
        assert_int_equal(gh_segment_init(&it, buf, (size_t)n, &o), 0);
        while (gh_segment_next(&it, &got) == 1) {
            struct gh_layout l;
            uint64_t sum;

            assert_int_equal(gh_layout_parse(got.data, got.len, &l), 0);
            assert_int_equal(l.stated_len, got.len);
            assert_int_equal(l.protocol, GH_LAYOUT_UDP);
            assert_memory_equal(got.data + l.header_len, payload + at_byte, got.len - l.header_len);
            at_byte += got.len - l.header_len;
            assert_true(got.len - l.header_len == 1000 || at_byte == sizeof payload);
            sum = gh_checksum_pseudo(got.data + l.addresses, l.address_len, l.protocol, (uint32_t)(got.len - l.transport));
            assert_true(gh_checksum_good(gh_checksum_add(sum, got.data + l.transport, got.len - l.transport)));
        }
    }
    assert_int_equal(reads, stuck & GH_TUN_USO ? 1 : 21);
    gh_udp_fini(&u);
    gh_sock_close(fd);
}

static void datagrams_sent_in_one_piece_are_cut(void **state)
{
    (void)state;
    if (!permitted)
        skip();
    sent_datagrams_come_out("10.9.0.1", "10.9.0.2", GH_TUN_ALL);
    sent_datagrams_come_out("fd09::1", "fd09::2", GH_TUN_ALL);
}

static void offloads_can_be_switched_off(void **state)
{
    (void)state;
    if (!permitted)
        skip();
    sent_datagrams_come_out("10.9.0.1", "10.9.0.2", 0);
    sent_datagrams_come_out("fd09::1", "fd09::2", GH_TUN_CSUM);
}

/* One side of a wire made of two TUNs: what is read here is cut, merged again and written there. */
struct side {
    int tun;
    size_t super_reads, super_writes;
};

static void write_merged(struct gh_coalescer *c, struct side *to)
{
    struct gh_super s;

    while (gh_coalesce_next(c, &s) == 1) {
        int rc = gh_tun_write(to->tun, &s.offload, s.pieces, s.piece_count);

        if (rc < 0)
            fail_msg("write of kind %u, %zu bytes: %s, errno %d", s.offload.kind, s.len, gh_error_text(rc), errno);
        to->super_writes += s.packet_count > 1;
    }
}

static void relay(struct side *from, struct side *to, struct gh_coalescer *c)
{
    static uint8_t buf[GH_TUN_PACKET_MAX];
    static uint8_t copies[GH_COALESCE_BATCH][1500];
    struct gh_offload o;
    struct gh_segment it;
    struct gh_span got;

    for (int i = 0; i < 16; i++) {
        ssize_t n = gh_tun_read(from->tun, buf, sizeof buf, &o);
        size_t count = 0;

        if (n == GH_ERR_AGAIN)
            return;
        assert_true(n > 0);
        from->super_reads += o.kind != GH_OFFLOAD_NONE;
        if (gh_segment_init(&it, buf, (size_t)n, &o) < 0)
            continue;
        while (gh_segment_next(&it, &got) == 1) {
            assert_true(got.len <= 1400);
            if (count == GH_COALESCE_BATCH) {
                write_merged(c, to);
                count = 0;
            }
            memcpy(copies[count], got.data, got.len);
            assert_int_equal(gh_coalesce_add(c, copies[count], got.len), 0);
            count++;
        }
        write_merged(c, to);
    }
}

static uint8_t bulk_byte(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 10) * 7);
}

/* Pushes what fits into <fd>; returns how much has gone in all. */
static size_t push(int fd, size_t sent)
{
    static uint8_t block[65536];

    while (sent < BULK) {
        size_t len = BULK - sent < sizeof block ? BULK - sent : sizeof block;
        ssize_t n;

        for (size_t i = 0; i < len; i++)
            block[i] = bulk_byte(sent + i);
        n = gh_sock_send(fd, gh_span_of(block, len));
        if (n == GH_ERR_AGAIN)
            break;
        assert_true(n > 0);
        sent += (size_t)n;
    }
    return sent;
}

static size_t pull(int fd, size_t received)
{
    static uint8_t block[65536];
    ssize_t n;

    while ((n = gh_sock_receive(fd, block, sizeof block)) > 0)
        for (ssize_t i = 0; i < n; i++, received++)
            if (block[i] != bulk_byte(received))
                fail_msg("byte %zu differs", received);
    assert_int_equal(n, GH_ERR_AGAIN);
    return received;
}

static void tcp_crosses(const char *a_ip, unsigned wanted)
{
    struct side a = { 0 }, b = { 0 };
    struct gh_coalescer *c = malloc(sizeof *c);
    struct gh_endpoint at = endpoint(a_ip, 0);
    int listener, client, server = -1;
    unsigned stuck;
    size_t sent = 0, received = 0;
    int64_t until = gh_clock_now() + PATIENCE;

    assert_non_null(c);
    a.tun = tun_in_new_namespace("10.9.0.1", "fd09::1", wanted, &stuck);
    listener = gh_sock_listen_tcp(&at, 0);
    assert_true(listener >= 0);
    assert_int_equal(gh_sock_local(listener, &at), 0);
    b.tun = tun_in_new_namespace("10.9.0.2", "fd09::2", wanted, &stuck);
    client = gh_sock_connect_tcp(&at);
    assert_true(client >= 0);
    gh_coalesce_init(c, wanted ? GH_COALESCE_TCP4 | GH_COALESCE_TCP6 : 0);
    while (received < BULK) {
        struct pollfd p[] = { { a.tun, POLLIN, 0 }, { b.tun, POLLIN, 0 } };

        relay(&b, &a, c);
        relay(&a, &b, c);
        if (server < 0) {
            server = gh_sock_accept(listener, NULL);
        } else {
            sent = push(client, sent);
            received = pull(server, received);
        }
        assert_true(gh_clock_now() < until);
        if (received < BULK)
            poll(p, 2, 100);
    }
    /* 4 MiB are 64 packets at least */
    assert_int_equal(b.super_reads > 30, wanted != 0);
    assert_int_equal(a.super_writes > 30, wanted != 0);
    gh_sock_close(client);
    gh_sock_close(server);
    gh_sock_close(listener);
    gh_sock_close(a.tun);
    gh_sock_close(b.tun);
    free(c);
}

static void tcp_crosses_two_tuns_cut_and_merged(void **state)
{
    (void)state;
    if (!permitted)
        skip();
    tcp_crosses("10.9.0.1", GH_TUN_ALL);
    tcp_crosses("fd09::1", GH_TUN_ALL);
}

static void tcp_crosses_two_tuns_without_offloads(void **state)
{
    (void)state;
    if (!permitted)
        skip();
    tcp_crosses("10.9.0.1", 0);
}

static size_t build_udp(uint8_t *p, bool six, uint16_t port, size_t payload, uint8_t first_byte)
{
    size_t ip = six ? 40 : 20, len = ip + 8 + payload;
    struct gh_endpoint from = endpoint(six ? "fd09::2" : "10.9.0.2", 0), to = endpoint(six ? "fd09::1" : "10.9.0.1", 0);
    struct gh_offload finish = { .needs_csum = true, .csum_start = (uint16_t)ip, .csum_offset = 6 };
    struct gh_segment it;
    struct gh_span got;
    uint32_t sum = 0;

    memset(p, 0, len);
    p[0] = six ? 0x60 : 0x45;
    gh_layout_store16(p + (six ? 4 : 2), (uint32_t)(six ? len - 40 : len));
    p[six ? 6 : 9] = 17;
    p[six ? 7 : 8] = 64;
    memcpy(p + (six ? 8 : 12), from.ip.bytes, six ? 16 : 4);
    memcpy(p + (six ? 24 : 16), to.ip.bytes, six ? 16 : 4);
    gh_layout_store16(p + ip, 9);
    gh_layout_store16(p + ip + 2, port);
    gh_layout_store16(p + ip + 4, (uint32_t)(8 + payload));
    memset(p + ip + 8, first_byte, payload);
    for (size_t i = six ? 8 : 12; i < ip; i += 2)
        sum += gh_layout_load16(p + i);
    sum += 17 + (uint32_t)(8 + payload);
    gh_layout_store16(p + ip + 6, (sum & 0xffff) + (sum >> 16));
    if (!six) {
        p[6] = 0x40;
        for (size_t i = sum = 0; i < 20; i += 2)
            sum += gh_layout_load16(p + i);
        gh_layout_store16(p + 10, ~((sum & 0xffff) + (sum >> 16)));
    }
    assert_int_equal(gh_segment_init(&it, p, len, &finish), 0);
    assert_int_equal(gh_segment_next(&it, &got), 1);
    return len;
}

static void merged_datagrams_arrive_one_by_one(bool six)
{
    static uint8_t packets[40][1100], slab[GH_UDP_BATCH * GH_UDP_BUFFER];
    struct gh_udp_message got[GH_UDP_BATCH];
    struct gh_endpoint at = endpoint(six ? "fd09::1" : "10.9.0.1", 0);
    struct gh_coalescer *c = malloc(sizeof *c);
    struct gh_udp_features none = { 0 };
    struct gh_super s;
    struct gh_udp u;
    unsigned stuck;
    uint8_t next = 0;
    int fd = tun_in_new_namespace("10.9.0.1", "fd09::1", GH_TUN_ALL, &stuck);

    assert_non_null(c);
    if (!(stuck & GH_TUN_USO)) {
        print_message("no USO in this kernel\n");
        goto out;
    }
    assert_int_equal(gh_udp_init(&u, gh_udp_open(&at, 0), &none), 0);
    gh_coalesce_init(c, GH_COALESCE_UDP4 | GH_COALESCE_UDP6);
    for (uint8_t i = 0; i < 40; i++)
        assert_int_equal(gh_coalesce_add(c, packets[i], build_udp(packets[i], six, u.port, i == 39 ? 321 : 1000, i)), 0);
    assert_int_equal(gh_coalesce_next(c, &s), 1);
    assert_int_equal(s.packet_count, 40);
    assert_int_equal(gh_tun_write(fd, &s.offload, s.pieces, s.piece_count), 0);
    assert_int_equal(gh_coalesce_next(c, &s), 0);
    while (next < 40) {
        struct pollfd p = { u.fd, POLLIN, 0 };
        int n;

        assert_int_equal(poll(&p, 1, 10000), 1);
        n = gh_udp_receive(&u, slab, GH_UDP_BATCH, got);
        for (int i = 0; i < n; i++, next++) {
            assert_int_equal(got[i].len, next == 39 ? 321 : 1000);
            assert_int_equal(got[i].data[0], next);
            assert_int_equal(got[i].data[got[i].len - 1], next);
        }
    }
    gh_udp_fini(&u);
out:
    gh_sock_close(fd);
    free(c);
}

static void datagrams_written_in_one_piece_arrive_one_by_one(void **state)
{
    (void)state;
    if (!permitted)
        skip();
    merged_datagrams_arrive_one_by_one(false);
    merged_datagrams_arrive_one_by_one(true);
}

static void impossible_descriptor_is_refused_by_the_kernel(void **state)
{
    static uint8_t packet[100];
    struct gh_offload o = { .needs_csum = true, .csum_start = 2000, .csum_offset = 6 };
    struct gh_span pieces[GH_TUN_PIECES_MAX + 1];
    unsigned stuck;
    int fd;

    (void)state;
    if (!permitted)
        skip();
    fd = tun_in_new_namespace("10.9.0.1", "fd09::1", GH_TUN_ALL, &stuck);
    packet[0] = 0x45;
    for (size_t i = 0; i <= GH_TUN_PIECES_MAX; i++)
        pieces[i] = gh_span_of(packet, sizeof packet);
    assert_int_equal(gh_tun_write(fd, &o, pieces, 1), GH_ERR_MALFORMED);
    assert_int_equal(gh_tun_write(fd, &o, pieces, GH_TUN_PIECES_MAX + 1), GH_ERR_TOO_LONG);
    gh_sock_close(fd);
}

static int set_up(void **state)
{
    char name[IF_NAMESIZE];
    int fd = -1;

    (void)state;
    permitted = namespace_enter() && gh_tun_open("", true, &fd, name) == 0;
    gh_sock_close(fd);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_share_a_device_and_can_be_detached),
        cmocka_unit_test(write_to_an_interface_that_is_down_is_a_state),
        cmocka_unit_test(offload_asked_for_without_checksums_is_none),
        cmocka_unit_test(datagrams_sent_in_one_piece_are_cut),
        cmocka_unit_test(offloads_can_be_switched_off),
        cmocka_unit_test(tcp_crosses_two_tuns_cut_and_merged),
        cmocka_unit_test(tcp_crosses_two_tuns_without_offloads),
        cmocka_unit_test(datagrams_written_in_one_piece_arrive_one_by_one),
        cmocka_unit_test(impossible_descriptor_is_refused_by_the_kernel),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
