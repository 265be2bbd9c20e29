#include "core/tls_load.h"

#include <stdio.h>

#include "core/log.h"
#include "core/run.h"
#include "crypto/cert.h"
#include "os/clock.h"

#define PEM_MAX (256u * 1024)
#define WHY 256u

struct loading {
    struct gh_run *run;
    struct gh_log *log;
    const char *area;
};

static int complain(const struct loading *l, const char *path, int rc)
{
    const char *why = gh_privileged_why(l->run->privileged);
    char line[GH_PRIV_PATH + GH_PRIV_TEXT + 8];

    snprintf(line, sizeof line, "%s: %s", path, why);
    gh_run_reload_note(l->run, line);
    gh_log_event(l->log, GH_LOG_ERROR, l->area, "file cannot be read", gh_log_str("file", path), gh_log_str("reason", why), gh_log_result("error", rc));
    return rc;
}

static int read_pem(const struct loading *l, const char *path, struct gh_text *ret)
{
    int rc = gh_privileged_read_file(l->run->privileged, path, PEM_MAX, ret);

    if (rc < 0)
        *ret = (struct gh_text){ 0 };
    return rc < 0 ? complain(l, path, rc) : 0;
}

static int open_key(const struct loading *l, const char *path, bool tls12, struct gh_signer *ret)
{
    int rc = gh_privileged_open_key(l->run->privileged, path, tls12, ret);

    return rc < 0 ? complain(l, path, rc) : 0;
}

/* What the files have does not fit together, or is not what it should be. */
static void refuse(const struct loading *l, const struct gh_tls_files *f, const char *why)
{
    char line[3 * GH_PRIV_PATH + WHY + 64];

    snprintf(line, sizeof line, "TLS cannot be set up with %s, %s and %s: %s", f->certificate, f->key, f->ca ? f->ca : "no CA", why);
    gh_run_reload_note(l->run, line);
    gh_log_event(l->log, GH_LOG_ERROR, l->area, "TLS cannot be set up", gh_log_str("reason", why), gh_log_str("certificate", f->certificate),
                 gh_log_str("key", f->key), gh_log_str("ca", f->ca ? f->ca : ""));
}

/* Nobody will believe us: said here, where the operator looks first. */
static void look_at_time(struct gh_log *log, const char *area, const char *path, struct gh_span pem)
{
    int64_t now = gh_clock_wall();
    struct gh_cert *c;
    bool early, late;

    if (gh_cert_parse_pem(pem, &c) < 0)
        return; /* TLS says what is wrong with it */
    early = now < gh_cert_not_before(c);
    late = now > gh_cert_not_after(c);
    if (early || late)
        gh_log_event(log, GH_LOG_WARN, area,
                     early ? "our certificate is not yet valid, or the clock is behind" : "our certificate has expired, or the clock is ahead",
                     gh_log_str("file", path), gh_log_int("seconds", early ? gh_cert_not_before(c) - now : now - gh_cert_not_after(c)));
    gh_cert_destroy(c);
}

int gh_tls_load(struct gh_run *run, struct gh_log *log, const char *area, const struct gh_tls_files *f, struct gh_tls_ctx **ret)
{
    const struct loading l = { run, log, area };
    struct gh_text cert = { 0 }, ca = { 0 };
    struct gh_signer signer;
    struct gh_tls_ctx *made = NULL;
    struct gh_tls_config cfg = { .server = f->server, .alpn = f->alpn ? f->alpn : "h3", .aead = f->aead, .signer = &signer, .ask = f->ask, .tls12 = f->tls12,
                                 .pins = f->pins, .pin_count = f->pin_count, .shape = f->shape };
    char why[WHY] = "";
    bool own = *f->certificate;
    int rc = own ? read_pem(&l, f->certificate, &cert) : 0;

    if (rc == 0 && f->ca && *f->ca)
        rc = read_pem(&l, f->ca, &ca);
    if (!own)
        cfg.signer = NULL;
    else if (rc == 0)
        rc = open_key(&l, f->key, f->tls12, &signer); /* the last: the context takes it over */
    if (rc == 0) {
        cfg.certificate = gh_span_of(cert.data, cert.len);
        cfg.ca = gh_span_of(ca.data, ca.len);
        if (own)
            look_at_time(log, area, f->certificate, cfg.certificate);
        rc = gh_tls_ctx_create(&cfg, &made, why, sizeof why);
        if (rc < 0)
            refuse(&l, f, why);
    }
    if (rc == 0 && f->ech) {
        rc = gh_tls_ctx_set_ech(made, f->ech, gh_clock_wall());
        if (rc < 0)
            refuse(&l, f, "the keys of ECH cannot be used");
    }
    if (rc == 0) {
        *ret = made;
        made = NULL;
    }
    gh_tls_ctx_put(made);
    gh_text_fini(&cert);
    gh_text_fini(&ca);
    return rc;
}
