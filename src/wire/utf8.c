#include "wire/utf8.h"

/* RFC 3629, section 4: which bytes begin a character, and what may follow them at once */
static bool begin(struct gh_utf8 *u, uint8_t c)
{
    u->low = 0x80;
    u->high = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        u->left = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        u->left = 2;
        if (c == 0xe0)
            u->low = 0xa0; /* shorter forms of it exist */
        if (c == 0xed)
            u->high = 0x9f; /* surrogates are no characters */
    } else if (c >= 0xf0 && c <= 0xf4) {
        u->left = 3;
        if (c == 0xf0)
            u->low = 0x90;
        if (c == 0xf4)
            u->high = 0x8f; /* U+10FFFF is the last one */
    } else {
        return c < 0x80;
    }
    return true;
}

bool gh_utf8_feed(struct gh_utf8 *u, struct gh_span piece)
{
    size_t i = 0;
    uint64_t eight;

    while (i < piece.len) {
        uint8_t c = piece.data[i];

        if (u->left == 0 && c < 0x80) { /* most texts are ASCII */
            for (i++; piece.len - i >= sizeof eight; i += sizeof eight) {
                memcpy(&eight, piece.data + i, sizeof eight);
                if (eight & UINT64_C(0x8080808080808080))
                    break;
            }
            continue;
        }
        i++;
        if (u->left == 0) {
            if (!begin(u, c))
                return false;
            continue;
        }
        if (c < u->low || c > u->high)
            return false;
        u->left--;
        u->low = 0x80;
        u->high = 0xbf;
    }
    return true;
}
