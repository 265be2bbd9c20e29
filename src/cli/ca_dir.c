#include "cli/ca_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define FILE_MAX 65536u /* no certificate or key of ours is larger */
#define LINE_MAX_BYTES 4096

__attribute__((format(printf, 3, 4))) static int refuse(int rc, char why[GH_CA_DIR_WHY], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, GH_CA_DIR_WHY, format, args);
    va_end(args);
    return rc;
}

static int refuse_system(char why[GH_CA_DIR_WHY], const char *path)
{
    int rc = errno == EEXIST ? GH_ERR_EXISTS : errno == ENOENT ? GH_ERR_NOT_FOUND : GH_ERR_SYSTEM;

    return refuse(rc, why, "%s: %s", path, strerror(errno));
}

static int path_in(const char *dir, const char *name, const char *suffix, char ret[GH_CA_DIR_PATH], char why[GH_CA_DIR_WHY])
{
    int len = snprintf(ret, GH_CA_DIR_PATH, "%s/%s%s", dir, name, suffix);

    return len > 0 && (unsigned)len < GH_CA_DIR_PATH ? 0 : refuse(GH_ERR_TOO_LONG, why, "%.100s...: path too long", dir);
}

static int make_dir(const char *dir, char why[GH_CA_DIR_WHY])
{
    return mkdir(dir, 0700) == 0 || errno == EEXIST ? 0 : refuse_system(why, dir);
}

static int sync_dir(const char *dir, char why[GH_CA_DIR_WHY])
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : refuse_system(why, dir);

    if (fd >= 0)
        close(fd);
    return rc;
}

static bool write_all(int fd, const char *data, size_t len)
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

/* A file that is complete under another name and waits to get its own. */
struct staged {
    char path[GH_CA_DIR_PATH];
    char waiting[GH_CA_DIR_PATH + 8]; /* "" when there is none */
};

static void unstage(struct staged *f)
{
    if (f->waiting[0])
        unlink(f->waiting);
    f->waiting[0] = 0;
}

static int stage(struct staged *f, const struct gh_pem *data, mode_t mode, char why[GH_CA_DIR_WHY])
{
    int fd, rc = 0;

    snprintf(f->waiting, sizeof f->waiting, "%s.XXXXXX", f->path);
    fd = mkostemp(f->waiting, O_CLOEXEC); /* 0600 */
    if (fd < 0) {
        f->waiting[0] = 0;
        return refuse_system(why, f->path);
    }
    if (!write_all(fd, data->text, data->len) || fchmod(fd, mode) < 0 || fsync(fd) < 0)
        rc = refuse_system(why, f->waiting);
    close(fd);
    if (rc < 0)
        unstage(f);
    return rc;
}

static int commit(struct staged *f, bool force, char why[GH_CA_DIR_WHY])
{
    int done = force ? rename(f->waiting, f->path) : renameat2(AT_FDCWD, f->waiting, AT_FDCWD, f->path, RENAME_NOREPLACE);

    if (done < 0 && !force && (errno == EINVAL || errno == ENOSYS)) /* a file system without that flag */
        done = link(f->waiting, f->path) == 0 ? unlink(f->waiting) : -1;
    if (done < 0)
        return refuse_system(why, f->path);
    f->waiting[0] = 0;
    return 0;
}

/* Certificate and key get their names one after the other; without <force>, a key whose certificate failed goes away again. */
static int commit_pair(struct staged *cert, struct staged *key, bool force, char why[GH_CA_DIR_WHY])
{
    int rc = commit(key, force, why);

    if (rc < 0)
        return rc;
    rc = commit(cert, force, why);
    if (rc < 0 && !force)
        unlink(key->path);
    return rc;
}

