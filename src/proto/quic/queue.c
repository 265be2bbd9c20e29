#include "proto/quic/queue.h"

#include <stdlib.h>

#include "base/error.h"

#define NONE UINT32_MAX
#define WAYS 8u        /* flows that share a place of the table */
#define SLAB_CELLS 32u /* 64 KiB */
#define KEEP_TIME INT64_C(1000000000) /* slabs but one */
#define REST_TIME (3 * KEEP_TIME)     /* all of it; CoDel has forgotten by then */
#define TURNS_PER_SECOND 5000u
#define INTERVAL_SHARE 20 /* of the interval the target takes */
#define AGAIN_SOON 16  /* intervals after which CoDel forgets how fast it had to drop */

_Static_assert(GH_QUIC_QUEUE_CELL * GH_QUIC_QUEUE_PIECES >= 65535, "the longest datagram fits");

enum list { LIST_NEW, LIST_OLD, LIST_IDLE };

struct gh_quic_queue_flow {
    uint32_t number;     /* the caller's */
    enum list list;
    uint32_t next;       /* flow of the list */
    uint32_t head, tail; /* first cells of its datagrams */
    uint32_t cells;
    int32_t deficit;
    /* CoDel, in the words of RFC 8289 */
    bool dropping;
    uint32_t count, last_count;
    int64_t first_above_time, drop_next;
};

/* Of the first cell of a datagram; <more> of every cell. The bytes lie apart, so that walking queues does not touch them. */
struct entry {
    int64_t since;
    uint32_t len;
    uint32_t next; /* datagram of the flow, or free cell */
    uint32_t more; /* cell of the same datagram */
};

struct gh_quic_queue_slab {
    struct entry entries[SLAB_CELLS];
    uint8_t cells[SLAB_CELLS][GH_QUIC_QUEUE_CELL];
};

/* What a queue in use has at least, in one piece: large enough that malloc gives it back to the system. */
struct first_slab {
    struct gh_quic_queue_slab slab; /* first: slabs[0] */
    struct gh_quic_queue_flow flows[GH_QUIC_QUEUE_FLOWS];
};

static struct entry *entry_of(const struct gh_quic_queue *q, uint32_t cell)
{
    return &q->slabs[cell / SLAB_CELLS]->entries[cell % SLAB_CELLS];
}

static uint8_t *bytes_of(const struct gh_quic_queue *q, uint32_t cell)
{
    return q->slabs[cell / SLAB_CELLS]->cells[cell % SLAB_CELLS];
}

void gh_quic_queue_init(struct gh_quic_queue *q, const struct gh_quic_queue_limits *limits)
{
    *q = (struct gh_quic_queue){ .limits = *limits, .free = NONE, .first = { NONE, NONE }, .last = { NONE, NONE }, .current = NONE,
                                   .quantum = GH_QUIC_QUEUE_QUANTUM, .target = limits->target, .interval = limits->interval };
    q->max_cells = (uint32_t)(limits->bytes / GH_QUIC_QUEUE_CELL);
}

/* All memory; nothing waits. */
static void give_back(struct gh_quic_queue *q)
{
    for (uint32_t i = 0; i < q->slab_count; i++)
        free(q->slabs[i]);
    free(q->slabs);
    q->slabs = NULL;
    q->slab_count = q->slab_room = 0;
    q->flows = NULL;
    q->free = NONE;
}

void gh_quic_queue_fini(struct gh_quic_queue *q)
{
    give_back(q);
    *q = (struct gh_quic_queue){ .free = NONE, .current = NONE, .dropped_full = q->dropped_full, .dropped_delay = q->dropped_delay };
}

/* Cells. */

static void free_cells_of(struct gh_quic_queue *q, uint32_t slab)
{
    for (uint32_t i = SLAB_CELLS; i-- > 0;) {
        q->slabs[slab]->entries[i].next = q->free;
        q->free = slab * SLAB_CELLS + i;
    }
}

