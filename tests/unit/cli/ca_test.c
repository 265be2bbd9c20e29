#include "cli/ca.h"

#include <jansson.h>

#include "crypto/ca.h"
#include "place.h"

static int call(int argc, char **argv)
{
    return gh_cli_ca(argc, argv);
}

/* Words separated by one space. */
static int ca(struct place *p, const char *words)
{
    return place_run(p, "ca", words, call);
}

static void ok(struct place *p, const char *words)
{
    place_is_ok(p, ca(p, words), words);
}

static void fails(struct place *p, int code, const char *words, const char *says)
{
    place_has_failed(p, ca(p, words), words, code, says);
}

static void keys_are_for_their_owner_alone(void **state)
{
    struct place *p = *state;
    mode_t old = umask(0);

    ok(p, "init");
    ok(p, "issue relay relay --dns localhost --ip 127.0.0.1 --ip=::1");
    umask(077);
    ok(p, "issue agent client-1");
    umask(old);
    assert_int_equal(place_mode_of("certs"), 0700);
    assert_int_equal(place_mode_of("certs/ca.key"), 0600);
    assert_int_equal(place_mode_of("certs/relay.key"), 0600);
    assert_int_equal(place_mode_of("certs/client-1.key"), 0600);
    assert_int_equal(place_mode_of("certs/index.jsonl"), 0600);
    assert_int_equal(place_mode_of("certs/ca.crt"), 0644);
    assert_int_equal(place_mode_of("certs/client-1.crt"), 0644);
}

static void nothing_is_overwritten_unasked(void **state)
{
    struct place *p = *state;
    char ca_key[8192], before[8192], after[8192];

    ok(p, "init --dir x --trust-domain clinic.example");
    place_slurp("x/ca.key", ca_key);
    fails(p, 1, "init --dir x", "x/ca.crt exists already");
    ok(p, "issue agent a --dir x");
    place_slurp("x/a.key", before);
    fails(p, 1, "issue agent a --dir x", "x/a.crt exists already; --force replaces it");
    assert_int_equal(unlink("x/a.crt"), 0);
    fails(p, 1, "issue agent a --dir x", "x/a.key exists already");
    place_slurp("x/a.key", after);
    assert_string_equal(after, before);
    ok(p, "issue agent a --dir x --force");
    place_slurp("x/a.key", after);
    assert_string_not_equal(after, before);
    place_slurp("x/ca.key", after);
    assert_string_equal(after, ca_key);
    fails(p, 2, "issue agent ca --dir x --force", "NAME \"ca\"");
    assert_int_equal(unlink("x/ca.crt"), 0);
    fails(p, 1, "init --dir x", "x/ca.key exists already");
}

static void what_is_written_verifies_as_what_was_asked(void **state)
{
    struct place *p = *state;
    struct gh_identity_rules rules = { "clinic.example", { GH_IDENTITY_SAN_URI }, 1, GH_ROLE_BIT(GH_ROLE_CONNECTOR) };
    char text[8192], why[GH_IDENTITY_WHY];
    struct gh_cert *c = NULL;
    struct gh_identity id;
    size_t len;

    ok(p, "init --dir x --trust-domain clinic.example --key p256");
    ok(p, "issue connector lab --dir x --out y --days 7 --key p256");
    len = place_slurp("y/lab.crt", text);
    assert_int_equal(gh_cert_parse_pem(gh_span_of(text, len), &c), 0);
    assert_int_equal(gh_identity_of_cert(c, &rules, &id, why), 0);
    assert_string_equal(id.name, "lab");
    assert_int_equal(gh_cert_not_after(c) - gh_cert_not_before(c), 7 * 86400 + 300);
    gh_cert_destroy(c);
    place_slurp("y/lab.key", text);
    assert_non_null(strstr(text, "BEGIN PRIVATE KEY"));
    assert_int_equal(access("y/index.jsonl", F_OK), -1);
    assert_int_equal(access("x/index.jsonl", F_OK), 0);
}

static const char *member(json_t *list, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(list, i), name));
}

