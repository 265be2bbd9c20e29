#include "crypto/identity.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

#define SCHEME "spiffe://"
#define TEXT_MAX 512u /* holds every URI that can be valid: 9 + 255 + 1 + 9 + 1 + 128 */

/* The names that a certificate has, as text for comparison and for people: bytes that cannot be part of a valid name stand as '?',
 * and what is longer than the buffer is cut to a length that no valid name has. */
struct name {
    unsigned count;
    char text[TEXT_MAX];
};

struct names {
    struct name by_source[GH_IDENTITY_SOURCE_COUNT]; /* the first of each kind */
};

static const char *const role_names[] = { "agent", "relay", "connector" };
static const char *const source_names[] = { "san_uri", "san_dns", "cn" };
static const char *const source_words[] = { "a SPIFFE URI", "a DNS name", "a CN" };

const char *gh_role_name(enum gh_role role)
{
    return (unsigned)role < GH_ROLE_COUNT ? role_names[role] : "none";
}

const char *gh_identity_source_name(enum gh_identity_source source)
{
    return (unsigned)source < GH_IDENTITY_SOURCE_COUNT ? source_names[source] : "none";
}

static int word_find(const char *const *words, unsigned count, struct gh_span text)
{
    for (unsigned i = 0; i < count; i++)
        if (gh_span_equals(text, gh_span_str(words[i])))
            return (int)i;
    return GH_ERR_NOT_FOUND;
}

int gh_role_parse(struct gh_span text, enum gh_role *ret)
{
    int i = word_find(role_names, GH_ROLE_COUNT, text);

    if (i < 0)
        return i;
    *ret = (enum gh_role)i;
    return 0;
}

int gh_identity_source_parse(struct gh_span text, enum gh_identity_source *ret)
{
    int i = word_find(source_names, GH_IDENTITY_SOURCE_COUNT, text);

    if (i < 0)
        return i;
    *ret = (enum gh_identity_source)i;
    return 0;
}

static bool only_of(struct gh_span s, const char *punctuation, bool upper)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = (char)s.data[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (upper && c >= 'A' && c <= 'Z');

        if (!ok && (c == 0 || !strchr(punctuation, c)))
            return false;
    }
    return true;
}

bool gh_identity_name_valid(struct gh_span name)
{
    if (name.len == 0 || name.len > GH_IDENTITY_NAME_MAX || !only_of(name, "._-", true))
        return false;
    /* SPIFFE-ID, section 2.2: no relative path segments */
    return !gh_span_equals(name, gh_span_str(".")) && !gh_span_equals(name, gh_span_str(".."));
}

bool gh_identity_domain_valid(struct gh_span domain)
{
    return domain.len > 0 && domain.len <= GH_IDENTITY_DOMAIN_MAX && only_of(domain, "._-", false);
}

__attribute__((format(printf, 2, 3))) static int deny(char why[GH_IDENTITY_WHY], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, GH_IDENTITY_WHY, format, args);
    va_end(args);
    return GH_ERR_DENIED;
}

static bool is_spiffe(struct gh_span uri)
{
    return uri.len >= 7 && strncasecmp((const char *)uri.data, "spiffe:", 7) == 0;
}

static void collect(void *arg, enum gh_cert_name kind, struct gh_span value)
{
    struct names *names = arg;
    struct name *n;
    size_t len = value.len < TEXT_MAX - 1 ? value.len : TEXT_MAX - 1;

    if (kind == GH_CERT_IP || (kind == GH_CERT_URI && !is_spiffe(value)))
        return;
    n = &names->by_source[kind == GH_CERT_URI ? GH_IDENTITY_SAN_URI : kind == GH_CERT_DNS ? GH_IDENTITY_SAN_DNS : GH_IDENTITY_CN];
    if (n->count++ > 0)
        return;
    for (size_t i = 0; i < len; i++)
        n->text[i] = value.data[i] > 0x20 && value.data[i] < 0x7f ? (char)value.data[i] : '?';
    n->text[len] = 0;
}

struct claim {
    enum gh_role role;
    struct gh_span name; /* borrowed from the URI */
};

/* spiffe://TRUST_DOMAIN/ROLE/NAME */
static int parse_uri(const char *uri, const char *trust_domain, struct claim *ret, char why[GH_IDENTITY_WHY])
{
    size_t domain_len = strlen(trust_domain);
    const char *at = uri + strlen(SCHEME), *slash;

    if (strncmp(uri, SCHEME, strlen(SCHEME)) != 0)
        return deny(why, "SPIFFE URI \"%.200s\" does not start with " SCHEME, uri);
    slash = strchr(at, '/');
    if (!slash || (size_t)(slash - at) != domain_len || memcmp(at, trust_domain, domain_len) != 0)
        return deny(why, "trust domain of \"%.200s\" is not \"%.100s\"; trust_domain says which one is accepted", uri, trust_domain);
    at = slash + 1;
    slash = strchr(at, '/');
    if (!slash || gh_role_parse(gh_span_of(at, (size_t)(slash - at)), &ret->role) < 0)
        return deny(why, "path of \"%.200s\" is not /agent/NAME, /relay/NAME or /connector/NAME", uri);
    ret->name = gh_span_str(slash + 1);
    if (!gh_identity_name_valid(ret->name))
        return deny(why, "NAME of \"%.200s\" is not 1 to 128 of A-Z a-z 0-9 . _ -", uri);
    return 0;
}

static const char *usage_of(enum gh_role role)
{
    return role == GH_ROLE_RELAY ? "serverAuth" : "clientAuth";
}

