/* services/capture/capture_internal.h - the parts of capture, for the files of this folder
 *
 * Everything lives on worker 0, as the agent's connections do.
 *
 *   ASKING --CONNECT--> WAITING (no connection to the relay, or one that is full) --> REQUESTED --2xx--> OPEN, bytes are the pump's
 *      |  `--ASSOCIATE--> ASSOCIATED: datagrams by capture_udp.c
 *      `--what cannot be done, from any state before OPEN--> ENDING: the last words go out
 */
#ifndef GH_SERVICES_CAPTURE_CAPTURE_INTERNAL_H
#define GH_SERVICES_CAPTURE_CAPTURE_INTERNAL_H

#include "base/list.h"
#include "core/run.h"
#include "loop/worker.h"
#include "net/tunnel_pump.h"
#include "ports/tunnel_opener.h"
#include "services/capture/capture_ask.h"
#include "services/capture/capture_conf.h"

/* Rows of the table in capture.c. */
enum { CAPTURE_METRIC_CONNECTIONS, CAPTURE_METRIC_TUNNELS, CAPTURE_METRIC_REQUESTS, CAPTURE_METRIC_REFUSED, CAPTURE_METRIC_BYTES };
enum { CAPTURE_TCP, CAPTURE_UDP };
enum { CAPTURE_OPENED, CAPTURE_DENIED, CAPTURE_FAILED };            /* requests, by the relay's answer */
enum { CAPTURE_LIMIT, CAPTURE_LOGIN, CAPTURE_PROTOCOL, CAPTURE_LATE }; /* connections that came to nothing */
enum { CAPTURE_OUT, CAPTURE_IN };

struct capture;
struct capture_udp;

enum capture_state { CAPTURE_ASKING, CAPTURE_WAITING, CAPTURE_REQUESTED, CAPTURE_OPEN, CAPTURE_ASSOCIATED, CAPTURE_ENDING };

struct capture_listener {
    struct capture *c;
    int fd;
    struct gh_poll *poll;
    char address[GH_ENDPOINT_TEXT];
};

/* A program's connection. */
struct capture_conn {
    struct gh_list link; /* in c->conns */
    struct gh_list wait; /* in c->waiting */
    struct capture *c;
    enum capture_state state;
    struct gh_byte_stream *io; /* the pump's when OPEN */
    struct gh_capture_ask ask;
    struct gh_capture_request request;
    struct gh_deadline timer;
    uint8_t *early; /* what it sent behind its request */
    size_t early_len;
    struct gh_http_stream *stream; /* REQUESTED, OPEN */
    struct gh_tunnel_pump pump;    /* the same */
    struct capture_udp *udp;       /* ASSOCIATED */
};

struct capture {
    struct gh_run *run;
    struct gh_log *log;
    struct gh_metric_set *metrics;
    const struct gh_port_opener *opener;
    struct gh_capture_login login;
    struct gh_secret user, password; /* what <login> points to */
    unsigned max_connections, max_destinations;
    int64_t ask_timeout, connect_timeout, udp_timeout;
    struct capture_listener listeners[GH_CAPTURE_LISTEN];
    size_t listener_count;

    /* worker 0 */
    struct gh_worker *w;
    _Atomic uint64_t *drops;
    struct gh_list conns, waiting;
    struct gh_list associations; /* struct capture_udp */
    struct gh_deadline retry;    /* while somebody waits */
    struct gh_deadline sweep;    /* of silent destinations */
    struct gh_deadline pause;    /* of accepting, without descriptors */
    unsigned count;
    uint32_t flows;              /* numbers of them, given so far */
    uint8_t *in, *out;           /* one datagram each, with room before it */
};

/* capture_conn.c */
/* Takes <fd> over. */
void capture_conn_accept(struct capture *c, int fd);
/* Cut: what is there of it is gone when this returns. */
void capture_conn_destroy(struct capture_conn *k);
/* Whoever waits tries again. */
void capture_conn_retry(struct capture *c);

/* capture_udp.c: the datagrams of an association. 0 and where to send to; what is there is gone after close. */
int capture_udp_open(struct capture *c, struct gh_byte_stream *control, uint16_t port, struct capture_udp **ret, struct gh_endpoint *ret_at);
void capture_udp_close(struct capture_udp *u);
/* Silent destinations are given up. */
void capture_udp_sweep(struct capture *c, int64_t now);

static inline void capture_count(struct capture *c, unsigned row, unsigned label, int64_t by)
{
    gh_metric_add(c->metrics, 0, row, label, (uint64_t)by);
}

static inline void capture_drop(struct capture *c, enum gh_drop why)
{
    if (why != GH_DROP_NONE)
        gh_counter_add(&c->drops[why], 1);
}

#endif
