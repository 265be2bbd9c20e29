/* cli/probe_scripts.h - what is said to a host that is probed: bytes in one or two pieces, and how it ends */
#ifndef GH_CLI_PROBE_SCRIPTS_H
#define GH_CLI_PROBE_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each property is reported by itself. */
enum gh_probe_property {
    GH_PROBE_NEGOTIATION, /* certificate, suites, groups, ALPN */
    GH_PROBE_ALERTS,
    GH_PROBE_GARBAGE,
    GH_PROBE_SILENCE,     /* stalled first flights */
    GH_PROBE_CUTS,        /* segments and records */
    GH_PROBE_ENDS,        /* half-close */
    GH_PROBE_RECORDS,     /* that lead nowhere, behind a hello */
    GH_PROBE_ECH,
    GH_PROBE_REQUESTS,    /* inside TLS */
    GH_PROBE_UDP,         /* QUIC, as far as its first answer */
    GH_PROBE_PROPERTIES,
};

extern const char *const gh_probe_property_names[GH_PROBE_PROPERTIES];

struct gh_probe {
    enum gh_probe_property property;
    char name[48];
    uint8_t *bytes;
    size_t len;
    size_t cut;    /* the first piece, after which an answer is waited for; 0: all at once */
    bool end;      /* then no more is sent, and that is told */
    bool urgent;   /* then a byte of urgent data */
    bool tls;      /* the bytes are a request, said inside TLS */
    bool udp;      /* a datagram */
    size_t sealed; /* the bytes are frames of an Initial packet of that size; 0: they are what is said */
    bool first;    /* what comes first is enough: no waiting for the end */
    int twin;      /* a site that does not look into a flight before it answers treats this one as it treats that one; -1: none */
};

struct gh_probes {
    struct gh_probe *list;
    size_t count, cap;
    bool failed; /* out of memory */
};

/* <name> is asked for by the hellos, "" for none. 0 or GH_ERR_MEMORY. */
int gh_probes_create(const char *name, struct gh_probes *ret);
void gh_probes_fini(struct gh_probes *p);

#endif
