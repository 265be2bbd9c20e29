"""One world for each test file, with the programs of GATEHOUSE_BUILD; what everybody said is shown when a test fails."""
import pytest

import gateway as gateway_module
import world as world_module

# Everything is allowed to client-2; client-1 reaches the resolvers and may be pinged by client-2.
OPEN = '''version: "1.0"
metadata: { name: test, description: client-1 is limited and client-2 is not }
default_action: deny
clients:
  client-1:
    rules:
      - { id: resolvers, type: ip_cidr, action: allow, destinations: [1.1.1.1/32, 8.8.8.8/32, "2606:4700::1111/128"], metadata: { reason: dns } }
      - { id: colleague, type: ip_cidr, action: allow, direction: in, destinations: [10.100.0.0/24, "fd00:100::/64"], icmp: echo-request }
      - { id: rest, type: default, action: deny }
  client-2:
    rules:
      - { id: everything, type: default, action: allow }
'''


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for value in getattr(item, 'funcargs', {}).values():
            here = getattr(value, 'world', value)
            if isinstance(here, world_module.World):
                report.sections.append(('programs', here.report()))
                break


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    reason = world_module.why_not()
    if reason:
        pytest.fail('no world to test in: ' + reason)
    with world_module.World(tmp_path_factory.mktemp('world')) as made:
        yield made


@pytest.fixture(scope='module')
def gateway(world):
    """Certificates and examples in place, nothing started."""
    made = gateway_module.Gateway(world)
    made.policy(OPEN)
    yield made


@pytest.fixture(scope='module')
def site(gateway):
    """The whole: internet, relay and both agents up under the policy OPEN."""
    gateway.file_hash = gateway.world.serve(16 << 20)
    gateway.start_relay()
    gateway.start_agent(1)
    gateway.start_agent(2)
    yield gateway
    gateway.stop()
