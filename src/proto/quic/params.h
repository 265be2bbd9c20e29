/* proto/quic/params.h - the order of transport parameters (RFC 9000, section 18)
 *
 * The library has one order of its own, by which a client could be told from others; browsers draw another for each connection.
 */
#ifndef GH_PROTO_QUIC_PARAMS_H
#define GH_PROTO_QUIC_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#define GH_QUIC_PARAMS_MAX 20u /* more than that stay in their order */

/* Puts whole parameters in an order that <noise> draws. What is no list of parameters stays as it is. */
void gh_quic_params_shuffle(uint8_t *params, size_t len, uint64_t noise);

#endif
