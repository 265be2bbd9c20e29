#include "crypto/ca.h"

#include <stdio.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

/* A moment far from any default: 2026-03-01 00:00:00 UTC. */
#define NOW INT64_C(1772323200)
#define DAY 86400

static char why[GH_CA_WHY];

static struct gh_ca *make_ca(enum gh_ca_key key)
{
    struct gh_ca_request req = { .trust_domain = "corp.example", .key = key, .now = NOW };
    struct gh_ca *ca = NULL;

    if (gh_ca_create(&req, &ca, why) < 0)
        fail_msg("%s", why);
    return ca;
}

static const char *const dns[] = { "localhost", "relay.corp.example", "*.edge.corp.example" };

static struct gh_leaf_request relay_request(void)
{
    static struct gh_ip addrs[2];

    assert_int_equal(gh_ip_parse("127.0.0.1", 9, &addrs[0]), 0);
    assert_int_equal(gh_ip_parse("2001:db8::7", 11, &addrs[1]), 0);
    return (struct gh_leaf_request){ .role = GH_ROLE_RELAY, .name = "relay-1", .dns = dns, .dns_count = 3, .addrs = addrs,
                                     .addr_count = 2, .days = 365, .now = NOW };
}

static struct gh_leaf_request agent_request(void)
{
    return (struct gh_leaf_request){ .role = GH_ROLE_AGENT, .name = "client-1", .days = 90, .now = NOW };
}

static struct gh_leaf issue(const struct gh_ca *ca, const struct gh_leaf_request *req)
{
    struct gh_leaf leaf = { 0 };

    if (gh_ca_issue(ca, req, &leaf, why) < 0)
        fail_msg("%s", why);
    return leaf;
}

static struct gh_span span_of(const struct gh_pem *p)
{
    return gh_span_of(p->text, p->len);
}

static void what_it_issues_is_an_identity(void **state)
{
    struct gh_identity_rules rules = { "corp.example", { GH_IDENTITY_SAN_URI }, 1, 7 };
    struct gh_ca *ca = make_ca(GH_CA_ED25519);

    (void)state;
    for (int role = 0; role < GH_ROLE_COUNT; role++) {
        struct gh_leaf_request req = agent_request();
        struct gh_leaf leaf;
        struct gh_identity id;
        struct gh_cert *c = NULL;
        char reason[GH_IDENTITY_WHY];

        req.role = (enum gh_role)role;
        leaf = issue(ca, &req);
        assert_int_equal(gh_cert_parse_pem(span_of(&leaf.cert), &c), 0);
        if (gh_identity_of_cert(c, &rules, &id, reason) < 0)
            fail_msg("%s", reason);
        assert_string_equal(id.name, "client-1");
        assert_int_equal(id.role, role);
        assert_int_equal(id.not_after, NOW + 90 * DAY);
        assert_int_equal(leaf.not_after, NOW + 90 * DAY);
        assert_int_equal(leaf.not_before, NOW - 300);
        assert_string_equal(id.serial, leaf.serial);
        assert_memory_equal(id.spki_sha256, leaf.spki_sha256, 32);
        gh_cert_destroy(c);
        gh_leaf_fini(&leaf);
    }
    gh_ca_destroy(ca);
    gh_ca_destroy(NULL);
}

static void every_certificate_has_its_own_key_and_serial(void **state)
{
    struct gh_ca *ca = make_ca(GH_CA_P256);
    struct gh_leaf_request req = agent_request();
    struct gh_leaf a = issue(ca, &req), b = issue(ca, &req);

    (void)state;
    assert_string_not_equal(a.serial, b.serial);
    assert_memory_not_equal(a.spki_sha256, b.spki_sha256, 32);
    assert_true(strlen(a.serial) >= 24); /* 128 bits: shorter once in 2^32 */
    gh_leaf_fini(&a);
    gh_leaf_fini(&b);
    gh_ca_destroy(ca);
}

