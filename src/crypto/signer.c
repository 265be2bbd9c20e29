/* A provider of the library with keys whose signatures are made elsewhere
 *
 * It lives in a library context of its own, so that nothing else ever finds its algorithms: only an EVP_PKEY that was made there
 * leads to them. A key has the public half as an ordinary EVP_PKEY, which answers every question about it; there is nothing that
 * gives out a private one, because there is none. */
#include "crypto/signer_internal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "base/error.h"

#define PARAM_SIGNER "gatehouse-signer"
#define PARAM_PUBLIC "gatehouse-public"

/* RFC 8446, section 4.4.3 */
bool gh_signer_may_sign(struct gh_span data)
{
    static const char *const sides[] = { "TLS 1.3, server CertificateVerify", "TLS 1.3, client CertificateVerify" };
    const size_t words = strlen(sides[0]) + 1; /* with the zero */

    if (data.len != 64 + words + 32 && data.len != 64 + words + 48)
        return false;
    for (size_t i = 0; i < 64; i++)
        if (data.data[i] != ' ')
            return false;
    return memcmp(data.data + 64, sides[0], words) == 0 || memcmp(data.data + 64, sides[1], words) == 0;
}

bool gh_signer_may_sign_tls12(struct gh_span data)
{
    static const struct {
        uint16_t group;
        uint8_t point;
    } groups[] = { { 23, 65 }, { 24, 97 }, { 29, 32 } }; /* P-256, P-384, X25519 */
    static const char able[] = { 'D', 'O', 'W', 'N', 'G', 'R', 'D', 1 };
    struct gh_reader r = gh_reader_of(data);
    struct gh_span randoms = gh_read_span(&r, 64);
    uint16_t group;
    uint8_t len;

    if (randoms.len != 64 || memcmp(randoms.data + 64 - sizeof able, able, sizeof able) != 0)
        return false;
    if (gh_read_u8(&r) != 3) /* named_curve */
        return false;
    group = gh_read_u16(&r);
    len = gh_read_u8(&r);
    gh_read_span(&r, len);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (groups[i].group == group && groups[i].point == len)
            return gh_reader_done(&r);
    return false;
}

bool gh_signer_allows(bool tls12, uint16_t scheme, struct gh_span data)
{
    return gh_signer_may_sign(data) ? gh_sign_scheme_tls13(scheme) : tls12 && gh_signer_may_sign_tls12(data);
}

/* ---- keys ---- */

struct remote_key {
    struct gh_signer signer;
    EVP_PKEY *public;
};

static void *key_new(void *provider)
{
    (void)provider;
    return calloc(1, sizeof(struct remote_key));
}

static void key_free(void *data)
{
    struct remote_key *k = data;

    if (!k)
        return;
    EVP_PKEY_free(k->public);
    free(k);
}

static int key_has(const void *data, int selection)
{
    const struct remote_key *k = data;

    (void)selection; /* both halves, as far as anybody can tell */
    return k && k->public;
}

static int key_match(const void *a, const void *b, int selection)
{
    const struct remote_key *x = a, *y = b;

    (void)selection;
    return EVP_PKEY_eq(x->public, y->public) == 1;
}

static int key_import(void *data, int selection, const OSSL_PARAM params[])
{
    const OSSL_PARAM *signer = OSSL_PARAM_locate_const(params, PARAM_SIGNER), *public = OSSL_PARAM_locate_const(params, PARAM_PUBLIC);
    struct remote_key *k = data;
    const void *value;
    size_t len;

    (void)selection;
    if (!signer || !public || !OSSL_PARAM_get_octet_string_ptr(signer, &value, &len) || len != sizeof k->signer)
        return 0;
    memcpy(&k->signer, value, sizeof k->signer);
    if (!OSSL_PARAM_get_octet_string_ptr(public, &value, &len) || len != sizeof k->public)
        return 0;
    memcpy(&k->public, value, sizeof k->public);
    return EVP_PKEY_up_ref(k->public);
}

