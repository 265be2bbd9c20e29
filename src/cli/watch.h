/* cli/watch.h - a verb that shows something again and again (--watch [SECONDS]) until Ctrl-C */
#ifndef GH_CLI_WATCH_H
#define GH_CLI_WATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define GH_WATCH_SECONDS 2u
#define GH_WATCH_MAX 3600u

/* Writes one picture to <out>; an exit code. */
typedef int (*gh_watch_fn)(void *arg, FILE *out);

/* Takes "--watch", "--watch 5" or "--watch=5" out of the arguments. Pause in seconds, 0 when it is not there, -1 when the pause is no number
 * from 1 to GH_WATCH_MAX. */
int gh_watch_take(int *argc, char **argv);
/* Shows a picture every <seconds>: in place on a terminal, else one after the other with an empty line between. A first picture that fails
 * ends it with its code; later ones say so and are tried again. SIGINT, SIGTERM or an output that is gone end it with 0.
 * <seconds> 0: one picture, its code. */
int gh_watch_run(int seconds, gh_watch_fn fn, void *arg, FILE *out);

/* What a path's round-trip time and loss are called on a screen: "-" when nothing is known. */
void gh_watch_emit_rtt(char *ret, size_t cap, long long microseconds);
void gh_watch_emit_loss(char *ret, size_t cap, long long sent, long long lost);

#endif
