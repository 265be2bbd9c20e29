/* Certificates and revocation lists from a peer or a file: every field is read and judged, nothing is believed.
 *
 * The first byte says what the rest is: 'D' a DER certificate, 'P' a PEM text that is both a list and its CA, 'C' a DER list, which
 * gets a good signature first, so that the fields inside are reached.
 *
 * Lengths of DER are hard to hit by chance, so 'F' makes a certificate of fields and 'L' a signed list of entries: a kind, a length and
 * as many bytes, again and again. What is read must then be what a naive reader makes of them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/crl.h"
#include "crypto/identity.h"

#define REQUIRE(x)   \
    do {             \
        if (!(x))    \
            abort(); \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_name(void *arg, enum gh_cert_name kind, struct gh_span value)
{
    unsigned *sum = arg;

    for (size_t i = 0; i < value.len; i++) /* every byte is there */
        *sum += value.data[i];
    *sum += kind;
}

static void judge(const struct gh_cert *c, const struct gh_crl_set *set)
{
    struct gh_identity_rules rules = { "corp.example", { GH_IDENTITY_SAN_URI, GH_IDENTITY_SAN_DNS, GH_IDENTITY_CN }, 3, 7 };
    char why[GH_IDENTITY_WHY] = "", serial[GH_CERT_SERIAL_TEXT];
    struct gh_identity id;
    struct gh_cert_id cert;
    unsigned sum = 0;

    gh_cert_each_name(c, count_name, &sum);
    gh_cert_usages(c);
    gh_cert_is_ca(c);
    gh_cert_not_before(c);
    if (gh_cert_serial(c, serial) == 0 && strlen(serial) >= sizeof serial)
        abort();
    if (gh_cert_id_of(c, &cert) == 0 && set)
        gh_crl_set_find(set, &cert, NULL);
    if (gh_identity_of_cert(c, &rules, &id, why) == 0) {
        /* who gets in has a name that may be used as one */
        if (!gh_identity_name_valid(gh_span_str(id.name)) || gh_cert_is_ca(c))
            abort();
    } else if (!why[0]) {
        abort(); /* a refusal has words */
    }
    for (const char *at = why; *at; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at == 0x7f) /* for logs: one printable line */
            abort();
}

static void use_lists(struct gh_span lists, struct gh_span cas)
{
    struct gh_crl_set *set = NULL;
    struct gh_cert *c = NULL;
    char why[GH_CRL_WHY] = "";

    if (gh_crl_set_load(lists, cas, &set, why) < 0 && !why[0])
        abort();
    for (const char *at = why; *at; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at == 0x7f)
            abort();
    if (gh_cert_parse_pem(cas, &c) == 0)
        judge(c, set);
    gh_cert_destroy(c);
    gh_crl_set_destroy(set);
}

static EVP_PKEY *make_key(void)
{
    static const uint8_t secret[32] = { 1 };
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);

    REQUIRE(key);
    return key;
}

/* A CA with a key that is known, the same each time. */
static X509 *make_ca(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();

    if (!x || !name || !X509_set_version(x, X509_VERSION_3) || !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"fuzz", -1, -1, 0) ||
        !X509_set_subject_name(x, name) || !X509_set_issuer_name(x, name) || !X509_set_pubkey(x, key) ||
        !ASN1_TIME_set_string(X509_getm_notBefore(x), "20260101000000Z") || !ASN1_TIME_set_string(X509_getm_notAfter(x), "20360101000000Z") || X509_sign(x, key, NULL) <= 0)
        abort();
    X509_NAME_free(name);
    return x;
}

/* The signed list and its CA, as PEM. False when the library cannot write what is in it. */
static bool sign_list(X509_CRL *crl, BIO *ret_list, BIO *ret_ca)
{
    EVP_PKEY *key = make_key();
    X509 *ca = make_ca(key);
    bool ok = X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) && X509_CRL_sign(crl, key, NULL) > 0 &&
              PEM_write_bio_X509_CRL(ret_list, crl) && PEM_write_bio_X509(ret_ca, ca);

    X509_free(ca);
    EVP_PKEY_free(key);
    return ok;
}

