/* core/boot.h - what the privileged parent must know before it starts, read from the configuration in a process of its own
 *
 * The parent never reads YAML: a short-lived child does, and hands over these few values.
 */
#ifndef GH_CORE_BOOT_H
#define GH_CORE_BOOT_H

#include <sys/types.h>

#include "core/conf.h"

#define GH_BOOT_PATH 512
#define GH_BOOT_USER "gatehouse"

struct gh_boot {
    char run_dir[GH_BOOT_PATH]; /* node.run_dir: environment over file over default */
    /* Of the child: node.user, by default GH_BOOT_USER where there is one that this process can become. 0: stays who it is. */
    uid_t uid;
    gid_t gid;
};

/* 0; GH_ERR_MALFORMED when the configuration is bad, after its errors went to standard error; GH_ERR_SYSTEM. Called by a process
 * with one thread. */
int gh_boot_read(const char *file, const struct gh_conf_section *const *sections, const char *const *env, struct gh_boot *ret);

#endif
