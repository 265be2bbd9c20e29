/* The configuration, and the certificates that it names. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "cli/doctor.h"
#include "crypto/cert.h"
#include "crypto/identity.h"
#include "crypto/sign_key.h"

#define FILE_MAX 65536
#define SOON (INT64_C(14) * 86400) /* seconds */
#define LATER (INT64_C(90) * 86400)

void gh_doctor_config(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    if (d->conf)
        gh_doctor_say(r, GH_DOCTOR_OK, "%s is right", d->config);
    else if (d->conf_missing)
        gh_doctor_say(r, GH_DOCTOR_SKIP, "there is no %s; --config FILE names another", d->config);
    else
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%s", d->conf_error);
}

void gh_doctor_config_mode(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    char path[512];
    struct stat s;

    if (stat(gh_doctor_path(d, d->config, path), &s) < 0)
        gh_doctor_say(r, GH_DOCTOR_SKIP, "there is no %s", d->config);
    else if (s.st_mode & 022)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%s has mode %04o: others than its owner may change it", d->config, (unsigned)s.st_mode & 07777);
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "mode %04o", (unsigned)s.st_mode & 07777);
}

static int take_mode_away(const struct gh_doctor *d, const char *file, mode_t bits)
{
    char path[512];
    struct stat s;

    if (stat(gh_doctor_path(d, file, path), &s) < 0 || chmod(path, s.st_mode & 07777 & ~bits) < 0)
        return GH_ERR_SYSTEM;
    return 0;
}

int gh_doctor_fix_config_mode(const struct gh_doctor *d)
{
    return take_mode_away(d, d->config, 022);
}

/* <ret_cert> is the caller's. False when there is a result already. */
static bool read_cert(const struct gh_doctor *d, const char *option, struct gh_doctor_result *r, struct gh_cert **ret_cert)
{
    const char *path = gh_doctor_option(d, option);
    char text[FILE_MAX];
    int len, rc;

    if (!*path) {
        gh_doctor_say(r, GH_DOCTOR_SKIP, "no configuration names one");
        return false;
    }
    len = gh_doctor_read(d, path, text, sizeof text);
    if (len < 0) {
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%.180s: %s", path, strerror(errno));
        return false;
    }
    rc = gh_cert_parse_pem(gh_span_of(text, (size_t)len), ret_cert);
    if (rc < 0)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%.180s: %s", path, "it is no PEM certificate");
    return rc == 0;
}

static void look_at_time(const struct gh_doctor *d, const struct gh_cert *c, int64_t margin, struct gh_doctor_result *r)
{
    int64_t left = gh_cert_not_after(c) - d->wall;

    if (gh_cert_not_before(c) > d->wall)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "it is not valid yet: its time begins in %lld s", (long long)(gh_cert_not_before(c) - d->wall));
    else if (left <= 0)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "it expired %lld days ago", (long long)(-left / 86400));
    else
        gh_doctor_say(r, left < margin ? GH_DOCTOR_WARN : GH_DOCTOR_OK, "valid for %lld days more", (long long)(left / 86400));
}

void gh_doctor_certificate(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    struct gh_cert *c = NULL;

    if (!read_cert(d, "certificate", r, &c))
        return;
    look_at_time(d, c, SOON, r);
    gh_cert_destroy(c);
}

void gh_doctor_role(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    struct gh_identity_rules rules = { gh_doctor_option(d, "trust_domain"), { GH_IDENTITY_SAN_URI, GH_IDENTITY_SAN_DNS, GH_IDENTITY_CN }, 3,
                                       GH_ROLE_BIT(d->agent ? GH_ROLE_AGENT : GH_ROLE_RELAY) };
    struct gh_identity id;
    char why[GH_IDENTITY_WHY];
    struct gh_cert *c = NULL;

    if (!read_cert(d, "certificate", r, &c))
        return;
    if (gh_identity_of_cert(c, &rules, &id, why) < 0)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%.250s", why);
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "%s %.128s, by %s", gh_role_name(id.role), id.name, gh_identity_source_name(id.source));
    gh_cert_destroy(c);
}

void gh_doctor_ca(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    struct gh_cert *c = NULL;

    if (!read_cert(d, d->agent ? "ca" : "client_ca", r, &c))
        return;
    if (gh_cert_is_ca(c))
        look_at_time(d, c, LATER, r);
    else
        gh_doctor_say(r, GH_DOCTOR_FAIL, "it may not sign certificates");
    gh_cert_destroy(c);
}

void gh_doctor_key(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    const char *path = gh_doctor_option(d, "key");
    struct gh_sign_key *key = NULL;
    char text[GH_SIGN_PEM_MAX + 1];
    int len;

    if (!*path) {
        gh_doctor_say(r, GH_DOCTOR_SKIP, "no configuration names one");
        return;
    }
    len = gh_doctor_read(d, path, text, sizeof text);
    if (len < 0)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%.180s: %s", path, strerror(errno));
    else if (gh_sign_key_load(gh_span_of(text, (size_t)len), &key) < 0)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%.180s: %s", path, "it is no private key (PEM, Ed25519, P-256 or RSA, not encrypted)");
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "can be read");
    gh_sign_key_destroy(key);
    explicit_bzero(text, sizeof text);
}

void gh_doctor_key_mode(const struct gh_doctor *d, struct gh_doctor_result *r)
{
    const char *file = gh_doctor_option(d, "key");
    char path[512];
    struct stat s;

    if (!*file)
        gh_doctor_say(r, GH_DOCTOR_SKIP, "no configuration names one");
    else if (stat(gh_doctor_path(d, file, path), &s) < 0)
        gh_doctor_say(r, GH_DOCTOR_SKIP, "%.180s: %s", file, strerror(errno));
    else if (s.st_mode & 077)
        gh_doctor_say(r, GH_DOCTOR_FAIL, "%.180s has mode %04o: others may read it", file, (unsigned)s.st_mode & 07777);
    else
        gh_doctor_say(r, GH_DOCTOR_OK, "mode %04o", (unsigned)s.st_mode & 07777);
}

int gh_doctor_fix_key_mode(const struct gh_doctor *d)
{
    return take_mode_away(d, gh_doctor_option(d, "key"), 077);
}
