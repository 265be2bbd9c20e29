#include "priv/nft.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "priv/program.h"

static const char *const programs[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft", NULL };

void gh_nft_table_name(const char *device, char ret[GH_NFT_TABLE])
{
    snprintf(ret, GH_NFT_TABLE, "gatehouse_%s", device);
}

static void keep_error(const char *text, char *error)
{
    snprintf(error, GH_PRIV_TEXT, "%.*s", (int)strcspn(text, "\r\n"), text);
}

int gh_nft_apply(const char *json, size_t len, char *error)
{
    static const char *const argv[] = { "nft", "-j", "-f", "-", NULL };
    char *out = NULL;
    int rc = gh_program_run(programs, argv, json, len, &out);

    error[0] = 0;
    if (rc == GH_ERR_NOT_FOUND)
        snprintf(error, GH_PRIV_TEXT, "the program nft is not installed");
    else if (rc < 0 && out)
        keep_error(out, error);
    free(out);
    return rc;
}

int gh_nft_list(const char *const argv[], char **ret_text, char *error)
{
    char *out = NULL;
    int rc = gh_program_run(programs, argv, "", 0, &out);

    error[0] = 0;
    if (rc < 0) {
        keep_error(out ? out : "", error);
        free(out);
        return rc;
    }
    *ret_text = out;
    return 0;
}

/* Add, delete, add: whether the table was there or not, what follows begins with an empty one. */
#define EMPTY_TABLE                                           \
    "{\"nftables\":["                                         \
    "{\"add\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}," \
    "{\"delete\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}"

int gh_nft_remove(const char *table, char *error)
{
    char json[512];
    int n = snprintf(json, sizeof json, EMPTY_TABLE "]}", table, table);

    return gh_nft_apply(json, (size_t)n, error);
}

int gh_nft_masquerade(const struct gh_priv_nat *n, char *error)
{
    char *json = NULL, table[GH_NFT_TABLE], addr[GH_IP_TEXT];
    size_t len = 0;
    FILE *f = open_memstream(&json, &len);
    bool failed;
    int rc;

    if (!f)
        return GH_ERR_MEMORY;
    gh_nft_table_name(n->device, table);
    fprintf(f, EMPTY_TABLE ",{\"add\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}", table, table, table);
    fprintf(f,
            ",{\"add\":{\"chain\":{\"family\":\"inet\",\"table\":\"%s\",\"name\":\"postrouting\",\"type\":\"nat\","
            "\"hook\":\"postrouting\",\"prio\":100,\"policy\":\"accept\"}}}",
            table);
    for (size_t i = 0; i < n->count; i++)
        fprintf(f,
                ",{\"add\":{\"rule\":{\"family\":\"inet\",\"table\":\"%s\",\"chain\":\"postrouting\",\"expr\":["
                "{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"%s\",\"field\":\"saddr\"}},"
                "\"right\":{\"prefix\":{\"addr\":\"%s\",\"len\":%u}}}},"
                "{\"match\":{\"op\":\"!=\",\"left\":{\"meta\":{\"key\":\"oifname\"}},\"right\":\"%s\"}},"
                "{\"masquerade\":null}]}}}",
                table, n->sources[i].addr.family == 4 ? "ip" : "ip6", gh_ip_emit(&n->sources[i].addr, addr),
                n->sources[i].len, n->device);
    fputs("]}", f);
    failed = ferror(f) != 0;
    failed = fclose(f) != 0 || failed;
    rc = failed ? GH_ERR_MEMORY : gh_nft_apply(json, len, error);
    free(json);
    return rc;
}

/* Only what is meant for this host: what it forwards goes where it was sent to. */
#define TO_THIS_HOST "{\"match\":{\"op\":\"==\",\"left\":{\"fib\":{\"result\":\"type\",\"flags\":[\"daddr\"]}},\"right\":\"local\"}}"

int gh_nft_redirect(const struct gh_priv_hop *h, char *error)
{
    static const char *const protocols[] = { "tcp", "udp" }, *const hooks[] = { "prerouting", "output" };
    char json[4096];
    size_t len = (size_t)snprintf(json, sizeof json, EMPTY_TABLE ",{\"add\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}", GH_NFT_HOP_TABLE,
                                  GH_NFT_HOP_TABLE, GH_NFT_HOP_TABLE);

    for (size_t i = 0; i < 2; i++) {
        len += (size_t)snprintf(json + len, sizeof json - len,
                                ",{\"add\":{\"chain\":{\"family\":\"inet\",\"table\":\"%s\",\"name\":\"%s\",\"type\":\"nat\",\"hook\":\"%s\","
                                "\"prio\":-100,\"policy\":\"accept\"}}}",
                                GH_NFT_HOP_TABLE, hooks[i], hooks[i]);
        for (size_t k = 0; k < 2; k++)
            len += (size_t)snprintf(json + len, sizeof json - len,
                                    ",{\"add\":{\"rule\":{\"family\":\"inet\",\"table\":\"%s\",\"chain\":\"%s\",\"expr\":[" TO_THIS_HOST
                                    ",{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"%s\",\"field\":\"dport\"}},"
                                    "\"right\":{\"range\":[%u,%u]}}},{\"redirect\":{\"port\":%u}}]}}}",
                                    GH_NFT_HOP_TABLE, hooks[i], protocols[k], h->first, h->last, h->port);
    }
    len += (size_t)snprintf(json + len, sizeof json - len, "]}");
    return len < sizeof json ? gh_nft_apply(json, len, error) : GH_ERR_INTERNAL;
}
