#include "priv/parent.h"

#include "../test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../netns.h"
#include "base/error.h"
#include "machine.h"
#include "puppet.h"

static struct gh_priv_request nat_request(void)
{
    struct gh_priv_request q = puppet_request(GH_PRIV_NAT);

    strcpy(q.nat.device, "ghpriv0");
    q.nat.count = 2;
    q.nat.sources[0] = prefix("10.100.0.0/24");
    q.nat.sources[1] = prefix("fd64::/64");
    return q;
}

static struct gh_priv_request sysctl_request(enum gh_priv_sysctl which)
{
    struct gh_priv_request q = puppet_request(GH_PRIV_SYSCTL);

    q.sysctl = which;
    return q;
}

static struct gh_priv_request udp_request(void)
{
    struct gh_priv_request q = puppet_request(GH_PRIV_OPEN_UDP);

    q.socket.addr = prefix("127.0.0.1/32").addr;
    q.socket.count = 2;
    q.socket.mark = 0x6768;
    return q;
}

/* A whole gateway: device, addresses, routes, rule, NAT, forwarding, in PHASE_RUN. */
static void build(struct puppet *p)
{
    const struct gh_priv_request all[] = {
        tun_request(2),
        address_request(),
        rule_request(),
        route_request("ghpriv0", 0, "10.200.0.0/16", "fd65::/48"),
        route_request("ghpriv0", 51821, "0.0.0.0/1", "8000::/1"),
        route_request("", 51821, "10.250.0.0/16", "fd66::/48"),
        nat_request(),
        sysctl_request(GH_PRIV_IP_FORWARD),
        sysctl_request(GH_PRIV_IPV6_FORWARDING),
        sysctl_request(GH_PRIV_SRC_VALID_MARK),
        puppet_request(GH_PRIV_RUN),
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        int rc = puppet_call(p, &all[i]);

        if (rc != 0)
            fail_msg("request %zu: %s", i, gh_error_text(rc));
    }
}

static void assert_built(void)
{
    char *text = machine();

    assert_non_null(strstr(text, "10.100.0.1"));
    assert_non_null(strstr(text, "10.200.0.0/16"));
    assert_non_null(strstr(text, "fd65::/48"));
    assert_non_null(strstr(text, "51821"));
    assert_non_null(strstr(text, "gatehouse_ghpriv0"));
    assert_non_null(strstr(text, "masquerade"));
    assert_non_null(strstr(text, "ipv6/conf/all/forwarding:1"));
    free(text);
}

/* A switch that an administrator turned for one interface stays as it was, too. */
static void turn_own_switches(void)
{
    assert_true(netns_write("/proc/sys/net/ipv4/conf/lo/forwarding", "1"));
    assert_true(netns_write("/proc/sys/net/ipv4/conf/all/accept_redirects", "0"));
}

/* A machine of an administrator, and on it the whole gateway. What it was before: the caller frees it. */
static char *build_on_machine(struct puppet *p)
{
    char *before;

    turn_own_switches();
    before = machine();
    puppet_open(p, NULL);
    puppet_start(p);
    build(p);
    assert_built();
    return before;
}

static void an_orderly_end_puts_the_machine_back(void **state)
{
    const struct puppet_order leave = { .op = PUPPET_EXIT, .number = 7 };
    struct puppet_report r;
    struct puppet p;
    char *before, *after;

    (void)state;
    before = build_on_machine(&p);
    kill(p.parent, SIGTERM);
    puppet_hear(&p, &r);
    assert_true(r.is_event);
    assert_int_equal(r.event.kind, GH_PRIV_EVENT_SIGNAL);
    assert_int_equal(r.event.id, SIGTERM);
    puppet_order(&p, &leave);
    assert_int_equal(puppet_wait(&p), 7);
    after = machine();
    assert_string_equal(before, after);
    puppet_close(&p);
    free(before);
    free(after);
}

static void what_a_killed_parent_left_is_put_back_at_the_next_start(void **state)
{
    char *before, *after;
    struct puppet p;

    (void)state;
    before = build_on_machine(&p);
    kill(p.parent, SIGKILL);
    assert_int_equal(puppet_wait(&p), 1000 + SIGKILL);
    puppet_part(&p); /* the child ended with it */
    after = machine();
    assert_string_not_equal(before, after);
    free(after);
    assert_true(gh_priv_cleanup("puppet", p.dir) > 0);
    after = machine();
    assert_string_equal(before, after);
    assert_int_equal(gh_priv_cleanup("puppet", p.dir), 0);
    puppet_start(&p); /* and another one may live here */
    puppet_close(&p);
    free(before);
    free(after);
}

