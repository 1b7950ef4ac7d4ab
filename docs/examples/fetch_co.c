/* Fetching a page in a coroutine, and the thirty lines that drive one: fetch_co ADDRESS PORT PATH [--refactored] [--task].
 *
 * The coroutine waits for futures: one for the connection, one for each chunk. What waits for it in turn is a driver, which
 * continues the coroutine whenever the future that came out of it is done. The driver here shows how; with --task kolk's own
 * task drives the same coroutine. With --refactored reading is two functions, called like any others: they may wait, because
 * they are called on the coroutine's stack. */
#include "start.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char help[] = "usage: fetch_co ADDRESS PORT PATH [--refactored] [--task] [--save FILE] [--allocations]\n"
                           "\n"
                           "Fetches a page in a coroutine, and tells each step of it.\n"
                           "\n"
                           "  --refactored   read with a function that calls another\n"
                           "  --task         let a task of kolk drive the coroutine\n"
                           "  --save FILE    write what was read\n"
                           "  --allocations  tell how often kolk asked for memory\n";

enum { CHUNK_SIZE = 4096 };

struct fetcher {
    kolk_loop *loop;
    const char *address, *port, *path;
    int fd;
    struct chunk {
        size_t length;
        char bytes[CHUNK_SIZE];
    } chunk;
    kolk_future *pending; /* What the coroutine waits for. */
    char *response;
    size_t response_length;
};

static int fail(const char *what, int problem) {
    char message[128];
    kolk_error *error = NULL;
    snprintf(message, sizeof message, "%s: %s", what, strerror(problem));
    kolk_error_new(KOLK_EIO, message, NULL, &error);
    return kolk_raise(error);
}

/* The driver. */

struct task {
    kolk_coroutine *coroutine;
    kolk_loop *loop;
    int status;
};

static void task_step(kolk_future *future, void *userdata) {
    struct task *self = userdata;
    void *result = NULL, *next = NULL;
    kolk_future_result(future, &result);
    printf("sending %s\n", result ? "bytes" : "NoneType");
    self->status = kolk_coroutine_next(self->coroutine, &next); // it takes the result from the future that it waits for
    if (self->status == KOLK_COROUTINE_AWAITING) {
        puts("got next future");
        self->status = kolk_future_add_done_callback(next, task_step, self, NULL);
    } else {
        puts("si");
        kolk_loop_stop(self->loop);
    }
}

static int task_start(struct task *self) {
    kolk_future *initial = NULL;
    int status = kolk_future_new(self->loop, &initial);
    if (status < 0)
        return status;
    puts(">>sending none to initial future");
    kolk_future_set_result(initial, NULL, NULL);
    puts("...stepping");
    task_step(initial, self);
    puts(">>>after priming");
    kolk_future_unref(initial);
    return self->status;
}

/* The loop calls these; they finish the future that the coroutine waits for. */

static void on_connected(void *userdata) {
    struct fetcher *self = userdata;
    int problem = 0;
    socklen_t length = sizeof problem;
    puts("on connected cb ran");
    kolk_loop_remove_writer(self->loop, self->fd);
    getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &problem, &length);
    if (problem)
        kolk_future_set_error(self->pending, kolk_error_of(problem == ECONNREFUSED ? KOLK_EREFUSED : KOLK_EIO));
    else
        kolk_future_set_result(self->pending, NULL, NULL);
}

static void on_response(void *userdata) {
    struct fetcher *self = userdata;
    ssize_t count = recv(self->fd, self->chunk.bytes, CHUNK_SIZE, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    kolk_loop_remove_reader(self->loop, self->fd);
    self->chunk.length = count < 0 ? 0 : (size_t)count;
    if (count < 0)
        kolk_future_set_error(self->pending, kolk_error_of(errno == ECONNRESET ? KOLK_ERESET : KOLK_EIO));
    else
        kolk_future_set_result(self->pending, &self->chunk, NULL);
}

/* The coroutine. */

static int await_pending(struct fetcher *self, void **ret_result) {
    int status = kolk_await(self->pending, ret_result);
    self->pending = kolk_future_unref(self->pending);
    return status;
}

static int begin_connection(struct fetcher *self) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    if (getaddrinfo(self->address, self->port, &hints, &address) != 0)
        return kolk_raise(kolk_error_of(KOLK_EINVAL));
    int problem = 0;
    self->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->fd < 0 || (connect(self->fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS))
        problem = errno;
    freeaddrinfo(address);
    return problem ? fail("connect", problem) : 0;
}

static int connect_to_host(struct fetcher *self) {
    int status = begin_connection(self);
    if (status >= 0)
        status = kolk_future_new(self->loop, &self->pending);
    if (status >= 0)
        status = kolk_loop_add_writer(self->loop, self->fd, on_connected, self, NULL);
    if (status < 0)
        return status;
    puts("about to yield connection future");
    return await_pending(self, NULL);
}

static int send_request(struct fetcher *self) {
    char request[512];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", self->path, self->address);
    if (length >= (int)sizeof request)
        return fail("request", EMSGSIZE);
    return send(self->fd, request, (size_t)length, MSG_NOSIGNAL) == length ? 0 : fail("send", errno);
}

static int keep(struct fetcher *self, const struct chunk *chunk) {
    char *grown = realloc(self->response, self->response_length + chunk->length);
    if (!grown)
        return KOLK_ENOMEM;
    self->response = grown;
    memcpy(self->response + self->response_length, chunk->bytes, chunk->length);
    self->response_length += chunk->length;
    return 0;
}

