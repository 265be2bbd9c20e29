#include "proto/forward/coalesce.h"

#include "../../test.h"
#include "base/error.h"
#include "naive_batch.h"
#include "naive_build.h"

#define ALL (GH_COALESCE_TCP4 | GH_COALESCE_TCP6 | GH_COALESCE_UDP4 | GH_COALESCE_UDP6)

/* Into how many packets the list is merged; what they are cut into was compared with the list. */
static size_t writes(unsigned kinds, struct naive_list *in)
{
    size_t n;
    const char *wrong = naive_check_batch(kinds, in, &n);

    if (wrong)
        fail_msg("%s", wrong);
    naive_free(in);
    return n;
}

/* Appends <count> consecutive packets. */
static void stream(struct naive_list *l, struct naive_spec *s, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        naive_build(l, s);
        s->seq += (uint32_t)s->payload;
        s->id++;
        s->first_byte++;
    }
}

static void bulk_becomes_one_packet_per_64_kib(void **state)
{
    static const struct {
        struct naive_spec spec;
        size_t count, writes;
    } cases[] = {
        { { .flags = 0x10, .tcp_options = 12, .payload = 1348, .seq = UINT32_MAX - 3000 }, 45, 1 },
        { { .flags = 0x10, .tcp_options = 12, .payload = 1348 }, 50, 2 },
        { { .six = true, .flags = 0x10, .tcp_options = 12, .payload = 1348 }, 45, 1 },
        { { .udp = true, .payload = 1200 }, 54, 1 },
        { { .six = true, .udp = true, .payload = 1200 }, 54, 1 },
        { { .udp = true, .payload = 20 }, 65, 2 }, /* 64 segments */
        { { .flags = 0x10, .payload = 1460, .df = 1, .id = 65530 }, 44, 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct naive_spec spec = cases[i].spec;
        struct naive_list in = { 0 };

        stream(&in, &spec, cases[i].count);
        assert_int_equal(writes(ALL, &in), cases[i].writes);
    }
}

static void kind_that_is_not_wanted_is_not_merged(void **state)
{
    static const struct {
        bool six, udp;
        unsigned kind;
    } cases[] = { { false, false, GH_COALESCE_TCP4 }, { true, false, GH_COALESCE_TCP6 },
                  { false, true, GH_COALESCE_UDP4 }, { true, true, GH_COALESCE_UDP6 } };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct naive_spec spec = { .six = cases[i].six, .udp = cases[i].udp, .flags = 0x10, .payload = 100 };
        struct naive_list in = { 0 };

        stream(&in, &spec, 5);
        assert_int_equal(writes(ALL & ~cases[i].kind, &in), 5);
        stream(&in, &spec, 5);
        assert_int_equal(writes(cases[i].kind, &in), 1);
    }
}

static void interleaved_flows_merge_each_for_itself(void **state)
{
    struct naive_spec specs[GH_COALESCE_FLOWS];
    struct naive_list in = { 0 };

    (void)state;
    for (unsigned f = 0; f < GH_COALESCE_FLOWS; f++)
        specs[f] = (struct naive_spec){ .six = f & 1, .udp = f & 2, .flow = f, .flags = 0x10, .payload = 500 + f };
    for (unsigned round = 0; round < GH_COALESCE_BATCH / GH_COALESCE_FLOWS; round++)
        for (unsigned f = 0; f < GH_COALESCE_FLOWS; f++)
            stream(&in, &specs[f], 1);
    assert_int_equal(writes(ALL, &in), GH_COALESCE_FLOWS);
}

static void more_flows_than_are_watched_lose_nothing(void **state)
{
    struct naive_spec specs[2 * GH_COALESCE_FLOWS];
    struct naive_list in = { 0 };

    (void)state;
    for (unsigned f = 0; f < 2 * GH_COALESCE_FLOWS; f++)
        specs[f] = (struct naive_spec){ .flow = f, .flags = 0x10, .payload = 300 };
    for (unsigned round = 0; round < GH_COALESCE_BATCH / (4 * GH_COALESCE_FLOWS); round++)
        for (unsigned f = 0; f < 2 * GH_COALESCE_FLOWS; f++)
            stream(&in, &specs[f], 2);
    assert_true(writes(ALL, &in) <= GH_COALESCE_BATCH / 2);
}

