#include "os/netlink_read.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "../test.h"

#define SEQ 7u
#define PORT 77u

static struct {
    _Alignas(8) uint8_t data[512];
    size_t len;
    struct nlmsghdr *last;
    unsigned told;
    struct gh_nl_route route;
} f;

static bool on_route(void *arg, const struct gh_nl_route *r)
{
    (void)arg;
    f.told++;
    f.route = *r;
    return true;
}

static void begin(void)
{
    memset(&f, 0, sizeof f);
}

/* A message of the main table behind those that are there; attributes go to f.last. */
static struct rtmsg *add_route(uint8_t family, uint8_t prefix_len)
{
    struct rtmsg *m;

    f.last = mnl_nlmsg_put_header(f.data + f.len);
    f.last->nlmsg_type = RTM_NEWROUTE;
    f.last->nlmsg_seq = SEQ;
    f.last->nlmsg_pid = PORT;
    m = mnl_nlmsg_put_extra_header(f.last, sizeof *m);
    m->rtm_family = family;
    m->rtm_dst_len = prefix_len;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_type = RTN_UNICAST;
    return m;
}

static void end_message(void)
{
    f.len += MNL_ALIGN(f.last->nlmsg_len);
}

static int run(void)
{
    struct gh_nl_walk w = { .on_route = on_route, .table = RT_TABLE_MAIN };

    return gh_nl_answer(gh_span_of(f.data, f.len), SEQ, PORT, gh_nl_walk_route, &w);
}

static void a_route_is_read_with_what_it_says(void **state)
{
    struct nlattr *metrics;

    (void)state;
    begin();
    add_route(AF_INET, 24);
    mnl_attr_put(f.last, RTA_DST, 4, "\xc6\x33\x64\x00");
    mnl_attr_put_u32(f.last, RTA_OIF, 3);
    metrics = mnl_attr_nest_start(f.last, RTA_METRICS);
    mnl_attr_put_u32(f.last, RTAX_MTU, 1400);
    mnl_attr_nest_end(f.last, metrics);
    end_message();
    assert_int_equal(run(), 0);
    assert_int_equal(f.told, 1);
    assert_int_equal(f.route.dst.len, 24);
    assert_int_equal(f.route.dst.addr.bytes[2], 0x64);
    assert_int_equal(f.route.ifindex, 3);
    assert_int_equal(f.route.mtu, 1400);
}

static void what_does_not_fit_its_family_is_passed_over(void **state)
{
    (void)state;
    begin();
    add_route(AF_INET, 33);
    end_message();
    add_route(AF_INET6, 129);
    end_message();
    add_route(AF_INET6, 64);
    mnl_attr_put(f.last, RTA_DST, 4, "\xc6\x33\x64\x00");
    end_message();
    add_route(28, 20); /* AF_MPLS */
    end_message();
    add_route(AF_INET, 0);
    f.last->nlmsg_len = sizeof(struct nlmsghdr) + 4;
    end_message();
    assert_int_equal(run(), 0);
    assert_int_equal(f.told, 0);
}

static void a_length_beyond_2_to_the_31_ends_the_datagram(void **state)
{
    (void)state;
    begin();
    add_route(AF_INET, 0);
    end_message();
    add_route(AF_INET, 0);
    end_message();
    f.last->nlmsg_len = 0xf8069ac8;
    assert_int_equal(run(), 0);
    assert_int_equal(f.told, 1);
    assert_true(gh_nl_is_change(gh_span_of(f.data, f.len), 3));
}

static void an_attribute_beyond_the_message_is_not_read(void **state)
{
    (void)state;
    begin();
    add_route(AF_INET, 0);
    mnl_attr_put(f.last, RTA_GATEWAY, 4, "\xc0\x00\x02\x01");
    f.last->nlmsg_len -= 2; /* its padding would hold the rest */
    f.len = f.last->nlmsg_len;
    assert_int_equal(run(), 0);
    assert_int_equal(f.told, 1);
    assert_int_equal(f.route.via.family, 0);
}

static void the_answer_to_another_request_is_told_apart(void **state)
{
    (void)state;
    begin();
    add_route(AF_INET, 0);
    f.last->nlmsg_seq = SEQ - 1;
    end_message();
    assert_int_equal(run(), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(f.told, 0);
}

static void a_refusal_is_the_kernels_number(void **state)
{
    struct nlmsgerr *e;

    (void)state;
    begin();
    f.last = mnl_nlmsg_put_header(f.data);
    f.last->nlmsg_type = NLMSG_ERROR;
    f.last->nlmsg_seq = SEQ;
    f.last->nlmsg_pid = PORT;
    e = mnl_nlmsg_put_extra_header(f.last, sizeof *e);
    e->error = -ENODEV;
    end_message();
    assert_int_equal(run(), -1);
    assert_int_equal(errno, ENODEV);
    e->error = 0;
    assert_int_equal(run(), 1);
}

static void a_change_of_our_own_device_is_none(void **state)
{
    struct rtmsg *m;

    (void)state;
    begin();
    m = add_route(AF_INET, 0);
    mnl_attr_put_u32(f.last, RTA_OIF, 9);
    end_message();
    assert_false(gh_nl_is_change(gh_span_of(f.data, f.len), 9));
    assert_true(gh_nl_is_change(gh_span_of(f.data, f.len), 8));
    m->rtm_table = RT_TABLE_LOCAL;
    assert_false(gh_nl_is_change(gh_span_of(f.data, f.len), 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_is_read_with_what_it_says),
        cmocka_unit_test(what_does_not_fit_its_family_is_passed_over),
        cmocka_unit_test(a_length_beyond_2_to_the_31_ends_the_datagram),
        cmocka_unit_test(an_attribute_beyond_the_message_is_not_read),
        cmocka_unit_test(the_answer_to_another_request_is_told_apart),
        cmocka_unit_test(a_refusal_is_the_kernels_number),
        cmocka_unit_test(a_change_of_our_own_device_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
