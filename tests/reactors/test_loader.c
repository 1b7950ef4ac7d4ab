/* Loading and registering reactors: what is taken, and what is refused with a reason and leaves nothing behind. */
#define _GNU_SOURCE
#include <kolk/registry.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *modules; /* where the modules of the tests are */

struct fixture {
    char directory[PATH_MAX]; /* empty and ours alone */
    char path[2 * PATH_MAX];
    const kolk_reactor_ops *ops;
    kolk_error *error;
};

static struct fixture the_fixture;

static int setup(void **state) {
    struct fixture *f = *state = &the_fixture;
    memset(f, 0, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "%s/kolk-loader-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(f->directory) ? 0 : -1;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    kolk_error_unref(f->error);
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", f->directory);
    return system(command);
}

/* --- tools --- */

static const char *module_path(struct fixture *f, const char *name) {
    snprintf(f->path, sizeof f->path, "%s/kolk-reactor-%s.so", modules, name);
    return f->path;
}

static const char *own_path(struct fixture *f, const char *name) {
    snprintf(f->path, sizeof f->path, "%s/%s", f->directory, name);
    return f->path;
}

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* A module's bytes. */
static unsigned char *read_module(struct fixture *f, const char *name, size_t *ret_size) {
    FILE *file = fopen(module_path(f, name), "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*ret_size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *ret_size, file), *ret_size);
    fclose(file);
    return bytes;
}

/* A copy of a good module under another name: a file of its own, which was never loaded. */
static const char *copy_module(struct fixture *f, const char *file_name) {
    size_t size;
    unsigned char *bytes = read_module(f, "nothing", &size);
    write_file(own_path(f, file_name), bytes, size);
    free(bytes);
    return f->path;
}

/* Whether a file is mapped into this process. */
static int is_loaded(const char *path) {
    char line[2 * PATH_MAX];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    const char *name = strrchr(path, '/') + 1;
    while (fgets(line, sizeof line, maps))
        found |= strstr(line, name) != NULL;
    fclose(maps);
    return found;
}

static void assert_says(struct fixture *f, const char *reason) {
    if (!strstr(kolk_error_message(f->error), reason))
        fail_msg("\"%s\" does not say \"%s\"", kolk_error_message(f->error), reason);
}

/* Refused with this status and reason, the result untouched, nothing left in the process. */
static void assert_refused(struct fixture *f, const char *path, int status, const char *reason) {
    static const kolk_reactor_ops untouched;
    f->ops = &untouched;
    assert_int_equal(kolk_reactor_load(path, &f->ops, &f->error), status);
    assert_int_equal(kolk_error_status(f->error), status);
    assert_says(f, reason);
    assert_ptr_equal(f->ops, &untouched);
    if (path && strchr(path, '/'))
        assert_false(is_loaded(path));
    f->error = kolk_error_unref(f->error);
    assert_int_equal(kolk_reactor_load(path, &f->ops, NULL), status); /* the reason is optional */
}

/* --- names --- */

/* A text that cannot be a name is refused before any file is touched, and shown without its control characters. */
static void impossible_names_are_refused(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"",
                                        "a/b",
                                        "..",
                                        "../poll",
                                        "/poll",
                                        "poll.so",
                                        "po ll",
                                        "po\nll",
                                        "\x1b[2Jpoll",
                                        "p\xc3\xb6ll",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}; /* 65 */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(kolk_reactor_find(names[i], &f->ops, &f->error), KOLK_EINVAL);
        assert_says(f, "cannot be the name of a reactor");
        for (const char *c = kolk_error_message(f->error); *c; c++)
            assert_in_range(*c, ' ', '~');
        f->error = kolk_error_unref(f->error);
    }
    assert_int_equal(kolk_reactor_find(NULL, &f->ops, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_reactor_find("poll", NULL, NULL), KOLK_EINVAL);
}

/* A name of four thousand bytes is no different from one of 65. */
static void very_long_name_is_refused(void **state) {
    struct fixture *f = *state;
    char name[4097];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(kolk_reactor_find(name, &f->ops, &f->error), KOLK_EINVAL);
    assert_true(strlen(kolk_error_message(f->error)) < 256);
}

/* An unknown name is told from an impossible one, and the names there are are listed. */
static void unknown_name_is_not_found(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_reactor_find("kqueue", &f->ops, &f->error), KOLK_ENOENT);
    assert_says(f, "'kqueue'");
#ifdef KOLK_BUILTIN_POLL
    assert_says(f, "poll");
#endif
    f->error = kolk_error_unref(f->error);
    char longest[65];
    memset(longest, 'a', 64);
    longest[64] = '\0';
    assert_int_equal(kolk_reactor_find(longest, &f->ops, &f->error), KOLK_ENOENT);
}