static void a_ca_comes_back_from_its_files(void **state)
{
    struct gh_ca *ca = make_ca(GH_CA_P256), *back = NULL, *other = make_ca(GH_CA_ED25519);
    struct gh_pem cert, key, other_cert, other_key;
    struct gh_leaf_request req = agent_request();
    struct gh_leaf leaf;

    (void)state;
    assert_int_equal(gh_ca_emit(ca, &cert, &key), 0);
    assert_int_equal(gh_ca_emit(other, &other_cert, &other_key), 0);
    assert_int_equal(gh_ca_load(span_of(&cert), span_of(&key), &back, why), 0);
    assert_string_equal(gh_ca_trust_domain(back), "corp.example");
    leaf = issue(back, &req);
    assert_int_equal(gh_ca_load(span_of(&cert), span_of(&other_key), &other, why), GH_ERR_MALFORMED);
    assert_non_null(strstr(why, "belong together"));
    assert_int_equal(gh_ca_load(span_of(&key), span_of(&key), &other, why), GH_ERR_MALFORMED);
    assert_int_equal(gh_ca_load(span_of(&cert), span_of(&cert), &other, why), GH_ERR_MALFORMED);
    assert_int_equal(gh_ca_load(span_of(&cert), gh_span_of("", 0), &other, why), GH_ERR_MALFORMED);
    assert_int_equal(gh_ca_load(span_of(&leaf.cert), span_of(&leaf.key), &other, why), GH_ERR_MALFORMED);
    assert_non_null(strstr(why, "not a CA's"));
    gh_leaf_fini(&leaf);
    gh_pem_fini(&cert);
    gh_pem_fini(&key);
    gh_pem_fini(&other_cert);
    gh_pem_fini(&other_key);
    gh_ca_destroy(ca);
    gh_ca_destroy(back);
    gh_ca_destroy(other);
}

static void refuses(const struct gh_ca *ca, struct gh_leaf_request req, const char *words)
{
    struct gh_leaf leaf = { 0 };

    assert_int_equal(gh_ca_issue(ca, &req, &leaf, why), GH_ERR_RANGE);
    if (!strstr(why, words))
        fail_msg("\"%s\" does not say \"%s\"", why, words);
    assert_null(leaf.cert.text);
}

static void impossible_requests_are_refused(void **state)
{
    struct gh_ca_request bad = { .trust_domain = "Corp Example", .now = NOW };
    struct gh_ca *ca = make_ca(GH_CA_ED25519), *none = NULL;
    struct gh_leaf_request req = agent_request();
    const char *odd = "a,DNS:b";
    struct gh_leaf leaf;

    (void)state;
    assert_int_equal(gh_ca_create(&bad, &none, why), GH_ERR_RANGE);
    req.name = "a b";
    refuses(ca, req, "NAME");
    req.name = "..";
    refuses(ca, req, "NAME");
    req = agent_request();
    req.dns = dns;
    req.dns_count = 1;
    refuses(ca, req, "for relays");
    req = relay_request();
    req.dns = &odd;
    req.dns_count = 1;
    refuses(ca, req, "not a DNS name");
    req = agent_request();
    req.days = 0;
    refuses(ca, req, "at least 1");
    req.days = 3650;
    leaf = issue(ca, &req); /* to the CA's last day */
    gh_leaf_fini(&leaf);
    req.days = 3651;
    refuses(ca, req, "has left (3650)");
    req = agent_request();
    req.now = NOW - DAY;
    refuses(ca, req, "clock");
    req.role = GH_ROLE_COUNT;
    refuses(ca, req, "role");
    gh_ca_destroy(ca);
}

static void dns_names_are_host_names(void **state)
{
    static const char *const good[] = { "a", "a.b", "*.a.b", "xn--bcher-kva.example", "1.2.3", "A-1.example" };
    static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "-a", "a-.b", "a_b", "*", "a.*.b", "*a.b", "a b", "a,b", "a:b" };
    char longest[300];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(gh_ca_dns_check(good[i]), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(gh_ca_dns_check(bad[i]), GH_ERR_RANGE);
    memset(longest, 'a', 64);
    longest[64] = 0;
    assert_int_equal(gh_ca_dns_check(longest), GH_ERR_RANGE);
    assert_int_equal(gh_ca_dns_check(longest + 1), 0);
}

