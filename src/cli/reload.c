#include "cli/reload.h"

#include "cli/admin_client.h"

#define RELOAD_MS 60000 /* a reload reads files and may compile a large policy */

const char gh_cli_reload_usage[] =
    "reload [--json] [--socket PATH]\n"
    "\n"
    "Reads the configuration and the policy again, as SIGHUP does, and waits for the result. A file with an error\n"
    "changes nothing: every error is listed, and what ran before runs on.\n"
    "\n"
    "example: gatehouse reload && gatehouse status\n"
    "exit codes: 0 the new configuration runs, 1 it has errors, 2 usage, 4 nobody answers, 5 no permission, 75 one is under way";

int gh_cli_reload(const struct gh_cli_verb *verb, int argc, char **argv)
{
    const struct gh_admin_program *program = verb->arg ? verb->arg : &gh_admin_node;
    bool json = gh_cli_take_flag(&argc, argv, "--json");
    const char *socket = gh_cli_take_option(&argc, argv, "--socket");
    struct gh_admin_call call = { .program = program, .socket = socket ? socket : program->socket, .method = "POST",
                                  .path = "/v1/reload", .timeout = RELOAD_MS };
    json_t *answer;
    int code;

    if (argc > 1)
        return gh_cli_usage(verb, "takes no such argument");
    code = gh_admin_client_call(&call, stderr, &answer);
    if (code != GH_EXIT_OK)
        return code;
    if (json)
        code = gh_admin_client_print_json(stdout, answer);
    else
        printf("generation %lld runs\n", gh_admin_client_number(answer, "generation"));
    json_decref(answer);
    return code;
}
