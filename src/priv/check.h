/* priv/check.h - is this request well-formed? Pure: no state, no system call */
#ifndef GH_PRIV_CHECK_H
#define GH_PRIV_CHECK_H

#include <stdbool.h>

#include "priv/request.h"

/* 1..15 of [A-Za-z0-9_.-], neither "." nor ".."; <pattern> allows "%d" at the end. Ends with NUL inside its field. */
bool gh_check_device(const char name[GH_PRIV_DEVICE], bool pattern);
/* Strings end, numbers are in range, prefixes are valid. 0, GH_ERR_MALFORMED, GH_ERR_RANGE or GH_ERR_UNSUPPORTED (kind). */
int gh_check_request(const struct gh_priv_request *q);

#endif
