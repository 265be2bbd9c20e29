#include "proto/ech/ech_hello.h"

int gh_ech_hello_open(const struct gh_ech_keys *keys, const struct gh_tls_hello *outer, int64_t wall, struct gh_ech_hello *ret)
{
    const struct gh_tls_ech_outer *e = &outer->ech;
    const struct gh_ech_outer o = { outer->body, e->kdf, e->aead, e->config_id, e->enc, e->payload };
    int rc;

    if (!e->present || e->inner_type || e->malformed)
        return 0;
    rc = gh_ech_keys_open(keys, &o, wall, &ret->opened);
    if (rc <= 0)
        return rc;
    rc = gh_tls_ech_inner_parse(gh_span_of(ret->opened.inner, ret->opened.len), outer, &ret->inner);
    return rc < 0 ? rc : 1;
}
