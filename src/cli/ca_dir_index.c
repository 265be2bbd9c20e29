/* The index of the CA's folder, and the revocation list that is made from it. Who writes either holds a lock on the index. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/ca_dir_internal.h"
#include "crypto/crl.h"

static int lock_index(const char *dir, char path[GH_CA_DIR_PATH], int *ret_fd, char why[GH_CA_DIR_WHY])
{
    int fd, rc = ca_dir_path_in(dir, "index.jsonl", "", path, why);

    if (rc < 0)
        return rc;
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        rc = ca_dir_refuse_system(why, path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* One write of a whole line. A crash may have left a last line without its end: ours begins on a new one. */
static int append_line(int fd, const char *record, const char *path, char why[GH_CA_DIR_WHY])
{
    char line[GH_CA_INDEX_LINE + 2], last = '\n';
    off_t end = lseek(fd, 0, SEEK_END);
    int len;

    if (end < 0 || (end > 0 && pread(fd, &last, 1, end - 1) != 1))
        return ca_dir_refuse_system(why, path);
    len = snprintf(line, sizeof line, "%s%s\n", last == '\n' ? "" : "\n", record);
    if (len < 0 || (size_t)len >= sizeof line)
        return ca_dir_refuse(GH_ERR_TOO_LONG, why, "%s: record too long", path);
    return ca_dir_write_all(fd, line, (size_t)len) && fsync(fd) == 0 ? 0 : ca_dir_refuse_system(why, path);
}

/* Takes <record> over. */
static int append(int fd, char *record, const char *path, char why[GH_CA_DIR_WHY])
{
    int rc = record ? append_line(fd, record, path, why) : ca_dir_refuse(GH_ERR_MEMORY, why, "out of memory");

    free(record);
    return rc;
}

int ca_dir_append_issued(const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf, char why[GH_CA_DIR_WHY])
{
    struct gh_ca_index_entry e = { .role = where->role, .not_before = leaf->not_before, .not_after = leaf->not_after };
    char path[GH_CA_DIR_PATH];
    int fd, rc = lock_index(where->dir, path, &fd, why);

    if (rc < 0)
        return rc;
    memcpy(e.serial, leaf->serial, sizeof e.serial);
    snprintf(e.name, sizeof e.name, "%s", where->name);
    memcpy(e.spki_sha256, leaf->spki_sha256, sizeof e.spki_sha256);
    rc = append(fd, gh_ca_index_emit(&e), path, why);
    close(fd); /* and with it goes the lock */
    return rc;
}

static int read_index(const char *path, struct gh_ca_index *ret, char why[GH_CA_DIR_WHY])
{
    char *text = NULL;
    size_t len = 0;
    int rc = ca_dir_read_file(path, GH_CA_INDEX_MAX, &text, &len, why);

    if (rc == GH_ERR_NOT_FOUND) { /* without an index nothing was issued yet */
        *ret = (struct gh_ca_index){ 0 };
        return 0;
    }
    if (rc < 0)
        return rc;
    rc = gh_ca_index_parse(gh_span_of(text, len), ret);
    free(text);
    return rc < 0 ? ca_dir_refuse(rc, why, "%s: %s", path, gh_error_text(rc)) : 0;
}

int gh_ca_dir_index(const char *dir, struct gh_ca_index *ret, char ret_why[GH_CA_DIR_WHY])
{
    char path[GH_CA_DIR_PATH];
    struct stat st;
    int rc = ca_dir_path_in(dir, "ca.crt", "", path, ret_why);

    if (rc == 0 && stat(path, &st) < 0)
        rc = ca_dir_refuse(GH_ERR_NOT_FOUND, ret_why, "%s: no CA there (no ca.crt)", dir);
    if (rc == 0)
        rc = ca_dir_path_in(dir, "index.jsonl", "", path, ret_why);
    return rc < 0 ? rc : read_index(path, ret, ret_why);
}

int gh_ca_dir_read_certificate(const char *path, char **ret, size_t *ret_len, char ret_why[GH_CA_DIR_WHY])
{
    return ca_dir_read_file(path, 65536, ret, ret_len, ret_why);
}

/* ---- the list ---- */

/* Of the list that is there; 0 when there is none that can be read. */
static uint64_t last_number(const struct gh_ca *ca, const char *path)
{
    char *text = NULL, why[GH_CA_DIR_WHY], crl_why[GH_CRL_WHY];
    struct gh_pem cert = { 0 }, key = { 0 };
    struct gh_crl_set *set = NULL;
    size_t len = 0;
    uint64_t number = 0;

    if (ca_dir_read_file(path, GH_CRL_FILE_MAX, &text, &len, why) == 0 && gh_ca_emit(ca, &cert, &key) == 0 &&
        gh_crl_set_load(gh_span_of(text, len), gh_span_of(cert.text, cert.len), &set, crl_why) == 0)
        number = gh_crl_set_number(set);
    gh_crl_set_destroy(set);
    gh_pem_fini(&cert);
    gh_pem_fini(&key);
    free(text);
    return number;
}

static int make_crl(const struct gh_ca *ca, const struct gh_ca_index *index, uint32_t days, int64_t now, struct gh_ca_dir_crl *crl,
                    struct gh_pem *ret, char why[GH_CA_DIR_WHY])
{
    struct gh_ca_revoked *list = calloc(index->count ? index->count : 1, sizeof *list);
    struct gh_ca_crl_request req = { .list = list, .days = days, .now = now };
    char ca_why[GH_CA_WHY];
    int rc;

