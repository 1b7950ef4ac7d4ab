#include "core/reactor/registry.hh"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

extern "C" {
int kolk_reactor_entry_epoll(const kolk_reactor_ops **ret_ops);
int kolk_reactor_entry_poll(const kolk_reactor_ops **ret_ops);
int kolk_reactor_entry_select(const kolk_reactor_ops **ret_ops);
}

namespace kolk {

namespace {

using entry_function = int (*)(const kolk_reactor_ops **);

struct builtin {
    const char *name;
    entry_function entry;
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

/* A table that is not built in. Rows are added and never changed or removed, so a pointer into them stays good. */
struct row {
    kolk_reactor_ops ops;
    dev_t device; /* the module's file, however it is called; 0 and 0 for registered tables */
    ino_t inode;
};

constexpr uint32_t limit = 32; /* of each kind */

struct row_list {
    row rows[limit];
    uint32_t count;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards both lists; not held while code of a module runs */
row_list registered;
row_list loaded;

struct guard {
    guard() noexcept { pthread_mutex_lock(&mutex); }
    ~guard() { pthread_mutex_unlock(&mutex); }
    guard(const guard &) = delete;
    guard &operator=(const guard &) = delete;
};

constexpr size_t longest_name = 64;

bool is_name(const char *text) noexcept {
    for (size_t i = 0; text && i <= longest_name; i++) {
        char c = text[i];
        if (!c)
            return i > 0;
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return false;
}

/* What a message can show of text that may hold anything. */
struct printable {
    char text[longest_name + 4];

    explicit printable(const char *from) noexcept {
        size_t i = 0;
        for (; from && from[i] && i < longest_name; i++)
            text[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
        snprintf(text + i, sizeof text - i, "%s", from && from[i] ? "..." : "");
    }
};

/* The modules in the directory, in the order of their names. */
struct directory {
    char names[limit][longest_name + 1];
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
        if (length <= before + after || length > before + longest_name + after || strncmp(file, prefix, before) != 0 ||
            strcmp(file + length - after, suffix) != 0)
            return;
        char name[longest_name + 1] = {};
        memcpy(name, file + before, length - before - after);
        if (!is_name(name))
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
        if (strcmp(registered.rows[i].ops.name, name) == 0)
            return &registered.rows[i].ops;
    return nullptr;
}

const kolk_reactor_ops *find_loaded(const struct stat &file) noexcept {
    for (uint32_t i = 0; i < loaded.count; i++)
        if (loaded.rows[i].device == file.st_dev && loaded.rows[i].inode == file.st_ino)
            return &loaded.rows[i].ops;
    return nullptr;
}

/* Whether it works on this system is found out by using it: a system may know the calls and forbid them. */
int probe(const kolk_reactor_ops &ops) noexcept {
    kolk_reactor_config config = {sizeof config, 0, &default_allocator(), nullptr};
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
                add(registered.rows[i].ops.name);
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

int refuse(const char *path, int number, const char *why, error **ret_error) noexcept {
    return deliver(make_error(KOLK_EPLUGIN, number, nullptr, "%s: %s", path, why), ret_error);
}

struct member {
    uint64_t bit; /* 0: required */
    size_t offset;
    const char *name;
};

constexpr member members[] = {
    {0, offsetof(kolk_reactor_ops, open), "open"},
    {0, offsetof(kolk_reactor_ops, close), "close"},
    {0, offsetof(kolk_reactor_ops, watch), "watch"},
    {0, offsetof(kolk_reactor_ops, collect), "collect"},
    {KOLK_REACTOR_WAIT | KOLK_REACTOR_WAIT_ANYWHERE, offsetof(kolk_reactor_ops, wait), "wait"},
    {KOLK_REACTOR_GET_FD, offsetof(kolk_reactor_ops, get_fd), "get_fd"},
    {KOLK_REACTOR_AFTER_FORK, offsetof(kolk_reactor_ops, after_fork), "after_fork"},
    {KOLK_REACTOR_SUBMIT, offsetof(kolk_reactor_ops, submit), "submit"},
    {KOLK_REACTOR_SUBMIT, offsetof(kolk_reactor_ops, cancel), "cancel"},
};

constexpr uint32_t required_size = offsetof(kolk_reactor_ops, collect) + sizeof(kolk_reactor_ops::collect);

/* Nobody but us can write to it, apart from its owner: else any user could put code into this process. */
int check_place(const char *path, error **ret_error) noexcept {
    char parent[PATH_MAX];
    size_t length = size_t(strrchr(path, '/') - path);
    memcpy(parent, path, length);
    strcpy(parent + length, length ? "" : "/");
    struct stat about;
    if (stat(parent, &about) < 0)
        return refuse(path, errno, strerror(errno), ret_error);
    return about.st_mode & S_IWOTH ? refuse(path, 0, "anybody may write to its directory", ret_error) : 0;
}

int check_file(const char *path, struct stat &ret_about, error **ret_error) noexcept {
    if (stat(path, &ret_about) < 0)
        return refuse(path, errno, strerror(errno), ret_error);
    if (!S_ISREG(ret_about.st_mode))
        return refuse(path, 0, "not a regular file", ret_error);
    return ret_about.st_mode & S_IWOTH ? refuse(path, 0, "anybody may write to this file", ret_error) : 0;
}

/* The dynamic loader maps what the headers promise and dies by SIGBUS where the file ends too early. */
const char *find_fault(int fd, uint64_t size) noexcept {
    constexpr unsigned char native = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
    ElfW(Ehdr) header;
    if (pread(fd, &header, sizeof header, 0) != ssize_t(sizeof header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return "not a shared object";
    if (header.e_ident[EI_CLASS] != native || header.e_type != ET_DYN || header.e_phentsize != sizeof(ElfW(Phdr)))
        return "not a shared object for this system";
    for (uint32_t i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) part;
        if (header.e_phoff > size ||
            pread(fd, &part, sizeof part, off_t(header.e_phoff + i * sizeof part)) != ssize_t(sizeof part))
            return "the file is truncated";
        if (part.p_offset > size || part.p_filesz > size - part.p_offset)
            return "the file is truncated";
    }
    return nullptr;
}

int check_contents(const char *path, uint64_t size, error **ret_error) noexcept {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return refuse(path, errno, strerror(errno), ret_error);
    const char *fault = find_fault(fd, size);
    close(fd);
    return fault ? refuse(path, 0, fault, ret_error) : 0;
}

/* Asks an open module for its table. */
int ask(void *handle, const char *path, const char *name, kolk_reactor_ops &ret_copy, error **ret_error) noexcept {
    auto entry = reinterpret_cast<entry_function>(dlsym(handle, "kolk_reactor_entry_v1"));
    if (!entry)
        return refuse(path, 0, "exports no function kolk_reactor_entry_v1", ret_error);
    const kolk_reactor_ops *ops = nullptr;
    int status = entry(&ops);
    if (status < 0)
        return deliver(
            make_error(KOLK_EPLUGIN, -status, nullptr, "%s: says it cannot be used here: %s", path, strerror(-status)),
            ret_error);
    if (!ops)
        return refuse(path, 0, "kolk_reactor_entry_v1 hands out no table", ret_error);
    status = copy_reactor(ops, path, ret_copy, ret_error);
    if (status < 0 || !name || strcmp(ret_copy.name, name) == 0)
        return status;
    return deliver(make_error(KOLK_EPLUGIN, 0, nullptr, "%s: the reactor in it is called '%s'", path, ret_copy.name),
                   ret_error);
}

/* Another thread may have been quicker with the same file: then its row serves both. */
const kolk_reactor_ops *keep(const struct stat &file, const kolk_reactor_ops &ops) noexcept {
    guard held;
    if (const kolk_reactor_ops *known = find_loaded(file))
        return known;
    if (loaded.count == limit)
        return nullptr;
    row &added = loaded.rows[loaded.count++];
    added = {ops, file.st_dev, file.st_ino};
    return &added.ops;
}

/* Opened without RTLD_NODELETE first, so that what is refused can be unloaded again. */
int open_module(const char *path, const char *name, const struct stat &file, const kolk_reactor_ops *&ret_ops,
                error **ret_error) noexcept {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return deliver(make_error(KOLK_EPLUGIN, 0, nullptr, "cannot load module: %s", dlerror()), ret_error);
    kolk_reactor_ops copy;
    int status = ask(handle, path, name, copy, ret_error);
    const kolk_reactor_ops *kept = status < 0 ? nullptr : keep(file, copy);
    if (!status && !kept)
        status = deliver(make_error(KOLK_ELIMIT, 0, nullptr, "%s: %u modules are loaded already", path, limit), ret_error);
    if (status < 0) {
        dlclose(handle);
        return status;
    }
    /* Should this fail, our own handle still keeps the module: it is never closed. */
    (void)dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD | RTLD_NODELETE);
    ret_ops = kept;
    return 0;
}

/* @c name is what the reactor must be called, or nullptr for any. */
int load(const char *path, const char *name, const kolk_reactor_ops *&ret_ops, error **ret_error) noexcept {
    char target[PATH_MAX];
    struct stat about;
    if (!realpath(path, target))
        return refuse(path, errno, strerror(errno), ret_error);
    /* Both the link and what it leads to. */
    int status = check_place(path, ret_error);
    if (status == 0)
        status = check_place(target, ret_error);
    if (status == 0)
        status = check_file(target, about, ret_error);
    if (status < 0)
        return status;
    const kolk_reactor_ops *known;
    {
        guard held;
        known = find_loaded(about);
    }
    if (known && name && strcmp(known->name, name) != 0)
        return deliver(make_error(KOLK_EPLUGIN, 0, nullptr, "%s: the reactor in it is called '%s'", path, known->name),
                       ret_error);
    if (known) {
        ret_ops = known;
        return 0;
    }
    status = check_contents(target, uint64_t(about.st_size), ret_error);
    return status < 0 ? status : open_module(target, name, about, ret_ops, ret_error);
}

std::atomic<const kolk_reactor_ops *> usable_default{nullptr};

} // namespace

int copy_reactor(const kolk_reactor_ops *ops, const char *origin, kolk_reactor_ops &ret_copy, error **ret_error) noexcept {
    if (ops->abi != KOLK_REACTOR_ABI)
        return deliver(make_error(KOLK_EPLUGIN, 0, nullptr,
                                  "%s: made for version %u of the reactor contract; this library has %u", origin, ops->abi,
                                  unsigned(KOLK_REACTOR_ABI)),
                       ret_error);
    if (ops->size < required_size)
        return deliver(make_error(KOLK_EPLUGIN, 0, nullptr, "%s: the table says it has %u bytes; at least %u are needed",
                                  origin, ops->size, required_size),
                       ret_error);
    if (!is_name(ops->name))
        return deliver(make_error(KOLK_EPLUGIN, 0, nullptr,
                                  "%s: the name in the table is not 1 to %zu letters, digits, '_' and '-'", origin,
                                  longest_name),
                       ret_error);
    kolk_reactor_ops copy = {};
    memcpy(&copy, ops, ops->size < sizeof copy ? ops->size : sizeof copy);
    copy.size = sizeof copy;
    for (const member &each : members) {
        char *function = reinterpret_cast<char *>(&copy) + each.offset;
        constexpr char none[sizeof copy.open] = {};
        if (each.bit && !(copy.caps & each.bit))
            memcpy(function, none, sizeof none);
        else if (memcmp(function, none, sizeof none) == 0)
            return deliver(make_error(KOLK_EPLUGIN, 0, nullptr, "%s: the table %s '%s', which is missing", origin,
                                      each.bit ? "announces" : "needs", each.name),
                           ret_error);
    }
    ret_copy = copy;
    return 0;
}

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
        const kolk_reactor_ops *ops = i < registered.count ? &registered.rows[i].ops : nullptr;
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
    if (!is_name(name))
        return deliver(make_error(KOLK_EINVAL, 0, nullptr,
                                  "'%s' cannot be the name of a reactor: those are 1 to %zu letters, digits, '_' and '-'",
                                  printable(name).text, longest_name),
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
    char path[sizeof KOLK_REACTOR_DIR + longest_name + sizeof "/kolk-reactor-.so"];
    snprintf(path, sizeof path, "%s/kolk-reactor-%s.so", KOLK_REACTOR_DIR, name);
    if (access(path, F_OK) < 0)
        return deliver(make_error(KOLK_ENOENT, errno, nullptr, "there is no reactor '%s'; there are: %s", name, listing().text),
                       ret_error);
    return load(path, name, ret_ops, ret_error);
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

int load_reactor(const char *path, const kolk_reactor_ops *&ret_ops, error **ret_error) noexcept {
    if (!path || path[0] != '/' || strlen(path) >= PATH_MAX)
        return deliver(make_error(KOLK_EINVAL, 0, nullptr, "'%s' is not the absolute path of a module", printable(path).text),
                       ret_error);
    return load(path, nullptr, ret_ops, ret_error);
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
            registered.rows[registered.count++].ops = copy;
            return 0;
        }
    }
    return deliver(taken ? make_error(KOLK_EEXIST, 0, nullptr, "there is a reactor '%s' already", copy.name)
                         : make_error(KOLK_ELIMIT, 0, nullptr, "%u reactors are registered already", limit),
                   ret_error);
}

} // namespace kolk
