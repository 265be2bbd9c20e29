/* wire/uri_template.h - the URI template of an IP proxy, and the scope that a request names (RFC 9484, sections 3 and 4.6)
 *
 * Templates are those that RFC 9484 allows: absolute, visible ASCII, RFC 6570 up to level 3 without the operators + # . / ;
 * and without other variables than "target" and "ipproto", each at most once and only in path or query.
 */
#ifndef GH_WIRE_URI_TEMPLATE_H
#define GH_WIRE_URI_TEMPLATE_H

#include <stdint.h>

#include "base/error.h"
#include "base/ip_addr.h"
#include "base/span.h"

#define GH_URI_TEMPLATE_MAX 1024u
#define GH_URI_TEMPLATE_PARTS 12u
#define GH_URI_TEMPLATE_DEFAULT_PATH "/.well-known/masque/ip/{target}/{ipproto}/"

enum gh_uri_variable { GH_URI_LITERAL, GH_URI_TARGET, GH_URI_IPPROTO };

struct gh_uri_template {
    struct gh_span scheme, authority; /* borrowed from the text, as all spans here */
    struct gh_span path;              /* path and query, unexpanded */
    struct {
        enum gh_uri_variable variable;
        struct gh_span literal;
    } parts[GH_URI_TEMPLATE_PARTS];
    size_t part_count;
};

#define GH_IPPROTO_ANY (-1)

enum gh_ip_scope_kind { GH_IP_SCOPE_ANY, GH_IP_SCOPE_PREFIX, GH_IP_SCOPE_NAME };

/* What traffic a tunnel is for. */
struct gh_ip_scope {
    enum gh_ip_scope_kind kind;
    struct gh_prefix prefix;
    char name[254]; /* host name, decoded, NUL-terminated */
    int ipproto;    /* 0..255 or GH_IPPROTO_ANY */
};

/* "https://HOST:PORT/path…". 0 or GH_ERR_MALFORMED, GH_ERR_TOO_LONG. */
int gh_uri_template_parse(struct gh_span text, struct gh_uri_template *ret);
/* Only path and query, as a proxy is configured with: must begin with "/". */
int gh_uri_template_parse_path(struct gh_span text, struct gh_uri_template *ret);
/* Writes path and query for <scope>. A template without a variable for a restricted scope is fine: the proxy decides. */
void gh_uri_template_expand(const struct gh_uri_template *t, const struct gh_ip_scope *scope, struct gh_writer *w);
/* Fits a request's path to the template: 0 and the raw values (empty for a variable that it lacks), or GH_ERR_NOT_FOUND. */
int gh_uri_template_match(const struct gh_uri_template *t, struct gh_span path, struct gh_span *ret_target, struct gh_span *ret_ipproto);
/* Reads raw values, percent-encoded; an empty one, as match gives for a missing variable, means any. 0 or GH_ERR_MALFORMED. */
int gh_ip_scope_parse(struct gh_span target, struct gh_span ipproto, struct gh_ip_scope *ret);
/* Both steps: GH_ERR_NOT_FOUND (404) or GH_ERR_MALFORMED (400). */
int gh_uri_template_parse_request(const struct gh_uri_template *t, struct gh_span path, struct gh_ip_scope *ret);

#endif
