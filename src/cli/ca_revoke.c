/* gatehouse ca renew|revoke|crl|list: what becomes of a certificate that was issued. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/hex.h"
#include "cli/ca_dir.h"
#include "cli/ca_internal.h"
#include "crypto/crl.h"

#define COMPROMISED "its key is not to be trusted any more: renew it with --new-key"

/* ---- list ---- */

static const char *status_of(const struct gh_ca_index_entry *e, int64_t now)
{
    if (e->revoked)
        return "revoked";
    return e->not_after <= now ? "expired" : "valid";
}

static json_t *json_of(const struct gh_ca_index_entry *e, int64_t now)
{
    char hex[65];
    json_t *o;

    gh_hex_encode(e->spki_sha256, sizeof e->spki_sha256, hex);
    o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "serial", e->serial, "name", e->name, "role", gh_role_name(e->role), "spki_sha256",
                  hex, "not_before", (json_int_t)e->not_before, "not_after", (json_int_t)e->not_after, "status", status_of(e, now));
    if (o && e->revoked)
        json_object_set_new(o, "revoked", json_integer(e->revoked)), json_object_set_new(o, "reason", json_string(gh_crl_reason_name(e->reason)));
    return o;
}

/* NULL when memory is out. */
static json_t *json_list(const struct gh_ca_index *index, int64_t now)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < index->count; i++)
        if (json_array_append_new(list, json_of(&index->entries[i], now)) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static void print_list(const struct gh_ca_index *index, int64_t now)
{
    if (index->count > 0)
        printf("%-9s %-24s %-8s %-10s  %s\n", "ROLE", "NAME", "STATUS", "NOT AFTER", "SERIAL");
    for (size_t i = 0; i < index->count; i++) {
        const struct gh_ca_index_entry *e = &index->entries[i];
        char day[32];

        printf("%-9s %-24s %-8s %-10s  %s\n", gh_role_name(e->role), e->name, status_of(e, now), ca_day_of(e->not_after, day), e->serial);
    }
}

int ca_do_list(const struct ca_options *o)
{
    char why[GH_CA_DIR_WHY];
    struct gh_ca_index index;
    int64_t now = time(NULL);
    int rc, exit_code = 0;

    if (o->positional_count != 1)
        return ca_usage("list takes no \"%s\"", o->positional[1]);
    rc = gh_ca_dir_index(o->dir, &index, why);
    if (rc < 0)
        return ca_failed(rc, why);
    if (o->json)
        exit_code = ca_print_json(json_pack("{s:i, s:o}", "version", 1, "certificates", json_list(&index, now)));
    else
        print_list(&index, now);
    if (index.bad > 0) {
        fprintf(stderr, "gatehouse ca: %s/index.jsonl: %u lines are no records\n", o->dir, index.bad);
        exit_code = CA_EXIT_FAILED;
    }
    gh_ca_index_fini(&index);
    return exit_code;
}

/* ---- revoke, crl ---- */

static json_t *json_of_crl(const struct gh_ca_dir_crl *crl)
{
    return json_pack("{s:s, s:I, s:I, s:I}", "file", crl->path, "count", (json_int_t)crl->count, "number", (json_int_t)crl->number, "next_update",
                     (json_int_t)crl->next_update);
}

static void print_crl(const struct gh_ca_dir_crl *crl)
{
    char day[32];

    printf("%s: %zu revoked, the next list is due before %s\n", crl->path, crl->count, ca_day_of(crl->next_update, day));
}

static int parse_list_days(const struct ca_options *o, uint32_t *ret)
{
    return ca_parse_days(o, GH_CA_CRL_DAYS_DEFAULT, ret);
}

static int print_revoked(const struct ca_options *o, const struct gh_ca_index *revoked, const struct gh_ca_dir_crl *crl)
{
    if (o->json)
        return ca_print_json(json_pack("{s:i, s:o, s:o}", "version", 1, "revoked", json_list(revoked, revoked->entries[0].revoked), "crl",
                                       json_of_crl(crl)));
    for (size_t i = 0; i < revoked->count; i++)
        printf("%s %s: %s is revoked (%s)\n", gh_role_name(revoked->entries[i].role), revoked->entries[i].name, revoked->entries[i].serial,
               gh_crl_reason_name(revoked->entries[i].reason));
    print_crl(crl);
    return 0;
}

int ca_do_revoke(const struct ca_options *o)
{
    struct gh_ca_dir_revocation r = { .dir = o->dir, .reason = GH_CRL_UNSPECIFIED, .now = time(NULL) };
    struct gh_ca_index revoked = { 0 };
    struct gh_ca_dir_crl crl;
    char why[GH_CA_DIR_WHY];
    struct gh_ca *ca = NULL;
    int rc, exit_code;

    if (o->positional_count != 2)
        return ca_usage("revoke needs a NAME or a serial number: revoke client-1");
    r.what = o->positional[1];
    /* RFC 5280, section 5.3.1: the other reasons are a CA's, or can be taken back */
    if (o->reason && (gh_crl_reason_parse(gh_span_str(o->reason), &r.reason) < 0 || r.reason == GH_CRL_CA_COMPROMISE ||
                      r.reason == GH_CRL_AA_COMPROMISE || r.reason == GH_CRL_CERTIFICATE_HOLD))
        return ca_usage("--reason \"%s\" is not unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or "
                        "privilegeWithdrawn", o->reason);
    if (parse_list_days(o, &r.days))
        return CA_EXIT_USAGE;
    rc = gh_ca_dir_load(o->dir, &ca, why);
    if (rc == 0)
        rc = gh_ca_dir_revoke(ca, &r, &revoked, &crl, why);
    exit_code = rc < 0 ? ca_failed(rc, why) : print_revoked(o, &revoked, &crl);
    gh_ca_index_fini(&revoked);
    gh_ca_destroy(ca);
    return exit_code;
}

int ca_do_crl(const struct ca_options *o)
{
    struct gh_ca_dir_crl crl;
    char why[GH_CA_DIR_WHY];
    struct gh_ca *ca = NULL;
    uint32_t days;
    int rc;

    if (o->positional_count != 1)
        return ca_usage("crl takes no \"%s\"", o->positional[1]);
    if (parse_list_days(o, &days))
        return CA_EXIT_USAGE;
    rc = gh_ca_dir_load(o->dir, &ca, why);
    if (rc == 0)
        rc = gh_ca_dir_save_crl(ca, o->dir, days, time(NULL), &crl, why);
    gh_ca_destroy(ca);
    if (rc < 0)
        return ca_failed(rc, why);
    if (o->json)
        return ca_print_json(json_pack("{s:i, s:o}", "version", 1, "crl", json_of_crl(&crl)));
    print_crl(&crl);
    return 0;
}

/* ---- renew ---- */

/* Is it the certificate of NAME that the index has, and may its key live on? */
static int check_old(const struct ca_options *o, struct gh_span pem, const char *path, struct gh_ca_dir_leaf *where, char why[GH_CA_DIR_WHY])
{
    char serial[GH_CERT_SERIAL_TEXT];
    const struct gh_ca_index_entry *found = NULL;
    struct gh_ca_index index = { 0 };
    struct gh_cert *c = NULL;
    int rc = gh_cert_parse_pem(pem, &c);

    if (rc == 0)
        rc = gh_cert_serial(c, serial);
    gh_cert_destroy(c);
    if (rc < 0) {
        snprintf(why, GH_CA_DIR_WHY, "%s: it is not a PEM certificate", path);
        return rc;
    }
    rc = gh_ca_dir_index(o->dir, &index, why);
    for (size_t i = 0; rc == 0 && i < index.count; i++)
        if (strcmp(index.entries[i].serial, serial) == 0 && strcmp(index.entries[i].name, where->name) == 0)
            found = &index.entries[i];
    if (rc == 0 && !found) {
        snprintf(why, GH_CA_DIR_WHY, "%s: %s/index.jsonl does not have it as a certificate of \"%s\"", path, o->dir, where->name);
        rc = GH_ERR_NOT_FOUND;
    } else if (rc == 0 && found->revoked && !o->new_key) {
        snprintf(why, GH_CA_DIR_WHY, "%s: it is revoked (%s), and " COMPROMISED, path, gh_crl_reason_name(found->reason));
        rc = GH_ERR_DENIED;
    }
    if (rc == 0)
        where->role = found->role;
    gh_ca_index_fini(&index);
    return rc;
}

static int print_renewed(const struct ca_options *o, const struct gh_ca_dir_leaf *where, const struct gh_leaf *leaf)
{
    char day[32], cert[GH_CA_DIR_PATH], key[GH_CA_DIR_PATH];
    json_t *json;

    snprintf(cert, sizeof cert, "%s/%s.crt", where->out, where->name);
    snprintf(key, sizeof key, "%s/%s.key", where->out, where->name);
    if (!o->json) {
        printf("%s%s%s: %s %s again, valid to %s%s\n", cert, o->new_key ? ", " : "", o->new_key ? key : "", gh_role_name(where->role), where->name,
               ca_day_of(leaf->not_after, day), o->new_key ? "" : "; the key stays");
        return 0;
    }
    json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:I}", "version", 1, "certificate", cert, "name", where->name, "role", gh_role_name(where->role),
                     "serial", leaf->serial, "not_after", (json_int_t)leaf->not_after);
    if (json && o->new_key)
        json_object_set_new(json, "key", json_string(key));
    return ca_print_json(json);
}