/* The names come in the default order, and their number is told also when they do not fit. */
static void names_come_in_default_order(void **state) {
    (void)state;
    static const char *const order[] = {
#ifdef KOLK_BUILTIN_EPOLL
        "epoll",
#endif
#ifdef KOLK_BUILTIN_POLL
        "poll",
#endif
#ifdef KOLK_BUILTIN_SELECT
        "select",
#endif
        NULL};
    const char *names[64] = {NULL};
    int count = kolk_reactor_names(names, 64);
    int builtin = (int)(sizeof order / sizeof *order) - 1;
    assert_true(count >= builtin);
    for (int i = 0; i < builtin; i++)
        assert_string_equal(names[i], order[i]);
    assert_int_equal(kolk_reactor_names(NULL, 0), count);
    assert_int_equal(kolk_reactor_names(NULL, 1), KOLK_EINVAL);
    const char *one[2] = {NULL, NULL};
    assert_int_equal(kolk_reactor_names(one, 1), count);
    assert_null(one[1]);
}

/* --- files that are no module --- */

/* Only an absolute path is a path. */
static void relative_path_is_refused(void **state) {
    struct fixture *f = *state;
    assert_refused(f, "kolk-reactor-nothing.so", KOLK_EINVAL, "absolute path");
    assert_refused(f, "./kolk-reactor-nothing.so", KOLK_EINVAL, "absolute path");
    assert_refused(f, "", KOLK_EINVAL, "absolute path");
    assert_refused(f, NULL, KOLK_EINVAL, "absolute path");
    assert_int_equal(kolk_reactor_load(module_path(f, "nothing"), NULL, NULL), KOLK_EINVAL);
}

/* What is not there, not a file or not a shared object is refused by name. */
static void other_files_are_refused(void **state) {
    struct fixture *f = *state;
    assert_refused(f, own_path(f, "missing.so"), KOLK_EPLUGIN, "No such file");
    assert_int_equal(mkdir(own_path(f, "directory.so"), 0700), 0);
    assert_refused(f, f->path, KOLK_EPLUGIN, "not a regular file");
    assert_int_equal(mkfifo(own_path(f, "pipe.so"), 0600), 0);
    assert_refused(f, f->path, KOLK_EPLUGIN, "not a regular file");
    write_file(own_path(f, "empty.so"), "", 0);
    assert_refused(f, f->path, KOLK_EPLUGIN, "not a shared object");
    const char text[] =
        "#!/bin/sh\n# Not a shared object, however long this line may be, and it is long enough for a header.\n";
    write_file(own_path(f, "text.so"), text, sizeof text);
    assert_refused(f, f->path, KOLK_EPLUGIN, "not a shared object");
    assert_int_equal(kolk_reactor_load("/proc/self/exe", &f->ops, &f->error), KOLK_EPLUGIN); /* a program */
}

/* A file that ends too early is refused at any length, not mapped and run into. Only the section table at the very end, which
 * nothing needs at run time, may be missing. */
static void truncated_file_is_refused(void **state) {
    struct fixture *f = *state;
    size_t size;
    unsigned char *bytes = read_module(f, "nothing", &size);
    int refused = 0;
    for (size_t part = 0; part < 16; part++) {
        char name[32];
        snprintf(name, sizeof name, "part-%zu.so", part);
        write_file(own_path(f, name), bytes, size * part / 16);
        int status = kolk_reactor_load(f->path, &f->ops, &f->error);
        f->error = kolk_error_unref(f->error);
        assert_true(status == 0 || status == KOLK_EPLUGIN);
        assert_int_equal(is_loaded(f->path), status == 0);
        refused += status != 0;
    }
    write_file(own_path(f, "header.so"), bytes, sizeof(Elf64_Ehdr));
    free(bytes);
    assert_true(refused >= 4);
    assert_refused(f, f->path, KOLK_EPLUGIN, "truncated");
}