static int save_pair(const char *dir, const char *name, const struct gh_pem *cert, const struct gh_pem *key, bool force,
                     char why[GH_CA_DIR_WHY])
{
    struct staged c = { 0 }, k = { 0 };
    int rc = path_in(dir, name, ".crt", c.path, why);

    if (rc == 0)
        rc = path_in(dir, name, ".key", k.path, why);
    if (rc == 0)
        rc = stage(&k, key, 0600, why);
    if (rc == 0)
        rc = stage(&c, cert, 0644, why);
    if (rc == 0)
        rc = commit_pair(&c, &k, force, why);
    unstage(&c);
    unstage(&k);
    return rc == 0 ? sync_dir(dir, why) : rc;
}

static int check_absent(const char *dir, const char *name, const char *suffix, const char *advice, char why[GH_CA_DIR_WHY])
{
    char path[GH_CA_DIR_PATH];
    struct stat st;
    int rc = path_in(dir, name, suffix, path, why);

    if (rc == 0 && lstat(path, &st) == 0)
        rc = refuse(GH_ERR_EXISTS, why, "%s exists already; %s", path, advice);
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
        return refuse(rc, ret_why, "%s: the CA cannot be written: %s", dir, gh_error_text(rc));
    rc = save_pair(dir, "ca", &cert, &key, false, ret_why);
    gh_pem_fini(&cert);
    gh_pem_fini(&key);
    return rc;
}

static int read_file(const char *dir, const char *name, char buf[FILE_MAX], size_t *ret_len, char why[GH_CA_DIR_WHY])
{
    char path[GH_CA_DIR_PATH];
    size_t len = 0;
    ssize_t n;
    int fd, rc = path_in(dir, name, "", path, why);

    if (rc < 0)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return refuse_system(why, path);
    do {
        n = read(fd, buf + len, FILE_MAX - len);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0)
        rc = refuse_system(why, path);
    else if (len == FILE_MAX)
        rc = refuse(GH_ERR_TOO_LONG, why, "%s: too long for a certificate or key", path);
    close(fd);
    if (rc == 0)
        *ret_len = len;
    return rc;
}

int gh_ca_dir_load(const char *dir, struct gh_ca **ret, char ret_why[GH_CA_DIR_WHY])
{
    char ca_why[GH_CA_WHY];
    char *cert = malloc(FILE_MAX), *key = malloc(FILE_MAX);
    size_t cert_len = 0, key_len = 0;
    int rc;

    if (!cert || !key) {
        rc = refuse(GH_ERR_MEMORY, ret_why, "out of memory");
        goto out;
    }
    rc = read_file(dir, "ca.crt", cert, &cert_len, ret_why);
    if (rc == 0)
        rc = read_file(dir, "ca.key", key, &key_len, ret_why);
    if (rc < 0)
        goto out;
    rc = gh_ca_load(gh_span_of(cert, cert_len), gh_span_of(key, key_len), ret, ca_why);
    if (rc < 0)
        refuse(rc, ret_why, "%s: %s", dir, ca_why);
out:
    if (key)
        explicit_bzero(key, FILE_MAX);
    free(key);
    free(cert);
    return rc;
}

int gh_ca_dir_check_leaf(const struct gh_ca_dir_leaf *where, char ret_why[GH_CA_DIR_WHY])
{
    static const char advice[] = "--force replaces it";
    int rc = 0;

    if (where->force)
        return 0;
    rc = check_absent(where->out, where->name, ".crt", advice, ret_why);
    return rc == 0 ? check_absent(where->out, where->name, ".key", advice, ret_why) : rc;
}