static int renew_with(const struct ca_options *o, struct gh_ca_renewal *req, struct gh_ca_dir_leaf *where, const char *path)
{
    char ca_why[GH_CA_WHY], why[GH_CA_DIR_WHY], *pem = NULL;
    struct gh_leaf leaf = { 0 };
    struct gh_ca *ca = NULL;
    size_t len = 0;
    int exit_code, rc = gh_ca_dir_check_leaf(where, why);

    if (rc == 0)
        rc = gh_ca_dir_load(o->dir, &ca, why);
    if (rc == 0)
        rc = gh_ca_dir_read_certificate(path, &pem, &len, why);
    if (rc == 0)
        rc = check_old(o, gh_span_of(pem, len), path, where, why);
    if (rc == 0) {
        req->certificate = gh_span_of(pem, len);
        rc = gh_ca_renew(ca, req, &leaf, ca_why);
        if (rc < 0)
            snprintf(why, sizeof why, "%s: %s", path, ca_why);
    }
    if (rc == 0)
        rc = gh_ca_dir_save_leaf(where, &leaf, why);
    exit_code = rc < 0 ? ca_failed(rc, why) : print_renewed(o, where, &leaf);
    gh_leaf_fini(&leaf);
    gh_ca_destroy(ca);
    free(pem);
    return exit_code;
}

