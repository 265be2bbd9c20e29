#include "cli/first_start.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/ca_dir_internal.h"
#include "cli/own_file.h"
#include "cli/user.h"
#include "core/ech_file.h"
#include "core/node_conf.h"
#include "core/users_file.h"
#include "crypto/cert.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/self_signed.h"
#include "os/folder.h"
#include "os/sock.h"
#include "wire/link.h"

#define CONFIG "first-start.yaml"
#define USER "first"
#define TEXT_MAX 65536u

static const char policy[] =
    "# Made at the first start. Who may reach what; docs/policy.md has the language.\n"
    "# Whoever is not named under clients reaches nothing: give users that you add the group internet, or rules of their own.\n"
    "version: \"1.0\"\n"
    "metadata: { name: first start, description: the internet and not the networks beside this host }\n"
    "default_action: deny\n"
    "groups:\n"
    "  internet:\n"
    "    description: everything but private networks\n"
    "    rules:\n"
    "      - id: private\n"
    "        type: ip_cidr\n"
    "        action: deny\n"
    "        destinations: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \"fc00::/7\"]\n"
    "      - { id: internet, type: default, action: allow }\n"
    "clients:\n"
    "  " USER ": { groups: [internet] }\n";

static const char config[] =
    "# Written at each start without a configuration. To change it, copy it to /etc/gatehouse/gatehouse.yaml: then that one counts, and this is written no more.\n"
    "relay:\n"
    "  listen: [] # agents come in by the door alone\n"
    "  certificate: ${state_dir}/door.crt\n"
    "  key: ${state_dir}/door.key\n"
    "  trust_domain: gatehouse.internal\n"
    "  policy: ${state_dir}/policy.yaml\n"
    "door:\n"
    "  hop_ports: 10020-10119\n"
    "  ech: { keys_file: \"${state_dir}/ech.yaml\" }\n"
    "  tunnel_name: %s\n"
    "  auth: { users_file: \"${state_dir}/users\" }\n";

struct first {
    const struct gh_conf_section *const *sections;
    const char *const *env;
    struct gh_node_conf node;
    char host[256];       /* what the world sees: the public name of ECH and the certificate's */
    struct gh_link link;
};

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "gatehoused: first start: %s%s%s\n", what, why ? ": " : "", why ? why : "");
    return GH_ERR_STATE;
}

/* ---- files of the state folder ---- */

static void path_of(const struct first *f, const char *name, char ret[GH_CA_DIR_PATH])
{
    snprintf(ret, GH_CA_DIR_PATH, "%s/%s", f->node.state_dir, name);
}

static bool there(const struct first *f, const char *name)
{
    char path[GH_CA_DIR_PATH];

    path_of(f, name, path);
    return access(path, F_OK) == 0;
}

static int write_file(const struct first *f, const char *name, const char *text, size_t len)
{
    char path[GH_CA_DIR_PATH], why[GH_CA_DIR_WHY];

    path_of(f, name, path);
    return gh_own_file_save(path, text, len, true, why) < 0 ? failed("a file cannot be written", why) : 0;
}

static int read_file(const struct first *f, const char *name, char **ret, size_t *ret_len)
{
    char path[GH_CA_DIR_PATH], why[GH_CA_DIR_WHY];

    path_of(f, name, path);
    return ca_dir_read_file(path, TEXT_MAX, ret, ret_len, why) < 0 ? failed("a file cannot be read", why) : 0;
}

/* ---- what is made ---- */

