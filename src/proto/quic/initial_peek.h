/* proto/quic/initial_peek.h - the ClientHello of a QUIC client, read without answering it (RFC 9001, section 5.2)
 *
 * Who sees the first datagrams of a connection can open them: their keys come from the connection id that the client chose.
 * A peek begins with the first datagram and is given every further one of the same address, in the order in which they come;
 * it takes the Initial packets out of them, puts the pieces of the handshake in order and ends with the hello. A packet that
 * does not open was not the client's: it is passed over, as a server would do, and so is all that is not Initial.
 *
 * How many datagrams one peek is worth, and for how long, is the caller's to say. Its memory is bounded by the limits below.
 */
#ifndef GH_PROTO_QUIC_INITIAL_PEEK_H
#define GH_PROTO_QUIC_INITIAL_PEEK_H

#include "crypto/aead.h"
#include "proto/quic/quic.h"
#include "wire/tls_hello.h"

#define GH_QUIC_PEEK_DATAGRAM_MIN 1200u /* RFC 9000, section 14.1: a smaller one carries no Initial packet */
#define GH_QUIC_PEEK_DCID_MIN 8u        /* RFC 9000, section 7.2 */
#define GH_QUIC_PEEK_STREAM_MAX 16384u  /* of the handshake: the four bytes of its header and the hello */
#define GH_QUIC_PEEK_PIECES 64u         /* that do not touch each other */

#define GH_QUIC_VERSION_1 0x00000001u
#define GH_QUIC_VERSION_2 0x6b3343cfu /* RFC 9369 */

struct gh_quic_peek {
    uint32_t version;
    struct gh_quic_cid dcid, scid; /* as in the first packet that opened; scid is empty before */
    unsigned opened;               /* Initial packets that opened: while there is none, nobody has proved to speak QUIC */
    bool token;                    /* the first of them carried one: of a Retry, or of an earlier connection */

    /* the rest is internal */
    struct gh_aead_key *key;
    struct gh_header_key *header;
    uint8_t iv[GH_AEAD_IV];
    uint64_t next_number;          /* one above the largest packet number seen */
    uint8_t *stream;               /* the handshake, with gaps */
    size_t cap;
    struct gh_quic_peek_piece {
        uint32_t from, to;
    } pieces[GH_QUIC_PEEK_PIECES]; /* what has come: in order, none touching the next */
    size_t piece_count;
    int failed;                    /* sticky */
};

/* Begins with the first datagram, which must be fed then as well. 0; GH_ERR_UNSUPPORTED: this is no Initial of a version that
 * we can read, in ret->version when it has one (else 0); GH_ERR_CRYPTO, GH_ERR_MEMORY. <ret> can be given to fini always. */
int gh_quic_peek_init(struct gh_quic_peek *ret, struct gh_span datagram);
void gh_quic_peek_fini(struct gh_quic_peek *p);

/* 1: <ret> is the hello, borrowed until the next call. 0: more datagrams are needed. GH_ERR_PROTOCOL: a packet that opened
 * breaks QUIC's rules; GH_ERR_MALFORMED: what it carries is not a ClientHello; GH_ERR_TOO_LONG: above the limits;
 * GH_ERR_CLOSED: the client has given up; GH_ERR_CRYPTO, GH_ERR_MEMORY. An error stays. */
int gh_quic_peek_feed(struct gh_quic_peek *p, struct gh_span datagram, struct gh_tls_hello *ret);

#endif
