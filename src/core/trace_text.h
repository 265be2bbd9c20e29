/* core/trace_text.h - a record of the flight recorder in words: "decision policy 9.9.9.9 udp 53" */
#ifndef GH_CORE_TRACE_TEXT_H
#define GH_CORE_TRACE_TEXT_H

#include "base/ip_addr.h"
#include "loop/trace.h"

#define GH_TRACE_TEXT 128u

/* An address in eight bytes: an IPv4 address whole, of an IPv6 one the last half; <port> and <protocol> in <b>. */
uint64_t gh_trace_addr(const struct gh_ip *addr);
static inline uint32_t gh_trace_port(const struct gh_ip *addr, uint8_t protocol, uint16_t port)
{
    return (uint32_t)port << 16 | (uint32_t)protocol << 8 | addr->family;
}

/* What follows the event's name; returns <ret>. */
const char *gh_trace_text(const struct gh_trace_record *r, char ret[GH_TRACE_TEXT]);

#endif
