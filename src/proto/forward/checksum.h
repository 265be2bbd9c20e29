/* proto/forward/checksum.h - the Internet checksum (RFC 1071)
 *
 * A sum is an unfolded one's complement sum of 16-bit words *in memory order*: what fold returns is stored with memcpy, never
 * swapped (RFC 1071, section 2 (B): byte order does not matter as long as both ends of the sum agree on it).
 * Numbers enter a sum through gh_checksum_number, which swaps where the machine needs it.
 */
#ifndef GH_PROTO_FORWARD_CHECKSUM_H
#define GH_PROTO_FORWARD_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Adds <len> bytes. An odd length counts as if a zero byte followed, so only the last piece of a text may be odd. */
uint64_t gh_checksum_add(uint64_t sum, const void *data, size_t len);
/* The same without vector instructions; for tests and machines that have none. */
uint64_t gh_checksum_add_scalar(uint64_t sum, const void *data, size_t len);
uint64_t gh_checksum_number(uint64_t sum, uint32_t value);
/* The 16-bit one's complement sum, not inverted; 0 only for a text of zeroes. */
uint16_t gh_checksum_fold(uint64_t sum);

/* Pseudo header: RFC 9293, section 3.1 and RFC 8200, section 8.1. <addresses> points at source and destination, which stand
 * next to each other in both IP headers; <address_len> is of one: 4 or 16. */
uint64_t gh_checksum_pseudo(const void *addresses, size_t address_len, uint8_t protocol, uint32_t transport_len);

/* Stores the inverted fold of <sum>. A UDP checksum of zero is sent as 0xffff (RFC 768): <zero_is_none>. */
void gh_checksum_store(void *field, uint64_t sum, bool zero_is_none);
/* Finishes a checksum whose field holds the folded sum of the pseudo header: <data> is the transport header with all
 * that follows, <offset> that of the field. 0 or GH_ERR_MALFORMED when the field is not inside. */
int gh_checksum_complete(uint8_t *data, size_t len, size_t offset);
/* True when the text, with its checksum in it, sums up to all ones. */
bool gh_checksum_good(uint64_t sum);

#endif
