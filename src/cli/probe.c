/* Each probe is played once on both; where they differ, some are played again and again on both, so that what differs by chance is told
 * from what always does. A whole run calls a host different that is not in fewer than one of 1,000. */
#include "cli/probe.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/probe_play.h"
#include "cli/probe_seen.h"
#include "cli/probe_tls.h"
#include "os/resolve.h"

#define TOGETHER 48u     /* connections at a time */
#define APART 0.005      /* seconds between two whose end is timed: what is done for one does not delay the next */
#define REPEAT 14u       /* times that a difference is tried again: all of them alike on either side are enough */
#define JUDGED 4u        /* differences of a property that are tried again */
#define SAMPLES 32u      /* of each time */
#define TIMES 5u         /* comparisons of times */
#define FALSE_ALARM 1e-3 /* of a whole run */
#define EXAMPLES 3u      /* of a property, for people */

const char gh_cli_probe_usage[] =
    "probe [--against SITE[:PORT]] [--name NAME] [--wait SECONDS] [--tolerance MS] [--json] HOST[:PORT]\n\n"
    "  plays what a prober would try on HOST, the door, and says which property gives it away, if any: bytes with what is random\n"
    "  left out, alerts, FIN or reset, whether a write behind the end is answered, what is answered to QUIC, and times\n"
    "  --against    the site that it should look like, reached directly; without it, HOST is compared with itself: an ordinary server\n"
    "               treats a first flight alike in however many pieces it comes, and the same one the same each time\n"
    "  --name       what hellos ask for (default: HOST, when it is a name)\n"
    "  --wait       how long an end is waited for (default 5); more than the site's own time-outs shows those, too\n"
    "  --tolerance  how far apart times may be, beside the round trip to each (default 2)\n"
    "  --json       as JSON (version 1)\n\n"
    "example: gatehouse probe --against 192.0.2.7:8443 --name www.example.org edge.example.org\n"
    "exit codes: 0 nothing gives it away, 1 something does, 2 usage, 4 nobody answers";

struct options {
    const char *against, *name;
    double wait, tolerance;
    bool json;
};

struct findings {
    unsigned probes[GH_PROBE_PROPERTIES], differ[GH_PROBE_PROPERTIES];
    unsigned unlike[GH_PROBE_PROPERTIES]; /* at first; most of them differ when some do */
    unsigned total;
};

static int usage(const char *message)
{
    fprintf(stderr, "%s probe: %s\n", gh_cli_program(), message);
    gh_cli_print_usage(gh_cli_program(), gh_cli_probe_usage, false, stderr);
    fprintf(stderr, "%s probe --help says more\n", gh_cli_program());
    return GH_EXIT_USAGE;
}

/* ---- where ---- */

/* HOST, HOST:PORT, [2001:db8::1]:PORT. 0 or GH_ERR_MALFORMED. */
static int split(const char *text, char host[256], uint16_t *ret_port)
{
    const char *end = text[0] == '[' ? strchr(text, ']') : text + strcspn(text, ":"), *port;
    size_t skip = text[0] == '[', len = end ? (size_t)(end - text) - skip : 0;
    unsigned long value = 443;
    char *rest;

    if (len == 0 || len > 255)
        return GH_ERR_MALFORMED;
    memcpy(host, text + skip, len);
    host[len] = '\0';
    port = end + skip;
    if (*port == ':') {
        value = strtoul(port + 1, &rest, 10);
        if (port[1] < '0' || port[1] > '9' || *rest || value == 0 || value > 65535)
            return GH_ERR_MALFORMED;
    } else if (*port) {
        return GH_ERR_MALFORMED;
    }
    *ret_port = (uint16_t)value;
    return 0;
}

