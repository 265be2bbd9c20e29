/* proto/quic/guard.h - a failed assertion inside a library of QUIC or HTTP costs one connection, never the process
 *
 * ngtcp2, nghttp3 and nghttp2 are built with assertions. Programs link with -Wl,--wrap=__assert_fail; every entry into one of them runs
 * between GH_GUARD_ENTER and gh_guard_leave. An assertion that fails meanwhile jumps back to the innermost entry. They
 * keep all their state per connection, so nobody else's is harmed; the memory of the connection is given up, since it cannot be
 * freed safely. An assertion outside an entry ends the process as ever.
 *
 * Rule: code between enter and leave must not hold a resource that a jump would lose, beyond those of the connection.
 */
#ifndef GH_PROTO_QUIC_GUARD_H
#define GH_PROTO_QUIC_GUARD_H

#include <setjmp.h>

struct gh_guard {
    jmp_buf env;
    struct gh_guard *outer;
    char text[160]; /* the assertion: file:line: expression */
    unsigned opened; /* packets that were found authentic since the entry: callbacks for that have no connection */
};

/* The guard that is innermost on this thread, for enter and leave alone. */
struct gh_guard **gh_guard_top(void);

/* True when the entry was left by a failed assertion. */
#define GH_GUARD_ENTER(g) ((g)->outer = *gh_guard_top(), (g)->opened = 0, *gh_guard_top() = (g), setjmp((g)->env) != 0)

void gh_guard_leave(struct gh_guard *g);

#endif
