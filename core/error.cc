#include "core/error.hh"

#include "core/task/task.hh"
#include "core/text_writer.hh"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace kolk {

namespace {

struct row {
    int status;
    const char *name;
};

constexpr row rows[] = {{KOLK_OK, "KOLK_OK"},
#define KOLK_ROW(name, number, message) {number, "KOLK_" #name},
                        KOLK_STATUSES(KOLK_ROW)
#undef KOLK_ROW
};

/* In the order of rows. Not const: the count is a member like any other, though nobody changes it. */
constinit error statics[] = {{0, 0, 0, 0, {}, nullptr, "no error", "", ""},
#define KOLK_STATIC(name, number, message) {0, number, 0, 0, {}, nullptr, message, "", ""},
                             KOLK_STATUSES(KOLK_STATIC)
#undef KOLK_STATIC
};

constexpr size_t row_count = sizeof rows / sizeof *rows;

/* The list is numbered without gaps, which a static_assert below keeps true. */
size_t index_of(int status) noexcept {
    size_t index = -size_t(status); /* INT_MIN has no negative of its own type */
    return status <= 0 && index < row_count ? index : row_count;
}

constexpr bool numbered_without_gaps() {
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].status != -int(i))
            return false;
    return true;
}
static_assert(numbered_without_gaps());

struct errno_row {
    int number;
    int status;
};

constexpr errno_row errno_rows[] = {
    {ENOMEM, KOLK_ENOMEM},        {EBADF, KOLK_EBADF},           {EMFILE, KOLK_EMFILE},
    {ENFILE, KOLK_EMFILE},        {ECONNREFUSED, KOLK_EREFUSED}, {ECONNRESET, KOLK_ERESET},
    {ECONNABORTED, KOLK_ERESET},  {EHOSTUNREACH, KOLK_EUNREACH}, {ENETUNREACH, KOLK_EUNREACH},
    {ENETDOWN, KOLK_EUNREACH},    {EHOSTDOWN, KOLK_EUNREACH},    {ETIMEDOUT, KOLK_ETIMEDOUT},
    {EPIPE, KOLK_EPIPE},          {EADDRINUSE, KOLK_EADDRINUSE}, {EADDRNOTAVAIL, KOLK_EADDRNOTAVAIL},
    {EACCES, KOLK_EACCESS},       {EPERM, KOLK_EACCESS},         {ERANGE, KOLK_ELIMIT},
    {ENOSPC, KOLK_ELIMIT},        {EINVAL, KOLK_EINVAL},         {ENOENT, KOLK_ENOENT},
    {EEXIST, KOLK_EEXIST},        {ENOSYS, KOLK_ENOTSUP},        {EOPNOTSUPP, KOLK_ENOTSUP},
    {EAFNOSUPPORT, KOLK_ENOTSUP}, {EBUSY, KOLK_EBUSY},           {ECANCELED, KOLK_ECANCELED},
};

} // namespace

const char *status_name(int status) noexcept {
    size_t index = index_of(status);
    return index < row_count ? rows[index].name : "KOLK_?";
}

const char *status_message(int status) noexcept {
    size_t index = index_of(status);
    return index < row_count ? statics[index].message : "not a status of kolk";
}

error *static_error(int status) noexcept {
    size_t index = index_of(status < 0 ? status : int(KOLK_EUNSPECIFIED));
    return &statics[index < row_count ? index : index_of(KOLK_EUNSPECIFIED)];
}

error *error_of(int status) noexcept {
    return index_of(status) < row_count ? static_error(status)
                                        : make_error(status, 0, nullptr, "failed with status %d", status);
}

error *ref(error *self) noexcept {
    if (self && self->bytes)
        self->refs.fetch_add(1, std::memory_order_relaxed);
    return self;
}

error *unref(error *self) noexcept {
    /* A loop, not recursion: a chain of causes may be long. */
    while (self && self->bytes && self->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        error *cause = self->cause;
        allocator from = self->from;
        release(from, self, self->bytes);
        self = cause;
    }
    return nullptr;
}

int status_of_errno(int number) noexcept {
    for (const errno_row &row : errno_rows)
        if (row.number == number)
            return row.status;
    return KOLK_EIO;
}

int errno_of_status(int status) noexcept {
    for (const errno_row &row : errno_rows)
        if (row.status == status)
            return row.number;
    return EIO;
}

error *make_error(int status, int os, error *cause, const char *format, ...) noexcept {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(nullptr, 0, format, arguments);
    va_end(arguments);
    error *made = nullptr;
    if (length >= 0) {
        const allocator &from = default_allocator();
        size_t bytes = sizeof(error) + size_t(length) + 1;
        if (void *memory = allocate(from, bytes)) {
            char *text = static_cast<char *>(memory) + sizeof(error);
            vsnprintf(text, size_t(length) + 1, format, again);
            made = ::new (memory)
                error{1, status < 0 ? status : KOLK_EUNSPECIFIED, os, uint32_t(bytes), from, ref(cause), text, "", ""};
            if (const kolk_task *running = this_thread.task)
                copy_name(made->task, running->name());
        }
    }
    va_end(again);
    return made ? made : static_error(status);
}

error *make_error_at(int status, error *cause, const char *location, const char *message) noexcept {
    error *made = make_error(status, 0, cause, "%s", message ? message : status_message(status));
    if (made->bytes && location)
        made->location = location;
    return made;
}

size_t format_error(const error *self, char *text, size_t size) noexcept {
    text_writer out(text, size);
    if (!self)
        out.add("no error\n");
    for (const error *at = self; at; at = at->cause) {
        out.add("%s%s: %s", at == self ? "" : "caused by ", status_name(at->status), at->message);
        if (at->os)
            out.add(" (errno %d)", at->os);
        if (at->task[0])
            out.add(", in task '%s'", at->task);
        if (at->location[0])
            out.add(", at %s", at->location);
        out.add("\n");
    }
    return out.length();
}

int deliver(error *what, error **ret_error) noexcept {
    int status = what->status;
    if (ret_error)
        *ret_error = what;
    else
        unref(what);
    return status;
}

} // namespace kolk
