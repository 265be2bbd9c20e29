/* wire/socks5.h - SOCKS version 5 as a server speaks it (RFC 1928), and its user name and password (RFC 1929)
 *
 * A client says which methods of authentication it knows, gets one, authenticates, asks for one thing, and gets one answer;
 * then the connection carries what it asked for. The readers are given all that came so far, return how much of it they took,
 * and may be asked again when more has come.
 */
#ifndef GH_WIRE_SOCKS5_H
#define GH_WIRE_SOCKS5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ip_addr.h"
#include "base/span.h"

#define GH_SOCKS5_NAME_MAX 256u      /* a host name and its NUL */
#define GH_SOCKS5_REPLY_MAX 262u     /* of gh_socks5_emit_reply, and of a request */
#define GH_SOCKS5_UDP_HEAD_MAX 262u  /* before the payload of a datagram */

enum gh_socks5_method {
    GH_SOCKS5_NO_AUTHENTICATION = 0x00,
    GH_SOCKS5_PASSWORD = 0x02,
    GH_SOCKS5_NO_METHOD = 0xff, /* none of the client's will do: it must close then */
};

enum gh_socks5_command {
    GH_SOCKS5_CONNECT = 1,
    GH_SOCKS5_BIND = 2,
    GH_SOCKS5_UDP_ASSOCIATE = 3,
};

enum gh_socks5_reply { /* RFC 1928, section 6 */
    GH_SOCKS5_SUCCEEDED = 0,
    GH_SOCKS5_FAILURE = 1,
    GH_SOCKS5_NOT_ALLOWED = 2,
    GH_SOCKS5_NETWORK_UNREACHABLE = 3,
    GH_SOCKS5_HOST_UNREACHABLE = 4,
    GH_SOCKS5_REFUSED = 5,
    GH_SOCKS5_TTL_EXPIRED = 6,
    GH_SOCKS5_COMMAND_UNSUPPORTED = 7,
    GH_SOCKS5_ADDRESS_UNSUPPORTED = 8,
};

/* An address or a name, and a port. */
struct gh_socks5_addr {
    struct gh_ip ip;                /* family 0: <name> counts */
    char name[GH_SOCKS5_NAME_MAX];  /* lower case, no dot at the end; a name that is an address in text becomes <ip> */
    uint16_t port;
};

struct gh_socks5_greeting {
    bool no_authentication, password; /* what the client offers of what we know */
};

/* Progress: 1 done, 0 more bytes are needed. GH_ERR_UNSUPPORTED: the stream is not SOCKS 5. */
int gh_socks5_parse_greeting(struct gh_span in, struct gh_socks5_greeting *ret, size_t *ret_len);
void gh_socks5_emit_method(struct gh_writer *w, enum gh_socks5_method method);

/* RFC 1929. Spans are borrowed from <in>; either may be empty, which clients without a password send. Progress, or
 * GH_ERR_MALFORMED. */
int gh_socks5_parse_password(struct gh_span in, struct gh_span *ret_user, struct gh_span *ret_password, size_t *ret_len);
/* After a failure the server must close. */
void gh_socks5_emit_password_status(struct gh_writer *w, bool success);

struct gh_socks5_request {
    uint8_t command; /* as it came: gh_socks5_command, or one that we do not know */
    struct gh_socks5_addr to;
};

/* Progress. GH_ERR_UNSUPPORTED: a type of address that nobody knows, to be answered GH_SOCKS5_ADDRESS_UNSUPPORTED; GH_ERR_RANGE:
 * a name that is none, to be answered GH_SOCKS5_HOST_UNREACHABLE; GH_ERR_MALFORMED: no request, GH_SOCKS5_FAILURE. */
int gh_socks5_parse_request(struct gh_span in, struct gh_socks5_request *ret, size_t *ret_len);
/* <bound> NULL, or without address and name, is written as 0.0.0.0:0. */
void gh_socks5_emit_reply(struct gh_writer *w, enum gh_socks5_reply reply, const struct gh_socks5_addr *bound);

/* A datagram of an association (section 7). 0, and <ret_payload> borrowed from <datagram>; else it is to be dropped:
 * GH_ERR_UNSUPPORTED for a fragment, which we do not join, and for unknown types of address; GH_ERR_RANGE; GH_ERR_MALFORMED. */
int gh_socks5_parse_udp(struct gh_span datagram, struct gh_socks5_addr *ret, struct gh_span *ret_payload);
/* The header before the payload of a datagram from <from>. */
void gh_socks5_emit_udp_head(struct gh_writer *w, const struct gh_socks5_addr *from);

#endif