static struct gh_span text_of(BIO *b)
{
    char *text;
    long len = BIO_get_mem_data(b, &text);

    return gh_span_of(text, (size_t)len);
}

/* Whatever the list says, it is signed: so that what is behind the signature is read too. */
static void use_signed(struct gh_span der)
{
    const unsigned char *at = der.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.len);
    BIO *list = BIO_new(BIO_s_mem()), *ca = BIO_new(BIO_s_mem());

    REQUIRE(list && ca);
    if (crl && sign_list(crl, list, ca))
        use_lists(text_of(list), text_of(ca));
    BIO_free(list);
    BIO_free(ca);
    X509_CRL_free(crl);
}

/* Fields. */

static struct gh_span next_field(struct gh_reader *r, unsigned *ret_kind)
{
    *ret_kind = gh_read_u8(r);
    return gh_read_span(r, gh_read_u8(r));
}

static void push_name(GENERAL_NAMES *names, int type, int string, struct gh_span value)
{
    GENERAL_NAME *n = GENERAL_NAME_new();
    ASN1_STRING *text = ASN1_STRING_type_new(string);

    REQUIRE(n && text && ASN1_STRING_set(text, value.data, (int)value.len));
    GENERAL_NAME_set0_value(n, type, text);
    REQUIRE(sk_GENERAL_NAME_push(names, n) > 0);
}

static void push_usage(EXTENDED_KEY_USAGE *usages, unsigned which)
{
    static const int purposes[] = { NID_client_auth, NID_server_auth, NID_code_sign, NID_anyExtendedKeyUsage };

    REQUIRE(sk_ASN1_OBJECT_push(usages, OBJ_nid2obj(purposes[which % 4])) > 0);
}

static void set_ca(X509 *x, bool ca)
{
    BASIC_CONSTRAINTS *b = BASIC_CONSTRAINTS_new();

    REQUIRE(b);
    b->ca = ca ? 255 : 0;
    REQUIRE(X509_add1_ext_i2d(x, NID_basic_constraints, b, 1, X509V3_ADD_REPLACE) == 1);
    BASIC_CONSTRAINTS_free(b);
}

static void set_serial(ASN1_INTEGER *to, struct gh_span bytes)
{
    BIGNUM *n = BN_bin2bn(bytes.data, (int)bytes.len, NULL);

    REQUIRE(n && BN_to_ASN1_INTEGER(n, to));
    BN_free(n);
}

static void add_cn(X509 *x, int string, struct gh_span value)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));

    REQUIRE(name);
    /* what the library does not take for a name is left out */
    (void)(X509_NAME_add_entry_by_NID(name, NID_commonName, string, value.data, (int)value.len, -1, 0) && X509_set_subject_name(x, name));
    X509_NAME_free(name);
}

/* Kinds: 0 URI, 1 DNS, 2 address, 3 a mail address, 4 CN, 5 CN of 16-bit characters, 6 extended key usage, 7 basic constraints,
 * 8 serial number. */
