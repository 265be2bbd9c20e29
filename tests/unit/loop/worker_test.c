#include "loop/worker.h"

#include "../test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/error.h"

static struct gh_workers *workers(unsigned count, size_t slots)
{
    const struct gh_workers_config cfg = { .count = count, .name = "unit", .mailbox_slots = slots };
    struct gh_workers *ws = NULL;

    assert_int_equal(gh_workers_create(&cfg, &ws), 0);
    return ws;
}

/* ---- descriptors and deadlines, on this thread ---- */

struct seen {
    struct gh_worker *w;
    int calls, events, hooks;
    int64_t now, hook_now, first_now;
    struct gh_poll *close;
    int fd;
};

static void on_ready(void *arg, int events)
{
    struct seen *s = arg;
    char buf[16];

    s->calls++;
    s->events = events;
    s->now = gh_worker_now(s->w);
    if (s->calls == 1)
        s->first_now = s->now;
    if (s->fd >= 0)
        assert_true(read(s->fd, buf, sizeof buf) != 0);
    gh_poll_close(s->close);
    s->close = NULL;
}

static void on_hook(void *arg, int64_t now)
{
    struct seen *s = arg;

    s->hooks++;
    s->hook_now = now;
}

static void a_ready_descriptor_is_told_and_the_hook_comes_after_it(void **state)
{
    struct gh_workers *ws = workers(1, 0);
    struct gh_worker *w = gh_workers_at(ws, 0);
    struct seen s = { .w = w };
    struct gh_turn_hook hook = { .fn = on_hook, .arg = &s };
    struct gh_poll *p;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    s.fd = fds[0];
    assert_int_equal(gh_poll_open(w, fds[0], GH_POLL_READ, on_ready, &s, &p), 0);
    gh_worker_hook_add(w, &hook);
    gh_worker_turn(w, false);
    assert_int_equal(s.calls, 0);
    assert_int_equal(s.hooks, 1);
    assert_int_equal(write(fds[1], "x", 1), 1);
    gh_worker_turn(w, true);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.events, GH_POLL_READ);
    assert_int_equal(s.hooks, 2);
    assert_true(s.now == s.hook_now); /* one reading of the clock a turn */
    assert_int_equal(gh_poll_change(p, 0), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    gh_worker_turn(w, false);
    assert_int_equal(s.calls, 1);
    gh_worker_hook_remove(&hook);
    gh_poll_close(p);
    close(fds[0]);
    close(fds[1]);
    gh_workers_destroy(ws);
}

