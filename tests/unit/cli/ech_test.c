#include "cli/ech.h"

#include <sys/wait.h>

#include <jansson.h>

#include "../crypto/ech_vectors.h"
#include "base/base64.h"
#include "core/ech_file.h"
#include "place.h"

static const struct gh_cli_verb verb = { "ech", NULL, "", gh_cli_ech_usage, NULL, gh_cli_ech };

static int call(int argc, char **argv)
{
    return gh_cli_ech(&verb, argc, argv);
}

/* Words separated by one space; "ech.yaml" is the file. */
static int ech(struct place *p, const char *words)
{
    char line[1024];

    snprintf(line, sizeof line, "%s --keys-file ech.yaml", words);
    return place_run(p, "ech", line, call);
}

static void ok(struct place *p, const char *words)
{
    place_is_ok(p, ech(p, words), words);
    assert_string_equal(p->err, "");
}

static void fails(struct place *p, int code, const char *words, const char *says)
{
    place_has_failed(p, ech(p, words), words, code, says);
}

static void spill(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static json_t *json_of(struct place *p, const char *words)
{
    json_t *o;

    ok(p, words);
    o = json_loads(p->out, 0, NULL);
    assert_non_null(o);
    return o;
}

static size_t leftovers(void)
{
    FILE *f = popen("ls -A | wc -l", "r");
    unsigned n = 99;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    pclose(f);
    return n;
}

static void a_first_key_is_made_and_shown(void **state)
{
    struct place *p = *state;
    mode_t old = umask(0);
    uint8_t list[GH_ECH_LIST_MAX];
    char name[GH_ECH_PUBLIC_NAME_MAX + 1], record[512];
    const char *text;
    json_t *o;
    size_t len;

    ok(p, "generate --public-name cover.example");
    umask(old);
    assert_int_equal(place_mode_of("ech.yaml"), 0600);
    assert_int_equal(leftovers(), 1);
    assert_non_null(strstr(p->out, "announced"));
    o = json_of(p, "show --json");
    assert_int_equal(json_integer_value(json_object_get(o, "version")), 1);
    text = json_string_value(json_object_get(o, "config_list"));
    assert_int_equal(gh_base64_decode(gh_span_str(text), list, &len), 0);
    assert_int_equal(gh_ech_list_public_name(gh_span_of(list, len), name), 0);
    assert_string_equal(name, "cover.example");
    snprintf(record, sizeof record, "cover.example. 3600 IN HTTPS 1 . alpn=\"h2,h3\" ech=\"%s\"", text);
    assert_string_equal(json_string_value(json_object_get(o, "https_record")), record);
    ok(p, "show --name app.example --alpn h2");
    snprintf(record, sizeof record, "app.example. 3600 IN HTTPS 1 . alpn=\"h2\" ech=\"%s\"", text);
    assert_non_null(strstr(p->out, record));
    json_decref(o);
}

static void keys_are_never_replaced_unasked(void **state)
{
    struct place *p = *state;
    char before[8192], after[8192];

    ok(p, "generate --public-name cover.example");
    place_slurp("ech.yaml", before);
    fails(p, 1, "generate --public-name cover.example", "--force");
    place_slurp("ech.yaml", after);
    assert_string_equal(before, after);
    assert_int_equal(leftovers(), 1);
    ok(p, "generate --public-name cover.example --force");
    place_slurp("ech.yaml", after);
    assert_string_not_equal(before, after);
    assert_int_equal(place_mode_of("ech.yaml"), 0600);
}

static void rotation_adds_a_key_of_the_same_name_in_front(void **state)
{
    struct place *p = *state;
    json_t *o, *keys, *second;
    json_int_t first_id;

    ok(p, "generate --public-name cover.example");
    o = json_of(p, "show --json");
    first_id = json_integer_value(json_object_get(json_array_get(json_object_get(o, "keys"), 0), "config_id"));
    json_decref(o);
    o = json_of(p, "rotate --json");
    keys = json_object_get(o, "keys");
    assert_int_equal(json_array_size(keys), 2);
    assert_null(json_object_get(json_array_get(keys, 0), "opens_until"));
    assert_string_equal(json_string_value(json_object_get(json_array_get(keys, 0), "public_name")), "cover.example");
    second = json_array_get(keys, 1);
    assert_int_equal(json_integer_value(json_object_get(second, "config_id")), first_id);
    assert_int_not_equal(json_integer_value(json_object_get(json_array_get(keys, 0), "config_id")), first_id);
    assert_int_equal(json_integer_value(json_object_get(second, "opens_until")),
                     json_integer_value(json_object_get(json_array_get(keys, 0), "born")) + 30 * 86400);
    json_decref(o);
    o = json_of(p, "rotate --public-name other.example --json");
    keys = json_object_get(o, "keys");
    assert_int_equal(json_array_size(keys), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(keys, 0), "public_name")), "other.example");
    json_decref(o);
    assert_int_equal(place_mode_of("ech.yaml"), 0600);
    assert_int_equal(leftovers(), 1);
    ok(p, "rotate --keep 0"); /* the others' time is up: all but the one that was the newest until now, and it as well */
    o = json_of(p, "show --json");
    assert_int_equal(json_array_size(json_object_get(o, "keys")), 2);
    json_decref(o);
}