/* An exit code. */
static int find(const char *text, char host[256], struct gh_endpoint *ret)
{
    struct gh_resolved found;
    uint16_t port;

    if (split(text, host, &port) < 0)
        return usage("HOST is a name or an address, perhaps with :PORT behind it");
    gh_resolve(host, port, &found);
    if (found.count == 0) {
        fprintf(stderr, "probe: %s: %s\n", host, found.error);
        return GH_EXIT_UNREACHABLE;
    }
    *ret = found.list[0];
    return GH_EXIT_OK;
}

/* ---- the report ---- */

static void print_json_string(const char *s)
{
    struct gh_text t;

    gh_text_init(&t, 8192);
    gh_text_append_json(&t, gh_span_str(s));
    fputs(gh_text_string(&t), stdout);
    gh_text_fini(&t);
}

/* Without a <site>, <b> is the same host. */
static void print_difference(const struct options *o, struct findings *f, const struct gh_probe *probe, const char *a, const char *b)
{
    const char *other = o->against ? "site" : "else";

    f->differ[probe->property]++;
    if (o->json) {
        printf("%s\n{\"property\":", f->total++ ? "," : "");
        print_json_string(gh_probe_property_names[probe->property]);
        fputs(",\"probe\":", stdout);
        print_json_string(probe->name);
        fputs(",\"door\":", stdout);
        print_json_string(a);
        printf(",\"%s\":", other);
        print_json_string(b);
        fputc('}', stdout);
        return;
    }
    f->total++;
    if (f->differ[probe->property] <= EXAMPLES)
        printf("differs  %s: %s\n         door: %s\n         %s: %s\n", gh_probe_property_names[probe->property], probe->name, a, other, b);
}

static void print_end(const struct options *o, const struct findings *f)
{
    if (o->json) {
        fputs("\n],\"properties\":[", stdout);
        for (unsigned i = 0; i < GH_PROBE_PROPERTIES; i++) {
            printf("%s\n{\"property\":", i ? "," : "");
            print_json_string(gh_probe_property_names[i]);
            printf(",\"probes\":%u,\"differ\":%u,\"unlike\":%u}", f->probes[i], f->differ[i], f->unlike[i]);
        }
        printf("\n],\"differences\":%u}\n", f->total);
        return;
    }
    for (unsigned i = 0; i < GH_PROBE_PROPERTIES; i++) {
        if (f->probes[i] == 0)
            continue;
        printf("%-8s %s: ", f->differ[i] ? "differs" : "same", gh_probe_property_names[i]);
        if (f->differ[i])
            printf("%u for certain, %u at first sight, of %u probes\n", f->differ[i], f->unlike[i], f->probes[i]);
        else
            printf("%u probes\n", f->probes[i]);
    }
    puts(f->total ? "the door can be told from what it should look like" : "nothing gives the door away");
}

/* ---- outcomes ---- */

/* What two probes, or one at two hosts, have to do with each other. */
struct pair {
    const struct gh_probe *a, *b;
    const struct gh_endpoint *to_a, *to_b;
    struct gh_tls_ctx *tls_a, *tls_b;
    const char *name;
};

/* The side of a pair that an odd, or an even, number is. */
static struct gh_probe_job job_of(const struct pair *pair, size_t number)
{
    return number % 2 ? (struct gh_probe_job){ .probe = pair->b, .to = pair->to_b, .tls = pair->tls_b, .name = pair->name }
                      : (struct gh_probe_job){ .probe = pair->a, .to = pair->to_a, .tls = pair->tls_a, .name = pair->name };
}

/* True when the samples of the two, <jobs>[0], [2] … and [1], [3] …, are not of one kind. */
static bool differ(const struct gh_probe_job *jobs, unsigned comparisons)
{
    for (unsigned i = 0; i < 2 * REPEAT; i++) {
        unsigned counts[2] = { 0, 0 };

        for (unsigned j = 0; j < 2 * REPEAT; j++)
            counts[j % 2] += strcmp(jobs[i].words, jobs[j].words) == 0;
        if (gh_probe_counts_chance(counts[0], REPEAT, counts[1], REPEAT) * 4 * comparisons < FALSE_ALARM / 2)
            return true;
    }
    return false;
}

