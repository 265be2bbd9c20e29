/* base/list.h - doubly linked lists whose links live in the objects
 *
 * A list head and a link are the same type; an unlinked link points at itself after gh_list_init or gh_list_unlink.
 */
#ifndef GH_BASE_LIST_H
#define GH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct gh_list {
    struct gh_list *next, *prev;
};

#define gh_container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* The object after which the walk goes on may be unlinked, no other. */
#define gh_list_each(it, head) \
    for (struct gh_list *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)

static inline void gh_list_init(struct gh_list *l)
{
    l->next = l->prev = l;
}

static inline bool gh_list_empty(const struct gh_list *l)
{
    return l->next == l;
}

static inline void gh_list_append(struct gh_list *head, struct gh_list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void gh_list_unlink(struct gh_list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    gh_list_init(l);
}

#endif
