/* ports/tunnel_opener.h - tunnels to single hosts that go out by the agent's connection to its relay
 *
 * The agent offers it when it loads, in agent.mode proxy. Calls and events are on worker 0, between the start and the stop of its services.
 */
#ifndef GH_PORTS_TUNNEL_OPENER_H
#define GH_PORTS_TUNNEL_OPENER_H

#include <stdbool.h>

struct gh_host_target;
struct gh_http_events;
struct gh_http_stream;

struct gh_port_opener {
    /* Asks the relay for a tunnel to <to>: CONNECT, or CONNECT-UDP (RFC 9298) when <udp>; a name goes as it is. The events of <ret> are <events>; they stay the
     * opener's to pass on. 0; GH_ERR_STATE: there is no connection that takes requests now; GH_ERR_FULL: the relay takes no more at a time; and others. */
    int (*open)(void *self, const struct gh_host_target *to, bool udp, const struct gh_http_events *events, void *arg, struct gh_http_stream **ret);
    /* No event of <s> is told any more. It is reset, or ended, by the caller. */
    void (*forget)(void *self, struct gh_http_stream *s);
    /* <fn> is called when a connection begins to take requests. One at a time; NULL: none. */
    void (*watch)(void *self, void (*fn)(void *arg), void *arg);
    void *self;
};

#endif