static void key_kinds_have_words(void **state)
{
    enum gh_ca_key k;

    (void)state;
    assert_int_equal(gh_ca_key_parse(gh_span_str("p256"), &k), 0);
    assert_int_equal(k, GH_CA_P256);
    assert_int_equal(gh_ca_key_parse(gh_span_str("ed25519"), &k), 0);
    assert_int_equal(k, GH_CA_ED25519);
    assert_int_equal(gh_ca_key_parse(gh_span_str("rsa"), &k), GH_ERR_NOT_FOUND);
}

/* The rest is judged by the openssl program of the system: another build and version of the library, and its own reading of X.509. */

static char dir[64];

static void put(const char *name, const struct gh_pem *pem)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(pem->text, 1, pem->len, f), pem->len);
    assert_int_equal(fclose(f), 0);
}

/* Runs a command in the folder; its output in <out>. */
static int run(const char *command, char out[8192])
{
    char line[512];
    size_t len;
    FILE *p;

    snprintf(line, sizeof line, "cd %s && { %s; } 2>&1", dir, command);
    p = popen(line, "r");
    assert_non_null(p);
    len = fread(out, 1, 8191, p);
    out[len] = 0;
    return pclose(p);
}

static void expect(const char *command, const char *words)
{
    char out[8192];
    int rc = run(command, out);

    if (rc != 0 || !strstr(out, words))
        fail_msg("%s: exit %d, without \"%s\":\n%s", command, rc, words, out);
}

static void expect_failure(const char *command, const char *words)
{
    char out[8192];
    int rc = run(command, out);

    if (rc == 0 || !strstr(out, words))
        fail_msg("%s: exit %d, without \"%s\":\n%s", command, rc, words, out);
}

