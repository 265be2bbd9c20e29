#include "cli/doctor.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#include "../test.h"

static char root[64];

static void put(const char *path, const char *text, mode_t mode)
{
    char full[512];
    FILE *f;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(full, 0755);
        *slash = '/';
    }
    f = fopen(full, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(full, mode), 0);
}

static struct gh_doctor machine(void)
{
    return (struct gh_doctor){ .root = root, .config = "/etc/gatehouse/gatehouse.yaml", .wall = INT64_C(1800000000) };
}

static enum gh_doctor_status look(const struct gh_doctor *d, gh_doctor_fn check, const char *says)
{
    struct gh_doctor_result r = { GH_DOCTOR_SKIP, "" };

    check(d, &r);
    if (!strstr(r.detail, says))
        fail_msg("\"%s\" does not say \"%s\"", r.detail, says);
    return r.status;
}

static void codes_are_unique_and_every_check_says_what_to_do(void **state)
{
    (void)state;
    for (const struct gh_doctor_check *c = gh_doctor_checks; c->code; c++) {
        assert_true(strlen(c->code) == 6 && strncmp(c->code, "GH-", 3) == 0);
        assert_true(*c->group && *c->title && *c->meaning && *c->remedy && c->run);
        for (const struct gh_doctor_check *o = gh_doctor_checks; o != c; o++)
            assert_string_not_equal(c->code, o->code);
    }
}

static void the_page_is_the_table(void **state)
{
    char page[65536] = "", *text = NULL;
    size_t len, n;
    FILE *f = fopen(GH_DOCTOR_PAGE, "re"), *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(f);
    n = fread(page, 1, sizeof page - 1, f);
    page[n] = 0;
    fclose(f);
    gh_doctor_emit_markdown(out);
    fclose(out);
    if (!strstr(page, text))
        fail_msg("docs/doctor.md differs from gatehouse doctor --list:\n%s", text);
    free(text);
}

static void what_is_missing_is_wrong(void **state)
{
    struct gh_doctor d = machine();

    (void)state;
    assert_int_equal(look(&d, gh_doctor_tun, "/dev/net/tun: "), GH_DOCTOR_FAIL);
    assert_int_equal(look(&d, gh_doctor_nft, "there is no nft"), GH_DOCTOR_FAIL);
    assert_int_equal(look(&d, gh_doctor_seccomp, "none"), GH_DOCTOR_FAIL);
    assert_int_equal(look(&d, gh_doctor_ipv6, "IPv4 alone"), GH_DOCTOR_WARN);
    assert_int_equal(look(&d, gh_doctor_config_mode, "there is no"), GH_DOCTOR_SKIP);
    assert_int_equal(look(&d, gh_doctor_state_dir, "will be made"), GH_DOCTOR_OK);
    put("/usr/sbin/nft", "", 0755);
    put("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n", 0644);
    put("/proc/sys/kernel/seccomp/actions_avail", "trap errno\n", 0644);
    assert_int_equal(look(&d, gh_doctor_nft, "/usr/sbin/nft"), GH_DOCTOR_OK);
    assert_int_equal(look(&d, gh_doctor_ipv6, "disable_ipv6"), GH_DOCTOR_WARN);
    assert_int_equal(look(&d, gh_doctor_seccomp, "cannot end a process"), GH_DOCTOR_FAIL);
    put("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n", 0644);
    assert_int_equal(look(&d, gh_doctor_ipv6, "on"), GH_DOCTOR_OK);
    d.wall = 1700000000; /* 2023 */
    assert_int_equal(look(&d, gh_doctor_clock, "before this program"), GH_DOCTOR_FAIL);
}

static void forwarding_is_looked_at_for_a_relay_alone(void **state)
{
    struct gh_doctor d = machine();

    (void)state;
    put("/proc/sys/net/ipv4/ip_forward", "1\n", 0644);
    put("/proc/sys/net/ipv6/conf/all/forwarding", "1\n", 0644);
    assert_int_equal(look(&d, gh_doctor_forwarding, "on"), GH_DOCTOR_OK);
    d.agent = true;
    assert_int_equal(look(&d, gh_doctor_forwarding, "agent"), GH_DOCTOR_SKIP);
    assert_int_equal(look(&d, gh_doctor_nft, "agent"), GH_DOCTOR_SKIP);
    put("/proc/sys/net/ipv4/conf/all/rp_filter", "1\n", 0644);
    assert_int_equal(look(&d, gh_doctor_rp_filter, "strict"), GH_DOCTOR_OK);
}

static void other_tunnels_are_named_and_ours_is_not(void **state)
{
    struct gh_doctor d = machine();

    (void)state;
    put("/sys/class/net/eth0/uevent", "INTERFACE=eth0\nIFINDEX=2\n", 0644);
    put("/sys/class/net/gh0/tun_flags", "0x1101\n", 0644);
    assert_int_equal(look(&d, gh_doctor_other_devices, "none"), GH_DOCTOR_OK);
    put("/sys/class/net/wg7/uevent", "DEVTYPE=wireguard\nINTERFACE=wg7\n", 0644);
    assert_int_equal(look(&d, gh_doctor_other_devices, "wg7"), GH_DOCTOR_WARN);
    put("/sys/class/net/tun9/tun_flags", "0x1001\n", 0644);
    assert_int_equal(look(&d, gh_doctor_other_devices, "tun9"), GH_DOCTOR_WARN);
}

static void modes_that_let_others_in_are_wrong_and_can_be_put_right(void **state)
{
    struct gh_doctor d = machine();

    (void)state;
    put("/etc/gatehouse/gatehouse.yaml", "", 0664);
    assert_int_equal(look(&d, gh_doctor_config_mode, "0664"), GH_DOCTOR_FAIL);
    assert_int_equal(gh_doctor_fix_config_mode(&d), 0);
    assert_int_equal(look(&d, gh_doctor_config_mode, "0644"), GH_DOCTOR_OK);
    put("/var/lib/gatehouse/x", "", 0600);
    assert_int_equal(look(&d, gh_doctor_state_dir, "0755"), GH_DOCTOR_FAIL);
    assert_int_equal(gh_doctor_fix_state_dir(&d), 0);
    assert_int_equal(look(&d, gh_doctor_state_dir, "0700"), GH_DOCTOR_OK);
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)s;
    (void)kind;
    (void)at;
    return remove(path);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/gh-doctor-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#define on_a_machine(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_unique_and_every_check_says_what_to_do),
        cmocka_unit_test(the_page_is_the_table),
        on_a_machine(what_is_missing_is_wrong),
        on_a_machine(forwarding_is_looked_at_for_a_relay_alone),
        on_a_machine(other_tunnels_are_named_and_ours_is_not),
        on_a_machine(modes_that_let_others_in_are_wrong_and_can_be_put_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