/* The words that are most often seen. */
static const char *usual_words(const struct gh_probe_job *jobs, unsigned side)
{
    const char *best = "";
    unsigned most = 0;

    for (unsigned i = side; i < 2 * REPEAT; i += 2) {
        unsigned n = 0;

        for (unsigned j = side; j < 2 * REPEAT; j += 2)
            n += strcmp(jobs[i].words, jobs[j].words) == 0;
        if (n > most) {
            most = n;
            best = jobs[i].words;
        }
    }
    return best;
}

/* What is seen most often on either side; when that is the same, the first that is not. */
static void report(const struct options *o, const struct pair *pair, const struct gh_probe_job *jobs, struct findings *f)
{
    const char *a = usual_words(jobs, 0), *b = usual_words(jobs, 1);

    for (unsigned i = 0; strcmp(a, b) == 0 && i < 2 * REPEAT; i++)
        if (strcmp(jobs[i].words, a) != 0)
            *(i % 2 ? &b : &a) = jobs[i].words;
    print_difference(o, f, pair->a, a, b);
}

/* Those that differed at first, in turns. */
static int judge(const struct options *o, const struct pair *const *unlike, size_t count, unsigned comparisons, struct findings *f)
{
    struct gh_probe_job *jobs = count ? calloc(count * 2 * REPEAT, sizeof *jobs) : NULL;
    int rc = jobs || count == 0 ? 0 : GH_ERR_MEMORY;

    for (size_t i = 0; jobs && i < count * 2 * REPEAT; i++)
        jobs[i] = job_of(unlike[i / (2 * REPEAT)], i);
    if (jobs)
        rc = gh_probe_play(jobs, count * 2 * REPEAT, &(struct gh_probe_pace){ .wait = o->wait, .together = TOGETHER });
    for (size_t i = 0; jobs && rc == 0 && i < count; i++)
        if (differ(jobs + i * 2 * REPEAT, comparisons))
            report(o, unlike[i], jobs + i * 2 * REPEAT, f);
    free(jobs);
    return rc;
}

/* What is played on whom. */
struct plan {
    struct gh_probes probes;
    const struct gh_endpoint *to[2]; /* the door, and the site or the door */
    struct gh_tls_ctx *tls[2];       /* takes the key that each showed; NULL: none, and no requests */
    const char *name;
    bool alone;
};

/* <ret> has room for all probes. */
static size_t make_pairs(const struct plan *plan, struct pair *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < plan->probes.count; i++) {
        const struct gh_probe *probe = &plan->probes.list[i], *other = plan->alone && probe->twin >= 0 ? &plan->probes.list[probe->twin] : probe;

        if (!probe->tls || (plan->tls[0] && plan->tls[1]))
            ret[n++] = (struct pair){ probe, other, plan->to[0], plan->to[1], plan->tls[0], plan->tls[1], plan->name };
    }
    return n;
}

static const struct gh_probe *probe_named(const struct gh_probes *probes, enum gh_probe_property property, const char *name)
{
    for (size_t i = 0; i < probes->count; i++)
        if (probes->list[i].property == property && strcmp(probes->list[i].name, name) == 0)
            return &probes->list[i];
    return NULL;
}

/* A context that takes the key which the server shows in TLS 1.2; NULL when it shows none. */
static struct gh_tls_ctx *learn(const struct plan *plan, unsigned which)
{
    const struct gh_probe *probe = probe_named(&plan->probes, GH_PROBE_NEGOTIATION, "TLS 1.2");
    struct gh_probe_job job = { .probe = probe, .to = plan->to[which] };

    if (!probe || gh_probe_play(&job, 1, &(struct gh_probe_pace){ .wait = 5, .together = 1 }) < 0 || !job.has_key)
        return NULL;
    return gh_probe_tls_context(job.key);
}

