#include "cli/ech.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/base64.h"
#include "base/error.h"
#include "cli/ca_dir_internal.h"
#include "cli/own_file.h"
#include "core/ech_file.h"
#include "policy/timestamp.h"

#define KEYS_FILE "/etc/gatehouse/ech.yaml"
#define DAY 86400

const char gh_cli_ech_usage[] =
    "ech generate --public-name NAME [--keys-file FILE] [--pem] [--force] [--json]\n"
    "       ech rotate [--public-name NAME] [--keep DAYS] [--keys-file FILE] [--json]\n"
    "       ech show [--keys-file FILE] [--keep DAYS] [--name NAME] [--alpn LIST] [--json]\n"
    "\n"
    "Keys of Encrypted ClientHello (RFC 9849). generate makes the first one, rotate one that is newer. The newest is announced; the older ones still\n"
    "open what clients made with them, for 30 days after the next one was born, and rotate removes them after that. A node reads\n"
    "the file again when it changes, and loses no connection.\n"
    "\n"
    "show, and what the others say in the end: the ECHConfigList of the newest key as base64, and as an HTTPS record for the DNS (RFC 9848).\n"
    "\n"
    "  --public-name NAME  what the world sees in place of the name that is meant: a name of this host\n"
    "                      (rotate: that of the newest key)\n"
    "  --keys-file FILE    the file with the keys, 0600 (" KEYS_FILE ")\n"
    "  --pem               write one key as PEM (RFC 9934), as other programs read it\n"
    "  --force             replace the file, and forget the keys in it\n"
    "  --keep DAYS         how long a key opens after the next one was born (30)\n"
    "  --name NAME         whose HTTPS record it is (the public name)\n"
    "  --alpn LIST         the protocols in that record (h2,h3)\n"
    "  --json              write the result as JSON\n"
    "\n"
    "examples:\n"
    "  gatehouse ech generate --public-name www.example.com\n"
    "  gatehouse ech rotate\n"
    "  gatehouse ech show --name app.example.com\n";

struct options {
    const struct gh_cli_verb *verb;
    const char *path, *public_name, *name, *alpn;
    int64_t keep;
    bool pem, force, json;
};

struct form {
    const char *name;
    int (*run)(const struct options *o);
    bool name_and_alpn, makes_first;
};

static int failed(const char *why)
{
    fprintf(stderr, "gatehouse ech: %s\n", why);
    return GH_EXIT_CHECK_FAILED;
}

/* ---- the file ---- */

static int complain(const char *path, const struct gh_conf_errors *errors, int rc)
{
    for (size_t i = 0; i < errors->count; i++) {
        if (errors->list[i].line)
            fprintf(stderr, "%s:%u:%u: %s\n", path, errors->list[i].line, errors->list[i].col, errors->list[i].text);
        else
            fprintf(stderr, "%s: %s\n", path, errors->list[i].text);
    }
    if (rc == GH_ERR_MEMORY)
        failed("out of memory");
    return GH_EXIT_CHECK_FAILED;
}

static int load(const struct options *o, struct gh_ech_file *ret)
{
    struct gh_conf_errors errors;
    char why[GH_CA_DIR_WHY], *text = NULL;
    struct stat st;
    size_t len = 0;
    int rc;

    if (ca_dir_read_file(o->path, GH_CONF_FILE_MAX, &text, &len, why) < 0)
        return failed(why);
    gh_conf_errors_init(&errors);
    if (stat(o->path, &st) < 0)
        st.st_mtime = time(NULL);
    rc = gh_ech_file_read(gh_span_of(text, len), st.st_mtime, o->keep, &errors, ret);
    ca_dir_free(text, len);
    rc = rc < 0 ? complain(o->path, &errors, rc) : 0;
    gh_conf_errors_fini(&errors);
    return rc;
}

static int save(const struct options *o, const char *text, size_t len, bool replace)
{
    char why[GH_CA_DIR_WHY];
    int rc = gh_own_file_save(o->path, text, len, replace, why);

    if (rc == GH_ERR_EXISTS)
        snprintf(why, sizeof why, "%.4000s exists already: rotate adds a key to it, --force replaces it", o->path);
    return rc < 0 ? failed(why) : 0;
}

