/* core/audit_open.h - the audit of a node, as its configuration asks for it */
#ifndef GH_CORE_AUDIT_OPEN_H
#define GH_CORE_AUDIT_OPEN_H

#include "core/node_conf.h"
#include "core/privileged.h"

/* Opens sink and chain through the parent; says in the log what cannot be opened. <ret> is NULL when audit is off. */
int gh_audit_open(struct gh_privileged *p, const struct gh_node_conf *c, struct gh_log *log, struct gh_audit **ret);
/* Opens the file again, for whoever moved it away. */
void gh_audit_open_again(struct gh_privileged *p, const struct gh_node_conf *c, struct gh_log *log, struct gh_audit *a);

#endif