/* Can both be connected to? An exit code, or a negative error. */
static int knock(const struct options *o, const struct pair *pair)
{
    struct gh_probe_job jobs[2] = { job_of(pair, 0), job_of(pair, 1) };
    int rc = gh_probe_play(jobs, 2, &(struct gh_probe_pace){ .wait = o->wait, .together = 2 });

    for (unsigned i = 0; rc == 0 && i < 2; i++)
        if (jobs[i].end == GH_PROBE_REFUSED || jobs[i].end == GH_PROBE_NO_ANSWER) {
            fprintf(stderr, "probe: %s cannot be connected to\n", i && o->against ? o->against : "the host");
            rc = GH_EXIT_UNREACHABLE;
        }
    return rc;
}

/* The same. */
static int compare(const struct options *o, const struct pair *pairs, size_t count, struct findings *f)
{
    struct gh_probe_job *jobs = calloc(2 * count, sizeof *jobs);
    const struct pair *unlike[JUDGED * GH_PROBE_PROPERTIES];
    size_t unlike_count = 0;
    int rc = jobs ? knock(o, pairs) : GH_ERR_MEMORY;

    for (size_t i = 0; jobs && i < 2 * count; i++)
        jobs[i] = job_of(&pairs[i / 2], i);
    if (rc == 0)
        rc = gh_probe_play(jobs, 2 * count, &(struct gh_probe_pace){ .wait = o->wait, .together = TOGETHER });
    for (size_t i = 0; rc == 0 && i < count; i++) {
        unsigned property = pairs[i].a->property;

        f->probes[property]++;
        if (strcmp(jobs[2 * i].words, jobs[2 * i + 1].words) != 0 && f->unlike[property]++ < JUDGED)
            unlike[unlike_count++] = &pairs[i];
    }
    free(jobs);
    return rc == 0 ? judge(o, unlike, unlike_count, (unsigned)count, f) : rc;
}

/* ---- times ---- */

/* Beside the round trip: how long an answer, or an end, takes. */
static int compare_times(const struct options *o, const struct pair *pair, bool close, struct findings *f)
{
    struct gh_probe_job *jobs = calloc(2 * SAMPLES, sizeof *jobs);
    double times[2][SAMPLES];
    size_t n[2] = { 0, 0 };
    char words[2][80];
    int rc;

    if (!jobs)
        return GH_ERR_MEMORY;
    for (unsigned i = 0; i < 2 * SAMPLES; i++)
        jobs[i] = job_of(pair, i);
    rc = gh_probe_play(jobs, 2 * SAMPLES, &(struct gh_probe_pace){ o->wait, close ? 2 * SAMPLES : 1, close ? APART : 0, !close });
    for (unsigned i = 0; rc == 0 && i < 2 * SAMPLES; i++) {
        double time = close ? jobs[i].close : jobs[i].answer;

        if (time >= 0)
            times[i % 2][n[i % 2]++] = time - (close || !pair->a->tls ? jobs[i].connect : 0);
    }
    free(jobs);
    if (rc == 0 && n[0] && n[1] && gh_probe_times_chance(times[0], n[0], times[1], n[1], o->tolerance / 1e3) < FALSE_ALARM / 2 / TIMES) {
        for (unsigned i = 0; i < 2; i++)
            snprintf(words[i], sizeof words[i], "%s after %.1f ms, half of the times", close ? "it ends" : "the first byte", times[i][n[i] / 2] * 1e3);
        print_difference(o, f, pair->a, words[0], words[1]);
    }
    return rc;
}

