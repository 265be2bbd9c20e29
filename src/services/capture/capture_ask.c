#include "services/capture/capture_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/error.h"

#define SOCKS_FIRST 5

void gh_capture_ask_init(struct gh_capture_ask *a, const struct gh_capture_login *login)
{
    *a = (struct gh_capture_ask){ .login = login };
}

void gh_capture_ask_fini(struct gh_capture_ask *a)
{
    free(a->head);
    a->head = NULL;
}

/* ---- who may ---- */

static bool is_open(const struct gh_capture_ask *a)
{
    return a->login->user.len == 0 && a->login->password.len == 0;
}

/* Takes the same time wherever they differ. */
static bool is_same(struct gh_span a, struct gh_span b)
{
    size_t differs = a.len ^ b.len;

    for (size_t i = 0; i < a.len && b.len; i++)
        differs |= a.data[i] ^ b.data[i % b.len];
    return differs == 0;
}

static bool is_known(const struct gh_capture_ask *a, struct gh_span user, struct gh_span password)
{
    bool same_user = a->login->user.len ? is_same(a->login->user, user) : user.len == 0;
    bool same_password = a->login->password.len ? is_same(a->login->password, password) : password.len == 0;

    return same_user & same_password;
}

/* ---- SOCKS ---- */

static int refuse(struct gh_writer *out, enum gh_socks5_reply reply, int rc)
{
    gh_socks5_emit_reply(out, reply, NULL);
    return rc;
}

static int take_greeting(struct gh_capture_ask *a, struct gh_writer *out, size_t *ret_len)
{
    struct gh_socks5_greeting g;
    int rc = gh_socks5_parse_greeting(gh_span_of(a->buf, a->len), &g, ret_len);
    bool right;

    if (rc <= 0)
        return rc;
    right = is_open(a) ? g.no_authentication : g.password;
    gh_socks5_emit_method(out, !right ? GH_SOCKS5_NO_METHOD : is_open(a) ? GH_SOCKS5_NO_AUTHENTICATION : GH_SOCKS5_PASSWORD);
    a->state = is_open(a) ? GH_CAPTURE_REQUEST : GH_CAPTURE_PASSWORD;
    return right ? 1 : GH_ERR_DENIED;
}

static int take_password(struct gh_capture_ask *a, struct gh_writer *out, size_t *ret_len)
{
    struct gh_span user, password;
    int rc = gh_socks5_parse_password(gh_span_of(a->buf, a->len), &user, &password, ret_len);
    bool known;

    if (rc <= 0)
        return rc;
    known = is_known(a, user, password);
    gh_socks5_emit_password_status(out, known);
    a->state = GH_CAPTURE_REQUEST;
    return known ? 1 : GH_ERR_DENIED;
}

static int take_request(struct gh_capture_ask *a, struct gh_writer *out, size_t *ret_len, struct gh_capture_request *ret)
{
    struct gh_capture_request c = { .associate = false };
    struct gh_socks5_request q;
    int rc = gh_socks5_parse_request(gh_span_of(a->buf, a->len), &q, ret_len);

    if (rc == GH_ERR_UNSUPPORTED)
        return refuse(out, GH_SOCKS5_ADDRESS_UNSUPPORTED, rc);
    if (rc < 0)
        return refuse(out, rc == GH_ERR_RANGE ? GH_SOCKS5_HOST_UNREACHABLE : GH_SOCKS5_FAILURE, rc);
    if (rc == 0)
        return 0;
    if (q.command != GH_SOCKS5_CONNECT && q.command != GH_SOCKS5_UDP_ASSOCIATE)
        return refuse(out, GH_SOCKS5_COMMAND_UNSUPPORTED, GH_ERR_UNSUPPORTED);
    c.associate = q.command == GH_SOCKS5_UDP_ASSOCIATE;
    if (!c.associate && q.to.port == 0)
        return refuse(out, GH_SOCKS5_FAILURE, GH_ERR_RANGE);
    c.to.ip = q.to.ip;
    c.to.port = q.to.port;
    snprintf(c.to.name, sizeof c.to.name, "%.*s", (int)sizeof c.to.name - 1, q.to.name);
    gh_host_target_unmap(&c.to.ip);
    *ret = c;
    a->state = GH_CAPTURE_ASKED;
    return 1;
}

