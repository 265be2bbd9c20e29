#include "priv/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "priv/check.h"
#include "priv/firewall.h"
#include "priv/firewall_text.h"
#include "priv/nft.h"
#include "priv/sysctl.h"

#define COMPACT_AFTER 1024u /* lines taken back before the journal is written anew */

struct gh_changes {
    int dir, journal;
    char name[64], spare[72];
    struct gh_netlink *nl;
    struct gh_list list;
    size_t count, taken_back;
};

/* ---- lines ---- */

void gh_change_emit(const struct gh_change *c, char ret[GH_CHANGE_LINE])
{
    char prefix[GH_PREFIX_TEXT];

    switch (c->kind) {
    case GH_CHANGE_ADDR:
        gh_prefix_emit(&c->prefix, prefix);
        snprintf(ret, GH_CHANGE_LINE, "addr %s %u %s", c->device, c->ifindex, prefix);
        return;
    case GH_CHANGE_ROUTE:
        gh_prefix_emit(&c->prefix, prefix);
        snprintf(ret, GH_CHANGE_LINE, "route %s %u %" PRIu32 " %" PRIu32 " %s", c->device, c->ifindex, c->table, c->metric, prefix);
        return;
    case GH_CHANGE_RULE:
        snprintf(ret, GH_CHANGE_LINE, "rule %u %" PRIu32 " %" PRIu32 " %" PRIu32, c->family, c->priority, c->table, c->mark);
        return;
    case GH_CHANGE_NFT:
        snprintf(ret, GH_CHANGE_LINE, "nft %s", c->path);
        return;
    case GH_CHANGE_FIREWALL:
        snprintf(ret, GH_CHANGE_LINE, "firewall %s", c->path);
        return;
    case GH_CHANGE_SYSCTL:
        snprintf(ret, GH_CHANGE_LINE, "sysctl %s %s", c->path, c->value);
        return;
    case GH_CHANGE_FILE:
        snprintf(ret, GH_CHANGE_LINE, "file %s", c->path);
        return;
    }
}

/* An address with its network may have bits below the length, which gh_prefix_parse refuses. */
static bool parse_prefix(const char *text, struct gh_prefix *ret)
{
    const char *slash = strchr(text, '/');
    char *end;
    unsigned long len;

    if (!slash || gh_ip_parse(text, (size_t)(slash - text), &ret->addr) < 0)
        return false;
    len = strtoul(slash + 1, &end, 10);
    if (end == slash + 1 || *end || len > gh_ip_bits(&ret->addr))
        return false;
    ret->len = (uint8_t)len;
    return true;
}

static bool parse_device_change(const char *line, struct gh_change *c)
{
    char text[GH_PREFIX_TEXT] = "";

    if (c->kind == GH_CHANGE_ADDR) {
        if (sscanf(line, "%15s %u %49s", c->device, &c->ifindex, text) != 3)
            return false;
    } else if (sscanf(line, "%15s %u %" SCNu32 " %" SCNu32 " %49s", c->device, &c->ifindex, &c->table, &c->metric, text) != 5) {
        return false;
    }
    return gh_check_device(c->device, false) && parse_prefix(text, &c->prefix);
}

static bool parse_rule(const char *line, struct gh_change *c)
{
    unsigned family;

    if (sscanf(line, "%u %" SCNu32 " %" SCNu32 " %" SCNu32, &family, &c->priority, &c->table, &c->mark) != 4)
        return false;
    c->family = (uint8_t)family;
    return family == 4 || family == 6;
}

static bool parse_sysctl(const char *line, struct gh_change *c)
{
    const char *space = strrchr(line, ' ');

    if (!space || (size_t)(space - line) >= sizeof c->path || strlen(space + 1) >= sizeof c->value || !space[1])
        return false;
    memcpy(c->path, line, (size_t)(space - line));
    snprintf(c->value, sizeof c->value, "%s", space + 1);
    return gh_sysctl_known(c->path);
}

int gh_change_parse(const char *line, struct gh_change *ret)
{
    static const char *const words[] = {
        [GH_CHANGE_ADDR] = "addr ", [GH_CHANGE_ROUTE] = "route ",   [GH_CHANGE_RULE] = "rule ",
        [GH_CHANGE_NFT] = "nft ",   [GH_CHANGE_SYSCTL] = "sysctl ", [GH_CHANGE_FILE] = "file ",
        [GH_CHANGE_FIREWALL] = "firewall ",
    };
    struct gh_change c = { 0 };
    bool good = false;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const char *rest = line + strlen(words[i]);

        if (strncmp(line, words[i], strlen(words[i])) != 0)
            continue;
        c.kind = (enum gh_change_kind)i;
        if (i == GH_CHANGE_ADDR || i == GH_CHANGE_ROUTE)
            good = parse_device_change(rest, &c);
        else if (i == GH_CHANGE_RULE)
            good = parse_rule(rest, &c);
        else if (i == GH_CHANGE_SYSCTL)
            good = parse_sysctl(rest, &c);
        else if (i == GH_CHANGE_FIREWALL)
            good = gh_firewall_rule_parse(rest, &(struct gh_firewall_rule){ 0 }) == 0 && (size_t)snprintf(c.path, sizeof c.path, "%s", rest) < sizeof c.path;
        else
            good = (size_t)snprintf(c.path, sizeof c.path, "%s", rest) < sizeof c.path
                   && (i == GH_CHANGE_NFT ? !strncmp(rest, "gatehouse_", 10) : rest[0] == '/');
    }
    if (!good)
        return GH_ERR_MALFORMED;
    *ret = c;
    return 0;
}

