/* proto/forward/forward_admit.h - inside the forwarding engine: does a packet have or get a flow? */
#ifndef GH_PROTO_FORWARD_ADMIT_H
#define GH_PROTO_FORWARD_ADMIT_H

#include "proto/forward/forward.h"

struct gh_forward_admission {
    struct gh_flow *flow; /* NULL: passes without one (an ICMP error) */
    bool deny_icmp;
};

/* GH_DROP_NONE: may pass. <data> is the packet that <p> was read from. */
enum gh_drop gh_forward_admit(struct gh_forward *fw, struct gh_forward_session *s, const struct gh_forward_clock *clock,
                              enum gh_direction d, const uint8_t *data, const struct gh_ip_packet *p, struct gh_forward_admission *ret);
void gh_forward_close_flow(struct gh_forward *fw, struct gh_flow *f, enum gh_flow_end why);
/* Decides a flow again when its policy is old, its rule expired, or <always>; cuts it when denied. False: it is gone. */
bool gh_forward_confirm_flow(struct gh_forward *fw, struct gh_flow *f, const struct gh_forward_clock *clock, bool always);

#endif
