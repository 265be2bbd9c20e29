#include "cli/conform.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/conform_road.h"
#include "core/conf.h"
#include "os/clock.h"
#include "os/resolve.h"
#include "proto/conform/check.h"
#include "wire/uri_template.h"

#define PEM_MAX (4u << 20)
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"
#define ROWS_MAX 32 /* that may be named */

const char gh_cli_conform_usage[] =
    "conform [--cert FILE --key FILE] [--ca FILE] [--row ID]… [--timeout SECONDS] [--tap | --json] URL\n\n"
    "  tries the rules of HTTP/3, HTTP Datagrams and CONNECT-IP that a client can see on the proxy at URL, each on a connection\n"
    "  of its own; URL may be the proxy's URI template, else /.well-known/masque/ip/{target}/{ipproto}/ is added\n"
    "  --cert, --key  the client's certificate\n"
    "  --ca           who signs the proxy's (default: the system's)\n"
    "  --row          only these rows, such as H6 (may be repeated)\n"
    "  --timeout      for everything that is waited for (default 2)\n"
    "  --tap, --json  the report in that form\n\n"
    "example: gatehouse conform --cert client.crt --key client.key --ca ca.crt https://relay.example:4433\n"
    "exit codes: 0 every MUST is kept, 1 some are not, 2 usage, 4 nobody answers";

enum format { HUMAN, TAP, JSON };

struct options {
    const char *cert, *key, *ca, *rows[ROWS_MAX];
    size_t row_count;
    double timeout;
    enum format format;
};

struct place {
    char authority[300], host[256], path[GH_URI_TEMPLATE_MAX];
    uint16_t port;
};

struct tally {
    unsigned number, passed, failed, warned, skipped;
};

static int usage(const char *message)
{
    fprintf(stderr, "%s conform: %s\n", gh_cli_program(), message);
    gh_cli_print_usage(gh_cli_program(), gh_cli_conform_usage, false, stderr);
    fprintf(stderr, "%s conform --help says more\n", gh_cli_program());
    return GH_EXIT_USAGE;
}

/* Where to. */

static int split(const char *url, struct place *ret)
{
    struct gh_uri_template t;
    char text[GH_URI_TEMPLATE_MAX];
    size_t authority = strncmp(url, "https://", 8) == 0 ? strcspn(url + 8, "/") : 0, host;
    const char *end;

    if (authority == 0 || authority >= sizeof ret->authority || strlen(url) + 64 > sizeof text)
        return GH_ERR_MALFORMED;
    snprintf(text, sizeof text, "%.*s%s", (int)authority + 8, url, strlen(url) > authority + 9 ? url + 8 + authority : GH_URI_TEMPLATE_DEFAULT_PATH);
    if (gh_uri_template_parse(gh_span_str(text), &t) < 0)
        return GH_ERR_MALFORMED;
    snprintf(ret->authority, sizeof ret->authority, "%.*s", (int)authority, url + 8);
    snprintf(ret->path, sizeof ret->path, "%.*s", (int)t.path.len, (const char *)t.path.data);
    end = ret->authority[0] == '[' ? strchr(ret->authority, ']') : NULL;
    host = end ? (size_t)(end - ret->authority) - 1 : strcspn(ret->authority, ":");
    if (host == 0 || host >= sizeof ret->host)
        return GH_ERR_MALFORMED;
    snprintf(ret->host, sizeof ret->host, "%.*s", (int)host, ret->authority + (end ? 1 : 0));
    end = ret->authority + host + (end ? 2 : 0);
    ret->port = 443;
    if (*end == ':') {
        char *rest;
        unsigned long port = strtoul(end + 1, &rest, 10);

        if (*rest || rest == end + 1 || port == 0 || port > 65535)
            return GH_ERR_MALFORMED;
        ret->port = (uint16_t)port;
    } else if (*end) {
        return GH_ERR_MALFORMED;
    }
    return 0;
}

static int read_pem(const char *path, struct gh_text *ret)
{
    gh_text_init(ret, PEM_MAX);
    if (!path || gh_conf_read_file(path, ret) == 0)
        return 0;
    fprintf(stderr, "conform: %s cannot be read\n", path);
    return GH_ERR_SYSTEM;
}

static struct gh_tls_ctx *make_tls(const struct options *o)
{
    struct gh_text cert, key, ca;
    struct gh_tls_ctx *ctx = NULL;
    char err[256];
    int rc = read_pem(o->cert, &cert);

