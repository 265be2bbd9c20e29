/* cli/admin_client.h - asking a running node or agent over its admin socket, for verbs
 *
 * A verb gives its own words; what goes wrong is said on <err> with what to do about it, and comes back as an exit code.
 */
#ifndef GH_CLI_ADMIN_CLIENT_H
#define GH_CLI_ADMIN_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Whom a verb talks to: the <arg> of its row in the table of verbs; NULL there means gh_admin_node. */
struct gh_admin_program {
    const char *name;       /* of the command, first word of its messages */
    const char *socket;     /* when --socket is not given */
    const char *start_hint; /* what to do when nobody answers */
};

extern const struct gh_admin_program gh_admin_node;  /* gatehoused, /run/gatehouse/admin.sock */
extern const struct gh_admin_program gh_admin_agent; /* gatehouse-agent, /run/gatehouse/agent.sock */

struct gh_admin_call {
    const struct gh_admin_program *program;
    const char *socket;
    const char *method, *path;
    unsigned timeout; /* ms; 0: 5000 */
};

/* GH_EXIT_OK, and the answer's JSON in <ret>, which the caller decrefs. Else a message on <err> and: GH_EXIT_UNREACHABLE;
 * GH_EXIT_DENIED (no permission on the socket, 403); GH_EXIT_TRY_LATER (409, 503); GH_EXIT_CHECK_FAILED (what else the
 * node refused). */
int gh_admin_client_call(const struct gh_admin_call *call, FILE *err, json_t **ret);

/* Writes <text> without bytes that a terminal would obey; cut at <max> columns, padded when <pad>. */
void gh_admin_client_print(FILE *out, const char *text, size_t max, bool pad);
/* One JSON document for --json. An exit code. */
int gh_admin_client_print_json(FILE *out, const json_t *value);
/* A string member, "" when it is not there; an integer, 0 then. */
const char *gh_admin_client_text(const json_t *object, const char *key);
long long gh_admin_client_number(const json_t *object, const char *key);

#endif
