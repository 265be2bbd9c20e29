/* core/conf.h - configuration as typed rows
 *
 * A service declares its options as rows; parser, environment, check, manual page and `config show` come from them.
 * One YAML file has a mapping for each section, and in it one key for each option. An option is taken from the
 * environment (GATEHOUSE_SECTION_OPTION; a secret also from the file that GATEHOUSE_SECTION_OPTION_FILE names), else
 * from the file, else from its default. A parsed configuration never changes.
 *
 * Forms: duration 50ms, 30s, 2h, 1h30m (ns us ms s m h d); size 65536, 64KiB, 2MiB, 1GiB; address 192.0.2.1:4433,
 * [2001:db8::1]:4433, :4433 (every local address); prefix 10.100.0.0/24; a table in the environment a=1, b=2. A path may begin with ${state_dir} or
 * ${run_dir}; a relative path in a file starts at the folder of that file, one from the environment stays as it is.
 */
#ifndef GH_CORE_CONF_H
#define GH_CORE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/ip_addr.h"
#include "base/span.h"
#include "core/secret.h"
#include "core/text.h"

#define GH_CONF_FILE_MAX (1u << 20) /* bytes of a file */
#define GH_CONF_DEPTH_MAX 16u       /* nested lists and mappings */
#define GH_CONF_NODES_MAX 65536u    /* scalars, lists and mappings */
#define GH_CONF_LIST_MAX 1024u      /* items of a list */
#define GH_CONF_ERRORS_MAX 100u     /* errors kept; later ones are counted */
#define GH_CONF_ROWS_MAX 64u        /* rows of a section */

enum gh_conf_type {
    GH_CONF_BOOL = 1,
    GH_CONF_UINT,
    GH_CONF_SIZE,     /* bytes */
    GH_CONF_DURATION, /* nanoseconds */
    GH_CONF_STRING,
    GH_CONF_PATH,
    GH_CONF_ENUM,     /* one of <values> */
    GH_CONF_ENUM_SET, /* list of <values>, a bit for each */
    GH_CONF_ADDR,
    GH_CONF_ADDR_LIST,
    GH_CONF_PREFIX,
    GH_CONF_PREFIX_LIST,
    GH_CONF_STRING_LIST,
    GH_CONF_SECRET,
    GH_CONF_TABLE,    /* a mapping from names that the operator chooses to entries of the options <entry> */
};

struct gh_conf_section;

/* A name with a dot, "ech.keys_file", stands in a mapping of its own: ech: {keys_file: …}. */
struct gh_conf_row {
    const char *name; /* NULL ends the table */
    enum gh_conf_type type;
    const char *dflt;     /* as in the environment: list items separated by ", "; NULL: unset */
    const char *min, *max; /* UINT, SIZE, DURATION; for strings and lists the number of bytes or items */
    const char *values;   /* ENUM, ENUM_SET: "none|required" */
    const char *unit;     /* UINT: what is counted */
    const char *help;
    bool required; /* refused when the section is there and the option is not */
    bool reload;   /* a reload applies it; otherwise it needs a restart */
    bool key;      /* PATH: a private key, which the parent alone opens */
    bool tls12;    /* a key that is for strangers: it signs for TLS 1.2, too */
    bool folder;   /* PATH: a folder whose files the child reads by name; no reload applies it */
    const struct gh_conf_section *entry; /* TABLE; an entry that is one value, or a list, sets the first of these options */
};

struct gh_conf;
struct gh_conf_errors;

struct gh_conf_section {
    const char *name, *help;
    const struct gh_conf_row *rows;
    bool always; /* there even when neither file nor environment mention it */
    /* Checks between rows, called when every row is good; reports with gh_conf_fail. May be NULL. */
    void (*check)(const struct gh_conf *conf, const struct gh_conf_section *section, struct gh_conf_errors *errors);
    bool top; /* its options may stand at the top of a file that has no section at all */
};

/* An address to listen on or to reach. */
struct gh_conf_addr {
    struct gh_ip ip; /* family 0: every local address of both families */
    uint16_t port;
};

/* What is wrong, in the order of the file. */
struct gh_conf_error {
    unsigned line, col; /* from 1; 0: not at a place in the file */
    char *text;         /* what, and what would be right */
};

struct gh_conf_errors {
    struct gh_conf_error *list;
    size_t count, lost; /* <lost>: more than GH_CONF_ERRORS_MAX, or no memory to keep them */
    char *file;
};

