#include "core/node_conf.h"

#include <sched.h>
#include <string.h>

enum { NODE_WORKERS, NODE_STATE_DIR, NODE_RUN_DIR, NODE_DRAIN_TIMEOUT, NODE_USER };

static const struct gh_conf_row node_rows[] = {
    [NODE_WORKERS] = { "workers", GH_CONF_UINT, .dflt = "0", .min = "0", .max = "63", .unit = "threads",
                       .help = "threads that carry packets; 0 takes one for each core that the process may use" },
    [NODE_STATE_DIR] = { "state_dir", GH_CONF_PATH, .dflt = "/var/lib/gatehouse", .min = "1",
                         .help = "folder for what outlives a restart" },
    [NODE_RUN_DIR] = { "run_dir", GH_CONF_PATH, .dflt = "/run/gatehouse", .min = "1",
                       .help = "folder for sockets and locks, which a restart of the machine may empty" },
    [NODE_DRAIN_TIMEOUT] = { "drain_timeout", GH_CONF_DURATION, .dflt = "30s", .min = "0s", .max = "1h", .reload = true,
                             .help = "how long tunnels may go on after the node was told to end" },
    [NODE_USER] = { "user", GH_CONF_STRING, .max = "32",
                    .help = "user that the child, which does everything but hold rights, runs as; without it gatehouse where there is such "
                            "a user, else the one who started the program" },
    { 0 },
};

const struct gh_conf_section gh_conf_section_node = { "node", "The process as a whole.", node_rows, true, NULL };

enum { LOG_LEVEL, LOG_FORMAT, LOG_FILE };

static const struct gh_conf_row log_rows[] = {
    [LOG_LEVEL] = { "level", GH_CONF_ENUM, .dflt = "info", .values = "error|warn|info|debug", .reload = true,
                    .help = "the least important events that are written" },
    [LOG_FORMAT] = { "format", GH_CONF_ENUM, .dflt = "auto", .values = "auto|text|json",
                     .help = "auto is text on a terminal and JSON elsewhere" },
    [LOG_FILE] = { "file", GH_CONF_PATH, .dflt = "-", .help = "where lines go; - is standard error" },
    { 0 },
};

const struct gh_conf_section gh_conf_section_log = { "log", "What the node says about itself.", log_rows, true, NULL };

enum { AUDIT_SINK, AUDIT_FILE, AUDIT_FORMAT, AUDIT_BUFFER, AUDIT_CHAIN, AUDIT_SEAL_TO };

static const struct gh_conf_row audit_rows[] = {
    [AUDIT_SINK] = { "sink", GH_CONF_ENUM, .dflt = "file", .values = "file|journald",
                     .help = "journald: records go to the journal of systemd, as gatehouse-audit; file: to audit.file" },
    [AUDIT_FILE] = { "file", GH_CONF_PATH, .dflt = "-",
                     .help = "where records go; - is standard output, an empty value turns them off; SIGHUP opens it anew" },
    [AUDIT_FORMAT] = { "format", GH_CONF_ENUM, .dflt = "json", .values = "json|text",
                       .help = "json is one object a line, text the same keys as words key=value" },
    [AUDIT_BUFFER] = { "buffer", GH_CONF_UINT, .dflt = "4096", .min = "64", .max = "65536", .unit = "records",
                       .help = "records that wait for a slow reader before further ones are lost and counted" },
    [AUDIT_CHAIN] = { "chain", GH_CONF_BOOL, .dflt = "false",
                      .help = "every record carries seq and chain, which gatehouse audit verify checks; gatehouse audit init makes the first key" },
    [AUDIT_SEAL_TO] = { "seal_to", GH_CONF_PATH,
                        .help = "X25519 public key (PEM): where gatehouse audit init was not run, the node makes the first key itself and keeps "
                                "it in ${state_dir}/audit.sealed, which only the private key opens" },
    { 0 },
};

static void check_audit(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors)
{
    if (*gh_conf_string(conf, section, AUDIT_SEAL_TO) && !gh_conf_bool(conf, section, AUDIT_CHAIN))
        gh_conf_fail(conf, section, AUDIT_SEAL_TO, errors, "audit.seal_to is for a chain: set audit.chain to true");
}

const struct gh_conf_section gh_conf_section_audit = { "audit", "Who was let through, who was not, and why.", audit_rows, true,
                                                       check_audit };

enum { ADMIN_LISTEN, ADMIN_SOCKET };

static const struct gh_conf_row admin_rows[] = {
    [ADMIN_LISTEN] = { "listen", GH_CONF_ADDR_LIST, .dflt = "127.0.0.1:8080", .max = "1",
                       .help = "plain HTTP for health and metrics; an empty list turns it off" },
    [ADMIN_SOCKET] = { "socket", GH_CONF_PATH, .dflt = "${run_dir}/admin.sock", .max = "200",
                       .help = "unix socket of the admin API; an empty value turns it off" },
    { 0 },
};

const struct gh_conf_section gh_conf_section_admin = { "admin", "Health, metrics and the admin API.", admin_rows, true, NULL };

static unsigned cores(void)
{
    cpu_set_t set;
    int n;

    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > (int)GH_NODE_WORKERS_MAX ? GH_NODE_WORKERS_MAX : (unsigned)n;
}

void gh_node_conf_load(const struct gh_conf *conf, struct gh_node_conf *ret)
{
    static const enum gh_log_format formats[] = { GH_LOG_AUTO, GH_LOG_TEXT, GH_LOG_JSON };
    static const enum gh_log_level levels[] = { GH_LOG_ERROR, GH_LOG_WARN, GH_LOG_INFO, GH_LOG_DEBUG };
    const struct gh_conf_section *node = &gh_conf_section_node, *log = &gh_conf_section_log;
    const struct gh_conf_section *audit = &gh_conf_section_audit, *admin = &gh_conf_section_admin;
    size_t listens = 0;
    const struct gh_conf_addr *listen = gh_conf_addrs(conf, admin, ADMIN_LISTEN, &listens);
    unsigned workers = (unsigned)gh_conf_uint(conf, node, NODE_WORKERS);

    *ret = (struct gh_node_conf){
        .workers = workers ? workers : cores(),
        .state_dir = gh_conf_string(conf, node, NODE_STATE_DIR),
        .run_dir = gh_conf_string(conf, node, NODE_RUN_DIR),
        .user = gh_conf_string(conf, node, NODE_USER),
        .drain_timeout = gh_conf_duration(conf, node, NODE_DRAIN_TIMEOUT),
        .log_level = levels[gh_conf_uint(conf, log, LOG_LEVEL)],
        .log_format = formats[gh_conf_uint(conf, log, LOG_FORMAT)],
        .log_file = gh_conf_string(conf, log, LOG_FILE),
        .audit_journal = gh_conf_uint(conf, audit, AUDIT_SINK) == 1,
        .audit_file = gh_conf_string(conf, audit, AUDIT_FILE),
        .audit_format = gh_conf_uint(conf, audit, AUDIT_FORMAT) == 1 ? GH_AUDIT_TEXT : GH_AUDIT_JSON,
        .audit_buffer = (unsigned)gh_conf_uint(conf, audit, AUDIT_BUFFER),
        .audit_chain = gh_conf_bool(conf, audit, AUDIT_CHAIN),
        .audit_seal_to = gh_conf_string(conf, audit, AUDIT_SEAL_TO),
        .admin_tcp = listens > 0,
        .admin_socket = gh_conf_string(conf, admin, ADMIN_SOCKET),
    };
    if (listens)
        ret->admin_listen = listen[0];
}
