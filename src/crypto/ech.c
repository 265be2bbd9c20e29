#include "crypto/ech.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ech.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hpke.h>
#include <openssl/pem.h>

#include "base/error.h"
#include "crypto/ca_internal.h"
#include "crypto/ech_internal.h"
#include "crypto/random.h"

#define VERSION 0xfe0du /* RFC 9849, section 11.1 */
#define CONFIG_MIN 32u  /* libssl takes no shorter list */
#define INFO_LABEL "tls ech" /* and its zero; section 6.1 */
#define INFO_MAX OSSL_HPKE_MAX_INFOLEN
#define TAG 16u

/* One ECHConfig (section 4), within the list of its key. */
struct config {
    struct gh_span encoded; /* all of it: it is hashed into the key schedule */
    struct gh_span key, suites;
    uint16_t kem;
    uint8_t id;
    char public_name[GH_ECH_PUBLIC_NAME_MAX + 1];
};

struct key {
    EVP_PKEY *private;
    int64_t born;
    uint8_t *list;
    size_t list_len;
    struct config configs[GH_ECH_CONFIGS_MAX]; /* those that are <private>'s */
    size_t config_count;
};

struct gh_ech_keys {
    atomic_uint refs;
    int64_t keep;
    size_t count;
    struct key keys[GH_ECH_KEYS_MAX];
};

static int refuse(int rc, char why[GH_ECH_WHY], const char *format, ...) __attribute__((format(printf, 3, 4)));

static int refuse(int rc, char why[GH_ECH_WHY], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, GH_ECH_WHY, format, args);
    va_end(args);
    ERR_clear_error();
    return rc;
}

/* ---- ECHConfigList ---- */

static bool read_name(struct gh_span name, char ret[GH_ECH_PUBLIC_NAME_MAX + 1])
{
    if (name.len == 0 || name.len > GH_ECH_PUBLIC_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] <= ' ' || name.data[i] > '~')
            return false;
        ret[i] = (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] + 32 : name.data[i]);
    }
    ret[name.len] = 0;
    return true;
}

/* The next ECHConfig: 1, 0 when it is of a version that we do not know, or GH_ERR_MALFORMED. */
static int read_config(struct gh_reader *list, struct config *ret)
{
    const uint8_t *start = list->at;
    uint16_t version = gh_read_u16(list);
    struct gh_span body = gh_read_span(list, gh_read_u16(list)), name;
    struct gh_reader r = gh_reader_of(body);

    if (list->failed)
        return GH_ERR_MALFORMED;
    if (version != VERSION)
        return 0;
    *ret = (struct config){ .encoded = gh_span_of(start, (size_t)(list->at - start)) };
    ret->id = gh_read_u8(&r);
    ret->kem = gh_read_u16(&r);
    ret->key = gh_read_span(&r, gh_read_u16(&r));
    ret->suites = gh_read_span(&r, gh_read_u16(&r));
    gh_read_u8(&r); /* maximum_name_length */
    name = gh_read_span(&r, gh_read_u8(&r));
    gh_read_span(&r, gh_read_u16(&r)); /* extensions: none is known */
    if (!gh_reader_done(&r) || ret->key.len == 0 || ret->suites.len == 0 || ret->suites.len % 4 || !read_name(name, ret->public_name))
        return GH_ERR_MALFORMED;
    return 1;
}

static int open_list(struct gh_span list, struct gh_reader *ret)
{
    struct gh_reader r = gh_reader_of(list);
    struct gh_span body = gh_read_span(&r, gh_read_u16(&r));

    if (list.len > GH_ECH_LIST_MAX)
        return GH_ERR_TOO_LONG;
    if (!gh_reader_done(&r) || body.len == 0)
        return GH_ERR_MALFORMED;
    *ret = gh_reader_of(body);
    return 0;
}

static bool suite_known(const struct config *c, uint16_t kdf, uint16_t aead)
{
    struct gh_reader r = gh_reader_of(c->suites);

    while (gh_reader_left(&r)) {
        uint16_t k = gh_read_u16(&r), a = gh_read_u16(&r);

        if (k == kdf && a == aead)
            return true;
    }
    return false;
}