static int save_list(const struct options *o, const struct gh_ech_file_key *keys, size_t count, bool replace)
{
    struct gh_text text;
    int rc;

    gh_text_init(&text, GH_CONF_FILE_MAX);
    gh_ech_file_emit(keys, count, &text);
    rc = text.failed ? failed("out of memory, or the list is too long") : save(o, text.data, text.len, replace);
    if (text.data)
        explicit_bzero(text.data, text.len);
    gh_text_fini(&text);
    return rc;
}

/* ---- what is said of it ---- */

static int print_json(const struct options *o, const struct gh_ech_file *f, const char *list, const char *record)
{
    json_t *root = json_pack("{s:i, s:s, s:s, s:s, s:[]}", "version", 1, "file", o->path, "config_list", list, "https_record", record, "keys");
    json_t *keys = json_object_get(root, "keys");
    struct gh_ech_key_info i;
    int rc = root ? 0 : -1;

    for (size_t n = 0; rc == 0 && gh_ech_keys_info(f->set, n, &i); n++) {
        json_t *key = json_pack("{s:i, s:s, s:I}", "config_id", i.config_id, "public_name", i.public_name, "born", (json_int_t)i.born);

        if (key && i.until != INT64_MAX)
            rc = json_object_set_new(key, "opens_until", json_integer((json_int_t)i.until));
        if (json_array_append_new(keys, key) < 0)
            rc = -1;
    }
    if (rc == 0 && json_dumpf(root, stdout, JSON_INDENT(2)) == 0)
        putchar('\n');
    else
        rc = -1;
    json_decref(root);
    return rc == 0 ? GH_EXIT_OK : failed("the result could not be written");
}

static int show_file(const struct options *o, const struct gh_ech_file *f)
{
    char list[GH_BASE64_TEXT(GH_ECH_LIST_MAX)], record[sizeof list + 700], day[GH_TIMESTAMP_TEXT], end[GH_TIMESTAMP_TEXT];
    struct gh_ech_key_info i;

    gh_ech_keys_info(f->set, 0, &i);
    gh_base64_encode(i.list, list);
    snprintf(record, sizeof record, "%s. 3600 IN HTTPS 1 . alpn=\"%s\" ech=\"%s\"", o->name ? o->name : i.public_name, o->alpn, list);
    if (o->json)
        return print_json(o, f, list, record);
    printf("ECHConfigList  %s\nHTTPS record   %s\n\n%3s  %-30s %-20s %s\n", list, record, "ID", "PUBLIC NAME", "BORN", "OPENS UNTIL");
    for (size_t n = 0; gh_ech_keys_info(f->set, n, &i); n++)
        printf("%3u  %-30s %-20s %s\n", i.config_id, i.public_name, gh_timestamp_emit(i.born, day),
               i.until == INT64_MAX ? "announced" : gh_timestamp_emit(i.until, end));
    return fflush(stdout) == 0 ? GH_EXIT_OK : failed("the result could not be written");
}

static int do_show(const struct options *o)
{
    struct gh_ech_file f;
    int rc = load(o, &f);

    if (rc)
        return rc;
    rc = show_file(o, &f);
    gh_ech_file_fini(&f);
    return rc;
}

/* ---- new keys ---- */

static int make(const char *public_name, const struct gh_ech_keys *beside, struct gh_pem *ret)
{
    /* no padding of names beyond what all do: the payload is then as long as the one that browsers send without a key */
    struct gh_ech_request req = { .public_name = public_name, .max_name_length = 0, .beside = beside };
    char why[GH_ECH_WHY];
    int rc = gh_ech_generate(&req, ret, why);

    if (rc == 0)
        return 0;
    failed(why);
    return rc == GH_ERR_RANGE ? GH_EXIT_USAGE : GH_EXIT_CHECK_FAILED;
}

static int do_generate(const struct options *o)
{
    struct gh_pem pem = { 0 };
    struct gh_ech_file_key key;
    int rc;

    if (!o->public_name)
        return gh_cli_usage(o->verb, "generate needs --public-name NAME");
    rc = make(o->public_name, NULL, &pem);
    if (rc)
        return rc;
    key = (struct gh_ech_file_key){ time(NULL), gh_span_of(pem.text, pem.len) };
    rc = o->pem ? save(o, pem.text, pem.len, o->force) : save_list(o, &key, 1, o->force);
    gh_pem_fini(&pem);
    return rc ? rc : do_show(o);
}

