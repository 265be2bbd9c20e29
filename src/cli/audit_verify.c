/* gatehouse audit verify: files in, what was found out. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/audit.h"
#include "core/audit_key.h"
#include "core/audit_line.h"
#include "core/audit_state.h"
#include "core/audit_verify.h"
#include "core/text.h"
#include "crypto/hash.h"
#include "policy/timestamp.h"

#define LINE_MAX_LEN 65536u /* a longer one is no record */

struct source {
    const char *path;
    FILE *file;
    uint64_t first; /* number of its first record; UINT64_MAX: none was found */
    int order;      /* as given */
};

struct job {
    const struct gh_audit_verify_options *o;
    struct gh_audit_verifier *v;
    struct source *sources;
    int count;
    char id[GH_AUDIT_ID_TEXT];
    uint64_t written;
    int64_t at;
};

static int unreadable(const char *path, const char *why)
{
    fprintf(stderr, "gatehouse audit: %s: %s\n", path, why);
    return GH_EXIT_USAGE;
}

static int load_key(struct job *j)
{
    struct gh_text file = { 0 }, pem = { 0 };
    uint8_t key[GH_AUDIT_KEY];
    int rc, code = 0;

    if (gh_cli_audit_read(j->o->key, GH_AUDIT_KEY_FILE_MAX, &file) < 0)
        return GH_EXIT_USAGE;
    if (j->o->unseal && gh_cli_audit_read(j->o->unseal, GH_AUDIT_KEY_FILE_MAX, &pem) < 0) {
        gh_text_fini(&file);
        return GH_EXIT_USAGE;
    }
    rc = gh_audit_key_parse(gh_span_of(file.data, file.len), gh_span_of(pem.data, pem.len), key, j->id);
    if (rc == 0)
        rc = gh_audit_verify_init(j->v, key, j->o->complete);
    if (rc == GH_ERR_STATE)
        code = unreadable(j->o->key, "it is sealed: --unseal names the private key");
    else if (rc == GH_ERR_DENIED)
        code = unreadable(j->o->key, "this private key does not open it");
    else if (rc < 0)
        code = unreadable(j->o->key, "not a key of an audit chain");
    gh_wipe(key, sizeof key);
    if (file.data)
        gh_wipe(file.data, file.len);
    if (pem.data)
        gh_wipe(pem.data, pem.len);
    gh_text_fini(&file);
    gh_text_fini(&pem);
    return code;
}

