#include "net/http1_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "wire/h1.h"

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int error_of(int err)
{
    switch (err) {
    case ENOENT:
    case ENOTDIR:
        return GH_ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return GH_ERR_DENIED;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
        return GH_ERR_CLOSED;
    case ETIMEDOUT:
        return GH_ERR_TIMEOUT;
    default:
        return GH_ERR_SYSTEM;
    }
}

/* 0 when <events> or an error are there. */
static int wait_for(int fd, short events, int64_t deadline)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        int64_t left = deadline - now_ms();
        int n;

        if (left <= 0)
            return GH_ERR_TIMEOUT;
        n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return GH_ERR_SYSTEM;
    }
}

static int fill_address(const struct gh_http1_target *to, struct sockaddr_storage *ret, socklen_t *ret_len)
{
    memset(ret, 0, sizeof *ret);
    if (to->unix_path) {
        struct sockaddr_un *un = (struct sockaddr_un *)ret;

        if (strlen(to->unix_path) >= sizeof un->sun_path || !*to->unix_path)
            return GH_ERR_RANGE;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, to->unix_path, strlen(to->unix_path) + 1);
        *ret_len = sizeof *un;
    } else if (to->addr.family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;

        in->sin_family = AF_INET;
        in->sin_port = htons(to->port);
        memcpy(&in->sin_addr, to->addr.bytes, 4);
        *ret_len = sizeof *in;
    } else {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)ret;

        in->sin6_family = AF_INET6;
        in->sin6_port = htons(to->port);
        memcpy(&in->sin6_addr, to->addr.bytes, 16);
        *ret_len = sizeof *in;
    }
    return 0;
}

static int connect_to(const struct gh_http1_target *to, int64_t deadline, int *ret)
{
    struct sockaddr_storage addr;
    socklen_t len;
    int fd, err = 0, rc = fill_address(to, &addr, &len);

    if (rc < 0)
        return rc;
    fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return GH_ERR_SYSTEM;
    /* on a unix socket EAGAIN says that the queue of the listener is full, and nothing would ever wake us */
    if (connect(fd, (struct sockaddr *)&addr, len) < 0) {
        err = errno;
        if (err == EAGAIN)
            rc = GH_ERR_TIMEOUT;
        else if (err != EINPROGRESS)
            rc = error_of(err);
        else
            rc = wait_for(fd, POLLOUT, deadline);
        len = sizeof err;
        if (rc == 0 && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err != 0))
            rc = error_of(err);
    }
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *ret = fd;
    return 0;
}

static int send_all(int fd, struct gh_span data, int64_t deadline)
{
    while (data.len > 0) {
        ssize_t n = send(fd, data.data, data.len, MSG_NOSIGNAL);

        if (n > 0) {
            data = gh_span_of(data.data + n, data.len - (size_t)n);
        } else if (n < 0 && errno == EAGAIN) {
            int rc = wait_for(fd, POLLOUT, deadline);

            if (rc < 0)
                return rc;
        } else if (n < 0 && errno != EINTR) {
            return error_of(errno);
        }
    }
    return 0;
}

static int send_request(int fd, const struct gh_http1_call *call, int64_t deadline)
{
    uint8_t head[4096];
    struct gh_writer w = gh_writer_of(head, sizeof head);
    char length[24];
    int rc;

    gh_h1_emit_request_line(&w, call->method, gh_span_str(call->path));
    gh_h1_emit_field(&w, gh_span_str("host"), gh_span_str("localhost"));
    gh_h1_emit_field(&w, gh_span_str("accept"), gh_span_str("application/json"));
    gh_h1_emit_field(&w, gh_span_str("connection"), gh_span_str("close"));
    if (call->body.len > 0 || strcmp(call->method, "POST") == 0) {
        snprintf(length, sizeof length, "%zu", call->body.len);
        gh_h1_emit_field(&w, gh_span_str("content-type"), gh_span_str("application/json"));
        gh_h1_emit_field(&w, gh_span_str("content-length"), gh_span_str(length));
    }
    gh_h1_emit_end(&w);
    if (w.failed)
        return GH_ERR_RANGE;
    rc = send_all(fd, gh_span_of(head, gh_writer_len(&w)), deadline);
    return rc < 0 ? rc : send_all(fd, call->body, deadline);
}

/* What is being read, and the answer so far. */
struct receiver {
    struct gh_h1_reader reader;
    struct gh_h1_head head;
    struct gh_h1_chunked chunked;
    bool has_head;
    char *body;
    size_t len, cap, max;
};