static int check_usage(enum gh_role role, unsigned usages, char why[GH_IDENTITY_WHY])
{
    unsigned needed = role == GH_ROLE_RELAY ? GH_CERT_SERVER_AUTH : GH_CERT_CLIENT_AUTH;

    if (usages & needed)
        return 0;
    return deny(why, "certificate of role %s has no extended key usage %s", role_names[role], usage_of(role));
}

static bool accepts(const struct gh_identity_rules *rules, enum gh_identity_source source)
{
    for (size_t i = 0; i < rules->source_count; i++)
        if (rules->sources[i] == source)
            return true;
    return false;
}

/* "certificate has only a CN; set identity: [san_uri, cn] to accept it" */
static int deny_sources(const struct gh_identity_rules *rules, const struct names *names, char why[GH_IDENTITY_WHY])
{
    char has[64] = "", list[64] = "";
    const char *add = NULL;

    for (int s = 0; s < GH_IDENTITY_SOURCE_COUNT; s++) {
        if (names->by_source[s].count == 0)
            continue;
        snprintf(has + strlen(has), sizeof has - strlen(has), "%s%s", *has ? " and " : "", source_words[s]);
        if (!add)
            add = source_names[s];
    }
    if (!add)
        return deny(why, "certificate has no name that can be an identity; it needs " SCHEME "%.100s/agent|relay|connector/NAME "
                         "in its SAN", rules->trust_domain);
    for (size_t i = 0; i < rules->source_count; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s, ", source_names[rules->sources[i]]);
    return deny(why, "certificate has only %s; set identity: [%s%s] to accept it", has, list, add);
}

static int role_of_usages(unsigned usages, enum gh_role *ret, char why[GH_IDENTITY_WHY])
{
    if (usages != GH_CERT_CLIENT_AUTH && usages != GH_CERT_SERVER_AUTH)
        return deny(why, "certificate without a SPIFFE URI needs the extended key usage clientAuth or serverAuth, and not both: its "
                         "role depends on it");
    *ret = usages == GH_CERT_SERVER_AUTH ? GH_ROLE_RELAY : GH_ROLE_AGENT;
    return 0;
}

/* The first source of the list that the certificate has. A bad value there is a refusal, not a reason to try the next. */
static int choose(const struct gh_identity_rules *rules, const struct names *names, const struct claim *claim, struct gh_identity *id,
                  char why[GH_IDENTITY_WHY])
{
    for (size_t i = 0; i < rules->source_count; i++) {
        const struct name *n = &names->by_source[rules->sources[i]];
        struct gh_span value;

        if (n->count == 0)
            continue;
        id->source = rules->sources[i];
        value = id->source == GH_IDENTITY_SAN_URI ? claim->name : gh_span_str(n->text);
        /* A relay has a DNS name for each way to reach it and is known by the first; a client has one name. */
        if (n->count > 1 && (id->source == GH_IDENTITY_CN || id->role != GH_ROLE_RELAY))
            return deny(why, "certificate has %u values of %s, an identity needs one", n->count, source_names[id->source]);
        if (!gh_identity_name_valid(value))
            return deny(why, "%s \"%.200s\" is not 1 to 128 of A-Z a-z 0-9 . _ -", source_names[id->source], n->text);
        memcpy(id->name, value.data, value.len);
        id->name[value.len] = 0;
        return 0;
    }
    return deny_sources(rules, names, why);
}

static int judge(const struct gh_identity_rules *rules, const struct names *names, unsigned usages, struct gh_identity *id,
                 char why[GH_IDENTITY_WHY])
{
    const struct name *uri = &names->by_source[GH_IDENTITY_SAN_URI];
    bool other = (accepts(rules, GH_IDENTITY_SAN_DNS) && names->by_source[GH_IDENTITY_SAN_DNS].count > 0) ||
                 (accepts(rules, GH_IDENTITY_CN) && names->by_source[GH_IDENTITY_CN].count > 0);
    struct claim claim = { 0 };
    int rc = 0;

    if (uri->count > 1)
        return deny(why, "certificate has %u SPIFFE URIs, an identity needs one", uri->count);
    if (uri->count == 1) {
        rc = parse_uri(uri->text, rules->trust_domain, &claim, why);
        if (rc == 0)
            rc = check_usage(claim.role, usages, why);
        id->role = claim.role;
    } else if (other) {
        rc = role_of_usages(usages, &id->role, why);
    }
    if (rc == 0)
        rc = choose(rules, names, &claim, id, why);
    if (rc == 0 && !(rules->roles & GH_ROLE_BIT(id->role)))
        rc = deny(why, "certificate of role %s (%s) is not accepted here", role_names[id->role], id->name);
    return rc;
}

int gh_identity_of_cert(const struct gh_cert *c, const struct gh_identity_rules *rules, struct gh_identity *ret,
                        char ret_why[GH_IDENTITY_WHY])
{
    struct names names = { 0 };
    struct gh_identity id = { .not_after = gh_cert_not_after(c) };
    int usages = gh_cert_usages(c);
    int rc = usages < 0 ? usages : gh_cert_each_name(c, collect, &names);

    if (rc < 0) {
        deny(ret_why, "certificate's subject, SAN or extended key usage does not parse");
        return rc;
    }
    if (gh_cert_is_ca(c))
        return deny(ret_why, "certificate is a CA's; an identity needs a leaf certificate (basicConstraints CA:FALSE)");
    rc = judge(rules, &names, (unsigned)usages, &id, ret_why);
    if (rc < 0)
        return rc;
    rc = gh_cert_serial(c, id.serial);
    if (rc == 0)
        rc = gh_cert_spki_sha256(c, id.spki_sha256);
    if (rc < 0) {
        deny(ret_why, "certificate's serial number or public key cannot be read: %s", gh_error_text(rc));
        return rc;
    }
    *ret = id;
    return 0;
}
