#include "puppet.h"

#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "os/caps.h"

#define PATIENCE_MS 10000

/* ---- the child ---- */

struct child {
    struct gh_priv_client *client;
    int link;
    int fds[256];
    size_t fd_count;
};

static socklen_t address(const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret->sun_path + 1, name, strlen(name));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static void obey(struct child *c, const struct puppet_order *o, struct puppet_report *r)
{
    struct gh_prefix routes[512];
    int new_fds[GH_PRIV_QUEUES];

    switch (o->op) {
    case PUPPET_CALL:
        r->rc = gh_priv_call(c->client, &o->request, &r->reply, new_fds, GH_PRIV_QUEUES, &r->fd_count);
        for (size_t i = 0; i < r->fd_count && c->fd_count < 256; i++)
            c->fds[c->fd_count++] = new_fds[i];
        break;
    case PUPPET_ROUTES:
        for (int i = 0; i < o->number; i++) {
            const uint8_t bytes[4] = { 10, (uint8_t)(100 + i / 250), (uint8_t)(i % 250), 0 };

            routes[i] = (struct gh_prefix){ .addr = gh_ip_v4(bytes), .len = 24 };
        }
        r->rc = gh_priv_routes_set(c->client, o->text, 0, 0, routes, (size_t)o->number);
        break;
    case PUPPET_READ:
        fcntl(c->fds[o->number], F_SETFL, fcntl(c->fds[o->number], F_GETFL) | O_NONBLOCK);
        r->rc = (int)read(c->fds[o->number], r->text, sizeof r->text - 1);
        break;
    case PUPPET_SEND_JUNK: { /* past the client: its channel is the seqpacket socket that is neither ours nor for events */
        int sent = 0;

        for (int fd = 3; fd < 32; fd++) {
            int type = 0;
            socklen_t len = sizeof type;

            if (fd == c->link || fd == gh_priv_event_fd(c->client) || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0
                || type != SOCK_SEQPACKET)
                continue;
            sent += send(fd, "junk", 4, 0) == 4;
            r->rc = (int)recv(fd, &r->reply, sizeof r->reply, 0);
        }
        r->fd_count = (size_t)sent;
        break;
    }
    case PUPPET_RIGHTS:
        r->rc = gh_caps_any() || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || getuid() != (uid_t)o->number;
        break;
    case PUPPET_CRASH:
        raise(SIGKILL);
        break;
    case PUPPET_EXIT:
        exit(o->number);
    }
}

static void report_event(struct child *c)
{
    struct puppet_report r;

    memset(&r, 0, sizeof r);
    r.is_event = true;
    r.pid = getpid();
    r.rc = gh_priv_event_next(c->client, &r.event);
    if (r.rc < 0)
        exit(3);
    if (r.event.fd >= 0) {
        if (read(r.event.fd, r.text, sizeof r.text - 1) < 0)
            r.text[0] = 0;
        close(r.event.fd);
    }
    if (r.rc > 0)
        send(c->link, &r, sizeof r, MSG_NOSIGNAL);
}

static int child_main(struct gh_priv_client *client, int argc, char **argv)
{
    struct child c = { .client = client, .link = socket(AF_UNIX, SOCK_SEQPACKET, 0) };
    struct puppet_report hello;
    struct sockaddr_un to;
    socklen_t len = address(argv[0], &to);

    (void)argc;
    memset(&hello, 0, sizeof hello);
    hello.pid = getpid();
    if (connect(c.link, (struct sockaddr *)&to, len) < 0 || send(c.link, &hello, sizeof hello, 0) < 0)
        return 4;
    for (;;) {
        struct pollfd fds[] = { { .fd = c.link, .events = POLLIN }, { .fd = gh_priv_event_fd(client), .events = POLLIN } };
        struct puppet_order o;
        struct puppet_report r;

        if (poll(fds, 2, -1) < 0)
            return 5;
        if (fds[1].revents)
            report_event(&c);
        if (!fds[0].revents)
            continue;
        if (recv(c.link, &o, sizeof o, 0) != (ssize_t)sizeof o)
            return 6;
        memset(&r, 0, sizeof r);
        r.pid = getpid();
        obey(&c, &o, &r);
        send(c.link, &r, sizeof r, MSG_NOSIGNAL);
    }
}

