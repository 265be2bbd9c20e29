/* priv/notify.h - telling systemd how the service is, by the documented datagram protocol of $NOTIFY_SOCKET (sd_notify(3)) */
#ifndef GH_PRIV_NOTIFY_H
#define GH_PRIV_NOTIFY_H

#include "priv/request.h"

/* <socket>: the value of $NOTIFY_SOCKET, a path or "@name"; NULL or "": there is no manager, which is no error. <now_us> is
 * the monotonic clock in microseconds. 0, GH_ERR_RANGE or GH_ERR_SYSTEM. */
int gh_notify_send(const char *socket, const struct gh_priv_notify *n, long long now_us);

#endif
