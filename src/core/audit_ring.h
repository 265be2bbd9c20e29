/* core/audit_ring.h - a bounded ring of lines: many threads append, one takes
 *
 * Every slot carries a turn. A slot is free for the append number n when its turn is n, and holds a line for the taker
 * when its turn is n + 1; the taker gives it back as n + capacity. So an append that finds another turn knows that the
 * ring is full, and nobody ever waits. Publish and peek are sequentially consistent: a taker that says that it sleeps and then
 * finds nothing is seen to sleep by whoever publishes after.
 */
#ifndef GH_CORE_AUDIT_RING_H
#define GH_CORE_AUDIT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/audit.h"

struct gh_audit_slot {
    _Atomic size_t turn;
    uint32_t len;
    char line[GH_AUDIT_LINE];
};

struct gh_audit_ring {
    struct gh_audit_slot *slots;
    size_t mask;
    _Alignas(64) _Atomic size_t tail; /* number of the next append */
    _Alignas(64) _Atomic size_t head; /* number of the next line to take; moved by the taker alone */
};

int gh_audit_ring_init(struct gh_audit_ring *r, size_t records);
void gh_audit_ring_fini(struct gh_audit_ring *r);
/* The slot to fill, NULL when the ring is full. <ret> is handed to publish. */
struct gh_audit_slot *gh_audit_ring_claim(struct gh_audit_ring *r, size_t *ret);
void gh_audit_ring_publish(struct gh_audit_slot *slot, size_t number);
/* The oldest line, NULL when there is none yet; it is given back by consume. */
struct gh_audit_slot *gh_audit_ring_peek(struct gh_audit_ring *r);
void gh_audit_ring_consume(struct gh_audit_ring *r);
size_t gh_audit_ring_count(const struct gh_audit_ring *r);

#endif
