#include "core/audit_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "core/audit_key.h"
#include "core/audit_state.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#define SEALED_FILE "audit.sealed"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static int complain(struct gh_log *log, const char *message, const char *file, const char *why, int rc)
{
    gh_log_event(log, GH_LOG_ERROR, "core", message, gh_log_str("file", file), gh_log_str(*why ? "reason" : NULL, why),
                 gh_log_result("error", rc));
    return rc;
}

/* A line that a killed run left without its end gets it, so that the next one is whole. */
static void end_last_line(struct gh_privileged *p, const char *path, int fd)
{
    struct stat st;
    char last;
    int in;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || gh_privileged_open_file(p, path, &in) < 0)
        return;
    if (pread(in, &last, 1, st.st_size - 1) == 1 && last != '\n') {
        ssize_t n = write(fd, "\n", 1);

        (void)n; /* a full disk: the line stays as it is */
    }
    close(in);
}

static int open_sink(struct gh_privileged *p, const struct gh_node_conf *c, struct gh_log *log, struct gh_audit_setup *setup)
{
    int rc = 0;

    if (c->audit_journal)
        return 0;
    if (strcmp(c->audit_file, "-") == 0)
        setup->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        rc = gh_privileged_open_append(p, c->audit_file, &setup->fd);
    if (rc == 0 && setup->fd < 0)
        rc = GH_ERR_SYSTEM;
    if (rc < 0)
        return complain(log, "audit cannot be written", c->audit_file, gh_privileged_why(p), rc);
    if (strcmp(c->audit_file, "-") != 0)
        end_last_line(p, c->audit_file, setup->fd);
    return 0;
}

/* Whole, or not there. */
static int write_new(int dir, const char *name, const char *data, size_t len)
{
    int fd = openat(dir, SEALED_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written;

    if (fd < 0)
        return GH_ERR_SYSTEM;
    written = write(fd, data, len) == (ssize_t)len && fsync(fd) == 0;
    if (close(fd) < 0 || !written || renameat(dir, SEALED_FILE ".new", dir, name) < 0 || fsync(dir) < 0)
        return GH_ERR_SYSTEM;
    return 0;
}

/* The node begins a chain whose first key it forgets at once. */
static int begin_sealed(struct gh_privileged *p, const struct gh_node_conf *c, struct gh_log *log, int dir)
{
    uint8_t key[GH_AUDIT_KEY];
    char id[GH_AUDIT_ID_TEXT];
    struct gh_text pem, file;
    int rc = gh_privileged_read_file(p, c->audit_seal_to, GH_AUDIT_KEY_FILE_MAX, &pem);

    if (rc < 0)
        return complain(log, "audit.seal_to cannot be read", c->audit_seal_to, gh_privileged_why(p), rc);
    gh_text_init(&file, GH_AUDIT_KEY_FILE_MAX);
    rc = gh_random_bytes(key, sizeof key);
    if (rc == 0)
        rc = gh_audit_key_emit(key, gh_span_of(pem.data, pem.len), &file);
    if (rc == 0)
        rc = gh_audit_chain_id(key, id);
    /* the sealed key first: a chain that nobody can verify is worth nothing */
    if (rc == 0)
        rc = write_new(dir, SEALED_FILE, file.data, file.len);
    if (rc == 0)
        rc = gh_audit_state_create(dir, key);
    gh_wipe(key, sizeof key);
    gh_text_fini(&file);
    gh_text_fini(&pem);
    if (rc < 0)
        return complain(log, "audit chain cannot begin: audit.seal_to is an X25519 public key (PEM)", c->audit_seal_to, "", rc);
    gh_log_event(log, GH_LOG_INFO, "core", "audit chain begins: keep audit.sealed and the name of the chain elsewhere",
                 gh_log_str("chain_id", id));
    return 0;
}

static int open_chain(struct gh_privileged *p, const struct gh_node_conf *c, struct gh_log *log, struct gh_audit_state *ret)
{
    char boot[GH_AUDIT_BOOT] = "";
    struct gh_text text;
    int dir = -1, rc = gh_privileged_open_state_dir(p, c->state_dir, &dir);

    if (rc < 0)
        return complain(log, "state folder cannot be opened", c->state_dir, gh_privileged_why(p), rc);
    if (gh_privileged_read_file(p, BOOT_ID, GH_AUDIT_BOOT - 1, &text) == 0) {
        snprintf(boot, sizeof boot, "%.*s", (int)strcspn(gh_text_string(&text), "\n"), gh_text_string(&text));
        gh_text_fini(&text);
    }
    rc = gh_audit_state_open(dir, boot, ret);
    if (rc == GH_ERR_NOT_FOUND && *c->audit_seal_to) {
        rc = begin_sealed(p, c, log, dir);
        if (rc == 0)
            rc = gh_audit_state_open(dir, boot, ret);
    } else if (rc == GH_ERR_NOT_FOUND) {
        complain(log, "there is no audit chain: run gatehouse audit init, or set audit.seal_to", c->state_dir, "", rc);
    } else if (rc < 0) {
        complain(log, "the state of the audit chain (audit.chain) cannot be used", c->state_dir, rc == GH_ERR_SYSTEM ? strerror(errno) : "", rc);
    }
    close(dir);
    return rc;
}

int gh_audit_open(struct gh_privileged *p, const struct gh_node_conf *c, struct gh_log *log, struct gh_audit **ret)
{
    struct gh_audit_setup setup = { .fd = -1, .journal = c->audit_journal, .records = c->audit_buffer, .format = c->audit_format };
    struct gh_audit_state state = { .fd = -1 };
    struct gh_audit *a = NULL;
    int rc;

    if (!c->audit_journal && !*c->audit_file) {
        *ret = NULL;
        return 0;
    }
    rc = open_sink(p, c, log, &setup);
    if (rc == 0 && c->audit_chain) {
        rc = open_chain(p, c, log, &state);
        setup.chain = &state;
    }
    if (rc == 0) {
        if (c->audit_chain)
            gh_log_event(log, state.unclean ? GH_LOG_WARN : GH_LOG_INFO, "core",
                         state.unclean ? "audit chain goes on after a run that ended without notice" : "audit chain goes on",
                         gh_log_str("chain_id", state.id), gh_log_uint("seq", state.chain.seq));
        rc = gh_audit_create(&setup, &a);
        if (rc < 0)
            complain(log, "audit cannot start", c->audit_file, "", rc);
    }
    if (rc < 0) {
        gh_audit_state_fini(&state);
        if (setup.fd >= 0)
            close(setup.fd);
        return rc;
    }
    *ret = a;
    return 0;
}

void gh_audit_open_again(struct gh_privileged *p, const struct gh_node_conf *c, struct gh_log *log, struct gh_audit *a)
{
    int fd, rc;

    if (!a || c->audit_journal || strcmp(c->audit_file, "-") == 0)
        return;
    rc = gh_privileged_open_append(p, c->audit_file, &fd);
    if (rc < 0)
        complain(log, "audit file cannot be opened again: records go to the one before", c->audit_file, gh_privileged_why(p), rc);
    else
        gh_audit_reopen(a, fd);
}
