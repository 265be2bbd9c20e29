#include "proto/forward/flow.h"

#include "../../wire/packets.h"

static const struct gh_hash_seed seed = { 31, 32 };
static struct gh_flow_table t;
static struct gh_flow_owner owner;
static struct packet p;
static struct gh_ip_packet ip;

static void start(uint32_t max)
{
    gh_flow_table_fini(&t);
    assert_int_equal(gh_flow_table_init(&t, max, &seed, NULL), 0);
    gh_flow_owner_init(&owner);
}

static struct gh_flow *open_flow(enum gh_direction d, int64_t now)
{
    struct gh_flow_key key;
    uint64_t hash;

    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    (void)gh_flow_key_of(&owner, d, &ip, &key);
    hash = gh_flow_hash(&t, &key);
    assert_null(gh_flow_find(&t, &key, hash));
    return gh_flow_open(&t, &owner, &key, hash, d, &ip, now);
}

static void both_directions_have_one_key(void **state)
{
    struct gh_flow_key a, b;

    (void)state;
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 4000, 80, GH_TCP_SYN, 1, 0, 0, 0);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_true(gh_flow_key_of(&owner, GH_DIRECTION_OUT, &ip, &a));
    make_tcp(&p, "1.1.1.1", "10.0.0.2", 80, 4000, GH_TCP_ACK, 1, 0, 0, 0);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_true(gh_flow_key_of(&owner, GH_DIRECTION_IN, &ip, &b));
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(gh_flow_key_of(&owner, GH_DIRECTION_OUT, &ip, &b));
    assert_memory_not_equal(&a, &b, sizeof a);
    make_icmp(&p, "10.0.0.2", "1.1.1.1", 14, 0, 5u << 16, NULL, 0);
    assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
    assert_false(gh_flow_key_of(&owner, GH_DIRECTION_OUT, &ip, &a)); /* only ever a reply */
}

static void the_first_packet_is_remembered(void **state)
{
    struct gh_ip_packet first;
    struct gh_flow *f;

    (void)state;
    start(8);
    make_udp(&p, "2001:db8::1", "fd00::2", 53, 1000, 10);
    f = open_flow(GH_DIRECTION_IN, 0);
    assert_non_null(f);
    gh_flow_first_packet(f, &first);
    assert_true(gh_ip_equals(&first.src, &ip.src) && gh_ip_equals(&first.dst, &ip.dst));
    assert_true(first.has_ports);
    assert_int_equal(first.src_port, 53);
    assert_int_equal(first.dst_port, 1000);
    make_echo(&p, "10.0.0.2", "1.1.1.1", false, 77, 10);
    f = open_flow(GH_DIRECTION_OUT, 0);
    gh_flow_first_packet(f, &first);
    assert_int_equal(first.icmp_type, 8);
    assert_int_equal(first.icmp_id, 77);
    assert_false(first.has_ports);
    make_ip(&p, "10.0.0.2", "1.1.1.1", 50, "12345678", 8);
    f = open_flow(GH_DIRECTION_OUT, 0);
    gh_flow_first_packet(f, &first);
    assert_int_equal(first.protocol, 50);
    assert_false(first.has_ports);
    gh_flow_observe(&t, f, GH_DIRECTION_IN, &ip, 28, 1);
    assert_int_equal(f->state, GH_FLOW_OTHER);
}

static void the_table_is_bounded_and_slots_come_back_with_new_serials(void **state)
{
    struct gh_flow *f = NULL;
    uint64_t serial;

    (void)state;
    start(300); /* more than one slab */
    for (unsigned i = 0; i < 300; i++) {
        make_udp(&p, "10.0.0.2", "1.1.1.1", i + 1, 53, 0);
        f = open_flow(GH_DIRECTION_OUT, i);
        assert_non_null(f);
    }
    assert_int_equal(t.slab_count, 2);
    make_udp(&p, "10.0.0.2", "1.1.1.1", 999, 53, 0);
    assert_null(open_flow(GH_DIRECTION_OUT, 300));
    serial = f->serial;
    gh_flow_release(&t, f);
    assert_true(f->serial != serial);
    assert_ptr_equal(open_flow(GH_DIRECTION_OUT, 300), f);
    assert_true(f->serial != serial && f->serial != 0);
    assert_int_equal(t.count, 300);
    assert_int_equal(owner.count, 300);
}