static int keep(struct receiver *r, struct gh_span data)
{
    if (data.len > r->max - r->len)
        return GH_ERR_TOO_LONG;
    if (r->len + data.len + 1 > r->cap) {
        size_t cap = r->cap ? r->cap : 4096;
        char *body;

        while (cap < r->len + data.len + 1)
            cap *= 2;
        body = realloc(r->body, cap);
        if (!body)
            return GH_ERR_MEMORY;
        r->body = body;
        r->cap = cap;
    }
    if (data.len > 0)
        memcpy(r->body + r->len, data.data, data.len);
    r->len += data.len;
    r->body[r->len] = 0;
    return 0;
}

/* Progress. */
static int take_head(struct receiver *r, struct gh_span *in, enum gh_h1_kind kind)
{
    int rc;

    do {
        rc = gh_h1_head_feed(&r->reader, in, &r->head);
        if (rc == 1)
            gh_h1_reader_reset(&r->reader, kind);
    } while (rc == 1 && r->head.status < 200); /* "100 Continue" and its like only announce the answer */
    if (rc <= 0)
        return rc < 0 ? GH_ERR_PROTOCOL : 0;
    r->has_head = true;
    rc = keep(r, gh_span_of(NULL, 0));
    return rc < 0 ? rc : 1;
}

/* Progress. */
static int take_body(struct receiver *r, struct gh_span in)
{
    struct gh_span piece = in;
    int rc = 0;

    switch (r->head.framing) {
    case GH_H1_BODY_NONE:
        return 1;
    case GH_H1_BODY_UNTIL_CLOSE:
        return keep(r, in);
    case GH_H1_BODY_LENGTH:
        if (piece.len > r->head.content_length - r->len)
            piece.len = (size_t)(r->head.content_length - r->len);
        rc = keep(r, piece);
        return rc < 0 ? rc : r->len == r->head.content_length;
    default:
        for (;;) {
            rc = gh_h1_chunked_next(&r->chunked, &in, &piece);
            if (rc <= 0)
                return rc < 0 ? GH_ERR_PROTOCOL : 0;
            if (piece.len == 0)
                return 1;
            rc = keep(r, piece);
            if (rc < 0)
                return rc;
        }
    }
}

/* Progress; <in> is what one read gave, empty at the end of the connection. */
static int take(struct receiver *r, struct gh_span in, enum gh_h1_kind kind)
{
    int rc = 1;

    if (in.len == 0)
        return r->has_head && r->head.framing == GH_H1_BODY_UNTIL_CLOSE ? 1 : GH_ERR_CLOSED;
    if (!r->has_head)
        rc = take_head(r, &in, kind);
    return rc == 1 ? take_body(r, in) : rc;
}

static int receive(int fd, struct receiver *r, enum gh_h1_kind kind, int64_t deadline)
{
    uint8_t buf[16384];
    int rc = 0;

    gh_h1_reader_reset(&r->reader, kind);
    while (rc == 0) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);

        if (n > 0 && now_ms() > deadline)
            return GH_ERR_TIMEOUT; /* a peer that always has more must not keep us */
        if (n >= 0)
            rc = take(r, gh_span_of(buf, (size_t)n), kind);
        else if (errno == EAGAIN)
            rc = wait_for(fd, POLLIN, deadline);
        else if (errno != EINTR)
            rc = error_of(errno);
    }
    return rc < 0 ? rc : 0;
}

int gh_http1_client_call(const struct gh_http1_target *to, const struct gh_http1_call *call, struct gh_http1_answer *ret)
{
    int64_t deadline = now_ms() + (call->timeout ? call->timeout : 5000);
    enum gh_h1_kind kind = strcmp(call->method, "HEAD") == 0 ? GH_H1_ANSWER_TO_HEAD : GH_H1_ANSWER;
    struct receiver *r = calloc(1, sizeof *r);
    int fd = -1, rc;

    if (!r)
        return GH_ERR_MEMORY;
    r->max = call->body_max ? call->body_max : (size_t)64 << 20;
    rc = connect_to(to, deadline, &fd);
    if (rc < 0)
        goto out;
    rc = send_request(fd, call, deadline);
    /* a peer that refuses early closes its side while we still send: its answer is there to be read */
    if (rc < 0 && rc != GH_ERR_CLOSED)
        goto out;
    rc = receive(fd, r, kind, deadline);
    if (rc < 0)
        goto out;
    *ret = (struct gh_http1_answer){ r->head.status, r->body, r->len };
    r->body = NULL;
out:
    if (fd >= 0)
        close(fd);
    free(r->body);
    free(r);
    return rc;
}

void gh_http1_answer_fini(struct gh_http1_answer *a)
{
    if (!a)
        return;
    free(a->body);
    a->body = NULL;
}
