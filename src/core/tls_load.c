#include "core/tls_load.h"

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

int gh_tls_load(struct gh_privileged *p, struct gh_log *log, const char *area, const struct gh_tls_files *f, struct gh_tls_ctx **ret)
{
    struct gh_text cert = { 0 }, ca = { 0 };
    struct gh_signer signer;
    struct gh_tls_config cfg = { .server = f->server, .alpn = "h3", .signer = &signer };
    char why[256] = "";
    int rc = read_pem(p, log, area, f->certificate, &cert);

    if (rc == 0)
        rc = read_pem(p, log, area, f->ca, &ca);
    if (rc == 0)
        rc = open_key(p, log, area, f->key, &signer); /* the last: the context takes it over */
    if (rc == 0) {
        cfg.certificate = gh_span_of(cert.data, cert.len);
        cfg.ca = gh_span_of(ca.data, ca.len);
        rc = gh_tls_ctx_create(&cfg, ret, why, sizeof why);
        if (rc < 0)
            gh_log_event(log, GH_LOG_ERROR, area, "TLS cannot be set up", gh_log_str("reason", why),
                         gh_log_str("certificate", f->certificate), gh_log_str("key", f->key), gh_log_str("ca", f->ca));
    }
    gh_text_fini(&cert);
    gh_text_fini(&ca);
    return rc;
}
