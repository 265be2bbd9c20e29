/* base/hex.h - bytes as hexadecimal digits, two each, the high half first (RFC 4648, section 8) */
#ifndef GH_BASE_HEX_H
#define GH_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum gh_hex_case {
    GH_HEX_LOWER, /* the form that we write: one text for one value */
    GH_HEX_ANY,   /* what a person may have pasted */
};

/* The value of a digit, -1 when it is none. */
int gh_hex_digit(uint8_t c, enum gh_hex_case which);

/* Reads exactly <len> bytes. False, with <ret> undefined, when <text> is anything but 2 * <len> digits. */
bool gh_hex_decode(struct gh_span text, enum gh_hex_case which, uint8_t *ret, size_t len);

/* Writes 2 * <len> lower-case digits and NUL. */
void gh_hex_encode(const uint8_t *data, size_t len, char *ret);

#endif
