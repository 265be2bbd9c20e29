#include "priv/changes.h"

#include "../test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../netns.h"
#include "base/error.h"

static void every_line_is_read_as_it_was_written(void **state)
{
    static const char *const lines[] = {
        "addr tun0 7 10.100.0.1/24",
        "addr tun0 7 fd00::1/64",
        "route tun0 7 254 0 10.0.0.0/8",
        "route - 0 51820 77 fd00::/16",
        "rule 4 5200 254 0",
        "rule 6 5201 51820 26472",
        "nft gatehouse_tun0",
        "firewall ufw tcp 443 443",
        "firewall nftables udp 10020 10119 inet filter input",
        "sysctl net/ipv4/ip_forward 0",
        "sysctl net/ipv6/conf/eth0.5/accept_ra 1",
        "file /run/gatehouse/admin.sock",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct gh_change c;
        char text[GH_CHANGE_LINE];

        assert_int_equal(gh_change_parse(lines[i], &c), 0);
        gh_change_emit(&c, text);
        assert_string_equal(text, lines[i]);
    }
}

static void a_line_that_could_do_other_harm_is_not_read(void **state)
{
    static const char *const lines[] = {
        "",
        "addr tun0 7",
        "addr tun0 7 10.100.0.1/33",
        "addr tun0 7 10.100.0.1",
        "addr ../x 7 10.100.0.1/24",
        "route tun0 7 254 0",
        "rule 5 1 2 3",
        "nft filter",
        "firewall nftables udp 10020 10119 inet filter",
        "sysctl net/ipv4/tcp_syncookies 0",
        "sysctl net/ipv4/conf/../../../kernel/core_pattern x",
        "sysctl net/ipv4/ip_forward",
        "file relative",
        "reboot",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct gh_change c;

        assert_int_equal(gh_change_parse(lines[i], &c), GH_ERR_MALFORMED);
    }
}

static void write_journal(const char *dir, const char *text)
{
    char path[64];
    FILE *f;

    snprintf(path, sizeof path, "%s/t.journal", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_journal_holds_what_was_not_taken_back_and_half_a_line_is_nothing(void **state)
{
    char dir[] = "/tmp/gatehouse-changes-XXXXXX", text[512], kept[64], gone[64], half[64];
    struct gh_changes *cs;
    struct stat st;
    int left;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(kept, sizeof kept, "%s/kept", dir);
    snprintf(gone, sizeof gone, "%s/gone", dir);
    snprintf(half, sizeof half, "%s/half", dir);
    close(open(kept, O_CREAT | O_WRONLY, 0600));
    close(open(gone, O_CREAT | O_WRONLY, 0600));
    close(open(half, O_CREAT | O_WRONLY, 0600));
    snprintf(text, sizeof text, "+ file %s\n+ file %s\nnonsense\n- file %s\n+ file %s", gone, kept, kept, half);
    write_journal(dir, text);
    assert_int_equal(gh_changes_open(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "t", &cs, &left), 0);
    assert_int_equal(left, 1);
    assert_int_equal(stat(gone, &st), -1);
    assert_int_equal(stat(kept, &st), 0);
    assert_int_equal(stat(half, &st), 0);
    gh_changes_close(cs);
    snprintf(text, sizeof text, "%s/t.journal", dir);
    assert_int_equal(stat(text, &st), -1);
    unlink(kept);
    unlink(half);
    rmdir(dir);
}

static void a_long_journal_is_written_anew(void **state)
{
    char dir[] = "/tmp/gatehouse-changes-XXXXXX", path[64];
    struct gh_change_node *first, *n;
    struct gh_change c = { .kind = GH_CHANGE_FILE, .path = "/nonexistent/gatehouse-a" };
    struct gh_changes *cs;
    struct stat st;
    int left;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/t.journal", dir);
    assert_int_equal(gh_changes_open(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "t", &cs, &left), 0);
    assert_int_equal(gh_changes_note(cs, &c, 1, &first), 0);
    for (int i = 0; i < 5000; i++) {
        snprintf(c.path, sizeof c.path, "/nonexistent/gatehouse-%d", i);
        assert_int_equal(gh_changes_note(cs, &c, 1, &n), 0);
        gh_changes_forget(cs, n);
    }
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 2 * 1026 * 40);
    strcpy(c.path, "/nonexistent/gatehouse-a");
    assert_ptr_equal(gh_changes_find(cs, &c), first);
    gh_changes_close(cs);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_is_read_as_it_was_written),
        cmocka_unit_test(a_line_that_could_do_other_harm_is_not_read),
        cmocka_unit_test(a_journal_holds_what_was_not_taken_back_and_half_a_line_is_nothing),
        cmocka_unit_test(a_long_journal_is_written_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
