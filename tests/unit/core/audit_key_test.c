#include "core/audit_key.h"

#include "../test.h"
#include "base/error.h"
#include "crypto/seal.h"

static const uint8_t key[GH_AUDIT_KEY] = "0123456789abcdef0123456789abcde";

static struct gh_span span_of(const struct gh_text *t)
{
    return gh_span_of(t->data, t->len);
}

static struct gh_span pem_of(const struct gh_pem *p)
{
    return gh_span_of(p->text, p->len);
}

static void an_open_key_comes_back(void **state)
{
    char id[GH_AUDIT_ID_TEXT], expected[GH_AUDIT_ID_TEXT];
    uint8_t back[GH_AUDIT_KEY];
    struct gh_text t;

    (void)state;
    gh_text_init(&t, GH_AUDIT_KEY_FILE_MAX);
    assert_int_equal(gh_audit_key_emit(key, gh_span_of(NULL, 0), &t), 0);
    assert_int_equal(gh_audit_key_parse(span_of(&t), gh_span_of(NULL, 0), back, id), 0);
    assert_memory_equal(back, key, sizeof key);
    assert_int_equal(gh_audit_chain_id(key, expected), 0);
    assert_string_equal(id, expected);
    gh_text_fini(&t);
}

static void a_changed_file_is_refused(void **state)
{
    char id[GH_AUDIT_ID_TEXT];
    uint8_t back[GH_AUDIT_KEY];
    struct gh_text t;

    (void)state;
    gh_text_init(&t, GH_AUDIT_KEY_FILE_MAX);
    assert_int_equal(gh_audit_key_emit(key, gh_span_of(NULL, 0), &t), 0);
    for (size_t i = 0; i < t.len; i++) {
        char before = t.data[i];

        t.data[i] = before == '0' ? '1' : '0';
        assert_int_equal(gh_audit_key_parse(span_of(&t), gh_span_of(NULL, 0), back, id), GH_ERR_MALFORMED);
        t.data[i] = before;
        assert_int_equal(gh_audit_key_parse(gh_span_of(t.data, i), gh_span_of(NULL, 0), back, id), GH_ERR_MALFORMED);
    }
    gh_text_append(&t, "\n");
    assert_int_equal(gh_audit_key_parse(span_of(&t), gh_span_of(NULL, 0), back, id), GH_ERR_MALFORMED);
    gh_text_fini(&t);
}

static void a_sealed_key_opens_with_its_private_key_alone(void **state)
{
    struct gh_pem pub, priv, other_pub, other_priv;
    char id[GH_AUDIT_ID_TEXT];
    uint8_t back[GH_AUDIT_KEY];
    struct gh_text t;

    (void)state;
    assert_int_equal(gh_seal_keygen(&pub, &priv), 0);
    assert_int_equal(gh_seal_keygen(&other_pub, &other_priv), 0);
    gh_text_init(&t, GH_AUDIT_KEY_FILE_MAX);
    assert_int_equal(gh_audit_key_emit(key, pem_of(&pub), &t), 0);
    assert_int_equal(gh_audit_key_parse(span_of(&t), gh_span_of(NULL, 0), back, id), GH_ERR_STATE);
    assert_int_equal(gh_audit_key_parse(span_of(&t), pem_of(&other_priv), back, id), GH_ERR_DENIED);
    assert_int_equal(gh_audit_key_parse(span_of(&t), pem_of(&priv), back, id), 0);
    assert_memory_equal(back, key, sizeof key);
    gh_text_fini(&t);
    gh_pem_fini(&pub);
    gh_pem_fini(&priv);
    gh_pem_fini(&other_pub);
    gh_pem_fini(&other_priv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_key_comes_back),
        cmocka_unit_test(a_changed_file_is_refused),
        cmocka_unit_test(a_sealed_key_opens_with_its_private_key_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
