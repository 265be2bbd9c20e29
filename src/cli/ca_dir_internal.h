/* cli/ca_dir_internal.h - files of the CA's folder, for ca_dir.c and ca_dir_index.c */
#ifndef GH_CLI_CA_DIR_INTERNAL_H
#define GH_CLI_CA_DIR_INTERNAL_H

#include <sys/types.h>

#include "cli/ca_dir.h"

int ca_dir_refuse(int rc, char why[GH_CA_DIR_WHY], const char *format, ...) __attribute__((format(printf, 3, 4)));
/* From errno. */
int ca_dir_refuse_system(char why[GH_CA_DIR_WHY], const char *path);
int ca_dir_path_in(const char *dir, const char *name, const char *suffix, char ret[GH_CA_DIR_PATH], char why[GH_CA_DIR_WHY]);
bool ca_dir_write_all(int fd, const char *data, size_t len);
int ca_dir_sync_dir(const char *dir, char why[GH_CA_DIR_WHY]);
/* The whole file. */
int ca_dir_read_file(const char *path, size_t limit, char **ret, size_t *ret_len, char why[GH_CA_DIR_WHY]);
/* Wipes. Accepts NULL. */
void ca_dir_free(char *text, size_t len);

/* A file that is complete under another name and waits to get its own. */
struct ca_dir_staged {
    char path[GH_CA_DIR_PATH];
    char waiting[GH_CA_DIR_PATH + 8]; /* "" when there is none */
};

int ca_dir_stage(struct ca_dir_staged *f, const struct gh_pem *data, mode_t mode, char why[GH_CA_DIR_WHY]);
int ca_dir_commit(struct ca_dir_staged *f, bool force, char why[GH_CA_DIR_WHY]);
void ca_dir_unstage(struct ca_dir_staged *f);

/* ca_dir_index.c */
int ca_dir_append_issued(const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf, char why[GH_CA_DIR_WHY]);

#endif
