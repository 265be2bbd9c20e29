#include "net/http_capsule.h"

#include <strings.h>

#include "base/error.h"
#include "wire/capsule.h"

bool gh_http_capsule_is_used(struct gh_span protocol)
{
    static const char websocket[] = "websocket";

    return protocol.len > 0 && !(protocol.len == sizeof websocket - 1 && strncasecmp((const char *)protocol.data, websocket, protocol.len) == 0);
}

int gh_http_capsule_send_datagram(struct gh_http_stream *s, struct gh_span payload, size_t queued)
{
    uint8_t buf[GH_CAPSULE_HEAD_MAX + GH_HTTP_CAPSULE_DATAGRAM_MAX];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    if (payload.len > GH_HTTP_CAPSULE_DATAGRAM_MAX)
        return GH_ERR_TOO_LONG;
    if (queued + payload.len > GH_HTTP_CAPSULE_QUEUE)
        return GH_ERR_AGAIN;
    gh_capsule_emit(&w, GH_CAPSULE_DATAGRAM, payload);
    return gh_http_send(s, gh_span_of(buf, gh_writer_len(&w)), false);
}
