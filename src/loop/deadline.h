/* loop/deadline.h - the next moment that matters, out of many
 *
 * A pairing heap whose links live in the objects: starting and moving a deadline cannot fail. No clock in here: the worker
 * and the simulator say what time it is. Times are int64_t nanoseconds of the monotonic clock.
 */
#ifndef GH_LOOP_DEADLINE_H
#define GH_LOOP_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#define GH_NEVER INT64_MAX

struct gh_deadline {
    int64_t at;
    void (*fire)(void *arg, int64_t now); /* not started any more when called; may start it again or free its owner */
    void *arg;
    struct gh_deadline *child, *next, *prev; /* <prev> is the parent for a first child */
    uint32_t round; /* of gh_deadlines_fire, in which it was started */
    bool started;
};

/* Zeroed: empty. */
struct gh_deadlines {
    struct gh_deadline *root;
    struct gh_deadline *later; /* started by what is fired now */
    uint32_t round;
    bool firing;
};

static inline void gh_deadline_init(struct gh_deadline *d, void (*fire)(void *arg, int64_t now), void *arg)
{
    *d = (struct gh_deadline){ .at = GH_NEVER, .fire = fire, .arg = arg };
}

/* A deadline that is far off may be late, by at most a sixty-fourth of the time until then, so that many that come close to each other are one
 * wake-up. What is less than a second away stays as it is. */
int64_t gh_deadline_lenient(int64_t now, int64_t at);
/* Starts <d>, or moves it when it is started. GH_NEVER stops it. O(log n) amortised. */
void gh_deadline_start(struct gh_deadlines *h, struct gh_deadline *d, int64_t at);
/* Nothing when it is not started. */
void gh_deadline_stop(struct gh_deadlines *h, struct gh_deadline *d);
/* The earliest moment, GH_NEVER when there is none. */
int64_t gh_deadlines_next(const struct gh_deadlines *h);
/* Fires what is due at <now>, earliest first. What is started while it runs waits for the next call when it is due at
 * once, so a deadline that starts itself again cannot hold the worker. */
void gh_deadlines_fire(struct gh_deadlines *h, int64_t now);

#endif