static void a_pem_of_another_program_becomes_a_list(void **state)
{
    struct place *p = *state;
    json_t *o, *keys;

    spill("ech.yaml", go_pem);
    o = json_of(p, "show --json");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(o, "keys"), 0), "config_id")), 42);
    json_decref(o);
    o = json_of(p, "rotate --json");
    keys = json_object_get(o, "keys");
    assert_int_equal(json_array_size(keys), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(keys, 1), "config_id")), 42);
    json_decref(o);
    ok(p, "generate --public-name cover.example --pem --force");
    {
        char text[8192];

        place_slurp("ech.yaml", text);
        assert_int_equal(strncmp(text, "-----BEGIN PRIVATE KEY-----", 27), 0);
        assert_non_null(strstr(text, "-----BEGIN ECHCONFIG-----"));
    }
    ok(p, "show");
}

/* What one of them reads the others may not have changed when it writes. */
static void rotations_at_the_same_time_lose_no_key(void **state)
{
    enum { TOGETHER = 5 };
    struct place *p = *state;
    pid_t pids[TOGETHER];
    json_t *o;
    int go[2];
    char c;

    ok(p, "generate --public-name cover.example");
    assert_int_equal(pipe(go), 0);
    for (int n = 0; n < TOGETHER; n++) {
        pids[n] = fork();
        assert_true(pids[n] >= 0);
        if (pids[n] == 0) {
            char *argv[] = { (char *)"ech", (char *)"rotate", (char *)"--keys-file", n & 1 ? (char *)"ech.yaml" : (char *)"./ech.yaml", NULL };

            close(go[1]);
            if (read(go[0], &c, 1) != 0 || !freopen("/dev/null", "w", stdout)) /* the end comes to all at once */
                _exit(9);
            _exit(gh_cli_ech(&verb, 4, argv));
        }
    }
    close(go[0]);
    close(go[1]);
    for (int n = 0; n < TOGETHER; n++) {
        int status;

        assert_int_equal(waitpid(pids[n], &status, 0), pids[n]);
        assert_int_equal(status, 0);
    }
    o = json_of(p, "show --json");
    assert_int_equal(json_array_size(json_object_get(o, "keys")), TOGETHER + 1);
    json_decref(o);
    assert_int_equal(leftovers(), 1);
}

static void mistakes_are_told_and_change_nothing(void **state)
{
    struct place *p = *state;

    fails(p, 1, "show", "No such file");
    fails(p, 1, "rotate", "No such file");
    fails(p, 2, "generate", "--public-name");
    fails(p, 2, "generate --public-name 192.0.2.1", "192.0.2.1");
    fails(p, 2, "generate --public-name *.example", "public name");
    fails(p, 2, "", "say generate");
    fails(p, 2, "destroy", "no such form");
    fails(p, 2, "generate extra --public-name cover.example", "too many");
    fails(p, 2, "show --public-name cover.example", "another form");
    fails(p, 2, "rotate --pem", "another form");
    fails(p, 2, "generate --public-name cover.example --keep 3", "another form");
    fails(p, 2, "rotate --keep tomorrow", "--keep");
    fails(p, 2, "show --alpn a\"b", "--alpn");
    fails(p, 2, "show --name a..b", "--name");
    assert_int_equal(leftovers(), 0);
    spill("ech.yaml", "- pem: hello\n- born: soon\n  pem: x\n");
    fails(p, 1, "show", "ech.yaml:1:8: there is no PEM block");
    fails(p, 1, "rotate", "ech.yaml:2:9: born");
    assert_int_equal(leftovers(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_first_key_is_made_and_shown, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(keys_are_never_replaced_unasked, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(rotation_adds_a_key_of_the_same_name_in_front, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_pem_of_another_program_becomes_a_list, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(rotations_at_the_same_time_lose_no_key, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_told_and_change_nothing, place_setup, place_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
