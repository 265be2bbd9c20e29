/* services/door/door.h - the service that owns port 443 */
#ifndef GH_SERVICES_DOOR_DOOR_H
#define GH_SERVICES_DOOR_DOOR_H

#include "core/lifecycle.h"

extern const struct gh_service gh_service_door;

#endif
