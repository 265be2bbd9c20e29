#include "proto/forward/segment.h"

#include "../../test.h"
#include "base/error.h"
#include "naive_build.h"

static struct gh_offload offload_of(const uint8_t *p, size_t len, uint16_t segment_size)
{
    struct naive_view v;

    assert_true(naive_look(p, len, &v));
    return (struct gh_offload){
        .kind = v.protocol == 17 ? GH_OFFLOAD_UDP : v.six ? GH_OFFLOAD_TCP6 : GH_OFFLOAD_TCP4,
        .needs_csum = true,
        .segment_size = segment_size,
        .header_len = (uint16_t)v.payload,
        .csum_start = (uint16_t)v.transport,
        .csum_offset = (uint16_t)(v.field - v.transport),
    };
}

/* Builds, cuts, and returns the segments; each was compared with the naive cut. */
static struct naive_list cut(const struct naive_spec *spec, uint16_t segment_size)
{
    struct naive_list in = { 0 }, out = { 0 };
    uint8_t *p = naive_build(&in, spec);
    struct gh_offload o = offload_of(p, in.items[0].len, segment_size);
    const char *wrong = naive_cut_both(p, in.items[0].len, &o, &out);

    if (wrong)
        fail_msg("%s", wrong);
    naive_free(&in);
    return out;
}

static void random_packets_are_cut_as_the_naive_way_cuts_them(void **state)
{
    uint64_t seed = 0x9a7e4005e;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct naive_spec spec = {
            .six = naive_random(&seed, 2),
            .udp = naive_random(&seed, 3) == 0,
            .ip_options = 8 * naive_random(&seed, 4),
            .tcp_options = 4 * naive_random(&seed, 11),
            .seq = naive_random(&seed, 4) ? naive_random(&seed, UINT32_MAX) : UINT32_MAX - 500, /* wraps */
            .ack = naive_random(&seed, UINT32_MAX),
            .id = (uint16_t)(naive_random(&seed, 4) ? naive_random(&seed, 65536) : 65535),
            .window = (uint16_t)naive_random(&seed, 65536),
            .flags = (uint8_t)naive_random(&seed, 256),
            .tos = (uint8_t)naive_random(&seed, 256),
            .ttl = (uint8_t)naive_random(&seed, 256),
            .df = (uint8_t)naive_random(&seed, 2),
            .payload = naive_random(&seed, naive_random(&seed, 8) ? 4000 : 65000),
            .first_byte = (uint8_t)naive_random(&seed, 256),
        };
        /* sizes below the header's length make a header overlap the one before */
        uint16_t size = (uint16_t)(1 + naive_random(&seed, spec.payload > 4000 ? 1500 : 100 + naive_random(&seed, 1400)));
        struct naive_list out = cut(&spec, size);

        naive_free(&out);
    }
}

static void push_and_fin_stay_on_the_last_segment(void **state)
{
    struct naive_spec spec = { .flags = 0x19, .payload = 2500 };
    struct naive_list out = cut(&spec, 1000);

    (void)state;
    assert_int_equal(out.count, 3);
    assert_int_equal(out.items[0].data[33], 0x10);
    assert_int_equal(out.items[1].data[33], 0x10);
    assert_int_equal(out.items[2].data[33], 0x19);
    assert_int_equal(out.items[2].len, 540);
    naive_free(&out);
}

/* RFC 3168, section 6.1.2: a sender reduces its window once, and says so once. */
static void cwr_stays_on_the_first_segment(void **state)
{
    struct naive_spec spec = { .six = true, .flags = 0x90, .payload = 2000 };
    struct naive_list out = cut(&spec, 1000);

    (void)state;
    assert_int_equal(out.items[0].data[53], 0x90);
    assert_int_equal(out.items[1].data[53], 0x10);
    naive_free(&out);
}

static void identification_and_sequence_count_on_and_wrap(void **state)
{
    struct naive_spec spec = { .flags = 0x10, .payload = 300, .id = 65535, .seq = 0xffffff9c };
    struct naive_list out = cut(&spec, 100);

    (void)state;
    assert_int_equal(naive_get16(out.items[0].data + 4), 65535);
    assert_int_equal(naive_get16(out.items[1].data + 4), 0);
    assert_int_equal(naive_get16(out.items[2].data + 4), 1);
    assert_int_equal(naive_get16(out.items[1].data + 24) | naive_get16(out.items[1].data + 26), 0);
    assert_int_equal(naive_get16(out.items[2].data + 26), 100);
    naive_free(&out);
}