static int slab_add(struct gh_quic_queue *q)
{
    if (q->slab_count == q->slab_room) {
        uint32_t room = q->slab_room ? q->slab_room * 2 : 8;
        struct gh_quic_queue_slab **slabs = realloc(q->slabs, room * sizeof *slabs);

        if (!slabs)
            return GH_ERR_MEMORY;
        q->slabs = slabs;
        q->slab_room = room;
    }
    q->slabs[q->slab_count] = malloc(q->slab_count ? sizeof **q->slabs : sizeof(struct first_slab));
    if (!q->slabs[q->slab_count])
        return GH_ERR_MEMORY;
    if (q->slab_count == 0) {
        q->flows = ((struct first_slab *)(void *)q->slabs[0])->flows;
        for (uint32_t i = 0; i < GH_QUIC_QUEUE_FLOWS; i++)
            q->flows[i] = (struct gh_quic_queue_flow){ .list = LIST_IDLE, .head = NONE, .tail = NONE };
    }
    free_cells_of(q, q->slab_count++);
    return 0;
}

static uint32_t cell_take(struct gh_quic_queue *q)
{
    uint32_t cell = q->free;

    q->free = entry_of(q, cell)->next;
    q->cells++;
    return cell;
}

static void cells_return(struct gh_quic_queue *q, uint32_t cell)
{
    while (cell != NONE) {
        struct entry *e = entry_of(q, cell);
        uint32_t more = e->more;

        e->next = q->free;
        q->free = cell;
        q->cells--;
        cell = more;
    }
}

static uint32_t cells_for(size_t len)
{
    return len <= GH_QUIC_QUEUE_CELL ? 1 : (uint32_t)((len + GH_QUIC_QUEUE_CELL - 1) / GH_QUIC_QUEUE_CELL);
}

static void copy_in(struct gh_quic_queue *q, uint32_t cell, size_t at, struct gh_span s)
{
    for (; at >= GH_QUIC_QUEUE_CELL; at -= GH_QUIC_QUEUE_CELL)
        cell = entry_of(q, cell)->more;
    while (s.len) {
        size_t room = GH_QUIC_QUEUE_CELL - at, n = s.len < room ? s.len : room;

        memcpy(bytes_of(q, cell) + at, s.data, n);
        s = gh_span_of(s.data + n, s.len - n);
        cell = entry_of(q, cell)->more;
        at = 0;
    }
}

/* Flows. */

static void flow_begin(struct gh_quic_queue_flow *f, uint32_t number)
{
    if (f->number != number)
        *f = (struct gh_quic_queue_flow){ .number = number, .list = LIST_IDLE };
    f->head = f->tail = NONE;
}

/* The flow of that number, else a place where none waits, else somebody else's. */
static uint32_t flow_find(struct gh_quic_queue *q, uint32_t number)
{
    uint32_t first = number * UINT32_C(0x9e3779b1) >> 28, idle = NONE; /* one of 16 places */

    _Static_assert(GH_QUIC_QUEUE_FLOWS / WAYS == 16, "four bits");
    first *= WAYS;
    if (q->current != NONE && q->flows[q->current].number == number)
        return q->current;
    for (uint32_t i = first; i < first + WAYS; i++) {
        struct gh_quic_queue_flow *f = &q->flows[i];

        if (f->number == number) {
            if (f->list == LIST_IDLE)
                flow_begin(f, number);
            return i;
        }
        if (f->list == LIST_IDLE && idle == NONE)
            idle = i;
    }
    if (idle == NONE)
        return first + number % WAYS;
    flow_begin(&q->flows[idle], number);
    return idle;
}

static void list_append(struct gh_quic_queue *q, enum list list, uint32_t flow)
{
    q->flows[flow].list = list;
    q->flows[flow].next = NONE;
    if (q->first[list] == NONE)
        q->first[list] = flow;
    else
        q->flows[q->last[list]].next = flow;
    q->last[list] = flow;
}

static void list_pop(struct gh_quic_queue *q, enum list list)
{
    struct gh_quic_queue_flow *f = &q->flows[q->first[list]];

    q->first[list] = f->next;
    f->list = LIST_IDLE;
}

