#include "cli/user.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/error.h"
#include "cli/ca_dir_internal.h"
#include "cli/own_file.h"
#include "core/users_file.h"
#include "crypto/hash.h"

#define USERS_FILE "/etc/gatehouse/users"

const char gh_cli_user_usage[] =
    "user add NAME [--stdin] [--replace] [--users-file FILE] [--json]\n"
    "       user list [--users-file FILE] [--json]\n"
    "       user del NAME [--users-file FILE] [--json]\n"
    "\n"
    "Users who prove themselves by a token instead of a certificate (door.auth.users_file). The file has hashes alone: add says the token once, and nobody can\n"
    "find it out later. A node reads the file again when it changes; who is no longer in it is cut off.\n"
    "\n"
    "A token that add makes has 256 random bits and is kept as SHA-256. One that a person has thought of (--stdin) is kept as Argon2id, which takes some\n"
    "20 ms to verify for the first time.\n"
    "\n"
    "  NAME               client_id of policy and audit\n"
    "  --stdin            read the token from the first line of standard input\n"
    "  --replace          give a user who is there another token\n"
    "  --users-file FILE  the file with the users, 0600 (" USERS_FILE ")\n"
    "  --json             write the result as JSON\n"
    "\n"
    "examples:\n"
    "  gatehouse user add alice\n"
    "  gatehouse user list\n"
    "  gatehouse user del alice\n";

struct options {
    const struct gh_cli_verb *verb;
    const char *path, *name;
    char *token; /* GH_TOKEN_MAX + 2 bytes; from standard input, or to be made */
    bool from_stdin, replace, json;
};

struct form {
    const char *name;
    int (*run)(const struct options *o);
    bool adds, lists;
};

/* The file as it is, comments and all. */
struct file {
    char *text;
    size_t len;
    bool is_new;
    struct gh_users users;
};

static int failed(const char *why)
{
    fprintf(stderr, "gatehouse user: %s\n", why);
    return GH_EXIT_CHECK_FAILED;
}

/* ---- the file ---- */

static void unload(struct file *f)
{
    gh_users_fini(&f->users);
    ca_dir_free(f->text, f->len);
}

static int load(const struct options *o, bool may_be_missing, struct file *ret)
{
    struct gh_conf_errors errors;
    char why[GH_CA_DIR_WHY];
    int rc;

    *ret = (struct file){ .is_new = may_be_missing && access(o->path, F_OK) < 0 };
    if (!ret->is_new && ca_dir_read_file(o->path, GH_USERS_FILE_MAX, &ret->text, &ret->len, why) < 0)
        return failed(why);
    gh_conf_errors_init(&errors);
    rc = gh_users_read(gh_span_of(ret->text, ret->len), &errors, &ret->users);
    for (size_t i = 0; i < errors.count; i++)
        fprintf(stderr, "%s:%u:%u: %s\n", o->path, errors.list[i].line, errors.list[i].col, errors.list[i].text);
    gh_conf_errors_fini(&errors);
    if (rc == 0)
        return 0;
    unload(ret);
    return rc == GH_ERR_MEMORY ? failed("out of memory") : GH_EXIT_CHECK_FAILED;
}

/* Where the line <number> begins, and how many bytes it has, its end included. */
static size_t find_line(const struct file *f, unsigned number, size_t *ret_len)
{
    size_t at = 0;
    const char *end;

    for (unsigned i = 1; i < number; i++)
        at = (size_t)((const char *)memchr(f->text + at, '\n', f->len - at) - f->text) + 1;
    end = memchr(f->text + at, '\n', f->len - at);
    *ret_len = end ? (size_t)(end - f->text) + 1 - at : f->len - at;
    return at;
}

/* <line>, without its end, in place of the user's, or behind all; "": the user's goes. */
static int save(const struct options *o, const struct file *f, const struct gh_user *old, const char *line)
{
    char why[GH_CA_DIR_WHY], *text;
    size_t cut = 0, at = f->len, len = 0;
    int rc;

    if (old)
        at = find_line(f, old->line, &cut);
    text = malloc(f->len + strlen(line) + 3);
    if (!text)
        return failed("out of memory");
    if (at) {
        memcpy(text, f->text, at);
        len = at;
        if (text[len - 1] != '\n')
            text[len++] = '\n';
    }
    if (*line) {
        memcpy(text + len, line, strlen(line));
        len += strlen(line);
        text[len++] = '\n';
    }
    if (f->len > at + cut) {
        memcpy(text + len, f->text + at + cut, f->len - at - cut);
        len += f->len - at - cut;
    }
    rc = gh_own_file_save(o->path, text, len, !f->is_new, why);
    ca_dir_free(text, len);
    return rc < 0 ? failed(why) : 0;
}

static int put(const struct options *o, const struct file *f, const char *name, const struct gh_token_hash *hash)
{
    char text[GH_TOKEN_TEXT], line[GH_IDENTITY_NAME_MAX + 1 + GH_TOKEN_TEXT];

    snprintf(line, sizeof line, "%s:%s", name, gh_token_hash_emit(hash, text));
    return save(o, f, gh_users_find(&f->users, gh_span_str(name)), line);
}

int gh_user_put(const char *path, const char *name, const struct gh_token_hash *hash)
{
    const struct options o = { .path = path, .name = name };
    struct file f;
    int rc = load(&o, true, &f);

    if (rc)
        return rc;
    rc = put(&o, &f, name, hash);
    unload(&f);
    return rc;
}

/* ---- verbs ---- */

static int print_json(json_t *root)
{
    int rc = root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF && fflush(stdout) == 0 ? 0 : failed("the result could not be written");

    json_decref(root);
    return rc;
}

