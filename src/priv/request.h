/* priv/request.h - what the child may ask of the privileged parent; types only
 *
 * One request is one fixed message, answered by one fixed reply, in order. The parent checks everything: strings end,
 * numbers are in range, device names are names, the phase allows it.
 *
 * PHASE_CONFIG: the child has read its configuration and touches no network yet; it may name anything once.
 * PHASE_RUN, for good after GH_PRIV_RUN: what was granted in PHASE_CONFIG may be asked for again, word for word; beyond
 * that only what the table below says.
 *
 *   request      CONFIG  RUN
 *   OPEN_*       yes     the same again (a file, or a socket of OPEN_DIAL, is opened afresh; another socket or device is the one that was)
 *   TUN_CONFIG   yes     of a device that was opened
 *   ROUTE        yes     through a device that was opened, or in a table that RULE was granted
 *   RULE, NAT, HOP, FIREWALL  yes  the same again
 *   SYSCTL, WATCH, KEY   yes     the same again
 *   WATCH_BEGIN, _END    yes     yes
 *   SIGN, FORGET_KEY     yes     with a key that was opened
 *   NOTIFY, CLEANUP      yes     yes
 *   RELOAD       no      yes
 *   LOOKUP, NETLINK      yes     yes
 */
#ifndef GH_PRIV_REQUEST_H
#define GH_PRIV_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"

#define GH_PRIV_PATH 512    /* bytes of a path, NUL included */
#define GH_PRIV_DEVICE 16   /* bytes of a device name, NUL included */
#define GH_PRIV_TEXT 256    /* bytes of a status line, NUL included */
#define GH_PRIV_PREFIXES 32 /* addresses or routes in one request */
#define GH_PRIV_QUEUES 64   /* descriptors in one reply */
#define GH_PRIV_HOST 256    /* bytes of a host name, NUL included */
#define GH_PRIV_DATA 512    /* bytes to sign, and of a signature */
#define GH_PRIV_RANGES 17   /* ranges of ports in one request */

enum gh_priv_kind {
    GH_PRIV_RUN,            /* the configuration is complete: no new names from here on */
    GH_PRIV_OPEN_FILE,      /* path -> a regular file, read only */
    GH_PRIV_OPEN_APPEND,    /* path -> a log or audit file, made 0640 */
    GH_PRIV_OPEN_PUBLIC,    /* path -> a new file, 0644, to be written; it is removed at the end */
    GH_PRIV_OPEN_STATE_DIR, /* path -> the folder, made 0700, locked against a second owner */
    GH_PRIV_OPEN_UDP,       /* socket -> <count> sockets on one port (SO_REUSEPORT), non-blocking */
    GH_PRIV_OPEN_TCP,       /* socket -> <count> listening sockets */
    GH_PRIV_OPEN_DIAL,      /* socket: <addr>'s family, <mark> -> a TCP socket that is not connected, a new one each time */
    GH_PRIV_OPEN_UNIX,      /* path, mode -> a listening stream socket */
    GH_PRIV_OPEN_TUN,       /* tun -> <queues> descriptors */
    GH_PRIV_TUN_CONFIG,     /* tun_config: the addresses become exactly these */
    GH_PRIV_ROUTE,          /* routes */
    GH_PRIV_RULE,           /* rule */
    GH_PRIV_NAT,            /* nat */
    GH_PRIV_HOP,            /* hop */
    GH_PRIV_FIREWALL,       /* firewall -> which firewall it is that was opened, in <name>; empty when nothing filters */
    GH_PRIV_SYSCTL,         /* sysctl */
    GH_PRIV_KEY,            /* path of a PEM private key -> a number for SIGN */
    GH_PRIV_SIGN,           /* sign -> signature; of a TLS 1.3 CertificateVerify, or what the key was opened for, and nothing else */
    GH_PRIV_FORGET_KEY,     /* sign.key: no signature with it will be asked for any more */
    GH_PRIV_WATCH,          /* path -> a number; GH_PRIV_EVENT_FILE from now on */
    GH_PRIV_WATCH_BEGIN,    /* what is watched now is watched no more at GH_PRIV_WATCH_END, unless WATCH names it in between */
    GH_PRIV_WATCH_END,
    GH_PRIV_NOTIFY,         /* notify: to the service manager, when there is one */
    GH_PRIV_CLEANUP,        /* undo addresses, routes, rules, NAT, sysctls and devices now, in reverse order */
    GH_PRIV_RELOAD,         /* as if SIGHUP had come: check the configuration, then GH_PRIV_EVENT_SIGNAL or …_RELOAD_FAILED */
    GH_PRIV_LOOKUP,         /* lookup -> a socket that one struct gh_resolved (os/resolve.h) comes from; it closes without one when that failed */
    GH_PRIV_NETLINK,        /* -> two netlink sockets: what changes about links, addresses and routes; one to ask for a route */
    GH_PRIV_KIND_COUNT
};

struct gh_priv_socket {
    struct gh_ip addr; /* all zero of a family: any address of that family, and of that family alone; family 0: of both */
    uint16_t port;     /* 0: any free one */
    uint16_t count;    /* 1..GH_PRIV_QUEUES */
    uint32_t mark;     /* SO_MARK; 0: none */
    uint32_t buffer;   /* bytes asked for both ways, beyond the system's limit if need be; 0: as it is */
    uint32_t instance; /* two requests that are otherwise alike get different sockets when this differs */
};

