/* gatehouse-agent: the client, with a TUN or as a proxy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bin/child.h"
#include "cli/agent.h"
#include "cli/check.h"
#include "cli/config.h"
#include "cli/doctor.h"
#include "core/boot.h"
#include "core/node_conf.h"
#include "core/run.h"
#include "priv/parent.h"
#include "services/agent/agent.h"
#include "services/capture/capture.h"

#define NAME "agent" /* of lock and journal */

static const struct gh_service *const services[] = { &gh_service_agent, &gh_service_capture, NULL };
static const struct gh_conf_section *sections[] = { &gh_conf_section_node, &gh_conf_section_log, &gh_conf_section_audit,
                                                    &gh_conf_section_admin, NULL /* the agent's */, NULL /* capture's */, NULL };

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

static int up(const char *config, const struct gh_boot *boot)
{
    char *path = realpath(config, NULL); /* the parent opens it from a folder of its own */
    char *args[] = { path, NULL };
    struct gh_priv_config cfg = { .name = NAME, .run_dir = boot->run_dir, .uid = boot->uid, .gid = boot->gid, .child_main = child_main, .reload_main = reload_main, .argc = 1, .argv = args };
    int rc;

    if (!path) {
        perror(config);
        return GH_EXIT_CHECK_FAILED;
    }
    rc = gh_priv_run(&cfg);
    free(path);
    return rc;
}

static int cleanup(const char *run_dir)
{
    return gh_priv_cleanup(NAME, run_dir);
}

/* "gatehouse-agent --mode proxy …" is "gatehouse-agent up --mode proxy …". */
static int main_up(const struct gh_cli_verb *verbs, int argc, char **argv)
{
    char **with = calloc((size_t)argc + 2, sizeof *with), up[] = "up";
    int code;

    if (!with)
        return GH_EXIT_TRY_LATER;
    with[0] = argv[0];
    with[1] = up;
    memcpy(with + 2, argv + 1, (size_t)(argc - 1) * sizeof *argv);
    code = gh_cli_main(verbs, argc + 1, with);
    free(with);
    return code;
}

int main(int argc, char **argv)
{
    static const struct gh_cli_agent agent = { sections, up, cleanup };
    static const struct gh_doctor_program doctor = { sections, "/etc/gatehouse/agent.yaml", true };
    static const struct gh_cli_verb verbs[] = {
        { .name = "up", .run_with = gh_cli_agent_up, .summary = "connect, and stay in the foreground", .usage = gh_cli_agent_up_usage, .arg = &agent },
        { .name = "status", .run_with = gh_cli_agent_status, .summary = "what the running agent does", .usage = gh_cli_agent_status_usage, .arg = &agent },
        { .name = "trace", .run_with = gh_cli_agent_trace, .summary = "what the running agent went through", .usage = gh_cli_agent_trace_usage, .arg = &agent },
        { .name = "down", .run_with = gh_cli_agent_down, .summary = "end the running agent", .usage = gh_cli_agent_down_usage, .arg = &agent },
        { .name = "cleanup", .run_with = gh_cli_agent_cleanup, .summary = "put back what a killed agent left", .usage = gh_cli_agent_cleanup_usage, .arg = &agent },
        { .name = "doctor", .run_with = gh_cli_doctor, .summary = "is this machine right for an agent?", .usage = gh_cli_agent_doctor_usage, .arg = &doctor },
        { .name = "config", .run_with = gh_cli_config, .summary = "show the configuration that counts", .usage = gh_cli_agent_config_usage, .arg = sections },
        { .name = "check", .run_with = gh_cli_check_here, .summary = "is a configuration right?", .usage = gh_cli_agent_check_usage, .arg = sections },
        { 0 },
    };

    sections[4] = gh_service_agent.section;
    sections[5] = gh_service_capture.section;
    return argc > 1 && strncmp(argv[1], "--mode", 6) == 0 ? main_up(verbs, argc, argv) : gh_cli_main(verbs, argc, argv);
}