static X509 *make_cert(struct gh_reader fields)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    EXTENDED_KEY_USAGE *usages = sk_ASN1_OBJECT_new_null();
    EVP_PKEY *key = make_key();
    X509 *x = make_ca(key);

    REQUIRE(names && usages);
    set_ca(x, false);
    while (gh_reader_left(&fields) && !fields.failed) {
        unsigned kind;
        struct gh_span v = next_field(&fields, &kind);

        if (fields.failed)
            break;
        switch (kind % 9) {
        case 0:
            push_name(names, GEN_URI, V_ASN1_IA5STRING, v);
            break;
        case 1:
            push_name(names, GEN_DNS, V_ASN1_IA5STRING, v);
            break;
        case 2:
            push_name(names, GEN_IPADD, V_ASN1_OCTET_STRING, v);
            break;
        case 3:
            push_name(names, GEN_EMAIL, V_ASN1_IA5STRING, v);
            break;
        case 4:
            add_cn(x, V_ASN1_UTF8STRING, v);
            break;
        case 5:
            add_cn(x, V_ASN1_BMPSTRING, v);
            break;
        case 6:
            push_usage(usages, v.len ? v.data[0] : 0);
            break;
        case 7:
            set_ca(x, v.len && v.data[0] & 1);
            break;
        default:
            set_serial(X509_get_serialNumber(x), v);
            break;
        }
    }
    if (sk_GENERAL_NAME_num(names) > 0)
        REQUIRE(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE) == 1);
    if (sk_ASN1_OBJECT_num(usages) > 0)
        REQUIRE(X509_add1_ext_i2d(x, NID_ext_key_usage, usages, 0, X509V3_ADD_REPLACE) == 1);
    REQUIRE(X509_sign(x, key, NULL) > 0);
    sk_ASN1_OBJECT_pop_free(usages, ASN1_OBJECT_free);
    GENERAL_NAMES_free(names);
    EVP_PKEY_free(key);
    return x;
}

/* Is one of the fields of <kind> made of <head> and <tail>? */
static bool has_field(struct gh_reader fields, unsigned kind, const char *head, const char *tail)
{
    size_t head_len = strlen(head), tail_len = strlen(tail);

    while (gh_reader_left(&fields) && !fields.failed) {
        unsigned k;
        struct gh_span v = next_field(&fields, &k);

        if (!fields.failed && k % 9 == kind && v.len == head_len + tail_len && memcmp(v.data, head, head_len) == 0 &&
            memcmp(v.data + head_len, tail, tail_len) == 0)
            return true;
    }
    return false;
}

static void use_fields(struct gh_reader fields)
{
    const struct gh_identity_rules rules = { "corp.example", { GH_IDENTITY_SAN_URI, GH_IDENTITY_SAN_DNS }, 2, 7 };
    X509 *x = make_cert(fields);
    char why[GH_IDENTITY_WHY] = "", head[80];
    struct gh_cert *c = NULL;
    struct gh_identity id;
    unsigned char *der = NULL;
    int len = i2d_X509(x, &der);

    if (len > 0 && gh_cert_parse_der(gh_span_of(der, (size_t)len), &c) == 0) {
        judge(c, NULL);
        if (gh_identity_of_cert(c, &rules, &id, why) == 0) {
            snprintf(head, sizeof head, "spiffe://corp.example/%s/", gh_role_name(id.role));
            REQUIRE(id.source == GH_IDENTITY_SAN_URI ? has_field(fields, 0, head, id.name) : has_field(fields, 1, "", id.name));
            REQUIRE(gh_cert_usages(c) & (id.role == GH_ROLE_RELAY ? GH_CERT_SERVER_AUTH : GH_CERT_CLIENT_AUTH));
        }
    }
    gh_cert_destroy(c);
    OPENSSL_free(der);
    X509_free(x);
}

static void add_unknown_extension(X509_REVOKED *r, bool critical)
{
    ASN1_OBJECT *o = OBJ_txt2obj("1.3.6.1.4.1.55555.1", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, o, critical, value);

    REQUIRE(o && value && e && X509_REVOKED_add_ext(r, e, -1));
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(o);
}

/* A serial number, whose kind says more: 0x0f the reason, 0x10 an extension that nobody knows, 0x20 which is critical. */
static void add_revoked(X509_CRL *crl, unsigned kind, struct gh_span serial)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    ASN1_TIME *t = X509_time_adj(NULL, 0, &(time_t){ 1800000000 });

    REQUIRE(r && reason && n && t);
    set_serial(n, serial);
    REQUIRE(X509_REVOKED_set_serialNumber(r, n) && X509_REVOKED_set_revocationDate(r, t) && ASN1_ENUMERATED_set(reason, kind & 0x0f));
    if (kind & 0x0f)
        REQUIRE(X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, reason, 0, X509V3_ADD_REPLACE) == 1);
    if (kind & 0x10)
        add_unknown_extension(r, kind & 0x20);
    REQUIRE(X509_CRL_add0_revoked(crl, r));
    ASN1_TIME_free(t);
    ASN1_INTEGER_free(n);
    ASN1_ENUMERATED_free(reason);
}