/* A module for another processor, or with nonsense for a header, is refused. */
static void damaged_header_is_refused(void **state) {
    struct fixture *f = *state;
    size_t size;
    unsigned char *bytes = read_module(f, "nothing", &size);
    bytes[EI_CLASS] = ELFCLASS32 + ELFCLASS64 - bytes[EI_CLASS];
    write_file(own_path(f, "class.so"), bytes, size);
    assert_refused(f, f->path, KOLK_EPLUGIN, "not a shared object for this system");
    bytes[EI_CLASS] = ELFCLASS32 + ELFCLASS64 - bytes[EI_CLASS];
    bytes[offsetof(Elf64_Ehdr, e_machine)] ^= 0x40;
    write_file(own_path(f, "machine.so"), bytes, size);
    assert_refused(f, f->path, KOLK_EPLUGIN, "cannot load module");
    memset(bytes + EI_NIDENT + 4, 0xff, 256);
    write_file(own_path(f, "nonsense.so"), bytes, size);
    free(bytes);
    assert_refused(f, f->path, KOLK_EPLUGIN, "not a shared object for this system");
}

/* --- who may have written it --- */

/* A file that anybody may write to is not loaded. */
static void world_writable_file_is_refused(void **state) {
    struct fixture *f = *state;
    assert_int_equal(chmod(copy_module(f, "open.so"), 0666), 0);
    assert_refused(f, f->path, KOLK_EPLUGIN, "anybody may write to this file");
    assert_int_equal(chmod(f->path, 0644), 0);
    assert_int_equal(kolk_reactor_load(f->path, &f->ops, NULL), 0);
}

/* Nor is one in a directory that anybody may write to, sticky or not: anybody could have put it there. */
static void world_writable_directory_is_refused(void **state) {
    struct fixture *f = *state;
    copy_module(f, "placed.so");
    assert_int_equal(chmod(f->directory, 0777), 0);
    assert_refused(f, f->path, KOLK_EPLUGIN, "anybody may write to its directory");
    assert_int_equal(chmod(f->directory, 01777), 0);
    assert_refused(f, f->path, KOLK_EPLUGIN, "anybody may write to its directory");
    assert_int_equal(chmod(f->directory, 0700), 0);
    assert_int_equal(kolk_reactor_load(f->path, &f->ops, NULL), 0);
}

/* A link is as good as where it stands and what it leads to. */
static void links_are_followed_and_checked(void **state) {
    struct fixture *f = *state;
    char inner[PATH_MAX + 16], link[PATH_MAX + 16];
    snprintf(inner, sizeof inner, "%s/inner", f->directory);
    snprintf(link, sizeof link, "%s/inner/link.so", f->directory);
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(symlink(copy_module(f, "target.so"), link), 0);
    assert_int_equal(chmod(inner, 0777), 0);
    assert_refused(f, link, KOLK_EPLUGIN, "anybody may write to its directory");
    assert_int_equal(chmod(inner, 0700), 0);
    assert_int_equal(chmod(f->directory, 0777), 0);
    assert_refused(f, link, KOLK_EPLUGIN, "anybody may write to its directory");
    assert_int_equal(chmod(f->directory, 0700), 0);
    assert_int_equal(kolk_reactor_load(link, &f->ops, NULL), 0);
    assert_true(is_loaded(f->path));
}

/* --- modules with something wrong --- */

struct broken {
    const char *module;
    const char *reason;
};