int gh_ech_list_public_name(struct gh_span list, char ret[GH_ECH_PUBLIC_NAME_MAX + 1])
{
    struct gh_reader r;
    struct config c;
    int rc = open_list(list, &r);

    while (rc >= 0 && gh_reader_left(&r)) {
        rc = read_config(&r, &c);
        if (rc > 0 && c.kem == OSSL_HPKE_KEM_ID_X25519 && suite_known(&c, OSSL_HPKE_KDF_ID_HKDF_SHA256, OSSL_HPKE_AEAD_ID_AES_GCM_128)) {
            memcpy(ret, c.public_name, sizeof c.public_name);
            return 0;
        }
    }
    return rc < 0 ? rc : GH_ERR_UNSUPPORTED;
}

/* ---- one key ---- */

static void key_fini(struct key *k)
{
    EVP_PKEY_free(k->private);
    OPENSSL_free(k->list);
    *k = (struct key){ 0 };
}

/* The next block of a PEM text. 1, or 0 at the end. The block is wiped when it goes: OPENSSL_clear_free. */
static int next_block(BIO *bio, const char *label, unsigned char **ret, long *ret_len, bool *ret_matches)
{
    char *name = NULL, *header = NULL;
    int ok = PEM_read_bio(bio, &name, &header, ret, ret_len);

    *ret_matches = ok && strcmp(name, label) == 0 && !*header;
    OPENSSL_free(name);
    OPENSSL_free(header);
    return ok;
}

static int read_private(BIO *bio, EVP_PKEY **ret, char why[GH_ECH_WHY])
{
    unsigned char *der = NULL;
    const unsigned char *at;
    EVP_PKEY *key = NULL;
    bool matches = false;
    long len = 0;

    if (!next_block(bio, "PRIVATE KEY", &der, &len, &matches))
        return refuse(GH_ERR_MALFORMED, why, "there is no PEM block");
    at = der;
    if (matches)
        key = d2i_AutoPrivateKey(NULL, &at, len);
    OPENSSL_clear_free(der, (size_t)len);
    if (!matches)
        return refuse(GH_ERR_MALFORMED, why, "the first block is not an unencrypted PRIVATE KEY");
    if (!key)
        return refuse(GH_ERR_MALFORMED, why, "the private key cannot be read");
    if (!EVP_PKEY_is_a(key, "X25519") && !EVP_PKEY_is_a(key, "EC")) {
        EVP_PKEY_free(key);
        return refuse(GH_ERR_UNSUPPORTED, why, "the private key is neither X25519 nor P-256");
    }
    *ret = key;
    return 0;
}

static bool belongs(const struct config *c, EVP_PKEY *private)
{
    const char *type = c->kem == OSSL_HPKE_KEM_ID_X25519 ? "X25519" : c->kem == OSSL_HPKE_KEM_ID_P256 ? "EC" : NULL;
    unsigned char public[133]; /* the longest is P-521's */
    size_t len = 0;

    return type && EVP_PKEY_is_a(private, type) &&
           EVP_PKEY_get_octet_string_param(private, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, public, sizeof public, &len) == 1 &&
           gh_span_equals(gh_span_of(public, len), c->key);
}

static int read_list(struct key *k, char why[GH_ECH_WHY])
{
    struct gh_reader r;
    struct config c;
    int rc = k->list_len < CONFIG_MIN ? GH_ERR_MALFORMED : open_list(gh_span_of(k->list, k->list_len), &r);

    while (rc >= 0 && gh_reader_left(&r)) {
        rc = read_config(&r, &c);
        if (rc <= 0 || !belongs(&c, k->private))
            continue;
        if (c.encoded.len + sizeof INFO_LABEL > INFO_MAX)
            return refuse(GH_ERR_TOO_LONG, why, "an ECHConfig is longer than %zu bytes", INFO_MAX - sizeof INFO_LABEL);
        if (k->config_count == GH_ECH_CONFIGS_MAX)
            return refuse(GH_ERR_TOO_LONG, why, "more than %u ECHConfigs of one key", GH_ECH_CONFIGS_MAX);
        k->configs[k->config_count++] = c;
    }
    if (rc < 0)
        return refuse(rc, why, rc == GH_ERR_TOO_LONG ? "the ECHConfigList is longer than %u bytes" : "the ECHConfigList does not parse (%u)",
                      rc == GH_ERR_TOO_LONG ? GH_ECH_LIST_MAX : (unsigned)k->list_len);
    if (!k->config_count)
        return refuse(GH_ERR_MALFORMED, why, "no ECHConfig (version 0x%04x) belongs to the private key", VERSION);
    return 0;
}