/* Each change to the third of five packets keeps it from joining the first two, or from being joined. */
static void what_differs_is_not_merged(void **state)
{
    static const struct {
        const char *what;
        bool six, udp;
        size_t offset; /* of the byte that is changed */
        uint8_t flip;
        bool finish; /* make the checksums right again */
        size_t writes;
    } cases[] = {
        { "TOS", false, false, 1, 3, true, 3 },
        { "TTL", false, false, 8, 1, true, 3 },
        { "DF", false, false, 6, 0x40, true, 3 },
        { "reserved bit", false, false, 6, 0x80, true, 3 },
        { "identification", false, false, 5, 0x80, true, 3 },
        { "IP header checksum", false, false, 10, 1, false, 3 },
        { "sequence", false, false, 27, 1, true, 3 },
        { "acknowledgement", false, false, 31, 1, true, 3 },
        { "window", false, false, 35, 1, true, 3 },
        { "urgent pointer", false, false, 39, 1, true, 3 },
        { "SYN", false, false, 33, 0x02, true, 3 },
        { "RST", false, false, 33, 0x04, true, 3 },
        { "URG", false, false, 33, 0x20, true, 3 },
        { "ECE", false, false, 33, 0x40, true, 3 },
        { "ACK", false, false, 33, 0x10, true, 3 },
        { "NS", false, false, 32, 0x01, true, 3 },
        { "PSH ends one", false, false, 33, 0x08, true, 2 },
        { "FIN ends one", false, false, 33, 0x01, true, 2 },
        { "CWR begins one", false, false, 33, 0x80, true, 2 },
        { "option", false, false, 41, 1, true, 3 },
        { "TCP checksum", false, false, 36, 1, false, 3 },
        { "payload against its checksum", false, false, 300, 1, false, 3 },
        { "flow label", true, false, 3, 1, true, 3 },
        { "traffic class", true, false, 1, 0x10, true, 3 },
        { "hop limit", true, false, 7, 1, true, 3 },
        { "UDP checksum", false, true, 26, 1, false, 3 },
        { "payload", false, true, 100, 1, true, 1 },
        { "source port", true, true, 40, 0x10, true, 2 },
        { "destination", true, true, 39, 2, true, 2 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct naive_spec spec = { .six = cases[i].six, .udp = cases[i].udp, .flags = 0x10, .tcp_options = 12,
                                   .payload = 400, .seq = 1000, .ack = 1000, .window = 1000, .ttl = 64, .id = 10 };
        struct naive_list in = { 0 };
        size_t n;
        const char *wrong;

        stream(&in, &spec, 5);
        in.items[2].data[cases[i].offset] ^= cases[i].flip;
        if (cases[i].finish)
            naive_finish(in.items[2].data, in.items[2].len);
        wrong = naive_check_batch(ALL, &in, &n);
        if (wrong)
            fail_msg("%s: %s", cases[i].what, wrong);
        if (n != cases[i].writes)
            fail_msg("%s: %zu writes, not %zu", cases[i].what, n, cases[i].writes);
        naive_free(&in);
    }
}

static void first_packet_with_a_wrong_checksum_stays_alone(void **state)
{
    struct naive_spec spec = { .flags = 0x10, .payload = 400 };
    struct naive_list in = { 0 };

    (void)state;
    stream(&in, &spec, 4);
    in.items[0].data[100] ^= 1;
    assert_int_equal(writes(ALL, &in), 2);
}

/* 0 and 0xffff in a TCP checksum mean the same; cutting writes 0, so the other one may not be touched. */
static void checksum_written_the_other_way_passes_as_it_is(void **state)
{
    struct naive_spec spec = { .flags = 0x10, .payload = 400 };

    (void)state;
    for (unsigned field = 0; field <= 0xffff; field += 0xffff) {
        struct naive_list in = { 0 };
        uint8_t *p;
        uint32_t word;

        stream(&in, &spec, 3);
        p = in.items[1].data;
        word = (uint32_t)naive_get16(p + 60) + naive_get16(p + 36); /* moves the checksum into the payload */
        naive_put16(p + 60, (word & 0xffff) + (word >> 16));
        naive_finish(p, in.items[1].len);
        assert_int_equal(naive_get16(p + 36), 0);
        naive_put16(p + 36, field);
        assert_int_equal(writes(ALL, &in), field ? 3 : 1);
    }
}

static void shorter_packet_ends_a_merge_and_a_longer_one_begins_the_next(void **state)
{
    struct naive_spec spec = { .flags = 0x10, .payload = 400 };
    struct naive_list in = { 0 };

    (void)state;
    stream(&in, &spec, 3);
    spec.payload = 100;
    stream(&in, &spec, 1);
    spec.payload = 400;
    stream(&in, &spec, 3);
    spec.payload = 500;
    stream(&in, &spec, 3);
    assert_int_equal(writes(ALL, &in), 3);
}

static void packets_without_payload_keep_their_place(void **state)
{
    struct naive_spec spec = { .flags = 0x10, .payload = 400 }, ack = { .flags = 0x10 };
    struct naive_list in = { 0 };

    (void)state;
    stream(&in, &spec, 2);
    ack.seq = spec.seq;
    naive_build(&in, &ack);
    stream(&in, &spec, 2);
    assert_int_equal(writes(ALL, &in), 3);
}

static void udp_without_a_checksum_is_not_merged(void **state)
{
    struct naive_spec spec = { .udp = true, .payload = 400 };
    struct naive_list in = { 0 };

    (void)state;
    stream(&in, &spec, 3);
    for (size_t i = 0; i < 3; i++)
        naive_put16(in.items[i].data + 26, 0);
    assert_int_equal(writes(ALL, &in), 3);
}

static void options_and_extension_headers_pass_as_they_are(void **state)
{
    struct naive_spec four = { .flags = 0x10, .payload = 400, .ip_options = 8 };
    struct naive_spec six = { .six = true, .flags = 0x10, .payload = 400, .ip_options = 8 };
    struct naive_list in = { 0 };

    (void)state;
    stream(&in, &four, 3);
    stream(&in, &six, 3);
    assert_int_equal(writes(ALL, &in), 6);
}

static void nothing_passes_a_fragment(void **state)
{
    struct naive_spec spec = { .udp = true, .payload = 400 };
    struct naive_list in = { 0 };

    (void)state;
    stream(&in, &spec, 3);
    in.items[1].data[6] = 0x20;
    stream(&in, &spec, 2);
    assert_int_equal(writes(ALL, &in), 3);
}

/* RFC 6864, section 4.1: senders that set DF often leave the identification zero. */
static void identification_does_not_matter_with_df(void **state)
{
    struct naive_spec spec = { .udp = true, .payload = 400, .df = 1 };
    struct naive_list in = { 0 };

    (void)state;
    for (int i = 0; i < 10; i++)
        naive_build(&in, &spec);
    assert_int_equal(writes(ALL, &in), 1);
}

static void full_batch_is_refused_until_it_was_read(void **state)
{
    struct gh_coalescer *c = malloc(sizeof *c);
    struct naive_list in = { 0 };
    struct gh_super s;

    (void)state;
    assert_non_null(c);
    gh_coalesce_init(c, ALL);
    for (size_t i = 0; i < GH_COALESCE_BATCH; i++) {
        struct naive_spec spec = { .flow = (unsigned)i % 256, .udp = true, .payload = 10 };

        naive_build(&in, &spec);
        assert_int_equal(gh_coalesce_add(c, in.items[i].data, in.items[i].len), 0);
    }
    assert_int_equal(gh_coalesce_add(c, in.items[0].data, in.items[0].len), GH_ERR_FULL);
    for (size_t i = 0; i < GH_COALESCE_BATCH; i++) {
        assert_int_equal(gh_coalesce_next(c, &s), 1);
        assert_ptr_equal(s.pieces[0].data, in.items[i].data);
        assert_int_equal(gh_coalesce_add(c, in.items[0].data, in.items[0].len), GH_ERR_STATE);
    }
    assert_int_equal(gh_coalesce_next(c, &s), 0);
    assert_int_equal(gh_coalesce_add(c, in.items[0].data, in.items[0].len), 0);
    naive_free(&in);
    free(c);
}

/* Streams of several flows in random order, with accidents. */
static void random_batches_survive_merging_and_cutting(void **state)
{
    uint64_t seed = 0xc0a1e5ce;
    size_t packets = 0, written = 0;

    (void)state;
    for (int round = 0; round < 1500; round++) {
        struct naive_spec specs[12];
        struct naive_list in = { 0 };
        unsigned flows = 1 + naive_random(&seed, 12), count = 1 + naive_random(&seed, 300);

        for (unsigned f = 0; f < flows; f++)
            specs[f] = (struct naive_spec){
                .six = naive_random(&seed, 2), .udp = naive_random(&seed, 3) == 0, .flow = f, .flags = 0x10,
                .tcp_options = 4 * naive_random(&seed, 4), .payload = 1 + naive_random(&seed, 300), .ttl = 64,
                .df = (uint8_t)naive_random(&seed, 2), .seq = naive_random(&seed, UINT32_MAX),
                .id = (uint16_t)naive_random(&seed, 65536),
            };
        while (in.count < count) {
            struct naive_spec *s = &specs[naive_random(&seed, flows)], odd = *s;
            size_t first = in.count;

            switch (naive_random(&seed, 40)) {
            case 0:
                odd.payload = naive_random(&seed, 2 * (uint32_t)s->payload);
                stream(&in, &odd, 1);
                s->seq = odd.seq;
                break;
            case 1:
                s->seq += 1000; /* a loss */
                break;
            case 2:
                odd.flags = (uint8_t)naive_random(&seed, 256);
                stream(&in, &odd, 1);
                s->seq = odd.seq;
                s->id++;
                break;
            case 3:
                stream(&in, s, 2);
                in.items[first].data[naive_random(&seed, (uint32_t)in.items[first].len)] ^=
                    (uint8_t)(1u << naive_random(&seed, 8));
                break;
            case 4:
                odd.ip_options = 8;
                naive_build(&in, &odd);
                break;
            case 5:
                stream(&in, s, 1);
                in.items[first].len = naive_random(&seed, (uint32_t)in.items[first].len) + 1; /* cut short */
                break;
            default:
                stream(&in, s, 1 + naive_random(&seed, 10));
            }
        }
        packets += in.count;
        written += writes(ALL, &in);
    }
    assert_true(written * 2 < packets); /* something did merge */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_becomes_one_packet_per_64_kib),
        cmocka_unit_test(kind_that_is_not_wanted_is_not_merged),
        cmocka_unit_test(interleaved_flows_merge_each_for_itself),
        cmocka_unit_test(more_flows_than_are_watched_lose_nothing),
        cmocka_unit_test(what_differs_is_not_merged),
        cmocka_unit_test(first_packet_with_a_wrong_checksum_stays_alone),
        cmocka_unit_test(checksum_written_the_other_way_passes_as_it_is),
        cmocka_unit_test(shorter_packet_ends_a_merge_and_a_longer_one_begins_the_next),
        cmocka_unit_test(packets_without_payload_keep_their_place),
        cmocka_unit_test(udp_without_a_checksum_is_not_merged),
        cmocka_unit_test(options_and_extension_headers_pass_as_they_are),
        cmocka_unit_test(nothing_passes_a_fragment),
        cmocka_unit_test(identification_does_not_matter_with_df),
        cmocka_unit_test(full_batch_is_refused_until_it_was_read),
        cmocka_unit_test(random_batches_survive_merging_and_cutting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
