/* Tasks that a thread starts on the loop of another one, and waits for. */
#include "support/thread_futures.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- A thread waits for a task ---- */

struct job {
    struct fixture *f;
    kolk_loop *loop;
    kolk_coroutine_fn fn;
    const kolk_task_options *options;
    kolk_thread_future *future;
    int gone; /* How often destroy was called for the task. */
    int began, status, done;
    int result_destroyed;
    void *result;
    char message[32];
    pthread_t ran_on;
};

static void count_job(void *userdata) { __atomic_add_fetch(&((struct job *)userdata)->gone, 1, __ATOMIC_RELEASE); }

static int start_job(struct job *job) {
    return kolk_run_threadsafe(job->loop ? job->loop : job->f->loop, job->fn, job, count_job, job->options, &job->future);
}

static void *run_and_wait(void *userdata) {
    struct job *job = userdata;
    job->status = start_job(job);
    if (job->status == 0) {
        job->status = kolk_thread_future_result(job->future, 30 * SECOND, &job->result);
        snprintf(job->message, sizeof job->message, "%s", kolk_error_message(kolk_thread_future_error(job->future)));
    }
    job->future = kolk_thread_future_unref(job->future);
    __atomic_store_n(&job->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static int sleep_and_return(void *userdata, void **ret_result) {
    struct job *job = userdata;
    job->began++;
    job->ran_on = pthread_self();
    *ret_result = job;
    return kolk_sleep(MS);
}

static int is_gone(void *job) { return __atomic_load_n(&((struct job *)job)->gone, __ATOMIC_ACQUIRE); }

/* A thread runs a task on a loop that sleeps, and blocks until it has its result. */
static void a_thread_runs_a_task_and_gets_its_result(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = sleep_and_return};
    pthread_t thread = start_thread(run_and_wait, &job);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    pthread_join(thread, NULL);
    assert_int_equal(job.status, 0);
    assert_ptr_equal(job.result, &job);
    assert_true(pthread_equal(job.ran_on, pthread_self()));
    assert_int_equal(job.gone, 1);
}

static int fail_with_words(void *userdata, void **ret_result) {
    kolk_error *error = NULL;
    (void)userdata, (void)ret_result;
    kolk_error_new(KOLK_EREFUSED, "not today", NULL, &error);
    return kolk_raise(error);
}

/* The error of the task is the thread's to handle, with its words, and nobody else is told. */
static void a_thread_gets_the_error_of_its_task(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct job job = {.f = f, .fn = fail_with_words};
    pthread_t thread = start_thread(run_and_wait, &job);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    pthread_join(thread, NULL);
    assert_int_equal(job.status, KOLK_EREFUSED);
    assert_string_equal(job.message, "not today");
    assert_record(f, "");
}

/* If nobody can ask any more, the loop's exception handler is told. */
static void the_error_of_a_task_that_nobody_waits_for_is_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct job job = {.f = f};
    assert_int_equal(kolk_run_threadsafe(f->loop, fail_with_words, &job, count_job, NULL, NULL), 0);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_record(f, "unhandled(KOLK_EREFUSED)");
}

static void record_thread_done(kolk_thread_future *future, void *userdata) {
    record(userdata, "told(%s)", kolk_status_name(kolk_thread_future_result(future, 0, NULL)));
}

/* A callback is somebody who asks, though its future was dropped. */
static void the_error_is_told_to_a_callback(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct job job = {.f = f, .fn = fail_with_words};
    assert_int_equal(start_job(&job), 0);
    assert_int_equal(kolk_thread_future_add_done_callback(job.future, record_thread_done, f, NULL), 0);
    kolk_thread_future_unref(job.future);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_record(f, "told(KOLK_EREFUSED)");
}

static void count_result(void *userdata) {
    __atomic_add_fetch(&((struct job *)userdata)->result_destroyed, 1, __ATOMIC_RELAXED);
}

