/* gatehoused - the server; the sections of its configuration decide which services run */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/child.h"
#include "cli/first_start.h"
#include "core/boot.h"
#include "core/run.h"
#include "priv/parent.h"
#include "services/admin/admin.h"
#include "services/door/door.h"
#include "services/relay/relay.h"

#define CONFIG "/etc/gatehouse/gatehouse.yaml"

static const struct gh_service *const services[] = { &gh_service_relay, &gh_service_door, &gh_service_admin, NULL };

static int child_main(struct gh_priv_client *c, int argc, char **argv)
{
    (void)argc;
    return gh_bin_run(c, argv[0], services, gh_run_node);
}

static int reload_main(struct gh_priv_client *c, int argc, char **argv)
{
    (void)argc;
    return gh_bin_run(c, argv[0], services, gh_run_name_files);
}

static int usage(FILE *out, int code)
{
    fputs("usage: gatehoused [-c|--config FILE] [--check]\n"
          "       gatehoused --version\n"
          "\n"
          "  -c, --config FILE  configuration (" CONFIG ")\n"
          "  --check            read it, say everything that is wrong with it, and end\n"
          "  --version          print the release\n"
          "\n"
          "Without any configuration it makes what a door needs in its state folder, and prints the link that clients connect with.\n"
          "\n"
          "Serves in the foreground. SIGHUP reads the configuration again, SIGTERM drains and ends, a second one ends at once, SIGQUIT writes\n"
          "the state to the log.\n"
          "\n"
          "example: gatehoused --config /etc/gatehouse/gatehouse.yaml\n"
          "exit codes: 0 ended as asked, 1 the configuration is bad or something could not be set up, 2 usage, 75 try later\n",
          out);
    return code;
}

int main(int argc, char **argv)
{
    static char name[] = "gatehoused";
    char *config = NULL, *child_argv[2] = { NULL, NULL }, made[GH_FIRST_START_PATH];
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
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return usage(stdout, 0);
        else
            return usage(stderr, 2);
    }
    gh_run_sections(services, sections);
    if (!config && !check && access(CONFIG, F_OK) < 0 && errno == ENOENT) {
        if (gh_first_start(sections, (const char *const *)environ, stdout, made) < 0)
            return 1;
        config = made;
    }
    config = config ? config : (char *)(uintptr_t)CONFIG;
    if (check)
        return gh_run_check(config, services, (const char *const *)environ);
    config = realpath(config, NULL); /* the parent may change its folder */
    if (!config) {
        perror("gatehoused: configuration");
        return 1;
    }
    child_argv[0] = config;
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
