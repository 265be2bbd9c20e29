/* HTTP/1.1 is what listening stream sockets speak. */
#include "net/http_listener.h"

#include "net/http1_server.h"

static struct gh_http1_server *server_of(struct gh_http_listener *l)
{
    return (struct gh_http1_server *)l;
}

int gh_http_listener_create(struct gh_worker *worker, const struct gh_http_listener_config *config, struct gh_http_handler handler,
                            struct gh_http_listener **ret)
{
    const struct gh_http1_config c = { .connections_max = config->connections_max, .out_max = config->out_max };
    struct gh_http1_server *server;
    int rc = gh_http1_server_create(worker, &c, handler, &server);

    if (rc == 0)
        *ret = (struct gh_http_listener *)server;
    return rc;
}

int gh_http_listener_add(struct gh_http_listener *l, int fd)
{
    return gh_http1_server_listen(server_of(l), fd);
}

void gh_http_listener_destroy(struct gh_http_listener *l)
{
    gh_http1_server_destroy(server_of(l));
}