static void a_living_owner_is_left_alone(void **state)
{
    struct puppet p;

    (void)state;
    puppet_open(&p, NULL);
    puppet_start(&p);
    build(&p);
    assert_int_equal(gh_priv_cleanup("puppet", p.dir), GH_ERR_EXISTS);
    assert_built();
    puppet_close(&p);
}

static void send_datagram(const char *address, uint16_t port, const char *text)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, address, &to.sin_addr);
    assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to), (ssize_t)strlen(text));
    close(fd);
}

static void a_dead_child_is_followed_by_one_with_the_same_device_and_sockets(void **state)
{
    const struct puppet_order crash = { .op = PUPPET_CRASH };
    struct puppet_order o = { .op = PUPPET_CALL, .request = udp_request() };
    struct puppet_report r;
    struct puppet p;
    uint32_t port;
    pid_t first;
    bool waiting = false;

    (void)state;
    puppet_open(&p, NULL);
    puppet_start(&p);
    first = p.child;
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.fd_count, 2);
    port = r.reply.id;
    build(&p);
    puppet_order(&p, &crash);
    puppet_part(&p);
    /* Nobody is there: what arrives now waits for the next child, in the socket and in the device. */
    send_datagram("127.0.0.1", (uint16_t)port, "meanwhile");
    send_datagram("10.100.0.77", 9, "for the device");
    puppet_meet(&p);
    assert_int_not_equal(p.child, first);
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.reply.id, port);
    for (int i = 0; i < 2; i++) {
        const struct puppet_order look = { .op = PUPPET_READ, .number = i };

        puppet_do(&p, &look, &r);
        waiting = waiting || (r.rc == 9 && !strcmp(r.text, "meanwhile"));
    }
    assert_true(waiting);
    o.request = tun_request(2);
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.reply.name, "ghpriv0");
    waiting = false;
    for (int i = 2; i < 4; i++) {
        const struct puppet_order look = { .op = PUPPET_READ, .number = i };

        do {
            puppet_do(&p, &look, &r);
            waiting = waiting || (r.rc > 42 && !memcmp(r.text + 10 + 28, "for the device", 14)); /* vnet header, IPv4, UDP */
        } while (r.rc > 0);
    }
    assert_true(waiting);
    assert_built();
    puppet_close(&p);
}

static void what_the_next_child_does_not_ask_for_is_given_up(void **state)
{
    const struct gh_priv_request run = puppet_request(GH_PRIV_RUN);
    const struct puppet_order crash = { .op = PUPPET_CRASH };
    char *before = machine(), *after;
    struct puppet p;

    (void)state;
    puppet_open(&p, NULL);
    puppet_start(&p);
    build(&p);
    puppet_order(&p, &crash);
    puppet_part(&p);
    puppet_meet(&p);
    assert_int_equal(puppet_call(&p, &run), 0);
    after = machine();
    assert_string_equal(before, after);
    puppet_close(&p);
    free(before);
    free(after);
}

