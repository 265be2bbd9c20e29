/* priv/firewall_text.h - what firewalls of a host say, and what they are told; pure
 *
 * A rule lets one protocol to a range of ports in. Its words, in the journal:
 *
 *     ufw <tcp|udp> <first> <last>
 *     firewalld <tcp|udp> <first> <last>
 *     nftables <tcp|udp> <first> <last> <ip|ip6|inet> <table> <chain>
 */
#ifndef GH_PRIV_FIREWALL_TEXT_H
#define GH_PRIV_FIREWALL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gh_firewall { GH_FIREWALL_NONE, GH_FIREWALL_UFW, GH_FIREWALL_FIREWALLD, GH_FIREWALL_NFTABLES };

#define GH_FIREWALL_NAME 64  /* bytes of the name of a table or chain, NUL included; a longer one is not looked at */
#define GH_FIREWALL_LINE 256 /* bytes of a rule's words */
#define GH_FIREWALL_WORDS 8  /* of a command, NULL included */

struct gh_firewall_chain {
    char family[8], table[GH_FIREWALL_NAME], name[GH_FIREWALL_NAME];
};

struct gh_firewall_rule {
    enum gh_firewall kind;
    bool udp;
    uint16_t first, last;
    struct gh_firewall_chain chain; /* nftables */
};

const char *gh_firewall_name(enum gh_firewall kind); /* "" for NONE */

void gh_firewall_rule_emit(const struct gh_firewall_rule *r, char ret[GH_FIREWALL_LINE]);
/* 0 or GH_ERR_MALFORMED. */
int gh_firewall_rule_parse(const char *line, struct gh_firewall_rule *ret);

/* ---- ufw, firewalld: words of a command ---- */

enum gh_firewall_verb { GH_FIREWALL_ASK, GH_FIREWALL_ADD, GH_FIREWALL_TAKE_BACK };

struct gh_firewall_command {
    const char *argv[GH_FIREWALL_WORDS];
    char text[48];
};

/* ufw is asked for all of its rules, firewalld whether it has this one. */
void gh_firewall_command(const struct gh_firewall_rule *r, enum gh_firewall_verb verb, struct gh_firewall_command *ret);

/* What "ufw status" says. */
bool gh_firewall_ufw_active(const char *text);

enum gh_firewall_found { GH_FIREWALL_ABSENT, GH_FIREWALL_OURS, GH_FIREWALL_THEIRS };

/* What "ufw show added" says about a rule's port. Whoever has a rule for exactly it, whatever it does, has decided; ours have a comment. */
enum gh_firewall_found gh_firewall_ufw_find(const char *text, const struct gh_firewall_rule *r);

/* ---- nftables ---- */

/* In what "nft list chains" says: chains that drop what comes in unless a rule lets it in. Returns how many of them, <max> at most. */
size_t gh_firewall_nft_chains(const char *text, struct gh_firewall_chain *ret, size_t max);
/* The comment by which a rule of ours is known in its chain. */
void gh_firewall_nft_comment(const struct gh_firewall_rule *r, char ret[GH_FIREWALL_LINE]);
/* In what "nft -a list chain" says from <*at> on: the handle of the next rule with the comment of <r>, 0: no more. */
uint64_t gh_firewall_nft_handle(const char **at, const struct gh_firewall_rule *r);

#endif
