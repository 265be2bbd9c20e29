/* cli/policy_output.h - the answers of `gatehouse policy`, for people and as JSON */
#ifndef GH_CLI_POLICY_OUTPUT_H
#define GH_CLI_POLICY_OUTPUT_H

#include <jansson.h>

#include "policy/policy.h"

#define GH_CLI_POLICY_FORMAT 1 /* "format" of every JSON answer; counts up when a field changes its meaning */

/* One JSON object and a new line; takes the reference. 0 or 1, the exit code when it could not be made or written. */
int gh_cli_policy_print_json(json_t *o);
/* An array of { line, col, severity, text }. NULL without memory. */
json_t *gh_cli_policy_findings_json(const struct gh_policy_findings *f);
/* To stderr, one line each. */
void gh_cli_policy_print_findings(const struct gh_policy_findings *f, const char *file);
json_t *gh_cli_policy_query_json(const struct gh_policy_query *q, const char *client);
json_t *gh_cli_policy_verdict_json(const struct gh_policy_verdict *v);
json_t *gh_cli_policy_rule_json(const struct gh_policy_rule *r);
/* "client-1 out, to 1.1.1.1, udp port 53"; returns <buf>. */
const char *gh_cli_policy_query_emit(const struct gh_policy_query *q, const char *client, char *buf, size_t size);
/* "deny by rule 'rest' (policy.yaml:9:9)"; returns <buf>. */
const char *gh_cli_policy_verdict_emit(const struct gh_policy_verdict *v, const char *file, char *buf, size_t size);

#endif
