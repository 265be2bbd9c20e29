#include "priv/firewall.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "priv/firewall_text.h"
#include "priv/nft.h"
#include "priv/program.h"

#define CHAINS_MAX 16u

static const char *const ufw[] = { "/usr/sbin/ufw", "/sbin/ufw", NULL };
static const char *const firewalld[] = { "/usr/bin/firewall-cmd", "/bin/firewall-cmd", NULL };

struct host_firewall {
    enum gh_firewall kind;
    struct gh_firewall_chain chains[CHAINS_MAX];
    size_t chain_count;
};

/* ---- which one ---- */

static bool has_ufw(void)
{
    static const char *const argv[] = { "ufw", "status", NULL };
    char *text = NULL;
    bool active = gh_program_run(ufw, argv, "", 0, &text) == 0 && gh_firewall_ufw_active(text);

    free(text);
    return active;
}

static bool has_firewalld(void)
{
    static const char *const argv[] = { "firewall-cmd", "--state", NULL };

    return gh_program_run(firewalld, argv, "", 0, NULL) == 0;
}

static int find_chains(struct host_firewall *h, char *error)
{
    static const char *const argv[] = { "nft", "list", "chains", NULL };
    char *text = NULL;
    int rc = gh_nft_list(argv, &text, error);

    if (rc == 0) {
        h->chain_count = gh_firewall_nft_chains(text, h->chains, CHAINS_MAX);
        h->kind = h->chain_count ? GH_FIREWALL_NFTABLES : GH_FIREWALL_NONE;
    }
    free(text);
    return rc == GH_ERR_NOT_FOUND ? 0 : rc; /* without the program there is nobody who would have filled a chain */
}

static int detect(struct host_firewall *ret, char *error)
{
    memset(ret, 0, sizeof *ret);
    ret->kind = has_ufw() ? GH_FIREWALL_UFW : has_firewalld() ? GH_FIREWALL_FIREWALLD : GH_FIREWALL_NONE;
    return ret->kind == GH_FIREWALL_NONE ? find_chains(ret, error) : 0;
}

/* ---- one rule ---- */

static int run_verb(const struct gh_firewall_rule *r, enum gh_firewall_verb verb, char **ret_text)
{
    struct gh_firewall_command command;

    gh_firewall_command(r, verb, &command);
    return gh_program_run(r->kind == GH_FIREWALL_UFW ? ufw : firewalld, command.argv, "", 0, ret_text);
}

static int list_chain(const struct gh_firewall_rule *r, char **ret_text, char *error)
{
    const char *argv[] = { "nft", "-a", "list", "chain", r->chain.family, r->chain.table, r->chain.name, NULL };

    return gh_nft_list(argv, ret_text, error);
}

static int look(const struct gh_firewall_rule *r, enum gh_firewall_found *ret, char *error)
{
    char *text = NULL;
    const char *at;
    int rc;

    if (r->kind == GH_FIREWALL_FIREWALLD) {
        *ret = run_verb(r, GH_FIREWALL_ASK, NULL) == 0 ? GH_FIREWALL_THEIRS : GH_FIREWALL_ABSENT;
        return 0;
    }
    rc = r->kind == GH_FIREWALL_UFW ? run_verb(r, GH_FIREWALL_ASK, &text) : list_chain(r, &text, error);
    at = text;
    if (rc == 0 && r->kind == GH_FIREWALL_UFW)
        *ret = gh_firewall_ufw_find(text, r);
    else if (rc == 0)
        *ret = gh_firewall_nft_handle(&at, r) ? GH_FIREWALL_OURS : GH_FIREWALL_ABSENT;
    free(text);
    return rc;
}

/* As the first rule of its chain: behind a drop it would be none. */
static int insert(const struct gh_firewall_rule *r, char *error)
{
    char json[1024], comment[GH_FIREWALL_LINE];
    int n;

    gh_firewall_nft_comment(r, comment);
    n = snprintf(json, sizeof json,
                 "{\"nftables\":[{\"insert\":{\"rule\":{\"family\":\"%s\",\"table\":\"%s\",\"chain\":\"%s\",\"comment\":\"%s\",\"expr\":["
                 "{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"%s\",\"field\":\"dport\"}},\"right\":{\"range\":[%u,%u]}}},"
                 "{\"accept\":null}]}}}]}",
                 r->chain.family, r->chain.table, r->chain.name, comment, r->udp ? "udp" : "tcp", r->first, r->last);
    return n < (int)sizeof json ? gh_nft_apply(json, (size_t)n, error) : GH_ERR_INTERNAL;
}

