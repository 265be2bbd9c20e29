#include "cli/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "core/audit_key.h"
#include "core/audit_state.h"
#include "core/text.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "os/folder.h"

#define PATH_MAX_LEN 4096

const char gh_cli_audit_usage[] =
    "audit init --out FILE [--seal-to PUBLIC] [--state DIR] [--json]\n"
    "       audit keygen --out NAME\n"
    "       audit verify FILE... --key FILE [--unseal PRIVATE] [--state FILE] [--at TIME] [--complete] [--json]\n"
    "\n"
    "  init     begins the chain of a node: makes its first key, puts it into the state folder, where the node moves it on\n"
    "           with every record, and writes a copy for whoever verifies: keep that copy away from the node\n"
    "  keygen   makes NAME.pub and NAME.key, for --seal-to, audit.seal_to and --unseal\n"
    "  verify   checks audit files, in any order: finds records that were changed, removed, moved or inserted, and a tail that\n"
    "           was cut, and names file, line and sequence number of each\n"
    "\n"
    "  --out FILE         where the copy of the key goes; - is standard output\n"
    "  --seal-to PUBLIC   only the holder of the private key can read the copy (X25519, PEM)\n"
    "  --state DIR        init: the node's state folder (/var/lib/gatehouse)\n"
    "  --key FILE         what init wrote, or the node's audit.sealed\n"
    "  --unseal PRIVATE   the private key, when FILE is sealed\n"
    "  --state FILE       verify: the node's audit.chain, which tells how many records there must be\n"
    "  --at TIME          when the files were taken from the node (2030-01-31T18:00:00Z); now, if not given\n"
    "  --complete         the first record must be number 0; otherwise the first file may be a later one\n"
    "\n"
    "examples: gatehouse audit init --out audit.key\n"
    "          gatehouse audit verify /var/log/gatehouse/audit.log* --key audit.key\n"
    "          journalctl -t gatehouse-audit -o cat | gatehouse audit verify - --key audit.key\n"
    "\n"
    "exit codes: 0 nothing is wrong, 1 something is (init, keygen: it failed), 2 usage, or a file cannot be read.";

static int failed(const char *path, const char *why)
{
    fprintf(stderr, "gatehouse audit: %s: %s\n", path, why);
    return GH_EXIT_CHECK_FAILED;
}

int gh_cli_audit_read(const char *path, size_t limit, struct gh_text *ret)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    char buf[4096];
    ssize_t n;

    if (fd < 0) {
        failed(path, strerror(errno));
        return GH_ERR_SYSTEM;
    }
    gh_text_init(ret, limit);
    while ((n = read(fd, buf, sizeof buf)) > 0 && !ret->failed)
        gh_text_append_span(ret, gh_span_of(buf, (size_t)n));
    if (n < 0 || ret->failed) {
        failed(path, n < 0 ? strerror(errno) : "it is too long");
        gh_text_fini(ret);
        rc = n < 0 ? GH_ERR_SYSTEM : GH_ERR_TOO_LONG;
    }
    gh_wipe(buf, sizeof buf);
    if (fd != STDIN_FILENO)
        close(fd);
    return rc;
}

/* Never over a file that is there. */
static int write_new(const char *path, const char *data, size_t len)
{
    int fd;
    bool ok;

    if (strcmp(path, "-") == 0)
        return fwrite(data, 1, len, stdout) == len ? 0 : GH_ERR_SYSTEM;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        failed(path, strerror(errno));
        return GH_ERR_SYSTEM;
    }
    ok = write(fd, data, len) == (ssize_t)len && fsync(fd) == 0;
    if (close(fd) < 0 || !ok) {
        failed(path, "it cannot be written");
        unlink(path);
        return GH_ERR_SYSTEM;
    }
    return 0;
}

static int say_begun(const char *id, const char *dir, const char *out, bool sealed, bool json)
{
    json_t *o;

    if (!json) {
        /* standard output may be the key itself */
        fprintf(strcmp(out, "-") == 0 ? stderr : stdout, "chain %s begins in %s/%s\n%s: %s; move it away from this machine\n", id, dir,
                GH_AUDIT_STATE_FILE, strcmp(out, "-") == 0 ? "standard output" : out, sealed ? "its first key, sealed" : "its first key");
        return GH_EXIT_OK;
    }
    o = json_pack("{s:i, s:s, s:s+, s:s, s:b}", "version", 1, "chain", id, "state", dir, "/" GH_AUDIT_STATE_FILE, "key", out, "sealed", sealed);
    if (o)
        json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
    return o ? GH_EXIT_OK : GH_EXIT_CHECK_FAILED;
}

