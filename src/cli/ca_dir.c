#include "cli/ca_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/ca_dir_internal.h"

#define FILE_MAX 65536u /* no certificate or key of ours is larger */

int ca_dir_refuse(int rc, char why[GH_CA_DIR_WHY], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, GH_CA_DIR_WHY, format, args);
    va_end(args);
    return rc;
}

int ca_dir_refuse_system(char why[GH_CA_DIR_WHY], const char *path)
{
    int rc = errno == EEXIST ? GH_ERR_EXISTS : errno == ENOENT ? GH_ERR_NOT_FOUND : GH_ERR_SYSTEM;

    return ca_dir_refuse(rc, why, "%s: %s", path, strerror(errno));
}

int ca_dir_path_in(const char *dir, const char *name, const char *suffix, char ret[GH_CA_DIR_PATH], char why[GH_CA_DIR_WHY])
{
    int len = snprintf(ret, GH_CA_DIR_PATH, "%s/%s%s", dir, name, suffix);

    return len > 0 && (unsigned)len < GH_CA_DIR_PATH ? 0 : ca_dir_refuse(GH_ERR_TOO_LONG, why, "%.100s...: path too long", dir);
}

static int make_dir(const char *dir, char why[GH_CA_DIR_WHY])
{
    return mkdir(dir, 0700) == 0 || errno == EEXIST ? 0 : ca_dir_refuse_system(why, dir);
}

int ca_dir_sync_dir(const char *dir, char why[GH_CA_DIR_WHY])
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : ca_dir_refuse_system(why, dir);

    if (fd >= 0)
        close(fd);
    return rc;
}

bool ca_dir_write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

void ca_dir_unstage(struct ca_dir_staged *f)
{
    if (f->waiting[0])
        unlink(f->waiting);
    f->waiting[0] = 0;
}

int ca_dir_stage(struct ca_dir_staged *f, const struct gh_pem *data, mode_t mode, char why[GH_CA_DIR_WHY])
{
    int fd, rc = 0;

    snprintf(f->waiting, sizeof f->waiting, "%s.XXXXXX", f->path);
    fd = mkostemp(f->waiting, O_CLOEXEC); /* 0600 */
    if (fd < 0) {
        f->waiting[0] = 0;
        return ca_dir_refuse_system(why, f->path);
    }
    if (!ca_dir_write_all(fd, data->text, data->len) || fchmod(fd, mode) < 0 || fsync(fd) < 0)
        rc = ca_dir_refuse_system(why, f->waiting);
    close(fd);
    if (rc < 0)
        ca_dir_unstage(f);
    return rc;
}

int ca_dir_commit(struct ca_dir_staged *f, bool force, char why[GH_CA_DIR_WHY])
{
    int done = force ? rename(f->waiting, f->path) : renameat2(AT_FDCWD, f->waiting, AT_FDCWD, f->path, RENAME_NOREPLACE);

    if (done < 0 && !force && (errno == EINVAL || errno == ENOSYS)) /* a file system without that flag */
        done = link(f->waiting, f->path) == 0 ? unlink(f->waiting) : -1;
    if (done < 0)
        return ca_dir_refuse_system(why, f->path);
    f->waiting[0] = 0;
    return 0;
}

/* Certificate and key get their names one after the other; without <force>, a key whose certificate failed goes away again. */
static int commit_pair(struct ca_dir_staged *cert, struct ca_dir_staged *key, bool force, char why[GH_CA_DIR_WHY])
{
    bool with_key = key->waiting[0];
    int rc = with_key ? ca_dir_commit(key, force, why) : 0;

    if (rc < 0)
        return rc;
    rc = ca_dir_commit(cert, force, why);
    if (rc < 0 && with_key && !force)
        unlink(key->path);
    return rc;
}

/* <key> NULL: the one that is there stays. */
static int save_pair(const char *dir, const char *name, const struct gh_pem *cert, const struct gh_pem *key, bool force,
                     char why[GH_CA_DIR_WHY])
{
    struct ca_dir_staged c = { 0 }, k = { 0 };
    int rc = ca_dir_path_in(dir, name, ".crt", c.path, why);

    if (rc == 0)
        rc = ca_dir_path_in(dir, name, ".key", k.path, why);
    if (rc == 0 && key)
        rc = ca_dir_stage(&k, key, 0600, why);
    if (rc == 0)
        rc = ca_dir_stage(&c, cert, 0644, why);
    if (rc == 0)
        rc = commit_pair(&c, &k, force, why);
    ca_dir_unstage(&c);
    ca_dir_unstage(&k);
    return rc == 0 ? ca_dir_sync_dir(dir, why) : rc;
}

