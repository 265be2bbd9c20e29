/* proto/conform/script.h - the words that rows are written in; for rows_*.c
 *
 * A word that returns bool has given the verdict when it returns false: the row is over. "expect" words always give one.
 */
#ifndef GH_PROTO_CONFORM_SCRIPT_H
#define GH_PROTO_CONFORM_SCRIPT_H

#include "base/ip_addr.h"
#include "proto/conform/check.h"

#define BYTES(s) .bytes = (s), .len = sizeof(s) - 1
#define MS INT64_C(1000000)

#define H3_DATAGRAM_ERROR 0x33u
#define H3_STREAM_CREATION_ERROR 0x103u
#define H3_CLOSED_CRITICAL_STREAM 0x104u
#define H3_FRAME_UNEXPECTED 0x105u
#define H3_FRAME_ERROR 0x106u
#define H3_ID_ERROR 0x108u
#define H3_SETTINGS_ERROR 0x109u
#define H3_MISSING_SETTINGS 0x10au
#define H3_REQUEST_CANCELLED 0x10cu
#define H3_MESSAGE_ERROR 0x10eu
#define QPACK_DECOMPRESSION_FAILED 0x200u
#define QPACK_ENCODER_STREAM_ERROR 0x201u
#define QPACK_DECODER_STREAM_ERROR 0x202u

struct gh_conform_check {
    struct gh_conform_peer peer;
    const struct gh_conform_road *road;
    const struct gh_conform_target *target;
    struct gh_conform_result *result;
    int64_t patience;
    int64_t control, tunnel; /* streams, -1 without */
    struct gh_ip v4, v6;     /* that the proxy assigned; family 0 without */
};

typedef struct gh_conform_check check;
typedef struct gh_conform_row row;

void check_pass(check *c);
void check_fail(check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_skip(check *c, const char *why);

bool check_connect(check *c);
/* Connects, and opens a control stream with SETTINGS that allow everything. */
bool check_settle(check *c);
/* Path and query of a request with these values, raw. */
void check_path(const check *c, const char *target, const char *ipproto, char *ret, size_t cap);
/* Appends a HEADERS frame that asks for a tunnel for everything. */
void check_tunnel_head(const check *c, struct gh_conform_bytes *b);
/* Sends a request and waits for an answer's head, a reset or the end. Its stream, or -1. */
int64_t check_ask(check *c, struct gh_span request, bool fin);
/* Everything up to an open tunnel. */
bool check_open_tunnel(check *c);
/* Sends capsules in one DATA frame of the tunnel. */
void check_capsules(check *c, struct gh_span capsules);
/* An open tunnel with the addresses that the proxy assigns, asked for when it does not do so by itself. */
bool check_addresses(check *c);
const struct gh_conform_answer *check_answer(check *c, int64_t stream);
unsigned check_status(check *c, int64_t stream);

void expect_closed(check *c, uint64_t code);
/* The stream was aborted, with this code, and the connection lives. */
void expect_aborted(check *c, int64_t stream, uint64_t code);
/* Refused as malformed: H3_MESSAGE_ERROR or an answer of 4xx. */
void expect_malformed(check *c, int64_t stream);
/* The connection serves another request, and the tunnel (if there is one) goes on. */
void expect_alive(check *c);
/* The proxy ends its direction of the tunnel as well, and the connection goes on without it. */
void expect_tunnel_over(check *c);
/* A tunnel can be opened on this connection. */
void expect_tunnel(check *c);

extern const row gh_conform_rows_quic[], gh_conform_rows_h3[], gh_conform_rows_qpack[], gh_conform_rows_message[], gh_conform_rows_datagram[],
    gh_conform_rows_capsule[], gh_conform_rows_request[], gh_conform_rows_address[], gh_conform_rows_packet[];

#endif
