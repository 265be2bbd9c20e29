/* bin/child.h - what the children of every program with a parent do */
#ifndef GH_BIN_CHILD_H
#define GH_BIN_CHILD_H

#include "core/run.h"
#include "priv/client.h"

/* Joins what a node asks of its parent to the parent's client, and calls <fn>: gh_run_node or gh_run_name_files. */
int gh_bin_run(struct gh_priv_client *c, const char *config_path, const struct gh_service *const *services,
               int (*fn)(const struct gh_run_config *cfg));

#endif
