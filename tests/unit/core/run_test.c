#include "core/run.h"

#include "../test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "conf_rows.h"

#define CONFIG "/etc/gatehouse/thing.yaml"
#define SECRET "/etc/gatehouse/token"

/* A parent that has two files; the child has none. */
struct fake {
    int config, secret;
    unsigned secrets; /* how often it was opened */
};

static int call(void *client, const struct gh_priv_request *q, struct gh_priv_reply *ret, int *ret_fds, size_t fd_cap, size_t *ret_fd_count)
{
    struct fake *f = client;
    bool secret = strcmp(q->path, SECRET) == 0;

    *ret = (struct gh_priv_reply){ 0 };
    *ret_fd_count = 0;
    if (q->kind != GH_PRIV_OPEN_FILE)
        return 0;
    if (fd_cap < 1 || (!secret && strcmp(q->path, CONFIG) != 0))
        return GH_ERR_NOT_FOUND;
    ret_fds[0] = dup(secret ? f->secret : f->config);
    if (ret_fds[0] < 0 || lseek(ret_fds[0], 0, SEEK_SET) < 0)
        return GH_ERR_SYSTEM;
    *ret_fd_count = 1;
    f->secrets += secret;
    return 0;
}

static int file_of(const char *text)
{
    FILE *f = tmpfile();

    assert_non_null(f);
    fputs(text, f);
    fflush(f);
    return fileno(f);
}

/* The exit code of the short-lived child that reads a new configuration: 100 + that when the secret was opened. */
static int name_files(const char *config)
{
    static const char *const env[] = { "GATEHOUSE_THING_TOKEN_FILE=" SECRET, NULL };
    static const struct gh_service service = { .name = "thing", .section = &section };
    static const struct gh_service *const services[] = { &service, NULL };
    struct fake fake = { file_of(config), file_of("swordfish\n"), 0 };
    struct gh_privileged p = { .client = &fake, .call = call };
    const struct gh_run_config cfg = { .config_path = CONFIG, .services = services, .privileged = &p, .env = env };
    pid_t pid = fork();
    int status = 0, code;

    assert_true(pid >= 0);
    if (pid == 0) {
        code = gh_run_name_files(&cfg);
        _exit((fake.secrets == 1 ? 100 : 0) + code);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_secret_that_the_environment_names_by_its_file_comes_from_the_parent(void **state)
{
    (void)state;
    /* in the sandbox of a reader, which opens no file itself */
    assert_int_equal(name_files("thing: { title: one }\n"), 100);
    assert_int_equal(name_files("thing: { title: one, count: 4711 }\n"), 101);
}

/* Whoever asks while a reload is under way hears of the one before, whole. */
static void a_reload_under_way_does_not_touch_what_is_known_of_the_last_one(void **state)
{
    static struct gh_run run = { .reload = { .wall = 7, .ok = false, .why = "list.pem is empty" } };
    struct gh_run_reload last;

    (void)state;
    pthread_mutex_init(&run.lock, NULL);
    gh_run_reload_note(&run, "policy.yaml:3:5: no such action");
    gh_run_reload_note(&run, "policy.yaml:9:5: no such action");
    gh_run_last_reload(&run, &last);
    assert_int_equal(last.wall, 7);
    assert_string_equal(last.why, "list.pem is empty");
    assert_string_equal(run.reload_why, "policy.yaml:3:5: no such action\npolicy.yaml:9:5: no such action");
    pthread_mutex_destroy(&run.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_reload_under_way_does_not_touch_what_is_known_of_the_last_one),
        cmocka_unit_test(a_secret_that_the_environment_names_by_its_file_comes_from_the_parent) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