static void a_descriptor_closed_by_another_callback_of_the_turn_is_silent(void **state)
{
    struct gh_workers *ws = workers(1, 0);
    struct gh_worker *w = gh_workers_at(ws, 0);
    struct seen s = { .w = w, .fd = -1 }, t = { .w = w, .fd = -1 };
    struct gh_poll *a, *b;
    int fds[4];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(pipe(fds + 2), 0);
    assert_int_equal(gh_poll_open(w, fds[0], GH_POLL_READ, on_ready, &s, &a), 0);
    assert_int_equal(gh_poll_open(w, fds[2], GH_POLL_READ, on_ready, &t, &b), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(write(fds[3], "x", 1), 1);
    s.close = b;
    t.close = a;
    gh_worker_turn(w, true);
    assert_int_equal(s.calls + t.calls, 1);
    if (s.calls)
        gh_poll_close(a);
    else
        gh_poll_close(b);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    gh_workers_destroy(ws);
}

static void an_error_on_a_socket_is_told_and_polling_goes_on(void **state)
{
    struct gh_workers *ws = workers(1, 0);
    struct gh_worker *w = gh_workers_at(ws, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct seen s = { .w = w };
    socklen_t len = sizeof at;
    struct gh_poll *p;
    int fd, peer;

    (void)state;
    peer = socket(AF_INET, SOCK_DGRAM, 0);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    s.fd = fd;
    assert_int_equal(bind(peer, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(peer, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(gh_poll_open(w, fd, GH_POLL_READ, on_ready, &s, &p), 0);
    close(peer); /* nobody listens: the datagram comes back as an ICMP error */
    assert_int_equal(send(fd, "x", 1, 0), 1);
    gh_worker_turn(w, true);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.events, GH_POLL_READ | GH_POLL_ERROR);
    peer = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(peer, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(sendto(peer, "y", 1, 0, (struct sockaddr *)&at, len), 1);
    gh_worker_turn(w, true);
    assert_int_equal(s.calls, 2);
    assert_int_equal(s.events, GH_POLL_READ);
    gh_poll_close(p);
    close(fd);
    close(peer);
    gh_workers_destroy(ws);
}

struct alarm {
    struct gh_deadline d;
    int fired;
    int64_t at, now;
};

static void on_alarm(void *arg, int64_t now)
{
    struct alarm *a = arg;

    a->fired++;
    a->now = now;
}

static void deadlines_fire_in_time_and_not_before(void **state)
{
    struct gh_workers *ws = workers(1, 0);
    struct gh_worker *w = gh_workers_at(ws, 0);
    struct alarm a = { 0 }, b = { 0 }, c = { 0 };
    int64_t start = gh_worker_now(w);

    (void)state;
    gh_deadline_init(&a.d, on_alarm, &a);
    gh_deadline_init(&b.d, on_alarm, &b);
    gh_deadline_init(&c.d, on_alarm, &c);
    gh_worker_deadline_start(w, &a.d, start + 3000000);
    gh_worker_deadline_start(w, &b.d, start + 300000);
    gh_worker_deadline_start(w, &c.d, start + 1000000);
    gh_worker_turn(w, false);
    gh_worker_deadline_stop(w, &c.d);
    gh_worker_deadline_start(w, &b.d, start + 2000000); /* moved away: the timer may go off once for nothing */
    while (!a.fired)
        gh_worker_turn(w, true);
    assert_int_equal(b.fired, 1);
    assert_int_equal(c.fired, 0);
    assert_true(a.now >= start + 3000000);
    assert_true(b.now >= start + 2000000);
    assert_true(a.now >= b.now);
    gh_workers_destroy(ws);
}

static unsigned timers_set;

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old)
{
    timers_set++;
    return __real_timerfd_settime(fd, flags, t, old);
}

struct chore {
    struct alarm alarm;
    struct gh_worker *w;
};

static void on_chore(void *arg, int64_t now)
{
    struct chore *c = arg;

    if (++c->alarm.fired < 100)
        gh_worker_deadline_start(c->w, &c->alarm.d, now);
}

static void what_is_due_at_once_is_done_in_the_next_turn_without_a_timer(void **state)
{
    struct gh_workers *ws = workers(1, 0);
    struct chore c = { .w = gh_workers_at(ws, 0) };
    struct alarm later = { 0 };
    int64_t start = gh_worker_now(c.w);

    (void)state;
    gh_deadline_init(&c.alarm.d, on_chore, &c);
    gh_deadline_init(&later.d, on_alarm, &later);
    gh_worker_deadline_start(c.w, &later.d, start + 20000000);
    gh_worker_deadline_start(c.w, &c.alarm.d, start);
    gh_worker_turn(c.w, true);
    timers_set = 0;
    for (int i = c.alarm.fired; i < 100; i++) {
        gh_worker_turn(c.w, true);
        assert_int_equal(c.alarm.fired, i + 1);
    }
    assert_int_equal(timers_set, 0);
    while (!later.fired)
        gh_worker_turn(c.w, true);
    assert_true(later.now >= start + 20000000); /* and then it waits again */
    assert_in_range(timers_set, 0, 2);
    gh_workers_destroy(ws);
}

/* ---- threads ---- */

struct letter {
    struct gh_message message;
    unsigned from, number;
};

static struct post {
    unsigned next[4];
    _Atomic unsigned delivered, disorder;
    sem_t done;
    unsigned total;
} post;

static void on_letter(struct gh_worker *w, struct gh_message *m)
{
    struct letter *l = gh_container_of(m, struct letter, message);

    if (!gh_worker_is_here(w) || post.next[l->from] != l->number)
        post.disorder++;
    post.next[l->from]++;
    free(l);
    if (++post.delivered == post.total)
        sem_post(&post.done);
}

#define LETTERS 50000u

static struct gh_worker *post_to;

static void *post_letters(void *arg)
{
    unsigned from = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < LETTERS; i++) {
        struct letter *l = malloc(sizeof *l);

        *l = (struct letter){ .message.deliver = on_letter, .from = from, .number = i };
        while (gh_mailbox_post(post_to, &l->message) == GH_ERR_FULL)
            sched_yield();
    }
    return NULL;
}

static void messages_of_a_sender_arrive_in_order_and_once(void **state)
{
    struct gh_workers *ws = workers(2, 64);
    pthread_t threads[3];

    (void)state;
    memset(&post, 0, sizeof post);
    sem_init(&post.done, 0, 0);
    post.total = 3 * LETTERS;
    post_to = gh_workers_at(ws, 1);
    assert_int_equal(gh_workers_start(ws), 0);
    for (uintptr_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_letters, (void *)i), 0);
    sem_wait(&post.done);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    gh_workers_destroy(ws);
    assert_int_equal(post.disorder, 0);
    assert_int_equal(post.delivered, 3 * LETTERS);
}

static void a_full_mailbox_says_so_and_loses_nothing(void **state)
{
    struct gh_workers *ws = workers(1, 4);
    struct gh_worker *w = gh_workers_at(ws, 0);
    struct letter *last = NULL;

    (void)state;
    memset(&post, 0, sizeof post);
    sem_init(&post.done, 0, 0);
    for (unsigned i = 0; i < 5; i++) {
        last = malloc(sizeof *last);
        *last = (struct letter){ .message.deliver = on_letter, .number = i };
        assert_int_equal(gh_mailbox_post(w, &last->message), i < 4 ? 0 : GH_ERR_FULL);
    }
    gh_worker_turn(w, false);
    assert_int_equal(post.delivered, 4);
    assert_int_equal(gh_mailbox_post(w, &last->message), 0);
    gh_workers_destroy(ws); /* delivers what is left */
    assert_int_equal(post.delivered, 5);
}

static void send_letters(struct gh_worker *w, unsigned from, unsigned count, uint32_t weight)
{
    for (unsigned i = 0; i < count; i++) {
        struct letter *l = malloc(sizeof *l);

        *l = (struct letter){ .message = { on_letter, weight }, .from = from, .number = i };
        assert_int_equal(gh_mailbox_post(w, &l->message), 0);
    }
}

static void count_letters(struct gh_worker *w, void *arg)
{
    (void)w;
    *(unsigned *)arg = post.delivered;
}

static void a_turn_delivers_so_much_and_the_next_goes_on(void **state)
{
    struct gh_workers *ws = workers(1, 2048);
    struct gh_worker *w = gh_workers_at(ws, 0);
    unsigned seen = 0;

    (void)state;
    memset(&post, 0, sizeof post);
    sem_init(&post.done, 0, 0);
    send_letters(w, 0, GH_MAILBOX_TURN + 10, 0);
    gh_worker_turn(w, false);
    assert_int_equal(post.delivered, GH_MAILBOX_TURN);
    gh_worker_turn(w, true); /* does not wait: it has been woken */
    assert_int_equal(post.delivered, GH_MAILBOX_TURN + 10);
    send_letters(w, 1, 10, GH_MAILBOX_TURN / 4); /* each is many */
    gh_worker_turn(w, false);
    assert_int_equal(post.delivered, GH_MAILBOX_TURN + 14);
    send_letters(w, 2, GH_MAILBOX_TURN * 2, 0);
    assert_int_equal(gh_worker_run(w, count_letters, &seen), 0);
    gh_worker_turn(w, false);
    assert_int_equal(seen, GH_MAILBOX_TURN * 3 + 20); /* whoever asks finds all that was sent before */
    assert_int_equal(post.disorder, 0);
    gh_workers_destroy(ws);
}

struct call {
    char name[16];
    unsigned index;
    bool here;
};

static void on_call(struct gh_worker *w, void *arg)
{
    struct call *c = arg;

    prctl(PR_GET_NAME, c->name, 0, 0, 0);
    c->index = gh_worker_index(w);
    c->here = gh_worker_is_here(w);
}

static void a_call_runs_on_the_workers_own_named_thread(void **state)
{
    struct gh_workers *ws = workers(3, 0);
    struct call c;

    (void)state;
    assert_int_equal(gh_worker_call(gh_workers_at(ws, 0), on_call, &c), GH_ERR_STATE);
    assert_int_equal(gh_workers_start(ws), 0);
    assert_int_equal(gh_workers_start(ws), GH_ERR_STATE);
    for (unsigned i = 0; i < 3; i++) {
        char want[16];

        assert_int_equal(gh_worker_call(gh_workers_at(ws, i), on_call, &c), 0);
        snprintf(want, sizeof want, "unit/%u", i);
        assert_string_equal(c.name, want);
        assert_int_equal(c.index, i);
        assert_true(c.here);
        assert_false(gh_worker_is_here(gh_workers_at(ws, i)));
    }
    gh_workers_stop(ws);
    assert_int_equal(gh_worker_call(gh_workers_at(ws, 0), on_call, &c), GH_ERR_STATE);
    gh_workers_destroy(ws);
}

/* A thing that workers pass around: unlinked, then freed after quiescence. Messages under way still touch it. */
struct shared {
    _Atomic bool unlinked;
    bool alive;
    _Atomic unsigned touched;
};

struct touch {
    struct gh_message message;
    struct shared *s;
    unsigned hops;
};

static void on_touch(struct gh_worker *w, struct gh_message *m)
{
    struct touch *t = gh_container_of(m, struct touch, message);

    if (!t->s->alive)
        abort();
    t->s->touched++;
    if (t->s->unlinked || gh_mailbox_post(gh_workers_at(gh_worker_set(w), 1 - gh_worker_index(w)), m) < 0)
        free(t);
}

static void on_quiet(struct gh_worker *w, void *arg)
{
    (void)w;
    sem_post(arg);
}

static void after_quiescence_nobody_uses_what_was_unlinked(void **state)
{
    struct gh_workers *ws = workers(2, 0);
    sem_t quiet;

    (void)state;
    sem_init(&quiet, 0, 0);
    assert_int_equal(gh_workers_start(ws), 0);
    for (int round = 0; round < 100; round++) {
        struct shared *s = calloc(1, sizeof *s);

        s->alive = true;
        for (int i = 0; i < 8; i++) {
            struct touch *t = calloc(1, sizeof *t);

            t->message.deliver = on_touch;
            t->s = s;
            assert_int_equal(gh_mailbox_post(gh_workers_at(ws, i & 1), &t->message), 0);
        }
        s->unlinked = true;
        assert_int_equal(gh_worker_quiesce(gh_workers_at(ws, round & 1), on_quiet, &quiet), 0);
        sem_wait(&quiet);
        s->alive = false;
        free(s);
    }
    gh_workers_destroy(ws);
}

struct job {
    pthread_t worked_on;
    bool done_here;
    sem_t done;
};

static void job_work(void *arg)
{
    ((struct job *)arg)->worked_on = pthread_self();
}

static void job_done(struct gh_worker *w, void *arg)
{
    struct job *j = arg;

    j->done_here = gh_worker_is_here(w);
    sem_post(&j->done);
}

static void begin_job(struct gh_worker *w, void *arg)
{
    if (gh_worker_offload(w, job_work, job_done, arg) < 0)
        abort();
}

static void an_offloaded_job_ends_on_its_worker(void **state)
{
    struct gh_workers *ws = workers(1, 0);
    struct job j = { 0 };

    (void)state;
    sem_init(&j.done, 0, 0);
    assert_int_equal(gh_workers_start(ws), 0);
    assert_int_equal(gh_worker_call(gh_workers_at(ws, 0), begin_job, &j), 0);
    sem_wait(&j.done);
    assert_true(j.done_here);
    assert_false(pthread_equal(j.worked_on, pthread_self()));
    assert_int_equal(gh_worker_call(gh_workers_at(ws, 0), begin_job, &j), 0);
    gh_workers_destroy(ws); /* waits for the job under way */
    assert_int_equal(sem_trywait(&j.done), 0);
}

static void block(struct gh_worker *w, void *arg)
{
    (void)w;
    sem_wait(arg);
}

static void a_worker_that_hangs_does_not_tick(void **state)
{
    struct gh_workers *ws = workers(2, 0);
    uint64_t seen[2] = { 0 };
    sem_t hang;

    (void)state;
    sem_init(&hang, 0, 0);
    assert_int_equal(gh_workers_start(ws), 0);
    while (!gh_workers_ticked(ws, seen))
        sched_yield();
    assert_int_equal(gh_worker_run(gh_workers_at(ws, 1), block, &hang), 0);
    while (gh_workers_ticked(ws, seen)) /* until it hangs */
        sched_yield();
    for (int i = 0; i < 100; i++) { /* worker 0 goes on, worker 1 does not */
        uint64_t before = gh_worker_ticks(gh_workers_at(ws, 1));
        uint64_t other = gh_worker_ticks(gh_workers_at(ws, 0));

        gh_workers_ticked(ws, seen);
        while (gh_worker_ticks(gh_workers_at(ws, 0)) == other)
            sched_yield();
        assert_true(i < 50 || gh_worker_ticks(gh_workers_at(ws, 1)) == before);
    }
    sem_post(&hang);
    while (!gh_workers_ticked(ws, seen))
        sched_yield();
    gh_workers_destroy(ws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ready_descriptor_is_told_and_the_hook_comes_after_it),
        cmocka_unit_test(a_descriptor_closed_by_another_callback_of_the_turn_is_silent),
        cmocka_unit_test(an_error_on_a_socket_is_told_and_polling_goes_on),
        cmocka_unit_test(deadlines_fire_in_time_and_not_before),
        cmocka_unit_test(what_is_due_at_once_is_done_in_the_next_turn_without_a_timer),
        cmocka_unit_test(messages_of_a_sender_arrive_in_order_and_once),
        cmocka_unit_test(a_full_mailbox_says_so_and_loses_nothing),
        cmocka_unit_test(a_turn_delivers_so_much_and_the_next_goes_on),
        cmocka_unit_test(a_call_runs_on_the_workers_own_named_thread),
        cmocka_unit_test(after_quiescence_nobody_uses_what_was_unlinked),
        cmocka_unit_test(an_offloaded_job_ends_on_its_worker),
        cmocka_unit_test(a_worker_that_hangs_does_not_tick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