static int fetch(void *userdata, void **ret_result) {
    struct fetcher *self = userdata;
    (void)ret_result;
    int status = connect_to_host(self);
    if (status < 0)
        return status;
    puts("we were connected! now back in gen");
    status = send_request(self);
    while (status >= 0) {
        void *result = NULL;
        puts("in loop");
        status = kolk_future_new(self->loop, &self->pending);
        if (status >= 0)
            status = kolk_loop_add_reader(self->loop, self->fd, on_response, self, NULL);
        if (status >= 0)
            status = await_pending(self, &result);
        if (status < 0)
            break;
        const struct chunk *chunk = result;
        if (chunk->length == 0) {
            puts("all read");
            break;
        }
        printf("len(chunk) %zu\n", chunk->length);
        status = keep(self, chunk);
    }
    return status;
}

/* The same with reading in functions of its own. */

static int read_chunk(struct fetcher *self, void **ret_chunk) {
    int status = kolk_future_new(self->loop, &self->pending);
    if (status >= 0)
        status = kolk_loop_add_reader(self->loop, self->fd, on_response, self, NULL);
    return status < 0 ? status : await_pending(self, ret_chunk);
}

static int read_all(struct fetcher *self) {
    void *chunk = NULL;
    int status = read_chunk(self, &chunk);
    while (status >= 0 && ((const struct chunk *)chunk)->length > 0) {
        status = keep(self, chunk);
        if (status >= 0)
            status = read_chunk(self, &chunk);
    }
    return status;
}

static int fetch_refactored(void *userdata, void **ret_result) {
    struct fetcher *self = userdata;
    (void)ret_result;
    int status = connect_to_host(self);
    if (status < 0)
        return status;
    puts("connected!");
    status = send_request(self);
    return status < 0 ? status : read_all(self);
}

/* And the program. */

struct options {
    struct fetcher fetcher;
    const char *save;
    bool refactored, task, allocations;
};

static unsigned allocations;

static void *allocate(void *userdata, size_t bytes) {
    (void)userdata;
    allocations++;
    return malloc(bytes);
}

static void release(void *userdata, void *memory, size_t bytes) {
    (void)userdata;
    (void)bytes;
    free(memory);
}

static int drive_here(kolk_loop *loop, kolk_coroutine *coroutine) {
    struct task task = {.coroutine = coroutine, .loop = loop};
    int status = task_start(&task);
    if (status >= 0 && kolk_coroutine_get_state(coroutine) != KOLK_COROUTINE_CLOSED)
        status = kolk_loop_run_forever(loop);
    return status < 0 ? status : task.status;
}

static int drive_by_task(kolk_loop *loop, kolk_coroutine *coroutine) {
    kolk_task *task = NULL;
    int status = kolk_create_task_of(coroutine, NULL, &task);
    if (status >= 0)
        status = kolk_loop_run_until_complete(loop, kolk_task_as_future(task));
    if (status >= 0)
        status = kolk_task_result(task, NULL);
    kolk_task_unref(task);
    return status;
}

static int save(const struct fetcher *fetcher, const char *path) {
    FILE *file = fopen(path, "wb");
    if (!file)
        return KOLK_EIO;
    size_t written = fwrite(fetcher->response, 1, fetcher->response_length, file);
    return fclose(file) == 0 && written == fetcher->response_length ? 0 : KOLK_EIO;
}

static int run(kolk_loop *loop, void *userdata, kolk_error **ret_error) {
    struct options *options = userdata;
    struct fetcher *fetcher = &options->fetcher;
    kolk_coroutine *coroutine = NULL;
    fetcher->loop = loop;
    int status = kolk_coroutine_new(loop, options->refactored ? fetch_refactored : fetch, fetcher, NULL, 0, &coroutine);
    if (status >= 0)
        status = options->task ? drive_by_task(loop, coroutine) : drive_here(loop, coroutine);
    if (status < 0 && coroutine)
        *ret_error = kolk_error_ref(kolk_coroutine_error(coroutine));
    kolk_coroutine_unref(coroutine);
    if (status >= 0 && options->save)
        status = save(fetcher, options->save);
    if (fetcher->fd >= 0)
        close(fetcher->fd);
    free(fetcher->response);
    return status;
}

int main(int argc, char **argv) {
    struct options options = {.fetcher = {.fd = -1}};
    const struct argument arguments[] = {{.name = "ADDRESS", .text = &options.fetcher.address},
                                         {.name = "PORT", .text = &options.fetcher.port},
                                         {.name = "PATH", .text = &options.fetcher.path},
                                         {.name = "--refactored", .flag = &options.refactored},
                                         {.name = "--task", .flag = &options.task},
                                         {.name = "--save", .text = &options.save},
                                         {.name = "--allocations", .flag = &options.allocations},
                                         {.name = NULL}};
    struct start start = {.name = "fetch_co", .help = help, .arguments = arguments};
    setvbuf(stdout, NULL, _IOLBF, 0); // each step is told as it happens
    int status = start_parse(&start, argc, argv);
    if (status >= 0)
        return status;
    const kolk_allocator counting = {.size = sizeof counting, .allocate = allocate, .release = release};
    if (options.allocations)
        kolk_set_default_allocator(&counting);
    status = start_by_hand(&start, run, &options);
    if (options.allocations)
        fprintf(stderr, "allocations: %u\n", allocations);
    return status;
}
