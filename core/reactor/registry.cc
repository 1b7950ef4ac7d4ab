#include "core/reactor/registry.hh"

#include "core/reactor/module.hh"
#include "core/reactor/reactor_table.hh"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <atomic>

extern "C" {
int kolk_reactor_entry_epoll(const kolk_reactor_ops **ret_ops);
int kolk_reactor_entry_poll(const kolk_reactor_ops **ret_ops);
int kolk_reactor_entry_select(const kolk_reactor_ops **ret_ops);
}

namespace kolk {

namespace {

struct builtin {
    const char *name;
    reactor_entry entry;
};

/* Fastest first: the order in which a default is looked for. */
constexpr builtin builtins[] = {
#ifdef KOLK_BUILTIN_EPOLL
    {"epoll", kolk_reactor_entry_epoll},
#endif
#ifdef KOLK_BUILTIN_POLL
    {"poll", kolk_reactor_entry_poll},
#endif
#ifdef KOLK_BUILTIN_SELECT
    {"select", kolk_reactor_entry_select},
#endif
    {nullptr, nullptr}, /* a build may have none of them */
};

constexpr uint32_t limit = 32; /* of registered tables, and of modules in the directory */

/* Tables are added and never changed or removed, so a pointer to one stays good. */
struct table_list {
    kolk_reactor_ops tables[limit];
    uint32_t count;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards the list; not held while code of a reactor runs */
table_list registered;

struct guard {
    guard() noexcept { pthread_mutex_lock(&mutex); }
    ~guard() { pthread_mutex_unlock(&mutex); }
    guard(const guard &) = delete;
    guard &operator=(const guard &) = delete;
};

/* The modules in the directory, in the order of their names. */
struct directory {
    char names[limit][longest_reactor_name + 1];
    uint32_t count = 0;

    directory() noexcept {
        DIR *stream = opendir(KOLK_REACTOR_DIR);
        if (!stream)
            return;
        while (const dirent *file = readdir(stream))
            take(file->d_name);
        closedir(stream);
    }

    void take(const char *file) noexcept {
        constexpr char prefix[] = "kolk-reactor-", suffix[] = ".so";
        constexpr size_t before = sizeof prefix - 1, after = sizeof suffix - 1;
        size_t length = strlen(file);
        if (length <= before + after || length > before + longest_reactor_name + after || strncmp(file, prefix, before) != 0 ||
            strcmp(file + length - after, suffix) != 0)
            return;
        char name[longest_reactor_name + 1] = {};
        memcpy(name, file + before, length - before - after);
        if (!is_reactor_name(name))
            return;
        uint32_t place = count;
        while (place && strcmp(names[place - 1], name) > 0)
            place--;
        if (place == limit)
            return;
        uint32_t moved = (count < limit ? count : limit - 1) - place;
        memmove(names[place + 1], names[place], moved * sizeof names[0]);
        memcpy(names[place], name, sizeof name);
        count += count < limit;
    }
};

const kolk_reactor_ops *find_builtin(const char *name) noexcept {
    for (const builtin *each = builtins; each->name; each++) {
        const kolk_reactor_ops *ops = nullptr;
        if (strcmp(each->name, name) == 0)
            return each->entry(&ops) == 0 ? ops : nullptr;
    }
    return nullptr;
}

const kolk_reactor_ops *find_registered(const char *name) noexcept {
    for (uint32_t i = 0; i < registered.count; i++)
        if (strcmp(registered.tables[i].name, name) == 0)
            return &registered.tables[i];
    return nullptr;
}

/* Whether it works on this system is found out by using it: a system may know the calls and forbid them. */
int probe(const kolk_reactor_ops &ops) noexcept {
    kolk_reactor_config config = {sizeof config, 0, &default_allocator(), nullptr, nullptr, nullptr};
    void *state = nullptr;
    int status = ops.open(&config, &state);
    if (status < 0)
        return status;
    ops.close(state);
    return 0;
}

/* All names for a message, without loading or trying anything. */
struct listing {
    char text[512] = "";
    size_t length = 0;

    listing() noexcept {
        for (const builtin *each = builtins; each->name; each++)
            add(each->name);
        {
            guard held;
            for (uint32_t i = 0; i < registered.count; i++)
                add(registered.tables[i].name);
        }
        directory modules;
        for (uint32_t i = 0; i < modules.count; i++)
            if (!find_builtin(modules.names[i]))
                add(modules.names[i]);
        if (!length)
            add("none");
    }

