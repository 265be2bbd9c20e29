/* tests/unit/proto/forward/world.h - one engine, one session (10.100.0.2, fd00::2), rules as a table of destination ports */
#ifndef GH_TEST_FORWARD_WORLD_H
#define GH_TEST_FORWARD_WORLD_H

#include "../../wire/packets.h"
#include "proto/forward/forward.h"

#define SECOND INT64_C(1000000000)
#define PEER4 "10.100.0.2"
#define PEER6 "fd00::2"
#define WEB4 "192.0.2.80"
#define WEB6 "2001:db8::80"

static struct gh_forward fw;
static struct gh_forward_session sess;
static struct gh_forward_clock now;
static struct gh_forward_verdict verdict;
static struct packet p, q;

static struct {
    bool out, in, icmp_on_deny; /* what the rules say */
    unsigned denied_port;       /* refused whatever they say */
    enum gh_forward_log log;
    int64_t valid_until;
    int decides, opens, closes, denies, first_denies, logged;
    enum gh_flow_end why;
    uint64_t bytes[2], packets[2]; /* of the last flow closed */
    struct {
        enum gh_direction to;
        uint8_t data[256];
        size_t len;
    } cuts[8];
    int cut_count;
    uint8_t pieces[16][2048];
    size_t piece_len[16];
    int piece_count;
} w;

static inline void decide(void *arg, struct gh_forward_session *s, enum gh_direction d, const struct gh_ip_packet *packet,
                   struct gh_forward_decision *ret)
{
    (void)arg;
    (void)s;
    w.decides++;
    ret->allow = (d == GH_DIRECTION_OUT ? w.out : w.in) && !(w.denied_port && packet->dst_port == w.denied_port);
    ret->deny_icmp = w.icmp_on_deny;
    ret->log = w.log;
    ret->rule = &w;
    ret->valid_until = w.valid_until;
}

static inline void on_open(void *arg, struct gh_forward_session *s, const struct gh_flow *f)
{
    (void)arg;
    assert_ptr_equal(s, &sess);
    assert_ptr_equal(f->rule, &w);
    w.opens++;
}

static inline void on_close(void *arg, struct gh_forward_session *s, const struct gh_flow *f, enum gh_flow_end why)
{
    (void)arg;
    assert_ptr_equal(s, &sess);
    w.closes++;
    w.why = why;
    memcpy(w.bytes, f->bytes, sizeof w.bytes);
    memcpy(w.packets, f->packets, sizeof w.packets);
}

static inline void on_flow_packet(void *arg, struct gh_forward_session *s, const struct gh_flow *f, enum gh_direction d, size_t len)
{
    (void)arg, (void)s, (void)f, (void)d, (void)len;
    w.logged++;
}

static inline void on_deny(void *arg, struct gh_forward_session *s, enum gh_direction d, const struct gh_ip_packet *packet,
                    const struct gh_forward_decision *decision, bool first)
{
    (void)arg, (void)s, (void)d, (void)packet;
    assert_int_equal(decision->reason, GH_DROP_POLICY);
    w.denies++;
    w.first_denies += first;
}

static inline void on_cut(void *arg, struct gh_forward_session *s, enum gh_direction to, struct gh_span packet)
{
    (void)arg, (void)s;
    assert_true(w.cut_count < 8 && packet.len <= 256);
    w.cuts[w.cut_count].to = to;
    w.cuts[w.cut_count].len = packet.len;
    memcpy(w.cuts[w.cut_count++].data, packet.data, packet.len);
}

static inline void on_fragment(void *arg, struct gh_forward_session *s, struct gh_span header, struct gh_span body)
{
    (void)arg, (void)s;
    assert_true(w.piece_count < 16);
    memcpy(w.pieces[w.piece_count], header.data, header.len);
    memcpy(w.pieces[w.piece_count] + header.len, body.data, body.len);
    w.piece_len[w.piece_count++] = header.len + body.len;
}

static const struct gh_forward_events events = { decide, on_open, on_close, on_flow_packet, on_deny, on_cut, on_fragment };

static inline void end_world(void)
{
    if (fw.denied)
        gh_forward_session_close(&fw, &sess);
    gh_forward_fini(&fw);
}

static inline void start_with(const struct gh_forward_config *config)
{
    static const struct gh_hash_seed seed = { 21, 22 };

    end_world();
    memset(&w, 0, sizeof w);
    w.out = true;
    now = (struct gh_forward_clock){ 100 * SECOND, 1700000000 };
    assert_int_equal(gh_forward_init(&fw, config, &seed, &events, NULL), 0);
    gh_forward_session_init(&fw, &sess, 1);
    sess.assigned[0] = prefix_of(PEER4 "/32");
    sess.assigned[1] = prefix_of(PEER6 "/128");
    sess.assigned_count = 2;
}

static inline struct gh_forward_config test_config(void)
{
    struct gh_forward_config c = gh_forward_config_default;

    c.flows = 64;
    c.flows_per_session = 32;
    c.fragments = 16;
    c.fragments_per_session = 8;
    c.node4 = ip_of("10.100.0.1");
    c.node6 = ip_of("fd00::1");
    return c;
}

static inline void start(void)
{
    struct gh_forward_config c = test_config();

    start_with(&c);
}

static inline enum gh_forward_action from_peer(void)
{
    gh_forward_from_peer(&fw, &sess, &now, p.data, p.len, 0, &verdict);
    return verdict.action;
}

static inline enum gh_forward_action to_peer(void)
{
    gh_forward_to_peer(&fw, &sess, &now, p.data, p.len, 0, &verdict);
    return verdict.action;
}

#define assert_dropped(action, why)                 \
    do {                                            \
        assert_int_equal(action, GH_FORWARD_DROP);  \
        assert_int_equal(verdict.reason, why);      \
    } while (0)
#define assert_passed(action) assert_int_equal(action, GH_FORWARD_PASS)

/* The answer in the verdict is ICMP <type>, <code>, right in itself, and quotes <p>. */
static inline void assert_answer(unsigned type, unsigned code)
{
    struct gh_ip_packet a;

    assert_true(verdict.answer_len > 0);
    assert_int_equal(gh_ip_packet_parse(verdict.answer, verdict.answer_len, &a), 0);
    assert_int_equal(a.icmp_type, type);
    assert_int_equal(a.icmp_code, code);
    assert_true(gh_ip_equals(&a.dst, &verdict.packet.src));
    assert_memory_equal(verdict.answer + a.l4_off + 8, p.data, a.version == 4 ? 28 : 48);
}

#endif
