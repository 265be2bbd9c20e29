#include "base/error.h"
#include "base/ip_addr.h"
#include "ports/session_directory.h"
#include "services/admin/request.h"

static json_t *addresses_json(const struct gh_session_row *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->address_count; i++) {
        char text[GH_PREFIX_TEXT];

        gh_admin_json_add(&list, json_string(gh_prefix_emit(&s->addresses[i], text)));
    }
    return list;
}

static void on_session(void *arg, const struct gh_session_row *s)
{
    json_t **list = arg, *row = json_object(), *peer = json_null();

    if (s->peer) {
        char text[GH_IP_TEXT];

        peer = json_object();
        gh_admin_json_set(&peer, "address", json_string(gh_ip_emit(s->peer, text)));
        gh_admin_json_set(&peer, "port", json_integer(s->peer_port));
    }
    gh_admin_json_set(&row, "id", gh_admin_json_text(s->id));
    gh_admin_json_set(&row, "client_id", gh_admin_json_text(s->client_id));
    gh_admin_json_set(&row, "tenant", json_integer(s->tenant));
    gh_admin_json_set(&row, "addresses", addresses_json(s));
    gh_admin_json_set(&row, "peer", peer);
    gh_admin_json_set(&row, "since", gh_admin_json_time(s->since));
    gh_admin_json_set(&row, "rx_packets", json_integer((json_int_t)s->rx_packets));
    gh_admin_json_set(&row, "rx_bytes", json_integer((json_int_t)s->rx_bytes));
    gh_admin_json_set(&row, "tx_packets", json_integer((json_int_t)s->tx_packets));
    gh_admin_json_set(&row, "tx_bytes", json_integer((json_int_t)s->tx_bytes));
    gh_admin_json_set(&row, "flows", json_integer(s->flows));
    gh_admin_json_set(&row, "connections", json_integer(s->connections));
    gh_admin_json_set(&row, "worker", json_integer(s->worker));
    gh_admin_json_set(&row, "rtt_us", json_integer(s->rtt_us));
    gh_admin_json_set(&row, "mtu", json_integer(s->mtu));
    gh_admin_json_set(&row, "udp_payload", json_integer(s->udp_payload));
    gh_admin_json_set(&row, "datagrams_sent", json_integer((json_int_t)s->datagrams_sent));
    gh_admin_json_set(&row, "datagrams_lost", json_integer((json_int_t)s->datagrams_lost));
    gh_admin_json_add(list, row);
}

static bool offers_sessions(const struct gh_admin_request *r)
{
    if (r->admin->config.sessions)
        return true;
    gh_admin_reply_problem(r, 404, "not_found", "this node has no sessions", "");
    return false;
}

void gh_admin_sessions_serve(const struct gh_admin_request *r)
{
    const struct gh_port_sessions *port = r->admin->config.sessions;
    json_t *list, *body;

    if (!offers_sessions(r))
        return;
    list = json_array();
    port->list(port->self, on_session, &list);
    body = json_object();
    gh_admin_json_set(&body, "schema", json_integer(1));
    gh_admin_json_set(&body, "sessions", list);
    gh_admin_reply_json(r, 200, body);
}

static bool copy_id(struct gh_span from, char to[GH_SESSION_ID_MAX + 1])
{
    if (from.len == 0 || from.len > GH_SESSION_ID_MAX)
        return false;
    for (size_t i = 0; i < from.len; i++) {
        uint8_t b = from.data[i];

        if (!((b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b == '-' || b == '_'))
            return false;
        to[i] = (char)b;
    }
    to[from.len] = 0;
    return true;
}

void gh_admin_kick_serve(const struct gh_admin_request *r)
{
    const struct gh_port_sessions *port = r->admin->config.sessions;
    char id[GH_SESSION_ID_MAX + 1];
    json_t *body;
    int rc;

    if (!offers_sessions(r))
        return;
    if (!copy_id(r->rest, id)) {
        gh_admin_reply_problem(r, 400, "bad_id", "a session's id has letters, digits, '-' and '_' only", "gatehouse sessions lists them");
        return;
    }
    rc = port->kick(port->self, id);
    gh_admin_act(r->admin, "kick", id, gh_http_peer(r->stream)->uid, rc);
    if (rc == GH_ERR_NOT_FOUND) {
        gh_admin_reply_problem(r, 404, "no_such_session", "no session has this id", "gatehouse sessions lists them");
        return;
    }
    if (rc < 0) {
        gh_admin_reply_problem(r, 500, "kick_failed", gh_error_text(rc), "the log says more");
        return;
    }
    body = json_object();
    gh_admin_json_set(&body, "schema", json_integer(1));
    gh_admin_json_set(&body, "id", json_string(id));
    gh_admin_json_set(&body, "state", json_string("closing"));
    gh_admin_reply_json(r, 202, body);
}
