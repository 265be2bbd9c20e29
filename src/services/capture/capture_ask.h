/* services/capture/capture_ask.h - what a local program asks for, in the protocol that its first byte says: SOCKS 5 (RFC 1928, 1929) or CONNECT of HTTP/1
 *
 *   first byte --5--> greeting --> [password] --> request --> asked
 *              --letter--> head of a request -----------------^
 *
 * No I/O: it is fed with bytes, and writes what is to be said. The answer to what was asked comes later, and is written here, too.
 */
#ifndef GH_SERVICES_CAPTURE_CAPTURE_ASK_H
#define GH_SERVICES_CAPTURE_CAPTURE_ASK_H

#include "wire/h1.h"
#include "wire/host_target.h"
#include "wire/http_head.h"
#include "wire/proxy_status.h"
#include "wire/socks5.h"

#define GH_CAPTURE_SAID 1024u /* bytes that one call writes at most */

/* Who may ask: both empty, everybody. Borrowed. */
struct gh_capture_login {
    struct gh_span user, password;
};

struct gh_capture_request {
    bool associate;           /* a UDP association; <to> is where it will send from then: zero where it does not know */
    struct gh_host_target to;
};

enum gh_capture_state { GH_CAPTURE_FIRST, GH_CAPTURE_GREETING, GH_CAPTURE_PASSWORD, GH_CAPTURE_REQUEST, GH_CAPTURE_HEAD, GH_CAPTURE_ASKED };

struct gh_capture_ask {
    const struct gh_capture_login *login;
    enum gh_capture_state state;
    bool http;
    uint8_t buf[520]; /* a message of SOCKS that has not come whole */
    size_t len;
    struct gh_h1_reader *head;
};

/* Why there is no tunnel, for both protocols. */
struct gh_capture_failure {
    unsigned status;
    enum gh_socks5_reply reply;
    char error[GH_PROXY_STATUS_VALUE]; /* of Proxy-Status (RFC 9209, section 2.3); "": none */
};

void gh_capture_ask_init(struct gh_capture_ask *a, const struct gh_capture_login *login);
void gh_capture_ask_fini(struct gh_capture_ask *a);
/* Takes bytes from <in>, advancing it, until there is a request: what is left is what the program sends to whom it asks for. <out> gets what is to be said.
 * Progress; or GH_ERR_DENIED (no login, or a wrong one), GH_ERR_UNSUPPORTED, GH_ERR_MALFORMED and the like: after what <out> has it is over. */
int gh_capture_ask_feed(struct gh_capture_ask *a, struct gh_span *in, struct gh_writer *out, struct gh_capture_request *ret);
/* <bound> may be NULL. */
void gh_capture_ask_emit_success(const struct gh_capture_ask *a, struct gh_writer *out, const struct gh_socks5_addr *bound);
void gh_capture_ask_emit_failure(const struct gh_capture_ask *a, struct gh_writer *out, const struct gh_capture_failure *f);

/* What an answer of the relay other than 2xx means. */
struct gh_capture_failure gh_capture_failure_of(const struct gh_http_head *answer);
/* Of <status> and <error> of our own; <error> may be "". */
struct gh_capture_failure gh_capture_failure_make(unsigned status, const char *error);

#endif
