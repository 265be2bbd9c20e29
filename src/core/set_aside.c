#include "core/set_aside.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"

#define TRIES 100u

static bool compose(char ret[GH_SET_ASIDE_NAME], const char *path, const char *ending, const char *mark)
{
    int n = snprintf(ret, GH_SET_ASIDE_NAME, "%s%s%s", path, mark, ending);

    return n > 0 && n < (int)GH_SET_ASIDE_NAME;
}

static int move(const char *path, const char *ending, const char *mark)
{
    char from[GH_SET_ASIDE_NAME], to[GH_SET_ASIDE_NAME];

    if (!compose(from, path, ending, "") || !compose(to, path, ending, mark))
        return GH_ERR_TOO_LONG;
    return rename(from, to) == 0 || errno == ENOENT ? 0 : GH_ERR_SYSTEM;
}

int gh_set_aside(const char *path, const char *const *endings, size_t count, int64_t wall, char ret_name[GH_SET_ASIDE_NAME])
{
    time_t when = (time_t)wall;
    struct tm tm;
    char mark[64], name[GH_SET_ASIDE_NAME];
    size_t len;
    int rc;

    if (!gmtime_r(&when, &tm))
        return GH_ERR_SYSTEM;
    len = strftime(mark, sizeof mark, ".damaged-%Y%m%dT%H%M%SZ", &tm);
    for (unsigned i = 1; i <= TRIES; i++) {
        if (i > 1)
            snprintf(mark + len, sizeof mark - len, "-%u", i);
        if (!compose(name, path, "", mark))
            return GH_ERR_TOO_LONG;
        if (access(name, F_OK) != 0)
            break;
    }
    /* what belongs to the file goes first: it must never be taken for a part of the new one */
    rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = move(path, endings[i], mark);
    if (rc == 0)
        rc = move(path, "", mark);
    if (rc == 0)
        snprintf(ret_name, GH_SET_ASIDE_NAME, "%s", name);
    return rc;
}