/* The result is destroyed with the future. */
static void the_result_of_the_task_is_the_futures(void **state) {
    struct fixture *f = *state;
    kolk_task_options options = {.size = sizeof options, .destroy_result = count_result};
    struct job job = {.f = f, .fn = sleep_and_return, .options = &options};
    assert_int_equal(start_job(&job), 0);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    void *result = NULL;
    assert_int_equal(kolk_thread_future_result(job.future, KOLK_NEVER, &result), 0);
    assert_ptr_equal(result, &job);
    assert_int_equal(job.result_destroyed, 0);
    kolk_thread_future_unref(job.future);
    assert_int_equal(job.result_destroyed, 1);
}

static int insist(void *userdata, void **ret_result) {
    struct job *job = userdata;
    job->began++;
    *ret_result = job;
    record(job->f, "%s", kolk_status_name(kolk_sleep(1000 * SECOND)));
    return 0;
}

/* A task that returns a result although it was cancelled returns it to nobody, and it is destroyed. */
static void a_result_that_comes_too_late_is_destroyed(void **state) {
    struct fixture *f = *state;
    kolk_task_options options = {.size = sizeof options, .destroy_result = count_result};
    struct job job = {.f = f, .fn = insist, .options = &options};
    assert_int_equal(start_job(&job), 0);
    drive_until_count(f, &job.began, 1);
    assert_int_equal(kolk_thread_future_cancel(job.future), 1);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_record(f, "KOLK_ECANCELED");
    assert_int_equal(kolk_thread_future_result(job.future, KOLK_NEVER, NULL), KOLK_ECANCELED);
    assert_int_equal(job.result_destroyed, 1);
    kolk_thread_future_unref(job.future);
    assert_int_equal(job.result_destroyed, 1);
}

/* Not a long sleep: where time is virtual, that is over before the other thread has moved. */
static int wait_for_ever(void *userdata, void **ret_result) {
    struct job *job = userdata;
    kolk_future *never = NULL;
    (void)ret_result;
    kolk_future_new(kolk_loop_current(), &never);
    __atomic_add_fetch(&job->began, 1, __ATOMIC_RELEASE);
    int status = kolk_await(never, NULL);
    kolk_future_unref(never);
    record(job->f, "%s", kolk_status_name(status));
    return status;
}

static void *cancel_when_begun(void *userdata) {
    struct job *job = userdata;
    job->status = start_job(job);
    while (!__atomic_load_n(&job->began, __ATOMIC_ACQUIRE))
        pause_ms(1);
    job->done = kolk_thread_future_cancel(job->future);
    job->status = kolk_thread_future_result(job->future, 0, NULL);
    job->future = kolk_thread_future_unref(job->future);
    return NULL;
}

/* Cancelling from the thread ends its future at once, and cancels the task on the loop. */
static void cancelling_from_the_thread_cancels_the_task(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    pthread_t thread = start_thread(cancel_when_begun, &job);
    drive_for(f, is_gone, &job);
    pthread_join(thread, NULL);
    assert_int_equal(job.done, 1);
    assert_int_equal(job.status, KOLK_ECANCELED);
    assert_record(f, "KOLK_ECANCELED");
    assert_int_equal(job.gone, 1);
}

/* A task that is cancelled before it began is not begun. */
static void a_task_that_is_cancelled_on_its_way_is_not_made(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    assert_int_equal(start_job(&job), 0);
    assert_int_equal(kolk_thread_future_cancel(job.future), 1);
    assert_int_equal(job.gone, 0);
    drive_for(f, is_gone, &job);
    assert_int_equal(job.gone, 1);
    assert_int_equal(job.began, 0);
    kolk_thread_future_unref(job.future);
}

static int cancel_me(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    kolk_task_cancel_with(kolk_task_current(), "I had enough");
    return kolk_sleep(SECOND);
}

/* A task that ends as cancelled leaves its future cancelled, with the words there are. */
static void a_cancelled_task_leaves_its_future_cancelled(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = cancel_me};
    assert_int_equal(start_job(&job), 0);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_int_equal(kolk_thread_future_cancelled(job.future), 1);
    assert_string_equal(kolk_error_message(kolk_thread_future_error(job.future)), "I had enough");
    kolk_thread_future_unref(job.future);
}

