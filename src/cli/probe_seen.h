/* cli/probe_seen.h - what came back, as words that are the same when it was the same, and tests of whether two samples are of one kind */
#ifndef GH_CLI_PROBE_SEEN_H
#define GH_CLI_PROBE_SEEN_H

#include <stddef.h>

#include "core/text.h"

/* TLS records and messages without what is random in them; what is sealed by its length; other bytes by their length, a fingerprint, and the
 * first line when that is text. Dates do not count. */
void gh_probe_describe(struct gh_span bytes, struct gh_text *out);

/* The same for handshake messages without records. */
void gh_probe_describe_messages(struct gh_span messages, struct gh_text *out);

/* Chance that two samples of one distribution are as far apart as <a> and <b>, or farther, by the statistic of Kolmogorov and Smirnov; exact.
 * One of the two may be shifted against the other by up to <tolerance>. Sorts both. -1: out of memory. */
double gh_probe_times_chance(double *a, size_t n, double *b, size_t m, double tolerance);
/* Chance that something which was seen <k> times of <n> is seen so often, or more seldom, as <l> times of <m>; Fisher's exact test, two-sided. */
double gh_probe_counts_chance(unsigned k, unsigned n, unsigned l, unsigned m);

#endif
