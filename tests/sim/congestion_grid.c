/* tests/sim/congestion_grid.c - what TCP reaches through the tunnel of what it reaches without, over many roads
 *
 *     sim_congestion_grid [--outer newreno|cubic|loose] [--control newreno|cubic] [--rtt MS] [--rate MBIT] [--loss PERCENT] [--buffer BDP]
 *                         [--queue-time MS] [--target MS] [--interval MS] [--seconds S] [--runs N] [--bare] [--stories]
 *
 * Prints a row a road and the share of roads at 0.90 or more. A value of a road that is given stands in for those of the grid. Ends with 1 when less
 * than nine tenths of the roads are at 0.90.
 */
#include <stdio.h>
#include <stdlib.h>

#include "congestion_world.h"

#define EVENTS 1000.0  /* losses that make a mean worth printing */
#define PACKETS 2.5e5   /* and packets that are enough */
#define RUNS 200u
#define ALIKE 4         /* runs of a road that loses nothing by chance, each a little longer than the one before */

static const double rtts[] = { 1, 10, 30, 100, 300 }, losses[] = { 0, 0.1, 1, 5 }, rates[] = { 1, 10, 100, 1000 }, buffers[] = { 0.25, 1, 4 };
static const char *const controls[] = { "newreno", "cubic" }, *const outers[] = { "newreno", "cubic", "loose" };

struct options {
    double rtt, loss, rate, buffer; /* below 0: those of the grid */
    double seconds, runs;           /* below 0: as it takes */
    int control;
    struct tuning {
        int congestion; /* -1: as it is shipped */
        double queue_time, target, interval; /* ms; -1: as it is shipped */
    } tuning;
    bool bare, stories;
};

struct tally {
    unsigned cells, good, failed;
    double sum, worst;
};

static double seconds_of(double rate)
{
    return rate > 100 ? 20 : rate > 10 ? 30 : 60;
}

static bool again(const struct options *o, const struct road *r, const struct transfer *bare, unsigned runs)
{
    if (o->runs > 0)
        return runs < o->runs;
    if (r->loss > 0)
        return (double)bare->packets * r->loss < EVENTS && (double)bare->packets < PACKETS && runs < RUNS;
    return runs < (r->rate > UINT64_C(500000000) ? ALIKE / 2 : ALIKE);
}

static void add(struct transfer *sum, const struct transfer *t)
{
    sum->bytes += t->bytes;
    sum->packets += t->packets;
    sum->sent_again += t->sent_again;
    sum->recoveries += t->recoveries;
    sum->timeouts += t->timeouts;
    sum->lost += t->lost;
    sum->waited_out += t->waited_out;
    sum->holes += t->holes;
}

static void tell(const char *who, const struct transfer *t)
{
    printf("    %s: %lu packets, %lu again, %lu recoveries, %lu time-outs, %lu lost on the road, %lu in queues, %lu black holes\n", who, t->packets, t->sent_again,
           t->recoveries, t->timeouts, t->lost, t->waited_out, t->holes);
}

static void tune(void *arg, struct gh_quic_config *cfg)
{
    const struct tuning *t = arg;

    if (t->congestion >= 0)
        cfg->congestion = (enum gh_quic_congestion_control)t->congestion;
    if (t->queue_time >= 0)
        cfg->queue_time = (int64_t)(t->queue_time * 1e6);
    if (t->target >= 0)
        cfg->queue_target = (int64_t)(t->target * 1e6);
    if (t->interval >= 0)
        cfg->queue_interval = (int64_t)(t->interval * 1e6);
}

static void one_road(struct options *o, const struct road *r, int control, struct tally *ret)
{
    int64_t time = (int64_t)((o->seconds > 0 ? o->seconds : seconds_of((double)r->rate / 1e6)) * 1e9);
    struct transfer bare = { 0 }, tunnel = { 0 }, t;
    unsigned runs = 0;
    double mbit, ratio;

    do {
        struct road here = *r;
        uint64_t seed = 1 + runs;

        if (r->loss == 0) /* chance is in the phase alone */
            here.rtt += here.rtt / 50 * runs / ALIKE;
        transfer_bare(&here, (enum tcp_control)control, seed, time, &t);
        add(&bare, &t);
        if (!o->bare && !transfer_tunnel(&here, (enum tcp_control)control, seed, time, tune, &o->tuning, &t))
            ret->failed++;
        add(&tunnel, &t);
        runs++;
    } while (again(o, r, &bare, runs));
    mbit = (double)bare.bytes * 8e3 / (double)time / runs;
    ratio = (double)tunnel.bytes / (double)bare.bytes;
    ret->cells++;
    ret->good += ratio >= 0.9;
    ret->sum += ratio;
    ret->worst = ratio < ret->worst ? ratio : ret->worst;
    printf("%-8s %4.0f %5.1f %5.0f %5.2f %4u %10.3f %10.3f %6.3f%s\n", controls[control], (double)r->rtt / 1e6, r->loss * 100, (double)r->rate / 1e6,
           r->buffer, runs, mbit, mbit * ratio, ratio, ratio < 0.9 ? " <" : "");
    if (o->stories) {
        tell("bare", &bare);
        if (!o->bare)
            tell("tunnel", &tunnel);
    }
    fflush(stdout);
}