struct gh_priv_tun {
    char name[GH_PRIV_DEVICE]; /* "%d" at the end: the kernel numbers it */
    uint16_t queues;           /* 1..GH_PRIV_QUEUES; the device is a multi-queue one with vnet headers in any case */
};

struct gh_priv_tun_config {
    char name[GH_PRIV_DEVICE]; /* the real name */
    uint32_t mtu;              /* 0: as it is; else 68..65535 */
    uint8_t up, addr_count;
    struct gh_prefix addrs[GH_PRIV_PREFIXES];
};

enum gh_priv_route_op { GH_PRIV_ROUTE_ADD, GH_PRIV_ROUTE_DEL };

struct gh_priv_routes {
    char device[GH_PRIV_DEVICE]; /* empty: unreachable */
    uint8_t op;                  /* enum gh_priv_route_op */
    uint8_t first;               /* ADD: begins a new set: what is not named until <last> goes away; per device and table */
    uint8_t last;                /* ADD: completes the set */
    uint8_t count;
    uint32_t table;  /* 0: main */
    uint32_t metric; /* 0: the kernel's */
    struct gh_prefix prefixes[GH_PRIV_PREFIXES];
};

/* What is not marked looks at <table> first: two rules a family, "lookup main suppress_prefixlength 0" at <priority> and
 * "not fwmark <mark> lookup <table>" behind it. */
struct gh_priv_rule {
    uint32_t mark, table, priority;
};

/* The firewall table gatehouse_<device>: masquerade what comes from <sources> and leaves through another device. */
struct gh_priv_nat {
    char device[GH_PRIV_DEVICE];
    uint8_t count; /* 0: no table ("nat: none") */
    struct gh_prefix sources[GH_PRIV_PREFIXES];
};

/* The firewall table gatehouse_/hop: TCP and UDP to one of <first>..<last> at this host arrive at <port>. */
struct gh_priv_hop {
    uint16_t port, first, last; /* <port> is not between the two; all zero: no table */
};

/* The host's own firewall lets TCP and UDP to these ports of this host in. */
struct gh_priv_firewall {
    uint32_t count;
    struct {
        uint16_t first, last;
    } ports[GH_PRIV_RANGES];
};

enum gh_priv_sysctl { GH_PRIV_IP_FORWARD, GH_PRIV_IPV6_FORWARDING, GH_PRIV_SRC_VALID_MARK, GH_PRIV_SYSCTL_COUNT };

struct gh_priv_sign {
    uint32_t key;
    uint16_t scheme; /* TLS SignatureScheme */
    uint16_t len;
    uint8_t data[GH_PRIV_DATA];
};

enum gh_priv_state { GH_PRIV_READY, GH_PRIV_RELOADING, GH_PRIV_STOPPING, GH_PRIV_STATUS, GH_PRIV_WATCHDOG, GH_PRIV_STATE_COUNT };

struct gh_priv_notify {
    uint32_t state;          /* enum gh_priv_state */
    char text[GH_PRIV_TEXT]; /* status line, may be empty; no line ends */
};

struct gh_priv_lookup {
    char host[GH_PRIV_HOST];
    uint16_t port;
};

struct gh_priv_request {
    uint32_t kind; /* enum gh_priv_kind */
    uint32_t mode; /* OPEN_UNIX: permission bits; KEY: 1 when it signs for TLS 1.2, too */
    union {
        char path[GH_PRIV_PATH];
        struct gh_priv_socket socket;
        struct gh_priv_tun tun;
        struct gh_priv_tun_config tun_config;
        struct gh_priv_routes routes;
        struct gh_priv_rule rule;
        struct gh_priv_nat nat;
        struct gh_priv_hop hop;
        struct gh_priv_firewall firewall;
        uint32_t sysctl; /* enum gh_priv_sysctl: is set to 1 */
        struct gh_priv_sign sign;
        struct gh_priv_notify notify;
        struct gh_priv_lookup lookup;
    };
};

struct gh_priv_reply {
    int32_t rc;     /* 0 or GH_ERR_… */
    int32_t sys;    /* errno behind <rc>, 0 when there is none */
    uint32_t id;    /* KEY, WATCH: the number; sockets: the port */
    uint32_t schemes; /* KEY: how many of <scheme> are filled */
    uint16_t scheme[8]; /* KEY: TLS SignatureSchemes that the key can make */
    char name[GH_PRIV_DEVICE]; /* OPEN_TUN: the real name; FIREWALL: ufw, firewalld or nftables */
    char text[GH_PRIV_TEXT];   /* for a person, when rc < 0 */
    uint16_t len;
    uint8_t data[GH_PRIV_DATA]; /* SIGN: the signature */
};

enum gh_priv_event_kind {
    GH_PRIV_EVENT_SIGNAL, /* <id>: SIGHUP (after a good check, see priv/parent.h), SIGTERM (also for INT) or SIGQUIT */
    GH_PRIV_EVENT_FILE,   /* <id>: number of the watch; a descriptor comes along, -1 when the file is gone or a private key */
    GH_PRIV_EVENT_RELOAD_FAILED, /* <id>: exit code of the child that checked the new configuration; nothing changed */
};

struct gh_priv_event {
    uint32_t kind;
    uint32_t id;
    int32_t fd; /* the receiver's to close; -1: none */
};

#endif
