/* os/page_file.h - a short text file that others read while it changes
 *
 * It always has the same length, filled up with line ends: one write replaces everything, and nothing has to be cut off.
 */
#ifndef GH_OS_PAGE_FILE_H
#define GH_OS_PAGE_FILE_H

#include <stddef.h>

#define GH_PAGE_FILE 4096u

/* 0, GH_ERR_TOO_LONG (more than GH_PAGE_FILE bytes) or GH_ERR_SYSTEM. */
int gh_page_file_write(int fd, const char *text, size_t len);

#endif
