/* os/folder.h - folders that may not be there yet */
#ifndef GH_OS_FOLDER_H
#define GH_OS_FOLDER_H

#include <sys/types.h>

/* Makes <path> with <mode>, and what leads to it with 0755. A folder that is there stays as it is. 0 or -1 with errno. */
int gh_folder_make(const char *path, mode_t mode);

#endif
