#include "proto/quic/silence.h"

#define STEADY 16u /* probes before pauses double */
#define DOUBLINGS 16u

void gh_quic_silence_on_sent(struct gh_quic_silence *s, int64_t now)
{
    if (s->outstanding++ == 0)
        s->since = now;
}

void gh_quic_silence_on_told(struct gh_quic_silence *s, int64_t now)
{
    if (s->outstanding)
        s->outstanding--;
    s->since = now;
    s->asked = 0;
    s->probes = 0;
}

void gh_quic_silence_on_probe(struct gh_quic_silence *s, int64_t now)
{
    s->asked = now;
    s->probes++;
}

int64_t gh_quic_silence_deadline(const struct gh_quic_silence *s, int64_t interval)
{
    unsigned doublings = s->probes < STEADY ? 0 : s->probes - STEADY;

    if (s->outstanding == 0 || interval == 0)
        return INT64_MAX;
    if (doublings > DOUBLINGS)
        doublings = DOUBLINGS;
    return (s->asked > s->since ? s->asked : s->since) + (interval << doublings);
}
