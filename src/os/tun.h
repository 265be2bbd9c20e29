/* os/tun.h - one queue of a TUN, with the kernel's offloads both ways
 *
 * With offloads on, one read may yield up to 64 KiB of TCP or UDP that still has to be cut, and one write may carry as much.
 * Offloads belong to the device, not to the queue. Where GH_ERR_SYSTEM is returned, errno says why.
 */
#ifndef GH_OS_TUN_H
#define GH_OS_TUN_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/offload.h"
#include "base/span.h"

#define GH_TUN_PACKET_MAX 65536u /* room that a read wants */
#define GH_TUN_PIECES_MAX 128u   /* pieces of one write */

enum gh_tun_offload {
    GH_TUN_CSUM = 1, /* checksums may be unfinished; the others need it */
    GH_TUN_TSO4 = 2,
    GH_TUN_TSO6 = 4,
    GH_TUN_TSO_ECN = 8,
    GH_TUN_USO = 16, /* both families; kernel 6.2 */
    GH_TUN_ALL = 31,
};

/* Opens a queue of the TUN <name> ("" or a pattern such as "gh%d": the kernel chooses), creating it when there is none.
 * <multi_queue> must be the same for every queue of a device. The descriptor is non-blocking and close-on-exec.
 * 0, GH_ERR_RANGE (name), GH_ERR_DENIED, GH_ERR_EXISTS (other kind of device, or all queues taken), GH_ERR_NOT_FOUND (no
 * /dev/net/tun) or GH_ERR_SYSTEM. */
int gh_tun_open(const char *name, bool multi_queue, int *ret_fd, char ret_name[IF_NAMESIZE]);
/* Asks the kernel for <wanted> and takes less where it knows less: first UDP goes, then ECN, then TCP. <ret_got> is what may now
 * be read. 0 or GH_ERR_SYSTEM. */
int gh_tun_set_offload(int fd, unsigned wanted, unsigned *ret_got);
/* A detached queue gets no packets; its descriptor stays. 0 or GH_ERR_SYSTEM. */
int gh_tun_attach_queue(int fd, bool attach);

/* One packet. Its length, GH_ERR_AGAIN, GH_ERR_TOO_LONG (it did not fit and is lost), GH_ERR_UNSUPPORTED (an offload that was
 * not asked for; the packet is lost), GH_ERR_STATE (detached or interface down) or GH_ERR_SYSTEM. */
ssize_t gh_tun_read(int fd, uint8_t *buf, size_t cap, struct gh_offload *ret);
/* Writes the pieces as one packet. 0, GH_ERR_AGAIN, GH_ERR_MALFORMED (the kernel refuses this packet), GH_ERR_TOO_LONG (too many
 * pieces), GH_ERR_STATE or GH_ERR_SYSTEM. */
int gh_tun_write(int fd, const struct gh_offload *o, const struct gh_span *pieces, size_t count);

#endif
