/* A folder of its own for a test of a verb, and what the verb wrote there. */
#ifndef GH_TESTS_CLI_PLACE_H
#define GH_TESTS_CLI_PLACE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"

struct place {
    char old[4096], dir[64];
    char out[16384], err[16384]; /* what the last command wrote */
    const char *verb;            /* its name in what a failed test says */
};

/* The working folder of the test is a new one. */
static int place_setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    if (!p || !getcwd(p->old, sizeof p->old))
        return -1;
    snprintf(p->dir, sizeof p->dir, "/tmp/gh-cli-XXXXXX");
    if (!mkdtemp(p->dir) || chdir(p->dir) < 0)
        return -1;
    *state = p;
    return 0;
}

static int place_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int place_teardown(void **state)
{
    struct place *p = *state;
    int rc = chdir(p->old);

    nftw(p->dir, place_remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(p);
    return rc;
}

static int place_redirect(FILE *from, const char *path)
{
    int saved, fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    fflush(from);
    saved = dup(fileno(from));
    assert_true(fd >= 0 && saved >= 0);
    dup2(fd, fileno(from));
    close(fd);
    return saved;
}

static void place_restore(FILE *to, int saved, const char *path, char text[16384])
{
    FILE *f;

    fflush(to);
    dup2(saved, fileno(to));
    close(saved);
    f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, 16383, f)] = 0;
    fclose(f);
    unlink(path);
}

/* Runs <call> with <first> and the words, separated by one space, as arguments; gives its exit status. */
static int place_run(struct place *p, const char *first, const char *words, int (*call)(int argc, char **argv))
{
    char line[1024], name[64];
    char *argv[32] = { name };
    int argc = 1, out, err, rc;

    p->verb = first;
    snprintf(name, sizeof name, "%s", first);
    snprintf(line, sizeof line, "%s", words);
    for (char *save = NULL, *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    out = place_redirect(stdout, "stdout.tmp");
    err = place_redirect(stderr, "stderr.tmp");
    rc = call(argc, argv);
    place_restore(stdout, out, "stdout.tmp", p->out);
    place_restore(stderr, err, "stderr.tmp", p->err);
    return rc;
}

/* What a run gave: success, and that nothing was complained about. */
static inline void place_is_ok(const struct place *p, int rc, const char *words)
{
    if (rc != 0)
        fail_msg("%s %s: exit %d: %s", p->verb, words, rc, p->err);
}

/* The same for a failure: its exit status, a part of what it says, and nothing on standard output. */
static inline void place_has_failed(const struct place *p, int rc, const char *words, int code, const char *says)
{
    if (rc != code || !strstr(p->err, says))
        fail_msg("%s %s: exit %d, not %d, or \"%s\" does not say \"%s\"", p->verb, words, rc, code, p->err, says);
    assert_string_equal(p->out, "");
}

static inline unsigned place_mode_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        fail_msg("%s is missing", path);
    return st.st_mode & 0777;
}

static inline size_t place_slurp(const char *path, char text[8192])
{
    FILE *f = fopen(path, "r");
    size_t len;

    assert_non_null(f);
    len = fread(text, 1, 8191, f);
    fclose(f);
    text[len] = 0;
    return len;
}

#endif
