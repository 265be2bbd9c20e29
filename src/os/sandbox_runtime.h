/* os/sandbox_runtime.h - the one exception of the strict rules: what the runtime of a sanitizer or of coverage needs
 *
 * Nothing in a plain build.
 */
#ifndef GH_OS_SANDBOX_RUNTIME_H
#define GH_OS_SANDBOX_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

/* Numbers of system calls that are allowed whatever their arguments. */
const int *gh_sandbox_runtime_calls(size_t *ret_count);
/* May read, may write everything. */
bool gh_sandbox_runtime_reads(void);
bool gh_sandbox_runtime_writes(void);

#endif
