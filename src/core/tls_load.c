#include "core/tls_load.h"

#include "crypto/cert.h"
#include "os/clock.h"

#define PEM_MAX (256u * 1024)

static int complain(struct gh_privileged *p, struct gh_log *log, const char *area, const char *path, int rc)
{
    gh_log_event(log, GH_LOG_ERROR, area, "file cannot be read", gh_log_str("file", path), gh_log_str("reason", gh_privileged_why(p)),
                 gh_log_result("error", rc));
    return rc;
}

static int read_pem(struct gh_privileged *p, struct gh_log *log, const char *area, const char *path, struct gh_text *ret)
{
    int rc = gh_privileged_read_file(p, path, PEM_MAX, ret);

    if (rc < 0)
        *ret = (struct gh_text){ 0 };
    return rc < 0 ? complain(p, log, area, path, rc) : 0;
}

static int open_key(struct gh_privileged *p, struct gh_log *log, const char *area, const char *path, struct gh_signer *ret)
{
    int rc = gh_privileged_open_key(p, path, ret);

    return rc < 0 ? complain(p, log, area, path, rc) : 0;
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

int gh_tls_load(struct gh_privileged *p, struct gh_log *log, const char *area, const struct gh_tls_files *f, struct gh_tls_ctx **ret)
{
    struct gh_text cert = { 0 }, ca = { 0 };
    struct gh_signer signer;
    struct gh_tls_config cfg = { .server = f->server, .alpn = "h3", .aead = f->aead, .signer = &signer };
    char why[256] = "";
    int rc = read_pem(p, log, area, f->certificate, &cert);

    if (rc == 0)
        rc = read_pem(p, log, area, f->ca, &ca);
    if (rc == 0)
        rc = open_key(p, log, area, f->key, &signer); /* the last: the context takes it over */
    if (rc == 0) {
        cfg.certificate = gh_span_of(cert.data, cert.len);
        cfg.ca = gh_span_of(ca.data, ca.len);
        look_at_time(log, area, f->certificate, cfg.certificate);
        rc = gh_tls_ctx_create(&cfg, ret, why, sizeof why);
        if (rc < 0)
            gh_log_event(log, GH_LOG_ERROR, area, "TLS cannot be set up", gh_log_str("reason", why),
                         gh_log_str("certificate", f->certificate), gh_log_str("key", f->key), gh_log_str("ca", f->ca));
    }
    gh_text_fini(&cert);
    gh_text_fini(&ca);
    return rc;
}
