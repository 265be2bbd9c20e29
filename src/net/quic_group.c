/* Connection ids that say which worker they belong to, to us and to nobody else. */
#include "base/error.h"
#include "crypto/hkdf.h"
#include "net/quic_internal.h"

#define WORKER_MASK 63u /* the two bits above are the generation: 0 until upgrades hand connections over */

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What the kernel's program computes too: arithmetic of classic BPF, nothing else. */
static uint8_t mix(const struct gh_quic_group *g, const uint8_t cid[GH_QUIC_CID_LEN])
{
    return (uint8_t)((load32(cid) * g->mix[0] + load32(cid + 3) * g->mix[1]) >> 24);
}

int gh_quic_group_init(struct gh_quic_group *g, unsigned count, const uint8_t key[GH_QUIC_GROUP_KEY])
{
    struct gh_span secret, none = gh_span_of("", 0);
    uint8_t fresh[GH_QUIC_GROUP_KEY];
    int rc = key ? 0 : gh_random_bytes(fresh, sizeof fresh);

    *g = (struct gh_quic_group){ .count = count };
    secret = gh_span_of(key ? key : fresh, GH_QUIC_GROUP_KEY);
    if (rc == 0)
        rc = gh_hkdf_sha256(secret, none, "gatehouse steering", (uint8_t *)g->mix, sizeof g->mix);
    if (rc == 0)
        rc = gh_hkdf_sha256(secret, none, "gatehouse stateless reset", g->reset_key, sizeof g->reset_key);
    if (rc == 0)
        rc = gh_hkdf_sha256(secret, none, "gatehouse address token", g->token_key, sizeof g->token_key);
    gh_wipe(fresh, sizeof fresh);
    if (rc < 0)
        return GH_ERR_CRYPTO;
    g->mix[0] |= 1;
    g->mix[1] |= 1;
    return 0;
}

int gh_quic_group_ticket_key(const uint8_t key[GH_QUIC_GROUP_KEY], uint8_t ret[GH_TLS_TICKET_KEY])
{
    return gh_hkdf_sha256(gh_span_of(key, GH_QUIC_GROUP_KEY), gh_span_of("", 0), "gatehouse tickets", ret, GH_TLS_TICKET_KEY);
}

uint8_t gh_quic_group_last_byte(const struct gh_quic_group *g, const uint8_t cid[GH_QUIC_CID_LEN], unsigned worker)
{
    return (uint8_t)(worker ^ mix(g, cid));
}

unsigned gh_quic_group_worker_of(const struct gh_quic_group *g, const uint8_t cid[GH_QUIC_CID_LEN])
{
    return (cid[GH_QUIC_CID_LEN - 1] ^ mix(g, cid)) & WORKER_MASK;
}

size_t gh_quic_group_steering(const struct gh_quic_group *g, struct sock_filter ret[GH_QUIC_STEERING_LEN])
{
    /* Offsets count from the UDP payload: byte 0 is the first byte of the packet, 1 to 8 the id of a short header. A result
     * beyond the group falls back to the kernel's hash, which keeps a handshake's long headers on one worker. */
    const struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 10, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 1),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, g->mix[0]),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, g->mix[1]),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 24),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
        BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, WORKER_MASK),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };

    memcpy(ret, program, sizeof program);
    return sizeof program / sizeof *program;
}
