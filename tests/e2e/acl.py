#!/usr/bin/python3
"""The table behind scripts/test-acl.sh: who reaches whom under examples/policy.yaml, by ping and by TCP"""
import sys

import gateway as programs
import world as worlds
from world import OTHER_V4, OTHER_V6, RESOLVERS, WEB_V4, WEB_V6

TARGETS = RESOLVERS + (OTHER_V4, OTHER_V6, WEB_V4, WEB_V6)


def main():
    reason = worlds.why_not() or ('not built: ' + ' '.join(programs.missing_programs()) if programs.missing_programs() else None)
    if reason:
        sys.exit('test-acl: ' + reason)
    wrong = 0
    with worlds.World() as world:
        world.serve(1 << 20)
        site = programs.Gateway(world)
        site.start_relay()
        for number in (1, 2):
            site.start_agent(number)
        print('%-10s %-20s %-8s %-8s %s' % ('client', 'target', 'ping', 'tcp/80', 'policy'))
        for number in (1, 2):
            host = world['agent-%d' % number]
            for target in TARGETS:
                wanted = number == 2 or target in RESOLVERS
                pinged = host.ping(target, 1, wait=2 if wanted else 0.5)[0] == 1
                reached = host.peer('probe', target, 80, '3' if wanted else '0.5')['reached']
                good = pinged == wanted and reached == wanted
                wrong += not good
                print('%-10s %-20s %-8s %-8s %-6s %s' % ('client-%d' % number, target, 'reached' if pinged else '-', 'reached' if reached else '-',
                                                         'allow' if wanted else 'deny', '' if good else '<- NOT SO'), flush=True)
        denied = len(site.relay.audit(event_type='acl.deny', client_id='client-1', rule_id='rest'))
        print('audit: %d denials of client-1 by rule "rest", %d of client-2' % (denied, len(site.relay.audit(event_type='acl.deny', client_id='client-2'))))
        wrong += denied < 8
        site.stop()
    print('test-acl: %s' % ('as the policy says' if not wrong else '%d rows are wrong' % wrong))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
