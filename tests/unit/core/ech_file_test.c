#include "core/ech_file.h"

#include <stdio.h>

#include "../crypto/ech_vectors.h"
#include "../test.h"
#include "base/error.h"

#define NOW ((int64_t)1800000000) /* 2027-01-15T08:00:00Z */
#define DAY ((int64_t)86400)
#define KEEP (30 * DAY)

static struct gh_conf_errors errors;

static int read_text(const char *text, struct gh_ech_file *ret)
{
    gh_conf_errors_fini(&errors);
    gh_conf_errors_init(&errors);
    return gh_ech_file_read(gh_span_str(text), NOW, KEEP, &errors, ret);
}

static struct gh_ech_key_info info_of(const struct gh_ech_file *f, size_t index)
{
    struct gh_ech_key_info i;

    assert_true(gh_ech_keys_info(f->set, index, &i));
    return i;
}

static int teardown(void **state)
{
    (void)state;
    gh_conf_errors_fini(&errors);
    return 0;
}

/* The PEM of Go as an item of a list: every line behind so many spaces. */
static const char *indented(unsigned by, char *ret, size_t cap)
{
    size_t len = 0;

    for (const char *at = go_pem; *at;) {
        size_t n = strcspn(at, "\n");

        len += (size_t)snprintf(ret + len, cap - len, "%*s%.*s\n", by, "", (int)n, at);
        at += n + 1;
    }
    return ret;
}

static void one_key_as_pem_is_as_old_as_the_file(void **state)
{
    struct gh_ech_file f;
    char text[1024];

    (void)state;
    snprintf(text, sizeof text, "# of Go\n%s", go_pem);
    assert_int_equal(read_text(text, &f), 0);
    assert_int_equal(f.count, 1);
    assert_int_equal(info_of(&f, 0).born, NOW);
    assert_string_equal(info_of(&f, 0).public_name, "cover.example");
    gh_ech_file_fini(&f);
    snprintf(text, sizeof text, "%s%s", go_pem, go_pem);
    assert_int_equal(read_text(text, &f), GH_ERR_MALFORMED);
    assert_int_equal(errors.count, 1);
}

static void a_list_has_the_newest_first(void **state)
{
    char pem[1024], text[4096];
    struct gh_ech_file f;

    (void)state;
    indented(4, pem, sizeof pem);
    snprintf(text, sizeof text, "- born: 2027-01-10\n  pem: |\n%s- |\n%s- born: 2026-12-01T00:00:00Z\n  pem: |\n%s", pem, pem, pem);
    assert_int_equal(read_text(text, &f), 0);
    assert_int_equal(f.count, 3);
    assert_int_equal(info_of(&f, 0).born, 1799539200);
    assert_int_equal(info_of(&f, 0).until, INT64_MAX);
    assert_int_equal(info_of(&f, 1).born, 1799539200); /* no younger than the one before */
    assert_int_equal(info_of(&f, 2).born, 1796083200);
    assert_int_equal(info_of(&f, 2).until, 1799539200 + KEEP);
    gh_ech_file_fini(&f);
    snprintf(text, sizeof text, "- |\n%s", pem);
    assert_int_equal(read_text(text, &f), 0);
    assert_int_equal(info_of(&f, 0).born, NOW);
    gh_ech_file_fini(&f);
}

static void what_is_written_is_what_is_read(void **state)
{
    const struct gh_ech_file_key keys[] = { { NOW, gh_span_str(go_pem) }, { NOW - 5 * DAY, gh_span_str(go_pem) } };
    struct gh_ech_file f;
    struct gh_text text;

    (void)state;
    gh_text_init(&text, 65536);
    gh_ech_file_emit(keys, 2, &text);
    assert_false(text.failed);
    assert_int_equal(read_text(gh_text_string(&text), &f), 0);
    assert_int_equal(f.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f.keys[i].born, keys[i].born);
        assert_true(gh_span_equals(f.keys[i].pem, keys[i].pem));
    }
    gh_text_fini(&text);
    gh_ech_file_fini(&f);
}

static void every_mistake_is_told_with_its_place(void **state)
{
    static const struct {
        const char *text;
        unsigned line, col;
        const char *says;
    } bad[] = {
        { "", 1, 1, "neither the PEM" },
        { "keys: []\n", 1, 1, "neither the PEM" },
        { "[]\n", 1, 1, "no key" },
        { "- born: yesterday\n  pem: x\n", 1, 9, "2026-01-31T18:00:00Z" },
        { "- born: 2026-01-01\n", 1, 3, "needs pem" },
        { "- x: 1\n", 1, 3, "not known" },
        { "- [a]\n", 1, 3, "born and pem" },
        { "- pem: [a]\n", 1, 8, "text" },
        { "- hello\n", 1, 3, "no PEM block" },
        { "- pem: &a x\n", 1, 8, "" },
        { "-----END PRIVATE KEY-----\n", 1, 1, "neither the PEM" },
    };
    char pem[1024], text[4096];
    struct gh_ech_file f;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_text(bad[i].text, &f), GH_ERR_MALFORMED);
        assert_true(errors.count > 0);
        if (errors.list[0].line != bad[i].line || errors.list[0].col != bad[i].col || !strstr(errors.list[0].text, bad[i].says))
            fail_msg("%s: %u:%u: %s", bad[i].text, errors.list[0].line, errors.list[0].col, errors.list[0].text);
    }
    indented(4, pem, sizeof pem);
    snprintf(text, sizeof text, "- born: 2026-01-01\n  pem: |\n%s- born: 2026-01-02\n  pem: |\n%s", pem, pem);
    assert_int_equal(read_text(text, &f), GH_ERR_MALFORMED);
    assert_non_null(strstr(errors.list[0].text, "the newest comes first"));
}

static void a_list_has_an_end(void **state)
{
    char *text = malloc(65536), pem[1024];
    struct gh_ech_file f;
    size_t len = 0;

    (void)state;
    assert_non_null(text);
    indented(2, pem, sizeof pem);
    for (size_t i = 0; i < GH_ECH_KEYS_MAX; i++)
        len += (size_t)snprintf(text + len, 65536 - len, "- |\n%s", pem);
    assert_int_equal(read_text(text, &f), 0);
    assert_int_equal(f.count, GH_ECH_KEYS_MAX);
    gh_ech_file_fini(&f);
    snprintf(text + len, 65536 - len, "- |\n%s", pem);
    assert_int_equal(read_text(text, &f), GH_ERR_MALFORMED);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_key_as_pem_is_as_old_as_the_file, teardown),
        cmocka_unit_test_teardown(a_list_has_the_newest_first, teardown),
        cmocka_unit_test_teardown(what_is_written_is_what_is_read, teardown),
        cmocka_unit_test_teardown(every_mistake_is_told_with_its_place, teardown),
        cmocka_unit_test_teardown(a_list_has_an_end, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