static void the_list_has_everything_that_was_issued(void **state)
{
    struct place *p = *state;
    json_t *o, *list;
    FILE *f;

    ok(p, "init");
    ok(p, "list");
    assert_string_equal(p->out, "");
    ok(p, "issue relay r1");
    ok(p, "issue agent a1");
    ok(p, "issue agent a1 --force");
    f = fopen("certs/index.jsonl", "a");
    assert_non_null(f);
    fputs("{\"serial\":\"01\",\"name\":\"gone\",\"role\":\"agent\",\"not_before\":1,\"not_after\":2,\"spki_sha256\":"
          "\"0000000000000000000000000000000000000000000000000000000000000000\","
          "\"status\":\"valid\"}\n", f);
    fclose(f);
    ok(p, "list --json");
    o = json_loads(p->out, 0, NULL);
    list = json_object_get(o, "certificates");
    assert_int_equal(json_integer_value(json_object_get(o, "version")), 1);
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(member(list, 0, "name"), "r1");
    assert_string_equal(member(list, 0, "role"), "relay");
    assert_string_equal(member(list, 2, "status"), "valid");
    assert_string_equal(member(list, 3, "status"), "expired");
    assert_int_equal(strlen(member(list, 0, "spki_sha256")), 64);
    assert_string_not_equal(member(list, 1, "serial"), member(list, 2, "serial"));
    json_decref(o);
    ok(p, "list");
    assert_non_null(strstr(p->out, "agent     gone                     expired  1970-01-01  01\n"));
}

static void a_torn_line_of_the_index_costs_that_line_alone(void **state)
{
    struct place *p = *state;
    FILE *f;

    ok(p, "init");
    ok(p, "issue agent a1");
    f = fopen("certs/index.jsonl", "a");
    assert_non_null(f);
    fputs("{\"serial\":\"0", f); /* a crash in the middle of a write */
    fclose(f);
    ok(p, "issue agent a2");
    assert_int_equal(ca(p, "list"), 1);
    assert_non_null(strstr(p->err, "1 lines are no records"));
    assert_non_null(strstr(p->out, "a1"));
    assert_non_null(strstr(p->out, "a2"));
}

static char *serial_of(struct place *p, const char *name, const char *status)
{
    json_t *o, *row;
    char *serial = NULL;
    size_t i;

    ok(p, "list --json");
    o = json_loads(p->out, 0, NULL);
    json_array_foreach(json_object_get(o, "certificates"), i, row)
        if (!strcmp(json_string_value(json_object_get(row, "name")), name) && !strcmp(json_string_value(json_object_get(row, "status")), status)) {
            free(serial);
            serial = strdup(json_string_value(json_object_get(row, "serial")));
        }
    json_decref(o);
    return serial;
}

static int openssl(const char *words)
{
    char line[1024];

    snprintf(line, sizeof line, "openssl %s >/dev/null 2>&1", words);
    return system(line);
}

static void a_revoked_certificate_is_in_a_list_that_others_believe(void **state)
{
    struct place *p = *state;

    ok(p, "init");
    ok(p, "issue agent a1");
    ok(p, "issue agent a2 --key p256");
    ok(p, "revoke a1 --reason keyCompromise --days 3");
    assert_non_null(strstr(p->out, "agent a1: "));
    assert_non_null(strstr(p->out, "is revoked (keyCompromise)\ncerts/ca.crl: 1 revoked"));
    assert_int_equal(place_mode_of("certs/ca.crl"), 0644);
    assert_int_equal(openssl("crl -in certs/ca.crl -CAfile certs/ca.crt -noout"), 0);
    assert_int_not_equal(openssl("verify -crl_check -CAfile certs/ca.crt -CRLfile certs/ca.crl certs/a1.crt"), 0);
    assert_int_equal(openssl("verify -crl_check -CAfile certs/ca.crt -CRLfile certs/ca.crl certs/a2.crt"), 0);
    ok(p, "list");
    assert_non_null(strstr(p->out, "agent     a1                       revoked"));
    assert_non_null(strstr(p->out, "agent     a2                       valid"));
}

static void revoke_takes_all_of_a_name_or_one_serial_number(void **state)
{
    struct place *p = *state;
    char words[128], *first;
    json_t *o;

    ok(p, "init");
    ok(p, "issue agent a1");
    first = serial_of(p, "a1", "valid");
    ok(p, "renew a1 --force");
    ok(p, "issue agent a1 --force");
    snprintf(words, sizeof words, "revoke %s --json", first);
    for (char *c = words + 7; *c != ' '; c++) /* as openssl shows it, or not */
        *c = (char)(*c >= 'A' && *c <= 'F' ? *c + 32 : *c);
    ok(p, words);
    o = json_loads(p->out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(o, "revoked")), 1);
    assert_string_equal(member(json_object_get(o, "revoked"), 0, "serial"), first);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "crl"), "count")), 1);
    json_decref(o);
    fails(p, 1, words, "no certificate left to revoke");
    ok(p, "revoke a1 --json");
    o = json_loads(p->out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(o, "revoked")), 2);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "crl"), "count")), 3);
    json_decref(o);
    fails(p, 1, "revoke a1", "no certificate left to revoke");
    fails(p, 1, "revoke nobody", "no certificate with the NAME or serial number \"nobody\"");
    free(first);
}

