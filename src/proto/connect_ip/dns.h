/* proto/connect_ip/dns.h - the values of DNS_ASSIGN and PREF64 capsules (draft-ietf-masque-connect-ip-dns, version of October 2025)
 *
 * One DNS_ASSIGN carries configurations: nameservers, the domains that they know ("" is every domain), and search domains. Names are as
 * people write them, without escapes: letters, digits, '-' and '_', perhaps with a dot at the end. Service parameters are those of RFC 9460.
 */
#ifndef GH_PROTO_CONNECT_IP_DNS_H
#define GH_PROTO_CONNECT_IP_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/span.h"

#define GH_DNS_CONFIGS 8u     /* of one capsule */
#define GH_DNS_NAMESERVERS 8u /* of one configuration */
#define GH_DNS_ADDRESSES 8u   /* of one nameserver */
#define GH_DNS_DOMAINS 32u    /* of each list of one configuration */
#define GH_PREF64_PREFIXES 8u

/* Spans are borrowed from the capsule's value. */
struct gh_dns_nameserver {
    uint16_t priority; /* the smallest is asked first; never 0 */
    struct gh_ip addrs[GH_DNS_ADDRESSES];
    size_t addr_count;
    struct gh_span name;   /* that its certificate has; empty: it speaks unencrypted DNS alone */
    struct gh_span params; /* well-formed (RFC 9460, section 2.2) */
    /* From <params>; read only. */
    bool plain;    /* it speaks unencrypted DNS */
    uint16_t port; /* 0: the usual one */
};

struct gh_dns_config {
    struct gh_dns_nameserver nameservers[GH_DNS_NAMESERVERS];
    size_t nameserver_count;
    struct gh_span internal[GH_DNS_DOMAINS], search[GH_DNS_DOMAINS];
    size_t internal_count, search_count;
};

/* 0, GH_ERR_MALFORMED, GH_ERR_TOO_LONG (more entries than the limits above). */
int gh_dns_read(struct gh_span value, struct gh_dns_config list[GH_DNS_CONFIGS], size_t *ret_count);
/* Writes what gh_dns_read reads; a writer without room is marked failed. */
void gh_dns_write(struct gh_writer *w, const struct gh_dns_config *list, size_t count);

/* True for a name that may stand in a configuration; not for the empty one. */
bool gh_dns_name_valid(struct gh_span name);

/* Prefixes of NAT64, lengths of RFC 6052, section 2.2; bits below the length are cleared. 0, GH_ERR_MALFORMED, GH_ERR_TOO_LONG. */
int gh_pref64_read(struct gh_span value, struct gh_prefix list[GH_PREF64_PREFIXES], size_t *ret_count);
void gh_pref64_write(struct gh_writer *w, const struct gh_prefix *list, size_t count);
bool gh_pref64_valid(const struct gh_prefix *p);

#endif
