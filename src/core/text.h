/* core/text.h - text that grows up to a limit
 *
 * A sticky error as in base/span.h: an append that finds no memory or passes the limit marks the text failed, and the
 * writer checks once, at its end. The bytes are always terminated by NUL.
 */
#ifndef GH_CORE_TEXT_H
#define GH_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct gh_text {
    char *data; /* NULL until something is appended */
    size_t len, cap, limit;
    bool failed, fixed; /* <fixed>: the memory is the caller's and does not grow */
};

/* Holds at most <limit> bytes besides the NUL. */
void gh_text_init(struct gh_text *t, size_t limit);
/* Writes into the caller's <buf> of <cap> bytes, NUL included. */
void gh_text_init_fixed(struct gh_text *t, char *buf, size_t cap);
void gh_text_fini(struct gh_text *t);
void gh_text_append(struct gh_text *t, const char *s);
void gh_text_append_span(struct gh_text *t, struct gh_span s);
void gh_text_append_uint(struct gh_text *t, uint64_t v);
void gh_text_append_int(struct gh_text *t, int64_t v);
void gh_text_printf(struct gh_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes (RFC 8259, section 7); bytes that are not UTF-8 become U+FFFD. */
void gh_text_append_json(struct gh_text *t, struct gh_span s);
/* Wall time in RFC 3339, UTC, milliseconds: 2026-01-31T10:00:00.000Z */
void gh_text_append_time(struct gh_text *t, int64_t wall_ms);
/* Nanoseconds in the shortest form that the configuration reads back: 50ms, 1h30m, 0s. */
void gh_text_append_duration(struct gh_text *t, int64_t ns);
/* What was written, never NULL. */
const char *gh_text_string(const struct gh_text *t);

#endif