/* Everything that parsing reads. */
struct gh_conf_input {
    struct gh_span yaml;
    const char *file;                               /* its name, for messages and relative paths */
    const char *const *env;                         /* "NAME=value", ends with NULL; NULL: none */
    const struct gh_conf_section *const *sections;  /* ends with NULL */
    /* How files that the environment names are read; NULL: gh_conf_read_file. As that, and <ret_why> may say why not. */
    int (*read_file)(void *arg, const char *path, struct gh_text *ret, const char **ret_why);
    void *arg;
};

void gh_conf_errors_init(struct gh_conf_errors *e);
void gh_conf_errors_fini(struct gh_conf_errors *e);
void gh_conf_errors_add(struct gh_conf_errors *e, unsigned line, unsigned col, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* One line each: "file:line:col: text". */
void gh_conf_errors_emit(const struct gh_conf_errors *e, struct gh_text *out);

/* 0, GH_ERR_MALFORMED with at least one error in <errors>, or GH_ERR_MEMORY. */
int gh_conf_parse(const struct gh_conf_input *in, struct gh_conf_errors *errors, struct gh_conf **ret);
/* Reads <path>, at most GH_CONF_FILE_MAX bytes, and parses it; a file that cannot be read is an error in <errors>. */
int gh_conf_parse_file(const char *path, const struct gh_conf_section *const *sections, const char *const *env,
                       struct gh_conf_errors *errors, struct gh_conf **ret);
void gh_conf_destroy(struct gh_conf *conf);
/* The bytes of <path>, GH_CONF_FILE_MAX at most. 0, GH_ERR_SYSTEM (errno tells), GH_ERR_TOO_LONG or GH_ERR_MEMORY. */
int gh_conf_read_file(const char *path, struct gh_text *out);
/* Does the file mention this section? False too for what is no mapping. */
bool gh_conf_peek(struct gh_span yaml, const char *section);
/* Reports from a section's check, at the place where the option was set; <row> past the last: at the place of the section or entry. */
void gh_conf_fail(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row,
                  struct gh_conf_errors *errors, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Typed access by section and index of the row. Asking with the wrong type, or for a section that was not given to the
 * parser, is a mistake of the caller and yields the zero of the type. Strings are never NULL: unset is "". */
bool gh_conf_has(const struct gh_conf *conf, const struct gh_conf_section *section);
bool gh_conf_is_set(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row);
bool gh_conf_bool(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row);
uint64_t gh_conf_uint(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row); /* UINT, SIZE, ENUM: its index, ENUM_SET: its bits */
int64_t gh_conf_duration(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row);
const char *gh_conf_string(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row); /* STRING, PATH */
struct gh_conf_addr gh_conf_addr(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row);
struct gh_prefix gh_conf_prefix(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row);
const struct gh_secret *gh_conf_secret(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row);
/* Lists belong to the configuration. */
const struct gh_conf_addr *gh_conf_addrs(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row, size_t *ret_count);
const struct gh_prefix *gh_conf_prefixes(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row, size_t *ret_count);
const char *const *gh_conf_strings(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row, size_t *ret_count);

/* TABLE: the entry <index>, as a configuration that has the section <entry> alone, and its name; NULL behind the last one. The section's
 * check sees entries, too. */
const struct gh_conf *gh_conf_entry(const struct gh_conf *conf, const struct gh_conf_section *section, unsigned row, size_t index, const char **ret_name);

/* The values that count, and where each came from; secrets show as set or unset. The text form is YAML. */
int gh_conf_emit_effective(const struct gh_conf *conf, bool json, struct gh_text *out);
/* The options of <sections> in the form of a manual page (roff, man macros). */
void gh_conf_emit_man(const struct gh_conf_section *const *sections, FILE *out);

/* What differs between two configurations of the same sections. <row> -1: the whole section came or went. */
struct gh_conf_change {
    const struct gh_conf_section *section;
    int row;
    bool reload; /* can be applied without a restart */
};

/* Fills at most <max> changes and returns how many there are. */
size_t gh_conf_diff(const struct gh_conf *before, const struct gh_conf *after, struct gh_conf_change *ret, size_t max);

/* "192.0.2.1:4433", "[2001:db8::1]:4433", ":4433". 0 or GH_ERR_MALFORMED. */
int gh_conf_addr_parse(const char *text, size_t len, struct gh_conf_addr *ret);
void gh_conf_addr_emit(const struct gh_conf_addr *a, struct gh_text *out);
/* 0, GH_ERR_MALFORMED, or GH_ERR_RANGE when it does not fit. */
int gh_conf_duration_parse(const char *text, size_t len, int64_t *ret_ns);
int gh_conf_size_parse(const char *text, size_t len, uint64_t *ret_bytes);

#endif
