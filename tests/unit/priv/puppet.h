/* tests/unit/priv/puppet.h - a parent whose child does what the test says
 *
 *     test ── fork ──> parent (gh_priv_run) ── fork ──> child: connects back and obeys
 *
 * The child has closed every descriptor that it inherited, so it connects to an abstract socket of the test.
 */
#ifndef GH_TEST_PUPPET_H
#define GH_TEST_PUPPET_H

#include <sys/types.h>

#include "priv/client.h"
#include "priv/parent.h"

enum puppet_op {
    PUPPET_CALL,   /* make <request>; descriptors that come are numbered from 0 on */
    PUPPET_ROUTES, /* gh_priv_routes_set of <number> routes 10.<i / 250>.<i % 250>.0/24 of device <text> */
    PUPPET_READ,   /* read from descriptor <number>, at most sizeof text, without waiting */
    PUPPET_SEND_JUNK, /* a message of another size on the request channel */
    PUPPET_RIGHTS, /* rc: 1 when it has a capability or may gain one, or is not user <number> */
    PUPPET_CRASH,  /* SIGKILL itself */
    PUPPET_EXIT,   /* with code <number> */
};

struct puppet_order {
    enum puppet_op op;
    int number;
    char text[64];
    struct gh_priv_request request;
};

struct puppet_report {
    bool is_event;
    pid_t pid;
    int rc;
    struct gh_priv_reply reply;
    size_t fd_count;
    struct gh_priv_event event;
    char text[64]; /* what was read, or the first bytes of the file that came with the event */
};

struct puppet {
    int listener, link; /* <link>: to the child that lives now */
    pid_t parent, child;
    char dir[64]; /* run folder and other files */
    struct gh_priv_config cfg;
    char address[32];
    char *argv[2];
};

void puppet_open(struct puppet *p, int (*reload_main)(struct gh_priv_client *c, int argc, char **argv));
void puppet_start(struct puppet *p); /* forks the parent, waits for the child */
void puppet_meet(struct puppet *p);  /* waits for the next child */
void puppet_order(struct puppet *p, const struct puppet_order *o);
/* The next report; fails the test when there is none within 10 s. */
void puppet_hear(struct puppet *p, struct puppet_report *ret);
/* Order and report; events that come in between are lost. */
void puppet_do(struct puppet *p, const struct puppet_order *o, struct puppet_report *ret);
/* The reply's rc. */
int puppet_call(struct puppet *p, const struct gh_priv_request *q);
/* Waits until the child's end of the link closes, and closes ours. */
void puppet_part(struct puppet *p);
/* Exit code of the parent, or 1000 + signal. */
int puppet_wait(struct puppet *p);
void puppet_close(struct puppet *p); /* kills what lives, removes the folder */

struct gh_priv_request puppet_request(enum gh_priv_kind kind);
struct gh_priv_request puppet_path(enum gh_priv_kind kind, const struct puppet *p, const char *name);

#endif
