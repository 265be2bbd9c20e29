#include "core/ca_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/error.h"
#include "base/hex.h"
#include "crypto/crl.h"

static bool serial_valid(const char *s)
{
    return *s && strlen(s) < GH_CERT_SERIAL_TEXT && strspn(s, "-0123456789ABCDEF") == strlen(s);
}

/* One that was issued. */
static bool read_issued(json_t *o, struct gh_ca_index_entry *ret)
{
    const char *serial, *name, *role, *spki;
    json_int_t from, to;

    *ret = (struct gh_ca_index_entry){ 0 };
    if (json_unpack(o, "{s:s, s:s, s:s, s:s, s:I, s:I}", "serial", &serial, "name", &name, "role", &role, "spki_sha256", &spki, "not_before",
                    &from, "not_after", &to) < 0)
        return false;
    if (!serial_valid(serial) || !gh_identity_name_valid(gh_span_str(name)) || gh_role_parse(gh_span_str(role), &ret->role) < 0 ||
        !gh_hex_decode(gh_span_str(spki), GH_HEX_ANY, ret->spki_sha256, sizeof ret->spki_sha256))
        return false;
    memcpy(ret->serial, serial, strlen(serial) + 1);
    memcpy(ret->name, name, strlen(name) + 1);
    ret->not_before = from;
    ret->not_after = to;
    return true;
}

static bool read_revoked(json_t *o, struct gh_ca_index *i)
{
    const char *serial, *reason = "unspecified";
    json_int_t when;
    bool known = false;
    unsigned why;

    if (json_unpack(o, "{s:s, s:I, s?s}", "serial", &serial, "revoked", &when, "reason", &reason) < 0 || when <= 0 ||
        gh_crl_reason_parse(gh_span_str(reason), &why) < 0)
        return false;
    for (size_t at = 0; at < i->count; at++) {
        struct gh_ca_index_entry *e = &i->entries[at];

        if (strcmp(e->serial, serial) != 0)
            continue;
        known = true;
        if (e->revoked) /* the first one counts */
            continue;
        e->revoked = when;
        e->reason = why;
    }
    return known;
}

static int add(struct gh_ca_index *i, size_t *cap, const struct gh_ca_index_entry *e)
{
    if (i->count == *cap) {
        size_t more = *cap ? *cap * 2 : 64;
        struct gh_ca_index_entry *grown = reallocarray(i->entries, more, sizeof *grown);

        if (!grown)
            return GH_ERR_MEMORY;
        i->entries = grown;
        *cap = more;
    }
    i->entries[i->count++] = *e;
    return 0;
}

/* 1: it is a record. */
static int read_line(struct gh_ca_index *i, size_t *cap, struct gh_span line)
{
    struct gh_ca_index_entry e;
    json_t *o = line.len <= GH_CA_INDEX_LINE ? json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *status = json_string_value(json_object_get(o, "status"));
    int rc = 0;

    if (status && strcmp(status, "valid") == 0 && read_issued(o, &e)) {
        rc = add(i, cap, &e);
        rc = rc < 0 ? rc : 1;
    } else if (status && strcmp(status, "revoked") == 0) {
        rc = read_revoked(o, i);
    }
    json_decref(o);
    return rc;
}

int gh_ca_index_parse(struct gh_span text, struct gh_ca_index *ret)
{
    struct gh_ca_index i = { 0 };
    size_t cap = 0, at = 0;
    unsigned number = 0;

    if (text.len > GH_CA_INDEX_MAX)
        return GH_ERR_TOO_LONG;
    while (at < text.len) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        size_t len = end ? (size_t)(end - text.data) - at : text.len - at;
        int rc = read_line(&i, &cap, gh_span_of(text.data + at, len));

        number++;
        at += len + 1;
        if (rc < 0) {
            gh_ca_index_fini(&i);
            return rc;
        }
        if (rc == 0 && i.bad++ == 0)
            i.bad_line = number;
    }
    *ret = i;
    return 0;
}

void gh_ca_index_fini(struct gh_ca_index *i)
{
    free(i->entries);
    *i = (struct gh_ca_index){ 0 };
}

bool gh_ca_index_has_key(const struct gh_ca_index *i, const char *name, const uint8_t spki_sha256[32])
{
    for (size_t at = 0; at < i->count; at++) {
        const struct gh_ca_index_entry *e = &i->entries[at];

        if (!e->revoked && memcmp(e->spki_sha256, spki_sha256, 32) == 0 && strcmp(e->name, name) == 0)
            return true;
    }
    return false;
}

static char *dump(json_t *o)
{
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

    json_decref(o);
    return text;
}

char *gh_ca_index_emit(const struct gh_ca_index_entry *e)
{
    char hex[65];

    gh_hex_encode(e->spki_sha256, sizeof e->spki_sha256, hex);
    return dump(json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "serial", e->serial, "name", e->name, "role", gh_role_name(e->role),
                          "spki_sha256", hex, "not_before", (json_int_t)e->not_before, "not_after", (json_int_t)e->not_after, "status",
                          "valid"));
}

char *gh_ca_index_emit_revocation(const struct gh_ca_index_entry *e)
{
    return dump(json_pack("{s:s, s:s, s:I, s:s}", "serial", e->serial, "status", "revoked", "revoked", (json_int_t)e->revoked, "reason",
                          gh_crl_reason_name(e->reason)));
}
