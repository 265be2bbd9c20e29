/* gatehoused - the server; the sections of its configuration decide which services run */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/boot.h"
#include "core/run.h"
#include "priv/parent.h"
#include "services/admin/admin.h"
#include "services/relay/relay.h"

static const struct gh_service *const services[] = { &gh_service_relay, &gh_service_admin, NULL };

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

static int run(struct gh_priv_client *c, char **argv, int (*fn)(const struct gh_run_config *cfg))
{
    struct gh_privileged privileged = { .client = c, .call = call, .event_fd = event_fd, .event_next = event_next };
    const struct gh_run_config cfg = {
        .config_path = argv[0], .services = services, .privileged = &privileged, .env = (const char *const *)environ
    };

    return fn(&cfg);
}

static int child_main(struct gh_priv_client *c, int argc, char **argv)
{
    (void)argc;
    return run(c, argv, gh_run_node);
}

static int reload_main(struct gh_priv_client *c, int argc, char **argv)
{
    (void)argc;
    return run(c, argv, gh_run_name_files);
}

static int usage(FILE *out, int code)
{
    fputs("usage: gatehoused [-c FILE] [--check] [--version]\n"
          "\n"
          "  -c, --config FILE   configuration (default /etc/gatehouse/gatehouse.yaml)\n"
          "      --check         read it, say everything that is wrong with it, and end\n"
          "      --version\n"
          "\n"
          "example: gatehoused --config examples/relay.yaml\n",
          out);
    return code;
}

int main(int argc, char **argv)
{
    static char name[] = "gatehoused";
    char *config = (char *)(uintptr_t) "/etc/gatehouse/gatehouse.yaml", *child_argv[2] = { NULL, NULL };
    struct gh_priv_config cfg = { .name = name, .child_main = child_main, .reload_main = reload_main, .argc = 1, .argv = child_argv };
    const struct gh_conf_section *sections[GH_RUN_SECTIONS];
    struct gh_boot boot;
    bool check = false;
    int rc;

    for (int i = 1; i < argc; i++) {
        if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) && i + 1 < argc)
            config = argv[++i];
        else if (strncmp(argv[i], "--config=", 9) == 0)
            config = argv[i] + 9;
        else if (strcmp(argv[i], "--check") == 0)
            check = true;
        else if (strcmp(argv[i], "--version") == 0)
            return printf("gatehoused %s\n", GH_VERSION) < 0;
        else if (strcmp(argv[i], "--help") == 0)
            return usage(stdout, 0);
        else
            return usage(stderr, 2);
    }
    if (check)
        return gh_run_check(config, services, (const char *const *)environ);
    config = realpath(config, NULL); /* the parent may change its folder */
    if (!config) {
        perror("gatehoused: configuration");
        return 1;
    }
    child_argv[0] = config;
    gh_run_sections(services, sections);
    rc = gh_boot_read(config, sections, (const char *const *)environ, &boot);
    if (rc < 0) {
        free(config);
        return 1;
    }
    cfg.run_dir = boot.run_dir;
    cfg.uid = boot.uid;
    cfg.gid = boot.gid;
    rc = gh_priv_run(&cfg);
    free(config);
    if (rc < 0)
        fprintf(stderr, "gatehoused: %s\n", rc == GH_ERR_EXISTS ? "a relay is running already" : rc == GH_ERR_DENIED ? "it needs root" : gh_error_text(rc));
    return rc < 0 ? 1 : rc;
}