static void a_child_has_no_right_and_names_nothing_new_when_it_runs(void **state)
{
    const struct puppet_order rights = { .op = PUPPET_RIGHTS };
    struct gh_priv_request known, unknown, other;
    struct puppet_report r;
    struct puppet p;
    char path[128];

    (void)state;
    puppet_open(&p, NULL);
    snprintf(path, sizeof path, "%s/known", p.dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    known = puppet_path(GH_PRIV_OPEN_FILE, &p, "known");
    unknown = puppet_path(GH_PRIV_OPEN_FILE, &p, "puppet.lock");
    puppet_start(&p);
    puppet_do(&p, &rights, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(puppet_call(&p, &known), 0);
    other = route_request("lo", 0, "10.1.0.0/16", "10.2.0.0/16");
    assert_int_equal(puppet_call(&p, &other), GH_ERR_DENIED); /* not a device of ours, whatever the phase */
    build(&p);
    assert_int_equal(puppet_call(&p, &known), 0);
    assert_int_equal(puppet_call(&p, &unknown), GH_ERR_DENIED);
    other = udp_request();
    assert_int_equal(puppet_call(&p, &other), GH_ERR_DENIED);
    other = nat_request();
    other.nat.count = 1;
    assert_int_equal(puppet_call(&p, &other), GH_ERR_DENIED);
    other = route_request("", 0, "10.1.0.0/16", "10.2.0.0/16");
    assert_int_equal(puppet_call(&p, &other), GH_ERR_DENIED); /* unreachable in main: not a table that a rule was granted for */
    other = route_request("ghpriv0", 0, "10.1.0.0/16", "10.2.0.0/16");
    assert_int_equal(puppet_call(&p, &other), 0);
    other = puppet_request(GH_PRIV_RUN);
    assert_int_equal(puppet_call(&p, &other), GH_ERR_STATE);
    puppet_close(&p);
}

static void a_child_can_be_another_user_whose_folder_it_gets(void **state)
{
    struct puppet_order rights = { .op = PUPPET_RIGHTS, .number = 65534 };
    struct gh_priv_request folder;
    struct puppet_report r;
    struct puppet p;
    struct stat st;
    char path[128];

    (void)state;
    puppet_open(&p, NULL);
    if (chown(p.dir, 65534, 65534) < 0) { /* a user namespace that has no such user */
        puppet_close(&p);
        skip();
    }
    p.cfg.uid = p.cfg.gid = 65534;
    puppet_start(&p);
    puppet_do(&p, &rights, &r);
    assert_int_equal(r.rc, 0);
    folder = puppet_path(GH_PRIV_OPEN_STATE_DIR, &p, "state");
    assert_int_equal(puppet_call(&p, &folder), 0);
    snprintf(path, sizeof path, "%s/state", p.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 65534);
    assert_int_equal(st.st_mode & 07777, 0700);
    kill(p.parent, SIGKILL);
    puppet_wait(&p);
    puppet_part(&p); /* a changed user has not forgotten to die with its parent */
    puppet_close(&p);
}

static void a_message_that_is_no_request_is_refused_and_harmless(void **state)
{
    const struct gh_priv_request good = tun_request(1);
    const struct puppet_order junk = { .op = PUPPET_SEND_JUNK };
    struct gh_priv_request bad = tun_request(1);
    struct puppet_report r;
    struct puppet p;

    (void)state;
    puppet_open(&p, NULL);
    puppet_start(&p);
    puppet_do(&p, &junk, &r);
    assert_int_equal(r.fd_count, 1);
    assert_int_equal(r.rc, sizeof r.reply);
    assert_int_equal(r.reply.rc, GH_ERR_UNSUPPORTED);
    bad.kind = 4711;
    assert_int_equal(puppet_call(&p, &bad), GH_ERR_UNSUPPORTED);
    bad = tun_request(1);
    memset(bad.tun.name, 'x', sizeof bad.tun.name);
    assert_int_equal(puppet_call(&p, &bad), GH_ERR_MALFORMED);
    assert_int_equal(puppet_call(&p, &good), 0);
    puppet_close(&p);
}

static void a_second_term_ends_a_child_that_does_not_listen(void **state)
{
    struct puppet_report r;
    struct puppet p;

    (void)state;
    puppet_open(&p, NULL);
    puppet_start(&p);
    build(&p);
    kill(p.parent, SIGTERM);
    puppet_hear(&p, &r);
    kill(p.parent, SIGINT);
    assert_int_equal(puppet_wait(&p), 128 + SIGKILL);
    puppet_close(&p);
}

static void write_file(const struct puppet *p, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void hear_file(struct puppet *p, uint32_t id, const char *text)
{
    struct puppet_report r;

    puppet_hear(p, &r);
    assert_true(r.is_event);
    assert_int_equal(r.event.kind, GH_PRIV_EVENT_FILE);
    assert_int_equal(r.event.id, id);
    assert_string_equal(r.text, text);
}

static void move_file(const struct puppet *p, const char *from, const char *to)
{
    char a[128], b[128];

    snprintf(a, sizeof a, "%s/%s", p->dir, from);
    snprintf(b, sizeof b, "%s/%s", p->dir, to);
    assert_int_equal(rename(a, b), 0);
}

static void link_file(const struct puppet *p, const char *target, const char *name)
{
    char b[128];

    snprintf(b, sizeof b, "%s/%s", p->dir, name);
    assert_int_equal(symlink(target, b), 0);
}

static void make_folder(const struct puppet *p, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void a_changed_file_comes_by_itself(void **state)
{
    struct puppet_order o = { .op = PUPPET_CALL };
    struct puppet_report r;
    struct puppet p;
    uint32_t plain, mapped;

    (void)state;
    puppet_open(&p, NULL);
    write_file(&p, "policy.yaml", "one");
    make_folder(&p, "map");
    make_folder(&p, "map/..2025_1");
    write_file(&p, "map/..2025_1/policy.yaml", "map one");
    link_file(&p, "..2025_1", "map/..data");
    link_file(&p, "..data/policy.yaml", "map/policy.yaml");
    puppet_start(&p);
    o.request = puppet_path(GH_PRIV_WATCH, &p, "policy.yaml");
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    plain = r.reply.id;
    o.request = puppet_path(GH_PRIV_WATCH, &p, "map/policy.yaml");
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    mapped = r.reply.id;
    assert_int_not_equal(plain, mapped);

    write_file(&p, "policy.yaml.new", "two"); /* rename-over */
    move_file(&p, "policy.yaml.new", "policy.yaml");
    hear_file(&p, plain, "two");
    write_file(&p, "policy.yaml", "three, in place");
    hear_file(&p, plain, "three, in place");
    make_folder(&p, "map/..2025_2"); /* Kubernetes */
    write_file(&p, "map/..2025_2/policy.yaml", "map two");
    link_file(&p, "..2025_2", "map/..data_tmp");
    move_file(&p, "map/..data_tmp", "map/..data");
    hear_file(&p, mapped, "map two");
    puppet_close(&p);
}

/* The new configuration is the file "config" in the folder that the second argument names: a path, or nothing when bad. */
static int reload_main(struct gh_priv_client *c, int argc, char **argv)
{
    struct gh_priv_request q = tun_request(1);
    char path[GH_PRIV_PATH] = "";
    int fd;

    if (argc != 2 || gh_priv_call(c, &q, NULL, NULL, 0, NULL) != GH_ERR_STATE) /* files may be named, devices may not */
        return 9;
    snprintf(path, sizeof path, "%s/config", argv[1]);
    if (gh_priv_open_file(c, path, &fd) < 0)
        return 8;
    memset(path, 0, sizeof path);
    if (read(fd, path, sizeof path - 1) <= 0)
        return 1;
    return gh_priv_open_file(c, path, &fd) < 0 ? 2 : 0;
}

static void a_reload_is_checked_by_a_short_lived_child_first(void **state)
{
    struct gh_priv_request fresh, run = puppet_request(GH_PRIV_RUN), reload = puppet_request(GH_PRIV_RELOAD);
    char *argv[2], text[128];
    struct puppet_report r;
    struct puppet p;

    (void)state;
    puppet_open(&p, reload_main);
    argv[0] = p.address;
    argv[1] = p.dir;
    p.cfg.argc = 2;
    p.cfg.argv = argv;
    write_file(&p, "config", "");
    write_file(&p, "certificate", "x");
    fresh = puppet_path(GH_PRIV_OPEN_FILE, &p, "certificate");
    puppet_start(&p);
    assert_int_equal(puppet_call(&p, &reload), GH_ERR_STATE); /* nothing runs yet that could be reloaded */
    assert_int_equal(puppet_call(&p, &run), 0);
    kill(p.parent, SIGHUP);
    puppet_hear(&p, &r);
    assert_int_equal(r.event.kind, GH_PRIV_EVENT_RELOAD_FAILED);
    assert_int_equal(r.event.id, 1);
    assert_int_equal(puppet_call(&p, &fresh), GH_ERR_DENIED);
    snprintf(text, sizeof text, "%s/certificate", p.dir);
    write_file(&p, "config", text);
    kill(p.parent, SIGHUP);
    puppet_hear(&p, &r);
    assert_int_equal(r.event.kind, GH_PRIV_EVENT_SIGNAL);
    assert_int_equal(r.event.id, SIGHUP);
    assert_int_equal(puppet_call(&p, &fresh), 0);
    /* the child's own wish takes the same way */
    write_file(&p, "config", "");
    assert_int_equal(puppet_call(&p, &reload), 0);
    puppet_hear(&p, &r);
    assert_int_equal(r.event.kind, GH_PRIV_EVENT_RELOAD_FAILED);
    puppet_close(&p);
}

static void the_parent_signs_with_a_key_that_the_child_never_sees(void **state)
{
    /* RFC 8032, section 7.1, TEST 2 */
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
                              "-----END PRIVATE KEY-----\n";
    /* over the content below, by openssl pkeyutl */
    static const uint8_t head[] = { 0x9d, 0x08, 0xdb, 0x4f, 0xa4, 0xd1, 0x8e, 0x96, 0x94, 0xef, 0x47, 0xe9 };
    struct gh_priv_request file;
    struct puppet_order o = { .op = PUPPET_CALL };
    struct puppet_report r;
    struct puppet p;

    (void)state;
    puppet_open(&p, NULL);
    write_file(&p, "key.pem", pem);
    puppet_start(&p);
    o.request = puppet_path(GH_PRIV_KEY, &p, "key.pem");
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.fd_count, 0);
    assert_int_equal(r.reply.schemes, 1);
    assert_int_equal(r.reply.scheme[0], 0x0807);
    o.request = puppet_request(GH_PRIV_SIGN);
    o.request.sign.key = r.reply.id;
    o.request.sign.scheme = 0x0807;
    /* RFC 8446, section 4.4.3 */
    memset(o.request.sign.data, ' ', 64);
    memcpy(o.request.sign.data + 64, "TLS 1.3, server CertificateVerify", 34);
    for (uint8_t i = 0; i < 32; i++)
        o.request.sign.data[98 + i] = i;
    o.request.sign.len = 130;
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.reply.len, 64);
    assert_memory_equal(r.reply.data, head, sizeof head);
    o.request.sign.key++;
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, GH_ERR_NOT_FOUND);
    o.request.sign.key--;
    o.request.sign.scheme = 0x0403; /* another kind of key */
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, GH_ERR_UNSUPPORTED);
    o.request.sign.scheme = 0x0807;
    for (uint16_t len = 0; len < 256; len++) { /* 130: a hash of 32 bytes, 146: of 48 */
        o.request.sign.len = len;
        puppet_do(&p, &o, &r);
        assert_int_equal(r.rc, len == 130 || len == 146 ? 0 : GH_ERR_DENIED);
    }
    o.request.sign.len = 130;
    /* another one of the same file does not push it out, nor does one that goes again */
    for (int i = 0; i < 8; i++) {
        struct puppet_order again = { .op = PUPPET_CALL, .request = puppet_path(GH_PRIV_KEY, &p, "key.pem") };

        puppet_do(&p, &again, &r);
        assert_int_equal(r.rc, 0);
        assert_true(r.reply.id > o.request.sign.key);
        again.request = puppet_request(GH_PRIV_FORGET_KEY);
        again.request.sign.key = r.reply.id;
        puppet_do(&p, &again, &r);
        assert_int_equal(r.rc, 0);
        puppet_do(&p, &again, &r);
        assert_int_equal(r.rc, GH_ERR_NOT_FOUND);
    }
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    for (size_t at = 0; at < 98; at += 7) { /* anything else than what a handshake signs: a certificate, say */
        o.request.sign.data[at] ^= 1;
        puppet_do(&p, &o, &r);
        assert_int_equal(r.rc, GH_ERR_DENIED);
        o.request.sign.data[at] ^= 1;
    }
    /* and the file itself goes to nobody */
    file = puppet_path(GH_PRIV_OPEN_FILE, &p, "key.pem");
    assert_int_equal(puppet_call(&p, &file), GH_ERR_DENIED);
    puppet_close(&p);
}