    rc = read_pem(o->key, &key) < 0 ? GH_ERR_SYSTEM : rc;
    rc = read_pem(o->ca ? o->ca : SYSTEM_CA, &ca) < 0 ? GH_ERR_SYSTEM : rc;
    if (rc == 0) {
        struct gh_tls_config cfg = { .certificate = { (uint8_t *)cert.data, cert.len }, .key = { (uint8_t *)key.data, key.len },
                                     .ca = { (uint8_t *)ca.data, ca.len }, .alpn = "h3" };

        rc = gh_tls_ctx_create(&cfg, &ctx, err, sizeof err);
        if (rc < 0)
            fprintf(stderr, "conform: %s\n", err);
    }
    if (key.data)
        explicit_bzero(key.data, key.cap);
    gh_text_fini(&cert);
    gh_text_fini(&key);
    gh_text_fini(&ca);
    return rc < 0 ? NULL : ctx;
}

/* The report. */

static const char *verdict_of(const struct gh_conform_row *row, const struct gh_conform_result *r)
{
    if (r->verdict == GH_CONFORM_FAILED && row->level == GH_CONFORM_SHOULD)
        return "warning";
    return r->verdict == GH_CONFORM_PASSED ? "passed" : r->verdict == GH_CONFORM_FAILED ? "failed" : "skipped";
}

static void count(struct tally *t, const struct gh_conform_row *row, const struct gh_conform_result *r)
{
    t->number++;
    if (r->verdict == GH_CONFORM_PASSED)
        t->passed++;
    else if (r->verdict == GH_CONFORM_SKIPPED)
        t->skipped++;
    else if (row->level == GH_CONFORM_SHOULD)
        t->warned++;
    else
        t->failed++;
}

static void print_tap(unsigned number, const struct gh_conform_row *row, const struct gh_conform_result *r)
{
    bool failed = r->verdict == GH_CONFORM_FAILED;

    printf("%s %u - %s %s (%s)", failed ? "not ok" : "ok", number, row->id, row->name, row->source);
    if (r->verdict == GH_CONFORM_SKIPPED)
        printf(" # SKIP %s", r->words);
    else if (failed && row->level == GH_CONFORM_SHOULD)
        printf(" # TODO a SHOULD"); /* TAP 13's own directive: it may fail without failing the report */
    putchar('\n');
    if (failed)
        printf("# %s\n", r->words);
}

static void print_json(unsigned number, const struct gh_conform_row *row, const struct gh_conform_result *r, int64_t time)
{
    struct gh_text t;

    gh_text_init(&t, 4096);
    gh_text_append(&t, number > 1 ? ",\n" : "\n");
    gh_text_append(&t, "{\"row\":");
    gh_text_append_json(&t, gh_span_str(row->id));
    gh_text_append(&t, ",\"name\":");
    gh_text_append_json(&t, gh_span_str(row->name));
    gh_text_append(&t, ",\"source\":");
    gh_text_append_json(&t, gh_span_str(row->source));
    gh_text_printf(&t, ",\"level\":\"%s\",\"verdict\":\"%s\",\"milliseconds\":%lld", row->level == GH_CONFORM_SHOULD ? "SHOULD" : "MUST",
                   verdict_of(row, r), (long long)(time / 1000000));
    gh_text_append(&t, ",\"seen\":");
    gh_text_append_json(&t, gh_span_str(r->words));
    gh_text_append(&t, "}");
    fputs(gh_text_string(&t), stdout);
    gh_text_fini(&t);
}

static void print_row(const struct options *o, const struct tally *t, const struct gh_conform_row *row, const struct gh_conform_result *r, int64_t time)
{
    if (o->format == TAP)
        print_tap(t->number, row, r);
    else if (o->format == JSON)
        print_json(t->number, row, r, time);
    else
        printf("%-8s %-4s %s%s%s%s%s%s\n", verdict_of(row, r), row->id, row->name, r->words[0] ? " (" : "", r->words[0] ? row->source : "",
               r->words[0] ? "): " : "", r->words, "");
    fflush(stdout);
}

/* The run. */

static bool is_wanted(const struct options *o, const struct gh_conform_row *row)
{
    for (size_t i = 0; i < o->row_count; i++)
        if (strcasecmp(o->rows[i], row->id) == 0)
            return true;
    return o->row_count == 0;
}

static unsigned rows_wanted(const struct options *o)
{
    unsigned n = 0;

    for (size_t i = 0; gh_conform_tables[i]; i++)
        for (const struct gh_conform_row *row = gh_conform_tables[i]; row->id; row++)
            n += is_wanted(o, row);
    return n;
}

static void print_begin(const struct options *o, const char *url)
{
    struct gh_text t;

    gh_text_init(&t, 4096);
    if (o->format == TAP)
        gh_text_printf(&t, "TAP version 14\n1..%u\n", rows_wanted(o));
    if (o->format == JSON) {
        gh_text_append(&t, "{\"version\":1,\"url\":");
        gh_text_append_json(&t, gh_span_str(url));
        gh_text_append(&t, ",\"rows\":[");
    }
    fputs(gh_text_string(&t), stdout);
    gh_text_fini(&t);
}