/* A closed loop refuses, and what it was given is released once. */
static void a_closed_loop_refuses(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(start_job(&job), KOLK_ECLOSED);
    assert_int_equal(job.gone, 1);
    assert_null(job.future);
}

static int has_begun(void *job) { return __atomic_load_n(&((struct job *)job)->began, __ATOMIC_ACQUIRE); }

/* A loop that is closed under a task lets the thread go that waits for it. */
static void closing_the_loop_lets_the_waiting_thread_go(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    pthread_t thread = start_thread(run_and_wait, &job);
    drive_for(f, has_begun, &job);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    pthread_join(thread, NULL);
    assert_int_equal(job.status, KOLK_ECANCELED);
    assert_int_equal(job.gone, 1);
    assert_record(f, "KOLK_ECANCELED");
}

/* So does one that is closed before the task was made. */
static void closing_the_loop_lets_a_thread_go_whose_task_was_not_made(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    assert_int_equal(start_job(&job), 0);
    struct waiter waiter = {.future = job.future, .timeout = KOLK_NEVER};
    pthread_t thread = start_thread(wait_in_thread, &waiter);
    pause_ms(5);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    pthread_join(thread, NULL);
    assert_int_equal(waiter.status, KOLK_ECANCELED);
    assert_int_equal(job.gone, 1);
    assert_int_equal(job.began, 0);
    kolk_thread_future_unref(job.future);
}

struct step {
    struct fixture *f;
    const char *text;
    int *count;
};

static void say_step(void *userdata) {
    struct step *self = userdata;
    record(self->f, "%s", self->text);
    ++*self->count;
}

static int run_step(void *userdata, void **ret_result) {
    (void)ret_result;
    say_step(userdata);
    return 0;
}

/* Tasks of one thread begin in their order, a turn after the calls that came with them. */
static void tasks_of_one_thread_begin_in_their_order(void **state) {
    struct fixture *f = *state;
    int count = 0;
    struct step a = {f, "call", &count}, b = {f, "task 1", &count}, c = {f, "task 2", &count}, d = {f, "call", &count};
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say_step, &a, NULL), 0);
    assert_int_equal(kolk_run_threadsafe(f->loop, run_step, &b, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_run_threadsafe(f->loop, run_step, &c, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say_step, &d, NULL), 0);
    drive_until_count(f, &count, 4);
    drive_during(f, MS);
    assert_record(f, "call call task 1 task 2");
}

/* A thread does not wait for a task of its own loop, which nobody would run meanwhile. */
static void the_loops_own_thread_does_not_wait(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = sleep_and_return};
    assert_int_equal(start_job(&job), 0);
    assert_int_equal(kolk_thread_future_wait(job.future, KOLK_NEVER), KOLK_EBUSY);
    assert_int_equal(kolk_thread_future_wait(job.future, 1), KOLK_EBUSY);
    assert_int_equal(kolk_thread_future_wait(job.future, 0), KOLK_ETIMEDOUT);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_int_equal(kolk_thread_future_wait(job.future, KOLK_NEVER), 0);
    kolk_thread_future_unref(job.future);
}

/* A future that a task finishes is finished by nobody else. */
static void only_the_task_finishes_its_future(void **state) {
    struct fixture *f = *state;
    int gone = 0;
    struct job job = {.f = f, .fn = sleep_and_return};
    assert_int_equal(start_job(&job), 0);
    assert_int_equal(kolk_thread_future_set_running(job.future), KOLK_ENOTSUP);
    assert_int_equal(kolk_thread_future_set_result(job.future, &gone, count_destroy), KOLK_ENOTSUP);
    assert_int_equal(gone, 1);
    assert_int_equal(kolk_thread_future_set_error(job.future, kolk_error_of(KOLK_EIO)), KOLK_ENOTSUP);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_int_equal(kolk_thread_future_result(job.future, 0, NULL), 0);
    kolk_thread_future_unref(job.future);
}

