/* services/admin/admin.h - health, metrics and the operator's API of a node */
#ifndef GH_SERVICES_ADMIN_ADMIN_H
#define GH_SERVICES_ADMIN_ADMIN_H

#include "core/lifecycle.h"

extern const struct gh_service gh_service_admin;

#endif
