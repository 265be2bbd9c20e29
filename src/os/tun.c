#include "os/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"

/* Younger than the headers of Debian 12 */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

static int failure(void)
{
    switch (errno) {
    case EAGAIN:
    case ENOBUFS:
        return GH_ERR_AGAIN;
    case EPERM:
    case EACCES:
        return GH_ERR_DENIED;
    case EBUSY:
    case E2BIG:
        return GH_ERR_EXISTS;
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return GH_ERR_NOT_FOUND;
    case EIO:
    case EBADFD:
        return GH_ERR_STATE;
    case EINVAL:
        return GH_ERR_MALFORMED;
    default:
        return GH_ERR_SYSTEM;
    }
}

int gh_tun_open(const char *name, bool multi_queue, int *ret_fd, char ret_name[IF_NAMESIZE])
{
    struct ifreq req = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
    int header = sizeof(struct virtio_net_hdr), fd, rc, saved;
    size_t len = strlen(name);

    if (len >= sizeof req.ifr_name)
        return GH_ERR_RANGE;
    memcpy(req.ifr_name, name, len);
    if (multi_queue)
        req.ifr_flags |= IFF_MULTI_QUEUE;
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return failure();
    if (ioctl(fd, TUNSETIFF, &req) < 0) {
        rc = errno == EINVAL ? GH_ERR_EXISTS : failure(); /* a device of that name is not a TUN, or not of that kind */
        goto fail;
    }
    if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) {
        rc = GH_ERR_SYSTEM;
        goto fail;
    }
    memcpy(ret_name, req.ifr_name, IF_NAMESIZE);
    ret_name[IF_NAMESIZE - 1] = 0;
    *ret_fd = fd;
    return 0;
fail:
    saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

static unsigned kernel_offload(unsigned flags)
{
    unsigned f = 0;

    if (flags & GH_TUN_CSUM)
        f |= TUN_F_CSUM;
    if (flags & GH_TUN_TSO4)
        f |= TUN_F_TSO4;
    if (flags & GH_TUN_TSO6)
        f |= TUN_F_TSO6;
    if (flags & GH_TUN_TSO_ECN)
        f |= TUN_F_TSO_ECN;
    if (flags & GH_TUN_USO)
        f |= TUN_F_USO4 | TUN_F_USO6;
    return f;
}

int gh_tun_set_offload(int fd, unsigned wanted, unsigned *ret_got)
{
    static const unsigned trials[] = {
        GH_TUN_ALL,
        GH_TUN_ALL & ~GH_TUN_USO,
        GH_TUN_CSUM | GH_TUN_TSO4 | GH_TUN_TSO6,
        GH_TUN_CSUM,
        0,
    };

    if (!(wanted & GH_TUN_CSUM))
        wanted = 0;
    if (!(wanted & (GH_TUN_TSO4 | GH_TUN_TSO6)))
        wanted &= ~(unsigned)GH_TUN_TSO_ECN;
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        unsigned flags = wanted & trials[i];

        if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)kernel_offload(flags)) == 0) {
            *ret_got = flags;
            return 0;
        }
        if (errno != EINVAL)
            break;
    }
    return GH_ERR_SYSTEM;
}

int gh_tun_attach_queue(int fd, bool attach)
{
    struct ifreq req = { .ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

    return ioctl(fd, TUNSETQUEUE, &req) < 0 ? GH_ERR_SYSTEM : 0;
}

static int of_virtio(const struct virtio_net_hdr *h, struct gh_offload *ret)
{
    struct gh_offload o = {
        .needs_csum = (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0,
        .csum_valid = h->flags & VIRTIO_NET_HDR_F_DATA_VALID,
        .ecn = h->gso_type & VIRTIO_NET_HDR_GSO_ECN,
    };

    switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        o.kind = GH_OFFLOAD_NONE;
        break;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        o.kind = GH_OFFLOAD_TCP4;
        break;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        o.kind = GH_OFFLOAD_TCP6;
        break;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        o.kind = GH_OFFLOAD_UDP;
        break;
    default:
        return GH_ERR_UNSUPPORTED;
    }
    if (o.kind != GH_OFFLOAD_NONE) {
        o.segment_size = h->gso_size;
        o.header_len = h->hdr_len;
    }
    if (o.needs_csum) {
        o.csum_start = h->csum_start;
        o.csum_offset = h->csum_offset;
    }
    *ret = o;
    return 0;
}

static struct virtio_net_hdr to_virtio(const struct gh_offload *o)
{
    static const uint8_t types[] = {
        [GH_OFFLOAD_NONE] = VIRTIO_NET_HDR_GSO_NONE,
        [GH_OFFLOAD_TCP4] = VIRTIO_NET_HDR_GSO_TCPV4,
        [GH_OFFLOAD_TCP6] = VIRTIO_NET_HDR_GSO_TCPV6,
        [GH_OFFLOAD_UDP] = VIRTIO_NET_HDR_GSO_UDP_L4,
    };
    struct virtio_net_hdr h = { .gso_type = types[o->kind & 3] };

    if (o->needs_csum) {
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = o->csum_start;
        h.csum_offset = o->csum_offset;
    } else if (o->csum_valid) {
        h.flags = VIRTIO_NET_HDR_F_DATA_VALID;
    }
    if (o->kind != GH_OFFLOAD_NONE) {
        h.gso_size = o->segment_size;
        h.hdr_len = o->header_len;
        if (o->ecn && o->kind != GH_OFFLOAD_UDP)
            h.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    }
    return h;
}

ssize_t gh_tun_read(int fd, uint8_t *buf, size_t cap, struct gh_offload *ret)
{
    struct virtio_net_hdr h;
    struct iovec iov[] = { { &h, sizeof h }, { buf, cap } };
    ssize_t n;
    int rc;

    do
        n = readv(fd, iov, 2);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return failure();
    if (n <= (ssize_t)sizeof h)
        return GH_ERR_SYSTEM;
    n -= (ssize_t)sizeof h;
    if ((size_t)n == cap) /* the kernel cuts without a word */
        return GH_ERR_TOO_LONG;
    rc = of_virtio(&h, ret);
    return rc < 0 ? rc : n;
}

int gh_tun_write(int fd, const struct gh_offload *o, const struct gh_span *pieces, size_t count)
{
    struct virtio_net_hdr h = to_virtio(o);
    struct iovec iov[1 + GH_TUN_PIECES_MAX];
    ssize_t n;

    if (count > GH_TUN_PIECES_MAX)
        return GH_ERR_TOO_LONG;
    iov[0] = (struct iovec){ &h, sizeof h };
    for (size_t i = 0; i < count; i++)
        iov[1 + i] = (struct iovec){ (void *)(uintptr_t)pieces[i].data, pieces[i].len };
    do
        n = writev(fd, iov, (int)count + 1);
    while (n < 0 && errno == EINTR);
    return n < 0 ? failure() : 0;
}
