#include "cli/ca.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "cli/ca_dir.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define POSITIONALS_MAX 3 /* verb, role, NAME */

static const char help_text[] =
    "Usage:\n"
    "  gatehouse ca init [--dir DIR] [--trust-domain DOMAIN] [--key ed25519|p256] [--json]\n"
    "  gatehouse ca issue relay|agent|connector NAME [--dns NAME]... [--ip ADDRESS]... [--days DAYS]\n"
    "                     [--key ed25519|p256] [--dir DIR] [--out DIR] [--force] [--json]\n"
    "  gatehouse ca list [--dir DIR] [--json]\n"
    "\n"
    "A certificate authority in a folder: ca.crt, ca.key and index.jsonl, which lists what was issued.\n"
    "The CA lives ten years. Keep ca.key away from relays and agents: they need ca.crt, NAME.crt and NAME.key.\n"
    "\n"
    "  --dir DIR              the CA's folder (certs)\n"
    "  --trust-domain DOMAIN  names the organisation in every identity (gatehouse.example)\n"
    "  --key ed25519|p256     kind of the new private key (ed25519)\n"
    "  --dns NAME, --ip ADDR  how agents reach a relay; may be given several times\n"
    "  --days DAYS            how long the certificate is valid (365)\n"
    "  --out DIR              where NAME.crt and NAME.key go (the CA's folder)\n"
    "  --force                replace NAME.crt and NAME.key\n"
    "  --json                 write the result as JSON\n"
    "\n"
    "Examples:\n"
    "  gatehouse ca init --trust-domain clinic.example\n"
    "  gatehouse ca issue relay relay --dns relay.clinic.example --ip 192.0.2.1\n"
    "  gatehouse ca issue agent client-1 --days 90\n"
    "  gatehouse ca list\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage.\n";

struct options {
    const char *positional[POSITIONALS_MAX];
    int positional_count;
    const char *dir, *out, *trust_domain, *key_text, *days_text;
    const char *dns[GH_CA_SANS_MAX];
    const char *ip[GH_CA_SANS_MAX];
    size_t dns_count, ip_count;
    bool force, json, help;
};

enum verb_bit { INIT = 1, ISSUE = 2, LIST = 4 };

/* What an option takes; one of <flag>, <text> and <list>. */
struct option_row {
    const char *name;
    unsigned verbs;
    bool *flag;
    const char **text;
    const char **list;
    size_t *count;
};

__attribute__((format(printf, 1, 2))) static int usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("gatehouse ca: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\nTry: gatehouse ca --help\n", stderr);
    va_end(args);
    return EXIT_USAGE;
}

static int failed(int rc, const char *why)
{
    fprintf(stderr, "gatehouse ca: %s\n", why);
    return rc == GH_ERR_RANGE ? EXIT_USAGE : EXIT_FAILED;
}

static int store_option(const struct option_row *row, const char *value)
{
    if (row->flag) {
        if (value)
            return usage("--%s takes no value", row->name);
        *row->flag = true;
        return 0;
    }
    if (!value || !*value)
        return usage("--%s needs a value", row->name);
    if (row->text) {
        *row->text = value;
        return 0;
    }
    if (*row->count == GH_CA_SANS_MAX)
        return usage("--%s may be given %u times", row->name, GH_CA_SANS_MAX);
    row->list[(*row->count)++] = value;
    return 0;
}

/* One "--name value", "--name=value" or "--flag" at <argv[*at]>, which is advanced. <given> collects the verbs that know every option. */
static int parse_option(const struct option_row *rows, int argc, char **argv, int *at, unsigned *given)
{
    const char *text = argv[(*at)++] + 2, *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);

    for (; rows->name; rows++) {
        const char *value = equals ? equals + 1 : NULL;

        if (strlen(rows->name) != len || memcmp(rows->name, text, len) != 0)
            continue;
        if (!value && !rows->flag && *at < argc)
            value = argv[(*at)++];
        *given &= rows->verbs;
        return store_option(rows, value);
    }
    return usage("no option --%.*s", (int)len, text);
}