/* The values to go through: <option> alone when it is given. */
static size_t values(double option, const double *grid, size_t count, double ret[8])
{
    if (option >= 0) {
        ret[0] = option;
        return 1;
    }
    memcpy(ret, grid, count * sizeof *grid);
    return count;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const struct {
            const char *name;
            double *value;
        } numbers[] = { { "--rtt", &o->rtt }, { "--loss", &o->loss }, { "--rate", &o->rate }, { "--buffer", &o->buffer },
                      { "--queue-time", &o->tuning.queue_time }, { "--target", &o->tuning.target },
                      { "--interval", &o->tuning.interval },
                      { "--seconds", &o->seconds }, { "--runs", &o->runs } };
        bool known = false;

        o->bare |= strcmp(argv[i], "--bare") == 0;
        o->stories |= strcmp(argv[i], "--stories") == 0;
        if (strcmp(argv[i], "--bare") == 0 || strcmp(argv[i], "--stories") == 0)
            continue;
        if (i + 1 == argc)
            return false;
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
            if (strcmp(argv[i], numbers[n].name) != 0)
                continue;
            *numbers[n].value = strtod(argv[i + 1], NULL);
            known = true;
        }
        for (int c = 0; c < 2 && strcmp(argv[i], "--control") == 0; c++) {
            if (strcmp(argv[i + 1], controls[c]) == 0) {
                o->control = c;
                known = true;
            }
        }
        for (int c = 0; c < 3 && strcmp(argv[i], "--outer") == 0; c++) {
            if (strcmp(argv[i + 1], outers[c]) == 0) {
                o->tuning.congestion = c;
                known = true;
            }
        }
        if (!known)
            return false;
        i++;
    }
    return true;
}

static void all_roads(struct options *o, int control, struct tally *ret)
{
    double rate[8], rtt[8], loss[8], buffer[8];
    size_t rate_count = values(o->rate, rates, sizeof rates / sizeof *rates, rate), rtt_count = values(o->rtt, rtts, sizeof rtts / sizeof *rtts, rtt);
    size_t loss_count = values(o->loss, losses, sizeof losses / sizeof *losses, loss);
    size_t buffer_count = values(o->buffer, buffers, sizeof buffers / sizeof *buffers, buffer);

    for (size_t a = 0; a < rate_count; a++)
        for (size_t b = 0; b < rtt_count; b++)
            for (size_t c = 0; c < loss_count; c++)
                for (size_t d = 0; d < buffer_count; d++)
                    one_road(o, &(struct road){ (int64_t)(rtt[b] * 1e6), loss[c] / 100, (uint64_t)(rate[a] * 1e6), buffer[d], 1500 }, control, ret);
}

int main(int argc, char **argv)
{
    struct options o = { -1, -1, -1, -1, -1, -1, -1, { -1, -1, -1, -1 }, false, false };
    struct tally t = { .worst = 9 };

    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: sim_congestion_grid [NAME VALUE] ...: see the beginning of tests/sim/congestion_grid.c\n");
        return 2;
    }
    printf("inner     RTT  loss  rate  buffer    bare     tunnel  ratio\n"
           "           ms     %%  Mb/s   BDP runs       Mb/s       Mb/s\n");
    for (int control = 0; control < 2; control++)
        if (o.control < 0 || o.control == control)
            all_roads(&o, control, &t);
    printf("%u of %u roads at 0.90 or more: %.1f %%; mean %.3f, worst %.3f; %u without a tunnel in the end\n", t.good, t.cells,
           100.0 * t.good / t.cells, t.sum / t.cells, t.worst, t.failed);
    return t.good * 10 < t.cells * 9 || t.failed ? 1 : 0;
}
