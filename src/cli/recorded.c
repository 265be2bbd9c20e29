#include "cli/recorded.h"

#include <stdio.h>
#include <time.h>

#include "cli/cli.h"

/* The relay says which session, an agent which of its connections. */
static const char *whose(const json_t *row, char number[24])
{
    const char *session = gh_admin_client_text(row, "session_id");
    long long connection = gh_admin_client_number(row, "connection");

    if (*session)
        return session;
    if (!connection)
        return "-";
    snprintf(number, 24, "%lld", connection);
    return number;
}

static const char *time_of(long long wall, char ret[32])
{
    time_t t = (time_t)wall;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        snprintf(ret, 32, "%lld", wall);
    return ret;
}

int gh_recorded_show(struct gh_admin_call *call, const char *count, bool json)
{
    char path[64], number[24], when[32];
    json_t *answer;
    const json_t *row;
    size_t i;
    int code;

    snprintf(path, sizeof path, "/v1/trace?limit=%.10s", count);
    call->method = "GET";
    call->path = path;
    code = gh_admin_client_call(call, stderr, &answer);
    if (code != GH_EXIT_OK)
        return code;
    json_array_foreach(json_object_get(answer, "events"), i, row) {
        long long at = gh_admin_client_number(row, "at_ns");

        if (json) {
            json_dumpf(row, stdout, JSON_COMPACT);
        } else {
            printf("%s.%06lldZ worker %lld %-16s ", time_of(at / 1000000000, when), at % 1000000000 / 1000, gh_admin_client_number(row, "worker"),
                   whose(row, number));
            gh_admin_client_print(stdout, gh_admin_client_text(row, "event"), SIZE_MAX, false);
            putchar(' ');
            gh_admin_client_print(stdout, gh_admin_client_text(row, "text"), SIZE_MAX, false);
        }
        putchar('\n');
    }
    json_decref(answer);
    return GH_EXIT_OK;
}