static int parse(int argc, char **argv, struct options *o, unsigned *ret_given)
{
    const struct option_row rows[] = {
        { "dir", INIT | ISSUE | LIST, .text = &o->dir },
        { "out", ISSUE, .text = &o->out },
        { "trust-domain", INIT, .text = &o->trust_domain },
        { "key", INIT | ISSUE, .text = &o->key_text },
        { "days", ISSUE, .text = &o->days_text },
        { "dns", ISSUE, .list = o->dns, .count = &o->dns_count },
        { "ip", ISSUE, .list = o->ip, .count = &o->ip_count },
        { "force", ISSUE, .flag = &o->force },
        { "json", INIT | ISSUE | LIST, .flag = &o->json },
        { "help", INIT | ISSUE | LIST, .flag = &o->help },
        { 0 },
    };
    int rc = 0;

    *ret_given = INIT | ISSUE | LIST;
    for (int at = 1; rc == 0 && at < argc;) {
        if (strncmp(argv[at], "--", 2) == 0 && argv[at][2])
            rc = parse_option(rows, argc, argv, &at, ret_given);
        else if (strcmp(argv[at], "-h") == 0)
            o->help = true, at++;
        else if (o->positional_count == POSITIONALS_MAX)
            rc = usage("unexpected \"%s\"", argv[at]);
        else
            o->positional[o->positional_count++] = argv[at++];
    }
    return rc;
}

static int parse_key(const struct options *o, enum gh_ca_key *ret)
{
    if (gh_ca_key_parse(gh_span_str(o->key_text ? o->key_text : "ed25519"), ret) < 0)
        return usage("--key is \"%s\", not ed25519 or p256", o->key_text);
    return 0;
}

static const char *day_of(int64_t wall, char buf[32])
{
    time_t t = (time_t)wall;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(buf, 32, "%Y-%m-%d", &tm) == 0)
        snprintf(buf, 32, "?");
    return buf;
}

/* Takes <o> over. */
static int print_json(json_t *o)
{
    int rc = o && json_dumpf(o, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF && fflush(stdout) == 0 ? 0 : EXIT_FAILED;

    if (rc)
        fputs("gatehouse ca: the result could not be written\n", stderr);
    json_decref(o);
    return rc;
}

static int do_init(const struct options *o)
{
    struct gh_ca_request req = { .trust_domain = o->trust_domain ? o->trust_domain : "gatehouse.example", .now = time(NULL) };
    char ca_why[GH_CA_WHY], why[GH_CA_DIR_WHY];
    struct gh_ca *ca = NULL;
    int rc;

    if (o->positional_count != 1)
        return usage("init takes no \"%s\"", o->positional[1]);
    if (parse_key(o, &req.key))
        return EXIT_USAGE;
    rc = gh_ca_create(&req, &ca, ca_why);
    if (rc < 0)
        return failed(rc, ca_why);
    rc = gh_ca_dir_save(o->dir, ca, why);
    gh_ca_destroy(ca);
    if (rc < 0)
        return failed(rc, why);
    if (o->json)
        return print_json(json_pack("{s:i, s:s, s:s+, s:s+}", "version", 1, "trust_domain", req.trust_domain, "certificate", o->dir,
                                    "/ca.crt", "key", o->dir, "/ca.key"));
    printf("%s/ca.crt, %s/ca.key: a CA for the trust domain %s\n", o->dir, o->dir, req.trust_domain);
    return 0;
}

static int parse_days(const struct options *o, uint32_t *ret)
{
    char *end;
    unsigned long v;

    *ret = GH_CA_DAYS_DEFAULT;
    if (!o->days_text)
        return 0;
    v = strtoul(o->days_text, &end, 10);
    if (o->days_text[0] < '0' || o->days_text[0] > '9' || *end || v < 1 || v > GH_CA_YEARS * 366)
        return usage("--days is \"%s\", not 1 to %u", o->days_text, GH_CA_YEARS * 366);
    *ret = (uint32_t)v;
    return 0;
}

static int parse_addrs(const struct options *o, struct gh_ip ret[GH_CA_SANS_MAX])
{
    for (size_t i = 0; i < o->ip_count; i++)
        if (gh_ip_parse(o->ip[i], strlen(o->ip[i]), &ret[i]) < 0)
            return usage("--ip \"%s\" is not an IPv4 or IPv6 address", o->ip[i]);
    return 0;
}

static int print_issued(const struct options *o, const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf, const char *trust_domain)
{
    const char *role = gh_role_name(where->role);
    char day[32], cert[GH_CA_DIR_PATH], key[GH_CA_DIR_PATH], uri[512];

    snprintf(cert, sizeof cert, "%s/%s.crt", where->out, where->name);
    snprintf(key, sizeof key, "%s/%s.key", where->out, where->name);
    snprintf(uri, sizeof uri, "spiffe://%s/%s/%s", trust_domain, role, where->name);
    if (o->json)
        return print_json(json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "version", 1, "certificate", cert, "key", key, "identity",
                                    uri, "name", where->name, "role", role, "serial", leaf->serial, "not_after",
                                    (json_int_t)leaf->not_after));
    printf("%s, %s: %s, valid to %s\n", cert, key, uri, day_of(leaf->not_after, day));
    return 0;
}