/* The state belongs to whom its folder belongs to; the node's parent hands both over when the node runs as somebody else. */
static int give(int dir)
{
    struct stat st;

    if (geteuid() != 0 || fstat(dir, &st) < 0)
        return 0;
    return fchownat(dir, GH_AUDIT_STATE_FILE, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
}

/* State first: it is refused when there is a chain already, and then no key was written anywhere. */
static int begin(const char *dir, const uint8_t key[GH_AUDIT_KEY], const char *out, const struct gh_text *file)
{
    int fd, rc;

    if (gh_folder_make(dir, 0700) < 0 || (fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return failed(dir, strerror(errno));
    rc = gh_audit_state_create(fd, key);
    if (rc < 0) {
        failed(dir, rc == GH_ERR_EXISTS ? "there is a chain already (audit.chain); it goes on for as long as the file is there" : strerror(errno));
    } else {
        rc = give(fd);
        if (rc < 0)
            failed(dir, strerror(errno));
        else
            rc = write_new(out, file->data, file->len);
        if (rc < 0)
            unlinkat(fd, GH_AUDIT_STATE_FILE, 0);
    }
    close(fd);
    return rc < 0 ? GH_EXIT_CHECK_FAILED : GH_EXIT_OK;
}

static int init(const char *dir, const char *out, const char *seal_to, bool json)
{
    struct gh_text pem = { 0 }, file;
    uint8_t key[GH_AUDIT_KEY];
    char id[GH_AUDIT_ID_TEXT] = "";
    int rc, code;

    if (seal_to && gh_cli_audit_read(seal_to, GH_AUDIT_KEY_FILE_MAX, &pem) < 0)
        return GH_EXIT_USAGE;
    gh_text_init(&file, GH_AUDIT_KEY_FILE_MAX);
    rc = gh_random_bytes(key, sizeof key);
    if (rc == 0)
        rc = gh_audit_key_emit(key, seal_to ? gh_span_of(pem.data, pem.len) : gh_span_of(NULL, 0), &file);
    if (rc == 0)
        rc = gh_audit_chain_id(key, id);
    if (rc == GH_ERR_MALFORMED || (seal_to && pem.len == 0))
        code = failed(seal_to ? seal_to : out, "not an X25519 public key in PEM");
    else
        code = rc < 0 ? failed(out, gh_error_text(rc)) : begin(dir, key, out, &file);
    gh_wipe(key, sizeof key);
    gh_wipe(file.data, file.len);
    gh_text_fini(&file);
    gh_text_fini(&pem);
    return code ? code : say_begun(id, dir, out, seal_to != NULL, json);
}

static int keygen(const char *name)
{
    struct gh_pem pub = { 0 }, priv = { 0 };
    char path[PATH_MAX_LEN];
    int rc = gh_seal_keygen(&pub, &priv);

    if (rc < 0)
        return failed(name, gh_error_text(rc));
    snprintf(path, sizeof path, "%s.key", name);
    rc = write_new(path, priv.text, priv.len);
    if (rc == 0) {
        snprintf(path, sizeof path, "%s.pub", name);
        rc = write_new(path, pub.text, pub.len);
    }
    gh_pem_fini(&pub);
    gh_pem_fini(&priv);
    if (rc == 0)
        printf("%s.pub: for the node; %s.key: for whoever verifies\n", name, name);
    return rc < 0 ? GH_EXIT_CHECK_FAILED : GH_EXIT_OK;
}

int gh_cli_audit(const struct gh_cli_verb *verb, int argc, char **argv)
{
    struct gh_audit_verify_options o = {
        .json = gh_cli_take_flag(&argc, argv, "--json"),
        .complete = gh_cli_take_flag(&argc, argv, "--complete"),
        .key = gh_cli_take_option(&argc, argv, "--key"),
        .unseal = gh_cli_take_option(&argc, argv, "--unseal"),
        .state = gh_cli_take_option(&argc, argv, "--state"),
        .at = gh_cli_take_option(&argc, argv, "--at"),
    };
    const char *out = gh_cli_take_option(&argc, argv, "--out"), *seal_to = gh_cli_take_option(&argc, argv, "--seal-to");
    const char *what = argc > 1 ? argv[1] : "";
    bool verifies = o.key || o.unseal || o.at || o.complete;

    for (int i = 1; i < argc; i++)
        if (argv[i][0] == '-' && argv[i][1])
            return gh_cli_usage(verb, "an option that is not known, or without its value");
    if (strcmp(what, "verify") == 0) {
        o.files = argv + 2;
        o.file_count = argc - 2;
        if (out || seal_to || !o.key || o.file_count < 1)
            return gh_cli_usage(verb, "verify takes files and --key");
        return gh_cli_audit_verify(&o);
    }
    if (verifies || !out || !*out)
        return gh_cli_usage(verb, *what && !verifies ? "--out is needed" : "say what to do: init, keygen or verify");
    if (argc != 2)
        return gh_cli_usage(verb, "it takes options only");
    if (strcmp(what, "init") == 0)
        return init(o.state ? o.state : "/var/lib/gatehouse", out, seal_to, o.json);
    if (strcmp(what, "keygen") == 0 && !seal_to && !o.state && strcmp(out, "-") != 0)
        return keygen(out);
    return gh_cli_usage(verb, "say what to do: init, keygen or verify");
}
