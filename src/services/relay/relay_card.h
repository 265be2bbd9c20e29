/* services/relay/relay_card.h - what an operator sees of a session */
#ifndef GH_SERVICES_RELAY_RELAY_CARD_H
#define GH_SERVICES_RELAY_RELAY_CARD_H

#include <stdatomic.h>

#include "base/ip_addr.h"
#include "base/list.h"
#include "ports/session_directory.h"
#include "services/relay/directory.h"

#define RELAY_NAME_MAX 129u

/* Of the connection that carries a session, as its worker saw it a moment ago. */
struct relay_path {
    _Atomic uint32_t rtt_us, mtu, udp_payload;
    _Atomic uint64_t sent, lost; /* datagrams */
};

/* What an operator sees of a session. */
struct relay_card {
    struct gh_list link;
    char id[17], name[RELAY_NAME_MAX];
    struct gh_ip peer;
    uint16_t peer_port;
    struct gh_prefix addresses[2];
    size_t address_count;
    unsigned worker;
    struct gh_session_handle handle;
    int64_t since;
    struct relay_path path;
};

#endif