static void every_udp_datagram_states_its_own_length(void **state)
{
    struct naive_spec spec = { .udp = true, .payload = 250 };
    struct naive_list out = cut(&spec, 100);

    (void)state;
    assert_int_equal(out.count, 3);
    assert_int_equal(naive_get16(out.items[0].data + 24), 108);
    assert_int_equal(naive_get16(out.items[2].data + 24), 58);
    assert_int_equal(naive_get16(out.items[2].data + 2), 78);
    naive_free(&out);
}

static void payload_is_not_moved(void **state)
{
    struct naive_spec spec = { .flags = 0x10, .payload = 3000 };
    struct naive_list in = { 0 };
    uint8_t *p = naive_build(&in, &spec);
    struct gh_offload o = offload_of(p, in.items[0].len, 1000);
    struct gh_segment it;
    struct gh_span got;

    (void)state;
    assert_int_equal(gh_segment_init(&it, p, in.items[0].len, &o), 0);
    assert_int_equal(gh_segment_count(&it), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(gh_segment_next(&it, &got), 1);
        assert_ptr_equal(got.data, p + i * 1000);
    }
    assert_int_equal(gh_segment_next(&it, &got), 0);
    naive_free(&in);
}

static void packet_of_no_kind_comes_out_once_with_its_checksum_finished(void **state)
{
    struct naive_spec spec = { .udp = true, .payload = 33 };
    struct naive_list in = { 0 }, finished = { 0 };
    uint8_t *p = naive_build(&in, &spec);
    size_t len = in.items[0].len;
    struct gh_offload o = { .needs_csum = true, .csum_start = 20, .csum_offset = 6 };
    struct naive_view v;
    struct gh_segment it;
    struct gh_span got;

    (void)state;
    naive_append(&finished, p, len);
    assert_true(naive_look(p, len, &v));
    naive_put16(p + v.field, naive_pseudo(p, &v, len));
    assert_int_equal(gh_segment_init(&it, p, len, &o), 0);
    assert_int_equal(gh_segment_next(&it, &got), 1);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, finished.items[0].data, len);
    assert_int_equal(gh_segment_next(&it, &got), 0);
    naive_free(&in);
    naive_free(&finished);
}

static void descriptor_that_does_not_fit_is_refused(void **state)
{
    struct naive_spec spec = { .flags = 0x10, .payload = 100 };
    struct naive_list in = { 0 };
    uint8_t *p = naive_build(&in, &spec);
    size_t len = in.items[0].len;
    const struct gh_offload good = offload_of(p, len, 50);
    struct gh_offload cases[6];
    struct gh_segment it;

    (void)state;
    for (size_t i = 0; i < 6; i++)
        cases[i] = good;
    cases[0].kind = GH_OFFLOAD_TCP6;
    cases[1].kind = GH_OFFLOAD_UDP;
    cases[2].kind = 9;
    cases[3].segment_size = 0;
    cases[4].csum_start = 24;
    cases[5].csum_offset = 6;
    assert_int_equal(gh_segment_init(&it, p, len, &good), 0);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(gh_segment_init(&it, p, len, &cases[i]), GH_ERR_MALFORMED);
    for (size_t n = 0; n < 40; n++)
        assert_int_equal(gh_segment_init(&it, p, n, &good), GH_ERR_MALFORMED);
    p[6] = 0x20; /* more fragments */
    assert_int_equal(gh_segment_init(&it, p, len, &good), GH_ERR_UNSUPPORTED);
    naive_free(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_packets_are_cut_as_the_naive_way_cuts_them),
        cmocka_unit_test(push_and_fin_stay_on_the_last_segment),
        cmocka_unit_test(cwr_stays_on_the_first_segment),
        cmocka_unit_test(identification_and_sequence_count_on_and_wrap),
        cmocka_unit_test(every_udp_datagram_states_its_own_length),
        cmocka_unit_test(payload_is_not_moved),
        cmocka_unit_test(packet_of_no_kind_comes_out_once_with_its_checksum_finished),
        cmocka_unit_test(descriptor_that_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
