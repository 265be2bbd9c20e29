/* core/conf_internal.h - how a parsed configuration is kept; for core/conf_*.c alone */
#ifndef GH_CORE_CONF_INTERNAL_H
#define GH_CORE_CONF_INTERNAL_H

#include "base/arena.h"
#include "core/conf.h"

#define GH_CONF_STRING_MAX 4096u /* bytes, where a row says nothing */

enum gh_conf_origin { GH_CONF_UNSET, GH_CONF_FROM_DEFAULT, GH_CONF_FROM_FILE, GH_CONF_FROM_ENV };

struct gh_conf_value {
    enum gh_conf_origin origin;
    bool bad;            /* file or environment give a value that was refused */
    unsigned line, col;  /* FROM_FILE */
    const char *env;     /* FROM_ENV: the variable's name */
    uint64_t number;     /* BOOL, UINT, SIZE, DURATION, ENUM, ENUM_SET */
    const char *string;  /* STRING, PATH */
    const void *items;   /* ADDR, PREFIX, the lists and TABLE: an array of the element */
    size_t count;
    struct gh_secret secret;
};

struct gh_conf_part {
    const struct gh_conf_section *section;
    struct gh_conf_value *values;
    unsigned rows;
    bool present;
    unsigned line, col; /* of its key in the file; 0 when it is not there */
};

/* Of a table. */
struct gh_conf_entry {
    const char *name;
    struct gh_conf *conf; /* one part; the memory is its owner's */
};

struct gh_conf {
    struct gh_arena arena;
    const char *file;
    struct gh_conf_part *parts;
    size_t part_count;
};

/* One text of which a value is made. */
struct gh_conf_item {
    const char *text; /* ends with NUL */
    size_t len;
    unsigned line, col;
    bool plain; /* not quoted */
};

/* What a value is made of, whatever its origin. */
struct gh_conf_source {
    const struct gh_conf_item *items;
    size_t count;
    enum gh_conf_origin origin;
    unsigned line, col;
    const char *env;
};

/* Makes <ret> from <src>, or adds errors that begin with <name> ("relay.mtu"). 0, GH_ERR_MALFORMED, GH_ERR_MEMORY. */
int gh_conf_value_make(struct gh_conf *conf, const struct gh_conf_row *row, const char *name,
                       const struct gh_conf_source *src, struct gh_conf_errors *errors, struct gh_conf_value *ret);
bool gh_conf_type_is_list(enum gh_conf_type type);
/* "none|required" word by word: the length of the word at <*at>, which moves behind it; 0 at the end. */
size_t gh_conf_values_next(const char **at, const char **ret_word);
/* A value as JSON, which is YAML too. Nothing for a secret. */
void gh_conf_value_emit(const struct gh_conf_row *row, const struct gh_conf_value *v, struct gh_text *out);
void gh_conf_errors_sort(struct gh_conf_errors *e);
/* The part of <section>, by identity; NULL when the parser was not given it. */
const struct gh_conf_part *gh_conf_part_of(const struct gh_conf *conf, const struct gh_conf_section *section);

#endif
