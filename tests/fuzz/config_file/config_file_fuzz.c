/* Any bytes as a configuration file: it is refused with errors, or it is taken and its effective form means the same. */
#include <stdlib.h>

#include "core/node_conf.h"
#include "services/agent/agent_conf.h"
#include "services/relay/relay_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct gh_conf_section *const sections[] = { &gh_conf_section_node,  &gh_conf_section_log,   &gh_conf_section_audit,
                                                          &gh_conf_section_admin, &gh_relay_conf_section, &gh_agent_conf_section,
                                                          NULL };

static struct gh_conf *parse(struct gh_span yaml, bool must_work)
{
    struct gh_conf_errors errors;
    struct gh_conf *conf = NULL;
    struct gh_text text;
    int rc;

    gh_conf_errors_init(&errors);
    gh_text_init(&text, 1u << 20);
    rc = gh_conf_parse(&(struct gh_conf_input){ yaml, "fuzz.yaml", NULL, sections }, &errors, &conf);
    gh_conf_errors_emit(&errors, &text);
    if ((rc == 0) != (errors.count == 0) || (must_work && rc < 0))
        abort();
    gh_text_fini(&text);
    gh_conf_errors_fini(&errors);
    return conf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_conf *conf = parse(gh_span_of(data, size), false), *again;
    struct gh_conf_change change;
    struct gh_relay_conf relay;
    struct gh_agent_conf agent;
    struct gh_node_conf node;
    struct gh_text text, json;

    gh_conf_peek(gh_span_of(data, size), "agent");
    if (!conf)
        return 0;
    gh_text_init(&text, 8u << 20);
    gh_text_init(&json, 8u << 20);
    gh_node_conf_load(conf, &node);
    if (gh_conf_has(conf, &gh_relay_conf_section) && gh_relay_conf_load(conf, &relay) < 0)
        abort();
    if (gh_conf_has(conf, &gh_agent_conf_section) && gh_agent_conf_load(conf, &agent) < 0)
        abort();
    if (gh_conf_emit_effective(conf, false, &text) < 0 || gh_conf_emit_effective(conf, true, &json) < 0)
        abort();
    if (text.len <= GH_CONF_FILE_MAX) {
        again = parse(gh_span_of(text.data, text.len), true);
        if (gh_conf_diff(conf, again, &change, 1) != 0)
            abort();
        gh_conf_destroy(again);
    }
    gh_text_fini(&text);
    gh_text_fini(&json);
    gh_conf_destroy(conf);
    return 0;
}