/* ---- the journal ---- */

static int write_line(int fd, char sign, const struct gh_change *c)
{
    char words[GH_CHANGE_LINE], line[GH_CHANGE_LINE + 4];
    int len;

    gh_change_emit(c, words);
    len = snprintf(line, sizeof line, "%c %s\n", sign, words);
    return write(fd, line, (size_t)len) == len ? 0 : GH_ERR_SYSTEM;
}

/* Only what is in force, under a spare name, then renamed over the old one. */
static int rewrite(struct gh_changes *cs)
{
    int fd = openat(cs->dir, cs->spare, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return errno == EACCES ? GH_ERR_DENIED : GH_ERR_SYSTEM;
    gh_list_each(it, &cs->list) {
        if (write_line(fd, '+', &gh_container_of(it, struct gh_change_node, link)->change) < 0)
            goto failed;
    }
    if (renameat(cs->dir, cs->spare, cs->dir, cs->name) < 0)
        goto failed;
    if (cs->journal >= 0)
        close(cs->journal);
    cs->journal = fd;
    cs->taken_back = 0;
    return 0;
failed:
    close(fd);
    unlinkat(cs->dir, cs->spare, 0);
    return GH_ERR_SYSTEM;
}

static bool same(const struct gh_change *a, const struct gh_change *b)
{
    char x[GH_CHANGE_LINE], y[GH_CHANGE_LINE];

    if (a->kind != b->kind)
        return false;
    if (a->kind == GH_CHANGE_SYSCTL) /* whatever the value before was */
        return !strcmp(a->path, b->path);
    if (a->kind == GH_CHANGE_ADDR || a->kind == GH_CHANGE_ROUTE)
        return a->ifindex == b->ifindex && a->table == b->table && a->metric == b->metric && a->prefix.len == b->prefix.len
               && gh_ip_equals(&a->prefix.addr, &b->prefix.addr);
    gh_change_emit(a, x);
    gh_change_emit(b, y);
    return !strcmp(x, y);
}

struct gh_change_node *gh_changes_find(struct gh_changes *cs, const struct gh_change *c)
{
    gh_list_each(it, &cs->list) {
        struct gh_change_node *n = gh_container_of(it, struct gh_change_node, link);

        if (same(&n->change, c))
            return n;
    }
    return NULL;
}

static int append(struct gh_changes *cs, const struct gh_change *c, uint64_t generation, struct gh_change_node **ret)
{
    struct gh_change_node *n;

    if (cs->count >= GH_CHANGES_MAX)
        return GH_ERR_FULL;
    n = calloc(1, sizeof *n);
    if (!n)
        return GH_ERR_MEMORY;
    n->change = *c;
    n->generation = generation;
    gh_list_append(&cs->list, &n->link);
    cs->count++;
    if (ret)
        *ret = n;
    return 0;
}

static void drop(struct gh_changes *cs, struct gh_change_node *n)
{
    gh_list_unlink(&n->link);
    cs->count--;
    free(n);
}

int gh_changes_note(struct gh_changes *cs, const struct gh_change *c, uint64_t generation, struct gh_change_node **ret)
{
    struct gh_change_node *n;
    int rc = append(cs, c, generation, &n);

    if (rc < 0)
        return rc;
    rc = write_line(cs->journal, '+', c);
    if (rc < 0) {
        drop(cs, n);
        return rc;
    }
    *ret = n;
    return 0;
}

void gh_changes_forget(struct gh_changes *cs, struct gh_change_node *n)
{
    write_line(cs->journal, '-', &n->change); /* a lost "-" costs an undo of nothing */
    drop(cs, n);
    if (++cs->taken_back > COMPACT_AFTER + cs->count)
        rewrite(cs);
}

static void load_line(struct gh_changes *cs, char *line)
{
    struct gh_change_node *n;
    struct gh_change c;

    if ((line[0] != '+' && line[0] != '-') || line[1] != ' ' || gh_change_parse(line + 2, &c) < 0)
        return; /* the last line of a writer that died may be half of one */
    if (line[0] == '+') {
        append(cs, &c, 0, NULL);
        return;
    }
    n = gh_changes_find(cs, &c);
    if (n)
        drop(cs, n);
}

static int load(struct gh_changes *cs)
{
    char line[GH_CHANGE_LINE + 4];
    int fd = openat(cs->dir, cs->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    FILE *f;

    if (fd < 0)
        return errno == ENOENT ? 0 : GH_ERR_SYSTEM;
    f = fdopen(fd, "r");
    if (!f) {
        close(fd);
        return GH_ERR_MEMORY;
    }
    while (fgets(line, sizeof line, f)) {
        size_t len = strlen(line);

        if (len == 0 || line[len - 1] != '\n')
            continue;
        line[len - 1] = 0;
        load_line(cs, line);
    }
    fclose(f);
    return 0;
}

/* ---- putting back ---- */

/* The device of the change, if it is still the same one. */
static bool device_alive(struct gh_changes *cs, const struct gh_change *c)
{
    return gh_netlink_link_index(cs->nl, c->device) == (int)c->ifindex;
}

static int put_back(struct gh_changes *cs, const struct gh_change *c)
{
    char error[GH_PRIV_TEXT];
    struct gh_nl_route route = { .dst = c->prefix, .table = c->table, .metric = c->metric, .ifindex = c->ifindex };
    struct gh_nl_rule rule = { .family = c->family, .priority = c->priority, .table = c->table };

    switch (c->kind) {
    case GH_CHANGE_ADDR:
        return device_alive(cs, c) ? gh_netlink_addr_del(cs->nl, c->ifindex, &c->prefix) : 0;
    case GH_CHANGE_ROUTE:
        if (c->ifindex && !device_alive(cs, c))
            return 0;
        route.type = c->ifindex ? GH_NL_UNICAST : GH_NL_UNREACHABLE;
        return gh_netlink_route_del(cs->nl, &route);
    case GH_CHANGE_RULE:
        rule.has_mark = rule.invert = c->mark != 0;
        rule.mark = c->mark;
        rule.has_suppress = c->mark == 0;
        return gh_netlink_rule_del(cs->nl, &rule);
    case GH_CHANGE_NFT:
        return gh_nft_remove(c->path, error);
    case GH_CHANGE_FIREWALL:
        return gh_firewall_close(c->path);
    case GH_CHANGE_SYSCTL:
        return gh_sysctl_write(c->path, c->value);
    case GH_CHANGE_FILE:
        return unlink(c->path) == 0 || errno == ENOENT ? 0 : GH_ERR_SYSTEM;
    }
    return GH_ERR_INTERNAL;
}

int gh_changes_undo(struct gh_changes *cs, struct gh_change_node *n)
{
    int rc = put_back(cs, &n->change);

    if (rc < 0 && rc != GH_ERR_NOT_FOUND && !(n->change.kind == GH_CHANGE_RULE && rc == GH_ERR_UNSUPPORTED))
        return rc;
    gh_changes_forget(cs, n);
    return 0;
}

int gh_changes_undo_all(struct gh_changes *cs, bool (*pick)(void *arg, const struct gh_change_node *n), void *arg)
{
    struct gh_list *it = cs->list.prev;
    int rc = 0;

    while (it != &cs->list) {
        struct gh_change_node *n = gh_container_of(it, struct gh_change_node, link);
        int one;

        it = it->prev;
        one = !pick || pick(arg, n) ? gh_changes_undo(cs, n) : 0;
        if (one < 0 && rc == 0)
            rc = one;
    }
    return rc;
}

int gh_changes_open(int dir, const char *name, struct gh_changes **ret, int *ret_left)
{
    struct gh_changes *cs = calloc(1, sizeof *cs);
    int rc;

    if (!cs) {
        close(dir);
        return GH_ERR_MEMORY;
    }
    cs->dir = dir;
    cs->journal = -1;
    gh_list_init(&cs->list);
    snprintf(cs->name, sizeof cs->name, "%s.journal", name);
    snprintf(cs->spare, sizeof cs->spare, "%s.new", cs->name);
    rc = gh_netlink_create(&cs->nl);
    if (rc == 0)
        rc = load(cs);
    *ret_left = (int)cs->count;
    if (rc == 0)
        rc = rewrite(cs);
    if (rc < 0) {
        gh_netlink_destroy(cs->nl);
        gh_list_each(it, &cs->list)
            free(gh_container_of(it, struct gh_change_node, link));
        close(dir);
        free(cs);
        return rc;
    }
    gh_changes_undo_all(cs, NULL, NULL);
    *ret = cs;
    return 0;
}

void gh_changes_close(struct gh_changes *cs)
{
    if (!cs)
        return;
    gh_changes_undo_all(cs, NULL, NULL);
    if (gh_list_empty(&cs->list))
        unlinkat(cs->dir, cs->name, 0);
    gh_list_each(it, &cs->list)
        drop(cs, gh_container_of(it, struct gh_change_node, link));
    close(cs->journal);
    close(cs->dir);
    gh_netlink_destroy(cs->nl);
    free(cs);
}

struct gh_netlink *gh_changes_netlink(struct gh_changes *cs)
{
    return cs->nl;
}

struct gh_list *gh_changes_list(struct gh_changes *cs)
{
    return &cs->list;
}
