#include "cli/ca.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "cli/ca_dir.h"
#include "cli/ca_internal.h"

static const char help_text[] =
    "usage: gatehouse ca init [--dir DIR] [--trust-domain DOMAIN] [--key ed25519|p256] [--json]\n"
    "       gatehouse ca issue relay|agent|connector NAME [--dns NAME]... [--ip ADDRESS]... [--days DAYS]\n"
    "                          [--key ed25519|p256] [--dir DIR] [--out DIR] [--force] [--json]\n"
    "       gatehouse ca renew NAME [--days DAYS] [--new-key [--key ed25519|p256]] [--certificate FILE]\n"
    "                          [--dir DIR] [--out DIR] [--force] [--json]\n"
    "       gatehouse ca revoke NAME|SERIAL [--reason REASON] [--days DAYS] [--dir DIR] [--json]\n"
    "       gatehouse ca crl [--days DAYS] [--dir DIR] [--json]\n"
    "       gatehouse ca list [--dir DIR] [--json]\n"
    "\n"
    "A certificate authority in a folder: ca.crt, ca.key, ca.crl and index.jsonl, which lists what was issued and revoked.\n"
    "The CA lives ten years. Keep ca.key away from relays and agents: they need ca.crt, NAME.crt and NAME.key.\n"
    "A relay takes ca.crl as relay.crl, and index.jsonl as relay.pins_file, as soon as the files change.\n"
    "\n"
    "renew makes a new certificate for the key that NAME has; the old one stays valid until it is revoked or expires.\n"
    "revoke takes every valid certificate of NAME, or the one with that serial number, and writes ca.crl.\n"
    "crl writes ca.crl again: do so before its time is up.\n"
    "\n"
    "  --dir DIR              the CA's folder (certs)\n"
    "  --trust-domain DOMAIN  names the organisation in every identity (gatehouse.example)\n"
    "  --key ed25519|p256     kind of the new private key (p256, which OpenSSL checks in\n"
    "                         half the time; renew: as it was)\n"
    "  --dns NAME, --ip ADDR  how agents reach a relay; may be given several times\n"
    "  --days DAYS            how long the certificate is valid (365); revoke, crl: until the next list (30)\n"
    "  --out DIR              where NAME.crt and NAME.key go (the CA's folder)\n"
    "  --certificate FILE     the certificate to renew (NAME.crt in the CA's folder)\n"
    "  --new-key              make a new private key as well\n"
    "  --reason REASON        unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or\n"
    "                         privilegeWithdrawn (unspecified)\n"
    "  --force                replace NAME.crt and NAME.key\n"
    "  --json                 write the result as JSON\n"
    "\n"
    "examples:\n"
    "  gatehouse ca init --trust-domain clinic.example\n"
    "  gatehouse ca issue relay relay --dns relay.clinic.example --ip 192.0.2.1\n"
    "  gatehouse ca issue agent client-1 --days 90\n"
    "  gatehouse ca renew client-1 --days 90 --force\n"
    "  gatehouse ca revoke client-1 --reason keyCompromise\n"
    "  gatehouse ca crl --days 7\n"
    "  gatehouse ca list\n"
    "\n"
    "exit codes: 0 done, 1 failed, 2 usage.\n";

enum verb_bit { INIT = 1, ISSUE = 2, LIST = 4, REVOKE = 8, RENEW = 16, CRL = 32, ALL = 63 };

/* What an option takes; one of <flag>, <text> and <list>. */
struct option_row {
    const char *name;
    unsigned verbs;
    bool *flag;
    const char **text;
    const char **list;
    size_t *count;
};

int ca_usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("gatehouse ca: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\nTry: gatehouse ca --help\n", stderr);
    va_end(args);
    return CA_EXIT_USAGE;
}

int ca_failed(int rc, const char *why)
{
    fprintf(stderr, "gatehouse ca: %s\n", why);
    return rc == GH_ERR_RANGE ? CA_EXIT_USAGE : CA_EXIT_FAILED;
}

static int store_option(const struct option_row *row, const char *value)
{
    if (row->flag) {
        if (value)
            return ca_usage("--%s takes no value", row->name);
        *row->flag = true;
        return 0;
    }
    if (!value || !*value)
        return ca_usage("--%s needs a value", row->name);
    if (row->text) {
        *row->text = value;
        return 0;
    }
    if (*row->count == GH_CA_SANS_MAX)
        return ca_usage("--%s may be given %u times", row->name, GH_CA_SANS_MAX);
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
    return ca_usage("no option --%.*s", (int)len, text);
}

