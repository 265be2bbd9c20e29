/* core/audit_key.h - the first key of a chain as a file, open or sealed
 *
 *     gatehouse audit key 1
 *     chain  what the chain is called, 32 hex digits
 *     key    64 hex digits              the operator keeps the file away from the node, or
 *     sealed the key, by crypto/seal.h  only the holder of the private key reads it
 */
#ifndef GH_CORE_AUDIT_KEY_H
#define GH_CORE_AUDIT_KEY_H

#include "base/span.h"
#include "core/audit_chain.h"
#include "core/text.h"

#define GH_AUDIT_KEY_FILE_MAX 4096u

/* The file for <key>, open when <public_pem> is empty. <out> is the caller's to wipe. 0, GH_ERR_MALFORMED (no X25519 public
 * key), GH_ERR_CRYPTO, GH_ERR_MEMORY. */
int gh_audit_key_emit(const uint8_t key[GH_AUDIT_KEY], struct gh_span public_pem, struct gh_text *out);
/* GH_ERR_MALFORMED: no such file; GH_ERR_STATE: it is sealed and <private_pem> is empty; GH_ERR_DENIED: that is not the
 * private key, or the file was changed. */
int gh_audit_key_parse(struct gh_span file, struct gh_span private_pem, uint8_t ret_key[GH_AUDIT_KEY], char ret_id[GH_AUDIT_ID_TEXT]);

#endif
