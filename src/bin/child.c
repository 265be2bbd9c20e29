#include "bin/child.h"

#include <malloc.h>
#include <unistd.h>

static int call(void *client, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds, size_t fd_cap, size_t *ret_fd_count)
{
    return gh_priv_call(client, q, ret, ret_fds, fd_cap, ret_fd_count);
}

static int event_fd(void *client)
{
    return gh_priv_event_fd(client);
}

static int event_next(void *client, struct gh_priv_event *ret)
{
    return gh_priv_event_next(client, ret);
}

int gh_bin_run(struct gh_priv_client *c, const char *config_path, const struct gh_service *const *services,
               int (*fn)(const struct gh_run_config *cfg))
{
    struct gh_privileged privileged = { .client = c, .call = call, .event_fd = event_fd, .event_next = event_next };
    const struct gh_run_config cfg = {
        .config_path = config_path, .services = services, .privileged = &privileged, .env = (const char *const *)environ
    };

    /* Blocks of this size, queues of sessions for instance, go back to the system when they are freed, wherever they lie. */
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    return fn(&cfg);
}
