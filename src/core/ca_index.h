/* core/ca_index.h - the index of a certificate authority: index.jsonl
 *
 * One JSON object a line, only ever appended to: a line for every certificate that was issued
 *
 *     {"serial":"…","name":"client-1","role":"agent","spki_sha256":"…","not_before":…,"not_after":…,"status":"valid"}
 *
 * and one for every revocation of a certificate of an earlier line
 *
 *     {"serial":"…","status":"revoked","revoked":…,"reason":"keyCompromise"}
 *
 * Members that are not known are skipped. Who reads it: `gatehouse ca`, and a relay that pins keys by it.
 */
#ifndef GH_CORE_CA_INDEX_H
#define GH_CORE_CA_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "crypto/cert.h"
#include "crypto/identity.h"

#define GH_CA_INDEX_MAX (64u << 20)  /* bytes of the file */
#define GH_CA_INDEX_LINE 4096u       /* bytes of a line */

struct gh_ca_index_entry {
    char serial[GH_CERT_SERIAL_TEXT];
    char name[GH_IDENTITY_NAME_MAX + 1];
    enum gh_role role;
    unsigned reason; /* enum gh_crl_reason, when revoked */
    uint8_t spki_sha256[32];
    int64_t not_before, not_after; /* wall seconds */
    int64_t revoked;               /* wall seconds; 0: it is not */
};

struct gh_ca_index {
    struct gh_ca_index_entry *entries; /* in the order of issue */
    size_t count;
    unsigned bad;      /* lines that are no records */
    unsigned bad_line; /* the first of them, from 1 */
};

/* Bad lines are counted and skipped: whether they matter is the caller's. 0, GH_ERR_TOO_LONG or GH_ERR_MEMORY. */
int gh_ca_index_parse(struct gh_span text, struct gh_ca_index *ret);
void gh_ca_index_fini(struct gh_ca_index *i);
/* Is <spki> the key of a certificate of <name> that is not revoked? Validity in time is TLS's business. */
bool gh_ca_index_has_key(const struct gh_ca_index *i, const char *name, const uint8_t spki_sha256[32]);

/* The line without its end, to be freed; NULL when memory is out. */
char *gh_ca_index_emit(const struct gh_ca_index_entry *e);
char *gh_ca_index_emit_revocation(const struct gh_ca_index_entry *e);

#endif