static bool is_revoked(const struct gh_crl_set *set, const struct gh_cert_id *ca, struct gh_span serial)
{
    struct gh_cert_id id = { .issuer = ca->issuer };
    BIGNUM *n = BN_bin2bn(serial.data, (int)serial.len, NULL);
    char *hex = n ? BN_bn2hex(n) : NULL;

    REQUIRE(hex && strlen(hex) < sizeof id.serial);
    memcpy(id.serial, hex, strlen(hex) + 1);
    OPENSSL_free(hex);
    BN_free(n);
    return gh_crl_set_find(set, &id, NULL);
}

/* Every serial number that went into the list is found in it, another one is not. */
static void compare_set(const struct gh_crl_set *set, BIO *ca_pem, struct gh_reader fields, size_t count)
{
    static const uint8_t strange[] = { 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a };
    struct gh_cert_id ca;
    struct gh_cert *c;
    bool listed = false;
    unsigned kind;

    REQUIRE(gh_crl_set_count(set) == count && gh_cert_parse_pem(text_of(ca_pem), &c) == 0 && gh_cert_id_of(c, &ca) == 0);
    while (count--) {
        struct gh_span serial = next_field(&fields, &kind);

        REQUIRE(is_revoked(set, &ca, serial));
        listed |= serial.len >= sizeof strange && memcmp(serial.data + serial.len - sizeof strange, strange, sizeof strange) == 0;
    }
    REQUIRE(listed || !is_revoked(set, &ca, gh_span_of(strange, sizeof strange)));
    gh_cert_destroy(c);
}

static void use_entries(struct gh_reader fields)
{
    struct gh_reader r = fields;
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *t = X509_time_adj(NULL, 0, &(time_t){ 1800000000 });
    BIO *list = BIO_new(BIO_s_mem()), *ca = BIO_new(BIO_s_mem());
    struct gh_crl_set *set = NULL;
    char why[GH_CRL_WHY] = "";
    bool good = true;
    size_t count = 0;

    REQUIRE(crl && t && list && ca && X509_CRL_set_version(crl, X509_CRL_VERSION_2) && X509_CRL_set1_lastUpdate(crl, t));
    while (gh_reader_left(&r)) {
        unsigned kind;
        struct gh_span serial = next_field(&r, &kind);

        if (r.failed)
            break;
        add_revoked(crl, kind, serial);
        good &= (kind & 0x30) != 0x30 && serial.len <= 20; /* RFC 5280, sections 5.3 and 4.1.2.2 */
        count++;
    }
    REQUIRE(sign_list(crl, list, ca));
    if (gh_crl_set_load(text_of(list), text_of(ca), &set, why) == 0)
        compare_set(set, ca, fields, count);
    else
        REQUIRE(!good && why[0]);
    gh_crl_set_destroy(set);
    BIO_free(list);
    BIO_free(ca);
    ASN1_TIME_free(t);
    X509_CRL_free(crl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_cert *c = NULL;
    struct gh_span rest;

    if (size == 0 || size > 65536)
        return 0;
    rest = gh_span_of(data + 1, size - 1);
    if (data[0] == 'P') {
        use_lists(rest, rest);
    } else if (data[0] == 'C') {
        use_signed(rest);
    } else if (data[0] == 'F') {
        use_fields(gh_reader_of(rest));
    } else if (data[0] == 'L') {
        use_entries(gh_reader_of(rest));
    } else if (gh_cert_parse_der(rest, &c) == 0) {
        judge(c, NULL);
        gh_cert_destroy(c);
    }
    return 0;
}
