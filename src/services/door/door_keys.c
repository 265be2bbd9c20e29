/* The keys of ECH, the tunnel's name, and the TLS contexts that follow from them: read at start and at each reload. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hex.h"
#include "core/ech_file.h"
#include "core/leaf_file.h"
#include "core/node_key.h"
#include "core/tls_load.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "ports/tunnel_acceptor.h"
#include "proto/ech/ech_hello.h"
#include "services/door/door_internal.h"

#define NAME_BYTES 16u

static int complain(struct door *d, const char *path, const char *why, int rc)
{
    char line[GH_PRIV_PATH + 512];

    snprintf(line, sizeof line, "%s: %s", path, why);
    gh_run_reload_note(d->run, line);
    gh_log_event(d->log, GH_LOG_ERROR, "door", "keys of ECH cannot be read", gh_log_str("file", path), gh_log_str("reason", why), gh_log_result("error", rc));
    return rc;
}

static int load_keys(struct door *d, const struct gh_door_conf *c, struct gh_ech_keys **ret)
{
    struct gh_conf_errors errors;
    struct gh_ech_file file = { .count = 0 };
    struct gh_text text = { 0 }, lines;
    int64_t changed = 0;
    int rc = gh_privileged_read_dated(d->run->privileged, c->ech_keys_file, GH_CONF_FILE_MAX, &text, &changed);

    if (rc < 0)
        return complain(d, c->ech_keys_file, gh_privileged_why(d->run->privileged), rc);
    gh_conf_errors_init(&errors);
    if (rc == 0) {
        errors.file = strdup(c->ech_keys_file);
        rc = gh_ech_file_read(gh_span_of(text.data, text.len), changed, c->ech_keep / GH_NANOSECONDS, &errors, &file);
        if (rc < 0) {
            gh_text_init(&lines, GH_RUN_WHY);
            gh_conf_errors_emit(&errors, &lines);
            complain(d, c->ech_keys_file, gh_text_string(&lines), rc);
            gh_text_fini(&lines);
        }
    }
    if (rc == 0) {
        *ret = gh_ech_keys_get(file.set);
        gh_ech_file_fini(&file);
    }
    gh_conf_errors_fini(&errors);
    if (text.data)
        explicit_bzero(text.data, text.cap);
    gh_text_fini(&text);
    return rc;
}

/* A name that nobody guesses and that stays the same: it follows from the node's key. */
static int random_name(struct door *d, char ret[GH_TLS_NAME_MAX])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t key[GH_NODE_KEY], mac[GH_SHA256_LEN];
    int rc = gh_node_key_load(d->run->conf.state_dir, key);

    if (rc == 0)
        rc = gh_hmac_sha256(gh_span_of(key, sizeof key), gh_span_str("gatehouse tunnel name"), gh_span_of("", 0), mac);
    gh_wipe(key, sizeof key);
    if (rc < 0) {
        gh_log_event(d->log, GH_LOG_ERROR, "door", "the node's key can be neither read nor made, and the tunnel's name follows from it",
                     gh_log_str("state_dir", d->run->conf.state_dir), gh_log_result("error", rc));
        return rc;
    }
    for (size_t i = 0; i < NAME_BYTES; i++)
        ret[i] = letters[mac[i] % 32];
    strcpy(ret + NAME_BYTES, ".internal");
    return 0;
}

/* The certificate that was made at the first start; its key is the child's own. */
static int own_site(struct door *d, struct door_table *t)
{
    struct gh_tls_config cfg = { .server = true, .alpn = "h2,http/1.1", .ask = GH_TLS_ASK_NONE, .tls12 = true };
    struct gh_ech_key_info newest;
    struct gh_leaf_file leaf;
    char why[256] = "", pin[2 * sizeof leaf.spki_sha256 + 1];
    bool named = t->ech && gh_ech_keys_info(t->ech, 0, &newest);
    int rc = gh_leaf_file_load(d->run->conf.state_dir, "door", named ? newest.public_name : "localhost", gh_clock_wall(), &leaf);

    if (rc < 0) {
        gh_log_event(d->log, GH_LOG_ERROR, "door", "the door's own certificate can be neither read nor made (door.pem in the state folder)",
                     gh_log_str("state_dir", d->run->conf.state_dir), gh_log_result("error", rc));
        return rc;
    }
    gh_hex_encode(leaf.spki_sha256, sizeof leaf.spki_sha256, pin);
    gh_log_event(d->log, leaf.made ? GH_LOG_INFO : GH_LOG_DEBUG, "door", leaf.made ? "certificate made" : "certificate read", gh_log_str("cert_pin", pin));
    cfg.certificate = cfg.key = gh_span_of(leaf.pem.data, leaf.pem.len);
    rc = gh_tls_ctx_create(&cfg, &t->site, why, sizeof why);
    cfg.alpn = "h3";
    cfg.tls12 = false;
    if (rc == 0 && t->relay_udp)
        rc = gh_tls_ctx_create(&cfg, &t->site_quic, why, sizeof why);
    gh_leaf_file_fini(&leaf);
    if (rc < 0)
        gh_log_event(d->log, GH_LOG_ERROR, "door", "TLS cannot be set up with the door's own certificate (door.pem in the state folder)", gh_log_str("reason", why));
    return rc;
}

