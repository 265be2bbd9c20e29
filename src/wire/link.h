/* wire/link.h - the link that tells a client all that it needs to connect
 *
 *     k2v5://user:token@NAME:443?ech=BASE64&pin=sha256:HEX&hop=10020-10119&ip=192.0.2.1&ip6=2001:db8::1&fp=chrome&country=de#what people see
 *
 * NAME is what is asked for inside ECH, and what is looked up where there is neither ip nor ip6. Keys that are not known are kept as they came, one that is
 * known and there twice is refused. The text is percent-encoded (RFC 3986, section 2.1); "+" is itself. There is a secret in it.
 */
#ifndef GH_WIRE_LINK_H
#define GH_WIRE_LINK_H

#include "base/ip_addr.h"
#include "base/span.h"

#define GH_LINK_SCHEME "k2v5://"
#define GH_LINK_MAX 8192u       /* bytes of a link */
#define GH_LINK_USER_MAX 128u
#define GH_LINK_TOKEN_MAX 256u
#define GH_LINK_HOST_MAX 253u
#define GH_LINK_ECH_MAX 1499u   /* bytes of an ECHConfigList that clients of ours take */
#define GH_LINK_NAME_MAX 256u
#define GH_LINK_WORD_MAX 63u    /* of fp and country */
#define GH_LINK_OTHER_MAX 2048u /* of what is not known: more is not kept */
#define GH_LINK_PORT 443u       /* where it names none */

struct gh_link {
    char user[GH_LINK_USER_MAX + 1], token[GH_LINK_TOKEN_MAX + 1]; /* "": none */
    char host[GH_LINK_HOST_MAX + 1]; /* a name in lower case, or an address without brackets */
    uint16_t port;
    size_t ech_len;
    uint8_t ech[GH_LINK_ECH_MAX]; /* ECHConfigList (RFC 9849, section 4); 0 bytes: none */
    bool has_pin;
    uint8_t pin[32];         /* SHA-256 of the SubjectPublicKeyInfo */
    uint16_t hop[2];         /* first and last port; 0, 0: none */
    struct gh_ip ip, ip6;    /* family 0: none */
    char fp[GH_LINK_WORD_MAX + 1], country[GH_LINK_WORD_MAX + 1], name[GH_LINK_NAME_MAX + 1]; /* "": none */
    char other[GH_LINK_OTHER_MAX + 1]; /* "key=value&key=value", still encoded: what this release does not know */
};

/* What is wrong with a link. */
struct gh_link_error {
    size_t column;    /* from 1, in bytes */
    const char *what; /* and what would be right; says nothing of what is there, which may be secret */
};

/* Takes k2:// as well. 0, GH_ERR_UNSUPPORTED (another scheme), GH_ERR_TOO_LONG or GH_ERR_MALFORMED. */
int gh_link_parse(struct gh_span text, struct gh_link *ret);
/* The same; <ret_error> is filled on failure. */
int gh_link_read(struct gh_span text, struct gh_link *ret, struct gh_link_error *ret_error);
/* The keys of <other>, as "a, b"; what does not fit is left out. Returns <ret>. */
char *gh_link_other_keys(const struct gh_link *l, char *ret, size_t cap);
/* Writes the link and NUL. The number of its bytes; GH_ERR_TOO_LONG when <cap> is not enough; GH_ERR_MALFORMED: nobody could read it. */
int gh_link_emit(const struct gh_link *l, char *ret, size_t cap);

#endif
