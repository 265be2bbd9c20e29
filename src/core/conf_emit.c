/* The configuration as text: what counts, and the manual page. */
#include <string.h>

#include "base/error.h"
#include "core/conf_internal.h"

static void emit_string(const char *s, struct gh_text *out)
{
    gh_text_append_json(out, gh_span_str(s ? s : ""));
}

static void emit_words(const struct gh_conf_row *row, uint64_t number, struct gh_text *out)
{
    const char *at = row->values, *word, *comma = "";
    unsigned index = 0;
    bool set = row->type == GH_CONF_ENUM_SET;

    if (set)
        gh_text_append(out, "[");
    for (size_t len; (len = gh_conf_values_next(&at, &word)) > 0; index++) {
        if (set ? !(number >> index & 1) : number != index)
            continue;
        gh_text_printf(out, "%s\"%.*s\"", comma, (int)len, word);
        comma = ", ";
    }
    if (set)
        gh_text_append(out, "]");
}

static void emit_item(const struct gh_conf_row *row, const struct gh_conf_value *v, size_t i, struct gh_text *out)
{
    char prefix[GH_PREFIX_TEXT];

    gh_text_append(out, i ? ", " : "");
    if (row->type == GH_CONF_STRING_LIST) {
        emit_string(((const char *const *)v->items)[i], out);
        return;
    }
    gh_text_append(out, "\"");
    if (row->type == GH_CONF_PREFIX || row->type == GH_CONF_PREFIX_LIST)
        gh_text_append(out, gh_prefix_emit(&((const struct gh_prefix *)v->items)[i], prefix));
    else
        gh_conf_addr_emit(&((const struct gh_conf_addr *)v->items)[i], out);
    gh_text_append(out, "\"");
}

static void emit_size(uint64_t bytes, struct gh_text *out)
{
    static const char *const units[] = { "", "KiB", "MiB", "GiB" };
    unsigned unit = 0;

    while (unit < 3 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    gh_text_append_uint(out, bytes);
    gh_text_append(out, units[unit]);
}

/* JSON has no bare 30s or 64KiB. */
static bool needs_quotes(enum gh_conf_type type)
{
    return type == GH_CONF_SIZE || type == GH_CONF_DURATION;
}

/* Only what was set; the defaults of an entry are in the manual page. */
static void emit_table(const struct gh_conf_value *v, struct gh_text *out)
{
    const struct gh_conf_entry *e = v->items;

    gh_text_append(out, "{");
    for (size_t i = 0; i < v->count; i++) {
        const struct gh_conf_part *part = e[i].conf->parts;
        const char *comma = "";

        gh_text_append(out, i ? ", " : "");
        emit_string(e[i].name, out);
        gh_text_append(out, ": {");
        for (unsigned row = 0; row < part->rows; row++) {
            const struct gh_conf_row *r = &part->section->rows[row];
            const char *quote = needs_quotes(r->type) ? "\"" : "";

            if (part->values[row].origin < GH_CONF_FROM_FILE || r->type == GH_CONF_SECRET)
                continue;
            gh_text_printf(out, "%s\"%s\": %s", comma, r->name, quote);
            gh_conf_value_emit(r, &part->values[row], out);
            gh_text_append(out, quote);
            comma = ", ";
        }
        gh_text_append(out, "}");
    }
    gh_text_append(out, "}");
}

void gh_conf_value_emit(const struct gh_conf_row *row, const struct gh_conf_value *v, struct gh_text *out)
{
    bool list = gh_conf_type_is_list(row->type);

    switch (row->type) {
    case GH_CONF_BOOL:
        gh_text_append(out, v->number ? "true" : "false");
        return;
    case GH_CONF_UINT:
        gh_text_append_uint(out, v->number);
        return;
    case GH_CONF_SIZE:
        emit_size(v->number, out);
        return;
    case GH_CONF_DURATION:
        gh_text_append_duration(out, (int64_t)v->number);
        return;
    case GH_CONF_STRING:
    case GH_CONF_PATH:
        emit_string(v->string, out);
        return;
    case GH_CONF_ENUM:
    case GH_CONF_ENUM_SET:
        emit_words(row, v->number, out);
        return;
    case GH_CONF_SECRET:
        return;
    case GH_CONF_TABLE:
        emit_table(v, out);
        return;
    default:
        break;
    }
    gh_text_append(out, list ? "[" : "");
    for (size_t i = 0; i < v->count; i++)
        emit_item(row, v, i, out);
    gh_text_append(out, list ? "]" : "");
}

static const char *origin_name(const struct gh_conf_value *v)
{
    static const char *const names[] = { "unset", "default", "file", "environment" };

    return names[v->origin];
}

static void emit_row_text(const struct gh_conf *conf, const struct gh_conf_row *row, const struct gh_conf_value *v,
                          struct gh_text *out)
{
    bool value = v->origin != GH_CONF_UNSET && row->type != GH_CONF_SECRET;

    gh_text_printf(out, "  %s%s:%s", value ? "" : "# ", row->name, value ? " " : "");
    if (value)
        gh_conf_value_emit(row, v, out);
    else if (v->origin != GH_CONF_UNSET)
        gh_text_append(out, " (secret, not shown)");
    gh_text_append(out, "  # ");
    if (v->origin == GH_CONF_FROM_FILE)
        gh_text_printf(out, "%s:%u:%u\n", conf->file ? conf->file : "file", v->line, v->col);
    else if (v->origin == GH_CONF_FROM_ENV)
        gh_text_printf(out, "environment, %s\n", v->env);
    else
        gh_text_printf(out, "%s\n", origin_name(v));
}

static void emit_row_json(const struct gh_conf *conf, const struct gh_conf_row *row, const struct gh_conf_value *v,
                          struct gh_text *out)
{
    const char *quote = needs_quotes(row->type) ? "\"" : "";

    emit_string(row->name, out);
    gh_text_append(out, ":{");
    if (row->type == GH_CONF_SECRET)
        gh_text_printf(out, "\"secret\":true,\"set\":%s,", v->origin != GH_CONF_UNSET ? "true" : "false");
    else if (v->origin == GH_CONF_UNSET)
        gh_text_append(out, "\"value\":null,");
    else {
        gh_text_printf(out, "\"value\":%s", quote);
        gh_conf_value_emit(row, v, out);
        gh_text_printf(out, "%s,", quote);
    }
    gh_text_printf(out, "\"origin\":\"%s\"", origin_name(v));
    if (v->origin == GH_CONF_FROM_FILE) {
        gh_text_append(out, ",\"file\":");
        emit_string(conf->file, out);
        gh_text_printf(out, ",\"line\":%u,\"column\":%u", v->line, v->col);
    } else if (v->origin == GH_CONF_FROM_ENV) {
        gh_text_append(out, ",\"variable\":");
        emit_string(v->env, out);
    }
    gh_text_append(out, "}");
}

int gh_conf_emit_effective(const struct gh_conf *conf, bool json, struct gh_text *out)
{
    const char *comma = "";

    if (json)
        gh_text_append(out, "{\"version\":1,\"sections\":{");
    for (size_t i = 0; i < conf->part_count; i++) {
        const struct gh_conf_part *part = &conf->parts[i];

        if (!part->present)
            continue;
        gh_text_printf(out, json ? "%s\"%s\":{" : "%s%s:\n", json ? comma : "", part->section->name);
        for (unsigned row = 0; row < part->rows; row++) {
            if (json)
                gh_text_append(out, row ? "," : "");
            (json ? emit_row_json : emit_row_text)(conf, &part->section->rows[row], &part->values[row], out);
        }
        gh_text_append(out, json ? "}" : "");
        comma = ",";
    }
    if (json)
        gh_text_append(out, "}}\n");
    return out->failed ? GH_ERR_MEMORY : 0;
}

static const char *type_name(enum gh_conf_type type)
{
    static const char *const names[] = {
        [GH_CONF_BOOL] = "true or false",      [GH_CONF_UINT] = "number",
        [GH_CONF_SIZE] = "size",               [GH_CONF_DURATION] = "time",
        [GH_CONF_STRING] = "text",             [GH_CONF_PATH] = "path",
        [GH_CONF_ENUM] = "one of",             [GH_CONF_ENUM_SET] = "list of",
        [GH_CONF_ADDR] = "address",            [GH_CONF_ADDR_LIST] = "list of addresses",
        [GH_CONF_PREFIX] = "network",          [GH_CONF_PREFIX_LIST] = "list of networks",
        [GH_CONF_STRING_LIST] = "list of texts", [GH_CONF_SECRET] = "secret",
        [GH_CONF_TABLE] = "mapping",
    };

    return names[type];
}

/* roff takes a backslash and a dot at the start of a line for its own. */
static void man_text(const char *s, FILE *out)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", out);
    for (; *s; s++) {
        if (*s == '\\')
            fputs("\\e", out);
        else if (*s == '-')
            fputs("\\-", out);
        else
            fputc(*s, out);
    }
}

