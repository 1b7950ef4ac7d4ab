#include "core/reactor/module.hh"

#include "core/reactor/reactor_table.hh"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kolk {

namespace {

/* A module that was loaded. Rows are added and never changed or removed, so a pointer into them stays good. */
struct row {
    kolk_reactor_ops ops;
    dev_t device; /* the module's file, however it is called */
    ino_t inode;
};

constexpr uint32_t limit = 32;

struct row_list {
    row rows[limit];
    uint32_t count;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards the list; not held while code of a module runs */
row_list loaded;

const kolk_reactor_ops *find_loaded(const struct stat &file) noexcept {
    for (uint32_t i = 0; i < loaded.count; i++)
        if (loaded.rows[i].device == file.st_dev && loaded.rows[i].inode == file.st_ino)
            return &loaded.rows[i].ops;
    return nullptr;
}

int refuse(const char *path, int number, const char *why, error **ret_error) noexcept {
    return deliver(make_error(KOLK_EPLUGIN, number, nullptr, "%s: %s", path, why), ret_error);
}

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
    auto entry = reinterpret_cast<reactor_entry>(dlsym(handle, "kolk_reactor_entry_v1"));
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
    pthread_mutex_lock(&mutex);
    const kolk_reactor_ops *kept = find_loaded(file);
    if (!kept && loaded.count < limit) {
        row &added = loaded.rows[loaded.count++];
        added = {ops, file.st_dev, file.st_ino};
        kept = &added.ops;
    }
    pthread_mutex_unlock(&mutex);
    return kept;
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
    pthread_mutex_lock(&mutex);
    const kolk_reactor_ops *known = find_loaded(about);
    pthread_mutex_unlock(&mutex);
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

} // namespace

int load_reactor(const char *path, const char *name, const kolk_reactor_ops *&ret_ops, error **ret_error) noexcept {
    if (!path || path[0] != '/' || strlen(path) >= PATH_MAX)
        return deliver(make_error(KOLK_EINVAL, 0, nullptr, "'%s' is not the absolute path of a module", printable(path).text),
                       ret_error);
    return load(path, name, ret_ops, ret_error);
}

} // namespace kolk
