/* tests/fuzz/capture/capture_fuzz.c - what a local program may say to the proxy, whole and in pieces: both must come to the same
 *
 * The first byte says how long the pieces are and whether a login is asked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/capture/capture_ask.h"

struct outcome {
    int rc;
    struct gh_capture_request request;
    uint8_t said[8 * GH_CAPTURE_SAID];
    size_t said_len, taken;
};

static void require(bool right)
{
    if (!right)
        abort();
}

static void feed(struct outcome *o, const struct gh_capture_login *login, const uint8_t *data, size_t size, size_t piece)
{
    struct gh_capture_ask ask;

    memset(o, 0, sizeof *o);
    gh_capture_ask_init(&ask, login);
    while (o->rc == 0 && o->taken < size) {
        struct gh_span in = gh_span_of(data + o->taken, size - o->taken < piece ? size - o->taken : piece);
        uint8_t buf[GH_CAPTURE_SAID];
        struct gh_writer out = gh_writer_of(buf, sizeof buf);
        size_t before = in.len;

        o->rc = gh_capture_ask_feed(&ask, &in, &out, &o->request);
        require(!out.failed && o->said_len + gh_writer_len(&out) <= sizeof o->said);
        memcpy(o->said + o->said_len, buf, gh_writer_len(&out));
        o->said_len += gh_writer_len(&out);
        o->taken += before - in.len;
        require(o->rc != 0 || in.len == 0);
    }
    if (o->rc > 0) {
        char path[1024];
        struct gh_writer w = gh_writer_of(path, sizeof path);
        struct gh_host_target again;

        require(o->request.associate || o->request.to.port != 0);
        if (!o->request.associate) { /* what was understood can be asked for */
            gh_host_target_emit_path(&w, &o->request.to);
            require(!w.failed && gh_host_target_of_path(gh_span_of(path, gh_writer_len(&w)), &again) == 0);
            require(again.port == o->request.to.port && gh_ip_equals(&again.ip, &o->request.to.ip));
        }
    }
    gh_capture_ask_fini(&ask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct gh_capture_login logins[2] = { { { NULL, 0 }, { NULL, 0 } },
                                                       { { (const uint8_t *)"ann", 3 }, { (const uint8_t *)"secret", 6 } } };
    static struct outcome whole, pieces;
    char value[GH_PROXY_STATUS_VALUE] = "";

    if (size < 1)
        return 0;
    feed(&whole, &logins[data[0] & 1], data + 1, size - 1, SIZE_MAX);
    feed(&pieces, &logins[data[0] & 1], data + 1, size - 1, (size_t)(data[0] >> 1) + 1);
    require(whole.rc == pieces.rc && whole.said_len == pieces.said_len && memcmp(whole.said, pieces.said, whole.said_len) == 0);
    require(whole.rc != 1 || (whole.taken == pieces.taken && memcmp(&whole.request, &pieces.request, sizeof whole.request) == 0));
    if (gh_proxy_status_find(gh_span_of(data + 1, size - 1), "error", value))
        require(value[0] && strlen(value) < sizeof value);
    return 0;
}
