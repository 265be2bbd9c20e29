"""What the rounds come to: medians and spread, ratios, the figures to reach; as a table, as JSON, as a plot"""
import html
import statistics

import sides
from throughput import MEASURES

# what, measures, compared with, columns (the least of all counts), at least, aim
GOALS = (
    ('TCP 1 flow up, wall', ('tcp up x1',), 'wireguard-go', ('gbit_per_second',), 1.5, 3),
    ('TCP 1 flow down, wall', ('tcp down x1',), 'wireguard-go', ('gbit_per_second',), 1.5, 3),
    ('TCP 1 flow, Gbit per CPU-second of agent and relay', ('tcp up x1', 'tcp down x1'), 'wireguard-go', ('agent', 'relay'), 1.5, 4),
    ('TCP 1 flow, the same', ('tcp up x1', 'tcp down x1'), 'connect-ip-go', ('agent', 'relay'), 15, 30),
    ('agent to agent, Gbit per CPU-second of the relay', ('hub tcp x1',), 'wireguard-go', ('relay',), 1, 2),
    ('UDP 1,200 B, packets per CPU-second', ('udp up 1200', 'udp down 1200'), 'wireguard-go', ('kpps_agent', 'kpps_relay'), 2, 4),
)
LATENCY = ('added latency p50, idle, ms', 0.15, 0.05)
LOADED = ('added by a saturating upload, p50, ms (at an RTT near zero)', 10, 10)
HANDSHAKES = ('handshakes per CPU-second of the relay', 'quic-go', 1.5, 3)


def columns_of(result):
    """The figures of one result by name."""
    if 'p50' in result:
        return {'p50': result['p50'], 'p99': result['p99']}
    found = {'gbit_per_second': result['bits'] / 1e9 / result['seconds']}
    cpu = dict(result['cpu'])
    if cpu:
        cpu['both'] = sum(cpu.values())
    found.update({who: result['bits'] / 1e9 / max(seconds, 0.01) for who, seconds in cpu.items()})
    if 'packets' in result:
        found['kpps'] = result['packets'] / 1e3 / result['seconds']
        found.update({'kpps_' + who: result['packets'] / 1e3 / max(seconds, 0.01) for who, seconds in cpu.items()})
        found['loss_percent'] = 100 * result['loss']
        found['late'] = result['late']
    elif len(result.get('flows', [])) > 1:
        found['least_flow'] = min(result['flows']) / max(sum(result['flows']) / len(result['flows']), 1)
    return found


def summary(results):
    """{measure: {side: {column: sorted values}}}; the first round is left out when there are others."""
    table = {}
    for side, measures in results.items():
        for name, rounds in measures.items():
            counted = [columns_of(result) for result in (rounds[1:] or rounds)]
            table.setdefault(name, {})[side] = {column: sorted(row[column] for row in counted) for column in counted[0]}
    return {name: table[name] for name in MEASURES if name in table}


def median(table, measure, side, column):
    return statistics.median(table[measure][side][column])


def ratios(table):
    """{peer: {measure: {column: ours / peer's}}}, of medians"""
    found = {}
    for name, row in table.items():
        for ours, peer in sides.PAIRS:
            if ours in row and peer in row:
                columns = {}
                for column in row[ours]:
                    if column in row[peer] and not column.startswith(('loss', 'late', 'least', 'p')) and median(table, name, peer, column) > 0:
                        columns[column] = median(table, name, ours, column) / median(table, name, peer, column)
                found.setdefault(peer, {})[name] = columns
    return found


def drops(results):
    """{side: {measure: {reason: count}}} of all rounds, what moved"""
    found = {}
    for side, measures in results.items():
        for name, rounds in measures.items():
            for result in rounds:
                for reason, count in result.get('drops', {}).items():
                    row = found.setdefault(side, {}).setdefault(name, {})
                    row[reason] = row.get(reason, 0) + count
    return found


def goals(table, found, more):
    """[(what, value, at least, aim, how a value is compared)] of what was measured"""
    rows = []
    for what, measures, peer, columns, least, aim in GOALS:
        values = [found[peer][name][column] for name in measures for column in columns if column in found.get(peer, {}).get(name, {})]
        if values:
            rows.append(('%s: times %s' % (what, peer), min(values), least, aim, 1))
    if {'gatehouse', 'plain veth'} <= set(table.get('latency idle', {})):
        value = median(table, 'latency idle', 'gatehouse', 'p50') - median(table, 'latency idle', 'plain veth', 'p50')
        rows.append((LATENCY[0], value, LATENCY[1], LATENCY[2], -1))
    if 'gatehouse' in table.get('latency loaded', {}) and 'gatehouse' in table.get('latency idle', {}):
        value = median(table, 'latency loaded', 'gatehouse', 'p50') - median(table, 'latency idle', 'gatehouse', 'p50')
        rows.append((LOADED[0], value, LOADED[1], LOADED[2], -1))
    made = more.get('handshakes', {})
    if 'gatehouse' in made and HANDSHAKES[1] in made:
        value = [statistics.median(row['per_cpu_second'] for row in made[side]) for side in ('gatehouse', HANDSHAKES[1])]
        rows.append(('%s: times %s' % HANDSHAKES[:2], value[0] / value[1], HANDSHAKES[2], HANDSHAKES[3], 1))
    if 'memory' in more:
        rows.append(('KiB of an idle session', more['memory']['per_session_kib'], 64, 40, -1))
        rows.append(('MiB of the relay at start', more['memory']['start_kib'] / 1024, 24, 24, -1))
        rows.append(('percent of a core for %d idle sessions' % more['memory']['sessions'], more['memory']['idle_core_percent'], 1, 1, -1))
    return rows


