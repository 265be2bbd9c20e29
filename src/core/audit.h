/* core/audit.h - audit records: lines that never hold up what they report
 *
 * A caller on any thread copies its record into a bounded ring and goes on; a thread of its own writes. A ring that is
 * full (slow reader, full disk) loses the record and counts it; when writing works again one "error" record tells how
 * many were lost. A line leaves with the keys of the record that have a value.
 *
 * With a chain (core/audit_chain.h) every line also has "seq", its number over all files and runs, and "chain", its mac; and
 * there are records "audit.checkpoint", whose reason says where the lines stand:
 *
 *   begin, start, resume   first of a run: of the chain, after a clean end, after any other end
 *   rotate, continue       last before and first after another file was opened
 *   time                   GH_AUDIT_CHECKPOINT_S have passed
 *   stop                   last of a run that ended well
 *
 * Keys cannot be used twice: while the state of the chain cannot be written, no line is, and records are lost and counted.
 */
#ifndef GH_CORE_AUDIT_H
#define GH_CORE_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#define GH_AUDIT_LINE 2048u        /* bytes of a line; the metadata of a rule is left out when it does not fit */
#define GH_AUDIT_CHECKPOINT_S 60u  /* seconds between two checkpoints */

enum gh_audit_event {
    GH_AUDIT_ACL_ALLOW = 1,
    GH_AUDIT_ACL_DENY,
    GH_AUDIT_AUTH_SUCCESS,
    GH_AUDIT_AUTH_FAIL,
    GH_AUDIT_CONNECTION_OPEN,
    GH_AUDIT_CONNECTION_CLOSE,
    GH_AUDIT_POLICY_RELOAD,
    GH_AUDIT_ERROR,
    GH_AUDIT_CHECKPOINT,
};

enum gh_audit_format { GH_AUDIT_JSON, GH_AUDIT_TEXT };

enum gh_audit_action { GH_AUDIT_ACTION_NONE, GH_AUDIT_ALLOW, GH_AUDIT_DENY };

/* Everything is borrowed until gh_audit_write returns. Zero and NULL mean "no value": the key is left out. */
struct gh_audit_record {
    enum gh_audit_event event;
    enum gh_audit_action action;
    int64_t wall_ms; /* 0: now */
    const char *message;
    const char *client_id;
    struct gh_ip source_ip, dest_ip;
    bool has_port;
    uint16_t dest_port;
    int protocol; /* IP protocol number, written as tcp, udp, icmp, icmpv6 or the number; 0 for none */
    const char *rule_id, *reason, *policy_version;
    const char *session_id; /* of the session, the same for all its requests */
    const char *request_id; /* CONNECTION-STREAM in hex: of one request for a tunnel */
    bool has_counts; /* at close: of both directions */
    uint64_t bytes, packets;
    const char *metadata; /* a JSON object, or NULL */
    uint32_t tenant;      /* written when not 0 */
    uint64_t lost;        /* records that were lost; written when not 0 */
    bool has_missing;     /* of a checkpoint "resume" */
    uint64_t missing_from;
    const char *chain_id;
};

struct gh_audit;
struct gh_audit_state;

struct gh_audit_setup {
    int fd;           /* the audit takes it over; a pipe, a file, a terminal; it is not made non-blocking */
    bool journal;     /* instead: the journal of systemd */
    unsigned records; /* size of the ring, rounded up to a power of two; 0: 4096 */
    enum gh_audit_format format;
    struct gh_audit_state *chain; /* core/audit_state.h, open; NULL: no chain. Its content is taken over. */
    int64_t checkpoint_ns;        /* 0: GH_AUDIT_CHECKPOINT_S */
};

int gh_audit_create(const struct gh_audit_setup *setup, struct gh_audit **ret);
/* Writes what is in the ring for at most <patience_ns>, then ends the thread. Returns how many lines were given up. No
 * other thread uses the audit any more. */
uint64_t gh_audit_destroy(struct gh_audit *a, int64_t patience_ns);
/* Never blocks. False when the record was lost. <a> may be NULL. */
bool gh_audit_write(struct gh_audit *a, const struct gh_audit_record *r);
/* Lines after the one under way go to <fd>, which the audit takes over. Nothing happens when it is the same file. */
void gh_audit_reopen(struct gh_audit *a, int fd);
uint64_t gh_audit_lost(const struct gh_audit *a);
uint64_t gh_audit_written(const struct gh_audit *a);
/* "-": a copy of standard output; else appends to <path>, made with mode 0600. A descriptor or GH_ERR_SYSTEM. */
int gh_audit_open_path(const char *path);

struct gh_text;
/* The line without its end, as JSON, and as words "key=value". Need no gh_audit. */
void gh_audit_emit(const struct gh_audit_record *r, struct gh_text *out);
void gh_audit_emit_text(const struct gh_audit_record *r, struct gh_text *out);
const char *gh_audit_event_name(enum gh_audit_event e);

#endif
