/* Nameservers that the relay tells of: shown in the status, and written for a resolver when the configuration says so. */
#include <stdlib.h>
#include <string.h>

#include "os/page_file.h"
#include "proto/connect_ip/routes.h"
#include "services/agent/agent_internal.h"

#define RESOLVERS 3u  /* that the C library asks */
#define PORT_DNS 53u

/* Without looking further than the file can be used: all names, unencrypted, the usual port, and an address inside the tunnel. */
static bool knows_all_names(const struct gh_dns_config *c)
{
    for (size_t i = 0; i < c->internal_count; i++)
        if (c->internal[i].len == 0)
            return true;
    return false;
}

static bool through_tunnel(const struct agent *a, const struct gh_ip *ip)
{
    return gh_ip_is_unicast(ip) && gh_connect_ip_routes_contain(a->session.routes, a->session.route_count, ip, GH_IP_UDP);
}

static void emit_search(const struct gh_dns_config *c, struct gh_text *t)
{
    if (c->search_count == 0)
        return;
    gh_text_append(t, "search");
    for (size_t i = 0; i < c->search_count; i++)
        gh_text_printf(t, " %.*s", (int)c->search[i].len, (const char *)c->search[i].data);
    gh_text_append(t, "\n");
}

/* The nameservers of a configuration in the order of their priority. */
static unsigned emit_nameservers(const struct agent *a, const struct gh_dns_config *c, unsigned written, struct gh_text *t)
{
    bool done[GH_DNS_NAMESERVERS] = { false };
    char ip[GH_IP_TEXT];

    for (size_t round = 0; round < c->nameserver_count; round++) {
        size_t next = GH_DNS_NAMESERVERS;
        const struct gh_dns_nameserver *n;

        for (size_t i = 0; i < c->nameserver_count; i++)
            if (!done[i] && (next == GH_DNS_NAMESERVERS || c->nameservers[i].priority < c->nameservers[next].priority))
                next = i;
        done[next] = true;
        n = &c->nameservers[next];
        if (!n->plain || (n->port && n->port != PORT_DNS))
            continue;
        for (size_t i = 0; i < n->addr_count && written < RESOLVERS; i++)
            if (through_tunnel(a, &n->addrs[i])) {
                gh_text_printf(t, "nameserver %s\n", gh_ip_emit(&n->addrs[i], ip));
                written++;
            }
    }
    return written;
}

void agent_dns_emit_file(const struct agent *a, const struct gh_dns_config *list, size_t count, struct gh_text *t)
{
    unsigned written = 0;

    gh_text_append(t, "# gatehouse-agent: what the relay told (agent.dns: accept)\n");
    for (size_t i = 0; i < count; i++)
        if (knows_all_names(&list[i])) {
            if (written == 0)
                emit_search(&list[i], t);
            written = emit_nameservers(a, &list[i], written, t);
        }
}

static void write_file(struct agent *a, const struct gh_dns_config *list, size_t count)
{
    struct gh_text t;

    gh_text_init(&t, GH_PAGE_FILE);
    agent_dns_emit_file(a, list, count, &t);
    if (t.failed || gh_page_file_write(a->dns_file, t.data, t.len) < 0)
        gh_log_event(a->log, GH_LOG_WARN, "agent", "the relay's nameservers could not be written");
    gh_text_fini(&t);
}

void agent_dns_told(struct agent *a, struct gh_span value)
{
    struct gh_dns_config *list = malloc(GH_DNS_CONFIGS * sizeof *list);
    uint8_t *copy = malloc(value.len + 1);
    size_t count;

    if (list && copy && gh_dns_read(value, list, &count) == 0) {
        gh_log_event(a->log, GH_LOG_INFO, "agent", a->conf.dns ? "the relay tells of nameservers, which are used" : "the relay tells of nameservers, which are ignored",
                     gh_log_uint("configurations", count));
        if (a->dns_file >= 0)
            write_file(a, list, count);
        if (value.len)
            memcpy(copy, value.data, value.len);
        free(a->dns);
        a->dns = copy;
        a->dns_len = value.len;
        copy = NULL;
    }
    free(copy);
    free(list);
}

void agent_dns_told_pref64(struct agent *a, const struct gh_prefix *list, size_t count)
{
    a->pref64_count = count;
    for (size_t i = 0; i < count; i++)
        a->pref64[i] = list[i];
}

/* ---- status ---- */

static void emit_names(struct gh_text *t, const char *name, const struct gh_span *list, size_t count)
{
    gh_text_printf(t, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        if (i)
            gh_text_append(t, ",");
        gh_text_append_json(t, list[i]);
    }
    gh_text_append(t, "]");
}

static void emit_nameserver(struct gh_text *t, const struct gh_dns_nameserver *n)
{
    char ip[GH_IP_TEXT];

    gh_text_printf(t, "{\"priority\":%u,\"unencrypted\":%s,\"port\":%u,\"name\":", n->priority, n->plain ? "true" : "false", n->port);
    gh_text_append_json(t, n->name);
    gh_text_append(t, ",\"addresses\":[");
    for (size_t i = 0; i < n->addr_count; i++)
        gh_text_printf(t, "%s\"%s\"", i ? "," : "", gh_ip_emit(&n->addrs[i], ip));
    gh_text_append(t, "]}");
}

void agent_dns_emit_status(const struct agent *a, struct gh_text *t)
{
    struct gh_dns_config *list = malloc(GH_DNS_CONFIGS * sizeof *list);
    char prefix[GH_PREFIX_TEXT];
    size_t count = 0;

    if (!list || gh_dns_read(gh_span_of(a->dns, a->dns_len), list, &count) < 0)
        count = 0;
    gh_text_printf(t, ",\"dns\":{\"used\":%s,\"configurations\":[", a->dns_file >= 0 ? "true" : "false");
    for (size_t i = 0; i < count; i++) {
        gh_text_append(t, i ? ",{\"nameservers\":[" : "{\"nameservers\":[");
        for (size_t k = 0; k < list[i].nameserver_count; k++) {
            if (k)
                gh_text_append(t, ",");
            emit_nameserver(t, &list[i].nameservers[k]);
        }
        gh_text_append(t, "]");
        emit_names(t, "domains", list[i].internal, list[i].internal_count);
        emit_names(t, "search", list[i].search, list[i].search_count);
        gh_text_append(t, "}");
    }
    gh_text_append(t, "]},\"pref64\":[");
    for (size_t i = 0; i < a->pref64_count; i++)
        gh_text_printf(t, "%s\"%s\"", i ? "," : "", gh_prefix_emit(&a->pref64[i], prefix));
    gh_text_append(t, "]");
    free(list);
}
