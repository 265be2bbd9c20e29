/* Certificates and revocation lists from a peer or a file: every field is read and judged, nothing is believed.
 *
 * The first byte says what the rest is: 'D' a DER certificate, 'P' a PEM text that is both a list and its CA, 'C' a DER list, which
 * gets a good signature first, so that the fields inside are reached. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "crypto/crl.h"
#include "crypto/identity.h"

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

/* A CA with a key that is known, the same each time. */
static X509 *make_ca(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();

    if (!x || !name || !X509_set_version(x, X509_VERSION_3) || !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"fuzz", -1, -1, 0) ||
        !X509_set_subject_name(x, name) || !X509_set_issuer_name(x, name) || !X509_set_pubkey(x, key) || X509_sign(x, key, NULL) <= 0)
        abort();
    X509_NAME_free(name);
    return x;
}

/* Whatever the list says, it is signed: so that what is behind the signature is read too. */
static void use_signed(struct gh_span der)
{
    static const uint8_t secret[32] = { 1 };
    const unsigned char *at = der.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.len);
    EVP_PKEY *key;
    BIO *out, *cas;
    char *text, *ca_text;
    long len, ca_len;
    X509 *ca;

    if (!crl)
        return;
    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
    out = BIO_new(BIO_s_mem());
    cas = BIO_new(BIO_s_mem());
    if (!key || !out || !cas)
        abort();
    ca = make_ca(key);
    if (X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) && X509_CRL_sign(crl, key, NULL) > 0 && PEM_write_bio_X509_CRL(out, crl) &&
        PEM_write_bio_X509(cas, ca)) {
        len = BIO_get_mem_data(out, &text);
        ca_len = BIO_get_mem_data(cas, &ca_text);
        use_lists(gh_span_of(text, (size_t)len), gh_span_of(ca_text, (size_t)ca_len));
    }
    X509_free(ca);
    BIO_free(out);
    BIO_free(cas);
    EVP_PKEY_free(key);
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
    } else if (gh_cert_parse_der(rest, &c) == 0) {
        judge(c, NULL);
        gh_cert_destroy(c);
    }
    return 0;
}