/* The oldest datagram of the flow goes. */
static uint32_t pop(struct gh_quic_queue *q, struct gh_quic_queue_flow *f)
{
    uint32_t cell = f->head, len = entry_of(q, cell)->len;

    f->head = entry_of(q, cell)->next;
    if (f->head == NONE)
        f->tail = NONE;
    f->cells -= cells_for(len);
    q->count--;
    q->bytes -= len;
    cells_return(q, cell);
    return len;
}

static void drop_from_fullest(struct gh_quic_queue *q)
{
    struct gh_quic_queue_flow *fullest = NULL;

    for (int list = LIST_NEW; list <= LIST_OLD; list++)
        for (uint32_t i = q->first[list]; i != NONE; i = q->flows[i].next)
            if (!fullest || q->flows[i].cells > fullest->cells)
                fullest = &q->flows[i];
    pop(q, fullest);
    q->dropped_full++;
}

static int make_room(struct gh_quic_queue *q, uint32_t cells)
{
    if (q->slab_count == 0 && slab_add(q) < 0)
        return GH_ERR_MEMORY;
    while (q->count >= q->limits.packets || q->cells + cells > q->max_cells)
        drop_from_fullest(q);
    while (q->slab_count * SLAB_CELLS - q->cells < cells)
        if (slab_add(q) < 0)
            return GH_ERR_MEMORY;
    return 0;
}

int gh_quic_queue_append(struct gh_quic_queue *q, struct gh_span head, struct gh_span body, uint32_t flow, int64_t now)
{
    size_t len = head.len + body.len;
    uint32_t cells = cells_for(len), first = NONE, cell = NONE, id;
    struct gh_quic_queue_flow *f;

    if (cells > q->max_cells || len > 65535 || q->limits.packets == 0)
        return GH_ERR_FULL;
    if (make_room(q, cells) < 0)
        return GH_ERR_MEMORY;
    for (uint32_t i = 0; i < cells; i++) {
        uint32_t taken = cell_take(q);

        entry_of(q, taken)->more = NONE;
        if (first == NONE)
            first = taken;
        else
            entry_of(q, cell)->more = taken;
        cell = taken;
    }
    entry_of(q, first)->since = now;
    entry_of(q, first)->len = (uint32_t)len;
    entry_of(q, first)->next = NONE;
    copy_in(q, first, 0, head);
    copy_in(q, first, head.len, body);
    id = flow_find(q, flow);
    f = &q->flows[id];
    if (f->head == NONE)
        f->head = first;
    else
        entry_of(q, f->tail)->next = first;
    f->tail = first;
    f->cells += cells;
    q->count++;
    q->bytes += len;
    if (f->list == LIST_IDLE) {
        f->deficit = q->quantum;
        list_append(q, LIST_NEW, id);
    }
    return 0;
}

/* CoDel. */

/* interval / sqrt(count) */
static int64_t control_law(int64_t interval, uint32_t count)
{
    uint64_t square = (uint64_t)count << 16, root = 0;

    for (uint64_t bit = UINT64_C(1) << 24; bit; bit >>= 1)
        if ((root + bit) * (root + bit) <= square)
            root += bit;
    return interval * 256 / (int64_t)root;
}

/* Has the flow waited above the target for an interval? */
static bool ok_to_drop(const struct gh_quic_queue *q, struct gh_quic_queue_flow *f, int64_t waited, int64_t now)
{
    if (q->limits.target == 0 || waited < q->target || f->head == f->tail) {
        f->first_above_time = 0;
        return false;
    }
    if (f->first_above_time == 0) {
        f->first_above_time = now + q->interval;
        return false;
    }
    return now >= f->first_above_time;
}

static void begin_to_drop(const struct gh_quic_queue *q, struct gh_quic_queue_flow *f, int64_t now)
{
    uint32_t more = f->count - f->last_count;

    f->dropping = true;
    f->count = more > 1 && now - f->drop_next < AGAIN_SOON * q->interval ? more : 1;
    f->last_count = f->count;
    f->drop_next = now + control_law(q->interval, f->count);
}