/* What a server of TLS 1.2 signs (RFC 8422, section 5.4; RFC 8446, section 4.1.3), with X25519. */
static struct gh_priv_request key_exchange(uint32_t key)
{
    struct gh_priv_request q = puppet_request(GH_PRIV_SIGN);

    q.sign.key = key;
    q.sign.scheme = 0x0807;
    q.sign.len = 64 + 4 + 32;
    for (unsigned i = 0; i < q.sign.len; i++)
        q.sign.data[i] = (uint8_t)(i * 7);
    memcpy(q.sign.data + 56, "DOWNGRD\001\003\000\035\040", 12);
    return q;
}

static void a_key_signs_for_tls_1_2_only_when_it_was_opened_for_that(void **state)
{
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
                              "-----END PRIVATE KEY-----\n";
    struct puppet_order o = { .op = PUPPET_CALL };
    struct gh_priv_request both, plain, other;
    struct puppet_report r;
    uint32_t strangers;
    struct puppet p;

    (void)state;
    puppet_open(&p, NULL);
    write_file(&p, "key.pem", pem);
    write_file(&p, "other.pem", pem);
    puppet_start(&p);
    both = plain = puppet_path(GH_PRIV_KEY, &p, "key.pem");
    both.mode = 1;
    other = puppet_path(GH_PRIV_KEY, &p, "other.pem");
    o.request = both;
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    strangers = r.reply.id;
    o.request = key_exchange(strangers);
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.reply.len, 64);
    o.request.sign.data[63] ^= 1; /* a server without TLS 1.3: somebody would believe it */
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, GH_ERR_DENIED);
    o.request = other;
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    o.request = key_exchange(r.reply.id);
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, GH_ERR_DENIED);
    o.request = plain;
    puppet_do(&p, &o, &r); /* the same file for both */
    assert_int_equal(r.rc, 0);
    o.request = key_exchange(r.reply.id);
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, GH_ERR_DENIED);
    o.request = key_exchange(strangers);
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    /* a child that runs makes no more of it than was named */
    o.request = puppet_request(GH_PRIV_RUN);
    puppet_do(&p, &o, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(puppet_call(&p, &both), 0);
    assert_int_equal(puppet_call(&p, &other), 0);
    other.mode = 1;
    assert_int_equal(puppet_call(&p, &other), GH_ERR_DENIED);
    other.mode = 2;
    assert_int_equal(puppet_call(&p, &other), GH_ERR_RANGE);
    puppet_close(&p);
}