/* Each thing that can be wrong with a table has a reason of its own, and the module goes again. */
static void broken_modules_are_refused_with_a_reason(void **state) {
    struct fixture *f = *state;
    static const struct broken all[] = {
        {"wrong-entry", "exports no function kolk_reactor_entry_v1"},
        {"undefined-symbol", "kolk_test_no_such_function"},
        {"entry-fails", "says it cannot be used here"},
        {"no-table", "hands out no table"},
        {"older-abi", "made for version 0 of the reactor contract; this library has 1"},
        {"newer-abi", "made for version 2 of the reactor contract; this library has 1"},
        {"zero-size", "the table says it has 0 bytes"},
        {"short-size", "the table says it has"},
        {"no-open", "needs 'open'"},
        {"no-close", "needs 'close'"},
        {"no-watch", "needs 'watch'"},
        {"no-collect", "needs 'collect'"},
        {"no-wait", "announces 'wait'"},
        {"no-wait-anywhere", "announces 'wait'"},
        {"no-get-fd", "announces 'get_fd'"},
        {"no-after-fork", "announces 'after_fork'"},
        {"no-stay", "announces 'stay'"},
        {"no-submit", "announces 'submit'"},
        {"beyond-size", "announces 'wait'"},
        {"no-name", "the name in the table"},
        {"empty-name", "the name in the table"},
        {"slash-name", "the name in the table"},
        {"control-name", "the name in the table"},
        {"long-name", "the name in the table"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%s", module_path(f, all[i].module));
        assert_refused(f, path, KOLK_EPLUGIN, all[i].reason);
    }
}

/* A reason names the file, and an errno of the module is kept. */
static void reasons_name_the_file(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_reactor_load(module_path(f, "entry-fails"), &f->ops, &f->error), KOLK_EPLUGIN);
    assert_says(f, f->path);
    assert_int_equal(kolk_error_os(f->error), ENOSYS);
}

/* --- modules that are taken --- */

/* A good module is taken and stays. */
static void good_module_is_taken(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_reactor_load(module_path(f, "nothing"), &f->ops, &f->error), 0);
    assert_null(f->error);
    assert_string_equal(f->ops->name, "nothing");
    assert_true(is_loaded(f->path));
}

/* Loaded again, also through another path, it is the same table. */
static void same_file_is_same_table(void **state) {
    struct fixture *f = *state;
    const kolk_reactor_ops *first, *again, *linked;
    copy_module(f, "once.so");
    assert_int_equal(kolk_reactor_load(f->path, &first, NULL), 0);
    assert_int_equal(kolk_reactor_load(f->path, &again, NULL), 0);
    char link[PATH_MAX + 16];
    snprintf(link, sizeof link, "%s/hard.so", f->directory);
    assert_int_equal(linkat(AT_FDCWD, f->path, AT_FDCWD, link, 0), 0);
    assert_int_equal(kolk_reactor_load(link, &linked, NULL), 0);
    assert_ptr_equal(first, again);
    assert_ptr_equal(first, linked);
}

/* A table that ends after the four functions, as one from an older header may, is made whole with nothing in the rest. */
static void shorter_table_is_made_whole(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_reactor_load(module_path(f, "old-size"), &f->ops, NULL), 0);
    assert_int_equal(f->ops->size, sizeof *f->ops);
    assert_null(f->ops->wait);
    assert_null(f->ops->cancel);
    assert_int_equal(f->ops->collect(NULL, 0, NULL, 0), 0);
}

/* A longer table, as a newer header may make, is taken as far as it is known. */
static void longer_table_is_taken(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_reactor_load(module_path(f, "new-size"), &f->ops, NULL), 0);
    assert_int_equal(f->ops->size, sizeof *f->ops);
}

/* A function whose bit is not set is not there. */
static void unannounced_function_is_ignored(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_reactor_load(module_path(f, "stray-member"), &f->ops, NULL), 0);
    assert_null(f->ops->wait);
}

/* --- registering --- */

static int open_nothing(const kolk_reactor_config *config, void **ret_state) {
    (void)config;
    *ret_state = NULL;
    return 0;
}

static void close_nothing(void *state) { (void)state; }

static int watch_nothing(void *state, int fd, uint32_t events, uint64_t token) {
    (void)state, (void)fd, (void)events, (void)token;
    return 0;
}

static int collect_nothing(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) {
    (void)state, (void)timeout_ns, (void)ret_ready, (void)capacity;
    return 0;
}

static kolk_reactor_ops table_named(const char *name) {
    kolk_reactor_ops ops = {.size = sizeof ops,
                            .abi = KOLK_REACTOR_ABI,
                            .name = name,
                            .open = open_nothing,
                            .close = close_nothing,
                            .watch = watch_nothing,
                            .collect = collect_nothing};
    return ops;
}