static void hex_of(const uint8_t bytes[32], char ret[65])
{
    for (int i = 0; i < 32; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

static char *record_of(const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf)
{
    char hex[65], *text;
    json_t *o;

    hex_of(leaf->spki_sha256, hex);
    o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "serial", leaf->serial, "name", where->name, "role", gh_role_name(where->role),
                  "spki_sha256", hex, "not_before", (json_int_t)leaf->not_before, "not_after", (json_int_t)leaf->not_after, "status",
                  "valid");
    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return text;
}

/* One write of a whole line under a lock. A crash may have left a last line without its end: ours begins on a new one. */
static int append_line(int fd, const char *record, const char *path, char why[GH_CA_DIR_WHY])
{
    char line[LINE_MAX_BYTES], last = '\n';
    off_t end = flock(fd, LOCK_EX) == 0 ? lseek(fd, 0, SEEK_END) : -1;
    int len;

    if (end < 0 || (end > 0 && pread(fd, &last, 1, end - 1) != 1))
        return refuse_system(why, path);
    len = snprintf(line, sizeof line, "%s%s\n", last == '\n' ? "" : "\n", record);
    if (len < 0 || (size_t)len >= sizeof line)
        return refuse(GH_ERR_TOO_LONG, why, "%s: record too long", path);
    return write_all(fd, line, (size_t)len) && fsync(fd) == 0 ? 0 : refuse_system(why, path);
}

static int append_index(const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf, char why[GH_CA_DIR_WHY])
{
    char path[GH_CA_DIR_PATH];
    char *record = record_of(where, leaf);
    int fd, rc = path_in(where->dir, "index.jsonl", "", path, why);

    if (!record)
        return refuse(GH_ERR_MEMORY, why, "out of memory");
    if (rc == 0) {
        fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        rc = fd >= 0 ? append_line(fd, record, path, why) : refuse_system(why, path);
        if (fd >= 0)
            close(fd); /* and with it goes the lock */
    }
    free(record);
    return rc;
}

int gh_ca_dir_save_leaf(const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf, char ret_why[GH_CA_DIR_WHY])
{
    int rc = make_dir(where->out, ret_why);

    if (rc == 0)
        rc = append_index(where, leaf, ret_why);
    if (rc == 0)
        rc = save_pair(where->out, where->name, &leaf->cert, &leaf->key, where->force, ret_why);
    return rc;
}

/* A record with the members that a list shows, or NULL. */
static json_t *parse_record(const char *line, int64_t now)
{
    const char *serial, *name, *role, *spki, *status;
    json_int_t from, to;
    json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

    if (o && json_unpack(o, "{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "serial", &serial, "name", &name, "role", &role, "spki_sha256", &spki,
                         "not_before", &from, "not_after", &to, "status", &status) == 0) {
        if (strcmp(status, "valid") != 0 || to > now || json_object_set_new(o, "status", json_string("expired")) == 0)
            return o;
    }
    json_decref(o);
    return NULL;
}

static int read_index(FILE *f, int64_t now, json_t *list, unsigned *ret_bad)
{
    char line[LINE_MAX_BYTES];

    *ret_bad = 0;
    while (fgets(line, sizeof line, f)) {
        json_t *o = parse_record(line, now);

        if (!o)
            ++*ret_bad;
        else if (json_array_append_new(list, o) < 0)
            return GH_ERR_MEMORY;
    }
    return 0;
}

int gh_ca_dir_list(const char *dir, int64_t now, json_t **ret, unsigned *ret_bad, char ret_why[GH_CA_DIR_WHY])
{
    char path[GH_CA_DIR_PATH];
    json_t *list = json_array();
    struct stat st;
    FILE *f = NULL;
    int rc = 0;

    *ret_bad = 0;
    if (!list)
        return refuse(GH_ERR_MEMORY, ret_why, "out of memory");
    rc = path_in(dir, "ca.crt", "", path, ret_why);
    if (rc == 0 && stat(path, &st) < 0)
        rc = refuse(GH_ERR_NOT_FOUND, ret_why, "%s: no CA there (no ca.crt)", dir);
    if (rc == 0)
        rc = path_in(dir, "index.jsonl", "", path, ret_why);
    if (rc == 0)
        f = fopen(path, "re");
    if (rc == 0 && !f && errno != ENOENT) /* without an index nothing was issued yet */
        rc = refuse_system(ret_why, path);
    if (f) {
        rc = read_index(f, now, list, ret_bad);
        if (rc < 0)
            refuse(rc, ret_why, "out of memory");
        fclose(f);
    }
    if (rc == 0)
        *ret = list;
    else
        json_decref(list);
    return rc;
}