/* By itself a host shows one thing: that a token is looked at, which takes its time. */
static int compare_all_times(const struct options *o, const struct plan *plan, struct findings *f)
{
    static const struct {
        enum gh_probe_property property;
        const char *name, *other; /* what it is compared with where there is no site */
        bool close;
    } rows[TIMES] = { { GH_PROBE_CUTS, "one segment", NULL, false },
                      { GH_PROBE_SILENCE, "nothing", NULL, true },
                      { GH_PROBE_SILENCE, "half a hello", NULL, true },
                      { GH_PROBE_REQUESTS, "connect-ip with a token", "connect-ip", false },
                      { GH_PROBE_REQUESTS, "CONNECT with a token", "CONNECT", false } };
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < TIMES; i++) {
        const struct gh_probe *a = probe_named(&plan->probes, rows[i].property, rows[i].name), *b = a;

        if (plan->alone)
            b = rows[i].other ? probe_named(&plan->probes, rows[i].property, rows[i].other) : NULL;
        if (a && b && (!a->tls || (plan->tls[0] && plan->tls[1])))
            rc = compare_times(o, &(struct pair){ a, b, plan->to[0], plan->to[1], plan->tls[0], plan->tls[1], plan->name }, rows[i].close, f);
    }
    return rc;
}

/* ---- the verb ---- */

static int play_all(const struct options *o, const struct plan *plan, struct findings *f)
{
    struct pair *pairs = calloc(plan->probes.count, sizeof *pairs);
    int rc = pairs ? compare(o, pairs, make_pairs(plan, pairs), f) : GH_ERR_MEMORY;

    free(pairs);
    return rc == 0 ? compare_all_times(o, plan, f) : rc;
}

static int run(const struct options *o, const char *name, const struct gh_endpoint *door, const struct gh_endpoint *site, const char *host)
{
    struct plan plan = { .to = { door, site ? site : door }, .name = name, .alone = !site };
    struct findings f = { .total = 0 };
    int rc = gh_probes_create(name, &plan.probes);

    if (rc < 0)
        return GH_EXIT_TRY_LATER;
    plan.tls[0] = learn(&plan, 0);
    plan.tls[1] = learn(&plan, 1);
    if (o->json) {
        fputs("{\"version\":1,\"host\":", stdout);
        print_json_string(host);
        fputs(",\"found\":[", stdout);
    }
    rc = play_all(o, &plan, &f);
    if (rc == 0 || o->json)
        print_end(o, &f);
    gh_tls_ctx_put(plan.tls[0]);
    gh_tls_ctx_put(plan.tls[1]);
    gh_probes_fini(&plan.probes);
    return rc < 0 ? GH_EXIT_TRY_LATER : rc > 0 ? rc : f.total ? GH_EXIT_CHECK_FAILED : GH_EXIT_OK;
}

static int take_number(int *argc, char **argv, const char *option, double most, double *ret)
{
    const char *text = gh_cli_take_option(argc, argv, option);
    char *end;

    if (!text)
        return 0;
    *ret = strtod(text, &end);
    return *end || end == text || !(*ret > 0 && *ret <= most) ? GH_ERR_RANGE : 0;
}

int gh_cli_probe(int argc, char **argv)
{
    struct options o = { .wait = 5, .tolerance = 2 };
    struct gh_endpoint door, site;
    char host[256], other[256];
    struct gh_ip literal;
    int code;

    o.json = gh_cli_take_flag(&argc, argv, "--json");
    o.against = gh_cli_take_option(&argc, argv, "--against");
    o.name = gh_cli_take_option(&argc, argv, "--name");
    if (take_number(&argc, argv, "--wait", 600, &o.wait) < 0)
        return usage("--wait is a number of seconds up to 600");
    if (take_number(&argc, argv, "--tolerance", 10000, &o.tolerance) < 0)
        return usage("--tolerance is a number of milliseconds up to 10000");
    if (o.name && strlen(o.name) > 255)
        return usage("--name is a host name");
    if (argc != 2 || argv[1][0] == '-')
        return usage(argc > 1 && argv[1][0] == '-' ? "there is no such option" : "name one host");
    code = find(argv[1], host, &door);
    if (code == GH_EXIT_OK && o.against)
        code = find(o.against, other, &site);
    if (code != GH_EXIT_OK)
        return code;
    if (!o.name)
        o.name = gh_ip_parse(host, strlen(host), &literal) == 0 ? "" : host;
    return run(&o, o.name, &door, o.against ? &site : NULL, argv[1]);
}
