#include "priv/firewall_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define COMMENT "gatehouse"

const char *gh_firewall_name(enum gh_firewall kind)
{
    static const char *const names[] = { "", "ufw", "firewalld", "nftables" };

    return names[kind];
}

static const char *protocol(const struct gh_firewall_rule *r)
{
    return r->udp ? "udp" : "tcp";
}

void gh_firewall_rule_emit(const struct gh_firewall_rule *r, char ret[GH_FIREWALL_LINE])
{
    int n = snprintf(ret, GH_FIREWALL_LINE, "%s %s %u %u", gh_firewall_name(r->kind), protocol(r), r->first, r->last);

    if (r->kind == GH_FIREWALL_NFTABLES)
        snprintf(ret + n, GH_FIREWALL_LINE - (size_t)n, " %s %s %s", r->chain.family, r->chain.table, r->chain.name);
}

/* A name that nft reads without quotes, and that is no option. */
static bool is_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    size_t len = strlen(text);

    return len && strchr(letters, text[0]) && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789./-") == len;
}

static bool is_family(const char *text)
{
    return !strcmp(text, "ip") || !strcmp(text, "ip6") || !strcmp(text, "inet");
}

int gh_firewall_rule_parse(const char *line, struct gh_firewall_rule *ret)
{
    struct gh_firewall_rule r = { .kind = GH_FIREWALL_NONE };
    char kind[10] = "", proto[4] = "", again[GH_FIREWALL_LINE];
    unsigned first = 0, last = 0;
    int n = sscanf(line, "%9s %3s %5u %5u %7s %63s %63s", kind, proto, &first, &last, r.chain.family, r.chain.table, r.chain.name);

    for (int i = GH_FIREWALL_UFW; i <= GH_FIREWALL_NFTABLES; i++)
        if (!strcmp(kind, gh_firewall_name((enum gh_firewall)i)))
            r.kind = (enum gh_firewall)i;
    if (r.kind == GH_FIREWALL_NONE || n != (r.kind == GH_FIREWALL_NFTABLES ? 7 : 4) || first == 0 || first > last || last > UINT16_MAX)
        return GH_ERR_MALFORMED;
    if (r.kind == GH_FIREWALL_NFTABLES && !(is_family(r.chain.family) && is_name(r.chain.table) && is_name(r.chain.name)))
        return GH_ERR_MALFORMED;
    r.udp = !strcmp(proto, "udp");
    r.first = (uint16_t)first;
    r.last = (uint16_t)last;
    gh_firewall_rule_emit(&r, again); /* one text for one rule */
    if (strcmp(line, again) != 0)
        return GH_ERR_MALFORMED;
    *ret = r;
    return 0;
}

/* ---- ufw, firewalld ---- */

/* "443/tcp", "10020:10119/udp" */
static void emit_port(const struct gh_firewall_rule *r, char between, char *ret, size_t size)
{
    if (r->first == r->last)
        snprintf(ret, size, "%u/%s", r->first, protocol(r));
    else
        snprintf(ret, size, "%u%c%u/%s", r->first, between, r->last, protocol(r));
}

static void ufw_command(const struct gh_firewall_rule *r, enum gh_firewall_verb verb, struct gh_firewall_command *ret)
{
    static const char *const words[][GH_FIREWALL_WORDS] = {
        [GH_FIREWALL_ASK] = { "ufw", "show", "added" },
        [GH_FIREWALL_ADD] = { "ufw", "allow", "", "comment", COMMENT },
        [GH_FIREWALL_TAKE_BACK] = { "ufw", "delete", "allow", "" },
    };

    emit_port(r, ':', ret->text, sizeof ret->text);
    for (size_t i = 0; i < GH_FIREWALL_WORDS; i++)
        ret->argv[i] = words[verb][i] && !*words[verb][i] ? ret->text : words[verb][i];
}

void gh_firewall_command(const struct gh_firewall_rule *r, enum gh_firewall_verb verb, struct gh_firewall_command *ret)
{
    static const char *const options[] = { "--query-port=", "--add-port=", "--remove-port=" };
    size_t n;

    memset(ret, 0, sizeof *ret);
    if (r->kind == GH_FIREWALL_UFW) {
        ufw_command(r, verb, ret);
        return;
    }
    n = (size_t)snprintf(ret->text, sizeof ret->text, "%s", options[verb]);
    emit_port(r, '-', ret->text + n, sizeof ret->text - n);
    ret->argv[0] = "firewall-cmd";
    ret->argv[1] = ret->text;
}

/* The line at <*at>, without white space around it; false at the end. Longer ones are cut. */
static bool next_line(const char **at, char *ret, size_t size)
{
    size_t len = strcspn(*at, "\n"), blank = strspn(*at, " \t");

    if (!**at)
        return false;
    blank = blank > len ? len : blank;
    snprintf(ret, size, "%.*s", (int)(len - blank < size ? len - blank : size - 1), *at + blank);
    *at += len + ((*at)[len] == '\n');
    return true;
}

bool gh_firewall_ufw_active(const char *text)
{
    char line[64];

    while (next_line(&text, line, sizeof line))
        if (!strcmp(line, "Status: active"))
            return true;
    return false;
}

enum gh_firewall_found gh_firewall_ufw_find(const char *text, const struct gh_firewall_rule *r)
{
    char line[512], action[16], port[32], rest[400], want[32];

    emit_port(r, ':', want, sizeof want);
    while (next_line(&text, line, sizeof line)) {
        rest[0] = 0;
        if (sscanf(line, "ufw %15s %31s %399[^\n]", action, port, rest) < 2 || strcmp(port, want) != 0)
            continue;
        return !strcmp(action, "allow") && !strcmp(rest, "comment '" COMMENT "'") ? GH_FIREWALL_OURS : GH_FIREWALL_THEIRS;
    }
    return GH_FIREWALL_ABSENT;
}

/* ---- nftables ---- */

size_t gh_firewall_nft_chains(const char *text, struct gh_firewall_chain *ret, size_t max)
{
    struct gh_firewall_chain c = { 0 };
    char line[512], brace[2];
    size_t count = 0;

    while (count < max && next_line(&text, line, sizeof line)) {
        if (!strncmp(line, "table ", 6)) {
            c.name[0] = 0;
            if (sscanf(line, "table %7s %63s %1[{]", c.family, c.table, brace) != 3)
                c.family[0] = 0;
        } else if (!strncmp(line, "chain ", 6)) {
            if (sscanf(line, "chain %63s %1[{]", c.name, brace) != 2)
                c.name[0] = 0;
        } else if (!strncmp(line, "type filter hook input ", 23) && strstr(line, "policy drop;") && is_family(c.family) && is_name(c.table)
                   && is_name(c.name)) {
            ret[count++] = c;
        }
    }
    return count;
}

void gh_firewall_nft_comment(const struct gh_firewall_rule *r, char ret[GH_FIREWALL_LINE])
{
    snprintf(ret, GH_FIREWALL_LINE, COMMENT " %s %u-%u", protocol(r), r->first, r->last);
}

uint64_t gh_firewall_nft_handle(const char **at, const struct gh_firewall_rule *r)
{
    char line[1024], comment[GH_FIREWALL_LINE], want[GH_FIREWALL_LINE + 32], *found;

    gh_firewall_nft_comment(r, comment);
    snprintf(want, sizeof want, " comment \"%s\" # handle ", comment);
    while (next_line(at, line, sizeof line)) {
        found = strstr(line, want);
        if (found)
            return strtoull(found + strlen(want), NULL, 10);
    }
    return 0;
}
