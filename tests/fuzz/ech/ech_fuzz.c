/* Encrypted ClientHello, from what comes in a file to what comes from a stranger.
 *
 * The first byte says what the rest is: 'P' a PEM text of a key, 'L' an ECHConfigList that a server gave, 'O' a ClientHello with whatever ECH there is in it, 'I' what is
 * sealed in one, which opens by all means: then what is read from it must be what was sealed. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../unit/crypto/ech_vectors.h"
#include "../../unit/proto/ech/forge.h"
#include "base/error.h"
#include "base/hex.h"
#include "proto/ech/ech_hello.h"

#define REQUIRE(x)   \
    do {             \
        if (!(x))    \
            abort(); \
    } while (0)

#define NOW ((int64_t)1800000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gh_ech_keys *go_keys(struct gh_span *ret_list)
{
    struct gh_ech_keys *k = NULL;
    struct gh_ech_key_info i;
    char why[GH_ECH_WHY];

    REQUIRE(gh_ech_keys_create(GH_ECH_KEEP, &k) == 0 && gh_ech_keys_add(k, gh_span_str(go_pem), NOW, why) == 0 && gh_ech_keys_info(k, 0, &i));
    *ret_list = i.list;
    return k;
}

/* A key that is taken has a list whose first usable name, if any, is a name; and can be taken again from the same text. */
static void pem(struct gh_span text)
{
    struct gh_ech_keys *k = NULL;
    struct gh_ech_key_info i, again;
    char why[GH_ECH_WHY] = "", name[GH_ECH_PUBLIC_NAME_MAX + 1];
    int rc;

    REQUIRE(gh_ech_keys_create(GH_ECH_KEEP, &k) == 0);
    rc = gh_ech_keys_add(k, text, NOW, why);
    if (rc < 0) {
        REQUIRE(why[0] && gh_ech_keys_count(k) == 0);
    } else {
        REQUIRE(gh_ech_keys_info(k, 0, &i) && i.public_name[0] && i.list.len > 2 && i.list.len <= GH_ECH_LIST_MAX);
        REQUIRE(gh_ech_keys_has_public_name(k, i.public_name, NOW));
        rc = gh_ech_list_public_name(i.list, name);
        REQUIRE(rc == 0 ? name[0] && strlen(name) <= GH_ECH_PUBLIC_NAME_MAX : rc == GH_ERR_UNSUPPORTED);
        REQUIRE(gh_ech_keys_add(k, text, NOW, why) == 0 && gh_ech_keys_info(k, 1, &again));
        REQUIRE(gh_span_equals(i.list, again.list) && i.config_id == again.config_id);
    }
    gh_ech_keys_put(k);
}

static void outer(struct gh_span body)
{
    struct gh_ech_hello *r = malloc(sizeof *r);
    struct gh_tls_hello h;
    struct gh_span list;
    struct gh_ech_keys *k = go_keys(&list);
    uint8_t *exact = malloc(body.len ? body.len : 1); /* the sanitizer sees a step beside it */

    REQUIRE(r && exact);
    if (body.len)
        memcpy(exact, body.data, body.len);
    if (gh_tls_hello_parse(gh_span_of(exact, body.len), &h) == 0) {
        int rc = gh_ech_hello_open(k, &h, NOW, r);

        REQUIRE(rc == 0 || rc == 1 || rc == GH_ERR_MALFORMED);
        REQUIRE(rc == 0 || h.ech.config_id == 42); /* the key's */
    }
    free(exact);
    free(r);
    gh_ech_keys_put(k);
}

static void inner(struct gh_span sealed)
{
    static const char extensions[] = "0000001200100000" "0d636f7665722e6578616d706c65" /* server_name */
                                     "00100005" "0003026832" "002b0003" "020304" "000a0004" "0002001d";
    uint8_t others[sizeof extensions / 2];
    struct gh_ech_hello *r = malloc(sizeof *r);
    struct forge *f = malloc(sizeof *f);
    struct gh_tls_hello h;
    struct gh_span list;
    struct gh_ech_keys *k = go_keys(&list);
    int rc;

    REQUIRE(r && f);
    if (sealed.len > GH_ECH_PAYLOAD_MAX - FORGE_TAG)
        sealed.len = GH_ECH_PAYLOAD_MAX - FORGE_TAG;
    REQUIRE(gh_hex_decode(gh_span_str(extensions), GH_HEX_LOWER, others, sizeof others));
    forge_hello(list, gh_span_of(others, sizeof others), sealed, f);
    REQUIRE(gh_tls_hello_parse(gh_span_of(f->body, f->len), &h) == 0);
    rc = gh_ech_hello_open(k, &h, NOW, r);
    REQUIRE(rc == 1 || rc == GH_ERR_MALFORMED);
    REQUIRE(r->opened.key == 0 && gh_span_equals(gh_span_of(r->opened.inner, r->opened.len), sealed));
    if (rc == 1) {
        REQUIRE(strlen(r->inner.sni) < sizeof r->inner.sni);
        REQUIRE(gh_tls_hello_offers(&r->inner, 0x0304));
        REQUIRE(gh_span_equals(r->inner.session_id, h.session_id));
    }
    free(f);
    free(r);
    gh_ech_keys_put(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_span rest = gh_span_of(data + 1, size - 1);
    char name[GH_ECH_PUBLIC_NAME_MAX + 1];

    if (size == 0)
        return 0;
    switch (data[0]) {
    case 'P':
        pem(rest);
        break;
    case 'L':
        if (gh_ech_list_public_name(rest, name) == 0)
            REQUIRE(name[0] && strlen(name) <= GH_ECH_PUBLIC_NAME_MAX);
        break;
    case 'O':
        outer(rest);
        break;
    case 'I':
        if (rest.len) /* the library seals nothing else */
            inner(rest);
        break;
    default:
        break;
    }
    return 0;
}