static void openssl_checks(enum gh_ca_key kind)
{
    struct gh_ca *ca = make_ca(kind), *stranger = make_ca(kind);
    struct gh_leaf_request rr = relay_request(), ar = agent_request();
    struct gh_leaf relay, agent;
    struct gh_pem cert, key, other_cert, other_key;
    char hex[65], command[256];

    rr.key = ar.key = kind;
    relay = issue(ca, &rr);
    agent = issue(ca, &ar);
    assert_int_equal(gh_ca_emit(ca, &cert, &key), 0);
    assert_int_equal(gh_ca_emit(stranger, &other_cert, &other_key), 0);
    put("ca.crt", &cert);
    put("other.crt", &other_cert);
    put("relay.crt", &relay.cert);
    put("relay.key", &relay.key);
    put("agent.crt", &agent.cert);
    put("agent.key", &agent.key);
#define AT "-attime 1772409600 -x509_strict "
    expect("openssl verify " AT "-purpose sslserver -verify_hostname relay.corp.example -CAfile ca.crt relay.crt", "relay.crt: OK");
    expect("openssl verify " AT "-purpose sslserver -verify_hostname x.edge.corp.example -CAfile ca.crt relay.crt", "relay.crt: OK");
    expect("openssl verify " AT "-purpose sslserver -verify_ip 2001:db8::7 -CAfile ca.crt relay.crt", "relay.crt: OK");
    expect("openssl verify " AT "-purpose sslclient -CAfile ca.crt agent.crt", "agent.crt: OK");
    expect("openssl verify " AT "-CAfile ca.crt ca.crt", "ca.crt: OK");
    expect_failure("openssl verify " AT "-purpose sslclient -CAfile ca.crt relay.crt", "purpose");
    expect_failure("openssl verify " AT "-purpose sslserver -CAfile ca.crt agent.crt", "purpose");
    expect_failure("openssl verify " AT "-CAfile other.crt agent.crt", "verification failed");
    expect_failure("openssl verify -attime 1788220800 -CAfile ca.crt agent.crt", "expired"); /* 2026-09-01 */
    expect_failure("openssl verify -attime 1772200000 -CAfile ca.crt agent.crt", "not yet valid");
    expect("openssl x509 -in ca.crt -noout -ext basicConstraints", "Basic Constraints: critical");
    expect("openssl x509 -in ca.crt -noout -ext basicConstraints", "CA:TRUE");
    expect("openssl x509 -in ca.crt -noout -ext keyUsage", "Key Usage: critical\n    Certificate Sign, CRL Sign");
    expect("openssl x509 -in ca.crt -noout -ext subjectAltName", "URI:spiffe://corp.example\n");
    expect("openssl x509 -in ca.crt -noout -dates", "notAfter=Feb 27 00:00:00 2036 GMT");
    expect("openssl x509 -in relay.crt -noout -ext basicConstraints", "Basic Constraints: critical\n    CA:FALSE");
    expect("openssl x509 -in relay.crt -noout -ext keyUsage", "Key Usage: critical\n    Digital Signature");
    expect("openssl x509 -in relay.crt -noout -ext extendedKeyUsage", "\n    TLS Web Server Authentication\n");
    expect("openssl x509 -in agent.crt -noout -ext extendedKeyUsage", "\n    TLS Web Client Authentication\n");
    expect("openssl x509 -in agent.crt -noout -ext subjectAltName", "    URI:spiffe://corp.example/agent/client-1\n");
    expect("openssl x509 -in relay.crt -noout -ext subjectAltName",
           "    URI:spiffe://corp.example/relay/relay-1, DNS:localhost, DNS:relay.corp.example, DNS:*.edge.corp.example, "
           "IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:7\n");
    expect("openssl x509 -in agent.crt -noout -ext subjectKeyIdentifier,authorityKeyIdentifier", "Authority Key Identifier");
    expect("openssl x509 -in agent.crt -noout -ext subjectKeyIdentifier,authorityKeyIdentifier", "Subject Key Identifier");
    expect("openssl x509 -in agent.crt -noout -text", "Version: 3 (0x2)");
    snprintf(command, sizeof command, "serial=%s\n", agent.serial);
    expect("openssl x509 -in agent.crt -noout -serial", command);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", agent.spki_sha256[i]);
    expect("openssl x509 -in agent.crt -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -r", hex);
    /* the key belongs to the certificate */
    expect("openssl x509 -in agent.crt -noout -pubkey > a && openssl pkey -in agent.key -pubout > b && cmp a b && echo same", "same");
    gh_leaf_fini(&relay);
    gh_leaf_fini(&agent);
    gh_pem_fini(&cert);
    gh_pem_fini(&key);
    gh_pem_fini(&other_cert);
    gh_pem_fini(&other_key);
    gh_ca_destroy(ca);
    gh_ca_destroy(stranger);
}

static void the_openssl_program_agrees(void **state)
{
    char out[8192];

    (void)state;
    snprintf(dir, sizeof dir, "/tmp/gh-ca-XXXXXX");
    assert_non_null(mkdtemp(dir));
    if (run("openssl version", out) != 0) {
        assert_int_equal(rmdir(dir), 0);
        skip();
    }
    openssl_checks(GH_CA_ED25519);
    openssl_checks(GH_CA_P256);
    assert_int_equal(run("rm -f ca.crt other.crt relay.crt relay.key agent.crt agent.key a b", out), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_issues_is_an_identity),
        cmocka_unit_test(every_certificate_has_its_own_key_and_serial),
        cmocka_unit_test(a_ca_comes_back_from_its_files),
        cmocka_unit_test(impossible_requests_are_refused),
        cmocka_unit_test(dns_names_are_host_names),
        cmocka_unit_test(key_kinds_have_words),
        cmocka_unit_test(the_openssl_program_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
