#include "services/door/door_flight.h"

#include "../../test.h"
#include "../../proto/quic/flights.h"
#include "base/error.h"
#include "base/hex.h"

static const struct gh_hash_seed seed = { 1, 2 };

static struct gh_span unhex(const char *text, uint8_t buf[1500])
{
    size_t len = strlen(text) / 2;

    assert_true(len <= 1500);
    assert_true(gh_hex_decode(gh_span_str(text), GH_HEX_LOWER, buf, len));
    return gh_span_of(buf, len);
}

static struct door_flight_key key_of(const char *remote, uint16_t port, struct gh_span datagram)
{
    struct door_flight_key k = { .local = { .port = 443 }, .remote = { .port = port } };
    bool is_long;

    assert_int_equal(gh_ip_parse("192.0.2.1", 9, &k.local.ip), 0);
    assert_int_equal(gh_ip_parse(remote, strlen(remote), &k.remote.ip), 0);
    assert_int_equal(gh_quic_peek_dcid(datagram, &k.dcid, &is_long), 0);
    return k;
}

static struct door_flight *begin(struct door_flights *t, const char *remote, uint16_t port, struct gh_span datagram, int64_t now)
{
    struct door_flight_key k = key_of(remote, port, datagram);
    struct door_flight *f;

    assert_null(door_flights_find(t, &k));
    assert_int_equal(door_flight_begin(t, &k, datagram, now, &f), 0);
    assert_ptr_equal(door_flights_find(t, &k), f);
    return f;
}

static void a_flight_of_one_datagram_keeps_nothing(void **state)
{
    uint8_t buf[1500];
    struct gh_span d = unhex(rfc9001_a2, buf);
    struct door_flights t;
    struct door_flight *f;
    struct gh_tls_hello h;

    (void)state;
    assert_int_equal(door_flights_init(&t, &seed), 0);
    f = begin(&t, "198.51.100.1", 1000, d, 0);
    assert_int_equal(door_flight_feed(f, d, 0, &h), 1);
    assert_string_equal(h.sni, "example.com");
    assert_true(gh_list_empty(&f->kept));
    door_flight_end(&t, f);
    assert_int_equal(t.count, 0);
    assert_null(door_flights_oldest(&t));
    door_flights_fini(&t);
}

static void what_came_before_the_hello_was_complete_is_kept_as_it_came(void **state)
{
    uint8_t buf[2][1500];
    struct gh_span first = unhex(quic_go_v1[0], buf[0]), second = unhex(quic_go_v1[1], buf[1]);
    struct door_datagram *kept;
    struct door_flights t;
    struct door_flight *f;
    struct gh_tls_hello h;

    (void)state;
    assert_int_equal(door_flights_init(&t, &seed), 0);
    f = begin(&t, "2001:db8::1", 1000, first, 0);
    assert_int_equal(door_flight_feed(f, first, 2, &h), 0);
    assert_int_equal(door_flight_feed(f, second, 1, &h), 1);
    assert_string_equal(h.sni, "quic.example.com");
    assert_int_equal(f->datagrams, 1);
    kept = gh_container_of(f->kept.next, struct door_datagram, link);
    assert_int_equal(kept->ecn, 2);
    assert_int_equal(kept->len, first.len);
    assert_memory_equal(kept->data, first.data, first.len);
    door_flights_fini(&t); /* with a flight in it */
}

