#include "cli/config.h"

#include <string.h>
#include <unistd.h>

#include "core/conf.h"

#define USAGE                                                                                                            \
    "config show --effective [--json] FILE\n"                                                                            \
    "       config man\n\n"                                                                                              \
    "  show --effective   prints every option with the value that counts and where it comes from; secrets are not shown\n" \
    "  man                prints all options in the form of a manual page\n"                                             \
    "  --json             as JSON\n\n"
#define CODES "exit codes: 0 done, 1 the file has errors, 2 usage"

const char gh_cli_config_usage[] = USAGE "example: gatehouse config show --effective /etc/gatehouse/gatehouse.yaml\n" CODES;
const char gh_cli_agent_config_usage[] = USAGE "example: gatehouse-agent config show --effective /etc/gatehouse/agent.yaml\n" CODES;

static int show(const char *path, bool json, const struct gh_conf_section *const *sections)
{
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_text out;
    int rc;

    gh_conf_errors_init(&errors);
    gh_text_init(&out, 16u << 20);
    rc = gh_conf_parse_file(path, sections, (const char *const *)environ, &errors, &conf);
    if (rc == 0)
        rc = gh_conf_emit_effective(conf, json, &out);
    else
        gh_conf_errors_emit(&errors, &out);
    fputs(gh_text_string(&out), rc == 0 ? stdout : stderr);
    gh_text_fini(&out);
    gh_conf_destroy(conf);
    gh_conf_errors_fini(&errors);
    return rc == 0 ? GH_EXIT_OK : GH_EXIT_CHECK_FAILED;
}

int gh_cli_config(const struct gh_cli_verb *verb, int argc, char **argv)
{
    const struct gh_conf_section *const *sections = verb->arg;
    bool json = gh_cli_take_flag(&argc, argv, "--json"), effective = gh_cli_take_flag(&argc, argv, "--effective");

    if (argc == 2 && strcmp(argv[1], "man") == 0) {
        gh_conf_emit_man(sections, stdout);
        return GH_EXIT_OK;
    }
    if (argc < 2 || strcmp(argv[1], "show") != 0)
        return gh_cli_usage(verb, "say what to do: show or man");
    if (!effective)
        return gh_cli_usage(verb, "show needs --effective");
    if (argc != 3 || argv[2][0] == '-')
        return gh_cli_usage(verb, "show takes one file");
    return show(argv[2], json, sections);
}