static int issue_with(const struct options *o, const struct gh_leaf_request *req, const struct gh_ca_dir_leaf *where)
{
    char ca_why[GH_CA_WHY], why[GH_CA_DIR_WHY];
    struct gh_leaf leaf = { 0 };
    struct gh_ca *ca = NULL;
    int exit_code, rc = gh_ca_dir_check_leaf(where, why);

    if (rc == 0)
        rc = gh_ca_dir_load(o->dir, &ca, why);
    if (rc < 0)
        return failed(rc, why);
    rc = gh_ca_issue(ca, req, &leaf, ca_why);
    if (rc < 0) {
        exit_code = failed(rc, ca_why);
    } else {
        rc = gh_ca_dir_save_leaf(where, &leaf, why);
        exit_code = rc < 0 ? failed(rc, why) : print_issued(o, where, &leaf, gh_ca_trust_domain(ca));
    }
    gh_leaf_fini(&leaf);
    gh_ca_destroy(ca);
    return exit_code;
}

static int do_issue(const struct options *o)
{
    struct gh_ip addrs[GH_CA_SANS_MAX];
    struct gh_leaf_request req = { .dns = o->dns, .dns_count = o->dns_count, .addrs = addrs, .addr_count = o->ip_count, .now = time(NULL) };
    struct gh_ca_dir_leaf where = { .dir = o->dir, .out = o->out ? o->out : o->dir, .force = o->force };

    if (o->positional_count != 3)
        return usage("issue needs a role and a NAME: issue agent client-1");
    if (gh_role_parse(gh_span_str(o->positional[1]), &req.role) < 0)
        return usage("\"%s\" is not relay, agent or connector", o->positional[1]);
    req.name = where.name = o->positional[2];
    where.role = req.role;
    if (!gh_identity_name_valid(gh_span_str(req.name)))
        return usage("NAME \"%s\" is not 1 to %u of A-Z a-z 0-9 . _ -", req.name, GH_IDENTITY_NAME_MAX);
    if (strcmp(req.name, "ca") == 0)
        return usage("NAME \"ca\" is what the CA's own files are called");
    if (parse_key(o, &req.key) || parse_days(o, &req.days) || parse_addrs(o, addrs))
        return EXIT_USAGE;
    return issue_with(o, &req, &where);
}

static void print_list(const json_t *list)
{
    size_t i;
    const json_t *o;

    if (json_array_size(list) > 0)
        printf("%-9s %-24s %-8s %-10s  %s\n", "ROLE", "NAME", "STATUS", "NOT AFTER", "SERIAL");
    json_array_foreach(list, i, o) {
        char day[32];

        printf("%-9s %-24s %-8s %-10s  %s\n", json_string_value(json_object_get(o, "role")), json_string_value(json_object_get(o, "name")),
               json_string_value(json_object_get(o, "status")), day_of(json_integer_value(json_object_get(o, "not_after")), day),
               json_string_value(json_object_get(o, "serial")));
    }
}

static int do_list(const struct options *o)
{
    char why[GH_CA_DIR_WHY];
    json_t *list = NULL;
    unsigned bad = 0;
    int rc, exit_code = 0;

    if (o->positional_count != 1)
        return usage("list takes no \"%s\"", o->positional[1]);
    rc = gh_ca_dir_list(o->dir, time(NULL), &list, &bad, why);
    if (rc < 0)
        return failed(rc, why);
    if (o->json) {
        exit_code = print_json(json_pack("{s:i, s:o}", "version", 1, "certificates", list));
    } else {
        print_list(list);
        json_decref(list);
    }
    if (bad > 0) {
        fprintf(stderr, "gatehouse ca: %s/index.jsonl: %u lines are no records\n", o->dir, bad);
        exit_code = EXIT_FAILED;
    }
    return exit_code;
}

int gh_cli_ca(int argc, char **argv)
{
    static const struct {
        const char *name;
        unsigned bit;
        int (*run)(const struct options *o);
    } verbs[] = { { "init", INIT, do_init }, { "issue", ISSUE, do_issue }, { "list", LIST, do_list } };
    struct options o = { .dir = "certs" };
    unsigned given;
    int rc = parse(argc, argv, &o, &given);

    if (rc)
        return rc;
    if (o.help) {
        fputs(help_text, stdout);
        return 0;
    }
    if (o.positional_count == 0)
        return usage("say init, issue or list");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, o.positional[0]) != 0)
            continue;
        return given & verbs[i].bit ? verbs[i].run(&o) : usage("%s does not take one of these options", verbs[i].name);
    }
    return usage("\"%s\" is not init, issue or list", o.positional[0]);
}