/* The name of this host, if it has one that says where in the world it is; else one that nobody has. Borrowed names are none of ours. */
static void host_name(char ret[256])
{
    struct gh_link probe;
    char text[300];

    if (gethostname(ret, 240) < 0)
        ret[0] = 0;
    ret[240] = 0;
    for (char *c = ret; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    snprintf(text, sizeof text, "k2v5://%s", ret);
    if (gh_ca_dns_check(ret) < 0 || gh_link_parse(gh_span_str(text), &probe) < 0)
        strcpy(ret, "host");
    if (!strchr(ret, '.'))
        strcat(ret, ".internal");
}

static int make_ech(struct first *f)
{
    const struct gh_ech_request req = { .public_name = f->host };
    char why[GH_ECH_WHY] = "";
    struct gh_pem pem = { 0 };
    struct gh_ech_file_key key;
    struct gh_text text;
    int rc;

    if (there(f, "ech.yaml"))
        return 0;
    if (gh_ech_generate(&req, &pem, why) < 0)
        return failed("a key of ECH cannot be made", why);
    key = (struct gh_ech_file_key){ time(NULL), gh_span_of(pem.text, pem.len) };
    gh_text_init(&text, TEXT_MAX);
    gh_ech_file_emit(&key, 1, &text);
    rc = text.failed ? failed("out of memory", NULL) : write_file(f, "ech.yaml", text.data, text.len);
    if (text.data)
        gh_wipe(text.data, text.len);
    gh_text_fini(&text);
    gh_pem_fini(&pem);
    return rc;
}

static int read_ech(struct first *f)
{
    struct gh_conf_errors errors;
    struct gh_ech_file file = { .count = 0 };
    struct gh_ech_key_info info;
    char *text = NULL;
    size_t len = 0;
    int rc = read_file(f, "ech.yaml", &text, &len);

    if (rc < 0)
        return rc;
    gh_conf_errors_init(&errors);
    rc = gh_ech_file_read(gh_span_of(text, len), time(NULL), GH_ECH_KEEP, &errors, &file);
    if (rc < 0)
        rc = failed("ech.yaml", errors.count ? errors.list[0].text : gh_error_text(rc));
    else if (!gh_ech_keys_info(file.set, 0, &info) || info.list.len > sizeof f->link.ech)
        rc = failed("ech.yaml", "it has no key for a link");
    if (rc == 0) {
        memcpy(f->link.ech, info.list.data, info.list.len);
        f->link.ech_len = info.list.len;
    }
    gh_ech_file_fini(&file);
    gh_conf_errors_fini(&errors);
    ca_dir_free(text, len);
    return rc;
}

/* The key first: a certificate without one is made again. */
static int make_certificate(struct first *f)
{
    char why[GH_CA_WHY] = "";
    struct gh_leaf leaf;
    int rc;

    if (there(f, "door.key") && there(f, "door.crt"))
        return 0;
    if (gh_self_signed_create(f->host, time(NULL), &leaf, why) < 0)
        return failed("a certificate cannot be made", why);
    rc = write_file(f, "door.key", leaf.key.text, leaf.key.len);
    if (rc == 0)
        rc = write_file(f, "door.crt", leaf.cert.text, leaf.cert.len);
    gh_leaf_fini(&leaf);
    return rc;
}

static int read_certificate(struct first *f)
{
    struct gh_cert *cert = NULL;
    char *text = NULL;
    size_t len = 0;
    int rc = read_file(f, "door.crt", &text, &len);

    if (rc < 0)
        return rc;
    if (gh_cert_parse_pem(gh_span_of(text, len), &cert) < 0 || gh_cert_spki_sha256(cert, f->link.pin) < 0)
        rc = failed("door.crt", "it is no certificate");
    f->link.has_pin = rc == 0;
    gh_cert_destroy(cert);
    ca_dir_free(text, len);
    return rc;
}

static int random_name(char ret[GH_LINK_HOST_MAX + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t bytes[16];

    if (gh_random_bytes(bytes, sizeof bytes) < 0)
        return failed("there is no randomness", NULL);
    for (size_t i = 0; i < sizeof bytes; i++)
        ret[i] = letters[bytes[i] % 32];
    strcpy(ret + sizeof bytes, ".internal");
    return 0;
}

/* The link of the last start has what is nowhere else: the tunnel's name, and a token as it is. */
static int take_link(struct first *f)
{
    struct gh_link old;
    struct gh_token_hash hash;
    char path[GH_CA_DIR_PATH], *text = NULL;
    size_t len = 0;
    int rc;

    if (there(f, "link") && read_file(f, "link", &text, &len) == 0) {
        while (len && text[len - 1] == '\n')
            len--;
        rc = gh_link_parse(gh_span_of(text, len), &old);
        ca_dir_free(text, len);
        if (rc < 0 || !gh_identity_name_valid(gh_span_str(old.user)) || !strchr(old.host, '.') || strchr(old.host, ':'))
            return failed("link", "it is none of ours; remove the file for a new name and a new token");
        strcpy(f->link.user, old.user);
        strcpy(f->link.token, old.token);
        strcpy(f->link.host, old.host);
        if (there(f, "users"))
            return 0;
    } else if (random_name(f->link.host) < 0 || gh_token_make(f->link.token) < 0) {
        return failed("there is no randomness", NULL);
    } else {
        strcpy(f->link.user, USER);
    }
    path_of(f, "users", path);
    rc = gh_token_hash_make(gh_span_str(f->link.token), GH_TOKEN_SHA256, &hash);
    return rc == 0 && gh_user_put(path, f->link.user, &hash) == 0 ? 0 : failed("a user cannot be made", NULL);
}

/* The address with which this host would speak to the world; nothing is sent. */
static struct gh_ip own_address(uint8_t family)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(9) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
    const struct sockaddr *to = family == 4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
    struct gh_endpoint local;
    struct gh_ip none = { .family = 0 };
    int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good;

    (void)inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr);
    (void)inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
    good = fd >= 0 && connect(fd, to, family == 4 ? sizeof v4 : sizeof v6) == 0 && gh_sock_local(fd, &local) == 0;
    if (fd >= 0)
        close(fd);
    return good && !gh_ip_is_link_local(&local.ip) && !gh_ip_is_zero(&local.ip) ? local.ip : none;
}

