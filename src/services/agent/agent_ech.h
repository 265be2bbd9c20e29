/* services/agent/agent_ech.h - which ECHConfigList hellos are encrypted to: the configured one, and what servers told instead of it
 *
 * The last two are kept, as a text too, so that they outlive the process. A list comes with a rejection, or over a tunnel, where the relay says what it
 * announces. The newest is tried first, the older one when that is refused. No clock, no memory of its own.
 */
#ifndef GH_SERVICES_AGENT_AGENT_ECH_H
#define GH_SERVICES_AGENT_AGENT_ECH_H

#include "core/text.h"
#include "crypto/ech.h"

struct gh_agent_ech_list {
    uint8_t bytes[GH_ECH_LIST_MAX];
    size_t len;
};

struct gh_agent_ech {
    struct gh_agent_ech_list configured, lists[2]; /* <lists>: the newest first */
    size_t count, at;                              /* of <lists>; the one that is used */
    uint64_t turn;                                 /* counts changes of what is used */
};

/* <configured> may be empty: no ECH. When it is another one than before, what was learned is forgotten. All zero is an object without a list. */
void gh_agent_ech_set(struct gh_agent_ech *e, struct gh_span configured);
/* What to encrypt to now; empty: no ECH. */
struct gh_span gh_agent_ech_now(const struct gh_agent_ech *e);
/* A server did not open what was encrypted when e->turn was <turn>; <retry> is the list that it told instead, when it is believed, else empty. True
 * when there is something else to try now. */
bool gh_agent_ech_rejected(struct gh_agent_ech *e, uint64_t turn, struct gh_span retry);
/* The relay of a tunnel that works announces <list>. True when the lists are others now, or in another order: they want to be kept. */
bool gh_agent_ech_told(struct gh_agent_ech *e, struct gh_span list);
/* Nobody has answered, as where a hello that does not open meets silence: the other list is next. */
void gh_agent_ech_unanswered(struct gh_agent_ech *e);

#define GH_AGENT_ECH_KEPT 8192u /* bytes of the text at most */

void gh_agent_ech_emit(const struct gh_agent_ech *e, struct gh_text *ret);
/* After gh_agent_ech_set: what was learned while the configured list was the same. True when there was something; else nothing changed. */
bool gh_agent_ech_restore(struct gh_agent_ech *e, struct gh_span text);

#endif
