/* cli/probe_play.h - plays probes on an address, many at a time, and tells what could be seen */
#ifndef GH_CLI_PROBE_PLAY_H
#define GH_CLI_PROBE_PLAY_H

#include "cli/probe_scripts.h"
#include "os/sock.h"

struct gh_tls_ctx;

#define GH_PROBE_WORDS 600u

enum gh_probe_end { GH_PROBE_OPEN, GH_PROBE_FIN, GH_PROBE_RESET, GH_PROBE_REFUSED, GH_PROBE_NO_ANSWER };

/* One probe at one address. */
struct gh_probe_job {
    const struct gh_probe *probe;
    const struct gh_endpoint *to;
    struct gh_tls_ctx *tls; /* of a probe inside TLS, with the <name> that it asks for; borrowed */
    const char *name;
    /* what was seen */
    char words[GH_PROBE_WORDS]; /* bytes and end: what should be the same again */
    enum gh_probe_end end;
    double connect, answer, close; /* seconds: to connect; from the last byte sent to the first that came; to the end. -1: it did not happen */
    uint8_t key[32];               /* of the server, when it was shown unsealed */
    bool has_key;
};

struct gh_probe_pace {
    double wait;       /* seconds after which an end is not waited for any more */
    unsigned together; /* connections at a time */
    double apart;      /* seconds from the beginning of one to that of the next */
    bool answer;       /* the first byte of an answer is all that is waited for */
};

/* 0, GH_ERR_MEMORY or GH_ERR_SYSTEM. */
int gh_probe_play(struct gh_probe_job *jobs, size_t count, const struct gh_probe_pace *pace);

#endif
