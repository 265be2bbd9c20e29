#include "proto/quic/keep_alive.h"

int64_t gh_quic_keep_alive_pause(const struct gh_quic_keep_alive *k, int64_t idle_timeout)
{
    int64_t more = k->heard ? k->pause / (k->server ? 8 : 16) : 0, room = (idle_timeout - k->pause) / 4;

    if (idle_timeout && more > room)
        more = room > 0 ? room : 0;
    return k->pause + more;
}
