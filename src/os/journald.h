/* os/journald.h - the journal of systemd, by its native protocol
 *
 * A record is one datagram of lines NAME=value. Values here hold no line end; a record longer than a datagram is refused.
 */
#ifndef GH_OS_JOURNALD_H
#define GH_OS_JOURNALD_H

#include <stddef.h>

#define GH_JOURNALD_SOCKET "/run/systemd/journal/socket"

/* A socket that blocks nobody. Descriptor or GH_ERR_SYSTEM (errno). */
int gh_journald_open(const char *path);
/* <priority>: 0 to 7 as in syslog; <identifier>: what `journalctl -t` finds. 0, GH_ERR_AGAIN (the journal is behind), GH_ERR_CLOSED
 * (it was started again: open anew), GH_ERR_TOO_LONG or GH_ERR_SYSTEM. */
int gh_journald_send(int fd, unsigned priority, const char *identifier, const char *message, size_t len);

#endif