# ---- the table

def spread(values, digits=2):
    return '%.*f (%.*f-%.*f)' % (digits, statistics.median(values), digits, values[0], digits, values[-1])


def lines(table, found, moved):
    """The table, a line each."""
    out = ['', '%-21s %-15s %20s   Gbit per CPU-second of' % ('median (spread)', '', 'Gbit/s'),
           '%-21s %-15s %20s %20s %20s %20s' % ('', '', '', 'agent', 'relay', 'all')]
    for name, row in table.items():
        for side, columns in row.items():
            if 'p50' in columns:
                out.append('%-21s %-15s p50 %s ms, p99 %s ms' % (name, side, spread(columns['p50'], 3), spread(columns['p99'], 2)))
                continue
            text = '%-21s %-15s' % (name, side)
            text += ''.join(' %20s' % (spread(columns[column]) if column in columns else '') for column in ('gbit_per_second', 'agent', 'relay', 'both'))
            if 'kpps' in columns:
                text += '  %.0f kpps; per CPU-second %s; loss %.3f %%' % (
                    statistics.median(columns['kpps']), ' '.join('%s %.0f' % (who, statistics.median(columns['kpps_' + who]))
                                                                 for who in ('agent', 'relay') if 'kpps_' + who in columns) or '-',
                    statistics.median(columns['loss_percent']))
                if columns['late'][-1]:
                    text += '; up to %d out of order' % columns['late'][-1]
            if 'least_flow' in columns:
                text += '  least flow %.2f of the mean' % statistics.median(columns['least_flow'])
            reasons = moved.get(side, {}).get(name)
            out.append(text.rstrip() + ('  dropped: ' + ', '.join('%s %d' % item for item in reasons.items()) if reasons else ''))
        for peer in found:
            columns = found[peer].get(name)
            if columns:
                out.append('%-21s / %-13s' % ('', peer) + ''.join(' %20.2f' % columns[column] if column in columns else ' ' * 21
                                                                  for column in ('gbit_per_second', 'agent', 'relay', 'both')))
    return out


def goal_lines(rows):
    out = ['', '%-72s %10s %9s %9s' % ('figures to reach', 'measured', 'at least', 'aim')]
    for what, value, least, aim, sign in rows:
        verdict = 'aim' if sign * value >= sign * aim else 'yes' if sign * value >= sign * least else 'NO'
        out.append('%-72s %10.2f %9g %9g  %s' % (what, value, least, aim, verdict))
    return out


def missed(rows):
    return ['%s is %.2f; at least %g' % (what, value, least) if sign > 0 else '%s is %.2f; at most %g' % (what, value, least)
            for what, value, least, aim, sign in rows if sign * value < sign * least]


# ---- the plot

COLOURS = {'gatehouse': '#1b6e53', 'wireguard-go': '#b5542c', 'gatehouse-1280': '#67a88f', 'connect-ip-go': '#7a6fa8', 'plain veth': '#999999'}
PANELS = (('gbit_per_second', 'Gbit/s'), ('agent', 'Gbit per CPU-second of the agent'), ('relay', 'Gbit per CPU-second of the relay'))
BAR, GAP, WIDTH, LEFT = 12, 8, 300, 130


def svg(table, title):
    """Bars of medians, with lines from the least to the most."""
    bars = [name for name in table if any('gbit_per_second' in row for row in table[name].values())]
    tall = sum(len(table[name]) * BAR + GAP for name in bars) + 90
    wide = LEFT + len(PANELS) * (WIDTH + 50)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="10">' % (wide, tall),
           '<rect width="100%" height="100%" fill="white"/>', '<text x="10" y="18" font-size="13">%s</text>' % html.escape(title)]
    for number, side in enumerate(COLOURS):
        out.append('<rect x="%d" y="28" width="10" height="10" fill="%s"/><text x="%d" y="37">%s</text>' % (10 + 130 * number, COLOURS[side], 24 + 130 * number, side))
    for number, (column, label) in enumerate(PANELS):
        left = LEFT + number * (WIDTH + 50)
        # what has no tunnel is a measure of the machine: it may reach past the edge
        most = max([values[column][-1] for name in bars for side, values in table[name].items() if column in values and side != 'plain veth'] or [1])
        out.append('<text x="%d" y="58" font-size="11">%s</text>' % (left, label))
        top = 66
        for name in bars:
            if number == 0:
                out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (LEFT - 6, top + BAR - 2, html.escape(name)))
            for side, columns in table[name].items():
                if column in columns:
                    value = statistics.median(columns[column])
                    scale = [min(WIDTH, WIDTH * one / most) for one in (value, columns[column][0], columns[column][-1])]
                    out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (left, top, scale[0], BAR - 2, COLOURS[side]))
                    out.append('<path d="M%.1f %dH%.1f" stroke="black"/>' % (left + scale[1], top + BAR // 2 - 1, left + scale[2]))
                    out.append('<text x="%.1f" y="%d">%.2f</text>' % (left + max(scale) + 4, top + BAR - 3, value))
                top += BAR
            top += GAP
    return '\n'.join(out + ['</svg>', ''])
