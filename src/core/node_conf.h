/* core/node_conf.h - the sections that every node has: node, log, audit, admin */
#ifndef GH_CORE_NODE_CONF_H
#define GH_CORE_NODE_CONF_H

#include "core/audit.h"
#include "core/conf.h"
#include "core/log.h"

#define GH_NODE_WORKERS_MAX 63u

extern const struct gh_conf_section gh_conf_section_node;
extern const struct gh_conf_section gh_conf_section_log;
extern const struct gh_conf_section gh_conf_section_audit;
extern const struct gh_conf_section gh_conf_section_admin;

/* Strings belong to the configuration that it was loaded from. */
struct gh_node_conf {
    unsigned workers; /* 1..GH_NODE_WORKERS_MAX: 0 in the file is the number of cores that this process may use */
    const char *state_dir, *run_dir;
    const char *user;      /* "": gatehouse where there is one */
    int64_t drain_timeout; /* ns */
    enum gh_log_level log_level;
    enum gh_log_format log_format;
    const char *log_file;   /* "-": standard error */
    bool audit_journal;     /* to the journal, whatever audit_file is */
    const char *audit_file; /* "-": standard output, "": none */
    enum gh_audit_format audit_format;
    unsigned audit_buffer;  /* records */
    bool audit_chain;
    const char *audit_seal_to; /* path, "" for none */
    bool admin_tcp; /* listens on admin_listen */
    struct gh_conf_addr admin_listen;
    const char *admin_socket; /* "": none */
};

void gh_node_conf_load(const struct gh_conf *conf, struct gh_node_conf *ret);

#endif
