"""Where a sample of a profile belongs: the first row that matches, from the top

A row is (group, what is looked at, regular expression). 'leaf': the function that ran; 'source': the file it was written in, as src/… (ours alone);
'any': the function or anybody who called it, kernel functions among them. What matches nothing is REST.
"""
REST = 'rest'

GROUPS = (
    # The kernel hands a packet on within the system call that sent it: in a world of cables that is the next hop's work, and the TCP behind it.
    ('copies', 'leaf', r'^(_copy_(from|to)_iter|copy_user|rep_movs|__pi_memcpy|memcpy|memmove|memset|__mem(cpy|move|set|pcpy)_|runtime\.mem(move|clr)|__check_object_size|check_heap_object|copy_in$|copy_out$)'),
    ('next hops', 'any', r'^(handle_softirqs|__do_softirq|net_rx_action|process_backlog)'),
    ('TUN', 'any', r'^(tun_|do_readv|do_writev)'),
    ('kernel UDP', 'any', r'^(udp_|udpv6_|__sys_sendmsg|__sys_sendmmsg|__sys_recvmsg|__sys_recvmmsg|do_recvmmsg|inet6?_(send|recv)msg)'),
    ('waiting, waking', 'any', r'^(do_epoll_|ep_poll|__x64_sys_epoll|do_futex|futex_|__x64_sys_futex|schedule$|do_syscall_64.*sched|eventfd_|__x64_sys_nanosleep|runtime\.(futex|schedule|findRunnable|mcall|park_m|gopark|goready|ready|selectgo|chan|netpoll))'),
    ('handshakes', 'leaf', r'(^(fe|ge|sc|scalar|matrix|vector)_|^(cmov|slide|k25519Precomp)|_ntt$|_cpa$|getrn|nistz256|ecp_|x25519|fe51_|ml_?kem|[Kk]eccak|sha(1|256|512|3)|[Ss]ha3|ecdsa|(^|_)(bn|BN|EC|X509|x509|ASN1|asn1|PEM|d2i|i2d|OBJ)_|tls13_|tls_(process|construct)|ossl_statem|SSL_|ssl_|HMAC|hkdf|OPENSSL_(LH|sk)|evp_(generic|keymgmt|pkey)|EVP_(PKEY|KDF|MD|Digest))'),
    ('AEAD', 'leaf', r'(aes|ghash|gcm|chacha|poly1305|blake2s|_ctr32_|evp_|EVP_|OSSL_PARAM|ossl_param|ossl_cipher|CRYPTO_memcmp)'),
    ('AEAD', 'leaf', r'^(skip_iv_len|gh_aead_|gh_quic_encrypt|cb_decrypt|cb_hp_mask)'),
    ('AEAD', 'source', r'^src/(crypto/|proto/quic/crypto_glue)'),
    ('QUIC bookkeeping', 'leaf', r'^(ngtcp2_|nghttp3_|conn_|rtb_|ksl_|acktr_|rst_|cc_|cubic_|bbr_|pkt_|strm_|qpack|pq_|ksl|dispatch_|idtr|pv_|cmp_|opl|gaptr|range_|decrypt_hp|encrypt_|decrypt_|ppe_|log_)'),
    ('QUIC bookkeeping', 'source', r'^src/(proto/(quic|h3|connect_ip|h2)|net/)'),
    ('segments', 'source', r'^src/(proto/forward/(segment|coalesce|checksum|offload)|wire/checksum|os/tun)'),
    ('segments', 'leaf', r'^(gh_(segment|checksum|coalesce)_|add_avx)'),
    ('policy', 'source', r'^src/(policy/|proto/forward/|wire/ip|base/(ip|map|hash|siphash|prefix))'),
    ('policy', 'leaf', r'^(gh_(flow|policy|acl|forward|source|rate|fragment|hash)_)'),
    ('sockets, loop', 'source', r'^src/(os/|loop/)'),
    ('relay, agent', 'source', r'^src/services/'),
    ('kernel, else', 'any', r'^(do_syscall_64|entry_SYSCALL|asm_|exc_|sysvec_)'),
)
