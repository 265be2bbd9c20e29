#include "base/base64.h"

#include <stdbool.h>

#include "base/error.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static size_t encode(struct gh_span data, const char last[2], bool pad, char *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < data.len; i += 3) {
        size_t have = data.len - i < 3 ? data.len - i : 3;
        uint32_t v = (uint32_t)data.data[i] << 16 | (have > 1 ? (uint32_t)data.data[i + 1] << 8 : 0) | (have > 2 ? data.data[i + 2] : 0u);

        for (size_t k = 0; k <= have; k++) {
            uint32_t six = v >> (18 - 6 * k) & 63;

            ret[n++] = six < 62 ? letters[six] : last[six - 62];
        }
        for (size_t k = have; pad && k < 3; k++)
            ret[n++] = '=';
    }
    ret[n] = 0;
    return n;
}

size_t gh_base64_encode(struct gh_span data, char *ret)
{
    return encode(data, "+/", true, ret);
}

size_t gh_base64url_encode(struct gh_span data, char *ret)
{
    return encode(data, "-_", false, ret);
}

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

int gh_base64_decode(struct gh_span text, uint8_t *ret, size_t *ret_len)
{
    uint32_t v = 0;
    size_t n = 0, pad = 0;

    while (pad < 2 && text.len > pad && text.data[text.len - 1 - pad] == '=')
        pad++;
    if (pad && text.len % 4)
        return GH_ERR_MALFORMED;
    text.len -= pad;
    if (text.len % 4 == 1)
        return GH_ERR_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        int six = value_of(text.data[i]);

        if (six < 0)
            return GH_ERR_MALFORMED;
        v = v << 6 | (uint32_t)six;
        if (i % 4 == 0)
            continue;
        ret[n++] = (uint8_t)(v >> (6 - 2 * (i % 4)));
    }
    /* RFC 4648, section 3.5: one text for one value */
    if ((text.len % 4 == 2 && v & 15) || (text.len % 4 == 3 && v & 3))
        return GH_ERR_MALFORMED;
    *ret_len = n;
    return 0;
}
