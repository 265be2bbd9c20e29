/* Packet protection against the sample packets of RFC 9001, appendix A. */
#include "crypto/aead.h"

#include "../test.h"
#include "base/error.h"

static uint8_t digit(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t unhex(const char *hex, uint8_t *ret)
{
    size_t n = 0;

    for (; hex[0]; hex += 2)
        ret[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
    return n;
}

static void assert_hex(const void *got, const char *hex)
{
    uint8_t want[1300];
    size_t len = unhex(hex, want);

    assert_memory_equal(got, want, len);
}

struct keys {
    struct gh_aead_key *seal, *open;
    struct gh_header_key *header;
    uint8_t iv[GH_AEAD_IV];
};

static void keys_init(struct keys *k, const struct gh_aead_suite *s, const uint8_t *secret)
{
    uint8_t iv[GH_AEAD_IV];

    assert_int_equal(gh_aead_key_derive(s, secret, true, &k->seal, k->iv, &k->header), 0);
    assert_int_equal(gh_aead_key_derive(s, secret, false, &k->open, iv, NULL), 0);
    assert_memory_equal(iv, k->iv, sizeof iv);
}

static void keys_fini(struct keys *k)
{
    gh_aead_key_destroy(k->seal);
    gh_aead_key_destroy(k->open);
    gh_header_key_destroy(k->header);
}

static void nonce_of(const struct keys *k, uint64_t number, uint8_t ret[GH_AEAD_IV])
{
    memcpy(ret, k->iv, GH_AEAD_IV);
    for (unsigned i = 0; i < 8; i++)
        ret[GH_AEAD_IV - 1 - i] ^= (uint8_t)(number >> 8 * i);
}

/* Protects <payload> after the head (whose last <number_len> bytes are the packet number) as RFC 9001, section 5, says. */
static size_t protect(struct keys *k, const char *head, size_t number_len, uint64_t number, struct gh_span payload, uint8_t *packet)
{
    size_t head_len = unhex(head, packet);
    uint8_t nonce[GH_AEAD_IV], mask[5], copy[1300];
    struct gh_span aad = gh_span_of(copy, head_len), sealed = gh_span_of(packet + head_len, payload.len + GH_AEAD_TAG);

    memcpy(copy, packet, head_len);
    nonce_of(k, number, nonce);
    assert_int_equal(gh_aead_seal(k->seal, packet + head_len, payload, nonce, aad), 0);
    memcpy(copy + head_len, sealed.data, sealed.len);
    assert_int_equal(gh_aead_open(k->open, copy + head_len, gh_span_of(copy + head_len, sealed.len), nonce, aad), 0);
    assert_memory_equal(copy + head_len, payload.data, payload.len);
    assert_int_equal(gh_header_mask(k->header, mask, packet + head_len - number_len + 4), 0);
    packet[0] ^= mask[0] & (packet[0] & 0x80 ? 0x0f : 0x1f);
    for (size_t i = 0; i < number_len; i++)
        packet[head_len - number_len + i] ^= mask[1 + i];
    return head_len + sealed.len;
}

static void initial(uint8_t client[32], uint8_t server[32])
{
    uint8_t dcid[8];

    unhex("8394c8f03e515708", dcid);
    assert_int_equal(gh_aead_initial_secrets(gh_span_of(dcid, 8), client, server), 0);
}

static void A1_initial_secrets_and_ivs(void **state)
{
    uint8_t client[32], server[32];
    struct keys k;

    (void)state;
    initial(client, server);
    assert_hex(client, "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea");
    assert_hex(server, "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b");
    keys_init(&k, gh_aead_suite_initial(GH_AEAD_OPENSSL), client);
    assert_hex(k.iv, "fa044b2f42a3fd3b46fb255c");
    keys_fini(&k);
    keys_init(&k, gh_aead_suite_initial(GH_AEAD_OPENSSL), server);
    assert_hex(k.iv, "0ac1493ca1905853b0bba03e");
    keys_fini(&k);
}

/* The tag at the end covers all that lies between. */
static void A2_client_initial(void **state)
{
    uint8_t client[32], server[32], payload[1162] = { 0 }, packet[1200], sample[16], mask[5];
    struct keys k;

    (void)state;
    initial(client, server);
    keys_init(&k, gh_aead_suite_initial(GH_AEAD_OPENSSL), client);
    unhex("d1b1c98dd7689fb8ec11d242b123dc9b", sample);
    assert_int_equal(gh_header_mask(k.header, mask, sample), 0);
    assert_hex(mask, "437b9aec36");
    unhex("060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c0"
          "00000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e0005000501"
          "00000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304"
          "000d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07"
          "048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff",
          payload);
    assert_int_equal(protect(&k, "c300000001088394c8f03e5157080000449e00000002", 4, 2, gh_span_of(payload, sizeof payload), packet), 1200);
    assert_hex(packet, "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c0bab7df5976d27cd");
    assert_hex(packet + 1200 - GH_AEAD_TAG, "e221af44860018ab0856972e194cd934");
    keys_fini(&k);
}

static void A3_server_initial(void **state)
{
    uint8_t client[32], server[32], payload[200], packet[300];
    struct keys k;
    size_t len;

    (void)state;
    initial(client, server);
    keys_init(&k, gh_aead_suite_initial(GH_AEAD_OPENSSL), server);
    len = unhex("02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a1200130100002e00"
                "330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304",
                payload);
    len = protect(&k, "c1000000010008f067a5502a4262b50040750001", 2, 1, gh_span_of(payload, len), packet);
    assert_int_equal(len, 135);
    assert_hex(packet, "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede"
                       "4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06ed"
                       "bb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee");
    keys_fini(&k);
}

static void A4_retry_tag(void **state)
{
    uint8_t pseudo[64], nonce[12], tag[16];
    struct gh_aead_key *k;
    size_t len = unhex("088394c8f03e515708ff000000010008f067a5502a4262b5746f6b656e", pseudo);

    (void)state;
    unhex("461599d35d632bf2239825bb", nonce);
    assert_int_equal(gh_aead_retry_key(&k), 0);
    assert_int_equal(gh_aead_seal(k, tag, gh_span_of(NULL, 0), nonce, gh_span_of(pseudo, len)), 0);
    assert_hex(tag, "04a265ba2eff4d829058fb3f0f2496ba");
    gh_aead_key_destroy(k);
}

static void A5_chacha20_short_header_and_key_update(void **state)
{
    const struct gh_aead_suite *s = gh_aead_suite_find(0x1303, GH_AEAD_OPENSSL);
    uint8_t secret[32], next[32], packet[64], sample[16], mask[5];
    struct keys k;

    (void)state;
    unhex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b", secret);
    keys_init(&k, s, secret);
    assert_hex(k.iv, "e0459b3474bdd0e44a41c144");
    assert_int_equal(gh_aead_secret_update(s, secret, next), 0);
    assert_hex(next, "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9");
    unhex("5e5cd55c41f69080575d7999c25a5bfb", sample);
    assert_int_equal(gh_header_mask(k.header, mask, sample), 0);
    assert_hex(mask, "aefefe7d03");
    assert_int_equal(protect(&k, "4200bff4", 3, 654360564, gh_span_of("\x01", 1), packet), 21);
    assert_hex(packet, "4cfe4189655e5cd55c41f69080575d7999c25a5bfb");
    keys_fini(&k);
}

/* Every suite: what one generation sealed opens with its key, and not with the next one's, nor once a bit has changed. */
static void a_changed_packet_or_another_generation_is_denied(void **state)
{
    static const uint16_t ids[] = { 0x1301, 0x1302, 0x1303 };
    uint8_t secret[GH_AEAD_SECRET_MAX], next[GH_AEAD_SECRET_MAX], sealed[3 + GH_AEAD_TAG], out[3], nonce[12] = { 1 };
    struct gh_span head = gh_span_str("head");

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        const struct gh_aead_suite *s = gh_aead_suite_find(ids[i], GH_AEAD_OPENSSL);
        struct keys a, b;

        memset(secret, 7, sizeof secret);
        assert_int_equal(gh_aead_suite_secret_len(s), ids[i] == 0x1302 ? 48 : 32);
        assert_int_equal(gh_aead_secret_update(s, secret, next), 0);
        keys_init(&a, s, secret);
        keys_init(&b, s, next);
        assert_int_equal(gh_aead_seal(a.seal, sealed, gh_span_str("abc"), nonce, head), 0);
        assert_int_equal(gh_aead_open(b.open, out, gh_span_of(sealed, sizeof sealed), nonce, head), GH_ERR_DENIED);
        assert_int_equal(gh_aead_open(a.open, out, gh_span_of(sealed, sizeof sealed), nonce, gh_span_str("heaD")), GH_ERR_DENIED);
        assert_int_equal(gh_aead_open(a.open, out, gh_span_of(sealed, GH_AEAD_TAG - 1), nonce, head), GH_ERR_DENIED);
        for (unsigned bit = 0; bit < 8 * sizeof sealed; bit++) {
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(gh_aead_open(a.open, out, gh_span_of(sealed, sizeof sealed), nonce, head), GH_ERR_DENIED);
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_int_equal(gh_aead_open(a.open, out, gh_span_of(sealed, sizeof sealed), nonce, head), 0);
        assert_memory_equal(out, "abc", 3);
        keys_fini(&a);
        keys_fini(&b);
    }
}

static void unknown_suites_are_none(void **state)
{
    (void)state;
    assert_null(gh_aead_suite_find(0x1304, GH_AEAD_OPENSSL));
    assert_null(gh_aead_suite_find(0, GH_AEAD_OPENSSL));
    /* RFC 9001, section 6.6 and appendix B */
    assert_true(gh_aead_suite_seal_limit(gh_aead_suite_find(0x1301, GH_AEAD_OPENSSL)) == UINT64_C(1) << 23);
    assert_true(gh_aead_suite_open_limit(gh_aead_suite_find(0x1302, GH_AEAD_OPENSSL)) == UINT64_C(1) << 52);
    assert_true(gh_aead_suite_open_limit(gh_aead_suite_find(0x1303, GH_AEAD_OPENSSL)) == UINT64_C(1) << 36);
}

/* RFC 9001 is silent about engines: what one seals the other opens. */
static void both_engines_are_of_one_opinion(void **state)
{
    const struct gh_aead_suite *plain = gh_aead_suite_find(0x1301, GH_AEAD_OPENSSL), *wide = gh_aead_suite_find(0x1301, gh_aead_selftest());
    uint8_t secret[GH_AEAD_SECRET_MAX] = { 9 }, packet[700 + GH_AEAD_TAG], mask[2][5];
    struct keys a, b;

    (void)state;
    assert_ptr_equal(gh_aead_suite_find(0x1302, GH_AEAD_WIDE), gh_aead_suite_find(0x1302, GH_AEAD_OPENSSL));
    keys_init(&a, plain, secret);
    keys_init(&b, wide, secret);
    assert_memory_equal(a.iv, b.iv, sizeof a.iv);
    for (size_t i = 0; i < sizeof packet; i++)
        packet[i] = (uint8_t)i;
    assert_int_equal(gh_aead_seal(b.seal, packet, gh_span_of(packet, 700), a.iv, gh_span_str("head")), 0);
    assert_int_equal(gh_header_mask(a.header, mask[0], packet), 0);
    assert_int_equal(gh_header_mask(b.header, mask[1], packet), 0);
    assert_memory_equal(mask[0], mask[1], 5);
    assert_int_equal(gh_aead_open(a.open, packet, gh_span_of(packet, sizeof packet), a.iv, gh_span_str("head")), 0);
    for (size_t i = 0; i < 700; i++)
        assert_int_equal(packet[i], (uint8_t)i);
    keys_fini(&a);
    keys_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(A1_initial_secrets_and_ivs),
        cmocka_unit_test(A2_client_initial),
        cmocka_unit_test(A3_server_initial),
        cmocka_unit_test(A4_retry_tag),
        cmocka_unit_test(A5_chacha20_short_header_and_key_update),
        cmocka_unit_test(a_changed_packet_or_another_generation_is_denied),
        cmocka_unit_test(both_engines_are_of_one_opinion),
        cmocka_unit_test(unknown_suites_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