static int add(const struct gh_firewall_rule *r, char *error)
{
    char *text = NULL;
    int rc;

    if (r->kind == GH_FIREWALL_NFTABLES)
        return insert(r, error);
    rc = run_verb(r, GH_FIREWALL_ADD, &text);
    if (rc < 0)
        snprintf(error, GH_PRIV_TEXT, "%s: %.*s", gh_firewall_name(r->kind), text ? (int)strcspn(text, "\r\n") : 0, text ? text : "");
    free(text);
    return rc;
}

/* A chain that is gone took its rules along. */
static int delete_from_chain(const struct gh_firewall_rule *r, char *error)
{
    char *text = NULL, json[512];
    const char *at;
    uint64_t handle;
    int rc = 0;

    if (list_chain(r, &text, error) < 0)
        return 0;
    at = text;
    for (handle = gh_firewall_nft_handle(&at, r); handle && rc == 0; handle = gh_firewall_nft_handle(&at, r)) {
        int n = snprintf(json, sizeof json,
                         "{\"nftables\":[{\"delete\":{\"rule\":{\"family\":\"%s\",\"table\":\"%s\",\"chain\":\"%s\",\"handle\":%" PRIu64 "}}}]}",
                         r->chain.family, r->chain.table, r->chain.name, handle);

        rc = gh_nft_apply(json, (size_t)n, error);
    }
    free(text);
    return rc;
}

int gh_firewall_close(const char *words)
{
    struct gh_firewall_rule r;
    enum gh_firewall_found found;
    char error[GH_PRIV_TEXT];
    int rc = gh_firewall_rule_parse(words, &r);

    if (rc < 0)
        return rc;
    if (r.kind == GH_FIREWALL_NFTABLES)
        return delete_from_chain(&r, error);
    rc = look(&r, &found, error);
    if (rc < 0)
        return rc;
    /* firewalld cannot tell ours from others; nobody notes what was there before */
    if (found == GH_FIREWALL_OURS || (found == GH_FIREWALL_THEIRS && r.kind == GH_FIREWALL_FIREWALLD))
        return run_verb(&r, GH_FIREWALL_TAKE_BACK, NULL);
    return 0;
}

/* ---- all of them ---- */

static int ensure(struct gh_changes *cs, const struct gh_firewall_rule *r, uint64_t generation, char *error)
{
    struct gh_change c = { .kind = GH_CHANGE_FIREWALL };
    struct gh_change_node *node;
    enum gh_firewall_found found;
    int rc = look(r, &found, error);

    if (rc < 0)
        return rc;
    gh_firewall_rule_emit(r, c.path);
    node = gh_changes_find(cs, &c);
    if (!node && found == GH_FIREWALL_THEIRS)
        return 0;
    rc = node ? 0 : gh_changes_note(cs, &c, generation, &node);
    if (rc < 0)
        return rc;
    node->generation = generation;
    if (found != GH_FIREWALL_ABSENT)
        return 0;
    rc = add(r, error);
    if (rc < 0)
        gh_changes_undo(cs, node);
    return rc;
}

static int ensure_range(struct gh_changes *cs, const struct host_firewall *h, struct gh_firewall_rule r, uint64_t generation, char *error)
{
    size_t places = h->kind == GH_FIREWALL_NFTABLES ? h->chain_count : 1;
    int rc = 0;

    for (size_t i = 0; i < 2 * places && rc == 0; i++) {
        r.udp = i % 2;
        r.chain = h->chains[i / 2];
        rc = ensure(cs, &r, generation, error);
    }
    return rc;
}

int gh_firewall_open(struct gh_changes *cs, const struct gh_priv_firewall *f, uint64_t generation, char ret_name[GH_PRIV_DEVICE], char *error)
{
    struct host_firewall h;
    int rc = detect(&h, error);

    if (rc < 0 || h.kind == GH_FIREWALL_NONE)
        return rc;
    for (uint32_t i = 0; i < f->count && rc == 0; i++)
        rc = ensure_range(cs, &h, (struct gh_firewall_rule){ .kind = h.kind, .first = f->ports[i].first, .last = f->ports[i].last }, generation, error);
    if (rc == 0)
        snprintf(ret_name, GH_PRIV_DEVICE, "%s", gh_firewall_name(h.kind));
    return rc;
}
