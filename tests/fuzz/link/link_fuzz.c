/* tests/fuzz/link/link_fuzz.c - a link that somebody pasted; what was understood is written and means the same */
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "wire/link.h"

static void require(bool right)
{
    if (!right)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[4 * GH_LINK_MAX]; /* three letters a byte */
    struct gh_link a, b;
    int len;

    if (gh_link_parse(gh_span_of(data, size), &a) < 0)
        return 0;
    len = gh_link_emit(&a, text, sizeof text);
    if (len == GH_ERR_TOO_LONG) /* what was written plainly takes three letters now */
        return 0;
    require(len > 0 && gh_link_parse(gh_span_of(text, (size_t)len), &b) == 0);
    require(strcmp(a.user, b.user) == 0 && (!*a.user || strcmp(a.token, b.token) == 0) && strcmp(a.host, b.host) == 0 && a.port == b.port);
    require(a.ech_len == b.ech_len && memcmp(a.ech, b.ech, a.ech_len) == 0 && a.has_pin == b.has_pin && memcmp(a.pin, b.pin, sizeof a.pin) == 0);
    require(a.hop[0] == b.hop[0] && a.hop[1] == b.hop[1] && gh_ip_equals(&a.ip, &b.ip) && gh_ip_equals(&a.ip6, &b.ip6));
    require(strcmp(a.fp, b.fp) == 0 && strcmp(a.country, b.country) == 0 && strcmp(a.name, b.name) == 0 && strcmp(a.other, b.other) == 0);
    return 0;
}
