#include "crypto/token.h"

#include "base/error.h"

#include "../test.h"

static struct gh_token_hash parsed(const char *text)
{
    struct gh_token_hash h;
    const char *why = "";

    if (gh_token_hash_parse(gh_span_str(text), &h, &why) < 0)
        fail_msg("%s: %s", text, why);
    return h;
}

static int verify(const char *text, const char *token)
{
    struct gh_token_hash h = parsed(text);

    return gh_token_verify(&h, gh_span_str(token));
}

/* Test vectors of the reference implementation of Argon2 (phc-winner-argon2, src/test.c): password "password", salt "somesalt". */
#define TWO_PASSES "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
#define LITTLE_MEMORY "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
#define TWO_LANES "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
/* sha256sum of "password" */
#define DIGEST "sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"

static void tokens_are_verified_as_the_reference_does(void **state)
{
    static const char *const all[] = { TWO_PASSES, LITTLE_MEMORY, TWO_LANES, DIGEST };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(verify(all[i], "password"), 0);
        assert_int_equal(verify(all[i], "Password"), GH_ERR_DENIED);
        assert_int_equal(verify(all[i], "password "), GH_ERR_DENIED);
        assert_int_equal(verify(all[i], ""), GH_ERR_DENIED);
    }
}

static void a_hash_is_written_as_it_is_read(void **state)
{
    static const char *const all[] = { TWO_PASSES, LITTLE_MEMORY, TWO_LANES, DIGEST };
    char text[GH_TOKEN_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct gh_token_hash h = parsed(all[i]);

        assert_string_equal(gh_token_hash_emit(&h, text), all[i]);
    }
}

static void what_is_no_hash_or_asks_for_too_much_is_refused(void **state)
{
    static const struct {
        const char *text;
        int rc;
    } all[] = {
        { "", GH_ERR_UNSUPPORTED },
        { "secret", GH_ERR_UNSUPPORTED },
        { "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_UNSUPPORTED },
        { "sha256:", GH_ERR_MALFORMED },
        { "sha256:00", GH_ERR_MALFORMED },
        { DIGEST "0", GH_ERR_MALFORMED },
        { LITTLE_MEMORY "=", GH_ERR_MALFORMED },
        { LITTLE_MEMORY "$", GH_ERR_MALFORMED },
        { "$argon2id$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_MALFORMED },
        { "$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_UNSUPPORTED },
        { "$argon2id$v=19$m=0256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_MALFORMED },
        { "$argon2id$v=19$m=99999999999,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_MALFORMED },
        { "$argon2id$v=19$m=65537,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_RANGE },
        { "$argon2id$v=19$m=15,t=2,p=2$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_RANGE },
        { "$argon2id$v=19$m=256,t=11,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_RANGE },
        { "$argon2id$v=19$m=256,t=2,p=17$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_RANGE },
        { "$argon2id$v=19$m=256,t=2,p=1$c29tZQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", GH_ERR_RANGE },
        { "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4r", GH_ERR_RANGE },
    };
    struct gh_token_hash h;

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *why = NULL;

        if (gh_token_hash_parse(gh_span_str(all[i].text), &h, &why) != all[i].rc || !why)
            fail_msg("%s", all[i].text);
    }
}

static void what_was_made_is_verified(void **state)
{
    static char long_token[GH_TOKEN_MAX + 2];
    struct gh_token_hash a, b;
    char token[GH_TOKEN_MADE], other[GH_TOKEN_MADE], text[GH_TOKEN_TEXT];

    (void)state;
    assert_int_equal(gh_token_make(token), 0);
    assert_int_equal(gh_token_make(other), 0);
    assert_int_equal(strlen(token), GH_TOKEN_MADE - 1);
    assert_string_not_equal(token, other);
    for (int kind = GH_TOKEN_SHA256; kind <= GH_TOKEN_ARGON2ID; kind++) {
        assert_int_equal(gh_token_hash_make(gh_span_str(token), (enum gh_token_kind)kind, &a), 0);
        b = parsed(gh_token_hash_emit(&a, text));
        assert_int_equal(gh_token_verify(&b, gh_span_str(token)), 0);
        assert_int_equal(gh_token_verify(&b, gh_span_str(other)), GH_ERR_DENIED);
    }
    assert_int_equal(gh_token_hash_make(gh_span_str(token), GH_TOKEN_ARGON2ID, &b), 0);
    assert_memory_not_equal(a.salt, b.salt, a.salt_len);
    memset(long_token, 'a', sizeof long_token - 1);
    assert_int_equal(gh_token_hash_make(gh_span_str(long_token), GH_TOKEN_SHA256, &a), GH_ERR_TOO_LONG);
    assert_int_equal(gh_token_verify(&b, gh_span_str(long_token)), GH_ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_verified_as_the_reference_does),
        cmocka_unit_test(a_hash_is_written_as_it_is_read),
        cmocka_unit_test(what_is_no_hash_or_asks_for_too_much_is_refused),
        cmocka_unit_test(what_was_made_is_verified),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
