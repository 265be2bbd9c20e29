/* What relays have told of their ECH outlives the process, in the state folder; the offload pool writes it. */
#include <stdlib.h>

#include "base/error.h"
#include "os/state_file.h"
#include "services/agent/agent_internal.h"

#define NAME "agent.ech"

struct saving {
    struct agent *a;
    struct gh_text text;
    int rc;
};

static void work(void *arg)
{
    struct saving *s = arg;

    s->rc = gh_state_file_replace(s->a->run->conf.state_dir, NAME, gh_span_of(s->text.data, s->text.len));
}

static void done(struct gh_worker *w, void *arg)
{
    struct saving *s = arg;
    struct agent *a = s->a;

    (void)w;
    if (s->rc < 0)
        gh_log_event(a->log, GH_LOG_WARN, "agent", "keys of ECH that the relay told cannot be kept over a restart: the state folder must be writable",
                     gh_log_str("state_dir", a->run->conf.state_dir), gh_log_str("file", NAME));
    gh_text_fini(&s->text);
    free(s);
    a->ech_saving = false;
    if (a->ech_again)
        agent_ech_save(a);
}

void agent_ech_save(struct agent *a)
{
    struct saving *s;

    a->ech_again = a->ech_saving; /* one at a time, so that the last one counts */
    if (a->ech_saving)
        return;
    s = calloc(1, sizeof *s);
    if (!s)
        return;
    s->a = a;
    gh_text_init(&s->text, GH_AGENT_ECH_KEPT);
    gh_agent_ech_emit(&a->ech, &s->text);
    if (!s->text.failed && gh_worker_offload(a->w, work, done, s) == 0) {
        a->ech_saving = true;
        return;
    }
    gh_text_fini(&s->text);
    free(s);
}

void agent_ech_load(struct agent *a)
{
    uint8_t *text = NULL;
    size_t len = 0;

    if (gh_agent_ech_now(&a->ech).len == 0 || gh_state_file_read(a->run->conf.state_dir, NAME, GH_AGENT_ECH_KEPT, &text, &len) < 0)
        return;
    if (gh_agent_ech_restore(&a->ech, gh_span_of(text, len)))
        gh_log_event(a->log, GH_LOG_INFO, "agent", "keys of ECH that the relay told before are used", gh_log_uint("lists", a->ech.count));
    free(text);
}

void agent_ech_told(struct agent *a, struct gh_span list)
{
    if (!gh_agent_ech_told(&a->ech, list))
        return;
    gh_log_event(a->log, GH_LOG_INFO, "agent", "the relay announces another key of ECH, which is used from now on");
    agent_ech_save(a);
}
