/* core/audit_sink.h - where audit lines go: a file, a pipe or terminal, the journal
 *
 * Nothing here waits. A sink that refused is asked again later.
 */
#ifndef GH_CORE_AUDIT_SINK_H
#define GH_CORE_AUDIT_SINK_H

#include <stdbool.h>
#include <stddef.h>

#define GH_AUDIT_PIPE 4096u /* PIPE_BUF: poll says that so much goes in without blocking */

struct gh_audit_sink {
    int fd; /* -1: the journal is away */
    bool is_file;
    bool is_journal;
};

/* Takes <fd> over. */
void gh_audit_sink_init(struct gh_audit_sink *s, int fd);
/* Never fails: a journal that is not there is tried again with every write. */
void gh_audit_sink_init_journal(struct gh_audit_sink *s);
void gh_audit_sink_fini(struct gh_audit_sink *s);
/* Whole lines, each with its end. How many bytes were taken; 0: it refused. */
size_t gh_audit_sink_write(struct gh_audit_sink *s, const char *lines, size_t len);
/* What was written survives the machine, where the sink is one that can promise it. */
void gh_audit_sink_sync(const struct gh_audit_sink *s);
/* Is <fd> the file that is written already? */
bool gh_audit_sink_is(const struct gh_audit_sink *s, int fd);

#endif