/* The first line; what is behind a blank belongs to it. */
static int read_token(char ret[GH_TOKEN_MAX + 2])
{
    size_t len;

    if (!fgets(ret, GH_TOKEN_MAX + 2, stdin))
        return failed("there is no token on standard input");
    len = strcspn(ret, "\r\n");
    if (len == 0 || len > GH_TOKEN_MAX || ret[len] == 0)
        return failed("the token must be one line of 1 to 256 bytes");
    ret[len] = 0;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)ret[i] < 0x20 || ret[i] == 0x7f)
            return failed("the token has a control character");
    return 0;
}

static int tell_added(const struct options *o, const char *token)
{
    if (o->json)
        return print_json(o->from_stdin ? json_pack("{s:i, s:s, s:s}", "version", 1, "file", o->path, "name", o->name)
                                        : json_pack("{s:i, s:s, s:s, s:s}", "version", 1, "file", o->path, "name", o->name, "token", token));
    if (o->from_stdin)
        printf("user   %s\n", o->name);
    else
        printf("user   %s\ntoken  %s\n", o->name, token);
    return fflush(stdout) == 0 ? GH_EXIT_OK : failed("the result could not be written");
}

static int do_add(const struct options *o)
{
    const struct gh_user *old;
    struct gh_token_hash h;
    struct file f;
    int rc = load(o, true, &f);

    if (rc)
        return rc;
    old = gh_users_find(&f.users, gh_span_str(o->name));
    if (old && !o->replace)
        rc = failed("there is such a user already: --replace gives another token");
    else if (!o->from_stdin && gh_token_make(o->token) < 0)
        rc = failed("there is no randomness");
    if (rc == 0 && gh_token_hash_make(gh_span_str(o->token), o->from_stdin ? GH_TOKEN_ARGON2ID : GH_TOKEN_SHA256, &h) < 0)
        rc = failed("the token cannot be hashed");
    if (rc == 0)
        rc = put(o, &f, o->name, &h);
    if (rc == 0)
        rc = tell_added(o, o->token);
    unload(&f);
    return rc;
}

static int do_del(const struct options *o)
{
    const struct gh_user *old;
    struct file f;
    int rc = load(o, false, &f);

    if (rc)
        return rc;
    old = gh_users_find(&f.users, gh_span_str(o->name));
    rc = old ? save(o, &f, old, "") : failed("there is no such user");
    unload(&f);
    if (rc)
        return rc;
    if (o->json)
        return print_json(json_pack("{s:i, s:s, s:s}", "version", 1, "file", o->path, "name", o->name));
    printf("%s is a user no more\n", o->name);
    return GH_EXIT_OK;
}

static const char *kind_of(const struct gh_user *u)
{
    return u->hash.kind == GH_TOKEN_ARGON2ID ? "argon2id" : "sha256";
}

static int do_list(const struct options *o)
{
    struct file f;
    json_t *root;
    int rc = load(o, false, &f);

    if (rc)
        return rc;
    if (o->json) {
        root = json_pack("{s:i, s:s, s:[]}", "version", 1, "file", o->path, "users");
        for (size_t i = 0; root && i < f.users.count; i++)
            if (json_array_append_new(json_object_get(root, "users"), json_pack("{s:s, s:s}", "name", f.users.list[i].name, "hash", kind_of(&f.users.list[i]))) < 0)
                rc = -1;
        if (rc < 0) {
            json_decref(root);
            root = NULL;
        }
        rc = print_json(root);
    } else {
        for (size_t i = 0; i < f.users.count; i++)
            printf("%-30s %s\n", f.users.list[i].name, kind_of(&f.users.list[i]));
        rc = fflush(stdout) == 0 ? GH_EXIT_OK : failed("the result could not be written");
    }
    unload(&f);
    return rc;
}

/* What writes has the file for itself from reading it to writing it. */
static int run(const struct form *form, struct options *o)
{
    char why[GH_CA_DIR_WHY], token[GH_TOKEN_MAX + 2] = "";
    int rc, lock = -1;

    o->token = token;
    if (o->from_stdin && read_token(token)) /* however long that takes */
        return GH_EXIT_CHECK_FAILED;
    if (!form->lists && gh_own_file_lock(o->path, &lock, why) < 0)
        return failed(why);
    rc = form->run(o);
    gh_wipe(token, sizeof token);
    if (lock >= 0)
        close(lock);
    return rc;
}

int gh_cli_user(const struct gh_cli_verb *verb, int argc, char **argv)
{
    static const struct form verbs[] = { { "add", do_add, true, false }, { "list", do_list, false, true }, { "del", do_del, false, false } };
    struct options o = { .verb = verb, .path = gh_cli_take_option(&argc, argv, "--users-file") };

    o.from_stdin = gh_cli_take_flag(&argc, argv, "--stdin");
    o.replace = gh_cli_take_flag(&argc, argv, "--replace");
    o.json = gh_cli_take_flag(&argc, argv, "--json");
    o.path = o.path ? o.path : USERS_FILE;
    if (argc < 2)
        return gh_cli_usage(verb, "say add, list or del");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, argv[1]) != 0)
            continue;
        if ((o.from_stdin || o.replace) && !verbs[i].adds)
            return gh_cli_usage(verb, "an option is for another form of the verb");
        if (argc != (verbs[i].lists ? 2 : 3))
            return gh_cli_usage(verb, verbs[i].lists ? "too many words, or an option without its value" : "give one NAME, and no token: that is read or made");
        o.name = verbs[i].lists ? NULL : argv[2];
        if (o.name && !gh_identity_name_valid(gh_span_str(o.name)))
            return gh_cli_usage(verb, "a NAME has 1 to 128 letters, digits, dots, hyphens or underscores");
        return run(&verbs[i], &o);
    }
    return gh_cli_usage(verb, "no such form");
}
