#include "services/agent/agent_opener.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "services/agent/agent_internal.h"
#include "wire/host_target.h"

struct agent_request {
    struct gh_list node; /* in a->opener.requests */
    struct agent_link *l; /* outlives its streams */
    struct gh_http_stream *stream;
    const struct gh_http_events *events; /* NULL: nobody listens any more */
    void *arg;
    bool udp;
};

static void on_answer(void *arg, struct gh_http_stream *s, const struct gh_http_head *head)
{
    struct agent_request *r = arg;

    if (r->events && r->events->on_answer)
        r->events->on_answer(r->arg, s, head);
}

static void on_body(void *arg, struct gh_http_stream *s, struct gh_span data, bool end)
{
    struct agent_request *r = arg;

    if (r->events && r->events->on_body)
        r->events->on_body(r->arg, s, data, end);
    else if (data.len)
        gh_http_consume(s, data.len);
}

static void on_datagram(void *arg, struct gh_http_stream *s, struct gh_span payload)
{
    struct agent_request *r = arg;

    if (r->events && r->events->on_datagram)
        r->events->on_datagram(r->arg, s, payload);
}

static void on_writable(void *arg, struct gh_http_stream *s)
{
    struct agent_request *r = arg;

    if (r->events && r->events->on_writable)
        r->events->on_writable(r->arg, s);
}

static void on_closed(void *arg, struct gh_http_stream *s, uint64_t code)
{
    struct agent_request *r = arg;
    struct agent_link *l = r->l;

    l->requests--;
    gh_list_unlink(&r->node);
    if (l->state == AGENT_LINK_LEAVING && l->requests == 0)
        gh_worker_deadline_start(l->a->w, &l->timer, gh_worker_now(l->a->w));
    if (r->events)
        r->events->on_closed(r->arg, s, code);
    free(r);
}

static const struct gh_http_events tcp_events = { on_answer, on_body, NULL, on_writable, on_closed };
static const struct gh_http_events udp_events = { on_answer, on_body, on_datagram, on_writable, on_closed };

static int ask(struct agent_request *r, const struct gh_host_target *to)
{
    static const struct gh_http_field capsules = { { (const uint8_t *)"capsule-protocol", 16 }, { (const uint8_t *)"?1", 2 } };
    struct gh_http_head head = { .method = gh_span_str("CONNECT") };
    struct gh_agent_request *relay = &r->l->a->relays[r->l->relay].request;
    char text[1024];
    struct gh_writer w = gh_writer_of(text, sizeof text);

    if (r->udp) {
        gh_host_target_emit_path(&w, to);
        head.protocol = gh_span_str("connect-udp");
        head.scheme = gh_span_str("https");
        head.authority = relay->head.authority;
        head.path = gh_span_of(text, gh_writer_len(&w));
        head.fields = &capsules;
        head.field_count = 1;
    } else {
        gh_host_target_emit_authority(&w, to);
        head.authority = gh_span_of(text, gh_writer_len(&w));
    }
    return w.failed ? GH_ERR_RANGE : agent_carrier_request(r->l, &head, r->udp ? &udp_events : &tcp_events, r, &r->stream);
}

static int open_tunnel(void *self, const struct gh_host_target *to, bool udp, const struct gh_http_events *events, void *arg, struct gh_http_stream **ret)
{
    struct agent *a = self;
    struct agent_request *r;
    int rc;

    if (!a->carrier || a->carrier->state != AGENT_LINK_UP || a->stopping)
        return GH_ERR_STATE;
    r = calloc(1, sizeof *r);
    if (!r)
        return GH_ERR_MEMORY;
    r->l = a->carrier;
    r->udp = udp;
    r->events = events;
    r->arg = arg;
    gh_list_init(&r->node);
    rc = ask(r, to);
    if (rc < 0) {
        free(r);
        return rc;
    }
    gh_list_append(&a->opener.requests, &r->node);
    r->l->requests++;
    a->opener.opened[udp]++;
    *ret = r->stream;
    return 0;
}

static void forget(void *self, struct gh_http_stream *s)
{
    struct agent *a = self;

    gh_list_each(it, &a->opener.requests)
    {
        struct agent_request *r = gh_container_of(it, struct agent_request, node);

        if (r->stream == s) {
            r->events = NULL;
            return;
        }
    }
}

static void watch(void *self, void (*fn)(void *arg), void *arg)
{
    struct agent *a = self;

    a->opener.ready = fn;
    a->opener.ready_arg = arg;
}

void agent_opener_init(struct agent *a)
{
    gh_list_init(&a->opener.requests);
    a->opener.port = (struct gh_port_opener){ open_tunnel, forget, watch, a };
    a->run->opener = &a->opener.port;
}

void agent_opener_ready(struct agent *a)
{
    if (a->opener.ready)
        a->opener.ready(a->opener.ready_arg);
}

void agent_opener_emit_status(const struct agent *a, struct gh_text *t)
{
    unsigned now[2] = { 0, 0 };

    if (!agent_is_proxy(a))
        return;
    gh_list_each(it, (struct gh_list *)(uintptr_t)&a->opener.requests)
        now[gh_container_of(it, struct agent_request, node)->udp]++;
    gh_text_printf(t, ",\"proxied\":{\"tcp\":%u,\"udp\":%u,\"tcp_opened\":%llu,\"udp_opened\":%llu}", now[0], now[1], (unsigned long long)a->opener.opened[0],
                   (unsigned long long)a->opener.opened[1]);
}
