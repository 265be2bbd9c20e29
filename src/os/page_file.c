#include "os/page_file.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"

int gh_page_file_write(int fd, const char *text, size_t len)
{
    char page[GH_PAGE_FILE];

    if (len > sizeof page)
        return GH_ERR_TOO_LONG;
    memset(page, '\n', sizeof page);
    if (len > 0)
        memcpy(page, text, len);
    return pwrite(fd, page, sizeof page, 0) == (ssize_t)sizeof page ? 0 : GH_ERR_SYSTEM;
}
