#include "cli/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

static int read_seconds(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    return end != text && *end == 0 && n >= 1 && n <= (long)GH_WATCH_MAX ? (int)n : -1;
}

int gh_watch_take(int *argc, char **argv)
{
    const char *value;

    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--watch", 7) != 0 || (argv[i][7] != 0 && argv[i][7] != '='))
            continue;
        if (argv[i][7] == 0 && (i + 1 == *argc || argv[i + 1][0] < '0' || argv[i + 1][0] > '9')) {
            gh_cli_take_flag(argc, argv, "--watch");
            return (int)GH_WATCH_SECONDS;
        }
        value = gh_cli_take_option(argc, argv, "--watch");
        return value ? read_seconds(value) : -1;
    }
    return 0;
}

/* Over what was there, without a moment in which the screen is empty. */
static void redraw(FILE *out, const char *picture)
{
    fputs("\033[H", out);
    for (; *picture; picture++) {
        if (*picture == '\n')
            fputs("\033[K", out);
        fputc(*picture, out);
    }
    fputs("\033[J", out);
}

static int show(gh_watch_fn fn, void *arg, FILE *out, bool terminal, bool first)
{
    char *picture = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&picture, &len);
    int code;

    if (!memory)
        return GH_EXIT_TRY_LATER;
    code = fn(arg, memory);
    if (fclose(memory) != 0)
        code = GH_EXIT_TRY_LATER;
    if (picture && len > 0) {
        if (terminal)
            redraw(out, picture);
        else
            fprintf(out, "%s%s", first ? "" : "\n", picture);
    }
    free(picture);
    return code;
}

/* True when it is time for the next picture. */
static bool sleep_unless(const sigset_t *end, int seconds)
{
    const struct timespec pause = { seconds, 0 };
    int rc;

    do
        rc = sigtimedwait(end, NULL, &pause);
    while (rc < 0 && errno == EINTR);
    return rc < 0;
}

int gh_watch_run(int seconds, gh_watch_fn fn, void *arg, FILE *out)
{
    bool terminal = isatty(fileno(out)), first = true;
    sigset_t end, before;
    int code;

    if (seconds == 0)
        return fn(arg, out);
    sigemptyset(&end);
    sigaddset(&end, SIGINT);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &end, &before);
    if (terminal)
        fputs("\033[2J", out);
    do {
        code = show(fn, arg, out, terminal, first);
        if (!first || code == GH_EXIT_OK || code == GH_EXIT_TRY_LATER)
            code = GH_EXIT_OK;
        first = false;
    } while (code == GH_EXIT_OK && fflush(out) == 0 && !ferror(out) && sleep_unless(&end, seconds));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

void gh_watch_emit_rtt(char *ret, size_t cap, long long microseconds)
{
    if (microseconds <= 0)
        snprintf(ret, cap, "-");
    else
        snprintf(ret, cap, "%lld.%lld ms", microseconds / 1000, microseconds / 100 % 10);
}

void gh_watch_emit_loss(char *ret, size_t cap, long long sent, long long lost)
{
    if (sent <= 0)
        snprintf(ret, cap, "-");
    else
        snprintf(ret, cap, "%.2f %%", 100.0 * (double)lost / (double)sent);
}