static void flights_are_told_apart_by_address_port_and_id(void **state)
{
    static const struct {
        const char *remote;
        uint16_t port;
    } rows[] = { { "198.51.100.1", 1 }, { "198.51.100.1", 2 }, { "198.51.100.2", 1 }, { "2001:db8:0:1::1", 1 }, { "2001:db8:0:1::2", 1 }, { "2001:db8:0:2::1", 1 } };
    uint8_t buf[2][1500];
    struct gh_span one = unhex(quic_go_v1[0], buf[0]), other = unhex(rfc9001_a2, buf[1]);
    struct door_flight *oldest = NULL, *first[6];
    struct door_flights t;
    struct gh_ip ip;

    (void)state;
    assert_int_equal(door_flights_init(&t, &seed), 0);
    for (size_t i = 0; i < 6; i++) {
        first[i] = begin(&t, rows[i].remote, rows[i].port, one, (int64_t)i);
        begin(&t, rows[i].remote, rows[i].port, other, (int64_t)i);
    }
    assert_int_equal(t.count, 12);
    assert_ptr_equal(door_flights_oldest(&t), first[0]);
    assert_int_equal(gh_ip_parse("198.51.100.1", 12, &ip), 0);
    assert_int_equal(door_flights_of(&t, &ip, &oldest), 4);
    assert_ptr_equal(oldest, first[0]);
    assert_int_equal(gh_ip_parse("2001:db8:0:1::77", 16, &ip), 0);
    assert_int_equal(door_flights_of(&t, &ip, &oldest), 4); /* a /64 is one source */
    assert_ptr_equal(oldest, first[3]);
    assert_int_equal(gh_ip_parse("198.51.100.9", 12, &ip), 0);
    assert_int_equal(door_flights_of(&t, &ip, &oldest), 0);
    door_flight_end(&t, first[0]);
    assert_int_equal(t.count, 11);
    assert_ptr_not_equal(door_flights_oldest(&t), first[0]);
    door_flights_fini(&t);
}

static void a_flight_is_bounded(void **state)
{
    uint8_t buf[1500];
    struct gh_span first = unhex(quic_go_v1[0], buf);
    struct door_flights t;
    struct door_flight *f;
    struct gh_tls_hello h;

    (void)state;
    assert_int_equal(door_flights_init(&t, &seed), 0);
    f = begin(&t, "198.51.100.1", 1000, first, 0);
    for (unsigned i = 0; i < DOOR_FLIGHT_DATAGRAMS; i++)
        assert_int_equal(door_flight_feed(f, first, 0, &h), 0); /* the same again */
    assert_int_equal(door_flight_feed(f, first, 0, &h), GH_ERR_TOO_LONG);
    assert_int_equal(f->datagrams, DOOR_FLIGHT_DATAGRAMS);
    assert_true(f->bytes <= DOOR_FLIGHT_BYTES);
    door_flights_fini(&t);
}

static void what_does_not_open_is_nobodys_flight(void **state)
{
    uint8_t buf[1500];
    struct gh_span d = unhex(quic_go_v1[0], buf);
    struct door_flight_key k = key_of("198.51.100.1", 1, d);
    struct door_flights t;
    struct door_flight *f;
    struct gh_tls_hello h;

    (void)state;
    assert_int_equal(door_flights_init(&t, &seed), 0);
    buf[d.len - 1] ^= 1; /* of the seal */
    f = begin(&t, "198.51.100.1", 1000, d, 0);
    assert_int_equal(door_flight_feed(f, d, 0, &h), GH_ERR_UNSUPPORTED);
    assert_true(gh_list_empty(&f->kept));
    door_flight_end(&t, f);
    buf[0] |= 0x20; /* a Handshake packet */
    assert_int_equal(door_flight_begin(&t, &k, d, 0, &f), GH_ERR_UNSUPPORTED);
    buf[0] &= 0x7f;
    assert_int_equal(door_flight_begin(&t, &k, d, 0, &f), GH_ERR_UNSUPPORTED);
    assert_int_equal(t.count, 0);
    door_flights_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flight_of_one_datagram_keeps_nothing),
        cmocka_unit_test(what_came_before_the_hello_was_complete_is_kept_as_it_came),
        cmocka_unit_test(flights_are_told_apart_by_address_port_and_id),
        cmocka_unit_test(a_flight_is_bounded),
        cmocka_unit_test(what_does_not_open_is_nobodys_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
