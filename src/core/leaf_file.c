#include "core/leaf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "core/conf.h"
#include "crypto/cert.h"
#include "crypto/self_signed.h"

#define NAME_MAX_LEN 64u

static int read_leaf(const char *path, struct gh_leaf_file *f)
{
    struct gh_cert_id id;
    struct gh_cert *cert = NULL;
    int rc;

    gh_text_init(&f->pem, GH_LEAF_FILE_MAX);
    rc = gh_conf_read_file(path, &f->pem);
    if (rc < 0)
        return rc == GH_ERR_SYSTEM && errno == ENOENT ? GH_ERR_NOT_FOUND : rc == GH_ERR_TOO_LONG ? GH_ERR_MALFORMED : rc;
    rc = gh_cert_parse_pem(gh_span_of(f->pem.data, f->pem.len), &cert);
    if (rc == 0)
        rc = gh_cert_id_of(cert, &id);
    if (rc == 0)
        memcpy(f->spki_sha256, id.spki_sha256, sizeof f->spki_sha256);
    gh_cert_destroy(cert);
    return rc < 0 && rc != GH_ERR_MEMORY ? GH_ERR_MALFORMED : rc;
}

static int write_all(int fd, const struct gh_pem *p)
{
    return write(fd, p->text, p->len) == (ssize_t)p->len ? 0 : GH_ERR_SYSTEM;
}

static int write_leaf(const char *path, const struct gh_leaf *leaf)
{
    char part[640];
    int fd, rc;

    snprintf(part, sizeof part, "%s.new", path);
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return GH_ERR_SYSTEM;
    rc = write_all(fd, &leaf->cert);
    if (rc == 0)
        rc = write_all(fd, &leaf->key);
    if (rc == 0 && fsync(fd) < 0)
        rc = GH_ERR_SYSTEM;
    if (close(fd) < 0 || rc < 0 || rename(part, path) < 0)
        return GH_ERR_SYSTEM;
    return 0;
}

int gh_leaf_file_load(const char *state_dir, const char *name, const char *subject, int64_t wall, struct gh_leaf_file *ret)
{
    struct gh_leaf_file f = { .made = false };
    struct gh_leaf leaf = { 0 };
    char path[600], why[GH_CA_WHY];
    int rc;

    snprintf(path, sizeof path, "%s/%.*s.pem", state_dir, (int)NAME_MAX_LEN, name);
    rc = read_leaf(path, &f);
    if (rc == GH_ERR_NOT_FOUND) {
        gh_leaf_file_fini(&f);
        rc = gh_self_signed_create(subject, wall, &leaf, why);
        if (rc == 0)
            rc = write_leaf(path, &leaf);
        gh_leaf_fini(&leaf);
        if (rc == 0)
            rc = read_leaf(path, &f);
        f.made = true;
    }
    if (rc < 0)
        gh_leaf_file_fini(&f);
    else
        *ret = f;
    return rc;
}

void gh_leaf_file_fini(struct gh_leaf_file *f)
{
    if (f->pem.data)
        explicit_bzero(f->pem.data, f->pem.cap);
    gh_text_fini(&f->pem);
}
