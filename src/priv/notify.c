#include "priv/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

static int send_text(const char *socket_name, const char *text, size_t text_len)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t len = strlen(socket_name);
    ssize_t n;
    int fd;

    if ((socket_name[0] != '/' && socket_name[0] != '@') || len < 2 || len >= sizeof to.sun_path)
        return GH_ERR_RANGE;
    memcpy(to.sun_path, socket_name, len);
    if (socket_name[0] == '@')
        to.sun_path[0] = 0; /* an abstract name: no NUL at its end */
    else
        len++;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return GH_ERR_SYSTEM;
    n = sendto(fd, text, text_len, MSG_NOSIGNAL, (const struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
    return n == (ssize_t)text_len ? 0 : GH_ERR_SYSTEM;
}

int gh_notify_send(const char *socket, const struct gh_priv_notify *n, long long now_us)
{
    static const char *const states[GH_PRIV_STATE_COUNT] = { "READY=1\n", "RELOADING=1\n", "STOPPING=1\n", "", "WATCHDOG=1\n" };
    char text[GH_PRIV_TEXT + 128];
    int len;

    if (!socket || !socket[0])
        return 0;
    if (n->state >= GH_PRIV_STATE_COUNT)
        return GH_ERR_RANGE;
    len = snprintf(text, sizeof text, "%s", states[n->state]);
    if (n->state == GH_PRIV_RELOADING)
        len += snprintf(text + len, sizeof text - (size_t)len, "MONOTONIC_USEC=%lld\n", now_us);
    if (n->text[0])
        len += snprintf(text + len, sizeof text - (size_t)len, "STATUS=%s\n", n->text);
    return send_text(socket, text, (size_t)len);
}