static int read_blocks(BIO *bio, struct key *k, char why[GH_ECH_WHY])
{
    unsigned char *more = NULL;
    bool matches;
    long len = 0;
    int rc = read_private(bio, &k->private, why);

    if (rc < 0)
        return rc;
    if (!next_block(bio, "ECHCONFIG", &k->list, &len, &matches) || !matches)
        return refuse(GH_ERR_MALFORMED, why, "there is no ECHCONFIG behind the private key");
    k->list_len = (size_t)len;
    rc = read_list(k, why);
    if (rc == 0 && next_block(bio, "", &more, &len, &matches)) {
        OPENSSL_clear_free(more, (size_t)len);
        rc = refuse(GH_ERR_MALFORMED, why, "there is more than one key");
    }
    ERR_clear_error(); /* the end of the text is an error of the library's */
    return rc;
}

int gh_ech_keys_add(struct gh_ech_keys *keys, struct gh_span pem, int64_t born, char ret_why[GH_ECH_WHY])
{
    struct key k = { .born = born };
    BIO *bio;
    int rc;

    if (keys->count == GH_ECH_KEYS_MAX)
        return refuse(GH_ERR_FULL, ret_why, "more than %u keys", GH_ECH_KEYS_MAX);
    if (keys->count && born > keys->keys[keys->count - 1].born)
        return refuse(GH_ERR_RANGE, ret_why, "a key is younger than the one before it: the newest comes first");
    if (pem.len == 0 || pem.len > GH_ECH_PEM_MAX)
        return refuse(pem.len ? GH_ERR_TOO_LONG : GH_ERR_MALFORMED, ret_why, "the key is %s", pem.len ? "too long" : "empty");
    bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    rc = bio ? read_blocks(bio, &k, ret_why) : refuse(GH_ERR_MEMORY, ret_why, "out of memory");
    BIO_free(bio);
    if (rc < 0)
        key_fini(&k);
    else
        keys->keys[keys->count++] = k;
    return rc;
}

/* ---- the set ---- */

int gh_ech_keys_create(int64_t keep, struct gh_ech_keys **ret)
{
    struct gh_ech_keys *keys = calloc(1, sizeof *keys);

    if (!keys)
        return GH_ERR_MEMORY;
    atomic_init(&keys->refs, 1);
    keys->keep = keep;
    *ret = keys;
    return 0;
}

struct gh_ech_keys *gh_ech_keys_get(struct gh_ech_keys *keys)
{
    atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    return keys;
}

void gh_ech_keys_put(struct gh_ech_keys *keys)
{
    if (!keys || atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < keys->count; i++)
        key_fini(&keys->keys[i]);
    free(keys);
}

size_t gh_ech_keys_count(const struct gh_ech_keys *keys)
{
    return keys->count;
}

static int64_t until(const struct gh_ech_keys *keys, size_t index)
{
    int64_t end;

    return index == 0 || __builtin_add_overflow(keys->keys[index - 1].born, keys->keep, &end) ? INT64_MAX : end;
}

bool gh_ech_keys_info(const struct gh_ech_keys *keys, size_t index, struct gh_ech_key_info *ret)
{
    const struct key *k;

    if (index >= keys->count)
        return false;
    k = &keys->keys[index];
    *ret = (struct gh_ech_key_info){ .born = k->born, .until = until(keys, index), .config_id = k->configs[0].id,
                                     .public_name = k->configs[0].public_name, .list = gh_span_of(k->list, k->list_len) };
    return true;
}

bool gh_ech_keys_has_public_name(const struct gh_ech_keys *keys, const char *name, int64_t wall)
{
    for (size_t i = 0; i < keys->count; i++)
        for (size_t c = 0; wall < until(keys, i) && c < keys->keys[i].config_count; c++)
            if (strcmp(keys->keys[i].configs[c].public_name, name) == 0)
                return true;
    return false;
}

/* ---- opening ---- */