static int parse(int argc, char **argv, struct ca_options *o, unsigned *ret_given)
{
    const struct option_row rows[] = {
        { "dir", ALL, .text = &o->dir },
        { "out", ISSUE | RENEW, .text = &o->out },
        { "trust-domain", INIT, .text = &o->trust_domain },
        { "key", INIT | ISSUE | RENEW, .text = &o->key_text },
        { "days", ISSUE | RENEW | REVOKE | CRL, .text = &o->days_text },
        { "dns", ISSUE, .list = o->dns, .count = &o->dns_count },
        { "ip", ISSUE, .list = o->ip, .count = &o->ip_count },
        { "certificate", RENEW, .text = &o->certificate },
        { "reason", REVOKE, .text = &o->reason },
        { "new-key", RENEW, .flag = &o->new_key },
        { "force", ISSUE | RENEW, .flag = &o->force },
        { "json", ALL, .flag = &o->json },
        { "help", ALL, .flag = &o->help },
        { 0 },
    };
    int rc = 0;

    *ret_given = ALL;
    for (int at = 1; rc == 0 && at < argc;) {
        if (strncmp(argv[at], "--", 2) == 0 && argv[at][2])
            rc = parse_option(rows, argc, argv, &at, ret_given);
        else if (strcmp(argv[at], "-h") == 0)
            o->help = true, at++;
        else if (o->positional_count == CA_POSITIONALS_MAX)
            rc = ca_usage("unexpected \"%s\"", argv[at]);
        else
            o->positional[o->positional_count++] = argv[at++];
    }
    return rc;
}

int ca_parse_key(const struct ca_options *o, enum gh_ca_key *ret)
{
    if (gh_ca_key_parse(gh_span_str(o->key_text ? o->key_text : "p256"), ret) < 0)
        return ca_usage("--key is \"%s\", not ed25519 or p256", o->key_text);
    return 0;
}

const char *ca_day_of(int64_t wall, char buf[32])
{
    time_t t = (time_t)wall;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(buf, 32, "%Y-%m-%d", &tm) == 0)
        snprintf(buf, 32, "?");
    return buf;
}

/* Takes <o> over. */
int ca_print_json(json_t *o)
{
    int rc = o && json_dumpf(o, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF && fflush(stdout) == 0 ? 0 : CA_EXIT_FAILED;

    if (rc)
        fputs("gatehouse ca: the result could not be written\n", stderr);
    json_decref(o);
    return rc;
}

static int do_init(const struct ca_options *o)
{
    struct gh_ca_request req = { .trust_domain = o->trust_domain ? o->trust_domain : "gatehouse.example", .now = time(NULL) };
    char ca_why[GH_CA_WHY], why[GH_CA_DIR_WHY];
    struct gh_ca *ca = NULL;
    int rc;

    if (o->positional_count != 1)
        return ca_usage("init takes no \"%s\"", o->positional[1]);
    if (ca_parse_key(o, &req.key))
        return CA_EXIT_USAGE;
    rc = gh_ca_create(&req, &ca, ca_why);
    if (rc < 0)
        return ca_failed(rc, ca_why);
    rc = gh_ca_dir_save(o->dir, ca, why);
    gh_ca_destroy(ca);
    if (rc < 0)
        return ca_failed(rc, why);
    if (o->json)
        return ca_print_json(json_pack("{s:i, s:s, s:s+, s:s+}", "version", 1, "trust_domain", req.trust_domain, "certificate", o->dir,
                                    "/ca.crt", "key", o->dir, "/ca.key"));
    printf("%s/ca.crt, %s/ca.key: a CA for the trust domain %s\n", o->dir, o->dir, req.trust_domain);
    return 0;
}

int ca_parse_days(const struct ca_options *o, uint32_t dflt, uint32_t *ret)
{
    char *end;
    unsigned long v;

    *ret = dflt;
    if (!o->days_text)
        return 0;
    v = strtoul(o->days_text, &end, 10);
    if (o->days_text[0] < '0' || o->days_text[0] > '9' || *end || v < 1 || v > GH_CA_YEARS * 366)
        return ca_usage("--days is \"%s\", not 1 to %u", o->days_text, GH_CA_YEARS * 366);
    *ret = (uint32_t)v;
    return 0;
}

static int parse_addrs(const struct ca_options *o, struct gh_ip ret[GH_CA_SANS_MAX])
{
    for (size_t i = 0; i < o->ip_count; i++)
        if (gh_ip_parse(o->ip[i], strlen(o->ip[i]), &ret[i]) < 0)
            return ca_usage("--ip \"%s\" is not an IPv4 or IPv6 address", o->ip[i]);
    return 0;
}

static int print_issued(const struct ca_options *o, const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf, const char *trust_domain)
{
    const char *role = gh_role_name(where->role);
    char day[32], cert[GH_CA_DIR_PATH], key[GH_CA_DIR_PATH], uri[512];

    snprintf(cert, sizeof cert, "%s/%s.crt", where->out, where->name);
    snprintf(key, sizeof key, "%s/%s.key", where->out, where->name);
    snprintf(uri, sizeof uri, "spiffe://%s/%s/%s", trust_domain, role, where->name);
    if (o->json)
        return ca_print_json(json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "version", 1, "certificate", cert, "key", key, "identity",
                                    uri, "name", where->name, "role", role, "serial", leaf->serial, "not_after",
                                    (json_int_t)leaf->not_after));
    printf("%s, %s: %s, valid to %s\n", cert, key, uri, ca_day_of(leaf->not_after, day));
    return 0;
}