/* What is registered is found by its name and listed behind those that are built in. */
static void registered_reactor_is_found(void **state) {
    struct fixture *f = *state;
    kolk_reactor_ops ops = table_named("registered");
    assert_int_equal(kolk_reactor_register(&ops, &f->error), 0);
    assert_int_equal(kolk_reactor_find("registered", &f->ops, &f->error), 0);
    assert_string_equal(f->ops->name, "registered");
    assert_ptr_equal(f->ops->collect, collect_nothing);
    const char *names[64];
    int count = kolk_reactor_names(names, 64), found = 0;
    for (int i = 0; i < count; i++)
        found += strcmp(names[i], "registered") == 0;
    assert_int_equal(found, 1);
}

/* A name is taken once, whoever has it. */
static void taken_names_are_refused(void **state) {
    struct fixture *f = *state;
    kolk_reactor_ops ops = table_named("taken");
    assert_int_equal(kolk_reactor_register(&ops, NULL), 0);
    assert_int_equal(kolk_reactor_register(&ops, &f->error), KOLK_EEXIST);
    assert_says(f, "'taken'");
#ifdef KOLK_BUILTIN_POLL
    ops = table_named("poll");
    assert_int_equal(kolk_reactor_register(&ops, NULL), KOLK_EEXIST);
#endif
}

/* A table is checked when it is registered as a module's is. */
static void broken_tables_are_not_registered(void **state) {
    struct fixture *f = *state;
    kolk_reactor_ops ops = table_named("unwatched");
    ops.watch = NULL;
    assert_int_equal(kolk_reactor_register(&ops, &f->error), KOLK_EPLUGIN);
    assert_says(f, "needs 'watch'");
    ops = table_named("unwatched");
    ops.caps = KOLK_REACTOR_GET_FD;
    assert_int_equal(kolk_reactor_register(&ops, NULL), KOLK_EPLUGIN);
    ops = table_named("un/watched");
    assert_int_equal(kolk_reactor_register(&ops, NULL), KOLK_EPLUGIN);
    assert_int_equal(kolk_reactor_register(NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_reactor_find("unwatched", &f->ops, NULL), KOLK_ENOENT);
}

/* A loaded module can be registered to be found by name. */
static void loaded_module_can_be_registered(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_reactor_load(module_path(f, "nothing"), &f->ops, NULL), 0);
    assert_int_equal(kolk_reactor_register(f->ops, NULL), 0);
    assert_int_equal(kolk_reactor_find("nothing", &f->ops, NULL), 0);
}

/* There is room for 32, and the one too many is told so. Last, because none is ever removed. */
static void registering_ends_at_the_limit(void **state) {
    struct fixture *f = *state;
    static char names[40][32];
    int status = 0, added = 0;
    for (; added < 40 && status == 0; added++) {
        snprintf(names[added], sizeof names[added], "number-%d", added);
        kolk_reactor_ops ops = table_named(names[added]);
        status = kolk_reactor_register(&ops, &f->error);
    }
    assert_int_equal(status, KOLK_ELIMIT);
    assert_says(f, "32");
}

int main(void) {
    modules = getenv("KOLK_TEST_BROKEN_MODULES");
    if (!modules) {
        fprintf(stderr, "KOLK_TEST_BROKEN_MODULES must name the directory of the test modules\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(impossible_names_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(very_long_name_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_name_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(names_come_in_default_order, setup, teardown),
        cmocka_unit_test_setup_teardown(relative_path_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(other_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(truncated_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_header_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(world_writable_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(world_writable_directory_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(links_are_followed_and_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_modules_are_refused_with_a_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(reasons_name_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(good_module_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(same_file_is_same_table, setup, teardown),
        cmocka_unit_test_setup_teardown(shorter_table_is_made_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(longer_table_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(unannounced_function_is_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(registered_reactor_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(taken_names_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_tables_are_not_registered, setup, teardown),
        cmocka_unit_test_setup_teardown(loaded_module_can_be_registered, setup, teardown),
        cmocka_unit_test_setup_teardown(registering_ends_at_the_limit, setup, teardown),
    };
    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