    if (!list)
        return ca_dir_refuse(GH_ERR_MEMORY, why, "out of memory");
    for (size_t i = 0; i < index->count; i++)
        if (index->entries[i].revoked)
            list[req.count++] = (struct gh_ca_revoked){ index->entries[i].serial, index->entries[i].revoked, index->entries[i].reason };
    /* seconds, so that a lost list does not make numbers fall back; but two lists of one second differ too */
    req.number = last_number(ca, crl->path) + 1;
    if (now > 0 && req.number < (uint64_t)now)
        req.number = (uint64_t)now;
    rc = gh_ca_crl(ca, &req, ret, &crl->next_update, ca_why);
    if (rc < 0)
        ca_dir_refuse(rc, why, "%s", ca_why);
    crl->count = req.count;
    crl->number = req.number;
    free(list);
    return rc;
}

/* With the index locked. */
static int save_crl(const struct gh_ca *ca, const char *dir, uint32_t days, int64_t now, struct gh_ca_dir_crl *ret, char why[GH_CA_DIR_WHY])
{
    struct ca_dir_staged file = { 0 };
    struct gh_ca_dir_crl crl = { 0 };
    struct gh_ca_index index = { 0 };
    struct gh_pem pem = { 0 };
    int rc = gh_ca_dir_index(dir, &index, why);

    if (rc == 0)
        rc = ca_dir_path_in(dir, "ca.crl", "", crl.path, why);
    if (rc == 0 && index.bad) /* one of them may be a revocation */
        rc = ca_dir_refuse(GH_ERR_MALFORMED, why, "%s/index.jsonl:%u is no record: put it right or take it out first", dir, index.bad_line);
    if (rc == 0)
        rc = make_crl(ca, &index, days, now, &crl, &pem, why);
    if (rc == 0) {
        memcpy(file.path, crl.path, sizeof file.path);
        rc = ca_dir_stage(&file, &pem, 0644, why);
    }
    if (rc == 0)
        rc = ca_dir_commit(&file, true, why);
    if (rc == 0)
        rc = ca_dir_sync_dir(dir, why);
    ca_dir_unstage(&file);
    gh_pem_fini(&pem);
    gh_ca_index_fini(&index);
    if (rc == 0)
        *ret = crl;
    return rc;
}

int gh_ca_dir_save_crl(const struct gh_ca *ca, const char *dir, uint32_t days, int64_t now, struct gh_ca_dir_crl *ret,
                       char ret_why[GH_CA_DIR_WHY])
{
    char path[GH_CA_DIR_PATH];
    int fd, rc = lock_index(dir, path, &fd, ret_why);

    if (rc < 0)
        return rc;
    rc = save_crl(ca, dir, days, now, ret, ret_why);
    close(fd);
    return rc;
}

/* ---- revocation ---- */

/* A serial number wins over a NAME that looks like one. */
static bool by_serial(const struct gh_ca_index *index, const char *what)
{
    for (size_t i = 0; i < index->count; i++)
        if (strcasecmp(index->entries[i].serial, what) == 0)
            return true;
    return false;
}

/* Leaves in <index> what is to be revoked. */
static int choose(struct gh_ca_index *index, const struct gh_ca_dir_revocation *r, char why[GH_CA_DIR_WHY])
{
    bool serial = by_serial(index, r->what), named = false;
    size_t kept = 0;

    for (size_t i = 0; i < index->count; i++) {
        struct gh_ca_index_entry *e = &index->entries[i];

        if (strcasecmp(serial ? e->serial : e->name, r->what) != 0 || (!serial && strcmp(e->name, r->what) != 0))
            continue;
        named = true;
        if (!e->revoked && (serial || e->not_after > r->now))
            index->entries[kept++] = *e;
    }
    index->count = kept;
    if (kept)
        return 0;
    if (!named)
        return ca_dir_refuse(GH_ERR_NOT_FOUND, why, "%s/index.jsonl has no certificate with the NAME or serial number \"%.140s\"", r->dir, r->what);
    return ca_dir_refuse(GH_ERR_EXISTS, why, "\"%.140s\" has no certificate left to revoke (gatehouse ca crl writes the list again)", r->what);
}

static int note(int fd, const char *path, struct gh_ca_index *chosen, const struct gh_ca_dir_revocation *r, char why[GH_CA_DIR_WHY])
{
    int rc = 0;

    for (size_t i = 0; i < chosen->count && rc == 0; i++) {
        chosen->entries[i].revoked = r->now;
        chosen->entries[i].reason = r->reason;
        rc = append(fd, gh_ca_index_emit_revocation(&chosen->entries[i]), path, why);
    }
    return rc;
}

int gh_ca_dir_revoke(const struct gh_ca *ca, const struct gh_ca_dir_revocation *r, struct gh_ca_index *ret, struct gh_ca_dir_crl *ret_crl,
                     char ret_why[GH_CA_DIR_WHY])
{
    char path[GH_CA_DIR_PATH];
    struct gh_ca_index chosen = { 0 };
    int fd, rc = lock_index(r->dir, path, &fd, ret_why);

    if (rc < 0)
        return rc;
    rc = gh_ca_dir_index(r->dir, &chosen, ret_why);
    if (rc == 0)
        rc = choose(&chosen, r, ret_why);
    if (rc == 0)
        rc = note(fd, path, &chosen, r, ret_why);
    if (rc == 0)
        rc = save_crl(ca, r->dir, r->days, r->now, ret_crl, ret_why);
    close(fd);
    if (rc < 0)
        gh_ca_index_fini(&chosen);
    else
        *ret = chosen;
    return rc;
}