/* Drops what must go from the flow's head. False when nothing is left. */
static bool judge(struct gh_quic_queue *q, struct gh_quic_queue_flow *f, int64_t now)
{
    while (f->head != NONE) {
        int64_t waited = now - entry_of(q, f->head)->since;

        if (q->limits.time == 0 || waited <= q->limits.time) {
            if (!ok_to_drop(q, f, waited, now)) {
                f->dropping = false;
                return true;
            }
            if (f->dropping && now < f->drop_next)
                return true;
            if (!f->dropping)
                begin_to_drop(q, f, now);
            else
                f->drop_next += control_law(q->interval, ++f->count);
        }
        pop(q, f);
        q->dropped_delay++;
    }
    return false;
}

/* The flow whose turn it is. */
static struct gh_quic_queue_flow *choose(struct gh_quic_queue *q, int64_t now)
{
    for (;;) {
        enum list list = q->first[LIST_NEW] != NONE ? LIST_NEW : LIST_OLD;
        uint32_t id = q->first[list];
        struct gh_quic_queue_flow *f;

        q->current = id;
        if (id == NONE)
            return NULL;
        f = &q->flows[id];
        if (f->deficit <= 0) {
            f->deficit += q->quantum;
            list_pop(q, list);
            list_append(q, LIST_OLD, id);
        } else if (judge(q, f, now)) {
            return f;
        } else {
            list_pop(q, list);
            if (list == LIST_NEW) /* RFC 8290, section 4.2: else a flow of one packet at a time would always be new */
                list_append(q, LIST_OLD, id);
        }
    }
}

size_t gh_quic_queue_peek(struct gh_quic_queue *q, int64_t now, struct gh_span ret[GH_QUIC_QUEUE_PIECES])
{
    struct gh_quic_queue_flow *f;
    uint32_t cell, left;
    size_t n = 0;

    if (q->count == 0)
        return 0;
    q->emptied = now;
    f = choose(q, now);
    if (!f)
        return 0;
    cell = f->head;
    left = entry_of(q, cell)->len;
    do {
        uint32_t len = left < GH_QUIC_QUEUE_CELL ? left : GH_QUIC_QUEUE_CELL;

        ret[n++] = gh_span_of(bytes_of(q, cell), len);
        cell = entry_of(q, cell)->more;
        left -= len;
    } while (left);
    return n;
}

void gh_quic_queue_consume(struct gh_quic_queue *q)
{
    struct gh_quic_queue_flow *f = &q->flows[q->current];

    f->deficit -= (int32_t)pop(q, f);
    if (q->count)
        return;
    for (int list = LIST_NEW; list <= LIST_OLD; list++) /* nobody is owed a turn */
        while (q->first[list] != NONE)
            list_pop(q, (enum list)list);
}

void gh_quic_queue_set_rate(struct gh_quic_queue *q, uint64_t bytes_per_second)
{
    uint64_t turn = bytes_per_second / TURNS_PER_SECOND;

    q->quantum = turn < GH_QUIC_QUEUE_QUANTUM ? GH_QUIC_QUEUE_QUANTUM : turn > GH_QUIC_QUEUE_QUANTUM_MAX ? GH_QUIC_QUEUE_QUANTUM_MAX : (int32_t)turn;
}

void gh_quic_queue_set_rtt(struct gh_quic_queue *q, int64_t rtt)
{
    q->interval = 2 * rtt > q->limits.interval ? 2 * rtt : q->limits.interval;
    q->target = q->interval / INTERVAL_SHARE > q->limits.target ? q->interval / INTERVAL_SHARE : q->limits.target;
}

void gh_quic_queue_trim(struct gh_quic_queue *q, int64_t now)
{
    if (q->count == 0 && q->slab_count && now - q->emptied >= REST_TIME)
        give_back(q);
    if (q->count || q->slab_count < 2 || now - q->emptied < KEEP_TIME)
        return;
    while (q->slab_count > 1)
        free(q->slabs[--q->slab_count]);
    q->free = NONE;
    free_cells_of(q, 0);
}
