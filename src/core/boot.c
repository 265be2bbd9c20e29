#include "core/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "core/node_conf.h"
#include "os/process.h"

#define ERRORS_MAX (1u << 20)

/* Whom the child becomes. This process tries it out: it is about to end. */
static int fill_user(const char *name, struct gh_conf_errors *errors, struct gh_boot *ret)
{
    uid_t uid;
    gid_t gid;
    int rc = gh_process_find_user(*name ? name : GH_BOOT_USER, &uid, &gid);

    if (rc == 0 && uid == gh_process_user())
        return 0;
    if (rc == 0)
        rc = gh_process_become(uid, gid);
    if (rc == 0) {
        ret->uid = uid;
        ret->gid = gid;
    } else if (*name) {
        gh_conf_errors_add(errors, 0, 0, "node.user: %s: %s", name,
                           rc == GH_ERR_NOT_FOUND ? "there is no such user" : "this process cannot become that user; start it as root");
        return rc;
    }
    return 0;
}

static int fill(const struct gh_conf *conf, struct gh_conf_errors *errors, struct gh_boot *ret)
{
    struct gh_node_conf node;

    gh_node_conf_load(conf, &node);
    if (strlen(node.run_dir) >= sizeof ret->run_dir) {
        gh_conf_errors_add(errors, 0, 0, "node.run_dir is too long; %d bytes are the most", GH_BOOT_PATH - 1);
        return GH_ERR_TOO_LONG;
    }
    memcpy(ret->run_dir, node.run_dir, strlen(node.run_dir) + 1);
    return fill_user(node.user, errors, ret);
}

/* In the short-lived child. */
static int read_here(const char *file, const struct gh_conf_section *const *sections, const char *const *env, struct gh_boot *ret)
{
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_text text;
    int rc;

    gh_conf_errors_init(&errors);
    rc = gh_conf_parse_file(file, sections, env, &errors, &conf);
    if (rc == 0)
        rc = fill(conf, &errors, ret);
    if (rc < 0) {
        gh_text_init(&text, ERRORS_MAX);
        gh_conf_errors_emit(&errors, &text);
        fputs(gh_text_string(&text), stderr);
        gh_text_fini(&text);
    }
    gh_conf_destroy(conf);
    gh_conf_errors_fini(&errors);
    return rc;
}

int gh_boot_read(const char *file, const struct gh_conf_section *const *sections, const char *const *env, struct gh_boot *ret)
{
    struct gh_boot boot = { 0 };
    int ends[2], status = 0;
    ssize_t n;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return GH_ERR_SYSTEM;
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int rc = read_here(file, sections, env, &boot);

        fflush(stderr);
        /* less than PIPE_BUF: one write, whole */
        _exit(rc == 0 && write(ends[1], &boot, sizeof boot) == (ssize_t)sizeof boot ? 0 : 1);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return GH_ERR_SYSTEM;
    }
    do
        n = read(ends[0], &boot, sizeof boot);
    while (n < 0 && errno == EINTR);
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof boot || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return GH_ERR_MALFORMED;
    boot.run_dir[sizeof boot.run_dir - 1] = 0;
    *ret = boot;
    return 0;
}
