/* wire/capsule.h - the Capsule Protocol (RFC 9297, section 3.2)
 *
 * A capsule is a type, a length and a value; capsules follow each other in the data stream, and pieces of the stream end
 * anywhere. The reader is fed such pieces. It buffers only capsules whose type the caller keeps, and never more of a value
 * than has arrived: a declared length costs a peer nothing and us nothing.
 */
#ifndef GH_WIRE_CAPSULE_H
#define GH_WIRE_CAPSULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

#define GH_CAPSULE_MAX 65536u /* longest value that we keep; a longer one is skipped when unknown or a DATAGRAM, else refused */
#define GH_CAPSULE_HEAD_MAX 16u

/* RFC 9297 section 5.4, RFC 9484 section 8.2 */
enum gh_capsule_type {
    GH_CAPSULE_DATAGRAM = 0x00,
    GH_CAPSULE_ADDRESS_ASSIGN = 0x01,
    GH_CAPSULE_ADDRESS_REQUEST = 0x02,
    GH_CAPSULE_ROUTE_ADVERTISEMENT = 0x03,
    /* draft-ietf-masque-connect-ip-dns, provisional */
    GH_CAPSULE_DNS_ASSIGN = 0x1ace79ec,
    GH_CAPSULE_PREF64 = 0x274c0fbc,
    GH_CAPSULE_FAREWELL = 0x27617465, /* Gatehouse's own: why a tunnel is closed; strangers skip it */
    GH_CAPSULE_NOTICE = 0x27617466,   /* Gatehouse's own, the same form: what is as it is, and why; the tunnel goes on */
    GH_CAPSULE_WITHHELD = 0x27617467, /* Gatehouse's own, in the form of ROUTE_ADVERTISEMENT: what the next one leaves out */
    GH_CAPSULE_ECH = 0x27617468,      /* Gatehouse's own: the ECHConfigList that the relay announces (RFC 9849, section 4) */
};

struct gh_capsule {
    uint64_t type;
    struct gh_span value; /* borrowed: valid until the next call, and no longer than the piece that was fed */
};

struct gh_capsule_reader {
    const uint64_t *kept; /* types that gh_capsule_next returns; borrowed */
    size_t kept_count;
    size_t max;           /* longest value that is kept */
    uint8_t head[GH_CAPSULE_HEAD_MAX];
    size_t head_len;
    bool in_value, keep;
    uint64_t type, left;  /* of the value under way: bytes not yet seen */
    uint8_t *buf;
    size_t have, cap;
    int failed;           /* sticky */
    uint64_t skipped;     /* capsules of a type that nobody keeps */
    uint64_t oversize;    /* DATAGRAM capsules that were too long and were discarded */
};

/* <max> 0 means GH_CAPSULE_MAX. */
void gh_capsule_reader_init(struct gh_capsule_reader *r, const uint64_t *kept, size_t kept_count, size_t max);
void gh_capsule_reader_fini(struct gh_capsule_reader *r);

/* Takes bytes from <in>, advancing it, until one kept capsule is complete.
 * Returns 1 and fills <ret>, 0 when <in> is used up, GH_ERR_TOO_LONG or GH_ERR_MEMORY; an error stays. */
int gh_capsule_next(struct gh_capsule_reader *r, struct gh_span *in, struct gh_capsule *ret);

/* The stream ended here: 0, or GH_ERR_MALFORMED inside a capsule (RFC 9297, section 3.3). */
int gh_capsule_end(const struct gh_capsule_reader *r);

/* A writer without room is marked failed, as always. */
void gh_capsule_emit_head(struct gh_writer *w, uint64_t type, uint64_t value_len);
void gh_capsule_emit(struct gh_writer *w, uint64_t type, struct gh_span value);
/* Bytes that the head takes. */
size_t gh_capsule_head_len(uint64_t type, uint64_t value_len);

#endif
