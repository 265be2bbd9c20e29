/* loop/mailbox.h - a bounded queue of pointers: many threads put, one takes
 *
 * Every slot carries the turn at which it may be written (turn == position) or read (turn == position + 1), so a putter
 * that was interrupted in the middle only holds up what comes behind it. Order is kept per putter.
 */
#ifndef GH_LOOP_MAILBOX_H
#define GH_LOOP_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>

struct gh_ring;

/* <slots> is rounded up to a power of two. */
int gh_ring_create(size_t slots, struct gh_ring **ret);
void gh_ring_destroy(struct gh_ring *r);
size_t gh_ring_slots(const struct gh_ring *r);
/* Any thread. False when it is full. */
bool gh_ring_put(struct gh_ring *r, void *item);
/* One thread. NULL when there is nothing, or the next putter is not done yet. */
void *gh_ring_take(struct gh_ring *r);
/* Any thread: a mark behind everything that was put so far, and (the taker) whether all that is before it was taken. */
size_t gh_ring_mark(const struct gh_ring *r);
bool gh_ring_passed(const struct gh_ring *r, size_t mark);

#endif