static void victims_are_the_oldest(void **state)
{
    struct gh_flow *flows[4];

    (void)state;
    start(8);
    assert_null(gh_flow_victim(&t));
    assert_null(gh_flow_owner_victim(&owner));
    assert_null(gh_flow_expired(&t, INT64_MAX));
    assert_int_equal(gh_flow_deadline(&t), INT64_MAX);
    make_udp(&p, "10.0.0.2", "1.1.1.1", 1, 53, 0);
    flows[0] = open_flow(GH_DIRECTION_OUT, 5);
    make_tcp(&p, "10.0.0.2", "1.1.1.1", 1, 53, GH_TCP_SYN, 1, 0, 0, 0);
    flows[1] = open_flow(GH_DIRECTION_OUT, 6);
    make_echo(&p, "10.0.0.2", "1.1.1.1", false, 1, 0);
    flows[2] = open_flow(GH_DIRECTION_OUT, 7);
    assert_ptr_equal(gh_flow_victim(&t), flows[0]);
    assert_ptr_equal(gh_flow_owner_victim(&owner), flows[0]);
    gh_flow_observe(&t, flows[0], GH_DIRECTION_IN, NULL, 1, 8);
    assert_ptr_equal(gh_flow_victim(&t), flows[1]);
    assert_ptr_equal(gh_flow_owner_victim(&owner), flows[1]);
    assert_int_equal(gh_flow_deadline(&t), 7 + INT64_C(10000000000));
    assert_ptr_equal(gh_flow_expired(&t, 7 + INT64_C(10000000000)), flows[2]);
}

/* Flows come and go in every way that the table has; the slot of one is soon another's. */
static void what_was_used_last_is_never_found_for_another(void **state)
{
    struct gh_flow *all[16] = { NULL };
    struct gh_flow_owner owners[2];
    uint64_t x = 88172645463325252u, hash;
    unsigned hits = 0;

    (void)state;
    start(8);
    gh_flow_owner_init(&owners[0]);
    gh_flow_owner_init(&owners[1]);
    for (int64_t i = 1; i < 200000; i++) {
        struct gh_flow_key key;
        struct gh_flow *f, *expected;
        uint64_t searches = t.searches;
        enum gh_direction d;
        unsigned who, port;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        d = x >> 60 & 1;
        who = x >> 50 & 1;
        port = x >> 55 & 1 ? 3 : x >> 40 & 7; /* one is more often asked for than the others */
        make_udp(&p, d == GH_DIRECTION_OUT ? "10.0.0.2" : "1.1.1.1", d == GH_DIRECTION_OUT ? "1.1.1.1" : "10.0.0.2",
                 d == GH_DIRECTION_OUT ? 1000 + port : 53, d == GH_DIRECTION_OUT ? 53 : 1000 + port, 4);
        assert_int_equal(gh_ip_packet_parse(p.data, p.len, &ip), 0);
        (void)gh_flow_key_of(&owners[who], d, &ip, &key);
        expected = gh_flow_find(&t, &key, gh_flow_hash(&t, &key));
        f = gh_flow_look(&t, d, &key, &hash);
        assert_ptr_equal(f, expected);
        assert_ptr_equal(f, all[who * 8 + port]);
        assert_int_equal(hash, gh_flow_hash(&t, &key));
        hits += f && t.searches == searches;
        if (f && x % 5 == 0) {
            gh_flow_release(&t, f);
            all[who * 8 + port] = NULL;
        } else if (!f && x % 3 == 0) {
            all[who * 8 + port] = gh_flow_open(&t, &owners[who], &key, hash, d, &ip, i); /* NULL when there are eight */
        }
    }
    assert_true(hits > 10000); /* so that the test looks at what it means to */
    for (unsigned i = 0; i < 16; i++)
        if (all[i])
            gh_flow_release(&t, all[i]);
}

static void names_are_stable(void **state)
{
    (void)state;
    assert_string_equal(gh_flow_end_name(GH_FLOW_END_FINISHED), "finished");
    assert_string_equal(gh_flow_end_name(GH_FLOW_END_REPLACED), "replaced");
    assert_string_equal(gh_flow_end_name((enum gh_flow_end)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_have_one_key),
        cmocka_unit_test(the_first_packet_is_remembered),
        cmocka_unit_test(the_table_is_bounded_and_slots_come_back_with_new_serials),
        cmocka_unit_test(victims_are_the_oldest),
        cmocka_unit_test(what_was_used_last_is_never_found_for_another),
        cmocka_unit_test(names_are_stable),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    gh_flow_table_fini(&t);
    gh_flow_table_fini(NULL);
    gh_flow_table_fini(&t);
    return rc;
}