static int write_link(struct first *f, char *ret, size_t cap)
{
    char *old = NULL;
    size_t old_len = 0;
    int len, rc = 0;

    f->link.ip = own_address(4);
    f->link.ip6 = own_address(6);
    snprintf(f->link.name, sizeof f->link.name, "%s", f->host);
    len = gh_link_emit(&f->link, ret, cap - 1);
    if (len < 0)
        return failed("the link cannot be written", gh_error_text(len));
    strcpy(ret + len, "\n");
    if (!there(f, "link") || read_file(f, "link", &old, &old_len) < 0 || old_len != (size_t)len + 1 || memcmp(old, ret, old_len) != 0)
        rc = write_file(f, "link", ret, (size_t)len + 1);
    ca_dir_free(old, old_len);
    return rc;
}

/* ---- the configuration ---- */

static unsigned row_of(const struct gh_conf_section *s, const char *name)
{
    unsigned row = 0;

    while (s->rows[row].name && strcmp(s->rows[row].name, name) != 0)
        row++;
    return row;
}

/* What the environment may have changed. */
static void look_at_door(struct first *f, const struct gh_conf *conf)
{
    for (size_t i = 0; f->sections[i]; i++) {
        const struct gh_conf_section *s = f->sections[i];
        const struct gh_conf_addr *listen;
        unsigned first, last;
        size_t count;

        if (strcmp(s->name, "door") != 0)
            continue;
        listen = gh_conf_addrs(conf, s, row_of(s, "listen"), &count);
        if (count)
            f->link.port = listen[0].port;
        if (sscanf(gh_conf_string(conf, s, row_of(s, "hop_ports")), "%u-%u", &first, &last) == 2) {
            f->link.hop[0] = (uint16_t)first;
            f->link.hop[1] = (uint16_t)last;
        }
    }
}

static int parse(struct first *f, const char *text, const char *file, struct gh_conf **ret)
{
    const struct gh_conf_input in = { .yaml = gh_span_str(text), .file = file, .env = f->env, .sections = f->sections };
    struct gh_conf_errors errors;
    struct gh_text lines;
    int rc;

    gh_conf_errors_init(&errors);
    rc = gh_conf_parse(&in, &errors, ret);
    if (rc < 0) {
        gh_text_init(&lines, TEXT_MAX);
        gh_conf_errors_emit(&errors, &lines);
        fputs(gh_text_string(&lines), stderr);
        gh_text_fini(&lines);
    }
    gh_conf_errors_fini(&errors);
    return rc;
}

