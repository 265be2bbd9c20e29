/* services/agent/agent_ech.h - which ECHConfigList hellos are encrypted to: the configured one, and what servers told instead of it
 *
 * The last two are kept. No clock, no memory of its own.
 */
#ifndef GH_SERVICES_AGENT_AGENT_ECH_H
#define GH_SERVICES_AGENT_AGENT_ECH_H

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

#endif