/* Section 7.1: the ClientHello with zeroes for the payload is what is authenticated. */
static uint8_t *aad_of(const struct gh_ech_outer *o)
{
    size_t at = (size_t)(o->payload.data - o->body.data);
    uint8_t *aad = malloc(o->body.len);

    if (!aad)
        return NULL;
    memcpy(aad, o->body.data, o->body.len);
    memset(aad + at, 0, o->payload.len);
    return aad;
}

static bool open_with(const struct key *k, const struct config *c, const struct gh_ech_outer *o, struct gh_span aad, struct gh_ech_opened *ret)
{
    OSSL_HPKE_SUITE suite = { c->kem, o->kdf, o->aead };
    OSSL_HPKE_CTX *ctx = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_BASE, suite, OSSL_HPKE_ROLE_RECEIVER, NULL, NULL);
    uint8_t info[INFO_MAX];
    bool ok;

    memcpy(info, INFO_LABEL, sizeof INFO_LABEL);
    memcpy(info + sizeof INFO_LABEL, c->encoded.data, c->encoded.len);
    ret->len = sizeof ret->inner;
    ok = ctx && OSSL_HPKE_decap(ctx, o->enc.data, o->enc.len, k->private, info, sizeof INFO_LABEL + c->encoded.len) == 1 &&
         OSSL_HPKE_open(ctx, ret->inner, &ret->len, aad.data, aad.len, o->payload.data, o->payload.len) == 1;
    OSSL_HPKE_CTX_free(ctx);
    return ok;
}

static bool inside(struct gh_span inner, struct gh_span outer)
{
    uintptr_t i = (uintptr_t)inner.data, o = (uintptr_t)outer.data;

    return i >= o && inner.len <= outer.len && i - o <= outer.len - inner.len;
}

int gh_ech_keys_open(const struct gh_ech_keys *keys, const struct gh_ech_outer *outer, int64_t wall, struct gh_ech_opened *ret)
{
    uint8_t *aad = NULL;
    bool ok = false;

    if (!inside(outer->payload, outer->body))
        return GH_ERR_RANGE;
    if (outer->payload.len <= TAG || outer->payload.len > GH_ECH_PAYLOAD_MAX || outer->enc.len == 0)
        return 0;
    for (size_t i = 0; i < keys->count && !ok; i++) {
        const struct key *k = &keys->keys[i];

        for (size_t n = 0; wall < until(keys, i) && n < k->config_count && !ok; n++) {
            const struct config *c = &k->configs[n];

            if (c->id != outer->config_id || c->key.len != outer->enc.len || !suite_known(c, outer->kdf, outer->aead))
                continue;
            if (!aad)
                aad = aad_of(outer);
            if (!aad)
                return GH_ERR_MEMORY;
            ok = open_with(k, c, outer, gh_span_of(aad, outer->body.len), ret);
            ret->key = i;
        }
    }
    if (aad)
        ERR_clear_error();
    free(aad);
    return ok;
}

/* ---- for libssl ---- */

/* libssl hashes what it reads as it stands only when it comes from PEM: a config that it has made itself opens nothing. */
static int add_to_store(OSSL_ECHSTORE *store, const struct key *k, bool newest)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int rc = GH_ERR_CRYPTO;

    if (bio && PEM_write_bio(bio, "ECHCONFIG", "", k->list, (long)k->list_len) > 0 &&
        OSSL_ECHSTORE_set1_key_and_read_pem(store, k->private, bio, newest ? OSSL_ECH_FOR_RETRY : OSSL_ECH_NO_RETRY) == 1)
        rc = 0;
    BIO_free(bio);
    return rc;
}

int ech_keys_store(const struct gh_ech_keys *keys, int64_t wall, OSSL_ECHSTORE **ret, bool *ret_same_id)
{
    OSSL_ECHSTORE *store = OSSL_ECHSTORE_new(NULL, NULL);
    unsigned char seen[256] = { 0 };
    bool same = false;
    int rc = store ? 0 : GH_ERR_MEMORY;

    for (size_t i = 0; rc == 0 && i < keys->count; i++) {
        const struct key *k = &keys->keys[i];

        if (wall >= until(keys, i))
            continue;
        rc = add_to_store(store, k, i == 0);
        for (size_t n = 0; n < k->config_count; n++)
            same |= seen[k->configs[n].id]++ > 0;
    }
    ERR_clear_error();
    if (rc < 0) {
        OSSL_ECHSTORE_free(store);
        return rc;
    }
    *ret = store;
    *ret_same_id = same;
    return 0;
}