static int add_newest(const struct options *o, const struct gh_ech_file *f, int64_t now)
{
    struct gh_ech_file_key keys[GH_ECH_KEYS_MAX];
    struct gh_pem pem = { 0 };
    struct gh_ech_key_info i;
    size_t count = 1;
    int rc;

    gh_ech_keys_info(f->set, 0, &i);
    if (i.born > now)
        return failed("the newest key was born in the future: check this machine's clock");
    rc = make(o->public_name ? o->public_name : i.public_name, f->set, &pem);
    if (rc)
        return rc;
    keys[0] = (struct gh_ech_file_key){ now, gh_span_of(pem.text, pem.len) };
    for (size_t n = 0; gh_ech_keys_info(f->set, n, &i); n++) {
        if (n > 0 && i.until <= now)
            break; /* as are all behind it */
        if (count == GH_ECH_KEYS_MAX) {
            fprintf(stderr, "gatehouse ech: more than %u keys: the oldest are left out before their time\n", GH_ECH_KEYS_MAX);
            break;
        }
        keys[count++] = f->keys[n];
    }
    rc = save_list(o, keys, count, true);
    gh_pem_fini(&pem);
    return rc;
}

static int do_rotate(const struct options *o)
{
    struct gh_ech_file f;
    int rc = load(o, &f);

    if (rc)
        return rc;
    rc = add_newest(o, &f, time(NULL));
    gh_ech_file_fini(&f);
    return rc ? rc : do_show(o);
}

static bool parse_keep(const char *text, int64_t *ret)
{
    char *end;
    unsigned long days = text ? strtoul(text, &end, 10) : GH_ECH_KEEP / DAY;

    if (text && (*text < '0' || *text > '9' || *end || days > 3660))
        return false;
    *ret = (int64_t)days * DAY;
    return true;
}

/* What writes has the file for itself from reading it to showing what it is then. */
static int run(const struct form *form, const struct options *o)
{
    char why[GH_CA_DIR_WHY];
    int rc, lock = -1;

    if (!form->name_and_alpn && gh_own_file_lock(o->path, &lock, why) < 0)
        return failed(why);
    rc = form->run(o);
    if (lock >= 0)
        close(lock);
    return rc;
}

int gh_cli_ech(const struct gh_cli_verb *verb, int argc, char **argv)
{
    static const struct form verbs[] = { { "generate", do_generate, false, true }, { "rotate", do_rotate, false, false }, { "show", do_show, true, false } };
    struct options o = { .verb = verb, .path = gh_cli_take_option(&argc, argv, "--keys-file") };
    const char *keep = gh_cli_take_option(&argc, argv, "--keep"), *alpn = gh_cli_take_option(&argc, argv, "--alpn");

    o.public_name = gh_cli_take_option(&argc, argv, "--public-name");
    o.name = gh_cli_take_option(&argc, argv, "--name");
    o.pem = gh_cli_take_flag(&argc, argv, "--pem");
    o.force = gh_cli_take_flag(&argc, argv, "--force");
    o.json = gh_cli_take_flag(&argc, argv, "--json");
    o.alpn = alpn ? alpn : "h2,h3";
    o.path = o.path ? o.path : KEYS_FILE;
    if (argc != 2)
        return gh_cli_usage(verb, argc < 2 ? "say generate, rotate or show" : "too many words, or an option without its value");
    if (!parse_keep(keep, &o.keep))
        return gh_cli_usage(verb, "--keep takes days, 0 to 3660");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, argv[1]) != 0)
            continue;
        if (((o.name || alpn) && !verbs[i].name_and_alpn) || ((o.pem || o.force) && !verbs[i].makes_first) || (keep && verbs[i].makes_first) ||
            (o.public_name && verbs[i].name_and_alpn))
            return gh_cli_usage(verb, "an option is for another form of the verb");
        if (alpn && (!*alpn || strpbrk(alpn, "\"\\ ")))
            return gh_cli_usage(verb, "--alpn takes names with commas between them, as in h2,h3");
        if (o.name && (!*o.name || gh_ca_dns_check(o.name) < 0))
            return gh_cli_usage(verb, "--name takes a DNS name");
        return run(&verbs[i], &o);
    }
    return gh_cli_usage(verb, "no such form");
}
