#include "cli/link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/ca_dir.h"
#include "core/node_conf.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "wire/link.h"

#define NAME "link" /* in the state folder */

const char gh_cli_link_usage[] =
    "link [--state-dir DIR]\n"
    "       link --user NAME --stdin [--state-dir DIR]\n"
    "\n"
    "Prints the connection link that gatehoused made at its first start, which `gatehouse-agent up` takes. There is a token in it: keep it as a password.\n"
    "\n"
    "  --user NAME      the same for another user (gatehouse user add), whose token is\n"
    "  --stdin          the first line of standard input\n"
    "  --state-dir DIR  the node's state folder (/var/lib/gatehouse, or what GATEHOUSE_NODE_STATE_DIR says)\n"
    "\n"
    "example: gatehouse link --user alice --stdin\n"
    "exit codes: 0 done, 1 there is no link, 2 usage, 5 no permission";

/* node.state_dir as the environment or the default has it. */
static bool state_dir(const char *given, char ret[GH_CA_DIR_PATH])
{
    const struct gh_conf_section *const sections[] = { &gh_conf_section_node, NULL };
    const struct gh_conf_input in = { .yaml = gh_span_str(""), .file = "environment", .env = (const char *const *)environ, .sections = sections };
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_node_conf node;
    int n = given ? snprintf(ret, GH_CA_DIR_PATH, "%s", given) : -1;

    gh_conf_errors_init(&errors);
    if (!given && gh_conf_parse(&in, &errors, &conf) == 0) {
        gh_node_conf_load(conf, &node);
        n = snprintf(ret, GH_CA_DIR_PATH, "%s", node.state_dir);
    }
    if (errors.count)
        fprintf(stderr, "gatehouse link: %s\n", errors.list[0].text);
    gh_conf_destroy(conf);
    gh_conf_errors_fini(&errors);
    return n > 0 && n < (int)GH_CA_DIR_PATH;
}

static bool read_line(FILE *in, char *ret, size_t cap)
{
    bool good = fgets(ret, (int)cap, in) != NULL;

    if (good)
        ret[strcspn(ret, "\r\n")] = 0;
    return good && *ret;
}

static int read_link(const char *dir, char ret[GH_LINK_MAX + 2])
{
    char path[GH_CA_DIR_PATH + 8];
    int code = GH_EXIT_CHECK_FAILED;
    FILE *in;

    snprintf(path, sizeof path, "%s/" NAME, dir);
    in = fopen(path, "re");
    if (!in && errno == ENOENT) {
        fprintf(stderr, "gatehouse link: %s: there is none; gatehoused makes one when it starts without a configuration\n", path);
    } else if (!in) {
        code = errno == EACCES ? GH_EXIT_DENIED : GH_EXIT_CHECK_FAILED;
        fprintf(stderr, "gatehouse link: %s: %s\n", path, strerror(errno));
    } else {
        setvbuf(in, NULL, _IONBF, 0); /* no copy stays behind */
        code = read_line(in, ret, GH_LINK_MAX + 2) ? GH_EXIT_OK : GH_EXIT_CHECK_FAILED;
        if (code != GH_EXIT_OK)
            fprintf(stderr, "gatehouse link: %s: there is no link in it\n", path);
        fclose(in);
    }
    return code;
}

/* The same way for somebody else. */
static int change_user(char text[GH_LINK_MAX + 2], const char *user)
{
    char token[GH_LINK_TOKEN_MAX + 2] = "";
    struct gh_link_error e = { 0 };
    struct gh_link l;
    int rc;

    setvbuf(stdin, NULL, _IONBF, 0);
    if (!read_line(stdin, token, sizeof token) || strlen(token) > GH_LINK_TOKEN_MAX) {
        fputs("gatehouse link: standard input must have a token in its first line, of 256 bytes at most\n", stderr);
        return GH_EXIT_CHECK_FAILED;
    }
    rc = gh_link_read(gh_span_str(text), &l, &e);
    if (rc == 0) {
        snprintf(l.user, sizeof l.user, "%s", user);
        memcpy(l.token, token, strlen(token) + 1);
        rc = gh_link_emit(&l, text, GH_LINK_MAX + 2);
    }
    if (rc < 0)
        fprintf(stderr, "gatehouse link: the link cannot be used: %s\n", e.what ? e.what : gh_error_text(rc));
    gh_wipe(token, sizeof token);
    gh_wipe(&l, sizeof l);
    return rc < 0 ? GH_EXIT_CHECK_FAILED : GH_EXIT_OK;
}

int gh_cli_link(const struct gh_cli_verb *verb, int argc, char **argv)
{
    const char *given = gh_cli_take_option(&argc, argv, "--state-dir"), *user = gh_cli_take_option(&argc, argv, "--user");
    bool from_stdin = gh_cli_take_flag(&argc, argv, "--stdin");
    char dir[GH_CA_DIR_PATH], text[GH_LINK_MAX + 2];
    int code;

    if (argc > 1)
        return gh_cli_usage(verb, "link takes no other argument");
    if ((user != NULL) != from_stdin)
        return gh_cli_usage(verb, "--user and --stdin belong together");
    if (user && !gh_identity_name_valid(gh_span_str(user)))
        return gh_cli_usage(verb, "--user is no name of a user");
    if (!state_dir(given, dir))
        return GH_EXIT_CHECK_FAILED;
    code = read_link(dir, text);
    if (code == GH_EXIT_OK && user)
        code = change_user(text, user);
    if (code == GH_EXIT_OK && (puts(text) < 0 || fflush(stdout) != 0))
        code = GH_EXIT_CHECK_FAILED;
    gh_wipe(text, sizeof text);
    return code;
}
