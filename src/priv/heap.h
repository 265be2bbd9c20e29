/* priv/heap.h - memory that the crypto library frees is wiped
 *
 * The library leaves copies of a private key behind when it reads one: it cleanses the key itself, not the buffers on the way.
 * Whoever is forked from the parent would inherit them.
 */
#ifndef GH_PRIV_HEAP_H
#define GH_PRIV_HEAP_H

/* Before the library is used. 0 or GH_ERR_STATE. */
int gh_heap_wipe(void);
/* In a child, which has no key: from now on memory is freed as it is. */
void gh_heap_wipe_no_more(void);

#endif
