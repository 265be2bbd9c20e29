"""Are two sets of observations of one kind? Exact tests, so that few observations are enough and a threshold means what it says.

A suite of many comparisons calls the same thing different in fewer than one run of 1,000: half of that is shared out to the comparisons of
times, half to those of outcomes (Budget).
"""
import math

FALSE_ALARM = 1e-3
TIMES_MAX = 250       # comparisons of times in one run of the suite, at most
OUTCOMES_MAX = 40000  # comparisons of outcomes
TIMES_THRESHOLD = FALSE_ALARM / 2 / TIMES_MAX
OUTCOMES_THRESHOLD = FALSE_ALARM / 2 / OUTCOMES_MAX


def ks_distance(a, b, tolerance=0.0):
    """The largest distance of the two empirical distribution functions, when one may be shifted against the other by up to <tolerance>.

    If each a differs from a b of the same distribution by no more than the tolerance, this is not larger than the distance of two samples
    of one distribution.
    """
    a, b = sorted(a), sorted(b)
    return max(_above(a, b, tolerance), _above(b, a, tolerance))


def _above(a, b, tolerance):
    """sup of F_a(x) - F_b(x + tolerance)"""
    largest, at = 0.0, 0
    for i, x in enumerate(a):
        while at < len(b) and b[at] <= x + tolerance:
            at += 1
        largest = max(largest, (i + 1) / len(a) - at / len(b))
    return largest


def ks_chance(n, m, distance):
    """P(two samples of n and m from one continuous distribution are at least that far apart): lattice paths that leave the corridor."""
    limit = distance - 1e-9
    inside = [0.0] * (m + 1)  # share of all paths to (i, j) that never left it, as a probability of the path's steps
    for i in range(n + 1):
        for j in range(m + 1):
            if abs(i / n - j / m) >= limit:
                inside[j] = 0.0
            elif i == 0 and j == 0:
                inside[j] = 1.0
            else:  # of the i + j observations so far, any may be the last one
                from_left = inside[j - 1] * j / (i + j) if j else 0.0
                from_below = inside[j] * i / (i + j) if i else 0.0
                inside[j] = from_left + from_below
    return max(0.0, 1.0 - inside[m])


def ks_test(a, b, tolerance=0.0):
    """The chance of seeing such a distance, or a larger one, when the two are of one kind."""
    return ks_chance(len(a), len(b), ks_distance(a, b, tolerance))


def outcomes_test(a, b):
    """Lists of anything that can be compared; Fisher's exact test for each outcome against all others, Bonferroni for their number."""
    kinds = set(a) | set(b)
    if len(kinds) < 2:
        return 1.0
    return min(1.0, len(kinds) * min(_fisher(a.count(kind), len(a), b.count(kind), len(b)) for kind in kinds))


def _fisher(k, n, l, m):
    total = k + l
    ways = math.comb(n + m, total)
    chances = [math.comb(n, i) * math.comb(m, total - i) / ways for i in range(max(0, total - m), min(n, total) + 1)]
    seen = math.comb(n, k) * math.comb(m, l) / ways
    return min(1.0, sum(chance for chance in chances if chance <= seen * (1 + 1e-9)))


class Budget:
    """How many comparisons were made; more than were reckoned with are a mistake of the suite."""

    def __init__(self):
        self.times = self.outcomes = 0

    def times_differ(self, a, b, tolerance):
        self.times += 1
        assert self.times <= TIMES_MAX, 'more comparisons of times than TIMES_MAX'
        return ks_test(a, b, tolerance) < TIMES_THRESHOLD

    def outcomes_differ(self, a, b):
        self.outcomes += 1
        assert self.outcomes <= OUTCOMES_MAX, 'more comparisons of outcomes than OUTCOMES_MAX'
        return outcomes_test(a, b) < OUTCOMES_THRESHOLD


def quantiles(values):
    values = sorted(values)
    return 'n=%d min=%.4f median=%.4f max=%.4f' % (len(values), values[0], values[len(values) // 2], values[-1]) if values else 'none'