static void man_row(const struct gh_conf_row *row, FILE *out)
{
    const char *at = row->values, *word, *comma = " ";

    fputs(".TP\n.B ", out);
    man_text(row->name, out);
    fprintf(out, "\n(%s", type_name(row->type));
    for (size_t len; (len = gh_conf_values_next(&at, &word)) > 0; comma = ", ")
        fprintf(out, "%s%.*s", comma, (int)len, word);
    if (row->unit)
        fprintf(out, ", %s", row->unit);
    if (row->min && row->max)
        fprintf(out, ", %s to %s", row->min, row->max);
    else if (row->min || row->max)
        fprintf(out, ", %s %s", row->min ? "at least" : "at most", row->min ? row->min : row->max);
    if (row->required)
        fputs(", required", out);
    if (row->dflt && *row->dflt) {
        fputs(", default ", out);
        man_text(row->dflt, out);
    }
    fputs(row->reload ? ", applied by a reload)\n" : ")\n", out);
    man_text(row->help ? row->help : "", out);
    fputc('\n', out);
    if (row->type != GH_CONF_TABLE)
        return;
    fputs(".RS\n", out);
    for (const struct gh_conf_row *r = row->entry->rows; r->name; r++)
        man_row(r, out);
    fputs(".RE\n", out);
}

void gh_conf_emit_man(const struct gh_conf_section *const *sections, FILE *out)
{
    for (; *sections; sections++) {
        fputs(".SS ", out);
        man_text((*sections)->name, out);
        fputc('\n', out);
        if ((*sections)->help) {
            man_text((*sections)->help, out);
            fputc('\n', out);
        }
        for (const struct gh_conf_row *row = (*sections)->rows; row->name; row++)
            man_row(row, out);
    }
}
