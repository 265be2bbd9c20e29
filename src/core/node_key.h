/* core/node_key.h - the secret of a node, kept across restarts
 *
 * What a node must be able to recompute after it was started again follows from this key: the tokens of stateless resets and the mask
 * of connection ids (RFC 9000, section 10.3.2; DESIGN 3). It is 32 random bytes in <state folder>/node.key, mode 0600, made at
 * the first start. To take another one, remove the file: connections made before are then ended by their idle time-out.
 */
#ifndef GH_CORE_NODE_KEY_H
#define GH_CORE_NODE_KEY_H

#include <stdint.h>

#define GH_NODE_KEY 32

/* Reads the key, or makes it. 0, GH_ERR_MALFORMED (the file is something else), GH_ERR_SYSTEM (errno says) or GH_ERR_CRYPTO. The caller
 * wipes it. */
int gh_node_key_load(const char *state_dir, uint8_t ret[GH_NODE_KEY]);

#endif