/* ---- making one ---- */

/* Section 6.1.7: clients refuse a name that could be taken for an IPv4 address. */
static bool ends_like_an_address(const char *name)
{
    const char *last = strrchr(name, '.');

    last = last ? last + 1 : name;
    if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X'))
        return strspn(last + 2, "0123456789abcdefABCDEF") == strlen(last + 2);
    return strspn(last, "0123456789") == strlen(last);
}

static bool id_taken(const struct gh_ech_keys *keys, uint8_t id)
{
    for (size_t i = 0; keys && i < keys->count; i++)
        for (size_t c = 0; c < keys->keys[i].config_count; c++)
            if (keys->keys[i].configs[c].id == id)
                return true;
    return false;
}

static int choose_id(const struct gh_ech_keys *beside, uint8_t *ret)
{
    int rc = gh_random_bytes(ret, 1);

    for (unsigned tries = 0; rc == 0 && id_taken(beside, *ret); tries++)
        rc = tries < 256 ? ((*ret)++, 0) : GH_ERR_FULL;
    return rc;
}

static int emit_list(const struct gh_ech_request *req, EVP_PKEY *key, uint8_t id, struct gh_writer *w)
{
    size_t name_len = strlen(req->public_name), contents = 1 + 2 + 2 + 32 + 2 + 4 + 1 + 1 + name_len + 2, len = 0;
    uint8_t public[32];

    if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, public, sizeof public, &len) != 1 || len != sizeof public)
        return GH_ERR_CRYPTO;
    gh_write_u16(w, (uint16_t)(4 + contents));
    gh_write_u16(w, VERSION);
    gh_write_u16(w, (uint16_t)contents);
    gh_write_u8(w, id);
    gh_write_u16(w, OSSL_HPKE_KEM_ID_X25519);
    gh_write_u16(w, sizeof public);
    gh_write_bytes(w, public, sizeof public);
    gh_write_u16(w, 4);
    gh_write_u16(w, OSSL_HPKE_KDF_ID_HKDF_SHA256);
    gh_write_u16(w, OSSL_HPKE_AEAD_ID_AES_GCM_128);
    gh_write_u8(w, req->max_name_length);
    gh_write_u8(w, (uint8_t)name_len);
    gh_write_bytes(w, req->public_name, name_len);
    gh_write_u16(w, 0);
    return w->failed ? GH_ERR_INTERNAL : 0;
}

static int emit_pem(EVP_PKEY *key, struct gh_span list, struct gh_pem *ret)
{
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when freed */
    int rc = GH_ERR_CRYPTO;

    if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
        PEM_write_bio(bio, "ECHCONFIG", "", list.data, (long)list.len) > 0)
        rc = ca_pem_of(bio, ret);
    BIO_free(bio);
    return rc;
}

int gh_ech_generate(const struct gh_ech_request *req, struct gh_pem *ret, char ret_why[GH_ECH_WHY])
{
    uint8_t list[64 + GH_ECH_PUBLIC_NAME_MAX], id = 0;
    struct gh_writer w = gh_writer_of(list, sizeof list);
    EVP_PKEY *key;
    int rc;

    if (strlen(req->public_name) > GH_ECH_PUBLIC_NAME_MAX || req->public_name[0] == '*' || gh_ca_dns_check(req->public_name) < 0 ||
        ends_like_an_address(req->public_name))
        return refuse(GH_ERR_RANGE, ret_why, "\"%.140s\" is not a DNS name that can be a public name", req->public_name);
    key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    rc = key ? choose_id(req->beside, &id) : GH_ERR_CRYPTO;
    if (rc == 0)
        rc = emit_list(req, key, id, &w);
    if (rc == 0)
        rc = emit_pem(key, gh_span_of(list, gh_writer_len(&w)), ret);
    EVP_PKEY_free(key);
    return rc < 0 ? refuse(rc, ret_why, "a key cannot be made: %s", gh_error_text(rc)) : 0;
}