static int record_name(void *userdata, void **ret_result) {
    struct job *job = userdata;
    (void)ret_result;
    record(job->f, "%s", kolk_task_name(kolk_task_current()));
    return 0;
}

/* The options are copied, names too; a group is none of this thread's. */
static void options_are_copied(void **state) {
    struct fixture *f = *state;
    char name[] = "fetcher";
    kolk_task_options options = {.size = sizeof options, .name = name};
    struct job job = {.f = f, .fn = record_name, .options = &options};
    assert_int_equal(start_job(&job), 0);
    memset(name, 'x', sizeof name);
    memset(&options, 0xff, sizeof options);
    drive_for(f, is_gone, &job);
    assert_record(f, "fetcher");
    kolk_thread_future_unref(job.future);

    options = (kolk_task_options){.size = sizeof options, .group = (kolk_task_group *)&options};
    assert_int_equal(start_job(&job), KOLK_EINVAL);
    options = (kolk_task_options){.size = sizeof options - 1};
    assert_int_equal(start_job(&job), KOLK_EINVAL);
    assert_int_equal(kolk_run_threadsafe(f->loop, NULL, &job, count_job, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_run_threadsafe(NULL, record_name, &job, count_job, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(job.gone, 5);
}

/* A task that cannot be made leaves the reason in the future. */
static void a_task_that_cannot_be_made_leaves_the_reason(void **state) {
    struct fixture *f = *state;
    kolk_task_options options = {.size = sizeof options, .stack_size = SIZE_MAX / 2};
    struct job job = {.f = f, .fn = sleep_and_return, .options = &options};
    assert_int_equal(start_job(&job), 0);
    drive_for(f, is_gone, &job);
    assert_int_equal(kolk_thread_future_result(job.future, 0, NULL), KOLK_ELIMIT);
    assert_int_equal(job.gone, 1);
    kolk_thread_future_unref(job.future);
}

/* ---- Two loops ---- */

struct other_loop {
    kolk_loop *loop;
    pthread_barrier_t ready;
    kolk_future *end;
};

static void end_other(void *userdata) {
    struct other_loop *self = userdata;
    kolk_future_set_result(self->end, NULL, NULL);
}

static void *run_other(void *userdata) {
    struct other_loop *self = userdata;
    if (kolk_loop_new(NULL, &self->loop, NULL) == 0)
        kolk_future_new(self->loop, &self->end);
    pthread_barrier_wait(&self->ready);
    kolk_loop_run_until_complete(self->loop, self->end);
    kolk_future_unref(self->end);
    kolk_loop_close(self->loop);
    kolk_loop_unref(self->loop);
    return NULL;
}

static int ask_other(void *userdata, void **ret_result) {
    struct job *job = userdata;
    kolk_future *answer = NULL;
    int status = start_job(job);
    if (status == 0)
        status = kolk_wrap_thread_future(job->f->loop, job->future, &answer);
    if (status == 0)
        status = kolk_await(answer, ret_result);
    record(job->f, "%s", kolk_status_name(status));
    kolk_future_unref(answer);
    return status;
}

/* A task of one loop awaits a task of another, on another thread; cancelling reaches across too. */
static void a_task_awaits_a_task_of_another_loop(void **state) {
    struct fixture *f = *state;
    struct other_loop other = {0};
    pthread_barrier_init(&other.ready, NULL, 2);
    pthread_t thread = start_thread(run_other, &other);
    pthread_barrier_wait(&other.ready);
    assert_non_null(other.end);
    kolk_loop_ref(other.loop); /* The one who ends it may still be ringing when it is gone. */

    struct job quick = {.f = f, .loop = other.loop, .fn = sleep_and_return};
    assert_int_equal(run_task(f, ask_other, &quick), 0);
    assert_true(pthread_equal(quick.ran_on, thread));
    kolk_thread_future_unref(quick.future);

    struct fixture elsewhere = {0};
    struct job slow = {.f = f, .loop = other.loop, .fn = wait_for_ever};
    kolk_task *asking = spawn_with(f, ask_other, &slow);
    drive_during(f, MS);
    slow.f = &elsewhere; /* The task over there records there. */
    while (!has_begun(&slow))
        pause_ms(1);
    assert_int_equal(kolk_task_cancel(asking), 1);
    while (!is_gone(&slow))
        pause_ms(1);
    slow.f = f;
    assert_int_equal(join(f, asking), KOLK_ECANCELED);
    kolk_thread_future_unref(slow.future);

    assert_int_equal(kolk_loop_call_soon_threadsafe(other.loop, end_other, &other, NULL), 0);
    pthread_join(thread, NULL);
    kolk_loop_unref(other.loop);
    pthread_barrier_destroy(&other.ready);
    assert_record(f, "KOLK_OK KOLK_ECANCELED");
    assert_string_equal(elsewhere.record, "KOLK_ECANCELED");
}

/* ---- Many at once ---- */

enum { RUNNERS = 3, RUNS = 300 };

struct runner {
    kolk_loop *loop;
    int number;
    int odd; /* Outcomes that should not have been. */
    int gone;
    int *finished;
};

static void count_runner(void *userdata) { __atomic_add_fetch(&((struct runner *)userdata)->gone, 1, __ATOMIC_RELEASE); }

static int sleep_a_moment(void *userdata, void **ret_result) {
    *ret_result = userdata;
    int status = kolk_sleep(0);
    return status < 0 ? status : kolk_sleep(0);
}

static void nothing(void *userdata) { (void)userdata; }

static void *run_often(void *userdata) {
    struct runner *self = userdata;
    for (int i = 0; i < RUNS; i++) {
        kolk_thread_future *future = NULL;
        void *result = NULL;
        if (kolk_run_threadsafe(self->loop, sleep_a_moment, self, count_runner, NULL, &future) != 0) {
            self->odd++;
            continue;
        }
        int cancelled = i % 3 == self->number % 3 ? kolk_thread_future_cancel(future) : 0;
        int status = kolk_thread_future_result(future, 30 * SECOND, &result);
        self->odd += cancelled ? status != KOLK_ECANCELED : status != 0 || result != self;
        kolk_thread_future_unref(future);
    }
    __atomic_add_fetch(self->finished, 1, __ATOMIC_RELEASE);
    kolk_loop_call_soon_threadsafe(self->loop, nothing, NULL, NULL); /* so that the loop looks */
    return NULL;
}

static int are_finished(void *finished) { return __atomic_load_n((int *)finished, __ATOMIC_ACQUIRE) == RUNNERS; }

/* Threads that start, wait for and cancel tasks at the same time get what is theirs. */
static void many_threads_run_tasks_at_once(void **state) {
    struct fixture *f = *state;
    struct runner runners[RUNNERS];
    pthread_t threads[RUNNERS];
    int finished = 0;
    for (int i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){.loop = f->loop, .number = i, .finished = &finished};
        threads[i] = start_thread(run_often, &runners[i]);
    }
    drive_for(f, are_finished, &finished);
    for (int i = 0; i < RUNNERS; i++)
        pthread_join(threads[i], NULL);
    drive_during(f, MS);
    for (int i = 0; i < RUNNERS; i++) {
        assert_int_equal(runners[i].odd, 0);
        assert_int_equal(runners[i].gone, RUNS);
    }
}

/* ---- In a forked child ---- */

struct inheritance {
    struct fixture *f;
    kolk_future *gate;
    kolk_thread_future *run, *source;
    kolk_future *wrapped;
    int looking, over;
};

static int pass_the_gate(void *userdata, void **ret_result) {
    struct inheritance *self = userdata;
    int status = kolk_await(self->gate, NULL);
    record(self->f, "passed");
    *ret_result = word(self->f, "result");
    return status;
}

static void *look_until_over(void *userdata) {
    struct inheritance *self = userdata;
    while (!__atomic_load_n(&self->over, __ATOMIC_RELAXED)) {
        kolk_thread_future_running(self->run);
        kolk_thread_future_running(self->source);
        __atomic_store_n(&self->looking, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static int has_ended(void *userdata) {
    struct inheritance *self = userdata;
    return strcmp(self->f->record, "passed ~result") == 0;
}

/* The task goes on, and a result that nobody can ask for here is destroyed. */
static int go_on_in_child(struct inheritance *self) {
    alarm(20);
    if (kolk_loop_after_fork(self->f->loop) != 0)
        return 1;
    if (kolk_future_cancel(self->wrapped) != 1 || !kolk_future_cancelled(self->wrapped))
        return 2;
    kolk_future_set_result(self->gate, NULL, NULL);
    drive_for(self->f, has_ended, self);
    kolk_future_unref(self->wrapped);
    return 0;
}

/* Whatever a thread does with a future at the moment of the fork, a child goes on with the tasks and futures on its loop. */
static void a_child_goes_on_while_others_look(void **state) {
    struct fixture *f = *state;
    if (!MAY_FORK)
        skip();
    struct inheritance self = {.f = f, .gate = new_future(f), .source = thread_future_of(f)};
    const kolk_task_options options = {.size = sizeof options, .destroy_result = unsay};
    self.wrapped = wrap(f, self.source);
    assert_int_equal(kolk_run_threadsafe(f->loop, pass_the_gate, &self, NULL, &options, &self.run), 0);
    drive_during(f, MS);
    pthread_t thread = start_thread(look_until_over, &self);
    while (!__atomic_load_n(&self.looking, __ATOMIC_RELAXED))
        pause_ms(1);
    fflush(NULL);
    int status = 0;
    for (int i = 0; i < 8 && status == 0; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(go_on_in_child(&self));
        if (waitpid(child, &status, 0) != child)
            status = -1;
    }
    __atomic_store_n(&self.over, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(status, 0);
    assert_record(f, "");
    kolk_future_set_result(self.gate, NULL, NULL);
    assert_int_equal(kolk_future_cancel(self.wrapped), 1);
    drive_during(f, MS);
    assert_record(f, "passed");
    assert_int_equal(kolk_thread_future_result(self.run, 0, NULL), 0);
    kolk_thread_future_unref(self.run);
    kolk_thread_future_unref(self.source);
    assert_record(f, "passed ~result");
    kolk_future_unref(self.wrapped);
    kolk_future_unref(self.gate);
}

/* ---- Without memory, and with what wraps the future ---- */

struct scarce {
    struct fixture *f;
    int gone;
    kolk_thread_future *given, *run;
    kolk_future *wrapped;
};

static int return_at_once(void *userdata, void **ret_result) {
    *ret_result = userdata;
    return 0;
}

static void count_scarce(void *userdata) { ((struct scarce *)userdata)->gone++; }

static void ignore_done(kolk_thread_future *future, void *userdata) { (void)future, (void)userdata; }

/* 0, or the status that stopped it. */
static int use_both_bridges(struct scarce *self) {
    kolk_loop *loop = self->f->loop;
    kolk_task_options options = {.size = sizeof options, .name = "scarce"};
    int status = kolk_thread_future_new(&self->f->memory.hook, &self->given);
    if (status == 0)
        status = kolk_thread_future_add_done_callback(self->given, ignore_done, NULL, NULL);
    if (status == 0)
        status = kolk_wrap_thread_future(loop, self->given, &self->wrapped);
    if (status < 0)
        return status;
    status = kolk_run_threadsafe(loop, return_at_once, self, count_scarce, &options, &self->run);
    kolk_thread_future_set_result(self->given, NULL, NULL);
    while (status == 0 && !(kolk_future_done(self->wrapped) == 1 && kolk_thread_future_done(self->run) == 1))
        status = kolk_loop_dispatch(loop, NULL, NULL);
    return status < 0 ? status : kolk_thread_future_result(self->run, 0, NULL);
}

/* Each allocation fails in turn: somebody is told each time, and nothing is left over. */
static void every_allocation_may_fail(void **state) {
    struct fixture *f = *state;
    size_t n = 0, failures;
    do {
        struct scarce scarce = {.f = f};
        failing_allocator_arm(&f->memory, ++n, 0);
        int status = use_both_bridges(&scarce);
        failures = f->memory.failures;
        failing_allocator_disarm(&f->memory);
        kolk_future_unref(scarce.wrapped);
        kolk_thread_future_unref(scarce.given);
        kolk_thread_future_unref(scarce.run);
        for (int i = 0; i < 3; i++)
            assert_true(kolk_loop_dispatch(f->loop, NULL, NULL) == 0);
        assert_int_equal(status, failures ? KOLK_ENOMEM : 0);
        assert_true(scarce.gone <= 1);
        assert_true(scarce.gone == 1 || !scarce.run);
    } while (failures > 0);
    assert_true(n > 3);
}

/* Finishing, cancelling and closing take no memory. */
static void ending_takes_no_memory(void **state) {
    struct fixture *f = *state;
    kolk_thread_future *set = thread_future_of(f), *cancelled = thread_future_of(f), *left = thread_future_of(f);
    kolk_future *wrapped[3] = {wrap(f, set), wrap(f, cancelled), wrap(f, left)};
    struct job job = {.f = f, .fn = wait_for_ever}, late = {.f = f, .fn = wait_for_ever};
    assert_int_equal(start_job(&job), 0);
    drive_until_count(f, &job.began, 1);
    assert_int_equal(start_job(&late), 0);
    failing_allocator_arm(&f->memory, 1, 1);
    int status = kolk_thread_future_set_result(set, NULL, NULL) + kolk_thread_future_cancel(cancelled);
    int asked = kolk_thread_future_cancel(job.future);
    for (int i = 0; i < 3; i++)
        kolk_loop_dispatch(f->loop, NULL, NULL);
    int done = kolk_future_done(wrapped[0]) + kolk_future_cancelled(wrapped[1]) + kolk_future_cancel(wrapped[2]);
    int closed = kolk_loop_close(f->loop);
    size_t allocations = f->memory.failures;
    failing_allocator_disarm(&f->memory);
    assert_int_equal(status, 1);
    assert_int_equal(asked, 1);
    assert_int_equal(done, 3);
    assert_int_equal(closed, 0);
    /* The late task is not made: that is what memory was asked for. */
    assert_true(allocations >= 1);
    assert_int_equal(job.gone, 1);
    assert_int_equal(late.gone, 1);
    assert_int_equal(kolk_thread_future_result(late.future, 0, NULL), KOLK_ENOMEM);
    for (int i = 0; i < 3; i++)
        kolk_future_unref(wrapped[i]);
    kolk_thread_future_unref(set);
    kolk_thread_future_unref(cancelled);
    kolk_thread_future_unref(left);
    kolk_thread_future_unref(job.future);
    kolk_thread_future_unref(late.future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_thread_runs_a_task_and_gets_its_result),
        RULE(a_thread_gets_the_error_of_its_task),
        RULE(the_error_of_a_task_that_nobody_waits_for_is_reported),
        RULE(the_error_is_told_to_a_callback),
        RULE(the_result_of_the_task_is_the_futures),
        RULE(a_result_that_comes_too_late_is_destroyed),
        RULE(cancelling_from_the_thread_cancels_the_task),
        RULE(a_task_that_is_cancelled_on_its_way_is_not_made),
        RULE(a_cancelled_task_leaves_its_future_cancelled),
        RULE(a_closed_loop_refuses),
        RULE(closing_the_loop_lets_the_waiting_thread_go),
        RULE(closing_the_loop_lets_a_thread_go_whose_task_was_not_made),
        RULE(tasks_of_one_thread_begin_in_their_order),
        RULE(the_loops_own_thread_does_not_wait),
        RULE(only_the_task_finishes_its_future),
        RULE(options_are_copied),
        RULE(a_task_that_cannot_be_made_leaves_the_reason),
        RULE(a_task_awaits_a_task_of_another_loop),
        RULE(many_threads_run_tasks_at_once),
        RULE(a_child_goes_on_while_others_look),
        RULE(every_allocation_may_fail),
        RULE(ending_takes_no_memory),
    };
    return run_matrix("run threadsafe", rules, COUNT(rules));
}
