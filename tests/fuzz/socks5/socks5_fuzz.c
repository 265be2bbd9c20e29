/* tests/fuzz/socks5/socks5_fuzz.c - what a client may say, to each of the readers; what was understood is written and read again */
#include <stdint.h>
#include <stdlib.h>

#include "wire/socks5.h"

static void require(bool right)
{
    if (!right)
        abort();
}

static bool same_address(const struct gh_socks5_addr *a, const struct gh_socks5_addr *b)
{
    return gh_ip_equals(&a->ip, &b->ip) && strcmp(a->name, b->name) == 0 && a->port == b->port;
}

static void again(const struct gh_socks5_addr *a)
{
    uint8_t buf[GH_SOCKS5_UDP_HEAD_MAX];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);
    struct gh_socks5_addr b;
    struct gh_span payload;

    gh_socks5_emit_udp_head(&w, a);
    require(!w.failed);
    require(gh_socks5_parse_udp(gh_span_of(buf, gh_writer_len(&w)), &b, &payload) == 0 && payload.len == 0 && same_address(a, &b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_span in = gh_span_of(data, size), user, password, payload;
    struct gh_socks5_greeting g;
    struct gh_socks5_request q;
    struct gh_socks5_addr a;
    size_t len;

    if (gh_socks5_parse_greeting(in, &g, &len) == 1)
        require(len <= size && len >= 2);
    if (gh_socks5_parse_password(in, &user, &password, &len) == 1)
        require(len == 3 + user.len + password.len && len <= size);
    if (gh_socks5_parse_request(in, &q, &len) == 1) {
        require(len <= size && len <= GH_SOCKS5_REPLY_MAX);
        again(&q.to);
    }
    if (gh_socks5_parse_udp(in, &a, &payload) == 0) {
        require(payload.data + payload.len == data + size);
        again(&a);
    }
    return 0;
}