static json_int_t list_number(struct place *p)
{
    json_t *o = json_loads(p->out, 0, NULL);
    json_int_t n = json_integer_value(json_object_get(json_object_get(o, "crl"), "number"));

    json_decref(o);
    return n;
}

static void each_list_has_a_higher_number(void **state)
{
    struct place *p = *state;
    json_int_t a, b, c;

    ok(p, "init");
    ok(p, "crl --json");
    a = list_number(p);
    ok(p, "crl --json --days 90");
    b = list_number(p);
    unlink("certs/ca.crl"); /* lost */
    ok(p, "issue agent a1");
    ok(p, "crl --json");
    c = list_number(p);
    assert_true(a < b && b <= c + 1 && a <= c);
}

static void a_list_is_not_made_of_a_damaged_index(void **state)
{
    struct place *p = *state;
    FILE *f;

    ok(p, "init");
    ok(p, "issue agent a1");
    f = fopen("certs/index.jsonl", "a");
    assert_non_null(f);
    fputs("{\"serial\":\"0", f); /* perhaps a revocation */
    fclose(f);
    fails(p, 1, "crl", "certs/index.jsonl:2 is no record");
    assert_int_equal(access("certs/ca.crl", F_OK), -1);
}

static void a_renewal_keeps_key_names_and_role_and_asks_before_it_replaces(void **state)
{
    struct place *p = *state;
    char before[8192], after[8192], old[8192];
    char *first, *second;

    ok(p, "init");
    ok(p, "issue relay r1 --dns localhost --dns r1.example --ip 127.0.0.1 --ip ::1 --days 10");
    first = serial_of(p, "r1", "valid");
    place_slurp("certs/r1.key", before);
    place_slurp("certs/r1.crt", old);
    fails(p, 1, "renew r1", "certs/r1.crt exists already; --force replaces it");
    place_slurp("certs/r1.crt", after);
    assert_string_equal(old, after);
    ok(p, "renew r1 --days 20 --force");
    assert_non_null(strstr(p->out, "the key stays"));
    place_slurp("certs/r1.key", after);
    assert_string_equal(before, after);
    second = serial_of(p, "r1", "valid");
    assert_string_not_equal(first, second);
    assert_int_equal(openssl("verify -CAfile certs/ca.crt -purpose sslserver -verify_hostname r1.example certs/r1.crt"), 0);
    assert_int_equal(openssl("verify -CAfile certs/ca.crt -verify_ip ::1 certs/r1.crt"), 0);
    /* somewhere else nothing is in the way, and no key is copied */
    ok(p, "renew r1 --out new");
    assert_int_equal(access("new/r1.crt", F_OK), 0);
    assert_int_equal(access("new/r1.key", F_OK), -1);
    fails(p, 1, "renew r1 --out new --new-key", "new/r1.crt exists already");
    ok(p, "renew r1 --out new --new-key --force --certificate certs/r1.crt");
    assert_int_equal(place_mode_of("new/r1.key"), 0600);
    free(first);
    free(second);
}

static void what_is_revoked_is_renewed_with_a_new_key_alone(void **state)
{
    struct place *p = *state;

    ok(p, "init");
    ok(p, "issue agent a1 --key p256");
    ok(p, "revoke a1");
    fails(p, 1, "renew a1 --force", "renew it with --new-key");
    ok(p, "renew a1 --force --new-key");
    assert_int_equal(openssl("verify -crl_check -CAfile certs/ca.crt -CRLfile certs/ca.crl certs/a1.crt"), 0);
    assert_int_equal(openssl("pkey -in certs/a1.key -text -noout"), 0);
    ok(p, "init --dir other");
    ok(p, "issue agent a1 --dir other");
    fails(p, 1, "renew a1 --certificate other/a1.crt --force", "does not have it as a certificate of \"a1\"");
    fails(p, 1, "renew a2 --certificate certs/a1.crt", "does not have it as a certificate of \"a2\"");
    fails(p, 1, "renew a1 --certificate certs/a1.key --force", "not a PEM certificate");
    fails(p, 1, "renew a9", "certs/a9.crt: No such file");
}

static void results_come_as_json_too(void **state)
{
    struct place *p = *state;
    json_t *o;

    ok(p, "init --json");
    o = json_loads(p->out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "trust_domain")), "gatehouse.example");
    assert_string_equal(json_string_value(json_object_get(o, "key")), "certs/ca.key");
    json_decref(o);
    ok(p, "issue agent a1 --json");
    o = json_loads(p->out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "identity")), "spiffe://gatehouse.example/agent/a1");
    assert_string_equal(json_string_value(json_object_get(o, "certificate")), "certs/a1.crt");
    json_decref(o);
}