/* One message: what came before it was whole is in the buffer, what is behind it stays in <in>. */
static int socks_feed(struct gh_capture_ask *a, struct gh_span *in, struct gh_writer *out, struct gh_capture_request *ret)
{
    size_t before = a->len, room = sizeof a->buf - a->len, n = in->len < room ? in->len : room, used = 0;
    int rc;

    memcpy(a->buf + before, in->data, n);
    a->len += n;
    rc = a->state == GH_CAPTURE_GREETING ? take_greeting(a, out, &used) : a->state == GH_CAPTURE_PASSWORD ? take_password(a, out, &used) : take_request(a, out, &used, ret);
    if (rc > 0) {
        *in = gh_span_of(in->data + (used - before), in->len - (used - before));
        a->len = 0;
    } else {
        *in = gh_span_of(in->data + n, in->len - n);
    }
    return rc;
}

/* ---- HTTP ---- */

static void emit_answer(struct gh_writer *out, unsigned status, const char *name, const char *value)
{
    gh_h1_emit_status_line(out, status);
    if (name)
        gh_h1_emit_field(out, gh_span_str(name), gh_span_str(value));
    gh_h1_emit_field(out, gh_span_str("content-length"), gh_span_str("0"));
    gh_h1_emit_field(out, gh_span_str("connection"), gh_span_str("close"));
    gh_h1_emit_end(out);
}

/* RFC 7617: Basic and the base64 of user:password. */
static bool is_authorized(const struct gh_capture_ask *a, const struct gh_h1_head *head)
{
    static const char scheme[] = "basic ";
    struct gh_span value = gh_h1_field_find(head, "proxy-authorization");
    uint8_t bytes[1024];
    size_t len = 0, colon = 0;

    if (is_open(a))
        return true;
    if (value.len < sizeof scheme || value.len > 1024 || strncasecmp((const char *)value.data, scheme, sizeof scheme - 1) != 0)
        return false;
    value = gh_span_of(value.data + sizeof scheme - 1, value.len - (sizeof scheme - 1));
    while (value.len && *value.data == ' ')
        value = gh_span_of(value.data + 1, value.len - 1);
    if (gh_base64_decode(value, bytes, &len) < 0)
        return false;
    while (colon < len && bytes[colon] != ':')
        colon++;
    return colon < len && is_known(a, gh_span_of(bytes, colon), gh_span_of(bytes + colon + 1, len - colon - 1));
}

static int take_head(struct gh_capture_ask *a, const struct gh_h1_head *head, struct gh_writer *out, struct gh_capture_request *ret)
{
    struct gh_capture_request c = { .associate = false };

    if (!gh_span_equals(head->method, gh_span_str("CONNECT"))) {
        emit_answer(out, 405, "allow", "CONNECT");
        return GH_ERR_UNSUPPORTED;
    }
    if (!is_authorized(a, head)) {
        emit_answer(out, 407, "proxy-authenticate", "Basic realm=\"gatehouse\"");
        return GH_ERR_DENIED;
    }
    /* RFC 9110, section 9.3.6: it has no content */
    if ((head->framing != GH_H1_BODY_NONE && head->content_length) || head->framing == GH_H1_BODY_CHUNKED || gh_host_target_of_authority(head->authority, &c.to) < 0) {
        emit_answer(out, 400, NULL, NULL);
        return GH_ERR_MALFORMED;
    }
    if (c.to.ip.family)
        c.to.name[0] = 0;
    *ret = c;
    a->state = GH_CAPTURE_ASKED;
    return 1;
}

static int http_feed(struct gh_capture_ask *a, struct gh_span *in, struct gh_writer *out, struct gh_capture_request *ret)
{
    struct gh_h1_head head;
    int rc;

    if (!a->head) {
        a->head = malloc(sizeof *a->head);
        if (!a->head)
            return GH_ERR_MEMORY;
        gh_h1_reader_reset(a->head, GH_H1_REQUEST);
    }
    rc = gh_h1_head_feed(a->head, in, &head);
    if (rc < 0)
        emit_answer(out, gh_h1_refusal(rc), NULL, NULL);
    if (rc <= 0)
        return rc;
    rc = take_head(a, &head, out, ret);
    gh_capture_ask_fini(a);
    return rc;
}

