/* base/ip_addr.h - IPv4 and IPv6 addresses, prefixes and ranges as plain values
 *
 * Bytes are in network order; the 12 bytes that an IPv4 address does not use are zero, so values compare with memcmp
 * and hash as they are. Text is RFC 5952 for IPv6.
 */
#ifndef GH_BASE_IP_ADDR_H
#define GH_BASE_IP_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct gh_ip {
    uint8_t family; /* 4, 6, or 0 for "none" */
    uint8_t bytes[16];
};

struct gh_prefix {
    struct gh_ip addr;
    uint8_t len; /* 0..32 or 0..128 */
};

#define GH_IP_TEXT 46     /* longest text of an address, NUL included */
#define GH_PREFIX_TEXT 50 /* "address/128" and NUL */

static inline unsigned gh_ip_bits(const struct gh_ip *a)
{
    return a->family == 4 ? 32 : 128;
}

static inline size_t gh_ip_len(const struct gh_ip *a)
{
    return a->family == 4 ? 4 : 16;
}

static inline struct gh_ip gh_ip_v4(const void *four_bytes)
{
    struct gh_ip a = { .family = 4 };

    memcpy(a.bytes, four_bytes, 4);
    return a;
}

static inline struct gh_ip gh_ip_v6(const void *sixteen_bytes)
{
    struct gh_ip a = { .family = 6 };

    memcpy(a.bytes, sixteen_bytes, 16);
    return a;
}

static inline bool gh_ip_equals(const struct gh_ip *a, const struct gh_ip *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Total order: family, then bytes. < 0, 0, > 0. */
int gh_ip_compare(const struct gh_ip *a, const struct gh_ip *b);
bool gh_ip_is_zero(const struct gh_ip *a);
bool gh_ip_is_link_local(const struct gh_ip *a); /* 169.254.0.0/16, fe80::/10, and the multicast of link scope */
bool gh_ip_is_multicast(const struct gh_ip *a);
/* The next address; wraps to zero after the last one of the family. */
void gh_ip_increment(struct gh_ip *a);

/* Strict text, no surrounding space. 0 or GH_ERR_MALFORMED. <text> need not end with NUL. */
int gh_ip_parse(const char *text, size_t len, struct gh_ip *ret);
/* "10.0.0.0/8", or a bare address, which means its full length. Bits below the prefix must be zero, else GH_ERR_RANGE. */
int gh_prefix_parse(const char *text, size_t len, struct gh_prefix *ret);
/* Write NUL-terminated text and return <buf>. */
const char *gh_ip_emit(const struct gh_ip *a, char buf[GH_IP_TEXT]);
const char *gh_prefix_emit(const struct gh_prefix *p, char buf[GH_PREFIX_TEXT]);

bool gh_prefix_contains(const struct gh_prefix *p, const struct gh_ip *a);
bool gh_prefix_covers(const struct gh_prefix *outer, const struct gh_prefix *inner);
/* True when no bit below the length is set and the length fits the family. */
bool gh_prefix_valid(const struct gh_prefix *p);
void gh_prefix_bounds(const struct gh_prefix *p, struct gh_ip *ret_first, struct gh_ip *ret_last);

#endif