    void add(const char *name) noexcept {
        int written = snprintf(text + length, sizeof text - length, "%s%s", length ? ", " : "", name);
        if (written > 0 && length + size_t(written) < sizeof text)
            length += size_t(written);
        else
            text[length] = '\0'; /* whole names only */
    }
};

std::atomic<const kolk_reactor_ops *> usable_default{nullptr};

} // namespace

int reactor_names(const char **ret_names, uint32_t capacity) noexcept {
    uint32_t count = 0;
    auto offer = [&](const kolk_reactor_ops *ops) noexcept {
        if (!ops || probe(*ops) < 0)
            return;
        if (count < capacity)
            ret_names[count] = ops->name;
        count++;
    };
    for (const builtin *each = builtins; each->name; each++)
        offer(find_builtin(each->name));
    for (uint32_t i = 0; i < limit; i++) {
        pthread_mutex_lock(&mutex);
        const kolk_reactor_ops *ops = i < registered.count ? &registered.tables[i] : nullptr;
        pthread_mutex_unlock(&mutex);
        offer(ops);
    }
    directory modules;
    for (uint32_t i = 0; i < modules.count; i++) {
        const kolk_reactor_ops *ops = nullptr;
        const char *name = modules.names[i];
        bool shadowed = find_builtin(name);
        if (!shadowed) {
            guard held;
            shadowed = find_registered(name);
        }
        if (!shadowed && find_reactor(name, ops, nullptr) == 0)
            offer(ops);
    }
    return int(count);
}

int find_reactor(const char *name, const kolk_reactor_ops *&ret_ops, error **ret_error) noexcept {
    if (!is_reactor_name(name))
        return deliver(make_error(KOLK_EINVAL, 0, nullptr,
                                  "'%s' cannot be the name of a reactor: those are 1 to %zu letters, digits, '_' and '-'",
                                  printable(name).text, longest_reactor_name),
                       ret_error);
    const kolk_reactor_ops *ops = find_builtin(name);
    if (!ops) {
        guard held;
        ops = find_registered(name);
    }
    if (ops) {
        ret_ops = ops;
        return 0;
    }
    char path[sizeof KOLK_REACTOR_DIR + longest_reactor_name + sizeof "/kolk-reactor-.so"];
    snprintf(path, sizeof path, "%s/kolk-reactor-%s.so", KOLK_REACTOR_DIR, name);
    if (access(path, F_OK) < 0)
        return deliver(make_error(KOLK_ENOENT, errno, nullptr, "there is no reactor '%s'; there are: %s", name, listing().text),
                       ret_error);
    return load_reactor(path, name, ret_ops, ret_error);
}

int find_default_reactor(const kolk_reactor_ops *&ret_ops, error **ret_error) noexcept {
    const char *wanted = getauxval(AT_SECURE) ? nullptr : secure_getenv("KOLK_REACTOR");
    if (wanted && *wanted) {
        error *cause = nullptr;
        int status = find_reactor(wanted, ret_ops, &cause);
        if (status == 0)
            return 0;
        error *made = make_error(status, 0, cause, "KOLK_REACTOR in the environment: %s", cause->message);
        kolk::unref(cause);
        return deliver(made, ret_error);
    }
    if (const kolk_reactor_ops *known = usable_default.load(std::memory_order_acquire)) {
        ret_ops = known;
        return 0;
    }
    int number = ENOSYS;
    for (const builtin *each = builtins; each->name; each++) {
        const kolk_reactor_ops *ops = find_builtin(each->name);
        if (!ops)
            continue;
        number = -probe(*ops);
        if (number == 0) {
            usable_default.store(ops, std::memory_order_release);
            ret_ops = ops;
            return 0;
        }
        /* Only "not on this system" is a reason to try another: out of descriptors is no better with poll. */
        if (number != ENOSYS && number != EPERM && number != EACCES)
            return deliver(make_error(status_of_errno(number), number, nullptr, "the reactor '%s' cannot be opened: %s",
                                      ops->name, strerror(number)),
                           ret_error);
    }
    return deliver(make_error(KOLK_ENOTSUP, number, nullptr, "no built-in reactor can be used here: %s", strerror(number)),
                   ret_error);
}

int register_reactor(const kolk_reactor_ops *ops, error **ret_error) noexcept {
    if (!ops)
        return deliver(static_error(KOLK_EINVAL), ret_error);
    kolk_reactor_ops copy;
    int status = copy_reactor(ops, "the table", copy, ret_error);
    if (status < 0)
        return status;
    bool taken = find_builtin(copy.name);
    {
        guard held;
        taken = taken || find_registered(copy.name);
        if (!taken && registered.count < limit) {
            registered.tables[registered.count++] = copy;
            return 0;
        }
    }
    return deliver(taken ? make_error(KOLK_EEXIST, 0, nullptr, "there is a reactor '%s' already", copy.name)
                         : make_error(KOLK_ELIMIT, 0, nullptr, "%u reactors are registered already", limit),
                   ret_error);
}

} // namespace kolk
