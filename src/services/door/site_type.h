/* services/door/site_type.h - what a file is, by the ending of its name; pure */
#ifndef GH_SERVICES_DOOR_SITE_TYPE_H
#define GH_SERVICES_DOOR_SITE_TYPE_H

/* "text/html"; "application/octet-stream" for what is not known. */
const char *door_site_type(const char *name);

#endif