static void usage_errors_exit_2_and_say_what_is_wrong(void **state)
{
    struct place *p = *state;

    ok(p, "init");
    fails(p, 2, "", "say init, issue, renew, revoke, crl or list");
    fails(p, 2, "bless", "\"bless\" is not init, issue, renew, revoke, crl or list");
    fails(p, 2, "init x", "init takes no \"x\"");
    fails(p, 2, "list x", "list takes no \"x\"");
    fails(p, 2, "issue agent", "needs a role and a NAME");
    fails(p, 2, "issue agent a b", "unexpected \"b\"");
    fails(p, 2, "issue boss a", "\"boss\" is not relay");
    fails(p, 2, "issue agent a/b", "NAME \"a/b\"");
    fails(p, 2, "issue agent ..", "NAME \"..\"");
    fails(p, 2, "issue agent a --days 0", "--days");
    fails(p, 2, "issue agent a --days 9x", "--days");
    fails(p, 2, "issue agent a --days -1", "--days");
    fails(p, 2, "issue agent a --days 3660", "than the CA has left");
    fails(p, 2, "issue agent a --dns x.example", "for relays");
    fails(p, 2, "issue relay a --ip 1.2.3", "--ip \"1.2.3\"");
    fails(p, 2, "issue relay a --dns a_b", "not a DNS name");
    fails(p, 2, "issue agent a --key rsa", "not ed25519 or p256");
    fails(p, 2, "issue agent a --dir", "--dir needs a value");
    fails(p, 2, "issue agent a --dir=", "--dir needs a value");
    fails(p, 2, "issue agent a --force=yes", "takes no value");
    fails(p, 2, "issue agent a --bogus", "no option --bogus");
    fails(p, 2, "list --days 3", "list does not take");
    fails(p, 2, "revoke", "needs a NAME or a serial number");
    fails(p, 2, "revoke a --reason bored", "--reason \"bored\"");
    fails(p, 2, "revoke a --reason certificateHold", "--reason");
    fails(p, 2, "revoke a --days 0", "--days");
    fails(p, 2, "crl x", "crl takes no \"x\"");
    fails(p, 2, "renew", "renew needs a NAME");
    fails(p, 2, "renew a/b", "NAME \"a/b\"");
    fails(p, 2, "renew ca", "NAME \"ca\"");
    fails(p, 2, "renew a --key p256", "say --new-key too");
    fails(p, 2, "init --dir y --trust-domain A.b", "trust domain");
    assert_int_equal(access("certs/a.key", F_OK), -1);
    assert_int_equal(access("certs/index.jsonl", F_OK), -1);
}

static void failures_exit_1_and_name_the_file(void **state)
{
    struct place *p = *state;
    FILE *f;

    fails(p, 1, "list", "no CA there");
    fails(p, 1, "issue agent a", "certs/ca.crt: No such file");
    fails(p, 1, "init --dir no/such", "no/such: No such file");
    ok(p, "init");
    f = fopen("certs/ca.key", "w");
    assert_non_null(f);
    fputs("rubbish\n", f);
    fclose(f);
    fails(p, 1, "issue agent a", "not an unencrypted PEM private key");
}

static void help_shows_an_example(void **state)
{
    struct place *p = *state;

    ok(p, "--help");
    assert_non_null(strstr(p->out, "examples:\n  gatehouse ca init"));
    ok(p, "issue -h");
    assert_non_null(strstr(p->out, "examples:"));
    assert_string_equal(p->err, "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(keys_are_for_their_owner_alone),
        T(nothing_is_overwritten_unasked),
        T(what_is_written_verifies_as_what_was_asked),
        T(the_list_has_everything_that_was_issued),
        T(a_torn_line_of_the_index_costs_that_line_alone),
        T(a_revoked_certificate_is_in_a_list_that_others_believe),
        T(revoke_takes_all_of_a_name_or_one_serial_number),
        T(each_list_has_a_higher_number),
        T(a_list_is_not_made_of_a_damaged_index),
        T(a_renewal_keeps_key_names_and_role_and_asks_before_it_replaces),
        T(what_is_revoked_is_renewed_with_a_new_key_alone),
        T(results_come_as_json_too),
        T(usage_errors_exit_2_and_say_what_is_wrong),
        T(failures_exit_1_and_name_the_file),
        T(help_shows_an_example),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
