#include "cli/admin_client.h"

#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "net/http1_client.h"

const struct gh_admin_program gh_admin_node = {
    "gatehouse", "/run/gatehouse/admin.sock", "is gatehoused running? see: systemctl status gatehouse",
};
const struct gh_admin_program gh_admin_agent = {
    "gatehouse-agent", "/run/gatehouse/agent.sock", "is the agent running? start it with: gatehouse-agent up",
};

static int explain_failure(const struct gh_admin_call *call, int rc, FILE *err)
{
    const char *name = call->program->name;

    switch (rc) {
    case GH_ERR_DENIED:
        fprintf(err, "%s: no permission to use %s\n  try again as root, or as the user that the service runs as\n", name, call->socket);
        return GH_EXIT_DENIED;
    case GH_ERR_NOT_FOUND:
        fprintf(err, "%s: nobody to ask: %s does not exist\n", name, call->socket);
        break;
    case GH_ERR_CLOSED:
        fprintf(err, "%s: nobody answers at %s\n", name, call->socket);
        break;
    case GH_ERR_TIMEOUT:
        fprintf(err, "%s: no answer in time at %s\n", name, call->socket);
        break;
    case GH_ERR_PROTOCOL:
        fprintf(err, "%s: what answers at %s is not an admin socket\n", name, call->socket);
        break;
    default:
        fprintf(err, "%s: cannot ask %s: %s\n", name, call->socket, gh_error_text(rc));
        break;
    }
    fprintf(err, "  %s\n  another socket: --socket PATH\n", call->program->start_hint);
    return GH_EXIT_UNREACHABLE;
}

static int explain_refusal(const struct gh_admin_call *call, unsigned status, const json_t *body, FILE *err)
{
    const char *detail = gh_admin_client_text(body, "detail"), *hint = gh_admin_client_text(body, "hint");

    fprintf(err, "%s: ", call->program->name);
    if (*detail)
        gh_admin_client_print(err, detail, SIZE_MAX, false);
    else
        fprintf(err, "the node answered %u", status);
    fputc('\n', err);
    if (*hint) {
        fputs("  ", err);
        gh_admin_client_print(err, hint, SIZE_MAX, false);
        fputc('\n', err);
    }
    if (status == 401 || status == 403)
        return GH_EXIT_DENIED;
    return status == 409 || status == 503 ? GH_EXIT_TRY_LATER : GH_EXIT_CHECK_FAILED;
}

int gh_admin_client_call(const struct gh_admin_call *call, FILE *err, json_t **ret)
{
    struct gh_http1_target to = { .unix_path = call->socket };
    struct gh_http1_call request = { .method = call->method, .path = call->path, .timeout = call->timeout };
    struct gh_http1_answer answer = { 0 };
    json_t *body;
    int rc = gh_http1_client_call(&to, &request, &answer);

    if (rc < 0)
        return explain_failure(call, rc, err);
    body = json_loadb(answer.body, answer.body_len, 0, NULL);
    gh_http1_answer_fini(&answer);
    if (answer.status >= 200 && answer.status < 300) {
        if (!json_is_object(body)) {
            json_decref(body);
            return explain_failure(call, GH_ERR_PROTOCOL, err);
        }
        *ret = body;
        return GH_EXIT_OK;
    }
    rc = explain_refusal(call, answer.status, body, err);
    json_decref(body);
    return rc;
}

/* Names come from peers: an escape sequence in one must not move the operator's cursor. */
void gh_admin_client_print(FILE *out, const char *text, size_t max, bool pad)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t columns = 0;

    for (; *p && columns < max; columns++) {
        if ((p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) || p[0] < 0x20 || p[0] == 0x7f) { /* C1, C0, DEL */
            fputc(*p == '\n' && !pad ? '\n' : '?', out);
            p += p[0] == 0xc2 ? 2 : 1;
            continue;
        }
        do
            fputc(*p++, out);
        while ((*p & 0xc0) == 0x80); /* the rest of a character of UTF-8 */
    }
    for (; pad && columns < max; columns++)
        fputc(' ', out);
}

int gh_admin_client_print_json(FILE *out, const json_t *value)
{
    if (json_dumpf(value, out, JSON_INDENT(2)) < 0 || fputc('\n', out) == EOF)
        return GH_EXIT_TRY_LATER;
    return GH_EXIT_OK;
}

const char *gh_admin_client_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

long long gh_admin_client_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}