/* systemd: JOURNAL_STREAM is "device:inode" of what leads to the journal, which more people read than should have the link. */
static bool is_journal(const struct first *f, FILE *out)
{
    unsigned long long device = 0, inode = 0;
    const char *said = NULL;
    struct stat st;

    for (const char *const *env = f->env; env && *env && !said; env++)
        said = strncmp(*env, "JOURNAL_STREAM=", 15) == 0 ? *env + 15 : NULL;
    return said && sscanf(said, "%llu:%llu", &device, &inode) == 2 && fstat(fileno(out), &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static void print_hints(const struct first *f, const char *link, FILE *out)
{
    const struct gh_link *l = &f->link;

    fprintf(out, "Gatehouse has no configuration and goes by what it made in %s.\n\n", f->node.state_dir);
    if (is_journal(f, out))
        fputs("Connect with the link that `gatehouse link` prints. It has a token in it and so is not shown here.\n", out);
    else
        fprintf(out, "Connect with this link, which has a token in it: keep it as a password. `gatehouse link` prints it again.\n\n%s\n", link);
    fprintf(out, "A firewall must let pass TCP and UDP %u", l->port);
    if (l->hop[0])
        fprintf(out, " and %u to %u, which lead to it", l->hop[0], l->hop[1]);
    fprintf(out, ", for example:\n\n  ufw allow %u\n", l->port);
    if (l->hop[0])
        fprintf(out, "  ufw allow %u:%u/tcp\n  ufw allow %u:%u/udp\n", l->hop[0], l->hop[1], l->hop[0], l->hop[1]);
    fprintf(out, "\nUser %s reaches the internet and no private network: %s/policy.yaml. The world sees the name %s.\n", l->user, f->node.state_dir, f->host);
    if (!l->ip.family && !l->ip6.family)
        fputs("This host has no address that leads out: the link has none, either.\n", out);
    else
        fputs("Behind a NAT the address in the link must be the one outside: change ip=.\n", out);
    fprintf(out, "To go on by a configuration of your own: cp %s/%s /etc/gatehouse/gatehouse.yaml\n\n", f->node.run_dir, CONFIG);
}

static int make_all(struct first *f, FILE *out, char ret[GH_FIRST_START_PATH])
{
    char text[sizeof config + 256], link[GH_LINK_MAX], why[GH_CA_DIR_WHY];
    struct gh_conf *conf = NULL;
    int rc = 0;

    if (gh_folder_make(f->node.state_dir, 0700) < 0)
        return failed(f->node.state_dir, strerror(errno));
    if (gh_folder_make(f->node.run_dir, 0755) < 0)
        return failed(f->node.run_dir, strerror(errno));
    if ((size_t)snprintf(ret, GH_FIRST_START_PATH, "%s/%s", f->node.run_dir, CONFIG) >= GH_FIRST_START_PATH)
        return failed("node.run_dir is too long", NULL);
    if (!there(f, "policy.yaml"))
        rc = write_file(f, "policy.yaml", policy, sizeof policy - 1);
    if (rc == 0)
        rc = make_ech(f);
    if (rc == 0)
        rc = make_certificate(f);
    if (rc == 0)
        rc = read_ech(f);
    if (rc == 0)
        rc = read_certificate(f);
    if (rc == 0)
        rc = take_link(f);
    if (rc < 0)
        return rc;
    snprintf(text, sizeof text, config, f->link.host);
    rc = parse(f, text, ret, &conf);
    if (rc == 0 && gh_own_file_save(ret, text, strlen(text), true, why) < 0)
        rc = failed("the configuration cannot be written", why);
    if (rc == 0) {
        look_at_door(f, conf);
        rc = write_link(f, link, sizeof link);
    }
    gh_conf_destroy(conf);
    if (rc == 0)
        print_hints(f, link, out);
    gh_wipe(link, sizeof link);
    return rc;
}

static int start_here(const struct gh_conf_section *const *sections, const char *const *env, FILE *out, char ret[GH_FIRST_START_PATH])
{
    struct first f = { .sections = sections, .env = env, .link.port = GH_LINK_PORT };
    struct gh_conf *conf = NULL;
    char text[sizeof config + 256];
    int rc;

    snprintf(text, sizeof text, config, "first.internal"); /* to learn the folders */
    rc = parse(&f, text, "first start", &conf);
    if (rc < 0)
        return rc;
    gh_node_conf_load(conf, &f.node);
    host_name(f.host);
    rc = make_all(&f, out, ret);
    gh_conf_destroy(conf);
    gh_wipe(&f.link, sizeof f.link);
    return rc;
}

int gh_first_start(const struct gh_conf_section *const *sections, const char *const *env, FILE *out, char ret[GH_FIRST_START_PATH])
{
    char path[GH_FIRST_START_PATH] = "";
    int ends[2], status = 0;
    ssize_t n;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return GH_ERR_SYSTEM;
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int rc = start_here(sections, env, out, path);

        if (fflush(out) != 0)
            rc = failed("the link cannot be printed", strerror(errno));
        /* less than PIPE_BUF: one write, whole */
        _exit(rc == 0 && write(ends[1], path, sizeof path) == (ssize_t)sizeof path ? 0 : 1);
    }
    close(ends[1]);
    do
        n = pid < 0 ? -1 : read(ends[0], path, sizeof path);
    while (n < 0 && pid > 0 && errno == EINTR);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof path || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return GH_ERR_STATE;
    memcpy(ret, path, sizeof path);
    return 0;
}