static int issue_with(const struct ca_options *o, const struct gh_leaf_request *req, const struct gh_ca_dir_leaf *where)
{
    char ca_why[GH_CA_WHY], why[GH_CA_DIR_WHY];
    struct gh_leaf leaf = { 0 };
    struct gh_ca *ca = NULL;
    int exit_code, rc = gh_ca_dir_check_leaf(where, why);

    if (rc == 0)
        rc = gh_ca_dir_load(o->dir, &ca, why);
    if (rc < 0)
        return ca_failed(rc, why);
    rc = gh_ca_issue(ca, req, &leaf, ca_why);
    if (rc < 0) {
        exit_code = ca_failed(rc, ca_why);
    } else {
        rc = gh_ca_dir_save_leaf(where, &leaf, why);
        exit_code = rc < 0 ? ca_failed(rc, why) : print_issued(o, where, &leaf, gh_ca_trust_domain(ca));
    }
    gh_leaf_fini(&leaf);
    gh_ca_destroy(ca);
    return exit_code;
}

static int do_issue(const struct ca_options *o)
{
    struct gh_ip addrs[GH_CA_SANS_MAX];
    struct gh_leaf_request req = { .dns = o->dns, .dns_count = o->dns_count, .addrs = addrs, .addr_count = o->ip_count, .now = time(NULL) };
    struct gh_ca_dir_leaf where = { .dir = o->dir, .out = o->out ? o->out : o->dir, .force = o->force };

    if (o->positional_count != 3)
        return ca_usage("issue needs a role and a NAME: issue agent client-1");
    if (gh_role_parse(gh_span_str(o->positional[1]), &req.role) < 0)
        return ca_usage("\"%s\" is not relay, agent or connector", o->positional[1]);
    req.name = where.name = o->positional[2];
    where.role = req.role;
    if (!gh_identity_name_valid(gh_span_str(req.name)))
        return ca_usage("NAME \"%s\" is not 1 to %u of A-Z a-z 0-9 . _ -", req.name, GH_IDENTITY_NAME_MAX);
    if (strcmp(req.name, "ca") == 0)
        return ca_usage("NAME \"ca\" is what the CA's own files are called");
    if (ca_parse_key(o, &req.key) || ca_parse_days(o, GH_CA_DAYS_DEFAULT, &req.days) || parse_addrs(o, addrs))
        return CA_EXIT_USAGE;
    return issue_with(o, &req, &where);
}

int gh_cli_ca(int argc, char **argv)
{
    static const struct {
        const char *name;
        unsigned bit;
        int (*run)(const struct ca_options *o);
    } verbs[] = { { "init", INIT, do_init },     { "issue", ISSUE, do_issue },       { "renew", RENEW, ca_do_renew },
                { "revoke", REVOKE, ca_do_revoke }, { "crl", CRL, ca_do_crl }, { "list", LIST, ca_do_list } };
    struct ca_options o = { .dir = "certs" };
    unsigned given;
    int rc = parse(argc, argv, &o, &given);

    if (rc)
        return rc;
    if (o.help) {
        fputs(help_text, stdout);
        return 0;
    }
    if (o.positional_count == 0)
        return ca_usage("say init, issue, renew, revoke, crl or list");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, o.positional[0]) != 0)
            continue;
        return given & verbs[i].bit ? verbs[i].run(&o) : ca_usage("%s does not take one of these options", verbs[i].name);
    }
    return ca_usage("\"%s\" is not init, issue, renew, revoke, crl or list", o.positional[0]);
}