static void print_end(const struct options *o, const struct tally *t)
{
    if (o->format == JSON)
        printf("\n],\"passed\":%u,\"failed\":%u,\"warnings\":%u,\"skipped\":%u}\n", t->passed, t->failed, t->warned, t->skipped);
    else
        printf("%s%u passed, %u failed, %u warnings, %u skipped\n", o->format == TAP ? "# " : "", t->passed, t->failed, t->warned, t->skipped);
}

/* An exit code. */
static int run(const struct options *o, const char *url, struct gh_cli_conform_road *udp, const struct gh_conform_target *target)
{
    struct gh_conform_road road;
    struct tally tally = { 0 };

    gh_cli_conform_road(udp, &road);
    print_begin(o, url);
    for (size_t i = 0; gh_conform_tables[i]; i++) {
        for (const struct gh_conform_row *row = gh_conform_tables[i]; row->id; row++) {
            struct gh_conform_result result;
            int64_t start = gh_clock_now();

            if (!is_wanted(o, row))
                continue;
            gh_conform_run(row, &road, target, (int64_t)(o->timeout * 1e9), &result);
            if (tally.number == 0 && result.unreachable) {
                if (o->format == JSON)
                    print_end(o, &tally);
                else if (o->format == TAP)
                    printf("Bail out! %s\n", result.words);
                fprintf(stderr, "conform: %s: %s\n", url, result.words);
                return GH_EXIT_UNREACHABLE;
            }
            count(&tally, row, &result);
            print_row(o, &tally, row, &result, gh_clock_now() - start);
        }
    }
    print_end(o, &tally);
    return tally.failed ? GH_EXIT_CHECK_FAILED : GH_EXIT_OK;
}

/* The first address that a socket can be connected to is that of all rows. */
static int reach(const struct options *o, const char *url, const struct place *place, struct gh_cli_conform_road *udp)
{
    struct gh_conform_target target = { place->authority, place->path };
    struct gh_resolved found;
    struct gh_ip literal;

    gh_resolve(place->host, place->port, &found);
    if (found.count == 0) {
        fprintf(stderr, "conform: %s: %s\n", place->host, found.error);
        return GH_EXIT_UNREACHABLE;
    }
    udp->remote = found.list[0];
    udp->server_name = gh_ip_parse(place->host, strlen(place->host), &literal) == 0 ? "" : place->host;
    return run(o, url, udp, &target);
}

static int take_options(int *argc, char **argv, struct options *o)
{
    const char *timeout, *row;
    char *end;
    bool tap = gh_cli_take_flag(argc, argv, "--tap"), json = gh_cli_take_flag(argc, argv, "--json");

    o->cert = gh_cli_take_option(argc, argv, "--cert");
    o->key = gh_cli_take_option(argc, argv, "--key");
    o->ca = gh_cli_take_option(argc, argv, "--ca");
    timeout = gh_cli_take_option(argc, argv, "--timeout");
    while ((row = gh_cli_take_option(argc, argv, "--row")) != NULL) {
        if (o->row_count == ROWS_MAX)
            return usage("too many rows");
        o->rows[o->row_count++] = row;
    }
    o->format = tap ? TAP : json ? JSON : HUMAN;
    o->timeout = timeout ? strtod(timeout, &end) : 2;
    if (timeout && (*end || !(o->timeout > 0 && o->timeout <= 60)))
        return usage("--timeout is a number of seconds up to 60");
    if (tap && json)
        return usage("--tap and --json exclude each other");
    if (!o->cert != !o->key)
        return usage("--cert and --key belong together");
    if (*argc != 2 || argv[1][0] == '-')
        return usage(*argc > 1 && argv[1][0] == '-' ? "there is no such option" : "name one URL");
    return rows_wanted(o) ? GH_EXIT_OK : usage("there is no such row");
}

int gh_cli_conform(int argc, char **argv)
{
    struct options o = { .cert = NULL };
    struct gh_cli_conform_road *udp;
    struct place place;
    int code = take_options(&argc, argv, &o);

    if (code != GH_EXIT_OK)
        return code;
    if (split(argv[1], &place) < 0)
        return usage("URL is https://HOST[:PORT] or a URI template of a proxy");
    udp = calloc(1, sizeof *udp);
    if (!udp)
        return GH_EXIT_TRY_LATER;
    udp->tls = make_tls(&o);
    code = udp->tls ? reach(&o, argv[1], &place, udp) : GH_EXIT_USAGE;
    gh_tls_ctx_put(udp->tls);
    free(udp);
    return code;
}
