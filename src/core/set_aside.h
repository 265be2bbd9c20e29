/* core/set_aside.h - a file of the state folder that cannot be used is kept under another name
 *
 * For what a node can make anew: it goes on, and what was there can still be looked at.
 */
#ifndef GH_CORE_SET_ASIDE_H
#define GH_CORE_SET_ASIDE_H

#include <stddef.h>
#include <stdint.h>

#define GH_SET_ASIDE_NAME 700u /* longest new name, NUL included */

/* Renames <path> to PATH.damaged-YYYYMMDDTHHMMSSZ (with -2, -3, ... behind it when that is there already), and likewise PATH followed by each
 * of the <count> <endings>, as far as they are there. <wall>: seconds. 0; GH_ERR_TOO_LONG or GH_ERR_SYSTEM, errno says: nothing that is left
 * is in the way of a second try. */
int gh_set_aside(const char *path, const char *const *endings, size_t count, int64_t wall, char ret_name[GH_SET_ASIDE_NAME]);

#endif