/* Nothing of ours is shown where a site answers for itself. Strangers may have TLS 1.2, as they would have anywhere. */
static int load_site(struct door *d, const struct gh_door_conf *c, struct door_table *t)
{
    struct gh_tls_files files = { .certificate = c->certificate, .key = c->key, .server = true, .aead = GH_AEAD_OPENSSL, .alpn = "h2,http/1.1",
                                  .ask = GH_TLS_ASK_NONE, .tls12 = true };
    int rc;

    if (c->has_relay)
        return 0;
    rc = *c->certificate ? gh_tls_load(d->run, d->log, "door", &files, &t->site) : own_site(d, t);
    files.alpn = NULL;
    files.tls12 = false;
    if (rc == 0 && *c->certificate && t->relay_udp)
        rc = gh_tls_load(d->run, d->log, "door", &files, &t->site_quic);
    if (rc == 0 && t->ech)
        rc = gh_tls_ctx_set_ech(t->site, t->ech, gh_clock_wall());
    if (rc == 0 && t->ech && t->site_quic)
        rc = gh_tls_ctx_set_ech(t->site_quic, t->ech, gh_clock_wall());
    return rc;
}

int door_keys_load(struct door *d, const struct gh_door_conf *c, struct door_table *t)
{
    int rc = 0;

    if (*c->ech_keys_file) {
        rc = load_keys(d, c, &t->ech);
        if (rc == 0 && *c->tunnel_name)
            rc = gh_tls_host_name(gh_span_str(c->tunnel_name), t->tunnel_name);
        else if (rc == 0)
            rc = random_name(d, t->tunnel_name);
    }
    if (rc == 0)
        rc = load_site(d, c, t);
    return rc == 0 ? door_keys_renew(d, t) : rc;
}

static bool has_tunnel(const struct door_table *t)
{
    bool some = t->ech != NULL;

    for (size_t i = 0; i < t->target_count; i++)
        some |= t->targets[i].tunnel;
    return some;
}

int door_keys_renew(struct door *d, struct door_table *t)
{
    const struct gh_port_tunnels *tunnels = d->run->tunnels;
    struct gh_tls_ctx *made, *quic;
    int rc;

    if (!tunnels || !has_tunnel(t))
        return 0;
    rc = tunnels->tls(tunnels->self, t->ech, &made);
    if (rc < 0)
        return rc;
    rc = tunnels->tls_quic(tunnels->self, t->ech, &quic);
    if (rc < 0) {
        gh_tls_ctx_put(made);
        return rc;
    }
    gh_tls_ctx_put(t->tunnel);
    gh_tls_ctx_put(t->tunnel_quic);
    t->tunnel = made;
    t->tunnel_quic = quic;
    return 0;
}

void door_keys_tell(struct door *d, const struct door_table *t)
{
    const struct gh_port_tunnels *tunnels = d->run->tunnels;

    if (tunnels && tunnels->use_keys)
        tunnels->use_keys(tunnels->self, t->ech);
}

bool door_keys_open(const struct door_table *t, const struct gh_tls_hello *hello, int64_t wall, bool *ret_opened)
{
    struct gh_ech_hello inner;
    int rc;

    *ret_opened = false;
    if (!t->ech || !hello->ech.present)
        return false;
    rc = gh_ech_hello_open(t->ech, hello, wall, &inner);
    *ret_opened = rc != 0;
    return rc == 1 && t->tunnel && strcmp(inner.inner.sni, t->tunnel_name) == 0;
}
