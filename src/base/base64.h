/* base/base64.h - bytes as text of 64 letters (RFC 4648, sections 4 and 5) */
#ifndef GH_BASE_BASE64_H
#define GH_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Letters of <len> bytes with padding, NUL included. */
#define GH_BASE64_TEXT(len) (((len) + 2) / 3 * 4 + 1)

/* Writes GH_BASE64_TEXT(len) bytes at most; returns how many letters. */
size_t gh_base64_encode(struct gh_span data, char *ret);
/* With - and _ for + and /, and without padding: for URLs. */
size_t gh_base64url_encode(struct gh_span data, char *ret);
/* Takes both alphabets, with padding or without it, and nothing else: no white space, no bits left over. <ret> takes text.len / 4 * 3 + 2
 * bytes. 0 or GH_ERR_MALFORMED. */
int gh_base64_decode(struct gh_span text, uint8_t *ret, size_t *ret_len);

#endif
