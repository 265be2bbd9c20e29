/* gatehouse - the operator's tool */
#include "cli/audit.h"
#include "cli/ca.h"
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/doctor.h"
#include "cli/ech.h"
#include "cli/conform.h"
#include "cli/link.h"
#include "cli/policy.h"
#include "cli/probe.h"
#include "cli/reload.h"
#include "cli/sessions.h"
#include "cli/status.h"
#include "cli/trace.h"
#include "cli/user.h"
#include "core/node_conf.h"
#include "services/admin/admin.h"
#include "services/door/door.h"
#include "services/relay/relay.h"

int main(int argc, char **argv)
{
    const struct gh_conf_section *const sections[] = { &gh_conf_section_node,  &gh_conf_section_log,       &gh_conf_section_audit,
                                                       &gh_conf_section_admin, gh_service_relay.section, gh_service_door.section, NULL };
    const struct gh_doctor_program doctor = { sections, "/etc/gatehouse/gatehouse.yaml", false };
    const struct gh_cli_verb verbs[] = {
        { "audit", NULL, "begin the chain of the audit records, and verify them", gh_cli_audit_usage, NULL, gh_cli_audit },
        { "ca", gh_cli_ca, "make a certificate authority, issue and list certificates", NULL, NULL, NULL },
        { "check", NULL, "check configuration files", gh_cli_check_usage, NULL, gh_cli_check },
        { "config", NULL, "show the configuration that counts", gh_cli_config_usage, sections, gh_cli_config },
        { "conform", gh_cli_conform, "try the rules of CONNECT-IP on any proxy", gh_cli_conform_usage, NULL, NULL },
        { "doctor", NULL, "is this machine right for a node?", gh_cli_doctor_usage, &doctor, gh_cli_doctor },
        { "ech", NULL, "make and show the keys of Encrypted ClientHello", gh_cli_ech_usage, NULL, gh_cli_ech },
        { "link", NULL, "print the connection link of a first start", gh_cli_link_usage, NULL, gh_cli_link },
        { "policy", gh_cli_policy, "check, test and explain a policy", NULL, NULL, NULL },
        { "probe", gh_cli_probe, "find out what gives a door away", gh_cli_probe_usage, NULL, NULL },
        { "reload", NULL, "read the configuration again", gh_cli_reload_usage, NULL, gh_cli_reload },
        { "sessions", NULL, "list sessions, or end one", gh_cli_sessions_usage, NULL, gh_cli_sessions },
        { "status", NULL, "what the node does", gh_cli_status_usage, NULL, gh_cli_status },
        { "trace", NULL, "watch packets pass, with every decision about them", gh_cli_trace_usage, NULL, gh_cli_trace },
        { "user", NULL, "users with tokens: add, list, delete", gh_cli_user_usage, NULL, gh_cli_user },
        { NULL },
    };

    return gh_cli_main(verbs, argc, argv);
}
