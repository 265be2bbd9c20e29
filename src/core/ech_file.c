#include "core/ech_file.h"

#include <string.h>

#include "base/error.h"
#include "core/conf_tree.h"
#include "policy/timestamp.h"

struct reading {
    struct gh_ech_file *file;
    struct gh_conf_errors *errors;
    int64_t changed;
};

/* A key at a place of the file. 0 also when it is wrong, which <errors> then knows. */
static int add_key(struct reading *r, struct gh_span pem, int64_t born, unsigned line, unsigned col)
{
    struct gh_ech_file *f = r->file;
    char why[GH_ECH_WHY];
    int rc = gh_ech_keys_add(f->set, pem, born, why);

    if (rc == GH_ERR_MEMORY)
        return rc;
    if (rc < 0)
        gh_conf_errors_add(r->errors, line, col, "%s", why);
    else
        f->keys[f->count++] = (struct gh_ech_file_key){ born, pem };
    return 0;
}

/* No younger than the one before, which is what the list's order says. */
static int64_t birth_by_default(const struct reading *r)
{
    const struct gh_ech_file *f = r->file;

    return f->count && f->keys[f->count - 1].born < r->changed ? f->keys[f->count - 1].born : r->changed;
}

static bool is(const struct gh_conf_node *key, const char *name)
{
    return strcmp(key->text, name) == 0;
}

static int add_map(struct reading *r, const struct gh_conf_node *map)
{
    const struct gh_conf_node *pem = NULL;
    int64_t born = birth_by_default(r);
    size_t before = r->errors->count + r->errors->lost;

    for (const struct gh_conf_node *k = map->first; k; k = k->next->next) {
        const struct gh_conf_node *v = k->next;

        if (v->kind != GH_CONF_NODE_SCALAR)
            gh_conf_errors_add(r->errors, v->line, v->col, "%s is a text", k->text);
        else if (is(k, "pem"))
            pem = v;
        else if (!is(k, "born"))
            gh_conf_errors_add(r->errors, k->line, k->col, "\"%.60s\" is not known here; use born and pem", k->text);
        else if (gh_timestamp_parse(v->text, v->len, &born) < 0)
            gh_conf_errors_add(r->errors, v->line, v->col, "born is \"%.60s\"; write a time like 2026-01-31T18:00:00Z", v->text);
    }
    if (r->errors->count + r->errors->lost > before)
        return 0;
    if (!pem) {
        gh_conf_errors_add(r->errors, map->line, map->col, "a key needs pem: its private key and its ECHCONFIG (gatehouse ech generate)");
        return 0;
    }
    return add_key(r, gh_span_of(pem->text, pem->len), born, pem->line, pem->col);
}

static int add_list(struct reading *r, const struct gh_conf_node *list)
{
    int rc = 0;

    if (list->count == 0)
        gh_conf_errors_add(r->errors, list->line, list->col, "the list holds no key (gatehouse ech generate)");
    for (const struct gh_conf_node *n = list->first; rc == 0 && n; n = n->next) {
        if (n->kind == GH_CONF_NODE_MAP)
            rc = add_map(r, n);
        else if (n->kind == GH_CONF_NODE_SCALAR)
            rc = add_key(r, gh_span_of(n->text, n->len), birth_by_default(r), n->line, n->col);
        else
            gh_conf_errors_add(r->errors, n->line, n->col, "a key is a text, or born and pem");
    }
    return rc;
}

static int add_yaml(struct reading *r, struct gh_span text)
{
    struct gh_conf_node *root = NULL;
    int rc = gh_conf_tree_build(text, &r->file->arena, r->errors, &root);

    if (rc < 0)
        return rc;
    if (!root || root->kind != GH_CONF_NODE_LIST) {
        gh_conf_errors_add(r->errors, 1, 1, "the file holds neither the PEM of a key nor a list of keys (gatehouse ech generate)");
        return 0;
    }
    return add_list(r, root);
}

/* Words may stand before the first block of a PEM; YAML would have the block indented. */
static bool is_pem(struct gh_span text)
{
    static const char begin[] = "-----BEGIN ";

    for (const char *at = (const char *)text.data, *end = at + text.len; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        if ((size_t)(end - at) >= sizeof begin - 1 && memcmp(at, begin, sizeof begin - 1) == 0)
            return true;
        at = line_end ? line_end + 1 : end;
    }
    return false;
}

int gh_ech_file_read(struct gh_span text, int64_t changed, int64_t keep, struct gh_conf_errors *errors, struct gh_ech_file *ret)
{
    struct gh_ech_file f = { 0 };
    struct reading r = { &f, errors, changed };
    size_t before = errors->count + errors->lost;
    char *copy;
    int rc = gh_ech_keys_create(keep, &f.set);

    if (rc == 0 && is_pem(text)) {
        copy = gh_arena_copy(&f.arena, text.data, text.len);
        rc = copy ? add_key(&r, gh_span_of(copy, text.len), changed, 0, 0) : GH_ERR_MEMORY;
    } else if (rc == 0) {
        rc = add_yaml(&r, text);
    }
    if (rc == 0 && errors->count + errors->lost > before)
        rc = GH_ERR_MALFORMED;
    if (rc < 0)
        gh_ech_file_fini(&f);
    else
        *ret = f;
    return rc;
}

void gh_ech_file_fini(struct gh_ech_file *f)
{
    gh_ech_keys_put(f->set);
    gh_arena_fini(&f->arena);
    *f = (struct gh_ech_file){ 0 };
}

void gh_ech_file_emit(const struct gh_ech_file_key *keys, size_t count, struct gh_text *out)
{
    gh_text_append(out, "# Keys of Encrypted ClientHello, newest first: made by gatehouse ech. Secret.\n");
    for (size_t i = 0; i < count; i++) {
        struct gh_span left = keys[i].pem;
        char born[GH_TIMESTAMP_TEXT];

        gh_text_printf(out, "- born: %s\n  pem: |\n", gh_timestamp_emit(keys[i].born, born));
        while (left.len) {
            const uint8_t *end = memchr(left.data, '\n', left.len);
            size_t len = end ? (size_t)(end - left.data) : left.len;

            if (len) {
                gh_text_append(out, "    ");
                gh_text_append_span(out, gh_span_of(left.data, len));
            }
            gh_text_append(out, "\n");
            len += end != NULL;
            left = gh_span_of(left.data + len, left.len - len);
        }
    }
}