static int check_absent(const char *dir, const char *name, const char *suffix, const char *advice, char why[GH_CA_DIR_WHY])
{
    char path[GH_CA_DIR_PATH];
    struct stat st;
    int rc = ca_dir_path_in(dir, name, suffix, path, why);

    if (rc == 0 && lstat(path, &st) == 0)
        rc = ca_dir_refuse(GH_ERR_EXISTS, why, "%s exists already; %s", path, advice);
    return rc;
}

int gh_ca_dir_save(const char *dir, const struct gh_ca *ca, char ret_why[GH_CA_DIR_WHY])
{
    static const char advice[] = "a CA is never replaced: name another --dir, or move the old one away";
    struct gh_pem cert = { 0 }, key = { 0 };
    int rc = make_dir(dir, ret_why);

    if (rc == 0)
        rc = check_absent(dir, "ca", ".crt", advice, ret_why);
    if (rc == 0)
        rc = check_absent(dir, "ca", ".key", advice, ret_why);
    if (rc < 0)
        return rc;
    rc = gh_ca_emit(ca, &cert, &key);
    if (rc < 0)
        return ca_dir_refuse(rc, ret_why, "%s: the CA cannot be written: %s", dir, gh_error_text(rc));
    rc = save_pair(dir, "ca", &cert, &key, false, ret_why);
    gh_pem_fini(&cert);
    gh_pem_fini(&key);
    return rc;
}

int ca_dir_read_file(const char *path, size_t limit, char **ret, size_t *ret_len, char why[GH_CA_DIR_WHY])
{
    size_t len = 0, cap = 0;
    char *buf = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    ssize_t n = 1;

    if (fd < 0)
        return ca_dir_refuse_system(why, path);
    while (rc == 0 && n != 0) {
        if (len == cap) {
            char *grown = cap < limit ? malloc(cap ? cap * 2 : FILE_MAX) : NULL; /* not realloc: it may leave a key behind */

            if (!grown) {
                rc = ca_dir_refuse(cap < limit ? GH_ERR_MEMORY : GH_ERR_TOO_LONG, why, "%s: %s", path,
                                   cap < limit ? "out of memory" : "too long for what it is");
                break;
            }
            if (len)
                memcpy(grown, buf, len);
            ca_dir_free(buf, len);
            buf = grown;
            cap = cap ? cap * 2 : FILE_MAX;
        }
        n = read(fd, buf + len, cap - len);
        len += n > 0 ? (size_t)n : 0;
        if (n < 0 && errno != EINTR)
            rc = ca_dir_refuse_system(why, path);
    }
    close(fd);
    if (rc < 0) {
        ca_dir_free(buf, len);
        return rc;
    }
    *ret = buf;
    *ret_len = len;
    return 0;
}

void ca_dir_free(char *text, size_t len)
{
    if (text)
        explicit_bzero(text, len);
    free(text);
}

static int read_in(const char *dir, const char *name, char **ret, size_t *ret_len, char why[GH_CA_DIR_WHY])
{
    char path[GH_CA_DIR_PATH];
    int rc = ca_dir_path_in(dir, name, "", path, why);

    return rc < 0 ? rc : ca_dir_read_file(path, FILE_MAX, ret, ret_len, why);
}

int gh_ca_dir_load(const char *dir, struct gh_ca **ret, char ret_why[GH_CA_DIR_WHY])
{
    char ca_why[GH_CA_WHY];
    char *cert = NULL, *key = NULL;
    size_t cert_len = 0, key_len = 0;
    int rc = read_in(dir, "ca.crt", &cert, &cert_len, ret_why);

    if (rc == 0)
        rc = read_in(dir, "ca.key", &key, &key_len, ret_why);
    if (rc == 0) {
        rc = gh_ca_load(gh_span_of(cert, cert_len), gh_span_of(key, key_len), ret, ca_why);
        if (rc < 0)
            ca_dir_refuse(rc, ret_why, "%s: %s", dir, ca_why);
    }
    ca_dir_free(key, key_len);
    ca_dir_free(cert, cert_len);
    return rc;
}

int gh_ca_dir_check_leaf(const struct gh_ca_dir_leaf *where, char ret_why[GH_CA_DIR_WHY])
{
    static const char advice[] = "--force replaces it";
    int rc = 0;

    if (where->force)
        return 0;
    rc = check_absent(where->out, where->name, ".crt", advice, ret_why);
    return rc == 0 && !where->keeps_key ? check_absent(where->out, where->name, ".key", advice, ret_why) : rc;
}

int gh_ca_dir_save_leaf(const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf, char ret_why[GH_CA_DIR_WHY])
{
    int rc = make_dir(where->out, ret_why);

    if (rc == 0)
        rc = ca_dir_append_issued(where, leaf, ret_why);
    if (rc == 0)
        rc = save_pair(where->out, where->name, &leaf->cert, leaf->key.len ? &leaf->key : NULL, where->force, ret_why);
    return rc;
}