int ca_do_renew(const struct ca_options *o)
{
    struct gh_ca_renewal req = { .new_key = o->new_key, .now = time(NULL) };
    struct gh_ca_dir_leaf where = { .dir = o->dir, .out = o->out ? o->out : o->dir, .force = o->force, .keeps_key = !o->new_key };
    char path[GH_CA_DIR_PATH];
    enum gh_ca_key kind;

    if (o->positional_count != 2)
        return ca_usage("renew needs a NAME: renew client-1");
    where.name = o->positional[1];
    if (!gh_identity_name_valid(gh_span_str(where.name)))
        return ca_usage("NAME \"%s\" is not 1 to %u of A-Z a-z 0-9 . _ -", where.name, GH_IDENTITY_NAME_MAX);
    if (strcmp(where.name, "ca") == 0)
        return ca_usage("NAME \"ca\" is what the CA's own files are called");
    if (o->key_text && !o->new_key)
        return ca_usage("--key is about a new key: say --new-key too");
    if (ca_parse_days(o, GH_CA_DAYS_DEFAULT, &req.days) || ca_parse_key(o, &kind))
        return CA_EXIT_USAGE;
    if (o->key_text)
        req.key = &kind;
    if (snprintf(path, sizeof path, "%s%s%s%s", o->certificate ? o->certificate : o->dir, o->certificate ? "" : "/",
                 o->certificate ? "" : where.name, o->certificate ? "" : ".crt") >= (int)sizeof path)
        return ca_usage("the path of the certificate is too long");
    return renew_with(o, &req, &where, path);
}
