#include "priv/nft.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "os/process.h"

static const char *const programs[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft" };

void gh_nft_table_name(const char *device, char ret[GH_NFT_TABLE])
{
    snprintf(ret, GH_NFT_TABLE, "gatehouse_%s", device);
}

static _Noreturn void exec_nft(const char *program, int in, int out, pid_t parent)
{
    char *argv[] = { "nft", "-j", "-f", "-", NULL };
    char *envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
    sigset_t none;

    setsid(); /* Ctrl-C at the terminal is for us */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || gh_process_die_with_parent(SIGKILL, parent) < 0)
        _exit(126);
    execve(program, argv, envp);
    _exit(127);
}

/* Memory files for both sides: no pipe can fill up, and nothing is left when one of the two dies. */
static int file_with(const char *text, size_t len)
{
    int fd = memfd_create("nft", MFD_CLOEXEC);

    if (fd < 0)
        return -1;
    if (write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -1;
}

static void keep_error(int out, char *error)
{
    ssize_t n = pread(out, error, GH_PRIV_TEXT - 1, 0);

    error[n > 0 ? n : 0] = 0;
    error[strcspn(error, "\r\n")] = 0;
}

static int run(const char *json, size_t len, char *error)
{
    const char *program = NULL;
    pid_t self = getpid(), pid;
    int in = -1, out = -1, status, rc = GH_ERR_SYSTEM;

    error[0] = 0;
    for (size_t i = 0; i < sizeof programs / sizeof programs[0] && !program; i++)
        if (access(programs[i], X_OK) == 0)
            program = programs[i];
    if (!program) {
        snprintf(error, GH_PRIV_TEXT, "the program nft is not installed");
        return GH_ERR_NOT_FOUND;
    }
    in = file_with(json, len);
    out = file_with("", 0);
    if (in < 0 || out < 0)
        goto out;
    pid = fork();
    if (pid == 0)
        exec_nft(program, in, out, self);
    if (pid < 0)
        goto out;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            goto out;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        rc = 0;
    else
        keep_error(out, error);
out:
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return rc;
}

/* Add, delete, add: whether the table was there or not, what follows begins with an empty one. */
#define EMPTY_TABLE                                           \
    "{\"nftables\":["                                         \
    "{\"add\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}," \
    "{\"delete\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}"

int gh_nft_remove(const char *table, char *error)
{
    char json[512];
    int n = snprintf(json, sizeof json, EMPTY_TABLE "]}", table, table);

    return run(json, (size_t)n, error);
}

int gh_nft_masquerade(const struct gh_priv_nat *n, char *error)
{
    char *json = NULL, table[GH_NFT_TABLE], addr[GH_IP_TEXT];
    size_t len = 0;
    FILE *f = open_memstream(&json, &len);
    bool failed;
    int rc;

    if (!f)
        return GH_ERR_MEMORY;
    gh_nft_table_name(n->device, table);
    fprintf(f, EMPTY_TABLE ",{\"add\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}", table, table, table);
    fprintf(f,
            ",{\"add\":{\"chain\":{\"family\":\"inet\",\"table\":\"%s\",\"name\":\"postrouting\",\"type\":\"nat\","
            "\"hook\":\"postrouting\",\"prio\":100,\"policy\":\"accept\"}}}",
            table);
    for (size_t i = 0; i < n->count; i++)
        fprintf(f,
                ",{\"add\":{\"rule\":{\"family\":\"inet\",\"table\":\"%s\",\"chain\":\"postrouting\",\"expr\":["
                "{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"%s\",\"field\":\"saddr\"}},"
                "\"right\":{\"prefix\":{\"addr\":\"%s\",\"len\":%u}}}},"
                "{\"match\":{\"op\":\"!=\",\"left\":{\"meta\":{\"key\":\"oifname\"}},\"right\":\"%s\"}},"
                "{\"masquerade\":null}]}}}",
                table, n->sources[i].addr.family == 4 ? "ip" : "ip6", gh_ip_emit(&n->sources[i].addr, addr),
                n->sources[i].len, n->device);
    fputs("]}", f);
    failed = ferror(f) != 0;
    failed = fclose(f) != 0 || failed;
    rc = failed ? GH_ERR_MEMORY : run(json, len, error);
    free(json);
    return rc;
}

/* Only what is meant for this host: what it forwards goes where it was sent to. */
#define TO_THIS_HOST "{\"match\":{\"op\":\"==\",\"left\":{\"fib\":{\"result\":\"type\",\"flags\":[\"daddr\"]}},\"right\":\"local\"}}"

int gh_nft_redirect(const struct gh_priv_hop *h, char *error)
{
    static const char *const protocols[] = { "tcp", "udp" }, *const hooks[] = { "prerouting", "output" };
    char json[4096];
    size_t len = (size_t)snprintf(json, sizeof json, EMPTY_TABLE ",{\"add\":{\"table\":{\"family\":\"inet\",\"name\":\"%s\"}}}", GH_NFT_HOP_TABLE,
                                  GH_NFT_HOP_TABLE, GH_NFT_HOP_TABLE);

    for (size_t i = 0; i < 2; i++) {
        len += (size_t)snprintf(json + len, sizeof json - len,
                                ",{\"add\":{\"chain\":{\"family\":\"inet\",\"table\":\"%s\",\"name\":\"%s\",\"type\":\"nat\",\"hook\":\"%s\","
                                "\"prio\":-100,\"policy\":\"accept\"}}}",
                                GH_NFT_HOP_TABLE, hooks[i], hooks[i]);
        for (size_t k = 0; k < 2; k++)
            len += (size_t)snprintf(json + len, sizeof json - len,
                                    ",{\"add\":{\"rule\":{\"family\":\"inet\",\"table\":\"%s\",\"chain\":\"%s\",\"expr\":[" TO_THIS_HOST
                                    ",{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"%s\",\"field\":\"dport\"}},"
                                    "\"right\":{\"range\":[%u,%u]}}},{\"redirect\":{\"port\":%u}}]}}}",
                                    GH_NFT_HOP_TABLE, hooks[i], protocols[k], h->first, h->last, h->port);
    }
    len += (size_t)snprintf(json + len, sizeof json - len, "]}");
    return len < sizeof json ? run(json, len, error) : GH_ERR_INTERNAL;
}
