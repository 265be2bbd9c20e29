/* cli/doctor.h - is this machine right for a node? A table of checks, each with a code that stays
 *
 * A check looks and changes nothing; one with <fix> can be put right without harm. docs/doctor.md lists the table, and a test
 * compares them.
 */
#ifndef GH_CLI_DOCTOR_H
#define GH_CLI_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/cli.h"
#include "core/conf.h"

enum gh_doctor_status { GH_DOCTOR_OK, GH_DOCTOR_SKIP, GH_DOCTOR_WARN, GH_DOCTOR_FAIL };

/* Where the machine is looked at: a test has a folder of its own in the place of "/". */
struct gh_doctor {
    const char *root;   /* "" or a folder; before every path */
    const char *config; /* the configuration's path */
    const struct gh_conf *conf; /* NULL: there is none, or it is bad */
    const struct gh_conf_section *own; /* the section of relay or agent; NULL */
    bool conf_missing;
    char conf_error[256];
    bool agent;
    int64_t wall; /* seconds */
};

struct gh_doctor_result {
    enum gh_doctor_status status;
    char detail[256];
};

typedef void (*gh_doctor_fn)(const struct gh_doctor *d, struct gh_doctor_result *ret);

struct gh_doctor_check {
    const char *code, *group, *title;
    const char *meaning; /* what it is about, and what happens when it is wrong */
    const char *remedy;
    gh_doctor_fn run;
    int (*fix)(const struct gh_doctor *d); /* NULL: a person must. 0 or GH_ERR_… */
};

extern const struct gh_doctor_check gh_doctor_checks[]; /* ends with a NULL code */
extern const char gh_cli_doctor_usage[], gh_cli_agent_doctor_usage[]; /* the operator's tool's, the agent's */

/* What bin gives the verb. */
struct gh_doctor_program {
    const struct gh_conf_section *const *sections;
    const char *config; /* where its file is when nothing is said */
    bool agent;
};

int gh_cli_doctor(const struct gh_cli_verb *verb, int argc, char **argv);

__attribute__((format(printf, 3, 4))) void gh_doctor_say(struct gh_doctor_result *r, enum gh_doctor_status status, const char *format, ...);
/* A file below the root, at most <cap> - 1 bytes, NUL added; without its last line end. The length or GH_ERR_SYSTEM. */
int gh_doctor_read(const struct gh_doctor *d, const char *path, char *ret, size_t cap);
const char *gh_doctor_path(const struct gh_doctor *d, const char *path, char ret[512]);
/* A path or text option of the own section; "" when there is none. */
const char *gh_doctor_option(const struct gh_doctor *d, const char *name);
/* The agent's file says mode: proxy. */
bool gh_doctor_is_proxy(const struct gh_doctor *d);
void gh_doctor_emit_markdown(FILE *out);

/* doctor_host.c */
void gh_doctor_tun(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_udp(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_landlock(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_seccomp(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_ipv6(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_rights(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_user(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_state_dir(const struct gh_doctor *d, struct gh_doctor_result *r);
int gh_doctor_fix_state_dir(const struct gh_doctor *d);
void gh_doctor_clock(const struct gh_doctor *d, struct gh_doctor_result *r);
/* doctor_network.c */
void gh_doctor_mtu(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_route(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_nft(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_forwarding(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_rp_filter(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_other_devices(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_other_rules(const struct gh_doctor *d, struct gh_doctor_result *r);
/* doctor_files.c */
void gh_doctor_config(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_config_mode(const struct gh_doctor *d, struct gh_doctor_result *r);
int gh_doctor_fix_config_mode(const struct gh_doctor *d);
void gh_doctor_certificate(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_role(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_ca(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_key(const struct gh_doctor *d, struct gh_doctor_result *r);
void gh_doctor_key_mode(const struct gh_doctor *d, struct gh_doctor_result *r);
int gh_doctor_fix_key_mode(const struct gh_doctor *d);

#endif