static void files_sockets_and_folders_are_opened_as_asked(void **state)
{
    struct gh_priv_request folder, log, sock, missing, loop, public, taken;
    struct puppet p;
    struct stat st;
    char path[128];

    (void)state;
    puppet_open(&p, NULL);
    puppet_start(&p);
    folder = puppet_path(GH_PRIV_OPEN_STATE_DIR, &p, "state");
    log = puppet_path(GH_PRIV_OPEN_APPEND, &p, "audit.log");
    sock = puppet_path(GH_PRIV_OPEN_UNIX, &p, "admin.sock");
    sock.mode = 0660;
    missing = puppet_path(GH_PRIV_OPEN_FILE, &p, "nothing");
    loop = puppet_path(GH_PRIV_OPEN_FILE, &p, "state"); /* a folder is no file */
    public = puppet_path(GH_PRIV_OPEN_PUBLIC, &p, "resolv.conf");
    taken = puppet_path(GH_PRIV_OPEN_PUBLIC, &p, "audit.log");
    assert_int_equal(puppet_call(&p, &folder), 0);
    assert_int_equal(puppet_call(&p, &log), 0);
    assert_int_equal(puppet_call(&p, &public), 0);
    assert_int_equal(puppet_call(&p, &public), 0); /* the same again is the same file */
    assert_true(puppet_call(&p, &taken) < 0); /* somebody else's stays as it is */
    assert_int_equal(puppet_call(&p, &sock), 0);
    assert_int_equal(puppet_call(&p, &missing), GH_ERR_NOT_FOUND);
    assert_int_equal(puppet_call(&p, &loop), GH_ERR_RANGE);
    snprintf(path, sizeof path, "%s/state", p.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    snprintf(path, sizeof path, "%s/admin.sock", p.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    snprintf(path, sizeof path, "%s/resolv.conf", p.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    kill(p.parent, SIGKILL);
    puppet_wait(&p);
    puppet_part(&p);
    assert_int_equal(gh_priv_cleanup("puppet", p.dir), 2);
    assert_int_equal(stat(path, &st), -1); /* what is ours is gone, the log is not */
    snprintf(path, sizeof path, "%s/admin.sock", p.dir);
    assert_int_equal(stat(path, &st), -1);
    snprintf(path, sizeof path, "%s/audit.log", p.dir);
    assert_int_equal(stat(path, &st), 0);
    puppet_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_orderly_end_puts_the_machine_back),
        cmocka_unit_test(what_a_killed_parent_left_is_put_back_at_the_next_start),
        cmocka_unit_test(a_living_owner_is_left_alone),
        cmocka_unit_test(a_dead_child_is_followed_by_one_with_the_same_device_and_sockets),
        cmocka_unit_test(what_the_next_child_does_not_ask_for_is_given_up),
        cmocka_unit_test(a_child_has_no_right_and_names_nothing_new_when_it_runs),
        cmocka_unit_test(a_child_can_be_another_user_whose_folder_it_gets),
        cmocka_unit_test(a_message_that_is_no_request_is_refused_and_harmless),
        cmocka_unit_test(a_second_term_ends_a_child_that_does_not_listen),
        cmocka_unit_test(a_changed_file_comes_by_itself),
        cmocka_unit_test(a_reload_is_checked_by_a_short_lived_child_first),
        cmocka_unit_test(the_parent_signs_with_a_key_that_the_child_never_sees),
        cmocka_unit_test(a_key_signs_for_tls_1_2_only_when_it_was_opened_for_that),
        cmocka_unit_test(files_sockets_and_folders_are_opened_as_asked),
    };

    return !machine_enter() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
