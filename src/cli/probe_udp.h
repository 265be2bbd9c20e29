/* cli/probe_udp.h - what is said to a host over UDP, and what it says
 *
 * Initial packets are sealed when they are played, each for a connection id of its own: a server takes two with one id for the same client.
 */
#ifndef GH_CLI_PROBE_UDP_H
#define GH_CLI_PROBE_UDP_H

#include "core/text.h"

#define GH_PROBE_ID 8u           /* bytes of every connection id of ours */
#define GH_PROBE_DATAGRAM 1452u  /* the largest that is said */
#define GH_PROBE_SOURCE_ID "probe-id" /* the client's own, which a hello repeats */

/* An Initial packet (RFC 9000, section 17.2.2; RFC 9001, section 5) for <id>, which carries <frames> and fills <size> bytes. How long it is, or
 * GH_ERR_TOO_LONG, GH_ERR_CRYPTO. */
int gh_probe_udp_seal(const uint8_t id[GH_PROBE_ID], struct gh_span frames, size_t size, uint8_t ret[GH_PROBE_DATAGRAM]);
/* An answer to what was said for <id>, without what is random: its kind, its length, and of an Initial what is in it. */
void gh_probe_udp_describe(struct gh_span datagram, const uint8_t id[GH_PROBE_ID], struct gh_text *out);

#endif
