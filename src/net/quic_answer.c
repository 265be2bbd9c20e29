/* What strangers are told without keeping anything: another version, prove your address, your connection is gone. */
#include "base/error.h"
#include "crypto/hkdf.h"
#include "net/quic_internal.h"

#define RESETS_PER_SECOND 200u
#define RESET_MAX 42u /* RFC 9000, section 10.3: looks like a packet of a connection */
#define SECOND INT64_C(1000000000)
#define RETRY_SHARE 4u /* Retry begins when one in so many of the handshakes allowed are under way */

int gh_quic_answer_cid(struct gh_quic_endpoint *e, struct gh_quic_cid *ret)
{
    struct gh_quic_cid cid = { .len = GH_QUIC_CID_LEN };
    int rc = e->cfg.quic.random.fill(e->cfg.quic.random.arg, cid.data, cid.len);

    if (rc < 0)
        return rc;
    cid.data[GH_QUIC_CID_LEN - 1] = gh_quic_group_last_byte(e->cfg.group, cid.data, e->cfg.index);
    *ret = cid;
    return 0;
}

int gh_quic_answer_reset_token(const struct gh_quic_endpoint *e, const struct gh_quic_cid *cid, uint8_t ret[GH_QUIC_RESET_TOKEN])
{
    return gh_hkdf_sha256(gh_span_of(e->cfg.group->reset_key, GH_QUIC_GROUP_KEY), gh_span_of(cid->data, cid->len), "stateless reset", ret,
                          GH_QUIC_RESET_TOKEN);
}

struct gh_quic_tokens gh_quic_answer_tokens(const struct gh_quic_endpoint *e)
{
    struct gh_quic_tokens t = { .random = e->cfg.quic.random };

    memcpy(t.key, e->cfg.group->token_key, sizeof t.key);
    return t;
}

/* True when it went out. */
static bool send_answer(struct gh_quic_endpoint *e, const uint8_t *buf, int len, const struct gh_quic_path *path)
{
    struct gh_udp_send out = { .local = { path->local.ip, path->local.port }, .remote = { path->remote.ip, path->remote.port } };

    if (len <= 0)
        return false;
    out.segment = (size_t)len;
    out.payload = gh_span_of(buf, (size_t)len);
    if (gh_udp_send(&e->udp, &out) >= 0)
        return true;
    gh_quic_endpoint_drop(e, GH_DROP_UDP_WRITE, 1);
    return false;
}

void gh_quic_answer_retry(struct gh_quic_endpoint *e, const struct gh_quic_initial *first, const struct gh_quic_path *path)
{
    struct gh_quic_tokens t = gh_quic_answer_tokens(e);
    uint8_t token[GH_QUIC_TOKEN_MAX], buf[256];
    struct gh_quic_cid scid;
    int len = gh_quic_answer_cid(e, &scid);

    if (len == 0)
        len = gh_quic_token_retry(&t, first, &scid, &path->remote, gh_worker_wall(e->cfg.worker), token);
    if (len > 0)
        len = gh_quic_retry(first, &scid, gh_span_of(token, (size_t)len), buf, sizeof buf);
    if (send_answer(e, buf, len, path))
        e->counters.retries_out++;
}

static bool wants_proof(const struct gh_quic_endpoint *e)
{
    if (e->cfg.retry == GH_QUIC_RETRY_AUTO)
        return e->half_open >= (e->cfg.max_half_open + RETRY_SHARE - 1) / RETRY_SHARE;
    return e->cfg.retry == GH_QUIC_RETRY_ALWAYS;
}

static bool has_budget(struct gh_quic_endpoint *e, const struct gh_quic_initial *first, const struct gh_quic_path *path)
{
    uint8_t buf[256];

    switch (gh_source_budget_take(&e->sources, &path->remote.ip, first->proof != GH_QUIC_PROOF_NONE, gh_worker_now(e->cfg.worker))) {
    case GH_SOURCE_GO:
        return true;
    case GH_SOURCE_PROVE:
        if (e->cfg.retry != GH_QUIC_RETRY_NEVER) {
            gh_quic_answer_retry(e, first, path);
            return false;
        }
        break;
    case GH_SOURCE_REFUSE: /* no third party hears this: the address is proved */
        send_answer(e, buf, gh_quic_refuse(first, GH_QUIC_CONNECTION_REFUSED, buf, sizeof buf), path);
        break;
    }
    gh_quic_endpoint_drop(e, GH_DROP_HANDSHAKE_SOURCE, 1);
    return false;
}

bool gh_quic_answer_admits(struct gh_quic_endpoint *e, struct gh_quic_initial *first, const struct gh_quic_path *path)
{
    struct gh_quic_tokens t = gh_quic_answer_tokens(e);
    uint8_t buf[256];

    if (first->token.len && gh_quic_token_check(&t, first, &path->remote, gh_worker_wall(e->cfg.worker)) < 0) {
        e->counters.tokens_invalid++;
        send_answer(e, buf, gh_quic_refuse(first, GH_QUIC_INVALID_TOKEN, buf, sizeof buf), path);
        return false;
    }
    if (first->proof == GH_QUIC_PROOF_NONE && wants_proof(e)) {
        gh_quic_answer_retry(e, first, path);
        return false;
    }
    return has_budget(e, first, path);
}

bool gh_quic_endpoint_proves(struct gh_quic_endpoint *e, const struct gh_quic_stranger *d, struct gh_quic_cid *ret)
{
    const struct gh_quic_addr remote = { d->remote.ip, d->remote.port };
    struct gh_quic_tokens t = gh_quic_answer_tokens(e);
    struct gh_quic_initial first;

    if (gh_quic_accept(d->payload, &first) != 1 || gh_quic_token_check(&t, &first, &remote, gh_worker_wall(e->cfg.worker)) < 0 ||
        first.proof != GH_QUIC_PROOF_RETRY)
        return false;
    *ret = first.original;
    return true;
}

void gh_quic_answer_version(struct gh_quic_endpoint *e, const struct gh_quic_initial *first, const struct gh_quic_path *path)
{
    uint8_t buf[128];

    send_answer(e, buf, gh_quic_version_negotiation(first, first->dcid.data[0], buf, sizeof buf), path);
}

/* RFC 9000, section 10.3: whoever sends on a connection that this process does not have is told so, by a packet shorter than
 * its own (no loops, no amplification) whose end only the two ends of the lost connection can recognise. */
void gh_quic_answer_reset(struct gh_quic_endpoint *e, const struct gh_quic_cid *cid, size_t len, const struct gh_quic_path *path)
{
    uint8_t token[GH_QUIC_RESET_TOKEN], noise[RESET_MAX], buf[RESET_MAX];
    int64_t now = gh_worker_now(e->cfg.worker);

    if (now - e->resets_since >= SECOND) {
        e->resets_since = now;
        e->resets_left = RESETS_PER_SECOND;
    }
    if (e->resets_left == 0 || e->cfg.quic.random.fill(e->cfg.quic.random.arg, noise, sizeof noise) < 0 ||
        gh_quic_answer_reset_token(e, cid, token) < 0)
        return;
    if (send_answer(e, buf, gh_quic_stateless_reset(token, noise, buf, len - 1 < sizeof buf ? len - 1 : sizeof buf), path)) {
        e->resets_left--;
        e->counters.resets_out++;
    }
}
