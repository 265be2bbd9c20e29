#include "core/trace_text.h"

#include <stdio.h>

#include "base/drop.h"

uint64_t gh_trace_addr(const struct gh_ip *addr)
{
    uint64_t v = 0;

    memcpy(&v, addr->family == 4 ? addr->bytes : addr->bytes + 8, addr->family == 4 ? 4 : 8);
    return v;
}

static void emit_addr(const struct gh_trace_record *r, char ret[64])
{
    uint8_t b[8];

    memcpy(b, &r->a, sizeof b);
    if ((r->b & 0xff) == 4)
        snprintf(ret, 64, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    else if ((r->b & 0xff) == 6)
        snprintf(ret, 64, "...:%x:%x:%x:%x", b[0] << 8 | b[1], b[2] << 8 | b[3], b[4] << 8 | b[5], b[6] << 8 | b[7]);
    else
        snprintf(ret, 64, "-");
}

static const char *protocol_name(unsigned number, char ret[8])
{
    switch (number) {
    case 6:
        return "tcp";
    case 17:
        return "udp";
    case 1:
        return "icmp";
    case 58:
        return "icmpv6";
    default:
        snprintf(ret, 8, "ip/%u", number);
        return ret;
    }
}

static void emit_remote(const struct gh_trace_record *r, const char *before, char ret[GH_TRACE_TEXT])
{
    char addr[64], protocol[8];

    emit_addr(r, addr);
    snprintf(ret, GH_TRACE_TEXT, "%s%s%s %s %u", before, *before ? " " : "", addr, protocol_name(r->b >> 8 & 0xff, protocol), r->b >> 16);
}

const char *gh_trace_text(const struct gh_trace_record *r, char ret[GH_TRACE_TEXT])
{
    char addr[64], word[13] = "", protocol[8];

    switch (r->event) {
    case GH_TRACE_DECISION:
        emit_remote(r, r->detail ? gh_drop_name((enum gh_drop)r->detail) : "allowed", ret);
        break;
    case GH_TRACE_DROP:
        snprintf(ret, GH_TRACE_TEXT, "%s %llu", gh_drop_name((enum gh_drop)r->detail), (unsigned long long)r->a);
        break;
    case GH_TRACE_FLOW_OPEN:
        emit_remote(r, r->detail ? "in" : "out", ret);
        break;
    case GH_TRACE_FLOW_CLOSE:
        memcpy(word, &r->a, 8);
        snprintf(ret, GH_TRACE_TEXT, "%s %s %u", word, protocol_name(r->b >> 8 & 0xff, protocol), r->b >> 16);
        break;
    case GH_TRACE_SESSION_CLOSE:
    case GH_TRACE_STATE:
        memcpy(word, &r->a, 8);
        memcpy(word + 8, &r->b, 4);
        snprintf(ret, GH_TRACE_TEXT, "%s", word);
        break;
    case GH_TRACE_HANDSHAKE:
    case GH_TRACE_SESSION_OPEN:
    case GH_TRACE_PATH:
    case GH_TRACE_CONNECT:
        emit_addr(r, addr);
        snprintf(ret, GH_TRACE_TEXT, "%s%s %u", r->event != GH_TRACE_HANDSHAKE ? "" : r->detail ? "accepted " : "refused ", addr, r->b >> 16);
        break;
    case GH_TRACE_NETWORK:
        snprintf(ret, GH_TRACE_TEXT, "%s", "changed");
        break;
    case GH_TRACE_MTU:
        snprintf(ret, GH_TRACE_TEXT, "%llu", (unsigned long long)r->a);
        break;
    case GH_TRACE_POLICY:
        snprintf(ret, GH_TRACE_TEXT, "generation %llu", (unsigned long long)r->a);
        break;
    default:
        snprintf(ret, GH_TRACE_TEXT, "%u %llu %u", r->detail, (unsigned long long)r->a, r->b);
        break;
    }
    return ret;
}
