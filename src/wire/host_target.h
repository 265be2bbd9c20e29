/* wire/host_target.h - the host and port that a proxy is asked for: CONNECT and CONNECT-UDP
 *
 * CONNECT names them in its authority (RFC 9110, section 9.3.6), CONNECT-UDP in its path, whose default template is
 * /.well-known/masque/udp/{target_host}/{target_port}/ (RFC 9298, section 2).
 */
#ifndef GH_WIRE_HOST_TARGET_H
#define GH_WIRE_HOST_TARGET_H

#include "base/error.h"
#include "base/ip_addr.h"
#include "base/span.h"

#define GH_UDP_TEMPLATE_PATH "/.well-known/masque/udp/{target_host}/{target_port}/"

struct gh_host_target {
    struct gh_ip ip; /* family 0: <name> counts; an IPv4 address in IPv6 is family 4 here */
    char name[254];  /* as it was written, decoded, without brackets */
    uint16_t port;   /* never 0 */
};

/* "host:port", "[2001:db8::1]:443". 0 or GH_ERR_MALFORMED. */
int gh_host_target_of_authority(struct gh_span authority, struct gh_host_target *ret);
/* The path of a request for the template above; the closing slash may be missing. 0, GH_ERR_NOT_FOUND or GH_ERR_MALFORMED. */
int gh_host_target_of_path(struct gh_span path, struct gh_host_target *ret);
/* The other way round: "host:port" with brackets where they belong, and the path. A target with neither address nor name fails the writer. */
void gh_host_target_emit_authority(struct gh_writer *w, const struct gh_host_target *t);
void gh_host_target_emit_path(struct gh_writer *w, const struct gh_host_target *t);
/* An IPv4 address that is written as IPv6 (::ffff:a.b.c.d) becomes what it is: rules about it are IPv4's. */
void gh_host_target_unmap(struct gh_ip *ip);

#endif
