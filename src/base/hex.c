#include "base/hex.h"

int gh_hex_digit(uint8_t c, enum gh_hex_case which)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (which == GH_HEX_ANY && c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool gh_hex_decode(struct gh_span text, enum gh_hex_case which, uint8_t *ret, size_t len)
{
    if (text.len % 2 != 0 || text.len / 2 != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = gh_hex_digit(text.data[2 * i], which), low = gh_hex_digit(text.data[2 * i + 1], which);

        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void gh_hex_encode(const uint8_t *data, size_t len, char *ret)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = digits[data[i] >> 4];
        ret[2 * i + 1] = digits[data[i] & 15];
    }
    ret[2 * len] = 0;
}
