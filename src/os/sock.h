/* os/sock.h - stream sockets, and addresses as the kernel writes them
 *
 * Every descriptor that these functions make is non-blocking and close-on-exec. Where GH_ERR_SYSTEM is returned, errno says why.
 */
#ifndef GH_OS_SOCK_H
#define GH_OS_SOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/ip_addr.h"
#include "base/span.h"

/* An IPv4 address is always family 4 here, even when an IPv6 socket carries it (::ffff:a.b.c.d). */
struct gh_endpoint {
    struct gh_ip ip; /* family 0: not known, or "any" of both families where something is bound */
    uint16_t port;
    uint32_t scope; /* interface index of a link-local IPv6 address, else 0 */
};

bool gh_endpoint_equals(const struct gh_endpoint *a, const struct gh_endpoint *b);
/* "192.0.2.1:443", "[2001:db8::1]:443", "[fe80::1%2]:443". */
#define GH_ENDPOINT_TEXT 66
const char *gh_endpoint_emit(const struct gh_endpoint *e, char buf[GH_ENDPOINT_TEXT]);

/* For a socket of <family> (AF_INET or AF_INET6, which maps IPv4). Length of the address, or GH_ERR_RANGE. */
int gh_endpoint_to_sockaddr(const struct gh_endpoint *e, int family, struct sockaddr_storage *ret);
/* 0 or GH_ERR_UNSUPPORTED. */
int gh_endpoint_of_sockaddr(const struct sockaddr_storage *addr, struct gh_endpoint *ret);

enum gh_sock_flag { GH_SOCK_REUSEPORT = 1, GH_SOCK_V6ONLY = 2 };

struct gh_credentials {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

/* These return a descriptor, GH_ERR_EXISTS (address in use), GH_ERR_DENIED, GH_ERR_RANGE or GH_ERR_SYSTEM. */
int gh_sock_listen_tcp(const struct gh_endpoint *at, unsigned flags);
/* A socket file that nobody listens on is replaced; <mode> are its permissions (the umask takes from them). */
int gh_sock_listen_unix(const char *path, mode_t mode);
/* The connection goes on in the background: wait until it can be written to, then ask gh_sock_connected. */
int gh_sock_connect_tcp(const struct gh_endpoint *to);
/* The two halves of it: a socket of <family> (4 or 6), and 0 or an error. */
int gh_sock_open_tcp(uint8_t family);
int gh_sock_connect(int fd, const struct gh_endpoint *to);
int gh_sock_connect_unix(const char *path); /* also GH_ERR_NOT_FOUND: nobody listens; GH_ERR_AGAIN: the queue is full */

/* 0, GH_ERR_AGAIN while the attempt goes on, or GH_ERR_SYSTEM with the attempt's errno. */
int gh_sock_connected(int fd);
/* A descriptor, GH_ERR_AGAIN, or GH_ERR_FULL when no descriptor is left. <ret_peer> may be NULL; a unix peer has family 0. */
int gh_sock_accept(int fd, struct gh_endpoint *ret_peer);
int gh_sock_local(int fd, struct gh_endpoint *ret);
int gh_sock_remote(int fd, struct gh_endpoint *ret);
int gh_sock_peer_credentials(int fd, struct gh_credentials *ret);
int gh_sock_set_mark(int fd, uint32_t mark);
int gh_sock_set_nodelay(int fd);
/* A silent peer is asked after <idle> seconds, then every <interval>; after <count> questions without an answer the connection is over. 0: as the
 * system has it, which is two hours mostly. */
int gh_sock_set_keepalive(int fd, int idle, int interval, int count);

/* Count of bytes, GH_ERR_AGAIN, GH_ERR_CLOSED (receive: in order; send: the peer is gone) or GH_ERR_SYSTEM. */
ssize_t gh_sock_receive(int fd, void *buf, size_t cap);
ssize_t gh_sock_send(int fd, struct gh_span data);
/* Urgent data, which is one byte beside the others (RFC 9293, section 3.8.5; RFC 6093). True when what would be received next is behind it. */
bool gh_sock_at_urgent(int fd);
/* The byte, or GH_ERR_AGAIN when there is none. It stays where it was, and the next gh_sock_receive goes past it. */
int gh_sock_receive_urgent(int fd);
/* 0, GH_ERR_AGAIN, GH_ERR_CLOSED or GH_ERR_SYSTEM. */
int gh_sock_send_urgent(int fd, uint8_t byte);
int gh_sock_shutdown_write(int fd);
/* The next close sends a reset instead of what is still queued. */
int gh_sock_reset_on_close(int fd);
void gh_sock_close(int fd); /* accepts -1 */

#endif
