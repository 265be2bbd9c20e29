#include "services/door/door_again.h"

#include "../../test.h"

static const struct gh_endpoint here = { .ip = { .family = 4, .bytes = { 192, 0, 2, 1 } }, .port = 443 };
static const struct gh_endpoint there = { .ip = { .family = 4, .bytes = { 198, 51, 100, 7 } }, .port = 40000 };
static const struct gh_quic_cid id = { .len = 8, .data = { 1, 2, 3, 4, 5, 6, 7, 8 } };

static struct door_again *make(void)
{
    struct door_again *a = NULL;

    assert_int_equal(door_again_create(&a), 0);
    return a;
}

static void a_flight_is_the_same_only_with_everything_the_same(void **state)
{
    uint8_t digest[16] = { 9, 8, 7 }, other_digest[16] = { 9, 8, 7, 6 };
    struct gh_endpoint other_here = here, other_port = there, other_ip = there;
    struct gh_quic_cid other_id = id, shorter = id;
    const struct door_again_flight f = { digest, &here, &there, &id };
    const struct door_again_flight others[] = {
        { other_digest, &here, &there, &id }, { digest, &other_here, &there, &id }, { digest, &here, &other_port, &id },
        { digest, &here, &other_ip, &id },    { digest, &here, &there, &other_id }, { digest, &here, &there, &shorter },
    };
    struct door_again *a = make();

    (void)state;
    other_here.port = 444;
    other_port.port++;
    other_ip.ip.bytes[3]++;
    other_id.data[7]++;
    shorter.len = 7;
    assert_false(door_again_is(a, &f, 0));
    door_again_remember(a, &f, 0);
    assert_true(door_again_is(a, &f, 0));
    assert_true(door_again_is(a, &f, DOOR_AGAIN_LIFE - 1));
    assert_false(door_again_is(a, &f, DOOR_AGAIN_LIFE));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(door_again_is(a, &others[i], 1));
    door_again_destroy(a);
}

static void the_oldest_makes_room_and_the_newest_stay(void **state)
{
    enum { COUNT = 9 };
    uint8_t digest[16] = { 1 }; /* of one set */
    struct door_again_flight f = { digest, &here, &there, &id };
    struct door_again *a = make();

    (void)state;
    for (uint8_t i = 0; i < COUNT; i++) {
        digest[15] = i;
        door_again_remember(a, &f, 100 + i);
    }
    for (uint8_t i = 0; i < COUNT; i++) {
        digest[15] = i;
        assert_int_equal(door_again_is(a, &f, 200), i >= COUNT - 4);
    }
    door_again_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flight_is_the_same_only_with_everything_the_same),
        cmocka_unit_test(the_oldest_makes_room_and_the_newest_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