static const OSSL_PARAM *key_import_types(int selection)
{
    static const OSSL_PARAM types[] = { OSSL_PARAM_octet_string(PARAM_SIGNER, NULL, 0), OSSL_PARAM_octet_string(PARAM_PUBLIC, NULL, 0),
                                        OSSL_PARAM_END };

    (void)selection;
    return types;
}

/* The public half alone, so that others can compare it. */
static int key_export(void *data, int selection, OSSL_CALLBACK *fn, void *arg)
{
    struct remote_key *k = data;
    OSSL_PARAM *params = NULL;
    int ok;

    if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
        return 0;
    ok = EVP_PKEY_todata(k->public, selection, &params) == 1 && fn(params, arg);
    OSSL_PARAM_free(params);
    return ok;
}

static const OSSL_PARAM *key_export_types(int selection)
{
    static const OSSL_PARAM types[] = { OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END };

    return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static int key_get_params(void *data, OSSL_PARAM params[])
{
    const struct remote_key *k = data;

    return EVP_PKEY_get_params(k->public, params);
}

static const OSSL_PARAM *key_gettable_params(void *provider)
{
    static const OSSL_PARAM all[] = { OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
                                      OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
                                      OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
                                      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
                                      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
                                      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
                                      OSSL_PARAM_END };

    (void)provider;
    return all;
}

static const char *ec_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

typedef void (*fn)(void);

#define KEY_FUNCTIONS                                                                                                              \
    { OSSL_FUNC_KEYMGMT_NEW, (fn)key_new }, { OSSL_FUNC_KEYMGMT_FREE, (fn)key_free }, { OSSL_FUNC_KEYMGMT_HAS, (fn)key_has },      \
        { OSSL_FUNC_KEYMGMT_MATCH, (fn)key_match }, { OSSL_FUNC_KEYMGMT_IMPORT, (fn)key_import },                                  \
        { OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (fn)key_import_types }, { OSSL_FUNC_KEYMGMT_EXPORT, (fn)key_export },                    \
        { OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (fn)key_export_types }, { OSSL_FUNC_KEYMGMT_GET_PARAMS, (fn)key_get_params },            \
        { OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (fn)key_gettable_params }

static const OSSL_DISPATCH key_functions[] = { KEY_FUNCTIONS, { 0, NULL } };
static const OSSL_DISPATCH ec_key_functions[] = { KEY_FUNCTIONS, { OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (fn)ec_operation }, { 0, NULL } };

/* ---- signatures ---- */

struct signing {
    const struct remote_key *key;
    uint16_t scheme, pkcs1; /* 0: none yet; RSA: with PSS, and without, which TLS 1.2 alone has */
    bool rsa, pss, salt_ok;
};

static void *sign_new(void *provider, const char *properties)
{
    (void)provider, (void)properties;
    return calloc(1, sizeof(struct signing));
}

static void find_schemes(struct signing *s, const char *digest)
{
    static const struct {
        const char *type, *digest, *alias;
        uint16_t scheme, pkcs1;
    } all[] = { { "ED25519", "", "", GH_SIGN_ED25519, 0 },
                { "EC", "SHA256", "SHA2-256", GH_SIGN_ECDSA_P256_SHA256, 0 },
                { "EC", "SHA384", "SHA2-384", GH_SIGN_ECDSA_SHA384, 0 },
                { "EC", "SHA512", "SHA2-512", GH_SIGN_ECDSA_SHA512, 0 },
                { "RSA", "SHA256", "SHA2-256", GH_SIGN_RSA_PSS_SHA256, GH_SIGN_RSA_PKCS1_SHA256 },
                { "RSA", "SHA384", "SHA2-384", GH_SIGN_RSA_PSS_SHA384, GH_SIGN_RSA_PKCS1_SHA384 },
                { "RSA", "SHA512", "SHA2-512", GH_SIGN_RSA_PSS_SHA512, GH_SIGN_RSA_PKCS1_SHA512 } };

    s->scheme = s->pkcs1 = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (EVP_PKEY_is_a(s->key->public, all[i].type) &&
            (OPENSSL_strcasecmp(digest, all[i].digest) == 0 || OPENSSL_strcasecmp(digest, all[i].alias) == 0)) {
            s->scheme = all[i].scheme;
            s->pkcs1 = all[i].pkcs1;
        }
}

static int sign_set_params(void *data, const OSSL_PARAM params[])
{
    struct signing *s = data;
    const OSSL_PARAM *p;
    const char *text;
    int number;

    if (!params)
        return 1;
    p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
    if (p && p->data_type == OSSL_PARAM_UTF8_STRING)
        s->pss = OSSL_PARAM_get_utf8_string_ptr(p, &text) && strcmp(text, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
    else if (p)
        s->pss = OSSL_PARAM_get_int(p, &number) && number == 6; /* RSA_PKCS1_PSS_PADDING */
    p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
    if (p && p->data_type == OSSL_PARAM_UTF8_STRING)
        s->salt_ok = OSSL_PARAM_get_utf8_string_ptr(p, &text) && strcmp(text, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0;
    else if (p)
        s->salt_ok = OSSL_PARAM_get_int(p, &number) && number == -1; /* as long as the digest */
    return 1;
}

static const OSSL_PARAM *sign_settable_params(void *data, void *provider)
{
    static const OSSL_PARAM all[] = { OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
                                      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0), OSSL_PARAM_END };

    (void)data, (void)provider;
    return all;
}

static int sign_init(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
    struct signing *s = data;

    if (key)
        s->key = key;
    if (!s->key)
        return 0;
    s->rsa = EVP_PKEY_is_a(s->key->public, "RSA");
    find_schemes(s, digest ? digest : "");
    return s->scheme && sign_set_params(s, params);
}

static int sign_data(void *data, unsigned char *sig, size_t *sig_len, size_t sig_cap, const unsigned char *tbs, size_t tbs_len)
{
    const struct signing *s = data;
    uint16_t scheme = s->rsa && !s->pss ? s->pkcs1 : s->scheme;
    uint8_t out[GH_SIGN_MAX];
    size_t len = 0;

    if (!sig) {
        *sig_len = (size_t)EVP_PKEY_get_size(s->key->public);
        return 1;
    }
    if (s->rsa && s->pss && !s->salt_ok) /* RFC 8446, section 4.2.3 */
        return 0;
    if (!gh_signer_allows(s->key->signer.tls12, scheme, gh_span_of(tbs, tbs_len)))
        return 0;
    if (s->key->signer.sign(s->key->signer.arg, s->key->signer.key, scheme, gh_span_of(tbs, tbs_len), out, &len) < 0 || len > sig_cap)
        return 0;
    memcpy(sig, out, len);
    *sig_len = len;
    return 1;
}

static const OSSL_DISPATCH sign_functions[] = {
    { OSSL_FUNC_SIGNATURE_NEWCTX, (fn)sign_new },
    { OSSL_FUNC_SIGNATURE_FREECTX, (fn)free },
    { OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (fn)sign_init },
    { OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (fn)sign_data },
    { OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (fn)sign_set_params },
    { OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (fn)sign_settable_params },
    { 0, NULL },
};

/* ---- the provider ---- */

static const OSSL_ALGORITHM keys[] = {
    { "ED25519", "provider=gatehouse", key_functions, NULL },
    { "EC", "provider=gatehouse", ec_key_functions, NULL },
    { "RSA", "provider=gatehouse", key_functions, NULL },
    { 0 },
};

static const OSSL_ALGORITHM signatures[] = {
    { "ED25519", "provider=gatehouse", sign_functions, NULL },
    { "ECDSA", "provider=gatehouse", sign_functions, NULL },
    { "RSA", "provider=gatehouse", sign_functions, NULL },
    { 0 },
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
    (void)provider;
    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT ? keys : operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
    static const OSSL_DISPATCH functions[] = { { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (fn)query }, { 0, NULL } };

    (void)in;
    *out = functions;
    *provider = (void *)(uintptr_t)core; /* anything that is not NULL */
    return 1;
}

struct signer_provider {
    OSSL_LIB_CTX *world;
    OSSL_PROVIDER *provider;
};

int signer_provider_create(struct signer_provider **ret)
{
    struct signer_provider *p = calloc(1, sizeof *p);

    if (!p)
        return GH_ERR_MEMORY;
    p->world = OSSL_LIB_CTX_new();
    if (p->world && OSSL_PROVIDER_add_builtin(p->world, "gatehouse", provider_init) == 1)
        p->provider = OSSL_PROVIDER_load(p->world, "gatehouse");
    if (!p->provider) {
        signer_provider_destroy(p);
        return GH_ERR_CRYPTO;
    }
    *ret = p;
    return 0;
}

void signer_provider_destroy(struct signer_provider *p)
{
    if (!p)
        return;
    if (p->provider)
        OSSL_PROVIDER_unload(p->provider);
    OSSL_LIB_CTX_free(p->world);
    free(p);
}

/* Does the signer have the private half of this key? It signs something that no handshake will ever contain. */
static int prove(EVP_PKEY *public, EVP_PKEY *key)
{
    uint8_t text[64 + 34 + 32], sig[GH_SIGN_MAX];
    const char *digest = EVP_PKEY_is_a(public, "ED25519") ? NULL : "SHA256";
    EVP_MD_CTX *a = EVP_MD_CTX_new(), *b = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pa, *pb;
    size_t len = sizeof sig;
    bool ok;

    memset(text, ' ', 64);
    memcpy(text + 64, "TLS 1.3, server CertificateVerify", 34);
    memset(text + 98, 0, 32);
    ok = a && b && EVP_DigestSignInit_ex(a, &pa, digest, NULL, NULL, key, NULL) == 1 &&
         EVP_DigestVerifyInit_ex(b, &pb, digest, NULL, NULL, public, NULL) == 1;
    if (ok && EVP_PKEY_is_a(public, "RSA"))
        ok = EVP_PKEY_CTX_set_rsa_padding(pa, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(pa, RSA_PSS_SALTLEN_DIGEST) == 1 &&
             EVP_PKEY_CTX_set_rsa_padding(pb, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(pb, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestSign(a, sig, &len, text, sizeof text) == 1 && EVP_DigestVerify(b, sig, len, text, sizeof text) == 1;
    EVP_MD_CTX_free(a);
    EVP_MD_CTX_free(b);
    return ok ? 0 : GH_ERR_DENIED;
}

static const char *type_of(const EVP_PKEY *key)
{
    char group[64] = "";
    size_t len;

    if (EVP_PKEY_is_a(key, "ED25519"))
        return "ED25519";
    if (EVP_PKEY_is_a(key, "RSA"))
        return "RSA";
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 && strcmp(group, "prime256v1") == 0)
        return "EC";
    return NULL;
}

int signer_key_create(struct signer_provider *p, const struct gh_signer *signer, EVP_PKEY *public, EVP_PKEY **ret)
{
    struct gh_signer copy = *signer;
    OSSL_PARAM params[] = { OSSL_PARAM_octet_string(PARAM_SIGNER, &copy, sizeof copy), OSSL_PARAM_octet_string(PARAM_PUBLIC, &public, sizeof public),
                            OSSL_PARAM_END };
    const char *type = type_of(public);
    EVP_PKEY_CTX *ctx = type ? EVP_PKEY_CTX_new_from_name(p->world, type, NULL) : NULL;
    EVP_PKEY *key = NULL;
    int rc = type ? GH_ERR_CRYPTO : GH_ERR_UNSUPPORTED;

    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1)
        rc = prove(public, key);
    EVP_PKEY_CTX_free(ctx);
    if (rc < 0)
        EVP_PKEY_free(key);
    else
        *ret = key;
    return rc;
}