static int load_state(struct job *j)
{
    struct gh_audit_progress p;
    int fd, rc;

    if (!j->o->state)
        return 0;
    fd = open(j->o->state, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return unreadable(j->o->state, strerror(errno));
    rc = gh_audit_state_peek(fd, &p);
    close(fd);
    if (rc < 0)
        return unreadable(j->o->state, "not the state of an audit chain");
    if (strcmp(p.id, j->id) != 0)
        return unreadable(j->o->state, "it is of another chain than the key");
    j->written = p.written;
    return 0;
}

/* A line without its end. Its length, -1 at the end of the file. */
static ssize_t next_line(FILE *file, char **line, size_t *cap, bool *ret_ended)
{
    ssize_t n = getline(line, cap, file);

    *ret_ended = n > 0 && (*line)[n - 1] == '\n';
    return *ret_ended ? n - 1 : n;
}

/* Looks which record a file begins with, so that files can be given as the shell lists them. */
static void peek(struct source *s)
{
    struct gh_audit_line l;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bool ended;

    s->first = UINT64_MAX;
    if (s->file == stdin)
        return;
    while (s->first == UINT64_MAX && (n = next_line(s->file, &line, &cap, &ended)) >= 0)
        if (gh_audit_line_parse(gh_span_of(line, (size_t)n), &l) == 0)
            s->first = l.seq;
    free(line);
    rewind(s->file);
}

static int by_first(const void *a, const void *b)
{
    const struct source *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->order - y->order;
}

static int open_sources(struct job *j)
{
    j->sources = calloc((size_t)j->o->file_count, sizeof *j->sources);
    if (!j->sources)
        return unreadable(j->o->files[0], gh_error_text(GH_ERR_MEMORY));
    for (int i = 0; i < j->o->file_count; i++) {
        struct source *s = &j->sources[j->count];

        *s = (struct source){ .path = j->o->files[i], .order = i };
        s->file = strcmp(s->path, "-") == 0 ? stdin : fopen(s->path, "re");
        if (!s->file)
            return unreadable(s->path, strerror(errno));
        j->count++;
        peek(s);
    }
    qsort(j->sources, (size_t)j->count, sizeof *j->sources, by_first);
    return 0;
}

static int feed(struct job *j)
{
    char *line = NULL;
    size_t cap = 0;
    int code = 0;

    for (int i = 0; i < j->count && code == 0; i++) {
        struct source *s = &j->sources[i];
        bool ended;
        ssize_t n;

        gh_audit_verify_file(j->v);
        while ((n = next_line(s->file, &line, &cap, &ended)) >= 0)
            gh_audit_verify_line(j->v, gh_span_of(line, n > (ssize_t)LINE_MAX_LEN ? LINE_MAX_LEN : (size_t)n), ended);
        if (ferror(s->file))
            code = unreadable(s->path, strerror(errno));
    }
    free(line);
    return code;
}

static void describe(const struct gh_audit_finding *f, char *buf, size_t cap)
{
    char range[64];

    if (f->last > f->seq)
        snprintf(range, sizeof range, "%" PRIu64 " to %" PRIu64, f->seq, f->last);
    else
        snprintf(range, sizeof range, "%" PRIu64, f->seq);
    switch (f->kind) {
    case GH_AUDIT_CHANGED:
        snprintf(buf, cap, "record %s was changed", range);
        return;
    case GH_AUDIT_MISSING:
        snprintf(buf, cap, f->last > f->seq ? "records %s are missing before this line" : "record %s is missing before this line", range);
        return;
    case GH_AUDIT_MOVED:
        snprintf(buf, cap, "record %s stands at the wrong place", range);
        return;
    case GH_AUDIT_REPEATED:
        snprintf(buf, cap, "record %s stands here again", range);
        return;
    case GH_AUDIT_INSERTED:
        snprintf(buf, cap, "a line that is no record of this chain, where record %s is expected", range);
        return;
    case GH_AUDIT_TAIL:
        snprintf(buf, cap, "the tail is cut: record %s should follow%s", range,
                 f->last > f->seq ? "" : ", or the node ended without notice (--at tells when the files were taken)");
        return;
    case GH_AUDIT_CRASH:
        snprintf(buf, cap, "the run before ended without notice: numbers %s were not used, or their records were lost with it", range);
        return;
    case GH_AUDIT_TORN:
        snprintf(buf, cap, "a line that was cut when it was written");
        return;
    case GH_AUDIT_STARTS:
        snprintf(buf, cap, "the records begin with number %s; earlier files were not given", range);
        return;
    }
}

static const char *path_of(const struct job *j, const struct gh_audit_finding *f)
{
    return f->file < (unsigned)j->count ? j->sources[f->file].path : "-";
}

static void print_text(const struct job *j)
{
    const struct gh_audit_verifier *v = j->v;
    char text[256];

    for (size_t i = 0; i < v->finding_count; i++) {
        const struct gh_audit_finding *f = &v->findings[i];

        describe(f, text, sizeof text);
        printf("%s:%" PRIu64 ": %s%s\n", path_of(j, f), f->line, gh_audit_kind_is_note(f->kind) ? "note: " : "", text);
    }
    if (v->finding_count == GH_AUDIT_FINDINGS_MAX)
        printf("… and perhaps more: only the first %u are listed\n", GH_AUDIT_FINDINGS_MAX);
    if (v->records == 0)
        printf("no record of chain %s%s%s\n", j->id, *v->other_chain ? "; the files say that they are of chain " : "", v->other_chain);
    else
        printf("chain %s: %" PRIu64 " good records, %" PRIu64 " to %" PRIu64 "%s; %" PRIu64 " findings\n", j->id, v->records, v->first, v->last,
               v->end == GH_AUDIT_END_STOPPED   ? ", the node stopped"
               : v->end == GH_AUDIT_END_ROTATED ? ", the next file was begun"
                                                : "",
               v->bad);
}

static json_t *list_json(const struct job *j, bool notes)
{
    json_t *list = json_array();
    char text[256];

    for (size_t i = 0; list && i < j->v->finding_count; i++) {
        const struct gh_audit_finding *f = &j->v->findings[i];

        if (gh_audit_kind_is_note(f->kind) != notes)
            continue;
        describe(f, text, sizeof text);
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "kind", gh_audit_kind_name(f->kind), "file", path_of(j, f), "line",
                                              (json_int_t)f->line, "seq", (json_int_t)f->seq, "last", (json_int_t)f->last, "text", text));
    }
    return list;
}

static void print_json(const struct job *j, bool good)
{
    const struct gh_audit_verifier *v = j->v;
    json_t *o = json_pack("{s:i, s:b, s:s, s:I, s:s, s:I, s:o, s:o}", "version", 1, "good", good, "chain", j->id, "records", (json_int_t)v->records,
                          "end", gh_audit_end_name(v->end), "finding_count", (json_int_t)v->bad, "findings", list_json(j, false), "notes",
                          list_json(j, true));

    if (o && v->records) {
        json_object_set_new(o, "first", json_integer((json_int_t)v->first));
        json_object_set_new(o, "last", json_integer((json_int_t)v->last));
    }
    if (o && *v->other_chain)
        json_object_set_new(o, "other_chain", json_string(v->other_chain));
    if (o)
        json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
}

static int verify(struct job *j)
{
    int rc, code = load_key(j);
    bool good;

    if (!code)
        code = load_state(j);
    if (!code)
        code = open_sources(j);
    if (!code)
        code = feed(j);
    if (code)
        return code;
    rc = gh_audit_verify_end(j->v, j->at, j->written);
    if (rc < 0)
        return unreadable(j->sources[0].path, gh_error_text(rc));
    good = j->v->bad == 0 && j->v->records > 0;
    if (j->o->json)
        print_json(j, good);
    else
        print_text(j);
    return good ? GH_EXIT_OK : GH_EXIT_CHECK_FAILED;
}

int gh_cli_audit_verify(const struct gh_audit_verify_options *o)
{
    struct job j = { .o = o, .at = time(NULL) };
    int code;

    if (o->at && gh_timestamp_parse(o->at, strlen(o->at), &j.at) < 0) {
        fprintf(stderr, "gatehouse audit: --at is \"%s\", not a time as 2030-01-31T18:00:00Z\n", o->at);
        return GH_EXIT_USAGE;
    }
    j.v = calloc(1, sizeof *j.v);
    if (!j.v)
        return unreadable(o->files[0], gh_error_text(GH_ERR_MEMORY));
    code = verify(&j);
    gh_audit_verify_fini(j.v);
    free(j.v);
    for (int i = 0; i < j.count; i++)
        if (j.sources[i].file && j.sources[i].file != stdin)
            fclose(j.sources[i].file);
    free(j.sources);
    return code;
}
