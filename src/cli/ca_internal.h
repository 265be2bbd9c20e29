/* cli/ca_internal.h - the verbs of `gatehouse ca`, for ca.c and ca_revoke.c */
#ifndef GH_CLI_CA_INTERNAL_H
#define GH_CLI_CA_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "crypto/ca.h"

#define CA_EXIT_FAILED 1
#define CA_EXIT_USAGE 2
#define CA_POSITIONALS_MAX 3 /* verb, role, NAME */

struct ca_options {
    const char *positional[CA_POSITIONALS_MAX];
    int positional_count;
    const char *dir, *out, *trust_domain, *key_text, *days_text, *reason, *certificate;
    const char *dns[GH_CA_SANS_MAX];
    const char *ip[GH_CA_SANS_MAX];
    size_t dns_count, ip_count;
    bool force, json, help, new_key;
};

int ca_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says <why>; the exit code. */
int ca_failed(int rc, const char *why);
/* Takes <o> over. An exit code. */
int ca_print_json(json_t *o);
/* 0 or an exit code. */
int ca_parse_key(const struct ca_options *o, enum gh_ca_key *ret);
int ca_parse_days(const struct ca_options *o, uint32_t dflt, uint32_t *ret);
const char *ca_day_of(int64_t wall, char buf[32]);

/* ca_revoke.c; exit codes */
int ca_do_revoke(const struct ca_options *o);
int ca_do_crl(const struct ca_options *o);
int ca_do_renew(const struct ca_options *o);
int ca_do_list(const struct ca_options *o);

#endif