/* ---- the test's side ---- */

static void keep_quiet(void *arg, const char *text)
{
    (void)arg;
    (void)text;
}

void puppet_open(struct puppet *p, int (*reload_main)(struct gh_priv_client *c, int argc, char **argv))
{
    struct sockaddr_un at;
    socklen_t len;

    memset(p, 0, sizeof *p);
    p->link = -1;
    strcpy(p->dir, "/tmp/gatehouse-priv-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->address, sizeof p->address, "gh-puppet-%d-%s", (int)getpid(), p->dir + strlen(p->dir) - 6);
    len = address(p->address, &at);
    p->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(p->listener, 4), 0);
    p->argv[0] = p->address;
    p->cfg = (struct gh_priv_config){
        .name = "puppet",
        .run_dir = p->dir,
        .child_main = child_main,
        .reload_main = reload_main,
        .argc = 1,
        .argv = p->argv,
        .log = keep_quiet,
    };
}

void puppet_start(struct puppet *p)
{
    fflush(NULL);
    p->parent = fork();
    assert_true(p->parent >= 0);
    if (p->parent == 0) {
        int rc;

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing outlives a test that fails */
        rc = gh_priv_run(&p->cfg);
        _exit(rc < 0 ? 200 - rc : rc);
    }
    puppet_meet(p);
}

void puppet_meet(struct puppet *p)
{
    struct pollfd f = { .fd = p->listener, .events = POLLIN };
    struct puppet_report hello;

    assert_int_equal(poll(&f, 1, PATIENCE_MS), 1);
    p->link = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(p->link >= 0);
    puppet_hear(p, &hello);
    p->child = hello.pid;
}

void puppet_order(struct puppet *p, const struct puppet_order *o)
{
    assert_int_equal(send(p->link, o, sizeof *o, MSG_NOSIGNAL), sizeof *o);
}

void puppet_hear(struct puppet *p, struct puppet_report *ret)
{
    struct pollfd f = { .fd = p->link, .events = POLLIN };

    assert_int_equal(poll(&f, 1, PATIENCE_MS), 1);
    assert_int_equal(recv(p->link, ret, sizeof *ret, 0), sizeof *ret);
}

void puppet_do(struct puppet *p, const struct puppet_order *o, struct puppet_report *ret)
{
    puppet_order(p, o);
    do
        puppet_hear(p, ret);
    while (ret->is_event);
}

int puppet_call(struct puppet *p, const struct gh_priv_request *q)
{
    struct puppet_order o;
    struct puppet_report r;

    memset(&o, 0, sizeof o);
    o.op = PUPPET_CALL;
    o.request = *q;
    puppet_do(p, &o, &r);
    return r.rc;
}

void puppet_part(struct puppet *p)
{
    struct pollfd f = { .fd = p->link, .events = POLLIN };
    struct puppet_report r;

    do
        assert_int_equal(poll(&f, 1, PATIENCE_MS), 1);
    while (recv(p->link, &r, sizeof r, 0) > 0);
    close(p->link);
    p->link = -1;
}

int puppet_wait(struct puppet *p)
{
    int status;

    assert_int_equal(waitpid(p->parent, &status, 0), p->parent);
    p->parent = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    remove(path);
    return 0;
}

void puppet_close(struct puppet *p)
{
    if (p->parent > 0) {
        kill(p->parent, SIGKILL);
        puppet_wait(p);
    }
    if (p->link >= 0)
        close(p->link);
    close(p->listener);
    gh_priv_cleanup(p->cfg.name, p->dir);
    nftw(p->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct gh_priv_request puppet_request(enum gh_priv_kind kind)
{
    struct gh_priv_request q;

    memset(&q, 0, sizeof q);
    q.kind = kind;
    return q;
}

struct gh_priv_request puppet_path(enum gh_priv_kind kind, const struct puppet *p, const char *name)
{
    struct gh_priv_request q = puppet_request(kind);

    snprintf(q.path, sizeof q.path, "%s/%s", p->dir, name);
    return q;
}
