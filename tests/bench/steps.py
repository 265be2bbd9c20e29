"""The steps of a packet's way through a program: where a sample belongs by who called, the innermost first

A row is (step, pattern of function names). The order is that of the way, for the table; which rows meet anything depends on the program and the
direction. docs/internals/packet-path.md is the same list in words.
"""
REST = 'else'

STEPS = (
    # The kernel hands a packet on within the system call that sent it: the next hop's work, and the TCP behind it.
    ('next hops, in the kernel', r'^(handle_softirqs|__do_softirq|net_rx_action|process_backlog)$'),
    ('wait', r'^(uv__io_poll|epoll_pwait|uv_async_send|uv__async_|uv__poll_io)'),
    ('read the socket', r'^gh_udp_receive$'),
    ('read the TUN', r'^gh_tun_read$'),
    ('cut', r'^gh_segment_(init|next|count)$'),
    ('open: AEAD', r'^(gh_gcm_open|gh_gcm_mask|gh_aead_open|gh_aead_mask|cb_decrypt|cb_hp_mask)$'),
    ('take apart: QUIC', r'^(gh_quic_recv|gh_quic_peek_dcid|receive_message)$'),
    ('HTTP datagram, context id', r'^(cb_datagram|on_datagram|gh_connect_ip_feed_datagram|gh_h3_on_datagram|gh_h3_datagram)'),
    ('hand over', r'^(relay_packet_hand_over|deliver_parcel|gh_mailbox_post)$'),
    ('find the session', r'^(gh_directory_find_addr|find_addr|gh_directory_enter|gh_directory_leave|relay_session_find)$'),
    ('the engine: source, flow, TTL', r'^gh_forward_(from_peer|to_peer|admit)$'),
    ('the rules', r'^gh_policy_evaluate$'),
    ('between: size, route, count', r'^(relay_packet_(in|from_peer|to_peer|send)|agent_packet_in|packet_out|gh_agent_tunnel_send|gh_agent_device_address)$'),
    ('gather for the TUN', r'^gh_tun_port_send$'),
    ('merge', r'^gh_coalesce_(add|next)$'),
    ('write the TUN', r'^(gh_tun_write|gh_tun_port_flush)$'),
    ('queue', r'^(gh_quic_queue_(append|peek|consume|set_rate|trim)|gh_quic_send_datagram|gh_http_send_datagram|gh_h3_send_datagram)$'),
    ('seal: AEAD', r'^(gh_gcm_seal|gh_aead_seal|gh_quic_encrypt\w*|cb_encrypt)$'),
    ('build: QUIC', r'^(gh_quic_write|gh_quic_deadline|gh_quic_expire)$'),
    ('write the socket', r'^gh_udp_send$'),
    ('the turn: deadlines, hooks', r'^(gh_deadlines?_\w+|gh_worker_\w+|uv_\w+|uv__\w+)$'),
)