/* ---- both ---- */

static int begin(struct gh_capture_ask *a, uint8_t first)
{
    a->http = (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z');
    if (!a->http && first != SOCKS_FIRST)
        return GH_ERR_UNSUPPORTED;
    a->state = a->http ? GH_CAPTURE_HEAD : GH_CAPTURE_GREETING;
    return 0;
}

int gh_capture_ask_feed(struct gh_capture_ask *a, struct gh_span *in, struct gh_writer *out, struct gh_capture_request *ret)
{
    while (in->len && a->state != GH_CAPTURE_ASKED) {
        int rc = 0;

        if (a->state == GH_CAPTURE_FIRST)
            rc = begin(a, *in->data);
        else
            rc = a->http ? http_feed(a, in, out, ret) : socks_feed(a, in, out, ret);
        if (rc < 0)
            return rc;
    }
    return a->state == GH_CAPTURE_ASKED;
}

void gh_capture_ask_emit_success(const struct gh_capture_ask *a, struct gh_writer *out, const struct gh_socks5_addr *bound)
{
    if (!a->http) {
        gh_socks5_emit_reply(out, GH_SOCKS5_SUCCEEDED, bound);
        return;
    }
    gh_h1_emit_status_line(out, 200);
    gh_h1_emit_end(out);
}

void gh_capture_ask_emit_failure(const struct gh_capture_ask *a, struct gh_writer *out, const struct gh_capture_failure *f)
{
    char text[GH_PROXY_STATUS_VALUE + 32];

    snprintf(text, sizeof text, "gatehouse-agent; error=%s", f->error);
    if (a->http)
        emit_answer(out, f->status, f->error[0] ? "proxy-status" : NULL, text);
    else
        gh_socks5_emit_reply(out, f->reply, NULL);
}

/* ---- why not ---- */

/* RFC 9209, section 2.3, as RFC 1928, section 6, has words for it. */
static const struct {
    const char *error;
    enum gh_socks5_reply reply;
} errors[] = {
    { "http_request_denied", GH_SOCKS5_NOT_ALLOWED },
    { "destination_ip_prohibited", GH_SOCKS5_NOT_ALLOWED },
    { "connection_refused", GH_SOCKS5_REFUSED },
    { "connection_timeout", GH_SOCKS5_TTL_EXPIRED },
    { "dns_timeout", GH_SOCKS5_HOST_UNREACHABLE },
    { "dns_error", GH_SOCKS5_HOST_UNREACHABLE },
    { "destination_not_found", GH_SOCKS5_HOST_UNREACHABLE },
    { "destination_unavailable", GH_SOCKS5_HOST_UNREACHABLE },
    { "destination_ip_unroutable", GH_SOCKS5_NETWORK_UNREACHABLE },
};

static enum gh_socks5_reply reply_of(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
    case 407:
        return GH_SOCKS5_NOT_ALLOWED;
    case 400: /* a relay without relay.proxy does not know what we mean: 400 is ours, the others are what else is said then */
    case 404:
    case 405:
    case 501:
        return GH_SOCKS5_COMMAND_UNSUPPORTED;
    case 502:
        return GH_SOCKS5_HOST_UNREACHABLE;
    case 504:
        return GH_SOCKS5_TTL_EXPIRED;
    default:
        return GH_SOCKS5_FAILURE;
    }
}

static bool is_token(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-.*";

    return *s && s[strspn(s, letters)] == 0;
}

struct gh_capture_failure gh_capture_failure_make(unsigned status, const char *error)
{
    struct gh_capture_failure f = { .status = status < 400 || status > 599 ? 502 : status, .reply = reply_of(status) };

    if (!is_token(error))
        return f;
    snprintf(f.error, sizeof f.error, "%s", error);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(errors[i].error, error) == 0)
            f.reply = errors[i].reply;
    return f;
}

struct gh_capture_failure gh_capture_failure_of(const struct gh_http_head *answer)
{
    char error[GH_PROXY_STATUS_VALUE] = "";

    for (size_t i = 0; i < answer->field_count; i++)
        if (gh_span_equals(answer->fields[i].name, gh_span_str("proxy-status")))
            (void)gh_proxy_status_find(answer->fields[i].value, "error", error);
    return gh_capture_failure_make(answer->status, error);
}
