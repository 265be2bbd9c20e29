/* core/dump.h - the state of a node, written to its log on SIGQUIT */
#ifndef GH_CORE_DUMP_H
#define GH_CORE_DUMP_H

struct gh_run;

/* Lines "dump" whose field <what> is node, check, listener, feature, worker, session, metric (those that are not zero) or trace; the
 * last one is "end". Written whatever the log's level is. On the thread that runs the node. */
void gh_dump(struct gh_run *run);

#endif
