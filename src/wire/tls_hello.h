/* wire/tls_hello.h - the first message of a TLS client, read without answering it (RFC 8446, sections 4.1.2 and 5.1; RFC 9849)
 *
 * gh_tls_hello_parse gives a view of one ClientHello; gh_tls_hello_read finds that message in what was peeked from a TCP
 * connection; gh_tls_ech_inner_parse reads what was sealed in an outer one. What is refused here is what OpenSSL refuses
 * before it asks anybody about the hello, no more: a hello that a server would answer finds its server. So a field whose
 * contents make no sense (a server_name that is no name, an ALPN list of a wrong length) is left empty, and a known
 * extension that comes twice is malformed while an unknown one is not.
 *
 * Glossary. hello: the ClientHello, without the four bytes of handshake header before it. record: what a TLS stream is cut
 * into, five bytes of header and at most 16,384 of content; a hello may span any number of them. outer, inner: the hello
 * that all can read, and the one that Encrypted Client Hello carries in it.
 */
#ifndef GH_WIRE_TLS_HELLO_H
#define GH_WIRE_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

#define GH_TLS_NAME_MAX 256u           /* a host name and its NUL */
#define GH_TLS_HELLO_BODY_MAX 131396u  /* OpenSSL reads no longer one */
#define GH_TLS_HELLO_WIRE_MAX 65536u   /* how much is read when the caller does not say: records with their headers */
#define GH_TLS_RECORD_HEADER 5u
#define GH_TLS_RECORD_MAX 16384u       /* RFC 8446, section 5.1 */

enum gh_tls_extension {
    GH_TLS_SERVER_NAME = 0,
    GH_TLS_SUPPORTED_GROUPS = 10,
    GH_TLS_SIGNATURE_ALGORITHMS = 13,
    GH_TLS_ALPN = 16,
    GH_TLS_PADDING = 21,
    GH_TLS_SESSION_TICKET = 35,
    GH_TLS_PRE_SHARED_KEY = 41,
    GH_TLS_EARLY_DATA = 42,
    GH_TLS_SUPPORTED_VERSIONS = 43,
    GH_TLS_COOKIE = 44,
    GH_TLS_KEY_SHARE = 51,
    GH_TLS_QUIC_PARAMETERS = 57,
    GH_TLS_ECH_OUTER_EXTENSIONS = 0xfd00,
    GH_TLS_ECH = 0xfe0d,
};

/* The extension encrypted_client_hello (RFC 9849, section 5). */
struct gh_tls_ech_outer {
    bool present;
    bool inner_type;          /* it says "this is the inner hello": in the open, a hello for a server behind a splitter */
    bool malformed;           /* neither form; the fields below are empty */
    uint16_t kdf, aead;
    uint8_t config_id;
    struct gh_span enc;       /* empty in the hello that follows a HelloRetryRequest */
    struct gh_span payload;   /* its place in the body is what the additional data has as zeroes */
};

/* All spans are borrowed from the bytes that were parsed. */
struct gh_tls_hello {
    struct gh_span body;
    struct gh_span random;              /* 32 bytes */
    struct gh_span session_id;          /* 0 to 32 */
    struct gh_span cipher_suites;       /* without its length; may be odd */
    struct gh_span compression;         /* without its length */
    struct gh_span extensions;          /* without its length */
    uint16_t legacy_version;
    char sni[GH_TLS_NAME_MAX];          /* lower case, no dot at the end; "" none, or what came is not a host name */
    struct gh_span server_name;         /* the extension as it came */
    struct gh_span alpn;                /* ProtocolNameList without its own length; empty: none, or malformed */
    struct gh_span supported_versions;  /* without its own length; the same */
    struct gh_span key_share;           /* client_shares without their own length; the same */
    bool early_data, psk;
    struct gh_tls_ech_outer ech;
};

/* <body> is one whole ClientHello. 0 or GH_ERR_MALFORMED. */
int gh_tls_hello_parse(struct gh_span body, struct gh_tls_hello *ret);

/* True when ALPN offers <name>. */
bool gh_tls_hello_alpn_has(const struct gh_tls_hello *h, const char *name);
/* Walks the names that ALPN offers: <at> starts as h->alpn and is advanced. True with the next name, false after the last. */
bool gh_tls_alpn_next(struct gh_span *at, struct gh_span *ret);
/* True when the hello offers <version>: 0x0304 is TLS 1.3; without supported_versions all up to legacy_version count. */
bool gh_tls_hello_offers(const struct gh_tls_hello *h, uint16_t version);

/* Walks extensions: <at> starts as h->extensions and is advanced. True with the next one, false after the last. */
bool gh_tls_extension_next(struct gh_span *at, uint16_t *ret_type, struct gh_span *ret_data);
/* The first extension of <type>; false when there is none. */
bool gh_tls_hello_find(const struct gh_tls_hello *h, uint16_t type, struct gh_span *ret);

/* Reads a host name as a server_name entry or a route gives it: lower case, one dot at the end removed, labels of 1 to 63
 * letters, digits, '-' and '_', the last one not a number (that is an address). 0 or GH_ERR_MALFORMED. */
int gh_tls_host_name(struct gh_span text, char ret[GH_TLS_NAME_MAX]);

/* Reads what was sealed in the ECH of <outer>: an EncodedClientHelloInner with its padding (RFC 9849, section 5.1). <ret> is
 * what the inner hello says, with the session id of the outer one and with what it takes over from there; but ret->body and
 * ret->extensions are as they were sent, so gh_tls_hello_find sees nothing that was taken over.
 * 0, or GH_ERR_MALFORMED when a server must refuse it (illegal_parameter). */
int gh_tls_ech_inner_parse(struct gh_span encoded, const struct gh_tls_hello *outer, struct gh_tls_hello *ret);

/* Finds the hello in a TCP stream. The reader remembers how far it has looked, so being called for each byte that comes
 * costs no more than being called once; what it has looked at must stay the same, but may move in memory. */
struct gh_tls_hello_reader {
    size_t max;           /* bytes of the stream, up to the end of the hello's last record */
    size_t at;            /* where the record under way begins */
    uint8_t head[4];      /* of the handshake message */
    size_t head_len;
    size_t body_len;      /* once head is complete */
    size_t body_at;       /* where the body lies in the stream, when it lies in one record */
    uint8_t *copy;        /* else it is gathered here */
    size_t copy_len, copy_cap;
    unsigned empty;       /* records without content, one after the other */
    bool complete;
    int failed;           /* sticky */
};

/* <max> 0 means GH_TLS_HELLO_WIRE_MAX. */
void gh_tls_hello_reader_init(struct gh_tls_hello_reader *r, size_t max);
void gh_tls_hello_reader_fini(struct gh_tls_hello_reader *r);

/* <stream> is all that came so far, from its first byte on.
 * 1: <ret> is the hello, borrowed from <stream> or from the reader. 0: more bytes are needed. GH_ERR_UNSUPPORTED: this is not
 * TLS. GH_ERR_MALFORMED: not what a TLS server would read on. GH_ERR_TOO_LONG: it is, or will be, longer than the limit.
 * GH_ERR_MEMORY. An error stays. */
int gh_tls_hello_read(struct gh_tls_hello_reader *r, struct gh_span stream, struct gh_tls_hello *ret);

/* After 1: bytes of the stream up to the end of the record in which the hello ends. */
size_t gh_tls_hello_used(const struct gh_tls_hello_reader *r);

#endif
