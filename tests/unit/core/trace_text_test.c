#include "core/trace_text.h"

#include <stdio.h>

#include "../test.h"
#include "base/drop.h"

static struct gh_ip ip(const char *text)
{
    struct gh_ip a;

    assert_int_equal(gh_ip_parse(text, strlen(text), &a), 0);
    return a;
}

static void every_event_is_told_in_words(void **state)
{
    const struct gh_ip v4 = ip("192.0.2.9"), v6 = ip("2001:db8::1:2:3:4");
    const struct {
        struct gh_trace_record r;
        const char *text;
    } rows[] = {
        { { .event = GH_TRACE_DECISION, .a = gh_trace_addr(&v4), .b = gh_trace_port(&v4, 17, 53) }, "allowed 192.0.2.9 udp 53" },
        { { .event = GH_TRACE_DECISION, .detail = GH_DROP_POLICY, .a = gh_trace_addr(&v6), .b = gh_trace_port(&v6, 6, 443) }, "policy ...:1:2:3:4 tcp 443" },
        { { .event = GH_TRACE_DROP, .detail = GH_DROP_QUEUE_FULL, .a = 7 }, "queue_full 7" },
        { { .event = GH_TRACE_FLOW_OPEN, .detail = 1, .a = gh_trace_addr(&v4), .b = gh_trace_port(&v4, 1, 0) }, "in 192.0.2.9 icmp 0" },
        { { .event = GH_TRACE_FLOW_CLOSE, .a = gh_trace_word("idle"), .b = gh_trace_port(&v4, 132, 80) }, "idle ip/132 80" },
        { { .event = GH_TRACE_SESSION_OPEN, .a = gh_trace_addr(&v4), .b = gh_trace_port(&v4, 0, 4433) }, "192.0.2.9 4433" },
        { { .event = GH_TRACE_SESSION_CLOSE, .a = gh_trace_word("replaced by another") }, "replaced" },
        { { .event = GH_TRACE_HANDSHAKE, .detail = 1, .a = gh_trace_addr(&v4), .b = gh_trace_port(&v4, 0, 4433) }, "accepted 192.0.2.9 4433" },
        { { .event = GH_TRACE_HANDSHAKE, .a = gh_trace_addr(&v4), .b = gh_trace_port(&v4, 0, 4433) }, "refused 192.0.2.9 4433" },
        { { .event = GH_TRACE_PATH, .a = gh_trace_addr(&v6), .b = gh_trace_port(&v6, 0, 4433) }, "...:1:2:3:4 4433" },
        { { .event = GH_TRACE_CONNECT, .a = gh_trace_addr(&v4), .b = gh_trace_port(&v4, 0, 4433) }, "192.0.2.9 4433" },
        { { .event = GH_TRACE_POLICY, .a = 3 }, "generation 3" },
        { { .event = GH_TRACE_STATE, .a = gh_trace_word("up") }, "up" },
        { { .event = GH_TRACE_STATE, .a = gh_trace_word("connecting"), .b = (uint32_t)gh_trace_word("ng") }, "connecting" },
        { { .event = GH_TRACE_NETWORK }, "changed" },
        { { .event = GH_TRACE_MTU, .a = 1382 }, "1382" },
        { { .event = GH_TRACE_EVENT_COUNT, .detail = 1, .a = 2, .b = 3 }, "1 2 3" },
    };
    bool told[GH_TRACE_EVENT_COUNT + 1] = { 0 };
    char text[GH_TRACE_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_string_equal(gh_trace_text(&rows[i].r, text), rows[i].text);
        told[rows[i].r.event] = true;
    }
    for (unsigned i = 0; i < GH_TRACE_EVENT_COUNT; i++)
        assert_true(told[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_event_is_told_in_words) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
